"""How good is a ranking, and how sure can one be of it: retrieval metrics and bootstrap intervals (pure)."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def recall_at(ranked: Sequence[str], relevant: set[str], k: int) -> float:
    """Share of the relevant sources among the first ``k``."""
    return len(relevant & set(ranked[:k])) / len(relevant)


def ndcg_at(ranked: Sequence[str], relevant: set[str], k: int) -> float:
    """Normalised discounted cumulative gain with binary relevance (Järvelin and Kekäläinen 2002)."""
    gain = sum(1 / math.log2(place + 2) for place, source in enumerate(ranked[:k]) if source in relevant)
    return gain / sum(1 / math.log2(place + 2) for place in range(min(k, len(relevant))))


def reciprocal_rank(ranked: Sequence[str], relevant: set[str]) -> float:
    """1 / rank of the first relevant source; 0 where there is none."""
    return next((1 / rank for rank, source in enumerate(ranked, 1) if source in relevant), 0.0)


def bootstrap(values: Sequence[float], *, seed: int = 0) -> Interval:
    """The mean of values and its 95 % percentile interval over resampled questions (Efron 1979)."""
    sample = np.asarray(values, dtype=np.float64)  # (n,)
    rng = np.random.default_rng(seed)
    means = [sample[rng.integers(0, len(sample), len(sample))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(sample.mean()), float(low), float(high))


def paired_difference(ours: Sequence[float], theirs: Sequence[float], *, seed: int = 0) -> Interval:
    """The mean of ``ours − theirs``, question by question, with its interval: wholly above 0 means better."""
    return bootstrap([a - b for a, b in zip(ours, theirs, strict=True)], seed=seed)


def normalised(text: str) -> list[str]:
    """Words of a text as answers are compared: lower case, no punctuation, no articles (SQuAD's convention)."""
    return [word for word in re.findall(r"\w+(?:[.,:/-]\w+)*", text.lower()) if word not in ("a", "an", "the")]


def contains(text: str, gold: str) -> bool:
    """Whether the words of a gold answer stand next to each other in a text."""
    words, wanted = normalised(text), normalised(gold)
    return any(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1)) if wanted else False
