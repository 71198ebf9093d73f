"""The vectors of one scope's entries, searched by cosine. Derived from the store, in memory, and renewed before each search.

An entry that goes leaves at once, here and in every other process, so that no dead neighbour hides a living one. Vectors lie here
in half precision, which moves a cosine by less than 0.001: a search is bound by the memory that it reads.
"""

from dataclasses import dataclass

import faiss
import numpy as np

from assistant.cache.store import CacheStore
from assistant.cache.tables import Vector

TOP = 8
"""Neighbours that are looked at."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An entry near a question, with the cosine of the two questions."""

    entry_id: int
    cosine: float


class Nearest:
    """The entries of one scope by meaning.

    Args:
        store: where they lie.
        scope: its key.
        dimension: of the vectors.
    """

    def __init__(self, store: CacheStore, scope: str, dimension: int) -> None:
        self._store, self._scope, self._dimension = store, scope, dimension
        half = faiss.ScalarQuantizer.QT_fp16
        self._index = faiss.IndexIDMap2(faiss.IndexScalarQuantizer(dimension, half, faiss.METRIC_INNER_PRODUCT))
        self._last_row, self._last_change = 0, store.changes(0)[1]
        self._add()

    def search(self, vector: Vector, most: int = TOP) -> list[Neighbour]:
        """The nearest entries, nearest first."""
        self._renew()
        if not self._index.ntotal:
            return []
        cosines, rows = self._index.search(vector[None], min(most, self._index.ntotal))  # (1, most) each
        return [Neighbour(int(row), float(cosine)) for row, cosine in zip(rows[0], cosines[0], strict=True) if row >= 0]

    def _renew(self) -> None:
        gone, last = self._store.changes(self._last_change)
        if last == self._last_change:
            return
        self._last_change = last
        self._add()
        if gone:
            self._index.remove_ids(faiss.IDSelectorBatch(np.array(sorted(gone), dtype=np.int64)))

    def _add(self) -> None:
        rows, blobs = self._store.vectors(self._scope, self._last_row)
        if rows:
            vectors = np.frombuffer(b"".join(blobs), dtype="<f4").reshape(-1, self._dimension)  # (n, d)
            self._index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), np.array(rows, dtype=np.int64))
            self._last_row = rows[-1]
