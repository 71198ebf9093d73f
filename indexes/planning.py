"""Compare the files with the stored documents: what has to be done so that an index says what the files say.

Reads no content except to tell a touched or renamed file from a changed one.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from indexes.committing import Failure, StoredDocument
from indexes.discovery import FoundFile, discover
from indexes.errors import DocumentError
from indexes.reading import reader_for
from indexes.roots import Scope, within
from indexes.store import Root, Store

READING = 1
"""Version of the readers: a change of it reads every document again (and embeds only texts that are new)."""
RACY_NS = 2_000_000_000
"""A file changed this shortly before it was read may have been changed again within the same tick of the file system's clock:
its content is compared, not its time."""


@dataclass(frozen=True, slots=True)
class Task:
    """A file to read: new, or changed since ``old`` was stored."""

    root: Root
    file: FoundFile
    old: StoredDocument | None


@dataclass(slots=True)
class Plan:
    """What has changed.

    Attributes:
        unchanged: how many documents are as they were.
        touched: same content under a new time.
        renamed: same content under a new name.
        removed: documents whose file is gone.
        tasks: files to read.
        failed: files that couldn't be read before and haven't changed since.
        recovered: files that couldn't be read before and are gone or changed.
        skipped: how many files were left out, by reason.
        missing: roots that aren't there, with the number of documents that stay.
        unreadable: folders and files that the walk couldn't enter, and why; documents in them stay.
        gone_roots: roots inside other roots that are no longer there.
    """

    unchanged: int = 0
    touched: list[tuple[StoredDocument, FoundFile]] = field(default_factory=list)
    renamed: list[tuple[StoredDocument, Task]] = field(default_factory=list)
    removed: list[StoredDocument] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    recovered: list[Failure] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    missing: list[tuple[Root, int]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    gone_roots: list[Root] = field(default_factory=list)

    @property
    def changes(self) -> int:
        """How many documents would change."""
        return len(self.renamed) + len(self.removed) + len(self.tasks)


def plan_changes(store: Store, scopes: Sequence[Scope], settings: str) -> Plan:
    """Compare files with documents.

    Args:
        store: the index.
        scopes: the roots to look into.
        settings: versions and limits of reading and splitting; a document stored under others is read again.
    """
    plan = Plan()
    failures = {(failure.root, failure.source): failure for failure in store.failures()}
    for scope in scopes:
        documents = [d for d in store.documents(scope.root.id) if scope.holds(d.source)]
        try:
            found = discover(Path(scope.root.path), include=scope.root.include, exclude=scope.root.exclude)
        except DocumentError:
            _keep_or_forget(plan, scope.root, documents, scopes)
            continue
        plan.skipped.update(found.skipped)
        plan.unreadable += found.errors
        shut = [source for source, _ in found.errors]
        hidden = [d for d in documents if any(source == "." or within(d.source, source) for source in shut)]
        plan.unchanged += len(hidden)  # what can't be looked at may still be there
        documents = [d for d in documents if d not in hidden]
        files = [file for file in found.files if scope.owns(file.source)]
        _compare(plan, scope.root, files, documents, failures, settings)
        present = {file.source for file in files}
        plan.recovered += [
            f for f in failures.values() if f.root == scope.root.id and scope.holds(f.source) and f.source not in present
        ]
    _find_renamed(plan, settings)
    return plan


def _keep_or_forget(plan: Plan, root: Root, documents: list[StoredDocument], scopes: Sequence[Scope]) -> None:
    """A root that isn't there: a folder of another one that was looked into is gone; any other may be a disk not mounted."""
    around = [s.root.path for s in scopes if s.root != root and Path(root.path).is_relative_to(s.root.path)]
    if any(Path(path).is_dir() for path in around):
        plan.removed += documents
        plan.gone_roots.append(root)
    else:
        plan.missing.append((root, len(documents)))
        plan.unchanged += len(documents)


def _compare(
    plan: Plan,
    root: Root,
    files: Sequence[FoundFile],
    documents: Sequence[StoredDocument],
    failures: dict[tuple[int, str], Failure],
    settings: str,
) -> None:
    stored = {document.source: document for document in documents}
    for file in files:
        old = stored.pop(file.source, None)
        failure = failures.get((root.id, file.source))
        if failure and failure.stamp == failure_stamp(file.path, settings):
            plan.failed.append(failure)
        elif old is None or old.settings != settings:
            plan.tasks.append(Task(root, file, old))
        elif _surely_same(old, file):
            plan.unchanged += 1
        elif hash_file(file.path) == old.hash:
            plan.touched.append((old, file))
            plan.unchanged += 1
        else:
            plan.tasks.append(Task(root, file, old))
    plan.removed += stored.values()


def _surely_same(old: StoredDocument, file: FoundFile) -> bool:
    same_stat = (old.size, old.mtime_ns, old.ctime_ns) == (file.size, file.mtime_ns, file.ctime_ns)
    return same_stat and max(file.mtime_ns, file.ctime_ns) < old.seen_ns - RACY_NS


def failure_stamp(path: Path, settings: str) -> str:
    """What has to change for an unreadable file to be tried again: its content, its rights, or our readers."""
    try:
        status = path.stat()
    except OSError:
        return "gone"
    return f"{status.st_size}/{status.st_mtime_ns}/{status.st_ctime_ns}/{settings}"


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes; ``""`` when it can't be read (then reading it will say why)."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def _find_renamed(plan: Plan, settings: str) -> None:
    """Pair new files with removed documents of the same content and format: those need neither reading nor embedding."""
    sizes = {document.size for document in plan.removed if document.settings == settings}
    if not sizes:
        return
    gone: dict[tuple[str, str, object], list[StoredDocument]] = {}
    for document in plan.removed:
        if document.settings == settings:
            gone.setdefault((document.hash, *_format(document.source)), []).append(document)
    tasks = []
    for task in plan.tasks:
        twins = []
        if task.old is None and task.file.size in sizes:
            twins = gone.get((hash_file(task.file.path), *_format(task.file.source)), [])
        if twins:
            plan.renamed.append((twins.pop(), task))
        else:
            tasks.append(task)
    moved = {document.row for document, _ in plan.renamed}
    plan.tasks = tasks
    plan.removed = [document for document in plan.removed if document.row not in moved]


def _format(source: str) -> tuple[str, object]:
    """What decides how a file is read: its suffix, and for a name without one (Makefile, README) its reader."""
    return Path(source).suffix, reader_for(Path(source))
