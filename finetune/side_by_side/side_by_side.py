"""Two models on the same prompts: who wins, how often, and whether that could be chance (pure).

A judge sees each pair in both orders. A win counts only where both orders say so; what changes with the order is a tie, and is
told as the judge's leaning to a place. Several answers to a prompt aren't several prompts: intervals and the test go by prompts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from finetune.statistics import any_interval, as_document, mean_interval, wilson
from indexes.evaluation import Interval

A, TIE, B = 1, 0, -1
"""A verdict: who is better."""
POINTS = {A: 1.0, TIE: 0.5, B: 0.0}
UNFAIR = 0.05
"""A judge leans to a place where chance alone would make it look so less often than this."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge says of a pair of answers.

    Attributes:
        prompt: number of their prompt.
        forward: the verdict where A's answer stands first; None: it wasn't asked in that order.
        backward: where B's does; None likewise.
        a, b: scores; None where the judge gives none.
        unread: verdicts that couldn't be understood, and count as ties.
        same: both answers are the same text, and nobody was asked.
    """

    prompt: int
    forward: int | None
    backward: int | None
    a: float | None = None
    b: float | None = None
    unread: int = 0
    same: bool = False

    @property
    def verdict(self) -> int:
        """Of both orders, if it was asked in both: who wins in each of them."""
        said = [each for each in (self.forward, self.backward) if each is not None]
        return said[0] if said and all(each == said[0] for each in said) else TIE

    @property
    def swapped(self) -> "Judged":
        """The same with the names exchanged."""
        forward, backward = (None if each is None else -each for each in (self.backward, self.forward))
        return Judged(self.prompt, forward, backward, self.b, self.a, self.unread, self.same)


@dataclass(frozen=True, slots=True)
class Place:
    """How a judge leans to a place.

    Attributes:
        first, second: verdicts for the answer that stood first, and second.
        changed: pairs whose verdict changes with the order, of those that were judged in both.
        both: pairs that were judged in both orders.
        share: of the verdicts that aren't ties, those for the first; None: there are none.
        p: how often a judge without a leaning would look so or worse; two-sided.
    """

    first: int
    second: int
    changed: int
    both: int
    share: Interval | None
    p: float

    @property
    def leans(self) -> bool:
        """Whether that is more than chance."""
        return self.p < UNFAIR


@dataclass(frozen=True, slots=True)
class Result:
    """Two models by one judge.

    Attributes:
        pairs: that were judged.
        prompts: that they belong to.
        wins, ties, losses: of A's, pairs.
        win_rate: of A, a tie being half; bootstrapped over prompts.
        decided: of the pairs that aren't ties, A's share; Wilson's interval where each prompt has one pair, else bootstrapped.
        sign_p: how often two equal models would differ so or more; by prompts, two-sided.
        mean_difference, median_difference: of scores, A's less B's, by prompts; None: the judge gives none.
        place: the judge's leaning.
        unread: verdicts that couldn't be understood.
        same: pairs of one text.
    """

    pairs: int
    prompts: int
    wins: int
    ties: int
    losses: int
    win_rate: Interval
    decided: Interval | None
    sign_p: float
    mean_difference: Interval | None
    median_difference: Interval | None
    place: Place
    unread: int
    same: int

    @property
    def better(self) -> int:
        """Who is better by more than chance: the interval leaves out one half, and the test agrees."""
        outside = self.win_rate.low > 0.5 or self.win_rate.high < 0.5
        return (A if self.win_rate.value > 0.5 else B) if outside and self.sign_p < UNFAIR else TIE

    def document(self) -> dict[str, Any]:
        """As JSON."""
        intervals = {
            name: None if (each := getattr(self, name)) is None else as_document(each)
            for name in ("win_rate", "decided", "mean_difference", "median_difference")
        }
        place = {
            "first": self.place.first, "second": self.place.second, "changed": self.place.changed, "both": self.place.both,
            "share": None if self.place.share is None else as_document(self.place.share), "p": self.place.p,
            "leans": self.place.leans,
        }  # fmt: skip
        counts = {name: getattr(self, name) for name in ("pairs", "prompts", "wins", "ties", "losses", "unread", "same")}
        return {**counts, **intervals, "sign_p": self.sign_p, "better": {A: "a", B: "b", TIE: None}[self.better], "place": place}


def verdict_of(difference: float, margin: float) -> int:
    """Who wins by scores: nobody, where they differ by no more than a margin."""
    return TIE if abs(difference) <= margin else A if difference > 0 else B


def summarise(judged: Sequence[Judged], *, seed: int = 0) -> Result:
    """Put verdicts together.

    Args:
        judged: at least one.
        seed: of the bootstrap.

    Raises:
        ValueError: there are none.
    """
    if not judged:
        raise ValueError("no pair was judged")
    verdicts = [each.verdict for each in judged]
    wins, losses = verdicts.count(A), verdicts.count(B)
    points = _by_prompt({at: POINTS[verdict] for at, verdict in enumerate(verdicts)}, judged)
    differences = _by_prompt(
        {at: each.a - each.b for at, each in enumerate(judged) if each.a is not None and each.b is not None}, judged
    )
    return Result(
        pairs=len(judged), prompts=len(points), wins=wins, ties=len(judged) - wins - losses, losses=losses,
        win_rate=mean_interval(points, seed=seed),
        decided=_decided(verdicts, judged, seed),
        sign_p=sign_test(sum(each > 0.5 for each in points), sum(each < 0.5 for each in points)),
        mean_difference=mean_interval(differences, seed=seed) if differences else None,
        median_difference=any_interval(differences, median, seed=seed) if differences else None,
        place=leaning(judged), unread=sum(each.unread for each in judged), same=sum(each.same for each in judged),
    )  # fmt: skip


def sign_test(above: int, below: int) -> float:
    """The p-value of so many of one sign and so many of the other, where both are as likely; two-sided, exact, ties left out.

    Source: Arbuthnot 1710; Dixon and Mood 1946, "The statistical sign test".
    """
    count, fewer = above + below, min(above, below)
    tail = sum(math.comb(count, number) for number in range(fewer + 1))
    return min(1.0, 2 * tail / (1 << count))


def leaning(judged: Sequence[Judged]) -> Place:
    """How a judge leans to the answer that stands first, or second.

    A pair that is judged in both orders says nothing of the leaning where it wins in both: it is one verdict for either place.
    """
    asked = [each for each in judged if not each.same]
    first = sum(each.forward == A for each in asked) + sum(each.backward == B for each in asked)
    second = sum(each.forward == B for each in asked) + sum(each.backward == A for each in asked)
    both = [each for each in asked if each.forward is not None and each.backward is not None]
    drawn = [_drawn_to(each) for each in asked]
    return Place(
        first, second, sum(each.forward != each.backward for each in both), len(both),
        wilson(first, first + second) if first + second else None,
        sign_test(sum(each > 0 for each in drawn), sum(each < 0 for each in drawn)),
    )  # fmt: skip


def _drawn_to(pair: Judged) -> int:
    """Verdicts of a pair for the first place less those for the second; 0 where the order made no difference."""
    return (0 if pair.forward is None else pair.forward) - (0 if pair.backward is None else pair.backward)


def _by_prompt(values: Mapping[int, float], judged: Sequence[Judged]) -> list[float]:
    """The mean of each prompt's pairs."""
    grouped: dict[int, list[float]] = {}
    for at, value in values.items():
        grouped.setdefault(judged[at].prompt, []).append(value)
    return [fmean(each) for each in grouped.values()]


def _decided(verdicts: Sequence[int], judged: Sequence[Judged], seed: int) -> Interval | None:
    told = [(each.prompt, verdict) for each, verdict in zip(judged, verdicts, strict=True) if verdict != TIE]
    if not told:
        return None
    won = sum(verdict == A for _, verdict in told)
    grouped: dict[int, list[int]] = {}
    for prompt, verdict in told:
        grouped.setdefault(prompt, []).append(verdict)
    if len(grouped) == len(told):
        return wilson(won, len(told))
    return any_interval(list(grouped.values()), _share, seed=seed)


def _share(groups: Sequence[Sequence[int]]) -> float:
    told = [verdict for group in groups for verdict in group]
    return sum(verdict == A for verdict in told) / len(told)
