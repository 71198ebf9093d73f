"""The fitted numbers: how much each feature counts, and where answering begins. Read from ``calibration.json``.

``benchmarks/fit_grounding.py`` writes that file and says in it on which data, when and how well. Nothing here is set by hand.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("calibration.json")


@dataclass(frozen=True, slots=True)
class Linear:
    """A weighted sum of standardised features.

    Attributes:
        names: the features, in the order in which they come.
        mean, scale: what each is standardised with.
        weights: how much each then counts.
        bias: added to the sum.
    """

    names: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: float

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Score rows of features: ``(n, f)`` → ``(n,)``."""
        scores: NDArray[np.float64] = (features - self.mean) / self.scale @ self.weights + self.bias
        return scores

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> "Linear":
        """Read from JSON: ``{"bias": b, "features": {name: [mean, scale, weight]}}``."""
        columns = np.array(list(data["features"].values()), dtype=np.float64)  # (f, 3)
        return cls(tuple(data["features"]), columns[:, 0], columns[:, 1], columns[:, 2], float(data["bias"]))

    def write(self) -> dict[str, Any]:
        """The inverse of ``read``."""
        rows = zip(self.mean.tolist(), self.scale.tolist(), self.weights.tolist(), strict=True)
        features = {name: [round(value, 5) for value in row] for name, row in zip(self.names, rows, strict=True)}
        return {"bias": round(self.bias, 5), "features": features}


@dataclass(frozen=True, slots=True)
class Calibration:
    """Everything that was fitted.

    Attributes:
        sentence: scores a sentence against a question.
        answerable: log-odds that the passages hold the answer.
        threshold: probability from which on to answer.
    """

    sentence: Linear
    answerable: Linear
    threshold: float

    @property
    def hash(self) -> str:
        """A hash of all of it."""
        return hashlib.sha256(json.dumps([self.sentence.write(), self.answerable.write(), self.threshold]).encode()).hexdigest()

    def probability(self, features: Sequence[float]) -> float:
        """Probability that a question with these features can be answered."""
        log_odds = float(self.answerable(np.array([features], dtype=np.float64))[0])
        return float(1.0 / (1.0 + np.exp(-log_odds)))


@lru_cache(maxsize=4)
def load_calibration(path: Path = FILE) -> Calibration:
    """Read a calibration file, by default the one that travels with the package."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return Calibration(Linear.read(data["sentence"]), Linear.read(data["answerable"]), float(data["threshold"]))
