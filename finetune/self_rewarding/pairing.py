"""Judged candidates → pairs to learn from: the best and the worst answer to each prompt, where they really differ (pure).

An answer that was cut off can only be the worse one: learned as the better one, with an end behind it, it would teach to
break off. One that says nothing is in no pair.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from finetune.self_rewarding.candidates import Answer

Left = Literal["empty", "unread", "cut", "tie", "close"]
WHY: dict[Left, str] = {
    "empty": "fewer than two answers say anything",
    "unread": "fewer than two answers could be judged",
    "cut": "no answer that scores above another ended by itself",
    "tie": "all answers score alike",
    "close": "best and worst score too close together, or are one text",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A pair that a judge's scores made.

    Attributes:
        better, worse: the answers.
        scores: theirs.
    """

    better: Answer
    worse: Answer
    scores: tuple[float, float]

    def row(self, documents: Sequence[str]) -> dict[str, Any]:
        """As a file of pairs holds it."""
        prompt = [{"role": message.role, "content": message.content} for message in self.better.sample.prompt]
        return {
            "prompt": prompt, "chosen": self.better.sample.completion, "rejected": self.worse.sample.completion,
            "score_chosen": self.scores[0], "score_rejected": self.scores[1],
            **({"documents": list(documents)} if documents else {}),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """What came of all prompts.

    Attributes:
        pairs: at most one a prompt.
        left: prompts without one, by why.
    """

    pairs: tuple[Chosen, ...]
    left: Counter[Left]

    def reasons(self) -> Iterator[str]:
        """Why prompts have no pair, for people."""
        yield from (f"of {count} prompts {WHY[why]}" for why, count in self.left.most_common())


def make_pairs(
    answers: Sequence[Sequence[Answer]], scores: Sequence[Sequence[float | None]], *, margin: float, cut_may_win: bool
) -> Made:
    """The best and the worst answer to each prompt.

    Args:
        answers: to each prompt.
        scores: of each answer; None: it couldn't be judged.
        margin: both must score further apart than this.
        cut_may_win: let answers that were cut off be the better ones.
    """
    pairs, left = [], Counter[Left]()
    for own, judged in zip(answers, scores, strict=True):
        found = _best_and_worst(own, judged, margin, cut_may_win=cut_may_win)
        if isinstance(found, Chosen):
            pairs.append(found)
        else:
            left[found] += 1
    return Made(tuple(pairs), left)


def _best_and_worst(
    answers: Sequence[Answer], scores: Sequence[float | None], margin: float, *, cut_may_win: bool
) -> Chosen | Left:
    told = [(score, answer) for score, answer in zip(scores, answers, strict=True) if not answer.empty]
    if len(told) < 2:
        return "empty"
    known = [(score, answer) for score, answer in told if score is not None]
    if len(known) < 2:
        return "unread"
    low, worst = min(known, key=lambda one: one[0])
    if max(score for score, _ in known) == low:
        return "tie"
    whole = [one for one in known if one[1].ended or cut_may_win]
    high, best = max(whole, key=lambda one: one[0], default=(low, worst))
    if high <= low:
        return "cut"
    if high - low <= margin or best.sample.completion.strip() == worst.sample.completion.strip():
        return "close"
    return Chosen(best, worst, (high, low))
