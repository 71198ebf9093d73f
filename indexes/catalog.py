"""Which indexes there are in the home folder, what is in them, and whether they are sound."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from indexes.dense import damaged_segments
from indexes.errors import IndexFault, IndexNotFound, StorageFull, UsageError, UserError
from indexes.locking import writer_lock
from indexes.schema import DATABASE, faults
from indexes.store import Root, Store

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What an index says of itself. Of one that can't be read only ``name``, ``folder`` and ``problem`` mean something.

    Attributes:
        embedder: id of the model with which it was built.
        built: when it was last brought up to date, ISO 8601.
        bytes: its size on disk.
        problem: why it can't be used, or ``""``.
    """

    name: str
    folder: Path
    documents: int = 0
    passages: int = 0
    generation: int = 0
    embedder: str = ""
    weights_hash: str = ""
    dimension: int = 0
    roots: tuple[Root, ...] = ()
    built: str = ""
    bytes: int = 0
    problem: str = ""


def index_folder(home: Path, name: str) -> Path:
    """The folder of the index of that name, whether there is one or not.

    Raises:
        UsageError: the name can't be a folder's on every system.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be the name of an index",
            hint="use up to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit",
        )
    return home / "indexes" / name


def index_names(home: Path) -> list[str]:
    """Names of all indexes, sorted."""
    folder = home / "indexes"
    return sorted(path.parent.name for path in folder.glob(f"*/{DATABASE}")) if folder.is_dir() else []


def list_indexes(home: Path) -> list[IndexInfo]:
    """All indexes, sorted by name; one that can't be read says why in ``problem``."""
    infos = []
    for name in index_names(home):
        try:
            infos.append(describe_index(home / "indexes" / name))
        except IndexFault as error:
            infos.append(IndexInfo(name, home / "indexes" / name, problem=error.message))
    return infos


def describe_index(folder: Path) -> IndexInfo:
    """What an index says of itself.

    Raises:
        IndexFault: it is missing or can't be read.
    """
    store = Store(folder)
    try:
        documents, passages = store.counts()
        return IndexInfo(
            name=folder.name,
            folder=folder,
            documents=documents,
            passages=passages,
            generation=store.generation,
            embedder=store.meta("embedder"),
            weights_hash=store.meta("weights_hash"),
            dimension=int(store.meta("dimension") or 0),
            roots=tuple(store.roots()),
            built=store.meta("built"),
            bytes=sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        )
    finally:
        store.close()


def default_index(home: Path) -> str:
    """The only index there is, else the one last built.

    Raises:
        IndexNotFound: there is none.
    """
    infos = list_indexes(home)
    if not infos:
        raise IndexNotFound("there is no index yet", hint="assistant index PATH")
    return max(infos, key=lambda info: (not info.problem, info.built)).name


def existing_index(home: Path, name: str) -> Path:
    """The folder of an index that exists.

    Raises:
        IndexNotFound: there is none of that name; the hint names those there are.
    """
    folder = index_folder(home, name)
    if not (folder / DATABASE).is_file():
        names = ", ".join(index_names(home))
        raise IndexNotFound(
            f"no index named {name!r}", hint=f"there are: {names}" if names else f"assistant index PATH --name {name}"
        )
    return folder


def check_index(folder: Path) -> list[str]:
    """Look for damage: each problem a sentence; none means the index is sound.

    Raises:
        IndexNotFound: there is no index.
    """
    try:
        store = Store(folder)
    except IndexNotFound:
        raise
    except UserError as error:
        return [error.message]
    problems = []
    try:
        with faults(folder):
            problems += [row[0] for row in store.db.execute("PRAGMA integrity_check(10)").fetchall() if row[0] != "ok"]
            problems += _mismatches(store)
            names = damaged_segments(store)
            problems += [f"the dense segment {name} is damaged; the next build writes it again" for name in names]
    except UserError as error:
        problems.append(error.message)
    finally:
        store.close()
    return problems


def _mismatches(store: Store) -> list[str]:
    """What the tables must agree on, and don't."""
    size = 4 * int(store.meta("dimension"))
    checks = {
        "passages have no vector": "SELECT count(*) FROM passages WHERE vector NOT IN (SELECT id FROM vectors)",
        "passages have no document": "SELECT count(*) FROM passages WHERE document NOT IN (SELECT id FROM documents)",
        "vectors have the wrong length": f"SELECT count(*) FROM vectors WHERE length(vector) != {size}",
        "passages are missing from the full-text table": (
            "SELECT (SELECT count(*) FROM passages) - (SELECT count(*) FROM terms_docsize)"
        ),
    }
    counts = {what: int(store.db.execute(query).fetchone()[0]) for what, query in checks.items()}
    return [f"{count} {what}" for what, count in counts.items() if count]


def delete_index(home: Path, name: str) -> None:
    """Delete an index and everything in its folder. The documents themselves are elsewhere and stay.

    Raises:
        IndexNotFound: there is none of that name.
        IndexLocked: it is being written.
    """
    folder = existing_index(home, name)
    with writer_lock(folder, wait_s=2.0):
        (folder / DATABASE).unlink()
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise StorageFull(
            f"can't delete all of {str(folder)!r}: {error.strerror}", hint="mend the folder's rights and delete it by hand"
        ) from error
