"""Documents, passages and vectors of one index, as one generation has them; the way to commit the next one.

Knows SQL and nothing else: not files, tokens, models or scores. The full-text table lives in the same database, so that a
commit changes passages, vectors and words together or not at all.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from indexes.committing import PURGEABLE, Commit, Failure, StoredDocument, terms_of
from indexes.embedding import Matrix
from indexes.lexical import LEXICAL
from indexes.records import Passage
from indexes.schema import connect, faults


@dataclass(frozen=True, slots=True)
class Root:
    """A folder or file that an index remembers.

    Attributes:
        id: its number in the index.
        path: absolute path.
        name: its last part; tells two roots' equal paths apart.
        include, exclude: glob patterns that narrow what is read.
    """

    id: int
    path: str
    name: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A passage with where it stands."""

    row: int
    passage: Passage
    source: str
    path: str


ALIVE = "born <= :g AND (died IS NULL OR died > :g)"
_VECTORS = "SELECT p.id, v.vector FROM passages p JOIN vectors v ON v.id = p.vector"
_PASSAGES = (
    "SELECT p.id, p.passage_id, d.document_id, p.ordinal, p.text, p.heading, p.header, p.kind, p.char_start, p.char_end,"
    " p.page, p.first_line, p.last_line, d.source, d.path, r.name,"
    " (SELECT count(DISTINCT root) FROM documents t WHERE t.source = d.source AND t.died IS NULL)"
    " FROM passages p JOIN documents d ON d.id = p.document LEFT JOIN roots r ON r.id = d.root"
)
_DOCUMENT = "id, document_id, root, source, path, size, mtime_ns, ctime_ns, seen_ns, hash, settings"


class Store:
    """One index's database.

    Args:
        folder: the index's folder.
        write: whether to open it for commits.
    """

    def __init__(self, folder: Path, *, write: bool = False) -> None:
        self.folder = folder
        self.name = folder.name
        self.db = connect(folder, write=write)

    def close(self) -> None:
        """Close the database."""
        self.db.close()

    def meta(self, key: str) -> str:
        """A fact about the index: embedder, weights_hash, dimension, generation, built, …; ``""`` when unknown."""
        with faults(self.folder):
            row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else ""

    @property
    def generation(self) -> int:
        """The number of the last commit; 0 for an empty index."""
        return int(self.meta("generation") or 0)

    @property
    def identity(self) -> str:
        """What tells this database from one that is built under the same name later."""
        return self.meta("id")

    def born(self, document_id: str) -> int:
        """The generation in which a living document was last read; 0 where there is none."""
        query = "SELECT born FROM documents WHERE document_id = ? AND died IS NULL"
        with faults(self.folder):
            row = self.db.execute(query, (document_id,)).fetchone()
        return int(row[0]) if row else 0

    def document_passages(self, document_id: str) -> list[Found]:
        """The passages of a living document, in reading order."""
        where = "WHERE d.document_id = ? AND d.died IS NULL ORDER BY p.ordinal"
        with faults(self.folder):
            return [_found(record) for record in self.db.execute(f"{_PASSAGES} {where}", (document_id,))]

    def roots(self) -> list[Root]:
        """The roots that the index remembers."""
        with faults(self.folder):
            rows = self.db.execute("SELECT id, path, name, include, exclude FROM roots ORDER BY id").fetchall()
        return [Root(r[0], os.fsdecode(r[1]), r[2], tuple(json.loads(r[3])), tuple(json.loads(r[4]))) for r in rows]

    def documents(self, root: int | None = None) -> list[StoredDocument]:
        """The living documents, of one root or of all."""
        where = "" if root is None else "AND root = :root"
        with faults(self.folder):
            rows = self.db.execute(
                f"SELECT {_DOCUMENT} FROM documents WHERE died IS NULL {where} ORDER BY source",
                {"root": root},
            ).fetchall()
        return [_document(row) for row in rows]

    def document(self, document_id: str) -> StoredDocument | None:
        """The living document of that id, or None."""
        with faults(self.folder):
            row = self.db.execute(
                f"SELECT {_DOCUMENT} FROM documents WHERE document_id = ? AND died IS NULL", (document_id,)
            ).fetchone()
        return _document(row) if row else None

    def failures(self) -> list[Failure]:
        """The files that couldn't be read."""
        with faults(self.folder):
            rows = self.db.execute("SELECT root, source, stamp, reason FROM failures ORDER BY root, source").fetchall()
        return [Failure(*row) for row in rows]

    def counts(self, generation: int | None = None) -> tuple[int, int]:
        """How many documents and passages a generation has."""
        at = {"g": self.generation if generation is None else generation}
        with faults(self.folder):
            documents = self.db.execute(f"SELECT count(*) FROM documents WHERE {ALIVE}", at).fetchone()[0]
            passages = self.db.execute(
                f"SELECT count(*) FROM passages WHERE document IN (SELECT id FROM documents WHERE {ALIVE})",
                at,
            ).fetchone()[0]
        return documents, passages

    def passages(self, rows: Sequence[int], generation: int) -> dict[int, Found]:
        """The passages of these rows that live in a generation, by row."""
        found: dict[int, Found] = {}
        with faults(self.folder):
            for some in _chunks(rows, 500):
                for record in self.db.execute(
                    f"{_PASSAGES} WHERE p.id IN ({','.join('?' * len(some))}) AND d.born <= ? AND (d.died IS NULL OR d.died > ?)",
                    (*some, generation, generation),
                ):
                    found[record[0]] = _found(record)
        return found

    def passages_of(self, document_row: int) -> tuple[list[Passage], list[int]]:
        """A document's passages in reading order, dead or alive, and the rows of their vectors."""
        with faults(self.folder):
            records = self.db.execute(
                f"{_PASSAGES} WHERE p.document = ? ORDER BY p.ordinal",
                (document_row,),
            ).fetchall()
            vectors = self.db.execute(
                "SELECT vector FROM passages WHERE document = ? ORDER BY ordinal", (document_row,)
            ).fetchall()
        return [_found(record).passage for record in records], [vector for (vector,) in vectors]

    def dead_rows(self, generation: int) -> list[int]:
        """Rows of passages that are in the database but not in a generation."""
        with faults(self.folder):
            rows = self.db.execute(
                "SELECT p.id FROM documents d JOIN passages p ON p.document = d.id WHERE d.died <= :g OR d.born > :g",
                {"g": generation},
            ).fetchall()
        return [row for (row,) in rows]

    def last_row(self) -> int:
        """The highest row a passage has."""
        with faults(self.folder):
            return int(self.db.execute("SELECT coalesce(max(id), 0) FROM passages").fetchone()[0])

    def vectors_between(self, first: int, last: int, dimension: int) -> tuple[list[int], Matrix]:
        """Rows in ``(first, last]`` of passages, dead ones included, and their vectors ``(n, d)``."""
        with faults(self.folder):
            rows = self.db.execute(
                f"{_VECTORS} WHERE p.id > ? AND p.id <= ? ORDER BY p.id",
                (first, last),
            ).fetchall()
        return [row for row, _ in rows], unpack([blob for _, blob in rows], dimension)

    def vectors_of(self, rows: Sequence[int], dimension: int) -> tuple[list[int], Matrix]:
        """Vectors of these passages, ``(n, d)``, with the rows in the order in which they came."""
        with faults(self.folder):
            found = self.db.execute(
                f"{_VECTORS} WHERE p.id IN ({','.join('?' * len(rows))})",
                tuple(rows),
            ).fetchall()
        return [row for row, _ in found], unpack([blob for _, blob in found], dimension)

    def known_keys(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """Which texts have a vector already: their keys and its row."""
        known: dict[bytes, int] = {}
        for some in _chunks(list(keys), 500):
            marks = ",".join("?" * len(some))
            known.update(self.db.execute(f"SELECT key, id FROM vectors WHERE key IN ({marks})", some).fetchall())
        return known

    def add_vectors(self, keys: Sequence[bytes], vectors: Matrix) -> dict[bytes, int]:
        """Store vectors ``(n, d)`` under their texts' keys, in a transaction of their own, and return their rows.

        A vector without passages changes no answer, so this makes no generation; a later purge deletes those left over.
        """
        rows = {}
        with faults(self.folder), self._transaction():
            for key, vector in zip(keys, vectors, strict=True):
                insert = self.db.execute("INSERT INTO vectors (key, vector) VALUES (?, ?)", (key, vector.astype("<f4").tobytes()))
                rows[key] = int(insert.lastrowid or 0)
        return rows

    def touch(self, stamps: Sequence[tuple[int, int, int, int, int]]) -> None:
        """Remember files' new times, their content being the same: row, size, mtime, ctime, and when that was seen (ns)."""
        with faults(self.folder), self._transaction():
            self.db.executemany(
                "UPDATE documents SET size = ?2, mtime_ns = ?3, ctime_ns = ?4, seen_ns = ?5 WHERE id = ?1", stamps
            )

    def passage_rows(self) -> int:
        """How many passages are in the database, dead ones included."""
        with faults(self.folder):
            return int(self.db.execute("SELECT count(*) FROM passages").fetchone()[0])

    def purgeable(self, before: float) -> int:
        """How many passages died before a moment (seconds since 1970)."""
        query = f"SELECT count(*) FROM documents d JOIN passages p ON p.document = d.id WHERE {PURGEABLE}"
        with faults(self.folder):
            return int(self.db.execute(query, {"before": before}).fetchone()[0])

    def refill_terms(self) -> None:
        """Write the full-text table again where another version's words are in it."""
        if self.meta("lexical") == str(LEXICAL):
            return
        with self.commit() as commit:
            self.db.execute("INSERT INTO terms (terms) VALUES ('delete-all')")
            for row, heading, header, text in self.db.execute("SELECT id, heading, header, text FROM passages").fetchall():
                body = terms_of(" ".join(json.loads(heading)), header, text)
                self.db.execute("INSERT INTO terms (rowid, body) VALUES (?, ?)", (row, body))
            commit.set_meta("lexical", str(LEXICAL))

    def note(self, key: str, value: str) -> None:
        """Remember a fact that makes no new generation."""
        with faults(self.folder):
            self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def checkpoint(self) -> None:
        """Move the log into the database, so that a reader of the file alone has it all."""
        with faults(self.folder):
            self.db.execute("PRAGMA busy_timeout = 0")  # a reader in the middle of something isn't waited for
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.db.execute("PRAGMA busy_timeout = 30000")

    @contextmanager
    def commit(self) -> Iterator[Commit]:
        """A transaction that makes the next generation; all of it or, on any error, nothing."""
        with faults(self.folder), self._transaction():
            generation = self.generation + 1
            yield Commit(self.db, generation)
            self.db.execute("UPDATE meta SET value = ? WHERE key = 'generation'", (str(generation),))
            self.db.execute("INSERT INTO generations VALUES (?, ?)", (generation, time.time()))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several reads of one and the same state, whatever is committed meanwhile."""
        with faults(self.folder):
            if self.db.in_transaction:
                yield
                return
            self.db.execute("BEGIN")
            try:
                yield
            finally:
                self.db.execute("COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:  # a full disk has rolled back already
                self.db.execute("ROLLBACK")
            raise


def unpack(blobs: Sequence[bytes], dimension: int) -> Matrix:
    """Stored vectors → ``(n, d)`` float32."""
    return np.frombuffer(b"".join(blobs), dtype="<f4").reshape(-1, dimension).astype(np.float32, copy=False)


def _found(record: Any) -> Found:
    """A row of ``Store.passages``' query as a record."""
    row, passage_id, document_id, ordinal, text, heading, header, kind, start, end, page, first, last = record[:13]
    source, path, root_name, twins = record[13:]
    passage = Passage(
        passage_id=passage_id,
        document_id=document_id,
        ordinal=ordinal,
        text=text,
        heading=tuple(json.loads(heading)),
        header=header,
        kind=kind,
        start=start,
        end=end,
        page=page,
        lines=None if first is None else (first, last),
    )
    return Found(row, passage, f"{root_name}/{source}" if twins > 1 else source, os.fsdecode(path))


def _document(row: Any) -> StoredDocument:
    return StoredDocument(*(*row[:4], os.fsdecode(row[4]), *row[5:]))


T = TypeVar("T")


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
