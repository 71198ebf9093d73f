"""Conversations on disk: who asked what when, and each whole answer with the passages it was written from.

One database, ``$ASSISTANT_HOME/conversations.sqlite``, opened for each operation and closed again, so that any number of chats
share it. This module knows how a session lies in it; what a
chat does when it can't be written is `recording`'s business.
"""

import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.database import Database, Kind, is_damage
from assistant.errors import StorageFull, UsageError
from assistant.frozen import freeze, thaw
from assistant.records import Answer

FILE = "conversations.sqlite"
KIND = Kind(
    title="the conversations",
    application=0x41534358,  # "ASCX"
    version=1,
    tables="""
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, created REAL NOT NULL, updated REAL NOT NULL, title TEXT NOT NULL,
    indexes TEXT NOT NULL, model TEXT NOT NULL, adapter TEXT
) WITHOUT ROWID;
CREATE TABLE turns (
    id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    asked REAL NOT NULL, question TEXT NOT NULL, rewritten TEXT, status TEXT NOT NULL, answer TEXT NOT NULL
);
CREATE INDEX turns_session ON turns (session, id)
""",
)
ALPHABET = "23456789bcdfghjkmnpqrstvwxz"
"""Of the ids: nothing that reads like something else, and no vowels, so that no id is a word."""
ID_LENGTH = 4
TITLE = 200
"""Characters of the first question that are kept as the title."""


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation's facts.

    Attributes:
        session_id: a few characters, easy to type.
        created, updated: seconds since 1970, of the first turn and of the last change.
        title: its first question.
        index: the indexes it was last answered from.
        model, adapter: who answered last.
        turns: how many there are.
    """

    session_id: str
    created: float
    updated: float
    title: str
    index: tuple[str, ...]
    model: str
    adapter: str | None
    turns: int


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """One question of a conversation with its answer; ``answer`` is None where this version can't read it."""

    turn_id: int
    asked: float
    question: str
    answer: Answer | None


class Conversations:
    """The conversations of a home. Every method raises StorageFull where the file can't be used; nothing is lost then.

    Args:
        home: the folder they lie in.
        now: the clock, in seconds since 1970.
    """

    def __init__(self, home: Path, *, now: Callable[[], float] = time.time) -> None:
        self._database = Database(home / FILE, KIND)
        self.file = self._database.file
        self._now = now

    def sessions(self, *, limit: int | None = None) -> tuple[Session, ...]:
        """The sessions, the one that was talked in last first."""
        with self._database.reading() as db:
            return _sessions(db, "TRUE", limit=limit) if db else ()

    def find(self, beginning: str) -> Session:
        """The session with this id, or the only one whose id begins so.

        Raises:
            UsageError: there is none, or several.
        """
        wanted = beginning.strip().lower()
        with self._database.reading() as db:
            found = _sessions(db, "substr(s.id, 1, ?) = ?", len(wanted), wanted) if db and wanted else ()
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(session.session_id for session in found)
            raise UsageError(f"several conversations begin with {beginning!r}", hint=f"name one of: {names}")
        raise UsageError(f"there is no conversation {beginning!r}", hint="`assistant history` lists them")

    def turns(self, session_id: str) -> tuple[StoredTurn, ...]:
        """The turns of a session, oldest first."""
        with self._database.reading() as db:
            if db is None:
                return ()
            rows = db.execute("SELECT id, asked, question, answer FROM turns WHERE session = ? ORDER BY id", (session_id,))
            return tuple(StoredTurn(turn_id, asked, question, _thawed(answer)) for turn_id, asked, question, answer in rows)

    def append(self, session_id: str | None, answer: Answer) -> tuple[str, int]:
        """Add a turn to a session, or begin one with it where there is no such session (any more).

        Returns:
            the session's id and the turn's.
        """
        with self._database.writing() as db:
            known = session_id and db.execute("SELECT 1 FROM sessions WHERE id = ?", (session_id,)).fetchone()
            session = session_id if session_id and known else self._begin(db, answer)
            done = db.execute(
                "INSERT INTO turns (session, asked, question, rewritten, status, answer) VALUES (?, ?, ?, ?, ?, ?)",
                (session, self._now(), *_turn_values(answer)),
            )
            self._touch(db, session, answer)
            return session, int(done.lastrowid or 0)

    def replace(self, turn_id: int, answer: Answer) -> bool:
        """Put another answer in a turn's place; False when that turn has been deleted meanwhile."""
        with self._database.writing() as db:
            row = db.execute("SELECT session FROM turns WHERE id = ?", (turn_id,)).fetchone()
            if row is None:
                return False
            db.execute(
                "UPDATE turns SET question = ?, rewritten = ?, status = ?, answer = ? WHERE id = ?",
                (*_turn_values(answer), turn_id),
            )
            if db.execute("SELECT min(id) FROM turns WHERE session = ?", row).fetchone()[0] == turn_id:
                db.execute("UPDATE sessions SET title = ? WHERE id = ?", (_title(answer), row[0]))
            self._touch(db, row[0], answer)
            return True

    def delete(self, session_id: str) -> None:
        """Delete a session. Its text is overwritten in the file, not only unlinked."""
        if self.file.exists():
            with self._database.writing() as db:
                db.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
            self._database.shrink()

    def purge(self) -> None:
        """Delete every session; a file that is damaged is deleted whole."""
        if not self.file.exists():
            return
        try:
            with self._database.writing() as db:
                db.execute("DELETE FROM sessions")
            self._database.shrink()
        except StorageFull as error:
            if not is_damage(error.__cause__):
                raise
            self._database.remove()

    def _begin(self, db: sqlite3.Connection, answer: Answer) -> str:
        while True:
            name = "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))
            values = (name, self._now(), self._now(), _title(answer), json.dumps(answer.index), answer.model, answer.adapter)
            if db.execute("INSERT OR IGNORE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", values).rowcount:
                return name

    def _touch(self, db: sqlite3.Connection, session_id: str, answer: Answer) -> None:
        db.execute(
            "UPDATE sessions SET updated = ?, indexes = ?, model = ?, adapter = ? WHERE id = ?",
            (self._now(), json.dumps(answer.index), answer.model, answer.adapter, session_id),
        )


def _sessions(db: sqlite3.Connection, condition: str, *values: object, limit: int | None = None) -> tuple[Session, ...]:
    rows = db.execute(
        "SELECT s.id, s.created, s.updated, s.title, s.indexes, s.model, s.adapter, count(t.id) FROM sessions s "
        f"LEFT JOIN turns t ON t.session = s.id WHERE {condition} GROUP BY s.id ORDER BY s.updated DESC, s.id LIMIT ?",
        (*values, -1 if limit is None else limit),
    )
    return tuple(
        Session(name, created, updated, title, tuple(json.loads(index)), model, adapter, turns)
        for name, created, updated, title, index, model, adapter, turns in rows
    )


def _turn_values(answer: Answer) -> Sequence[object]:
    return (_storable(answer.question), answer.rewritten and _storable(answer.rewritten), answer.status, freeze(answer))


def _title(answer: Answer) -> str:
    return _storable(" ".join(answer.question.split())[:TITLE])


def _storable(text: str) -> str:
    """Without what UTF-8 can't hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _thawed(text: str) -> Answer | None:
    try:
        return thaw(text)
    except ValueError:
        return None
