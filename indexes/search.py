"""A query → the passages that answer it best: cosine and BM25 side by side, fused, over one index or several.

The score is a convex combination of the two sides' min-max-normalised scores (Bruch et al. 2023, "An Analysis of Fusion
Functions for Hybrid Retrieval", eq. 1). Its weight was fitted on SciFact's training claims (benchmarks/retrieval.py).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from indexes import lexical
from indexes.dense import DenseIndex
from indexes.embedding import Embedder
from indexes.errors import EmbedderMismatch
from indexes.planning import READING, hash_file, plan_changes
from indexes.records import Hit
from indexes.roots import remember_roots
from indexes.schema import faults
from indexes.splitting import SPLITTER
from indexes.store import Store

Vector = NDArray[np.float32]

DENSE_WEIGHT = 0.5
"""Share of the dense side in the fused score."""
CANDIDATES = 100
"""Passages taken from each side."""
REACH = 5
"""Of the candidates the best ``REACH · k`` are read from the database: deeper ones can't come up by ``spread``."""
FREE_PASSAGES = 2
CROWDING = 0.85
"""The third passage of one file counts 0.85 of its score in the ranking, the fourth 0.85², …: a long file that repeats the
query's words can't fill the whole list, and one that is alone loses nothing."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    part: int
    row: int
    dense: float
    lexical: float


class _OpenIndex:
    """One index at one generation; renewed when a newer one was committed."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.dimension = int(self.store.meta("dimension"))
        self.generation = -1
        self.renew()

    def renew(self) -> None:
        newest = self.store.generation
        if newest != self.generation:
            self.generation = newest
            self.dense = DenseIndex(self.store, newest, self.dimension)
            self.dead = set(self.dense.excluded.tolist())
            self.documents, self.passages = self.store.counts(newest)
            self._frequencies: dict[str, int] = {}

    def candidates(self, part: int, query: str, vector: Vector, most: int) -> list[_Candidate]:
        """The best passages of both sides, each with both scores."""
        cosines = dict(self.dense.search(vector, most))
        scores = dict(self._by_words(query, most))
        rest = [row for row in scores if row not in cosines]
        if rest:
            rows, vectors = self.store.vectors_of(rest, self.dimension)
            cosines |= dict(zip(rows, (vectors @ vector).tolist(), strict=True))
        return [_Candidate(part, row, cosine, scores.get(row, 0.0)) for row, cosine in cosines.items()]

    def _by_words(self, query: str, most: int) -> list[tuple[int, float]]:
        """The best living passages by BM25. Dead ones are few among the best, so that asking for all of them seldom pays."""
        for limit in (2 * most, most + len(self.dead)):
            with faults(self.store.folder):
                found = lexical.search(self.store.db, query, limit)
            living = [(row, score) for row, score in found if row not in self.dead][:most]
            if len(living) == most or len(found) < limit:
                break
        return living

    def frequency(self, stem: str) -> int:
        """In how many passages a stem stands; looked up once in a generation."""
        if stem not in self._frequencies:
            self._frequencies |= lexical.frequencies(self.store.db, [stem])
        return self._frequencies[stem]


class Searcher:
    """Searches one or more indexes that share an embedder. A context manager; sees new commits at the next query.

    Args:
        folders: the indexes' folders.
        open_embedder: opens a model by the id with which the indexes were built.

    Raises:
        EmbedderMismatch: the indexes were built with different models, or the model isn't the one it was.
    """

    def __init__(self, folders: Sequence[Path], *, open_embedder: Callable[[str], Embedder]) -> None:
        self._parts = [_OpenIndex(folder) for folder in dict.fromkeys(folders)]
        self._open_embedder = open_embedder
        self._embedder: Embedder | None = None
        models = {part.store.meta("weights_hash"): part.store.meta("embedder") for part in self._parts}
        if len(models) > 1:
            raise EmbedderMismatch(
                f"the indexes {', '.join(map(repr, self.names))} were built with different embedding models: "
                f"{', '.join(map(repr, models.values()))}",
                hint="ask them one at a time, or build them again with the same --embedder",
            )

    def __enter__(self) -> "Searcher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the indexes."""
        for part in self._parts:
            part.store.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the indexes."""
        return tuple(part.store.name for part in self._parts)

    @property
    def documents(self) -> int:
        """How many documents they hold."""
        return sum(part.documents for part in self._parts)

    @property
    def passages(self) -> int:
        """How many passages they hold."""
        return sum(part.passages for part in self._parts)

    @property
    def weights_hash(self) -> str:
        """The hash of the weights of the model with which the indexes were built; the model isn't opened for it."""
        return self._parts[0].store.meta("weights_hash")

    @property
    def embedder(self) -> Embedder:
        """The model with which the indexes were built."""
        if self._embedder is None:
            model_id, built_with = self._parts[0].store.meta("embedder"), self._parts[0].store.meta("weights_hash")
            embedder = self._open_embedder(model_id)
            if embedder.weights_hash != built_with:
                raise EmbedderMismatch(
                    f"the weights of {model_id!r} are not those with which {self.names[0]!r} was built",
                    hint=f"assistant indexes delete {self.names[0]} --yes, then index the folder again",
                )
            self._embedder = embedder
        return self._embedder

    def embed(self, query: str) -> Vector:
        """A query's unit vector ``(d,)``. Text beyond the embedder's limit isn't read."""
        vector: Vector = self.embedder.embed([query.encode(errors="replace").decode()])[0]  # a lone surrogate is no text
        return vector

    def search(self, query: str, *, k: int = 10, vector: Vector | None = None, dense_weight: float = DENSE_WEIGHT) -> list[Hit]:
        """Find the ``k`` best passages, best first.

        Args:
            query: words or a question.
            k: how many.
            vector: the query's vector, if it is known already.
            dense_weight: share of the cosine in the score; 0 ranks by words alone, 1 by meaning alone.
        """
        vector = self.embed(query) if vector is None else vector
        candidates: list[_Candidate] = []
        for number, part in enumerate(self._parts):
            part.renew()
            candidates += part.candidates(number, query, vector, max(CANDIDATES, k))
        scores = fuse([c.dense for c in candidates], [c.lexical for c in candidates], dense_weight)
        best = sorted(zip(scores, candidates, strict=True), key=lambda pair: (-pair[0], pair[1].part, pair[1].row))
        return self._hits(best[: REACH * k], k)

    def _hits(self, best: Sequence[tuple[float, _Candidate]], k: int) -> list[Hit]:
        found = [
            part.store.passages([c.row for _, c in best if c.part == number], part.generation)
            for number, part in enumerate(self._parts)
        ]
        hits = []
        for score, candidate in best:
            passage = found[candidate.part].get(candidate.row)
            if passage:
                name = self._parts[candidate.part].store.name
                hit = Hit(passage.passage, passage.source, passage.path, name, 0, score, candidate.dense, candidate.lexical)
                hits.append(hit)
        return [replace(hit, rank=rank) for rank, hit in enumerate(spread(hits)[:k], 1)]

    def word_frequency(self, words: Sequence[str]) -> dict[str, int]:
        """In how many passages the stem of each word stands."""
        return {word: sum(part.frequency(lexical.stem(word.lower())) for part in self._parts) for word in words}

    @property
    def generations(self) -> dict[str, str]:
        """The state that each index is in now, by name: another one after every commit, and after it was built anew."""
        return {part.store.name: f"{part.store.identity}:{part.store.generation}" for part in self._parts}

    def is_newer(self, hit: Hit, state: str) -> bool:
        """Whether a hit's document was read after its index was in a state, as ``generations`` names it."""
        store = next(part.store for part in self._parts if part.store.name == hit.index)
        identity, _, generation = state.rpartition(":")
        return identity != store.identity or store.born(hit.passage.document_id) > int(generation)

    def document(self, index: str, document_id: str) -> list[Hit]:
        """The passages of a document as they are now, in reading order; none where it is gone."""
        store = next((part.store for part in self._parts if part.store.name == index), None)
        found = store.document_passages(document_id) if store else []
        return [Hit(one.passage, one.source, one.path, index, rank, 0.0, 0.0, 0.0) for rank, one in enumerate(found, 1)]

    def is_stale(self, hit: Hit) -> bool:
        """Whether a hit's file has changed or gone since it was indexed. Reads the file only if its time or size is new."""
        return self.is_stale_file(hit.index, hit.passage.document_id, hit.path)

    def is_stale_file(self, index: str, document_id: str, path: str) -> bool:
        """The same of a document, by its index and the path of its file."""
        part = next(part for part in self._parts if part.store.name == index)
        stored = part.store.document(document_id)
        if stored is None:
            return True
        try:
            status = Path(path).stat()
        except OSError:
            return True
        if (status.st_size, status.st_mtime_ns, status.st_ctime_ns) == (stored.size, stored.mtime_ns, stored.ctime_ns):
            return False
        return hash_file(Path(path)) != stored.hash

    def changed_files(self) -> int:
        """How many files were added, changed or removed since the indexes were built."""
        changes = 0
        for part in self._parts:
            plan = plan_changes(part.store, remember_roots(part.store, ()), f"{READING}/{SPLITTER}")
            changes += plan.changes
        return changes


def fuse(dense: Sequence[float], words: Sequence[float], weight: float) -> list[float]:
    """Fuse two lists of scores of the same passages: ``weight · dense' + (1 − weight) · words'``, both min-max-normalised."""
    if not dense:
        return []
    fused: list[float] = (weight * _normalised(dense) + (1 - weight) * _normalised(words, floor=0.0)).tolist()
    return fused


def _normalised(scores: Sequence[float], floor: float | None = None) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)  # (n,)
    low = values.min() if floor is None else floor
    width = values.max() - low
    return (values - low) / width if width > 0 else np.zeros_like(values)


def spread(hits: Sequence[Hit]) -> list[Hit]:
    """Order hits so that passages of one file don't crowd out all others; scores stay as they are."""
    seen: Counter[tuple[str, str]] = Counter()
    weighed = []
    for hit in hits:
        file = (hit.index, hit.passage.document_id)
        weighed.append((hit.score * CROWDING ** max(0, seen[file] + 1 - FREE_PASSAGES), hit))
        seen[file] += 1
    return [hit for _, hit in sorted(weighed, key=lambda pair: -pair[0])]
