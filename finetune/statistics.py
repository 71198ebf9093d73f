"""How sure one can be of a figure: intervals for shares, means and differences between two models on the same rows (pure).

A share (so many of so many right) gets Wilson's interval, because a bootstrap of "all right" would claim certainty. Everything
else gets the bootstrap of ``indexes.evaluation``, so that training and `assistant eval` mean the same by "95 %".
"""

import math
import random
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TypeVar

from indexes.evaluation import Interval, bootstrap, paired_difference

RESAMPLES = 500
Item = TypeVar("Item")


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


def any_interval(items: Sequence[Item], statistic: Callable[[Sequence[Item]], float], *, seed: int = 0) -> Interval:
    """Any statistic of rows, such as a median, with its 95 % percentile bootstrap interval.

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife".

    Raises:
        ValueError: there are no rows.
    """
    if not items:
        raise ValueError("no interval for 0 rows")
    rng = random.Random(seed)  # noqa: S311 - a bootstrap
    again = sorted(statistic(rng.choices(items, k=len(items))) for _ in range(RESAMPLES))
    return Interval(statistic(items), again[int(0.025 * RESAMPLES)], again[int(0.975 * RESAMPLES)])


def jackknife_interval(items: Sequence[Item], statistic: Callable[[Sequence[Item]], float]) -> Interval:
    """A statistic that counts what is distinct, with its 95 % jackknife interval: drawing rows twice would change what it means.

    Source: Tukey 1958; Efron and Stein 1981.

    Raises:
        ValueError: there are no rows.
    """
    if not items:
        raise ValueError("no interval for 0 rows")
    value, count = statistic(items), len(items)
    without = [statistic([*items[:at], *items[at + 1 :]]) for at in range(count)] if count > 1 else [value]
    centre = sum(without) / count
    half = NormalDist().inv_cdf(0.975) * math.sqrt((count - 1) / count * sum((each - centre) ** 2 for each in without))
    return Interval(value, value - half, value + half)


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
