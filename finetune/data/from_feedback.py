"""What people said of answers → rows to train on: answers that are good or not (KTO), pairs (preference), good ones (SFT).

The prompt of a row is the messages that the model was given, word for word. Where there were none (the extractive model writes
without a prompt) they are rendered as they would have been, from the very same passages, if an index still holds them. ``[n]``
in an answer is the number of a passage in that prompt. Every judgement is either used or left out for a reason that is counted.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, get_args

from assistant.citations import verify
from assistant.feedback import Feedback, FeedbackLog, JudgedPassage
from assistant.prompt import ABSTENTION, PROMPT_FORMAT, Budget, build_messages, one_line
from assistant.records import Message
from finetune.data.stored import StoredDocuments
from indexes.records import Hit

Kind = Literal["kto", "preference", "sft"]
KINDS: tuple[Kind, ...] = get_args(Kind)

TORN = "the line is no feedback: torn, or of a newer version"
OF_CACHE = "it is about the cache, not about the answer"
BROKEN_OFF = "the answer was interrupted"
OLD_FORMAT = "its prompt is worded in a format that is no longer served"
UNREADABLE = "its messages are none that a model could have been given"
NO_PROMPT = "it has neither messages nor passages"
NO_INDEX = "it has no messages, and no --index to read its passages from"
GONE = "it has no messages, and its passages are gone or have changed"
HALF = "a text of it holds half a character"
NO_WORDS = "an answer of it has no words"
SAME = "both answers are the same"
NO_SUCH_PASSAGE = "the good answer cites a passage that its prompt doesn't hold"
MISATTRIBUTED = "the good answer cites another passage than it quotes"
AGAIN = "the same was said again later"
CONTRADICTED = "the opposite was said later"
REPLACED = "another better answer was given later"
NOT_ABSOLUTE = "a comparison doesn't say that either answer is good"
NOT_GOOD = "it says that the answer is bad, not how it should read"
ALONE = "no other answer to the same prompt was judged the opposite"

_MARKER = re.compile(r"\[(\d{1,3})\]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ENDLESS = Budget(1, lambda _messages: 0)
"""All passages are rendered: how many a base has room for is said when rows are checked with it."""

Prompt = tuple[Message, ...]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """Rows and what became of the judgements.

    Attributes:
        rows: in the layout of their kind, in the order in which they were judged.
        used: judgements that stand behind a row.
        skipped: those that don't, by reason; together with ``used`` they are all lines of the file.
        uncited: good answers among the rows that cite nothing although their prompt holds passages.
    """

    rows: tuple[Row, ...]
    used: int
    skipped: dict[str, int]
    uncited: int


@dataclass(frozen=True, slots=True)
class _Judged:
    """A judgement that can be learned from, at its place in the file."""

    at: int
    said: Feedback
    prompt: Prompt
    documents: tuple[str, ...]

    @property
    def about(self) -> tuple[Prompt, frozenset[str]]:
        """What was judged: an answer to a prompt, or two."""
        answer = self.said.answer.strip()
        return self.prompt, frozenset({answer, *self.bad} if self.said.kind == "compare" else {answer})

    @property
    def good(self) -> tuple[str, ...]:
        """The text that it calls good, if any: of a comparison the better one."""
        good = {"good": self.said.answer, "compare": self.said.answer, "better": self.said.text}.get(self.said.kind)
        return (_stripped(good),) if good else ()

    @property
    def bad(self) -> tuple[str, ...]:
        """The text that it calls bad, if any: of a comparison the worse one."""
        other = self.said.other.answer if self.said.other else None
        bad = {"bad": self.said.answer, "compare": other, "better": self.said.answer}.get(self.said.kind)
        return (_stripped(bad),) if bad else ()


@dataclass(frozen=True, slots=True)
class _Claim:
    """What one or two judgements say of texts: later claims about the same texts replace earlier ones.

    Attributes:
        of: the prompt and the text or texts.
        says: whether the text is good, or which of two is better.
        by: the judgements.
    """

    of: tuple[Prompt, frozenset[str]]
    says: bool | str
    by: tuple[_Judged, ...]

    @property
    def at(self) -> int:
        return max(one.at for one in self.by)


def from_feedback(log: FeedbackLog, kind: Kind, *, stored: StoredDocuments | None = None) -> Made:
    """Turn judgements into rows.

    Args:
        log: the file's judgements, oldest first.
        kind: of rows.
        stored: the documents of the indexes that answers were written from. They give the prompts that were not kept, and
            documents their ids; without them ``documents`` holds sources.
    """
    fates: dict[int, str] = {}
    judged = [one for one in (_read(at, said, stored, fates) for at, said in enumerate(log.rows)) if one]
    last = _last_of_each(judged, fates)
    claims = _settled(_labels(last), fates)
    if kind == "preference":
        claims = _settled(_pairs(last, claims), fates)
    if kind == "sft":
        claims = [claim for claim in claims if claim.says is True]
    used = {one.at for claim in claims for one in claim.by}
    for one in last:
        if one.at not in used:
            fates.setdefault(one.at, ALONE if kind == "preference" else NOT_ABSOLUTE if one.said.kind == "compare" else NOT_GOOD)
    skipped = Counter(reason for at, reason in fates.items() if at not in used)
    if log.skipped:
        skipped[TORN] = log.skipped
    uncited = sum(_is_uncited(claim) for claim in claims if claim.says)
    return Made(tuple(_row(kind, claim) for claim in claims), len(used), dict(skipped.most_common()), uncited)


def _read(at: int, said: Feedback, stored: StoredDocuments | None, fates: dict[int, str]) -> _Judged | None:
    """A judgement with its prompt; None where nothing can be learned from it, and its fate says why."""
    found = _prompt(said, stored)
    if isinstance(found, str) or _fault(said):
        fates[at] = _fault(said) or str(found)
        return None
    prompt, hits = found
    one = _Judged(at, said, prompt, _documents(said.passages, stored))
    if fault := _fault_of_good(one, hits):
        fates[at] = fault
        return None
    return one


def _fault(said: Feedback) -> str:
    """Why nothing can be learned from a judgement, whatever its prompt."""
    if said.kind == "wrong_cache":
        return OF_CACHE
    if said.status == "interrupted":
        return BROKEN_OFF
    other = {"better": said.text, "compare": said.other.answer if said.other else None}.get(said.kind, "-")
    if not _stripped(said.answer) or not _stripped(other):
        return NO_WORDS
    if any(_SURROGATE.search(str(text)) for text in (said.answer, other, *(message.content for message in said.messages))):
        return HALF  # no tokenizer takes it
    return SAME if _stripped(other) == _stripped(said.answer) else ""


def _prompt(said: Feedback, stored: StoredDocuments | None) -> tuple[Prompt, tuple[Hit, ...]] | str:
    """The messages that an answer was written from, and the passages in them where their texts had to be looked up."""
    if said.prompt_format not in (None, PROMPT_FORMAT):
        return OLD_FORMAT
    if said.messages:
        return (said.messages, ()) if _is_prompt(said.messages) else UNREADABLE
    if not said.passages:
        return NO_PROMPT
    if stored is None:
        return NO_INDEX
    hits = [hit for hit in map(stored.find, said.passages) if hit]
    if len(hits) < len(said.passages):
        return GONE
    return build_messages(said.rewritten or one_line(said.question), hits, _ENDLESS).messages, tuple(hits)


def _is_prompt(messages: Prompt) -> bool:
    """Whether user and assistant take turns, after an optional system message, up to the user."""
    turns = messages[1:] if messages[0].role == "system" else messages
    roles = ["user" if at % 2 == 0 else "assistant" for at in range(len(turns))]
    return len(turns) % 2 == 1 and [one.role for one in turns] == roles and all(isinstance(m.content, str) for m in messages)


def _fault_of_good(one: _Judged, hits: Sequence[Hit]) -> str:
    """Why the answer that is called good must not be learned: its markers would point elsewhere than they should."""
    for text in one.good:
        if any(not 1 <= int(number) <= len(one.said.passages) for number in _MARKER.findall(text)):
            return NO_SUCH_PASSAGE
        if hits and any(sentence.verdict == "misattributed" for sentence in verify(text, hits).sentences):
            return MISATTRIBUTED
    return ""


def _last_of_each(judged: Sequence[_Judged], fates: dict[int, str]) -> list[_Judged]:
    """The last judgement of each answer. A correction outlives "bad" after it, which says the same and less."""
    last: dict[tuple[Prompt, frozenset[str]], _Judged] = {}
    for one in judged:
        before = last.get(one.about)
        if before and (before.said.kind, one.said.kind) == ("better", "bad"):
            fates[one.at] = AGAIN
            continue
        if before:
            fates[before.at] = _superseded(before, one)
        last[one.about] = one
    return sorted(last.values(), key=lambda one: one.at)


def _superseded(before: _Judged, after: _Judged) -> str:
    """What became of a judgement when another one was made of the same answer."""
    if before.said.kind == after.said.kind == "better":
        return AGAIN if before.good == after.good else REPLACED
    return AGAIN if before.bad == after.bad else CONTRADICTED


def _labels(judged: Iterable[_Judged]) -> list[_Claim]:
    """Which texts are good and which are not."""
    return [
        _Claim((one.prompt, frozenset({text})), label, (one,))
        for one in judged
        if one.said.kind != "compare"
        for label, texts in ((False, one.bad), (True, one.good))
        for text in texts
    ]


def _pairs(judged: Sequence[_Judged], labels: Sequence[_Claim]) -> list[_Claim]:
    """Which of two texts is better: as was said of both, or because one was called good and one bad."""
    said = [_pair(one.prompt, one.good[0], one.bad[0], one) for one in judged if one.good and one.bad]
    by_prompt: dict[Prompt, list[_Claim]] = {}
    for label in labels:
        by_prompt.setdefault(label.of[0], []).append(label)
    for prompt, those in by_prompt.items():
        good, bad = ([label for label in those if label.says is wanted] for wanted in (True, False))
        said += [_pair(prompt, _text(a), _text(b), *dict.fromkeys((*a.by, *b.by))) for a, b in product(good, bad)]
    return sorted(said, key=lambda claim: claim.at)


def _pair(prompt: Prompt, chosen: str, rejected: str, *by: _Judged) -> _Claim:
    return _Claim((prompt, frozenset({chosen, rejected})), chosen, by)


def _settled(claims: Iterable[_Claim], fates: dict[int, str]) -> list[_Claim]:
    """The last claim about the same texts, in the order of the file; what became of the judgements behind the others."""
    last: dict[tuple[Prompt, frozenset[str]], _Claim] = {}
    for claim in claims:
        before = last.pop(claim.of, None)
        for one in before.by if before else ():
            fates[one.at] = AGAIN if before and before.says == claim.says else CONTRADICTED
        last[claim.of] = claim
    return sorted(last.values(), key=lambda claim: claim.at)


def _text(claim: _Claim) -> str:
    """The one text that a claim is about."""
    (text,) = claim.of[1]
    return text


def _row(kind: Kind, claim: _Claim) -> Row:
    prompt, texts = claim.of
    messages = [{"role": message.role, "content": message.content} for message in prompt]
    documents = {"documents": list(dict.fromkeys(name for one in claim.by for name in one.documents))}
    if kind == "preference":
        rejected = next(text for text in texts if text != claim.says)
        return {"prompt": messages, "chosen": claim.says, "rejected": rejected, **documents}
    if kind == "kto":
        return {"prompt": messages, "completion": _text(claim), "label": claim.says, **documents}
    return {"messages": [*messages, {"role": "assistant", "content": _text(claim)}], **documents}


def _is_uncited(claim: _Claim) -> bool:
    text = claim.says if isinstance(claim.says, str) else _text(claim)
    return any(one.said.passages for one in claim.by) and text != ABSTENTION and not _MARKER.search(text)


def _documents(passages: Sequence[JudgedPassage], stored: StoredDocuments | None) -> tuple[str, ...]:
    """Ids of the documents where an index knows them, else their sources."""
    names: Callable[[str], tuple[str, ...]] = stored.document_ids if stored else lambda _source: ()
    return tuple(dict.fromkeys(name for one in passages for name in names(one.source) or (one.source,)))


def _stripped(text: object) -> str:
    return text.strip() if isinstance(text, str) else ""
