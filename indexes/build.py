"""Bring an index up to date with its files: plan → read → split → embed → commit, a group of files at a time.

A commit holds whole files and is one transaction. A run that is stopped, however, leaves the last commit answering, and the
next run goes on from there, because the plan is made from what is stored and what is on disk, never from what a run remembers.
"""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from indexes.committing import Commit, Failure, StoredDocument
from indexes.dense import write_segments
from indexes.embedding import INSTALLED, Embedder
from indexes.errors import DocumentError, EmbedderMismatch, IndexNotFound, UnreadableFile
from indexes.locking import writer_lock
from indexes.planning import READING, Plan, Task, failure_stamp, hash_file, plan_changes
from indexes.progress import Clock, Progress
from indexes.reading import read_document
from indexes.records import Passage
from indexes.roots import RootRequest, remember_roots
from indexes.schema import DATABASE, clear, create, faults
from indexes.splitting import SPLITTER, SplitSettings, rehome, split
from indexes.store import Store

GROUP_PASSAGES = 512
"""New passages after which a commit is made: some seconds of embedding on two cores, so that little is lost by a kill."""
SLICE_PASSAGES = 128
"""Passages embedded between two looks at the clock: about two seconds on two cores."""
GROUP_CHARACTERS = 4_000_000
KEEP_DEAD_S = 3600.0
"""How long removed rows are kept for readers that opened an earlier generation."""
PURGE_SHARE = 0.25
"""Share of dead passages from which on they are purged and the dense base is written again."""


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did. ``documents`` and ``passages`` count the index, the rest counts documents of the roots looked at.

    Attributes:
        index: its name.
        failed: files that can't be read, and why.
        skipped: how many files were left out, by reason.
        embedded: passages that were embedded; the others had a vector already.
        seconds: in all.
        interrupted: stopped by the user; what was committed is kept.
    """

    index: str
    documents: int
    passages: int
    added: int
    changed: int
    removed: int
    renamed: int
    unchanged: int
    failed: tuple[tuple[str, str], ...]
    skipped: dict[str, int]
    embedded: int
    seconds: float
    interrupted: bool


def build_index(
    folder: Path,
    requests: Sequence[RootRequest] = (),
    *,
    open_embedder: Callable[[str], Embedder],
    embedder: str = "",
    on_progress: Callable[[Progress], None] = lambda _: None,
    wait_s: float = 10.0,
) -> BuildReport:
    """Build or refresh an index.

    Args:
        folder: the index's folder; its name is the index's.
        requests: roots to add or to refresh; none: all that are remembered.
        open_embedder: opens a model by its id, when there is something to embed or a new index to make.
        embedder: the model for a new index (default: the installed one); an existing index keeps its own.
        on_progress: told after each file.
        wait_s: how long to wait for another writer.

    Raises:
        DocumentError: a path doesn't exist, or nothing in the index could be read.
        IndexFault: the index is locked, damaged, of another embedder, or can't be written.
    """
    for request in requests:
        request.check()
    if not requests and not (folder / DATABASE).is_file():
        raise IndexNotFound(f"no index named {folder.name!r}", hint=f"assistant index PATH --name {folder.name}")
    with writer_lock(folder, wait_s=wait_s):
        is_new = not (folder / DATABASE).is_file()  # another writer may have made it while this one waited
        if is_new:
            model = open_embedder(embedder or INSTALLED)
            create(folder, model_id=model.model_id, weights_hash=model.weights_hash, dimension=model.dimension)
        store, report = Store(folder, write=True), None
        try:
            _refuse_other_embedder(store, embedder)
            report = _Build(store, open_embedder, on_progress).run(requests)
        finally:
            is_empty = is_new and not store.documents()
            store.close()
            if is_empty and not (report and report.interrupted):  # a stopped run has vectors that the next one needs
                clear(folder)
    looked_at = report.added + report.changed + report.renamed + report.unchanged
    if not (looked_at if requests else report.documents) and not report.interrupted:
        raise DocumentError(_nothing_read(requests, report), hint="name a folder with documents: assistant index PATH")
    return report


def _refuse_other_embedder(store: Store, embedder: str) -> None:
    built_with = store.meta("embedder")
    if embedder and embedder != built_with:
        raise EmbedderMismatch(
            f"the index {store.name!r} was built with the embedding model {built_with!r}, not {embedder!r}",
            hint=f"give the new index another --name, or first: assistant indexes delete {store.name}",
        )


def _nothing_read(requests: Sequence[RootRequest], report: BuildReport) -> str:
    where = ", ".join(repr(str(request.path)) for request in requests) or f"the roots of {report.index!r}"
    skipped = ", ".join(f"{count} {reason}" for reason, count in report.skipped.items())
    failed = "; ".join(f"{source}: {reason}" for source, reason in report.failed[:3])
    details = "; ".join(part for part in (skipped and f"left out: {skipped}", failed) if part)
    return f"nothing to read in {where}" + (f" ({details})" if details else "")


@dataclass(slots=True)
class _Group:
    """Files that are committed together."""

    documents: list[tuple[Task, StoredDocument, list[Passage]]] = field(default_factory=list)
    failures: list[tuple[Task, Failure]] = field(default_factory=list)
    passages: int = 0
    characters: int = 0

    @property
    def full(self) -> bool:
        return self.passages >= GROUP_PASSAGES or self.characters >= GROUP_CHARACTERS or len(self.failures) >= GROUP_PASSAGES


class _Build:
    def __init__(self, store: Store, open_embedder: Callable[[str], Embedder], on_progress: Callable[[Progress], None]) -> None:
        self._store, self._open_embedder, self._on_progress = store, open_embedder, on_progress
        self._embedder: Embedder | None = None
        self._counts: Counter[str] = Counter()
        self._failed: list[tuple[str, str]] = []
        self._started = time.monotonic()
        self._settings = f"{READING}/{SPLITTER}"

    @property
    def embedder(self) -> Embedder:
        """The index's model, opened when it is first needed."""
        if self._embedder is None:
            model_id = self._store.meta("embedder")
            embedder = self._open_embedder(model_id)
            if embedder.weights_hash != self._store.meta("weights_hash"):
                raise EmbedderMismatch(
                    f"the weights of {model_id!r} are not those with which the index {self._store.name!r} was built",
                    hint=f"assistant indexes delete {self._store.name} --yes, then index the folder again",
                )
            self._embedder = embedder
        return self._embedder

    def run(self, requests: Sequence[RootRequest]) -> BuildReport:
        interrupted = False
        self._store.refill_terms()
        plan = plan_changes(self._store, remember_roots(self._store, requests), self._settings)
        self._failed += [(failure.source, failure.reason) for failure in plan.failed]
        self._failed += plan.unreadable
        self._failed += [(root.path, f"not there; its {count} documents are kept") for root, count in plan.missing]
        try:
            self._apply_moves(plan)
            self._read_all(plan.tasks)
        except KeyboardInterrupt:
            interrupted = True
        self._finish(purge=not interrupted)
        return self._report(plan, interrupted=interrupted)

    def _apply_moves(self, plan: Plan) -> None:
        """Commit what needs no reading: new times, new names, files that are gone."""
        now = time.time_ns()
        self._store.touch([(old.row, file.size, file.mtime_ns, file.ctime_ns, now) for old, file in plan.touched])
        if not (plan.renamed or plan.removed or plan.recovered or plan.gone_roots):
            return
        with self._store.commit() as commit:
            for old, task in plan.renamed:
                self._move(commit, old, task, now)
            for document in plan.removed:
                commit.remove_document(document.row)
            for failure in plan.recovered:
                commit.clear_failure(failure.root, failure.source)
            for root in plan.gone_roots:
                commit.drop_root(root.id)
        self._counts.update(renamed=len(plan.renamed), removed=len(plan.removed))

    def _move(self, commit: Commit, old: StoredDocument, task: Task, now: int) -> None:
        """Give an unchanged file its new name: its passages are taken over with their vectors."""
        passages, vectors = self._store.passages_of(old.row)
        new = _stored(task, old.hash, self._settings, now)
        commit.remove_document(old.row)
        commit.add_document(new, rehome(passages, new.document_id), vectors)

    def _read_all(self, tasks: Sequence[Task]) -> None:
        """Read and split files, and commit them group by group."""
        clock = Clock([task.file.size for task in tasks])
        group = _Group()
        for task in tasks:
            clock.passages_read += self._read(task, group)
            clock.files += 1
            clock.bytes += task.file.size
            if group.full:
                self._commit_group(group, clock)
                group = _Group()
            self._on_progress(clock.progress(task.file.source))
        self._commit_group(group, clock)
        if tasks:
            self._on_progress(clock.progress(tasks[-1].file.source))

    def _read(self, task: Task, group: _Group) -> int:
        """Read and split a file into the group; returns its number of passages."""
        now = time.time_ns()
        content = hash_file(task.file.path)  # before reading: a change in between is then seen by the next run
        stored = _stored(task, content, self._settings, now)
        embedder = self.embedder
        try:
            document = read_document(task.file.path, task.file.source)
        except UnreadableFile as error:
            stamp = failure_stamp(task.file.path, self._settings)
            group.failures.append((task, Failure(task.root.id, task.file.source, stamp, error.message)))
            return 0
        passages = split(document, stored.document_id, embedder.token_spans, SplitSettings(max_tokens=embedder.max_tokens))
        group.documents.append((task, stored, passages))
        group.passages += len(passages)
        group.characters += len(document.text)
        return len(passages)

    def _commit_group(self, group: _Group, clock: Clock) -> None:
        """Embed what is new in a group of files and commit it."""
        if not (group.documents or group.failures):
            return
        keys = [[self._key(passage) for passage in passages] for _, _, passages in group.documents]
        texts = {k: p for row, (_, _, ps) in zip(keys, group.documents, strict=True) for k, p in zip(row, ps, strict=True)}
        rows = self._embed(texts, clock, group.documents[-1][0].file.source if group.documents else "")
        with self._store.commit() as commit:
            for (task, document, passages), document_keys in zip(group.documents, keys, strict=True):
                if task.old:
                    commit.remove_document(task.old.row)
                commit.clear_failure(task.root.id, task.file.source)
                commit.add_document(document, passages, [rows[key] for key in document_keys])
            for task, failure in group.failures:
                if task.old:
                    commit.remove_document(task.old.row)
                commit.set_failure(failure)
        self._count(group)
        clock.passages_done = clock.passages_read

    def _embed(self, texts: dict[bytes, Passage], clock: Clock, source: str) -> dict[bytes, int]:
        """Embed the texts that have no vector yet, and return the rows of all.

        Vectors are stored a slice at a time, before the passages that need them: a run that is killed inside a very long file
        has not embedded in vain.
        """
        rows = self._store.known_keys(texts)
        new = [key for key in texts if key not in rows]
        for start in range(0, len(new), SLICE_PASSAGES):
            some = new[start : start + SLICE_PASSAGES]
            rows |= self._store.add_vectors(some, self.embedder.embed([texts[key].embedded_text for key in some]))
            self._counts["embedded"] += len(some)
            clock.passages_done += len(some)
            self._on_progress(clock.progress(source))
        return rows

    def _key(self, passage: Passage) -> bytes:
        """Under what a passage's vector is stored: its embedded text, so equal texts share one."""
        return hashlib.sha256(passage.embedded_text.encode()).digest()

    def _count(self, group: _Group) -> None:
        for task, _, _ in group.documents:
            self._counts["changed" if task.old else "added"] += 1
        self._counts["removed"] += sum(1 for task, _ in group.failures if task.old)
        self._failed += [(failure.source, failure.reason) for _, failure in group.failures]

    def _finish(self, *, purge: bool) -> None:
        """Purge what has long been dead, write the derived segments, and note the time.

        A run that was stopped doesn't purge: vectors that its next run will need have no passage yet.
        """
        old_enough = time.time() - KEEP_DEAD_S
        if purge and self._store.purgeable(old_enough) > PURGE_SHARE * self._store.passage_rows():
            with self._store.commit() as commit:
                commit.purge(old_enough)
        with faults(self._store.folder):
            write_segments(self._store, int(self._store.meta("dimension")))
        self._store.note("built", datetime.now(UTC).isoformat(timespec="microseconds"))
        self._store.checkpoint()

    def _report(self, plan: Plan, *, interrupted: bool) -> BuildReport:
        documents, passages = self._store.counts()
        counts = self._counts
        return BuildReport(
            index=self._store.name,
            documents=documents,
            passages=passages,
            added=counts["added"],
            changed=counts["changed"],
            removed=counts["removed"],
            renamed=counts["renamed"],
            unchanged=plan.unchanged,
            failed=tuple(sorted(self._failed)),
            skipped=dict(plan.skipped),
            embedded=counts["embedded"],
            seconds=time.monotonic() - self._started,
            interrupted=interrupted,
        )


def _stored(task: Task, content: str, settings: str, now: int) -> StoredDocument:
    file = task.file
    return StoredDocument(
        row=0,  # the database gives it one
        document_id=hashlib.sha256(f"{task.root.path}\0{file.source}".encode(errors="surrogateescape")).hexdigest()[:16],
        root=task.root.id,
        source=file.source,
        path=os.fspath(file.path),
        size=file.size,
        mtime_ns=file.mtime_ns,
        ctime_ns=file.ctime_ns,
        seen_ns=now,
        hash=content,
        settings=settings,
    )
