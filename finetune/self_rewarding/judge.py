"""Who says what an answer is worth: a model by a rubric, five points at most, or a grader in its place.

The rubric asks for points that add up, as in Yuan et al. 2024 ("Self-Rewarding Language Models", arXiv 2401.10020, figure 2), in
our own words. Each answer is judged alone, several times, and the mean of the scores that could be read counts.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Protocol

from finetune.base_model import Base
from finetune.graders.attacks import ROWS, check_repeatable
from finetune.graders.grader import Sample, WeightedGrader, checked
from finetune.self_rewarding.chunks import Line, in_parts, seed_for
from finetune.self_rewarding.settings import SelfRewarding
from finetune.side_by_side.judges import UNTRUSTED, GraderJudge, Pair, ask
from finetune.side_by_side.side_by_side import TIE, Judged, verdict_of

MOST = 5
RUBRIC = f"""An answer to a task is below. Give it a point for each of these that holds, {MOST} points at most:
- it is about what was asked;
- it answers the main part of that;
- it answers all of it, and says so where something can't be known;
- what it says is right by what the task gives;
- it is clear, and no longer than it must be.
{UNTRUSTED}

=== Task ===
{{task}}

=== Answer ===
{{answer}}

=== End ===
Say in one sentence why. Then write the points on a line of their own, from 0 to {MOST}, like this:
Score: 3"""
_NUMBER = rf"(\d+(?:\.\d+)?)(?:\s*(?:/|out of)\s*({MOST})\b)?(?!\s*(?:-|–|to|/|out of)\s*\d)(?![\d.]*\d)"
_SAID = re.compile(rf"\b(?:score|points?)\b[\s*_:=]{{1,6}}{_NUMBER}", re.IGNORECASE)
_BARE = re.compile(rf"[\s*_]*{_NUMBER}[\s*_.]*(?:points?)?[\s*_.]*", re.IGNORECASE)
Wearing = Callable[[Path | None], AbstractContextManager[Base]]


@dataclass(frozen=True, slots=True)
class Scores:
    """What answers are worth.

    Attributes:
        each: a score an answer; None: nothing that was said of it could be read.
        asked: judgements that were asked for.
        unread: those of them that hold no score.
    """

    each: list[float | None]
    asked: int
    unread: int


class Judge(Protocol):
    """Says what answers are worth, and which of two is better."""

    @property
    def name(self) -> str: ...

    @property
    def alone(self) -> bool:
        """Whether it sees one answer at a time, so that their order can't matter."""
        ...

    def score(self, samples: Sequence[Sample], file: Path, *, what: Sequence[object]) -> Scores:
        """A score for each sample; ``file`` keeps them, ``what`` they are for is their seed."""
        ...

    def judge(self, pairs: Sequence[Pair], file: Path, *, what: Sequence[object]) -> tuple[list[Judged], Scores]:
        """A verdict for each pair, and how it came to be."""
        ...

    def chance(self, pairs: Sequence[Pair]) -> list[str]:
        """Why its scores can't be had again, in words; of what is drawn by a seed nothing is said."""
        ...


def rubric(task: str, answer: str) -> str:
    """What a model is asked. Texts go in once, so that braces in one of them stay what they are."""
    return RUBRIC.format(task=task.strip(), answer=answer.strip())


def read_score(text: str) -> float | None:
    """``Score: 4`` → 4.0, also ``**Score:** 4/5`` and a number alone; the last one counts. None: there is none from 0 to 5."""
    found = _SAID.findall(text)
    alone = None if found else _BARE.fullmatch(text)
    said = found[-1][0] if found else alone[1] if alone else None
    return float(said) if said is not None and float(said) <= MOST else None


@dataclass(frozen=True)
class RubricJudge:
    """A model that judges answers one by one.

    Attributes:
        name: as it is shown.
        wearing: puts an adapter on the base for a while.
        adapter: of the judge; None: the base alone.
        settings: how many judgements, and how they are drawn.
    """

    name: str
    wearing: Wearing
    adapter: Path | None
    settings: SelfRewarding
    alone = True

    def score(self, samples: Sequence[Sample], file: Path, *, what: Sequence[object]) -> Scores:
        with self.wearing(self.adapter) as base:
            lines = in_parts(file, len(samples), lambda part: self._judged(base, samples[part.start : part.stop], part, what))
        unread = sum(line["unread"] for line in lines)
        return Scores([line["score"] for line in lines], sum(line["asked"] for line in lines), unread)

    def judge(self, pairs: Sequence[Pair], file: Path, *, what: Sequence[object]) -> tuple[list[Judged], Scores]:
        count = len(pairs)
        scores = self.score([*(pair.a for pair in pairs), *(pair.b for pair in pairs)], file, what=what)
        sides = zip(pairs, scores.each[:count], scores.each[count:], strict=True)
        return [_verdict(pair, a, b) for pair, a, b in sides], scores

    def chance(self, pairs: Sequence[Pair]) -> list[str]:  # noqa: ARG002 - each judgement has its seed
        return []

    def _judged(self, base: Base, samples: Sequence[Sample], part: range, what: Sequence[object]) -> list[Line]:
        """Several judgements of each; of an answer that says nothing it is known that it is worth nothing."""
        times, settings = self.settings.judgements, self.settings
        asked = [at for at, sample in enumerate(samples) if sample.completion.strip() for _ in range(times)]
        said = ask(
            base, [rubric(samples[at].asked, samples[at].completion) for at in asked], tokens=settings.judgement_tokens,
            temperature=settings.temperature, seed=seed_for(settings.seed, *what, part.start), at_once=settings.write_batch,
        )  # fmt: skip
        read: dict[int, list[float | None]] = {}
        for at, text in zip(asked, said, strict=True):
            read.setdefault(at, []).append(None if text is None else read_score(text))
        return [_line(read.get(at)) for at in range(len(samples))]


def _line(scores: Sequence[float | None] | None) -> Line:
    if scores is None:
        return {"score": 0.0, "asked": 0, "unread": 0}
    known = [score for score in scores if score is not None]
    return {"score": fmean(known) if known else None, "asked": len(scores), "unread": len(scores) - len(known)}


def _verdict(pair: Pair, a: float | None, b: float | None) -> Judged:
    """Of two answers that were judged alone: the same in either order; a tie where one couldn't be judged."""
    if pair.same:
        return Judged(pair.prompt, TIE, TIE, a, a, same=True)
    verdict = TIE if a is None or b is None else verdict_of(a - b, 0.0)
    return Judged(pair.prompt, verdict, verdict, a, b, unread=2 * (a is None or b is None))


@dataclass(frozen=True)
class GradedJudge:
    """A grader in the place of the model's own judgement.

    Attributes:
        grader: scores answers.
    """

    grader: WeightedGrader
    alone = False

    @property
    def name(self) -> str:
        return self.grader.name

    def score(self, samples: Sequence[Sample], file: Path, *, what: Sequence[object]) -> Scores:  # noqa: ARG002 - draws nothing
        def grade(part: range) -> list[Line]:
            own = samples[part.start : part.stop]
            return [{"score": score} for score in checked(self.name, self.grader.score(own), own)]

        lines = in_parts(file, len(samples), grade)
        return Scores([line["score"] for line in lines], len(lines), 0)

    def judge(self, pairs: Sequence[Pair], file: Path, *, what: Sequence[object]) -> tuple[list[Judged], Scores]:  # noqa: ARG002 - fast
        judged = GraderJudge(self.name, self.grader).judge(pairs)
        return judged, Scores([each.a for each in judged] + [each.b for each in judged], 2 * len(judged), 0)

    def chance(self, pairs: Sequence[Pair]) -> list[str]:
        report = check_repeatable(self.grader, [pair.a for pair in pairs[:ROWS]])
        return [f"the judge's scores hold chance, or the order in which answers are given to it: {why}" for why in report.faults]
