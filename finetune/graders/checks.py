"""The built-in graders: the assistant's own checks of an answer as scores. All of them lie in [0, 1], 1 being best.

    grounding    supported / sentences · honest
                 Of an answer that abstains: 1 where the row says that it can't be answered, else 0. Without words: 0.
    citations    2PR / (P + R) · honest, P = right markers / markers, R = sentences with a right marker / sentences
                 A marker is right if its passage supports its sentence. Abstaining and no words as for grounding; no markers: 0.
    abstention   1 where the answer abstains and the row can't be answered, or neither; else 0. Without words: 0.
    format       ½ · ends + ½ · (1 − repeated); ends: the last sign ends a sentence (1 or 0); repeated: share of its runs of
                 4 words that were there before. Without words: 0.
    length:A-B   w / A below A words, 1 from A to B, max(0, 1 − (w − B) / B) above
    language:XX  1 in that language, ½ where its language isn't sure, else 0; ``language`` alone: the question's

``honest`` is ``Standing.honest``: share of sentences that say something new · (1 − max(0, 2c − 1)), c the share of a passage that
is copied. ``grounding:literal`` and ``citations:literal`` want the very words; the others also take what means the same.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assistant.checking.verdicts import Embed
from finetune.graders.errors import GraderFault
from finetune.graders.grader import Sample, shown
from finetune.graders.passages import Standing, hits_of, is_abstention, is_answerable, question_of, stand, without_markers
from finetune.languages import NAMES, UNSPACED, main_script, recognise
from indexes.errors import UsageError

RUN = 4
"""Words of a run that is looked for again."""
_ENDS = re.compile(r"(?:[.!?…。！？।؟։]|```)[\"'”’»)\]*_`]*\s*\Z")
_BAND = re.compile(r"(\d{1,6})-(\d{1,6})")


@dataclass(frozen=True)
class GroundingGrader:
    """Whether an answer's sentences are supported by the passages.

    Attributes:
        embed: texts to unit vectors; None: only the very words count.
    """

    embed: Embed | None = None

    @property
    def name(self) -> str:
        return "grounding" if self.embed else "grounding:literal"

    def score(self, samples: Sequence[Sample]) -> list[float]:
        return [_graded(sample, self.name, self.embed, supported_share) for sample in samples]


@dataclass(frozen=True)
class CitationGrader:
    """Whether an answer's markers point at passages that support its sentences.

    Attributes:
        embed: as of ``GroundingGrader``.
    """

    embed: Embed | None = None

    @property
    def name(self) -> str:
        return "citations" if self.embed else "citations:literal"

    def score(self, samples: Sequence[Sample]) -> list[float]:
        return [_graded(sample, self.name, self.embed, citation_f1) for sample in samples]


def _graded(sample: Sample, name: str, embed: Embed | None, measure: Callable[[Standing], float]) -> float:
    if is_abstention(sample.completion):
        return float(is_answerable(sample.row) is False)
    if not (hits := hits_of(sample)):
        raise GraderFault(
            f"{name} needs the passages of an answer, and the row of {shown(sample.asked)} has none",
            hint='give rows with "passages" (finetune data raft makes them), or another grader',
        )
    standing = stand(sample.completion, hits, embed)
    return measure(standing) * standing.honest if standing.sentences else 0.0


def supported_share(standing: Standing) -> float:
    """Share of sentences that a passage supports."""
    return sum(one.supported for one in standing.sentences) / len(standing.sentences)


def citation_f1(standing: Standing) -> float:
    """The harmonic mean of how many markers are right and how many sentences have a right one."""
    markers = sum(len(one.said.cited) for one in standing.sentences)
    right = sum(len(set(one.said.cited) & set(one.right)) for one in standing.sentences)
    precision = right / markers if markers else 0.0
    recall = sum(bool(one.right) for one in standing.sentences) / len(standing.sentences)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@dataclass(frozen=True)
class AbstentionGrader:
    """Whether an answer abstains exactly where its row can't be answered."""

    name: str = "abstention"

    def score(self, samples: Sequence[Sample]) -> list[float]:
        return [self._score(sample) for sample in samples]

    def _score(self, sample: Sample) -> float:
        answerable = is_answerable(sample.row)
        if answerable is None:
            raise GraderFault(
                f"{self.name} needs to know whether a question can be answered, and the row of {shown(sample.asked)} doesn't say",
                hint='give rows "answerable": true or false, or an answer of their own',
            )
        said = bool(words(sample.completion))
        return float(said and is_abstention(sample.completion) is not answerable)


@dataclass(frozen=True)
class FormatGrader:
    """Whether an answer ends, and doesn't go in circles."""

    name: str = "format"

    def score(self, samples: Sequence[Sample]) -> list[float]:
        return [self._score(without_markers(sample.completion)) for sample in samples]

    def _score(self, text: str) -> float:
        said = words(text)
        return 0.5 * bool(_ENDS.search(text)) + 0.5 * (1 - repeated_share(said)) if said else 0.0


@dataclass(frozen=True)
class LengthGrader:
    """Whether an answer has as many words as are wanted.

    Attributes:
        least, most: the band, both inclusive.
    """

    least: int
    most: int

    @property
    def name(self) -> str:
        return f"length:{self.least}-{self.most}"

    def score(self, samples: Sequence[Sample]) -> list[float]:
        return [self._score(len(words(without_markers(sample.completion)))) for sample in samples]

    def _score(self, count: int) -> float:
        if count < self.least:
            return count / self.least
        return max(0.0, 1 - max(0, count - self.most) / self.most)


@dataclass(frozen=True)
class LanguageGrader:
    """Whether an answer is in a language.

    Attributes:
        code: ISO 639-1; None: the question's.
    """

    code: str | None = None

    @property
    def name(self) -> str:
        return f"language:{self.code}" if self.code else "language"

    def score(self, samples: Sequence[Sample]) -> list[float]:
        return [self._score(sample) for sample in samples]

    def _score(self, sample: Sample) -> float:
        wanted = self.code or recognise(question_of(sample)).code
        found = recognise(without_markers(sample.completion))
        if not found.script:
            return 0.0
        return 0.5 if None in (wanted, found.code) else float(found.code == wanted)


def words(text: str) -> list[str]:
    """The words of a text, in small letters; in a script without spaces, pairs of letters stand for words."""
    said = re.findall(r"\w+", text.casefold())
    if main_script(text) not in UNSPACED:
        return said
    letters = "".join(said)
    return [letters[at : at + 2] for at in range(0, len(letters), 2)]


def repeated_share(said: Sequence[str]) -> float:
    """Share of the runs of ``RUN`` words that were there before."""
    runs = [tuple(said[at : at + RUN]) for at in range(len(said) - RUN + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def read_band(text: str) -> tuple[int, int]:
    """The band of ``length:20-60``.

    Raises:
        UsageError: it is none.
    """
    found = _BAND.fullmatch(text)
    if not found or not 0 < int(found[1]) <= int(found[2]):
        raise UsageError(f"{text!r} is no band of lengths in words", hint="--grader length:20-60")
    return int(found[1]), int(found[2])


def read_language(text: str) -> str:
    """The code of ``language:en``.

    Raises:
        UsageError: there is no such language.
    """
    codes = {name.lower(): code for code, name in NAMES.items()}
    code = text if text in NAMES else codes.get(text.lower())
    if code is None:
        raise UsageError(f"{text!r} is no language that is known here", hint="give its ISO 639-1 code: --grader language:en")
    return code
