"""What one transaction may do to an index: the changes that make its next generation.

Each method is one change. Nothing is overwritten: a document that changes or goes is marked as dead from this generation on,
so that readers of the one before still find it; ``purge`` deletes such rows later. Words go into the full-text table in the
same transaction.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from indexes.lexical import words
from indexes.records import Passage


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """What the index knows of a file.

    Attributes:
        row: its number in the database.
        size, mtime_ns, ctime_ns: of the file when it was read; its content, its name or its rights changed last at ``ctime_ns``.
        seen_ns: when that was; a file changed in the same moment can't be told from an unchanged one by its time.
        hash: sha256 of its bytes.
        settings: versions and limits with which it was read and split.
    """

    row: int
    document_id: str
    root: int
    source: str
    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    seen_ns: int
    hash: str
    settings: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that couldn't be read, with the stamp under which that is known."""

    root: int
    source: str
    stamp: str
    reason: str


PURGEABLE = "d.died IN (SELECT number FROM generations WHERE committed < :before)"
"""Documents that no reader can still be reading, for what ``:before`` is a moment."""
_COPIED = "ordinal, text, heading, header, kind, char_start, char_end, page, first_line, last_line, vector"


class Commit:
    """The changes of one generation, inside its transaction."""

    def __init__(self, db: sqlite3.Connection, generation: int) -> None:
        self.db = db
        self.generation = generation

    def set_meta(self, key: str, value: str) -> None:
        """Remember a fact about the index."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def add_root(self, path: str, name: str, include: Sequence[str], exclude: Sequence[str]) -> int:
        """Remember a root, or its new patterns, and return its number."""
        self.db.execute(
            "INSERT INTO roots (path, name, include, exclude) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (path) DO UPDATE SET include = excluded.include, exclude = excluded.exclude",
            (os.fsencode(path), name, json.dumps(list(include)), json.dumps(list(exclude))),
        )
        return int(self.db.execute("SELECT id FROM roots WHERE path = ?", (os.fsencode(path),)).fetchone()[0])

    def drop_root(self, root: int) -> None:
        """Forget a root; its documents must have been removed."""
        self.db.execute("DELETE FROM failures WHERE root = ?", (root,))
        self.db.execute("DELETE FROM roots WHERE id = ?", (root,))

    def add_document(self, document: StoredDocument, passages: Sequence[Passage], vectors: Sequence[int]) -> None:
        """Add a document with its passages and the rows of their vectors."""
        row = self._insert_document(document)
        for passage, vector in zip(passages, vectors, strict=True):
            self._insert_passage(row, passage, vector)

    def remove_document(self, row: int) -> None:
        """End a document's life with this generation."""
        self.db.execute("UPDATE documents SET died = ? WHERE id = ?", (self.generation, row))

    def set_failure(self, failure: Failure) -> None:
        """Remember that a file can't be read, so that it is named again but not tried again until it changes."""
        self.db.execute(
            "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)", (failure.root, failure.source, failure.stamp, failure.reason)
        )

    def clear_failure(self, root: int, source: str) -> None:
        """Forget a failure: the file was read or is gone."""
        self.db.execute("DELETE FROM failures WHERE root = ? AND source = ?", (root, source))

    def purge(self, before: float) -> None:
        """Delete the documents that died before a moment (seconds since 1970), and vectors that no passage needs.

        The dense segments still hold their rows; a new ``segments`` id, in this same transaction, says that they are void.
        """
        gone = f"SELECT p.id, p.heading, p.header, p.text FROM documents d JOIN passages p ON p.document = d.id WHERE {PURGEABLE}"
        for row, heading, header, text in self.db.execute(gone, {"before": before}).fetchall():
            body = terms_of(" ".join(json.loads(heading)), header, text)
            self.db.execute("INSERT INTO terms (terms, rowid, body) VALUES ('delete', ?, ?)", (row, body))
            self.db.execute("DELETE FROM passages WHERE id = ?", (row,))
        self.db.execute(f"DELETE FROM documents AS d WHERE {PURGEABLE}", {"before": before})
        self.db.execute("DELETE FROM vectors WHERE id NOT IN (SELECT vector FROM passages)")
        self.db.execute("DELETE FROM generations WHERE committed < ? AND number < ?", (before, self.generation - 1))
        self.set_meta("segments", secrets.token_hex(8))

    def _insert_document(self, document: StoredDocument) -> int:
        cursor = self.db.execute(
            "INSERT INTO documents (document_id, root, source, path, size, mtime_ns, ctime_ns, seen_ns, hash, settings, born)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                document.document_id,
                document.root,
                document.source,
                os.fsencode(document.path),
                document.size,
                document.mtime_ns,
                document.ctime_ns,
                document.seen_ns,
                document.hash,
                document.settings,
                self.generation,
            ),
        )
        return int(cursor.lastrowid or 0)

    def _insert_passage(self, document_row: int, passage: Passage, vector: int) -> None:
        first, last = passage.lines or (None, None)
        cursor = self.db.execute(
            f"INSERT INTO passages (passage_id, document, {_COPIED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                passage.passage_id,
                document_row,
                passage.ordinal,
                passage.text,
                json.dumps(passage.heading, ensure_ascii=False),
                passage.header,
                passage.kind,
                passage.start,
                passage.end,
                passage.page,
                first,
                last,
                vector,
            ),
        )
        self._insert_terms(int(cursor.lastrowid or 0), (" ".join(passage.heading), passage.header, passage.text))

    def _insert_terms(self, row: int, parts: tuple[str, str, str]) -> None:
        self.db.execute("INSERT INTO terms (rowid, body) VALUES (?, ?)", (row, terms_of(*parts)))


def terms_of(title_line: str, header: str, text: str) -> str:
    """What the full-text table holds of a passage: the stems of its title line, table header and text."""
    return " ".join(words(f"{title_line}\n{header}\n{text}"))
