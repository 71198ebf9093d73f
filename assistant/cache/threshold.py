"""When a likeness is enough: a fitted score, a threshold with a guarantee, and a bound on what was served wrongly.

The threshold is chosen by Learn-then-Test (Angelopoulos et al. 2021, arXiv 2110.01052) with fixed-sequence testing: from the
strictest one on it is loosened as long as the one-sided Clopper-Pearson bounds on both risks stay under their limits, and the
first that fails ends it. The guarantee holds for questions like those it was chosen on. Audited hits are bounded at every moment
at once by a mixture martingale (Robbins 1970): looking at it often doesn't spoil it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PRESETS = Path(__file__).with_name("presets.json")
HALVINGS = 60
STEPS = tuple(1 - step / 200 for step in range(1, 200))
"""Thresholds that are tried, the strictest first."""


@dataclass(frozen=True, slots=True)
class Node:
    """A place in a decision tree: goes on to ``low`` where the feature is at most ``limit``, else to ``high``; or has a value.

    Attributes:
        feature: its name; empty for a leaf.
        limit: where the two ways part.
        low, high: places of the next nodes in the tree.
        value: what a leaf adds to the log-odds.
    """

    feature: str
    limit: float
    low: int
    high: int
    value: float


@dataclass(frozen=True, slots=True)
class Preset:
    """What was fitted for one embedding model.

    Attributes:
        bias: log-odds to begin with.
        trees: gradient-boosted trees (Friedman 2001) whose leaves are added to it, the root of each first.
        threshold: the lowest score at which an answer is served.
        floor: the cosine below which no pair is looked at more closely.
        certificate: what the threshold guarantees, on what, and with which figures.
    """

    bias: float
    trees: Sequence[Sequence[Node]]
    threshold: float
    floor: float
    certificate: Mapping[str, object]

    def score(self, features: Mapping[str, float]) -> float:
        """Probability that the answer is right for the question, in [0, 1]."""
        z = self.bias + math.fsum(_leaf(tree, features) for tree in self.trees)
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, z))))

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> "Preset":
        """Read from JSON."""
        trees = [[Node(*node) for node in tree] for tree in data["trees"]]
        return cls(data["bias"], trees, data["threshold"], data["floor"], data["certificate"])

    def write(self) -> dict[str, Any]:
        """The inverse of ``read``."""
        trees = [[[node.feature, node.limit, node.low, node.high, node.value] for node in tree] for tree in self.trees]
        return {
            "bias": self.bias, "threshold": self.threshold, "floor": self.floor, "certificate": dict(self.certificate),
            "trees": trees,
        }  # fmt: skip


def _leaf(tree: Sequence[Node], features: Mapping[str, float]) -> float:
    node = tree[0]
    while node.feature:
        node = tree[node.low if features[node.feature] <= node.limit else node.high]
    return node.value


@cache
def shipped(weights_hash: str) -> Preset | None:
    """The preset of an embedding model, by the hash of its weights; None: nothing was certified for it."""
    found = json.loads(PRESETS.read_text("utf-8")).get(weights_hash)
    return Preset.read(found) if found else None


def upper_bound(wrong: int, of: int, confidence: float = 0.95) -> float:
    """One-sided Clopper-Pearson bound: the highest rate at which so few would still be seen with more than 1 - confidence."""
    if wrong >= of:
        return 1.0
    low, high = wrong / of, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(wrong, of, middle) > 1 - confidence else (low, middle)
    return high


def _at_most(wrong: int, of: int, rate: float) -> float:
    """Probability of at most so many of a binomial variable."""
    if rate <= 0 or rate >= 1:
        return float(rate <= 0)
    logs = [_log_choose(of, k) + k * math.log(rate) + (of - k) * math.log1p(-rate) for k in range(wrong + 1)]
    return math.fsum(math.exp(value) for value in logs)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


@dataclass(frozen=True, slots=True)
class Certified:
    """A threshold with what was seen at it. ``wrong_per_hit`` and ``wrong_per_request`` are upper bounds."""

    threshold: float
    hits: int
    wrong: int
    requests: int
    wrong_per_hit: float
    wrong_per_request: float


def learn_then_test(
    scores: Sequence[float],
    right: Sequence[bool],
    *,
    requests: int,
    per_hit: float,
    per_request: float,
    confidence: float = 0.95,
    least_hits: int = 100,
    steps: Sequence[float] = STEPS,
) -> Certified | None:
    """The loosest threshold whose two risks are certified to be under their limits; None: not even the strictest is.

    Args:
        scores: of the best candidate of each request that has one.
        right: whether its answer is right for the request.
        requests: how many requests there were, those without a candidate included.
        per_hit: limit of the share of hits that are wrong.
        per_request: limit of the share of requests that are answered wrongly.
        confidence: that both limits hold; each bound gets half of the rest.
        least_hits: the sequence begins at the first threshold with so many; fewer could prove nothing.
        steps: thresholds, the strictest first, fixed before the scores were seen.
    """
    best, each = None, 1 - (1 - confidence) / 2
    for threshold in steps:
        served = [ok for score, ok in zip(scores, right, strict=True) if score >= threshold]
        if len(served) < least_hits:
            continue  # known from the scores alone, so that skipping these tests nothing
        wrong = served.count(False)
        hit, request = upper_bound(wrong, len(served), each), upper_bound(wrong, requests, each)
        if request > per_request or hit > per_hit:
            break
        best = Certified(threshold, len(served), wrong, requests, hit, request)
    return best


def running_bound(wrong: int, audited: int, confidence: float = 0.95) -> float | None:
    """An upper bound on the rate of wrong hits that holds at every moment at once; None: nothing was audited yet.

    The rates p that are not refuted: the mixture of all alternatives against p, ∫ θ^w (1-θ)^(n-w) dθ / p^w (1-p)^(n-w), hasn't
    reached 1 / (1 - confidence).
    """
    if not audited:
        return None
    mixture = -math.log(audited + 1) - _log_choose(audited, wrong)
    limit = -math.log(1 - confidence)

    def is_refuted(rate: float) -> bool:
        likelihood = (wrong * math.log(rate) if wrong else 0.0) + (audited - wrong) * math.log1p(-rate)
        return mixture - likelihood >= limit

    low, high = wrong / audited, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if middle >= 1 or is_refuted(middle) else (middle, high)
    return high
