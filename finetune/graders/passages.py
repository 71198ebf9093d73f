"""The passages of a sample, what its row says of them, and how an answer stands to them, by the assistant's own checks.

Knows no scores: ``checks`` makes them of what is found here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.checking.answer_text import MARKER, Said, one_by_one, split_answer
from assistant.checking.verdicts import Embed
from assistant.citations import Verified, verify
from assistant.prompt import ABSTENTION
from finetune.data.raft import passage_hits
from finetune.graders.grader import Sample
from indexes.records import Hit

_PASSAGE = re.compile(r"<passage (\d{1,3})>\n(.*?)\n</passage \1>", re.DOTALL)
_QUESTION = re.compile(r"(?:^|\n\n)Question: (.*)\Z", re.DOTALL)
REFERENCES = ("answer", "completion", "chosen", "output")
"""Fields in which a row's own answer may stand."""


def hits_of(sample: Sample) -> list[Hit]:
    """The passages that an answer could cite, ``[n]`` meaning the n-th: the row's, else those that stand in the prompt."""
    given = sample.row.get("passages")
    if isinstance(given, list) and given and all(_is_passage(each) for each in given):
        return passage_hits([{**each, "heading": _heading(each)} for each in given])
    for message in reversed(sample.prompt):
        if found := _PASSAGE.findall(message.content) if message.role == "user" else []:
            parts = [text.partition("\n") for _, text in found]
            return passage_hits([{"text": text or place, "source": place} for place, _, text in parts])
    return []


def _is_passage(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("text"), str) and isinstance(value.get("source"), str)


def _heading(passage: Mapping[str, Any]) -> list[str]:
    heading = passage.get("heading") or []
    return [str(each) for each in (heading if isinstance(heading, list | tuple) else [heading])]


def question_of(sample: Sample) -> str:
    """What was asked, without passages."""
    asked = sample.row.get("question")
    if isinstance(asked, str) and asked.strip():
        return asked
    said = next((message.content for message in reversed(sample.prompt) if message.role == "user"), "")
    found = _QUESTION.search(said)
    return found[1] if found else said


def without_markers(text: str) -> str:
    """An answer without its markers."""
    return MARKER.sub("", one_by_one(text)).strip()


def is_abstention(text: str) -> bool:
    """Whether an answer says that the passages don't hold it, and nothing else."""
    return _plain(without_markers(text)) == _plain(ABSTENTION)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def is_answerable(row: Mapping[str, Any]) -> bool | None:
    """Whether a row's question can be answered: a field of that name says so, else its own answer. None: neither does."""
    for name, means in (("answerable", True), ("unanswerable", False)):
        if isinstance(said := row.get(name), bool):
            return said is means
    if (answer := reference_of(row)) is not None:
        return not is_abstention(answer)
    return None


def reference_of(row: Mapping[str, Any]) -> str | None:
    """A row's own answer, where it has one."""
    for name in REFERENCES:
        value = row.get(name)
        last = value[-1] if isinstance(value, list) and value else value
        found = last.get("content", last.get("value")) if isinstance(last, Mapping) else last
        if isinstance(found, str) and found.strip():
            return found
    turns = row.get("messages") or row.get("conversations")
    last = turns[-1] if isinstance(turns, list) and turns else None
    found = last.get("content", last.get("value")) if isinstance(last, Mapping) else None
    return found if isinstance(found, str) else None


@dataclass(frozen=True, slots=True)
class Checked:
    """A sentence of an answer.

    Attributes:
        said: the sentence.
        supported: whether any passage supports it.
        cited: its own markers, or those of the next sentence in its paragraph that has some.
        right: those of them whose passage supports it.
    """

    said: Said
    supported: bool
    cited: tuple[int, ...]
    right: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How an answer stands to its passages.

    Attributes:
        sentences: those that state something.
        distinct: share of them that say nothing said before, in [0, 1].
        copied: the largest share of a passage's characters that the answer takes from it, of passages of which it takes at least
            ``COPIED`` sentences; in [0, 1].
    """

    sentences: tuple[Checked, ...]
    distinct: float
    copied: float

    @property
    def honest(self) -> float:
        """What is left of a score for repeating itself or copying a passage: distinct · (1 − max(0, 2 · copied − 1))."""
        return self.distinct * (1 - max(0.0, 2 * self.copied - 1))


COPIED = 3
"""Sentences of one passage from which on an answer may be a copy of it."""


def stand(text: str, hits: Sequence[Hit], embed: Embed | None) -> Standing:
    """Check each sentence of an answer against the passages, by themselves and by its markers.

    Args:
        text: the answer, with markers.
        hits: the passages.
        embed: texts to unit vectors; None: only what stands in a passage word for word is supported.
    """
    said = [one for one in split_answer(text) if _plain(one.text)]
    stating = [one for one in said if not one.is_lead] or said
    taken: dict[str, dict[str, int]] = {}
    sentences = tuple(_check(one, hits, embed, taken) for one in stating)
    distinct = len({_plain(one.text) for one in stating}) / len(stating) if stating else 0.0
    by_id = {hit.passage.passage_id: len(hit.passage.text) for hit in hits}
    copied = [sum(quotes.values()) / by_id[passage] for passage, quotes in taken.items() if len(quotes) >= COPIED]
    return Standing(sentences, distinct, min(1.0, max(copied, default=0.0)))


def _check(said: Said, hits: Sequence[Hit], embed: Embed | None, taken: dict[str, dict[str, int]]) -> Checked:
    """Check one sentence, and note the quotes that support it: passage → quote → characters."""
    cited = said.cited or said.inherited
    known = [marker for marker in cited if 1 <= marker <= len(hits)]
    alone = {marker: verify(f"{said.text} [1]", hits[marker - 1 : marker], embed=embed) for marker in known}
    right = tuple(marker for marker, verified in alone.items() if _is_supported(verified))
    found = [alone[marker] for marker in right] or [verify(said.text, hits, embed=embed)]
    for verified in found:
        _note(verified, taken)
    return Checked(said, all(map(_is_supported, found)), cited, right)


def _is_supported(verified: Verified) -> bool:
    return bool(verified.sentences) and all(one.verdict == "supported" and one.markers for one in verified.sentences)


def _note(verified: Verified, taken: dict[str, dict[str, int]]) -> None:
    for citation in verified.citations:
        taken.setdefault(citation.passage_id, {})[citation.quote] = len(citation.quote)
