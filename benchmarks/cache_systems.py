"""The caches that are measured beside each other, behind one small interface.

None of them knows labels, tasks or figures. Scores lie in [0, 1] and only compare within one system. GPTCache's is its own rank
divided by its range: ``1 - d / 4`` with FAISS's squared distance of unit vectors, hence ``(1 + cosine) / 2``.
"""

import importlib.util
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Embed = Callable[[str], Vector]

GPTCACHE = "0.1.44"
DEFAULT_THRESHOLD = 0.8
"""GPTCache's ``Config.similarity_threshold`` where none is given: a cosine of 0.60."""
LARGEST = 200_000
"""Entries that GPTCache may hold before it evicts; its default of 1,000 would lose what it is asked for."""
AT_ONCE = 10_000
"""Entries that GPTCache deletes in one statement: SQLite binds no more than 32,766 values."""


class System(Protocol):
    """A cache under measurement.

    Attributes:
        name: how the report calls it.
        threshold: a candidate is served when its score is at least this. It may be changed between two calls and changes
            nothing stored. At 0 everything is served that no gate forbids, so that one pass gives the whole curve: what is
            served at ``t`` is what is served at 0 with a score of ``t`` or more. (The benchmark checks that.)
    """

    name: str
    threshold: float

    def put(self, question: str, key: str) -> None:
        """Store an entry as the product does when a question was answered."""
        ...

    def fill(self, rows: Sequence[tuple[str, str]]) -> None:
        """Store many (question, key) as fast as the system can; the outcome is that of as many ``put``."""
        ...

    def get(self, question: str) -> tuple[str | None, float]:
        """The key that is served, or None; and the score of the best candidate, 0 where there is none."""
        ...

    def clear(self) -> None:
        """Drop every entry."""
        ...


class StaticCosine:
    """One threshold on the cosine of the nearest neighbour: what GPTCache decides, without its storage."""

    name = "static cosine"

    def __init__(self, embed: Embed, threshold: float = DEFAULT_THRESHOLD) -> None:
        self.threshold = threshold
        self._embed = embed
        self._keys: list[str] = []
        self._vectors = np.zeros((1024, len(embed("length"))), dtype=np.float32)

    def put(self, question: str, key: str) -> None:
        if len(self._keys) == len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
        self._vectors[len(self._keys)] = self._embed(question)
        self._keys.append(key)

    def fill(self, rows: Sequence[tuple[str, str]]) -> None:
        for question, key in rows:
            self.put(question, key)

    def get(self, question: str) -> tuple[str | None, float]:
        if not self._keys:
            return None, 0.0
        cosines = self._vectors[: len(self._keys)] @ self._embed(question)  # (n,)
        best = int(cosines.argmax())
        score = min(max((1 + float(cosines[best])) / 2, 0.0), 1.0)
        return (self._keys[best] if score >= self.threshold else None), score

    def clear(self) -> None:
        self._keys.clear()


class GptCacheSystem:
    """GPTCache through its own ``adapter.api``: SQLite and FAISS, ``SearchDistanceEvaluation``, an embedder from outside.

    Everything is at its defaults but the embedder, the threshold and the number of entries at which it evicts.

    Args:
        embed: text → unit vector.
        threshold: its ``similarity_threshold``.
        folder: where its files go; emptied first.
    """

    name = "GPTCache"

    def __init__(self, embed: Embed, threshold: float, folder: Path) -> None:
        require_gptcache()
        from gptcache import Cache, Config
        from gptcache.adapter import api
        from gptcache.manager import manager_factory
        from gptcache.processor.pre import get_prompt
        from gptcache.similarity_evaluation import SearchDistanceEvaluation

        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._api = api
        self._evaluation = _Recorded(SearchDistanceEvaluation())
        self._cache: Any = Cache()
        self._cache.init(
            pre_embedding_func=get_prompt,
            embedding_func=lambda text, **_: embed(text),
            data_manager=manager_factory(
                "sqlite,faiss",
                data_dir=str(folder),
                vector_params={"dimension": len(embed("length"))},
                eviction_params={"max_size": LARGEST},
            ),
            similarity_evaluation=self._evaluation,
            config=Config(similarity_threshold=threshold),
        )

    @property
    def threshold(self) -> float:
        """Its ``similarity_threshold``."""
        return float(self._cache.config.similarity_threshold)

    @threshold.setter
    def threshold(self, value: float) -> None:
        self._cache.config.similarity_threshold = value

    def put(self, question: str, key: str) -> None:
        self._api.put(question, key, cache_obj=self._cache)

    def fill(self, rows: Sequence[tuple[str, str]]) -> None:
        self._cache.import_data(questions=[question for question, _ in rows], answers=[key for _, key in rows])
        self._cache.flush()

    def get(self, question: str) -> tuple[str | None, float]:
        self._evaluation.rank = 0.0
        key = self._api.get(question, cache_obj=self._cache)
        return key, self._evaluation.rank / self._evaluation.range()[1]

    def clear(self) -> None:
        manager = self._cache.data_manager
        ids = manager.s.get_ids(deleted=False)
        for start in range(0, len(ids), AT_ONCE):
            manager.eviction_manager.soft_evict(ids[start : start + AT_ONCE])
            manager.eviction_manager.delete()


class _Recorded:
    """One of GPTCache's evaluations, with the last rank it gave: `get` returns the answer alone, and only on a hit."""

    def __init__(self, evaluation: Any) -> None:
        self._evaluation = evaluation
        self.rank = 0.0

    def range(self) -> tuple[float, float]:
        low, high = self._evaluation.range()
        return float(low), float(high)

    def evaluation(self, asked: dict[str, Any], cached: dict[str, Any], **options: Any) -> float:
        self.rank = float(self._evaluation.evaluation(asked, cached, **options))
        return self.rank


def require_gptcache() -> None:
    """End with the line that installs GPTCache where it or what it needs is missing.

    It would call pip by itself for a missing SQLAlchemy, in the middle of a run and without asking.
    """
    missing = [name for name in ("gptcache", "sqlalchemy", "faiss") if importlib.util.find_spec(name) is None]
    if missing:
        raise SystemExit(
            f"not installed: {', '.join(missing)}\n"
            f"python -m pip install --constraint constraints.txt gptcache=={GPTCACHE} sqlalchemy faiss-cpu"
        )
