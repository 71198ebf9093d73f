"""The database of one index: its tables, how it is opened, and what its faults mean to a user.

Rows of documents and passages carry the generation that added them (``born``) and the one that removed them (``died``), so that
a reader keeps the generation it opened while a writer commits the next one.
"""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexes.errors import IndexDamaged, IndexNotFound, IndexTooNew, StorageFull
from indexes.lexical import LEXICAL
from indexes.private import private_folder

FORMAT = 1
"""Version of the tables. A newer one is refused; an older one will be carried over by the version that raises it."""
APPLICATION = 0x41534458  # "ASDX": tells our databases from others
DATABASE = "index.sqlite"

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE generations (number INTEGER PRIMARY KEY, committed REAL NOT NULL);
CREATE TABLE roots (
    id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE, name TEXT NOT NULL,
    include TEXT NOT NULL, exclude TEXT NOT NULL
);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id TEXT NOT NULL, root INTEGER NOT NULL, source TEXT NOT NULL, path BLOB NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, seen_ns INTEGER NOT NULL,
    hash TEXT NOT NULL, settings TEXT NOT NULL,
    born INTEGER NOT NULL, died INTEGER
);
CREATE UNIQUE INDEX documents_alive ON documents (root, source) WHERE died IS NULL;
CREATE INDEX documents_source ON documents (source) WHERE died IS NULL;
CREATE INDEX documents_id ON documents (document_id) WHERE died IS NULL;
CREATE TABLE failures (
    root INTEGER NOT NULL, source TEXT NOT NULL, stamp TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (root, source)
) WITHOUT ROWID;
CREATE TABLE vectors (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, vector BLOB NOT NULL);
CREATE TABLE passages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    passage_id TEXT NOT NULL, document INTEGER NOT NULL REFERENCES documents (id), ordinal INTEGER NOT NULL,
    text TEXT NOT NULL, heading TEXT NOT NULL, header TEXT NOT NULL, kind TEXT NOT NULL,
    char_start INTEGER NOT NULL, char_end INTEGER NOT NULL, page INTEGER, first_line INTEGER, last_line INTEGER,
    vector INTEGER NOT NULL REFERENCES vectors (id)
);
CREATE INDEX passages_document ON passages (document);
CREATE INDEX passages_vector ON passages (vector);
CREATE VIRTUAL TABLE terms USING fts5 (body, content='', tokenize="unicode61 remove_diacritics 0 tokenchars '_'''");
CREATE VIRTUAL TABLE term_counts USING fts5vocab ('terms', 'row');
"""


def create(folder: Path, *, model_id: str, weights_hash: str, dimension: int) -> None:
    """Make an empty index in a folder. The database appears whole or not at all."""
    private_folder(folder)
    draft = folder / f"{DATABASE}.new"
    with faults(folder):
        clear(folder)
        draft.unlink(missing_ok=True)
        db = sqlite3.connect(draft, isolation_level=None)
        draft.chmod(0o600)
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {FORMAT}")
        db.executescript(TABLES)
        facts = {"embedder": model_id, "weights_hash": weights_hash, "dimension": str(dimension), "generation": "0"}
        facts |= {"lexical": str(LEXICAL), "segments": secrets.token_hex(8), "id": secrets.token_hex(8)}
        db.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
        db.execute("PRAGMA journal_mode = WAL")
        db.close()
        draft.replace(folder / DATABASE)


def clear(folder: Path) -> None:
    """Delete an index's database with its log, and what was derived from it: a new one must inherit neither."""
    for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
        (folder / name).unlink(missing_ok=True)
    for file in folder.glob("dense-*"):
        file.unlink(missing_ok=True)


def connect(folder: Path, *, write: bool = False) -> sqlite3.Connection:
    """Open an index's database.

    Raises:
        IndexNotFound: the folder holds none.
        IndexTooNew: a newer version wrote it.
        IndexDamaged: it is no database of ours.
        StorageFull: it can't be opened (for writing).
    """
    file = folder / DATABASE
    if not file.is_file():
        raise IndexNotFound(f"no index named {folder.name!r}", hint=f"assistant index PATH --name {folder.name}")
    with faults(folder):
        db = _open(file, write=write)
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION:
        raise IndexDamaged(f"{str(file)!r} is not an index of this program", hint=_rebuild(folder))
    if version > FORMAT:
        raise IndexTooNew(
            f"the index {folder.name!r} has format {version}; this version reads up to {FORMAT}",
            hint="upgrade: pip install --upgrade assistant",
        )
    return db


def _open(file: Path, *, write: bool) -> sqlite3.Connection:
    mode = "rw" if write else "ro"
    uri = f"{file.resolve().as_uri()}?mode={mode}"
    try:
        return _prepared(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30, check_same_thread=False))
    except sqlite3.OperationalError:
        log = file.with_name(f"{DATABASE}-wal")
        if write or (log.exists() and log.stat().st_size):
            raise
        # A folder one may not write to: the log's index can't be made, and nobody else can be writing either.
        return _prepared(sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None, check_same_thread=False))


def _prepared(db: sqlite3.Connection) -> sqlite3.Connection:
    db.execute("PRAGMA synchronous = NORMAL")  # in WAL mode a killed process loses nothing that was committed
    db.execute("PRAGMA cache_size = -32768")  # 32 MiB
    db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the first real read: finds damage and missing rights
    return db


@contextmanager
def faults(folder: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into errors that say what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "malformed" in text or "no such table" in text or "vtable" in text:
            raise _damaged(folder, text) from error
        raise _full(folder, text) from error
    except sqlite3.DatabaseError as error:
        raise _damaged(folder, str(error)) from error
    except OSError as error:
        raise _full(folder, error.strerror or str(error)) from error


def _damaged(folder: Path, why: str) -> IndexDamaged:
    return IndexDamaged(f"the index {folder.name!r} is damaged ({why})", hint=_rebuild(folder))


def _full(folder: Path, why: str) -> StorageFull:
    return StorageFull(
        f"can't use the index folder {str(folder)!r}: {why}",
        hint="free some space or mend the folder's rights, then run the same command again; what was committed is kept",
    )


def _rebuild(folder: Path) -> str:
    return f"assistant indexes delete {folder.name} --yes, then assistant index PATH --name {folder.name}"
