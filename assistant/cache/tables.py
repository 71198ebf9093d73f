"""The tables of ``$ASSISTANT_HOME/cache.sqlite``, and the records that they hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assistant.database import Kind

FILE = "cache.sqlite"
KIND = Kind(
    title="the cached answers",
    application=0x41534343,  # "ASCC"
    version=1,
    tables="""
CREATE TABLE scopes (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, label TEXT NOT NULL);
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, scope INTEGER NOT NULL REFERENCES scopes (id) ON DELETE CASCADE,
    question TEXT NOT NULL, vector BLOB, status TEXT NOT NULL, answer TEXT NOT NULL, generations TEXT NOT NULL,
    created REAL NOT NULL, expires REAL NOT NULL, seconds REAL NOT NULL, bytes INTEGER NOT NULL,
    used REAL NOT NULL, hits INTEGER NOT NULL DEFAULT 0, quarantined INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX entries_question ON entries (scope, question);
CREATE INDEX entries_expiry ON entries (expires);
CREATE TABLE evidence (
    entry INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE, place INTEGER NOT NULL, role TEXT NOT NULL,
    idx TEXT NOT NULL, document TEXT NOT NULL, passage TEXT NOT NULL, hash TEXT NOT NULL, source TEXT NOT NULL,
    PRIMARY KEY (entry, place)
) WITHOUT ROWID;
CREATE TABLE sentences (
    entry INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE, passage TEXT NOT NULL,
    quoted TEXT NOT NULL, vectors BLOB NOT NULL, score REAL NOT NULL, PRIMARY KEY (entry, passage)
);
CREATE TABLE refused (
    scope TEXT NOT NULL, one TEXT NOT NULL, other TEXT NOT NULL, PRIMARY KEY (scope, one, other)
) WITHOUT ROWID;
CREATE TABLE changes (number INTEGER PRIMARY KEY AUTOINCREMENT, entry INTEGER NOT NULL, gone INTEGER NOT NULL);
CREATE TABLE events (name TEXT NOT NULL PRIMARY KEY, count INTEGER NOT NULL, seconds REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE audits (
    id INTEGER PRIMARY KEY AUTOINCREMENT, entry INTEGER NOT NULL, scope TEXT NOT NULL, question TEXT NOT NULL,
    asked REAL NOT NULL, agreed INTEGER
);
CREATE TABLE flights (
    scope TEXT NOT NULL, question TEXT NOT NULL, owner INTEGER NOT NULL, begun REAL NOT NULL, PRIMARY KEY (scope, question)
) WITHOUT ROWID
""",
)

Vector = NDArray[np.float32]
Role = Literal["cited", "found"]


@dataclass(frozen=True, slots=True)
class Bound:
    """A passage that an entry depends on.

    Attributes:
        role: ``cited`` by the answer, or merely ``found`` for its question, best first.
        index: name of the index.
        document, passage: ids, stable while the document stays where it is and the passage's text is the same.
        hash: of what the model was shown of it.
        source: the path to show.
    """

    role: Role
    index: str
    document: str
    passage: str
    hash: str
    source: str


@dataclass(frozen=True, slots=True)
class Cited:
    """The sentences of a cited passage, as they were when the answer was written.

    Attributes:
        quoted: places of those that are quoted.
        vectors: ``(n, d)``, of all of them.
        score: of the best quoted one for the cached question.
    """

    quoted: tuple[int, ...]
    vectors: NDArray[np.float32]
    score: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A past answer.

    Attributes:
        entry_id: its row.
        question: self-contained, as ``normal_question`` makes it.
        status: ``answered`` or ``abstained``.
        answer: as JSON.
        generations: the state of each index in which it was last known to be right, by the index's name.
        bound: the passages that it depends on.
        created: seconds since 1970.
        seconds: what writing it took.
        hits: how often it was served.
        quarantined: whether somebody said that it was wrong.
    """

    entry_id: int
    question: str
    status: str
    answer: str
    generations: Mapping[str, str]
    bound: tuple[Bound, ...]
    created: float
    seconds: float
    hits: int = 0
    quarantined: bool = False

    @property
    def cited(self) -> tuple[Bound, ...]:
        """The passages that the answer cites."""
        return tuple(bound for bound in self.bound if bound.role == "cited")

    @property
    def found(self) -> tuple[Bound, ...]:
        """The passages that were found for its question, best first."""
        return tuple(bound for bound in self.bound if bound.role == "found")


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry before it is stored.

    ``vector`` is None for one that is found by its exact question alone; ``cited`` is by the passage's id.
    """

    question: str
    vector: Vector | None
    status: str
    answer: str
    generations: Mapping[str, str]
    bound: tuple[Bound, ...]
    seconds: float
    lives_s: float
    cited: Mapping[str, "Cited"] = field(default_factory=dict)
