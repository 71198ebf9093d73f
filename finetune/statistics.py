"""How sure one can be of a figure: intervals for shares, means and differences between two models on the same rows (pure).

A share (so many of so many right) gets Wilson's interval, because a bootstrap of "all right" would claim certainty. Everything
else gets the bootstrap of ``indexes.evaluation``, so that training and `assistant eval` mean the same by "95 %".
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

from indexes.evaluation import Interval, bootstrap, paired_difference


def wilson(successes: int, of: int, *, confidence: float = 0.95) -> Interval:
    """A share with its score interval: the rates under which the count seen is no further off than chance allows.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    Raises:
        ValueError: no trials, or more successes than trials.
    """
    if not 0 <= successes <= of or not of:
        raise ValueError(f"{successes} of {of} is no share")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, shrink = successes / of, 1 / (1 + z * z / of)
    centre = shrink * (share + z * z / (2 * of))
    half = shrink * z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return Interval(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def mean_interval(values: Sequence[float], *, seed: int = 0) -> Interval:
    """The mean of independent figures, one a row, with its 95 % bootstrap interval. Too narrow for fewer than about ten.

    Raises:
        ValueError: there are none, or one is not a number.
    """
    return bootstrap(_checked(values), seed=seed)


def paired_change(before: Sequence[float], after: Sequence[float], *, seed: int = 0) -> Interval:
    """The mean of ``after − before``, row by row, with its 95 % bootstrap interval.

    The rows' own difficulty cancels out, so that it finds changes that two separate intervals would hide.

    Raises:
        ValueError: the two are of different lengths or empty, or hold something that is not a number.
    """
    return paired_difference(_checked(after), _checked(before), seed=seed)


def excludes_zero(interval: Interval) -> bool:
    """Whether a difference is more than chance: its interval lies wholly on one side of 0."""
    return interval.low > 0 or interval.high < 0


def as_document(interval: Interval) -> dict[str, float]:
    """An interval as manifests and reports hold it."""
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _checked(values: Sequence[float]) -> Sequence[float]:
    if not len(values) or not all(math.isfinite(value) for value in values):
        raise ValueError(f"no interval for {len(values)} values of which some may not be numbers")
    return values
