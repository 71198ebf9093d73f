"""What stops self-rewarding: a judge that people disagree with, that pays for length or place; a round that is worse (pure).

A model that is paid by its own judgement learns whatever that judgement is wrong about. So the judge is held against pairs that
people judged, before anything is trained and after every round; and each round against the one before it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from finetune.self_rewarding.judge import Scores
from finetune.self_rewarding.pairing import Made
from finetune.self_rewarding.settings import SelfRewarding
from finetune.side_by_side.side_by_side import POINTS, A, B, Judged, Result, summarise
from finetune.statistics import any_interval, as_document, mean_interval, wilson
from indexes.evaluation import Interval

FEWEST = 5
"""Pairs of either kind below which nothing is said of a difference between the kinds."""
MORE_EMPTY = 0.1
"""Share of answers by which more of them may be empty than before the first round."""
FEWER_ENDED = 0.5
"""Of the share of answers that ended by themselves before the first round, what must be left."""


@dataclass(frozen=True, slots=True)
class JudgeFigures:
    """What a judge is worth on pairs that people judged, the better answer being A.

    Attributes:
        result: A's win rate is the agreement, ties being half.
        asked, unread: judgements, and those without a score.
        alone: each answer was judged by itself: its place couldn't matter.
        gap: the agreement where the better answer is the longer one, less that where it is the shorter one; None: too few pairs.
        longer: share of pairs in which the judge prefers the longer answer; None: there are none that it decided.
        longer_for_people: the same of the people.
    """

    result: Result
    asked: int
    unread: int
    alone: bool
    gap: Interval | None
    longer: Interval | None
    longer_for_people: Interval | None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        intervals = {name: _as_document(getattr(self, name)) for name in ("gap", "longer", "longer_for_people")}
        place = None if self.alone else self.result.document()["place"]
        return {
            "agreement": as_document(self.result.win_rate), "pairs": self.result.pairs, "ties": self.result.ties,
            "sign_p": self.result.sign_p, "asked": self.asked, "unread": self.unread, **intervals, "place": place,
        }  # fmt: skip


def judge_figures(
    judged: Sequence[Judged], lengths: Sequence[tuple[int, int]], scores: Scores, *, alone: bool, seed: int
) -> JudgeFigures:
    """What a judge is worth.

    Args:
        judged: a verdict for each held-out pair, the better answer being A.
        lengths: characters of the better and of the worse answer.
        scores: how the verdicts came to be.
        alone: each answer was judged by itself.
        seed: of the bootstrap.
    """
    uneven = [(POINTS[each.verdict], a > b, each.verdict) for each, (a, b) in zip(judged, lengths, strict=True) if a != b]
    kinds = [sum(longer for _, longer, _ in uneven), sum(not longer for _, longer, _ in uneven)]
    decided = [(verdict == A) == longer for _, longer, verdict in uneven if verdict in (A, B)]
    return JudgeFigures(
        result=summarise(judged, seed=seed), asked=scores.asked, unread=scores.unread, alone=alone,
        gap=any_interval([each[:2] for each in uneven], _gap, seed=seed) if min(kinds) >= FEWEST else None,
        longer=wilson(sum(decided), len(decided)) if decided else None,
        longer_for_people=wilson(kinds[0], len(uneven)) if uneven else None,
    )  # fmt: skip


def _gap(pairs: Sequence[tuple[float, bool]]) -> float:
    sides = [[points for points, longer in pairs if longer is side] for side in (True, False)]
    return fmean(sides[0]) - fmean(sides[1]) if all(sides) else 0.0


def judge_stops(figures: JudgeFigures, settings: SelfRewarding) -> Iterator[str]:
    """Why nothing should be learned from a judge; none: nothing was found."""
    rate, result = figures.result.win_rate, figures.result
    if figures.unread > (1 - settings.min_read) * figures.asked:
        yield (
            f"the judge doesn't answer as it is asked: {figures.unread:,} of its {figures.asked:,} judgements hold no score "
            f"from 0 to 5, and at most {1 - settings.min_read:.0%} may"
        )
    if rate.value < settings.min_agreement or rate.low <= 0.5:
        yield (
            f"people disagree with the judge: it prefers the answer that they do in {percent(rate)} of {result.pairs} held-out "
            f"pairs, ties counting half; asked for are {settings.min_agreement:.0%}, and an interval above 50 %, which is chance"
        )
    if figures.gap and figures.gap.value > settings.max_length_gap and figures.gap.low > 0:
        yield (
            f"the judge pays for length: it is right more often where the better answer is the longer one, by "
            f"{percent(figures.gap)}, and at most {settings.max_length_gap:.0%} is allowed"
        )
    if not figures.alone and result.place.leans:
        which = "first" if result.place.first > result.place.second else "second"
        yield (
            f"the judge pays for the place: the answer that stands {which} wins {max(result.place.first, result.place.second)} "
            f"verdicts, the other {min(result.place.first, result.place.second)} (p = {result.place.p:.2g})"
        )


@dataclass(frozen=True, slots=True)
class PairFigures:
    """What a round would learn from.

    Attributes:
        made: its pairs.
        candidates: answers that were judged.
        asked, unread: judgements, and those without a score.
        longer: share of the pairs of unequal length in which the better answer is the longer one.
        correlation: of scores and lengths of the answers to a prompt, by ranks (Spearman), the mean over prompts.
        gain: the mean distance of the two scores.
    """

    made: Made
    candidates: int
    asked: int
    unread: int
    longer: Interval | None
    correlation: Interval | None
    gain: float | None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "pairs": len(self.made.pairs), "left": dict(self.made.left), "candidates": self.candidates, "asked": self.asked,
            "unread": self.unread, "longer": _as_document(self.longer), "correlation": _as_document(self.correlation),
            "gain": self.gain,
        }  # fmt: skip


def pair_figures(made: Made, texts: Sequence[Sequence[str]], scores: Scores, *, seed: int) -> PairFigures:
    """What is known of the pairs of a round.

    Args:
        made: the pairs.
        texts: candidates of each prompt.
        scores: theirs, prompt by prompt.
        seed: of the bootstrap.
    """
    lengths = [(len(pair.better.sample.completion), len(pair.worse.sample.completion)) for pair in made.pairs]
    uneven = [better > worse for better, worse in lengths if better != worse]
    found, start = [], 0
    for own in texts:
        known = [(score, len(text)) for text, score in zip(own, scores.each[start : start + len(own)], strict=True)
                 if score is not None]  # fmt: skip
        start += len(own)
        if len({score for score, _ in known}) > 1 and len({length for _, length in known}) > 1:
            found.append(spearman([float(score) for score, _ in known], [float(length) for _, length in known]))
    return PairFigures(
        made, len(scores.each), scores.asked, scores.unread,
        longer=wilson(sum(uneven), len(uneven)) if uneven else None,
        correlation=mean_interval(found, seed=seed) if found else None,
        gain=fmean(pair.scores[0] - pair.scores[1] for pair in made.pairs) if made.pairs else None,
    )  # fmt: skip


def pair_stops(figures: PairFigures, people: Mapping[str, Any] | None, settings: SelfRewarding) -> Iterator[str]:
    """Why nothing should be learned from a round's pairs.

    Args:
        figures: of the pairs.
        people: the interval of the share of held-out pairs in which people prefer the longer answer; None: unknown.
        settings: what is allowed.
    """
    if len(figures.made.pairs) < 2:
        reasons = "; ".join(figures.made.reasons())
        yield f"there is nothing to learn from: {len(figures.made.pairs)} pairs were made ({reasons})"
        return
    usual = people["value"] if people else 0.5
    if figures.longer and figures.longer.low > usual + settings.max_longer:
        yield (
            f"the judge pays for length: the longer answer wins {percent(figures.longer)} of the candidates' pairs, and "
            f"{usual:.0%} of the people's; at most {settings.max_longer:.0%} more are allowed"
        )


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """The correlation of ranks, ties sharing theirs (Spearman 1904). Both must hold two values that differ."""
    a, b = _ranks(one), _ranks(other)
    mean_a, mean_b = fmean(a), fmean(b)
    together = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    apart = sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)
    return float(together / apart**0.5)


def _ranks(values: Sequence[float]) -> list[float]:
    return [sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2 for value in values]


def round_stops(win: Result, now: Mapping[str, float], first: Mapping[str, float], settings: SelfRewarding) -> Iterator[str]:
    """Why a round that was trained isn't kept.

    Args:
        win: the new round (A) against the one before (B) on held-out prompts.
        now: what is told of its answers.
        first: the same of those before the first round.
        settings: what is allowed.
    """
    if win.better == B:
        yield f"the round lost against the one before: it wins {percent(win.win_rate)} of {win.prompts} held-out prompts"
    if now["distinct_2"] < settings.min_distinct * first["distinct_2"]:
        yield (
            f"its answers become one: distinct-2 fell from {first['distinct_2']:.3f} before the first round to "
            f"{now['distinct_2']:.3f}, below {settings.min_distinct:.0%} of it"
        )
    empty, ended = (wilson(round(now[name] * now["answers"]), int(now["answers"])) for name in ("empty", "ended"))
    if empty.value > first["empty"] + MORE_EMPTY and empty.low > first["empty"]:
        yield f"its answers say nothing: {percent(empty)} are empty, and {first['empty']:.0%} were before the first round"
    fewer = ended.value < FEWER_ENDED * first["ended"] and ended.high < first["ended"]
    if fewer and not settings.cut_may_win:
        yield f"its answers don't end: {percent(ended)} do by themselves, and {first['ended']:.0%} did before the first round"


def percent(interval: Interval) -> str:
    """E.g. ``61.0 % [54.1, 67.5]``."""
    return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _as_document(interval: Interval | None) -> dict[str, float] | None:
    return None if interval is None else as_document(interval)
