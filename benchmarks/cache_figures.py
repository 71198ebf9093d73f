"""What caches did with the same requests → rates with intervals, curves, and where one is above the other. Pure.

Requests about one cluster of questions aren't independent: every interval resamples whole clusters.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from indexes.evaluation import Interval

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

RESAMPLES = 1_000
RATES = {
    "precision": ("right", "hit"),
    "hit rate": ("hit", "request"),
    "recall": ("right", "should hit"),
    "wrong per request": ("wrong", "request"),
    "… labelled so": ("wrong by label", "request"),
    "false-hit rate": ("false hit", "should miss"),
    "… of the hard": ("false hard", "hard"),
}
"""What is reported, as quotients of counts. Without ``labelled so`` a wrong hit is any that crosses clusters."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What one system did, a row for each request in the order asked, everything served that no gate forbids.

    Attributes:
        score: of the best candidate.
        served: whether there was one.
        right: it is in the request's cluster.
        labelled: it is labelled no duplicate of the request.
        should_hit, hard: what the request is.
        cluster: the request's, the unit of resampling.
    """

    score: Floats
    served: Flags
    right: Flags
    labelled: Flags
    should_hit: Flags
    hard: Flags
    cluster: NDArray[np.str_]

    @classmethod
    def pool(cls, parts: Sequence["Outcomes"]) -> "Outcomes":
        """Several runs as one; a cluster that occurs in two of them stays one unit."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def counts(self, threshold: float) -> dict[str, Flags]:
        """One flag a request for each thing that is counted at a threshold."""
        hit = self.served & (self.score >= threshold)
        return {
            "request": np.ones(len(hit), dtype=np.bool_),
            "hit": hit,
            "right": hit & self.right,
            "wrong": hit & ~self.right,
            "wrong by label": hit & self.labelled,
            "should hit": self.should_hit,
            "should miss": ~self.should_hit,
            "false hit": hit & ~self.should_hit,
            "hard": self.hard,
            "false hard": hit & self.hard,
        }


def rates(outcomes: Outcomes, threshold: float, *, seed: int = 0) -> dict[str, Interval]:
    """All ``RATES`` at a threshold, with 95 % intervals over clusters; NaN where nothing is divided by."""
    counts = outcomes.counts(threshold)
    _, unit = np.unique(outcomes.cluster, return_inverse=True)
    table = np.stack([np.bincount(unit, weights=flags) for flags in counts.values()], axis=1)  # (clusters, counts)
    sums = np.stack([table.sum(axis=0), *(weights @ table for weights in _resamples(len(table), seed))])
    place = {name: column for column, name in enumerate(counts)}
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = {name: sums[:, place[over]] / sums[:, place[under]] for name, (over, under) in RATES.items()}
    units = {name: int((table[:, place[under]] > 0).sum()) for name, (_, under) in RATES.items()}
    return {name: interval(float(values[0]), values[1:], units=units[name]) for name, values in drawn.items()}


def wrong_at(outcomes: Outcomes, hit_rates: Floats) -> Callable[[Floats | None], Floats]:
    """A function from weights of the requests to wrong answers per request at each hit rate; NaN where it isn't reached.

    Requests of equal score are served together; within such a block the curve is a straight line (the mean over all orders).
    """
    order = np.argsort(np.where(outcomes.served, -outcomes.score, np.inf), kind="stable")
    order = order[: int(outcomes.served.sum())]
    score, wrong = outcomes.score[order], ~outcomes.right[order]
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True)) if len(order) else order

    def curve(weights: Floats | None = None) -> Floats:
        weight = np.ones(len(outcomes.score)) if weights is None else weights
        mine, total = weight[order], weight.sum()
        hits = np.append(0.0, np.cumsum(mine)[ends]) / total
        wrongs = np.append(0.0, np.cumsum(mine * wrong)[ends]) / total
        return np.asarray(np.interp(hit_rates, hits, wrongs, right=np.nan))

    return curve


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems at one hit rate: wrong answers per request of each, and ours − theirs with its interval."""

    hit_rate: float
    ours: float
    theirs: float
    difference: Interval


def compare(ours: Outcomes, theirs: Outcomes, hit_rates: Floats, *, seed: int = 0) -> list[Comparison]:
    """The curves of two systems that answered the same requests, clusters drawn for both together."""
    if not np.array_equal(ours.cluster, theirs.cluster):
        raise ValueError("the two systems were not asked the same requests in the same order")
    _, unit = np.unique(ours.cluster, return_inverse=True)
    mine, other = wrong_at(ours, hit_rates), wrong_at(theirs, hit_rates)
    drawn = np.stack([mine(w[unit]) - other(w[unit]) for w in _resamples(int(unit.max()) + 1, seed)])  # (resamples, hit rates)
    a, b = mine(None), other(None)
    return [
        Comparison(float(rate), float(a[n]), float(b[n]), interval(float(a[n] - b[n]), drawn[:, n]))
        for n, rate in enumerate(hit_rates)
    ]


def best_f1(outcomes: Outcomes) -> float:
    """The threshold with the best F1 of serving the right answer; the highest of several."""
    thresholds, hits, rights = _by_threshold(outcomes)
    return float(thresholds[np.argmax(2 * rights / (hits + outcomes.should_hit.sum()))])


def at_precision(outcomes: Outcomes, wanted: float) -> float | None:
    """The lowest threshold at which the share of right hits is at least ``wanted``; None where there is none."""
    thresholds, hits, rights = _by_threshold(outcomes)
    good = np.flatnonzero(rights / hits >= wanted)
    return float(thresholds[good[-1]]) if len(good) else None


def macro(by_test: Mapping[str, Flags], *, seed: int = 0) -> Interval:
    """The mean over tests of a test's share, pairs resampled within each test."""
    rng = np.random.default_rng(seed)
    shares = [rng.binomial(len(flags), flags.mean(), RESAMPLES) / len(flags) for flags in by_test.values()]
    value = float(np.mean([flags.mean() for flags in by_test.values()]))
    return interval(value, np.mean(shares, axis=0), units=sum(map(len, by_test.values())))


def interval(value: float, drawn: Floats, *, units: int = 0) -> Interval:
    """A value with the 95 % percentile interval of its resamples; those that are NaN don't count.

    Args:
        value: the estimate.
        drawn: the same of each resample.
        units: of a share, how many things it was drawn over. None or all of them says nothing by resampling; then the bound is
            the exact one (Clopper and Pearson 1934).
    """
    if units and value in (0.0, 1.0):
        reach = float(0.025 ** (1 / units))
        return Interval(value, *((0.0, 1 - reach) if value == 0 else (reach, 1.0)))
    known = drawn[~np.isnan(drawn)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return Interval(value, float(low), float(high))


def _by_threshold(outcomes: Outcomes) -> tuple[Floats, Floats, Floats]:
    """Each distinct score, downwards, with the hits and the right hits at that threshold."""
    score, right = outcomes.score[outcomes.served], outcomes.right[outcomes.served]
    thresholds, place = np.unique(-score, return_inverse=True)
    return -thresholds, np.cumsum(np.bincount(place)), np.cumsum(np.bincount(place, weights=right))


def _resamples(units: int, seed: int) -> Iterator[Floats]:
    """How often each unit is drawn, in each resample."""
    rng = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        yield np.bincount(rng.integers(0, units, units), minlength=units).astype(np.float64)
