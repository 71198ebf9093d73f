"""A SQLite file of ours: how it is opened, and what its faults mean to a user.

Nothing that can't be read is ever overwritten: a damaged file, or one that a newer version wrote, stays as it is.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import StorageFull
from indexes.private import private_folder

WAIT_S = 5.0
"""How long another process's write is waited for."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What distinguishes one of our databases.

    Attributes:
        title: what it holds, as a user calls it: "the conversations".
        application: tells our databases from others.
        version: of the tables. A newer one is left alone; an older one is carried over by the version that raises it.
        tables: the statements that make them, divided by ";".
    """

    title: str
    application: int
    version: int
    tables: str


@dataclass(frozen=True, slots=True)
class Database:
    """One file.

    Attributes:
        file: where it lies; it need not exist.
        kind: what it should be.
    """

    file: Path
    kind: Kind

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection to read with; None where nothing was ever written.

        Raises:
            StorageFull: the file is damaged, newer than this version, locked, or may not be read.
        """
        with self.faults():
            there = self.file.exists()
        if not there:
            yield None
            return
        with self.faults(), contextlib.closing(self.connect(write=False)) as db:
            yield db if _has_tables(db) else None

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: whole, or nothing of it, whatever ends it. Makes the file, its owner's alone, where there is none.

        Raises:
            StorageFull: as for ``reading``, or nothing more can be written.
        """
        with self.faults(), contextlib.closing(self.connect(write=True)) as db, transaction(db):
            yield db

    def connect(self, *, write: bool) -> sqlite3.Connection:
        """Open the file; close what is returned. Calls of it belong into ``faults``.

        Raises:
            StorageFull: the file is not one that this version can use.
            sqlite3.Error, OSError: it can't be opened.
        """
        if write:
            private_folder(self.file.parent)
            os.close(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600))
            with contextlib.suppress(OSError):
                self.file.chmod(0o600)
        db = _connect(self.file, write=write)
        try:
            if not _has_tables(db) and write:
                self._create(db)
            self._check(db)
        except BaseException:
            db.close()
            raise
        return db

    def shrink(self) -> None:
        """Give the room of what was deleted back, and empty the log; where another process is in the way, a later call does."""
        with contextlib.suppress(StorageFull), self.faults(), contextlib.closing(self.connect(write=True)) as db:
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def remove(self) -> None:
        """Delete the file with its log."""
        with self.faults():
            for suffix in ("-wal", "-shm", ""):
                Path(f"{self.file}{suffix}").unlink(missing_ok=True)

    @contextlib.contextmanager
    def faults(self) -> Iterator[None]:
        """Turn what SQLite and the file system raise into errors that say what to do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                raise self._unreadable(f"it is damaged ({error})", self._aside()) from error
            raise self._unusable(str(error)) from error
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error

    def _create(self, db: sqlite3.Connection) -> None:
        """Make the tables. Of two processes that begin at once the second finds them there."""
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN IMMEDIATE")
        if not _has_tables(db):
            for statement in self.kind.tables.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {self.kind.application}")
            db.execute(f"PRAGMA user_version = {self.kind.version}")
        db.execute("COMMIT")

    def _check(self, db: sqlite3.Connection) -> None:
        """See that the tables, if there are any, are ours and of a version that we know."""
        application, version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        if _has_tables(db) and application != self.kind.application:
            raise self._unreadable("it is not one of this program's", self._aside())
        if version > self.kind.version:
            why = f"a newer version wrote it (format {version}, this one reads up to {self.kind.version})"
            raise self._unreadable(why, "upgrade: pip install --upgrade assistant")

    def _unreadable(self, why: str, hint: str) -> StorageFull:
        return StorageFull(f"can't read {self.kind.title} in {str(self.file)!r}: {why}", hint=hint)

    def _aside(self) -> str:
        return f"`mv {self.file} {self.file}.old` begins a new one"

    def _unusable(self, why: str) -> StorageFull:
        locked = "locked" in why
        return StorageFull(
            f"can't use {self.kind.title} in {str(self.file)!r}: {'another program is writing to it' if locked else why}",
            hint="try again in a moment" if locked else "free some space, or mend the rights of that file and its folder",
        )


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """A write that happens whole or not at all."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:  # on a full disk SQLite has ended it already
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def is_damage(error: BaseException | None) -> bool:
    """Whether what SQLite raised means that the file's content is no sound database of ours."""
    if isinstance(error, sqlite3.OperationalError):
        return "malformed" in str(error) or "no such" in str(error)
    return isinstance(error, sqlite3.DatabaseError)


def _connect(file: Path, *, write: bool) -> sqlite3.Connection:
    uri = f"{file.resolve().as_uri()}?mode={'rw' if write else 'ro'}"
    try:
        return _prepared(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=WAIT_S, check_same_thread=False))
    except sqlite3.OperationalError as error:
        log = file.with_name(f"{file.name}-wal")
        if write or "locked" in str(error) or (log.exists() and log.stat().st_size):
            raise
        # A folder one may not write to: the log's index can't be made, and nobody else can be writing either.
        return _prepared(sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None, check_same_thread=False))


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
