"""The answers on disk: one SQLite database, the only truth of the cache.

An entry, its vector and what it is bound to are written in one transaction; whatever is searched faster is derived from it
(`nearest`). Any number of processes may share it. Every method raises StorageFull where the file can't be used.
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from assistant.cache.tables import FILE, KIND, Bound, Cited, Draft, Entry, Vector
from assistant.database import Database, transaction

PATIENCE_S = 120.0
"""How long another process's answer to the same question is waited for."""
MONTH_S = 30 * 86_400
SPARE = 50
"""When there are too many entries, one in so many goes along with the surplus, so that not every answer has to make room."""

_ENTRIES = (
    "SELECT e.id, e.question, e.status, e.answer, e.generations, e.created, e.seconds, e.hits, e.quarantined"
    " FROM entries e JOIN scopes s ON s.id = e.scope"
)
_IN_SCOPE = "(?1 IS NULL OR s.key LIKE ?1 || '%' OR s.label = ?1)"
_CITES = "(?2 IS NULL OR EXISTS (SELECT 1 FROM evidence v WHERE v.entry = e.id AND v.source = ?2 AND v.role = 'cited'))"


class CacheStore:
    """The cached answers of a home.

    Args:
        home: the folder they lie in.
        most_entries: how many are kept; those least worth keeping go first.
        now: the clock, in seconds since 1970.
    """

    def __init__(self, home: Path, *, most_entries: int = 20_000, now: Callable[[], float] = time.time) -> None:
        self.database = Database(home / FILE, KIND)
        self.most_entries = most_entries
        self.now = now
        self._db: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def find(self, scope: str, question: str) -> Entry | None:
        """The living entry of exactly this question."""
        with self._open() as db:
            where = "WHERE s.key = ? AND e.question = ? AND e.expires > ?"
            row = db.execute(f"{_ENTRIES} {where}", (scope, question, self.now())).fetchone()
            return _entry(db, row) if row else None

    def entry(self, entry_id: int) -> Entry | None:
        """An entry by its row, if it still lives."""
        with self._open() as db:
            row = db.execute(f"{_ENTRIES} WHERE e.id = ? AND e.expires > ?", (entry_id, self.now())).fetchone()
            return _entry(db, row) if row else None

    def cited(self, entry_id: int, dimension: int) -> dict[str, Cited]:
        """The sentences of the passages that an entry cites, by the passage's id."""
        with self._open() as db:
            rows = db.execute("SELECT passage, quoted, vectors, score FROM sentences WHERE entry = ?", (entry_id,)).fetchall()
        return {
            passage: Cited(tuple(json.loads(quoted)), np.frombuffer(blob, "<f2").reshape(-1, dimension).astype(np.float32), score)
            for passage, quoted, blob, score in rows
        }

    def entries(self, scope: str | None = None) -> list[tuple[str, Entry]]:
        """All living entries with their scope's label, the one used last first; ``scope``: a label, or how a key begins."""
        with self._open() as db:
            rows = db.execute(
                f"SELECT s.label, e.id FROM entries e JOIN scopes s ON s.id = e.scope WHERE {_IN_SCOPE} AND e.expires > ?2"
                " ORDER BY e.used DESC, e.id DESC",
                (scope, self.now()),
            ).fetchall()
        found = [(label, self.entry(row)) for label, row in rows]
        return [(label, entry) for label, entry in found if entry]

    def vectors(self, scope: str, after: int = 0) -> tuple[list[int], list[bytes]]:
        """Rows and vectors of a scope's entries beyond a row that may be found by meaning."""
        with self._open() as db:
            rows = db.execute(
                "SELECT e.id, e.vector FROM entries e JOIN scopes s ON s.id = e.scope"
                " WHERE s.key = ? AND e.id > ? AND e.vector IS NOT NULL AND NOT e.quarantined ORDER BY e.id",
                (scope, after),
            ).fetchall()
        return [row for row, _ in rows], [blob for _, blob in rows]

    def changes(self, after: int) -> tuple[set[int], int]:
        """The entries that went since a change, and the number of the last change there is."""
        with self._open() as db:
            rows = db.execute("SELECT number, entry, gone FROM changes WHERE number > ? ORDER BY number", (after,)).fetchall()
        return {entry for _, entry, gone in rows if gone}, rows[-1][0] if rows else after

    def insert(self, scope: str, label: str, draft: Draft) -> int:
        """Store an answer in place of an earlier one to the same question; its row."""
        now, vector = self.now(), _blob(draft.vector)
        with self._writing() as db:
            db.execute("INSERT INTO scopes (key, label) VALUES (?, ?) ON CONFLICT (key) DO NOTHING", (scope, label))
            (place,) = db.execute("SELECT id FROM scopes WHERE key = ?", (scope,)).fetchone()
            _drop(db, _rows(db.execute("SELECT id FROM entries WHERE scope = ? AND question = ?", (place, draft.question))))
            values = {
                "scope": place,
                "question": draft.question,
                "vector": vector,
                "status": draft.status,
                "answer": draft.answer,
                "generations": json.dumps(dict(draft.generations)),
                "created": now,
                "expires": now + draft.lives_s,
                "seconds": draft.seconds,
                "bytes": len(draft.answer.encode()) + len(vector or b""),
                "used": now,
            }
            names = ", ".join(values)
            row = db.execute(f"INSERT INTO entries ({names}) VALUES (:{names.replace(', ', ', :')})", values)
            entry = int(row.lastrowid or 0)
            db.executemany(
                "INSERT INTO evidence VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(entry, n, b.role, b.index, b.document, b.passage, b.hash, b.source) for n, b in enumerate(draft.bound)],
            )
            db.executemany(
                "INSERT INTO sentences VALUES (?, ?, ?, ?, ?)",
                [
                    (entry, passage, json.dumps(one.quoted), one.vectors.astype("<f2").tobytes(), one.score)
                    for passage, one in draft.cited.items()
                ],
            )
            db.execute("INSERT INTO changes (entry, gone) VALUES (?, 0)", (entry,))
            self._make_room(db)
            return entry

    def drop(self, entries: Sequence[int], reason: str) -> None:
        """Delete entries."""
        with self._writing() as db:
            for _ in range(_drop(db, entries)):
                _count(db, f"dropped: {reason}")

    def confirm(self, entry_id: int, generations: Mapping[str, str]) -> None:
        """Note that an entry was found to be right in a newer state of its indexes."""
        with self._writing() as db:
            db.execute("UPDATE entries SET generations = ? WHERE id = ?", (json.dumps(dict(generations)), entry_id))

    def served(self, entry_id: int, kind: str, seconds: float, *, audit: tuple[str, str] | None = None) -> None:
        """Note a hit.

        Args:
            entry_id: what was served.
            kind: ``exact`` or ``semantic``.
            seconds: what it saved.
            audit: scope and question, if the answer is to be had afresh in idle time and compared.
        """
        with self._writing() as db:
            db.execute("UPDATE entries SET hits = hits + 1, used = ? WHERE id = ?", (self.now(), entry_id))
            _count(db, f"hit: {kind}", seconds)
            if audit:
                db.execute(
                    "INSERT INTO audits (entry, scope, question, asked) VALUES (?, ?, ?, ?)", (entry_id, *audit, self.now())
                )

    def missed(self, reason: str) -> None:
        """Note a miss."""
        with self._writing() as db:
            _count(db, f"miss: {reason}")

    def quarantine(self, entry_id: int, asked: str) -> None:
        """Never serve an entry again, nor any answer to its question for the one that was asked, nor the other way round."""
        with self._writing() as db:
            if db.execute("UPDATE entries SET quarantined = 1 WHERE id = ? AND NOT quarantined", (entry_id,)).rowcount:
                db.execute("INSERT INTO changes (entry, gone) VALUES (?, 1)", (entry_id,))
                _count(db, "said to be wrong")
            db.execute(
                "INSERT OR IGNORE INTO refused SELECT s.key, min(e.question, ?1), max(e.question, ?1)"
                " FROM entries e JOIN scopes s ON s.id = e.scope WHERE e.id = ?2 AND e.question <> ?1",
                (asked, entry_id),
            )

    def is_refused(self, scope: str, one: str, other: str) -> bool:
        """Whether somebody said that the answer to one of two questions is wrong for the other."""
        with self._open() as db:
            query = "SELECT 1 FROM refused WHERE scope = ? AND one = ? AND other = ?"
            return db.execute(query, (scope, *sorted((one, other)))).fetchone() is not None

    def clear(self, scope: str | None = None, source: str | None = None) -> int:
        """Delete the entries of a scope, or those that cite a source, or all; how many there were."""
        query = f"SELECT e.id FROM entries e JOIN scopes s ON s.id = e.scope WHERE {_IN_SCOPE} AND {_CITES}"
        with self._writing() as db:
            return _drop(db, _rows(db.execute(query, (scope, source))))

    def events(self) -> dict[str, tuple[int, float]]:
        """What happened so far: how often, and the seconds saved by it."""
        with self._open() as db:
            return {name: (count, seconds) for name, count, seconds in db.execute("SELECT name, count, seconds FROM events")}

    def size(self) -> tuple[int, int, int]:
        """How many entries there are, how many of them are quarantined, and their bytes."""
        with self._open() as db:
            row = db.execute("SELECT count(*), coalesce(sum(quarantined), 0), coalesce(sum(bytes), 0) FROM entries").fetchone()
        return int(row[0]), int(row[1]), int(row[2])

    def pending_audits(self, scope: str) -> list[tuple[int, int, str]]:
        """Hits that await their audit, oldest first: the audit's row, the entry's, and the question."""
        with self._open() as db:
            query = "SELECT id, entry, question FROM audits WHERE scope = ? AND agreed IS NULL ORDER BY id"
            return list(db.execute(query, (scope,)))

    def audited(self, audit: int, *, agreed: bool) -> None:
        """Note what an audit said."""
        with self._writing() as db:
            db.execute("UPDATE audits SET agreed = ? WHERE id = ?", (agreed, audit))

    def forget_audit(self, audit: int) -> None:
        """Give up on an audit."""
        with self._writing() as db:
            db.execute("DELETE FROM audits WHERE id = ?", (audit,))

    def audits(self) -> tuple[int, int]:
        """How many hits were audited, and how many of them turned out to be wrong."""
        with self._open() as db:
            row = db.execute("SELECT count(agreed), coalesce(sum(agreed = 0), 0) FROM audits").fetchone()
        return int(row[0]), int(row[1])

    def begin_flight(self, scope: str, question: str) -> bool:
        """Say that this process is about to answer a question; False while another living one does."""
        with self._writing() as db:
            row = db.execute("SELECT owner, begun FROM flights WHERE scope = ? AND question = ?", (scope, question)).fetchone()
            if row and row[0] != os.getpid() and _is_alive(row[0]) and self.now() - row[1] < PATIENCE_S:
                return False
            db.execute("INSERT OR REPLACE INTO flights VALUES (?, ?, ?, ?)", (scope, question, os.getpid(), self.now()))
            return True

    def end_flight(self, scope: str, question: str) -> None:
        """Say that it is answered, or given up."""
        with self._writing() as db:
            mine = (scope, question, os.getpid())
            db.execute("DELETE FROM flights WHERE scope = ? AND question = ? AND owner = ?", mine)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self.database.faults():
            if self._db is None:
                self._db = self.database.connect(write=True)
                self._db.execute("PRAGMA synchronous = NORMAL")  # in WAL mode a killed process loses nothing that was committed
            yield self._db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as db, transaction(db):
            yield db

    def _make_room(self, db: sqlite3.Connection) -> None:
        """Delete what has expired, then what is least worth keeping."""
        now = self.now()
        _drop(db, _rows(db.execute("SELECT id FROM entries WHERE expires <= ?", (now,))))
        (there,) = db.execute("SELECT count(*) FROM entries").fetchone()
        if there > self.most_entries:
            rows = db.execute("SELECT id, quarantined, seconds, hits, used, bytes FROM entries").fetchall()
            worst = sorted(rows, key=lambda row: worth(now, *row[1:]))
            _drop(db, [row[0] for row in worst[: there - self.most_entries + self.most_entries // SPARE]])


def worth(now: float, quarantined: int, seconds: float, hits: int, used: float, size: int) -> float:
    """What keeping an entry promises to save, in seconds per byte: halved for every month of disuse."""
    months = max(0.0, now - used) / MONTH_S
    return -1.0 if quarantined else seconds * (1 + hits) * 0.5**months / max(size, 1)


def _entry(db: sqlite3.Connection, row: tuple[Any, ...]) -> Entry:
    entry_id, question, status, answer, generations, created, seconds, hits, quarantined = row
    query = "SELECT role, idx, document, passage, hash, source FROM evidence WHERE entry = ? ORDER BY place"
    bound = tuple(Bound(*one) for one in db.execute(query, (entry_id,)))
    states = json.loads(generations)
    return Entry(entry_id, question, status, answer, states, bound, created, seconds, hits, bool(quarantined))


def _rows(cursor: sqlite3.Cursor) -> list[int]:
    return [row for (row,) in cursor.fetchall()]


def _drop(db: sqlite3.Connection, entries: Iterable[int]) -> int:
    gone = [(entry,) for entry in entries]
    db.executemany("DELETE FROM entries WHERE id = ?", gone)
    db.executemany("INSERT INTO changes (entry, gone) VALUES (?, 1)", gone)
    return len(gone)


def _count(db: sqlite3.Connection, name: str, seconds: float = 0.0) -> None:
    db.execute(
        "INSERT INTO events VALUES (?, 1, ?)"
        " ON CONFLICT (name) DO UPDATE SET count = count + 1, seconds = seconds + excluded.seconds",
        (name, seconds),
    )


def _blob(vector: Vector | None) -> bytes | None:
    return None if vector is None else vector.astype("<f4").tobytes()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
