"""The database of the conversations: its tables, how it is opened, and what its faults mean to a user.

It is opened for each operation and closed again, so that any number of chats share it. Nothing that can't be read is ever
overwritten: a damaged file, or one that a newer version wrote, stays as it is.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from assistant.errors import StorageFull
from indexes.private import private_folder

FILE = "conversations.sqlite"
FORMAT = 1
"""Version of the tables. A newer one is left alone; an older one will be carried over by the version that raises it."""
APPLICATION = 0x41534358  # "ASCX": tells our databases from others
WAIT_S = 5.0
"""How long another chat's write is waited for."""

TABLES = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, created REAL NOT NULL, updated REAL NOT NULL, title TEXT NOT NULL,
    indexes TEXT NOT NULL, model TEXT NOT NULL, adapter TEXT
) WITHOUT ROWID;
CREATE TABLE turns (
    id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    asked REAL NOT NULL, question TEXT NOT NULL, rewritten TEXT, status TEXT NOT NULL, answer TEXT NOT NULL
);
CREATE INDEX turns_session ON turns (session, id)
"""


@contextlib.contextmanager
def reading(file: Path) -> Iterator[sqlite3.Connection | None]:
    """A connection to read with; None where nothing was ever written.

    Raises:
        StorageFull: the file is damaged, newer than this version, locked, or may not be read.
    """
    with _faults(file):
        there = file.exists()
    if not there:
        yield None
        return
    with _connected(file, write=False) as db:
        yield db if _has_tables(db) else None


@contextlib.contextmanager
def writing(file: Path) -> Iterator[sqlite3.Connection]:
    """A transaction: whole, or nothing of it, whatever ends it. Makes the file, its owner's alone, where there is none.

    Raises:
        StorageFull: as for ``reading``, or nothing more can be written.
    """
    private_folder(file.parent)
    with _connected(file, write=True) as db:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            if db.in_transaction:  # on a full disk SQLite has ended it already
                db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


def shrink(file: Path) -> None:
    """Give the room of what was deleted back, and empty the log. Where another chat is in the way, a later call does it."""
    with contextlib.suppress(StorageFull), _connected(file, write=True) as db:
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def remove(file: Path) -> None:
    """Delete the file with its log."""
    with _faults(file):
        for suffix in ("-wal", "-shm", ""):
            Path(f"{file}{suffix}").unlink(missing_ok=True)


def is_damage(error: BaseException | None) -> bool:
    """Whether what SQLite raised means that the file's content is no sound database of ours."""
    if isinstance(error, sqlite3.OperationalError):
        return "malformed" in str(error) or "no such" in str(error)
    return isinstance(error, sqlite3.DatabaseError)


@contextlib.contextmanager
def _connected(file: Path, *, write: bool) -> Iterator[sqlite3.Connection]:
    with _faults(file):
        if write:
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
            with contextlib.suppress(OSError):
                file.chmod(0o600)
        with contextlib.closing(_connect(file, write=write)) as db:
            if not _has_tables(db) and write:
                _create(db)
            _check(file, db)
            yield db


def _connect(file: Path, *, write: bool) -> sqlite3.Connection:
    uri = f"{file.resolve().as_uri()}?mode={'rw' if write else 'ro'}"
    try:
        return _prepared(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=WAIT_S))
    except sqlite3.OperationalError as error:
        log = file.with_name(f"{file.name}-wal")
        if write or "locked" in str(error) or (log.exists() and log.stat().st_size):
            raise
        # A folder one may not write to: the log's index can't be made, and nobody else can be writing either.
        return _prepared(sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None))


def _prepared(db: sqlite3.Connection) -> sqlite3.Connection:
    try:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
        _has_tables(db)  # the first real read: finds damage and missing rights
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def _has_tables(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _create(db: sqlite3.Connection) -> None:
    """Make the tables. Of two chats that begin at once the second finds them there."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    if not _has_tables(db):
        for statement in TABLES.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {FORMAT}")
    db.execute("COMMIT")


def _check(file: Path, db: sqlite3.Connection) -> None:
    """See that the tables, if there are any, are ours and of a version that we know."""
    application, version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if _has_tables(db) and application != APPLICATION:
        raise _unreadable(file, "it is not one of this program's", _aside(file))
    if version > FORMAT:
        why = f"a newer version wrote it (format {version}, this one reads up to {FORMAT})"
        raise _unreadable(file, why, "upgrade: pip install --upgrade assistant")


@contextlib.contextmanager
def _faults(file: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into errors that say what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise _unreadable(file, f"it is damaged ({error})", _aside(file)) from error
        raise _unusable(file, str(error)) from error
    except OSError as error:
        raise _unusable(file, error.strerror or str(error)) from error


def _unreadable(file: Path, why: str, hint: str) -> StorageFull:
    return StorageFull(f"can't read the conversations in {str(file)!r}: {why}", hint=hint)


def _aside(file: Path) -> str:
    return f"`mv {file} {file}.old` begins a new one"


def _unusable(file: Path, why: str) -> StorageFull:
    locked = "locked" in why
    return StorageFull(
        f"can't use the conversations in {str(file)!r}: {'another program is writing to it' if locked else why}",
        hint="try again in a moment" if locked else "free some space, or mend the rights of that file and its folder",
    )
