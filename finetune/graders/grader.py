"""What a grader is: samples in, one finite number each out; and several of them as one weighted sum.

A score is a number of which more is better; it has no unit. Nothing here loads a model.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from assistant.records import Message
from finetune.graders.errors import GraderFault

SHOWN = 60
"""Characters of an answer that a fault shows."""


@dataclass(frozen=True)
class Sample:
    """An answer to be scored.

    Attributes:
        prompt: what it was written from.
        completion: what was written, without the token that ends it.
        row: the fields of the data's row, such as ``passages``, ``answer`` or ``text``.
    """

    prompt: tuple[Message, ...]
    completion: str
    row: Mapping[str, Any]

    @property
    def asked(self) -> str:
        """The prompt as one text: what its messages hold, a blank line between them."""
        return "\n\n".join(message.content for message in self.prompt)

    @property
    def read(self) -> str:
        """What a judge of texts reads: a text that was gone on with is read whole, of a conversation only the answer."""
        text = self.row.get("text")
        goes_on = isinstance(text, str) and len(self.prompt) == 1 and text.startswith(self.prompt[0].content)
        return self.prompt[0].content + self.completion if goes_on else self.completion


class Grader(Protocol):
    """Scores answers."""

    @property
    def name(self) -> str: ...

    def score(self, samples: Sequence[Sample]) -> list[float]:
        """One finite number for each sample, in their order.

        Raises:
            GraderFault: it can't.
        """
        ...


@dataclass(frozen=True)
class Part:
    """A grader of a weighted sum.

    Attributes:
        name: unlike that of all others in the sum.
        weight: what its scores are multiplied with; below 0 they are a penalty.
        grader: the grader.
    """

    name: str
    weight: float
    grader: Grader


@dataclass(frozen=True)
class Graded:
    """Scores of samples.

    Attributes:
        totals: Σ weight · score, one a sample.
        parts: each part's own scores, not weighted, by its name.
    """

    totals: list[float]
    parts: Mapping[str, list[float]]


class WeightedGrader:
    """The weighted sum of several graders: Σ weight · score. Closes those that hold a process when it is closed.

    Args:
        parts: at least one; parts of one name are numbered.
    """

    def __init__(self, parts: Iterable[tuple[Grader, float]]) -> None:
        named: list[Part] = []
        for grader, weight in parts:
            same = sum(part.grader.name == grader.name for part in named)
            named.append(Part(f"{grader.name}#{same + 1}" if same else grader.name, weight, grader))
        self.parts = tuple(named)

    @property
    def name(self) -> str:
        """All parts with their weights."""
        return " + ".join(part.name if part.weight == 1 else f"{part.weight:g} × {part.name}" for part in self.parts)

    def score(self, samples: Sequence[Sample]) -> list[float]:
        return self.grade(samples).totals

    def grade(self, samples: Sequence[Sample]) -> Graded:
        """Scores with those of each part.

        Raises:
            GraderFault: a part can't score, or gives something that is no number.
        """
        found = {part.name: checked(part.name, part.grader.score(samples), samples) for part in self.parts}
        totals = [sum(part.weight * found[part.name][at] for part in self.parts) for at in range(len(samples))]
        return Graded(totals, found)

    def close(self) -> None:
        """End the processes of those parts that have one."""
        for part in self.parts:
            if close := getattr(part.grader, "close", None):
                close()

    def __enter__(self) -> "WeightedGrader":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def checked(name: str, scores: Sequence[float], samples: Sequence[Sample]) -> list[float]:
    """Scores as they may reach a training: as many as there are samples, and all of them finite.

    Raises:
        GraderFault: they aren't.
    """
    if len(scores) != len(samples):
        raise GraderFault(
            f"the grader {name!r} gave {len(scores)} scores for {len(samples)} answers",
            hint="give one score for each answer, in their order",
        )
    for score, sample in zip(scores, samples, strict=True):
        if not math.isfinite(score):
            raise GraderFault(
                f"the grader {name!r} gave {score!r} for the answer {shown(sample.completion)}",
                hint="give a finite number for every answer, be it empty; cut extremes off",
            )
    return [float(score) for score in scores]


def shown(text: str) -> str:
    """The beginning of a text, as a fault shows it."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")
