"""Two ways of answering on the same questions: by how much one is better, how sure that is, what would have been seen (pure).

Every metric is a share: points of all questions over how many they could have been. A mean is the share in which each question
counts once; in a precision only what was cited or refused counts, which differs from side to side. Whole questions are drawn
again for the interval, each with both of its sides, so that what makes a question hard cancels out.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from indexes.evaluation import RESAMPLES, Interval

AT_ONCE = 200_000
LEAST_DIFFERING = 6
"""Of five questions that all differ to one side a sign test says p = 0.06: fewer than six show nothing at 95 %."""
LIKELY = 8
"""As many questions must differ on average so that six or more do in 4 of 5 runs (Poisson)."""
POWER = 2.8
"""Standard errors between 0 and a difference that 4 of 5 runs find at 95 %: 1.96 + 0.84 (Cohen 1988)."""


@dataclass(frozen=True, slots=True)
class Tally:
    """One question's part of a share: ``points`` of ``of``; of 0: it doesn't count on this side."""

    points: float = 0.0
    of: float = 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of two sides; higher is better.

    Attributes:
        adapter, baseline: the metric of each side.
        difference: ``adapter − baseline``, with its 95 % interval from ``low`` to ``high``.
        visible: the smallest difference that 4 of 5 runs on so many questions would find.
        n: questions that count.
        differing: those of them on which the sides aren't equal.
    """

    adapter: float
    baseline: float
    difference: float
    low: float
    high: float
    visible: float
    n: int
    differing: int

    @property
    def regressed(self) -> bool:
        """Whether the adapter is worse: its interval lies wholly below 0."""
        return self.high < 0 and self.differing >= LEAST_DIFFERING

    @property
    def improved(self) -> bool:
        """Whether the adapter is better."""
        return self.low > 0 and self.differing >= LEAST_DIFFERING


def difference(ours: Sequence[Tally], theirs: Sequence[Tally], *, seed: int = 0) -> Difference | None:
    """Compare a metric of two sides, question by question; None where nothing counts on one of them.

    Resamples in which nothing counts on one side are left out of the interval.
    """
    pairs = [(a.points, a.of, b.points, b.of) for a, b in zip(ours, theirs, strict=True) if a.of or b.of]
    rows = np.asarray(pairs, dtype=np.float64).reshape(-1, 4)  # (n, 4)
    if not rows[:, 1].any() or not rows[:, 3].any():
        return None
    drawn = np.concatenate([rows[places].sum(axis=1) for places in _places(len(rows), seed)])  # (resamples, 4)
    drawn = drawn[(drawn[:, 1] > 0) & (drawn[:, 3] > 0)]
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1] - drawn[:, 2] / drawn[:, 3], [2.5, 97.5])
    sums = rows.sum(axis=0)
    adapter, baseline = float(sums[0] / sums[1]), float(sums[2] / sums[3])
    differing = _differing(rows)
    visible = _visible(rows, adapter, baseline, differing)
    return Difference(adapter, baseline, adapter - baseline, float(low), float(high), visible, len(rows), differing)


def median_ratio(ours: Sequence[float], theirs: Sequence[float], *, seed: int = 0) -> Interval:
    """The ratio of two medians with its 95 % interval over resampled questions."""
    pairs = np.asarray([ours, theirs], dtype=np.float64)  # (2, n)
    medians = np.concatenate([np.median(pairs[:, places], axis=2) for places in _places(pairs.shape[1], seed)], axis=1)
    low, high = np.percentile(medians[0] / medians[1], [2.5, 97.5])  # of (resamples,)
    ratio = np.median(pairs[0]) / np.median(pairs[1])
    return Interval(float(ratio), float(low), float(high))


def _places(n: int, seed: int) -> Iterator[np.ndarray]:
    """Which questions each resample holds, ``(some resamples, n)`` at a time: all at once might not fit into memory."""
    rng, left = np.random.default_rng(seed), RESAMPLES
    while left:
        size = min(left, max(1, AT_ONCE // n))
        yield rng.integers(0, n, (size, n))
        left -= size


def _differing(rows: np.ndarray) -> int:
    unequal = rows[:, 0] * rows[:, 3] != rows[:, 2] * rows[:, 1]
    return int((unequal | ((rows[:, 1] == 0) != (rows[:, 3] == 0))).sum())


def _visible(rows: np.ndarray, adapter: float, baseline: float, differing: int) -> float:
    """Source: the linearised variance of a difference of ratios (Cochran 1977, §6.4); of two means it is the paired one."""
    n = len(rows)
    counting = int(min((rows[:, 1] > 0).sum(), (rows[:, 3] > 0).sum()))
    ours = (rows[:, 0] - adapter * rows[:, 1]) / rows[:, 1].mean()
    theirs = (rows[:, 2] - baseline * rows[:, 3]) / rows[:, 3].mean()
    found = POWER * float(np.std(ours - theirs, ddof=1)) / math.sqrt(n) if n > 1 else 1.0
    if differing < LEAST_DIFFERING or not found:  # sides that hardly differ, or all alike, don't tell how others would scatter
        found = max(found, LIKELY / counting)
    return min(found, 1.0)
