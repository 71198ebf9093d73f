"""What is wrong with rows when they are seen together: twice there, contradictory, lopsided, in both splits; and what leaks.

Errors are what makes a training wrong or its evaluation worthless; warnings are what a person should know and may want.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from assistant.records import Message
from finetune.data.faults import Dataset, Fault, content
from finetune.data.rows import Classified, Conversation, Labelled, Place, Preference, Prompted, Rated, Row, Text
from finetune.data.secrets import find_secrets

RAREST = 0.10
"""The least share of a label of two, below which a warning is due; of more labels, as much less."""
LONGER = 0.80
"""The share of pairs whose chosen answer is longer, above which length alone would do."""
CLOSED = 0.90
"""The share of a file's answers that end in punctuation, above which the others seem broken off."""
ENOUGH = 20
"""Rows below which a share says nothing."""
TELLING = 50
"""Characters of an answer that can't well be the same by chance: "Yes." may stand in both splits."""
LONG_ENOUGH = 80
"""Characters below which an answer may well do without punctuation."""
_ITEM = re.compile(r"\s*(?:[-*•#|>]|\w{1,3}[.):])")
CONTROL = re.compile(
    r"<[|｜][^|｜<>\n]{1,48}[|｜]>|<(?:start_of_turn|end_of_turn|bos|eos)>|\[/?INST\]|<</?SYS>>|</?s>", re.IGNORECASE
)
"""Tokens by which families of models tell turns apart (as in ``assistant.prompt``): in a text they are seldom meant."""


def check_rows(dataset: Dataset, evaluation: Dataset | None = None) -> tuple[Fault, ...]:
    """All that is wrong with rows together, in the order of the checks."""
    checks: tuple[Callable[[Sequence[Row]], Iterable[Fault]], ...] = (
        duplicates, contradictions, imbalance, length_bias, broken_off, leaks, control_tokens,
    )  # fmt: skip
    faults = [fault for check in checks for fault in check(dataset.rows)]
    return (*faults, *(overlap(dataset.rows, evaluation.rows) if evaluation else ()))


def duplicates(rows: Sequence[Row]) -> Iterator[Fault]:
    """Rows that are there twice."""
    seen: dict[tuple[Any, ...], Place] = {}
    for row in rows:
        first = seen.setdefault(content(row), row.place)
        if first is not row.place:
            yield Fault(row.place, f"is the same row as {first}", "delete one of the two", is_error=False)


def contradictions(rows: Sequence[Row]) -> Iterator[Fault]:
    """The same answer or text with two labels, or a pair both ways round."""
    seen: dict[Any, tuple[Any, Place]] = {}
    for row in rows:
        key: object
        match row:
            case Labelled():
                key, label = (row.prompt, row.completion), "good" if row.label else "bad"
            case Classified():
                key, label = (row.text, ""), repr(row.label)
            case Preference():
                sides = sorted((row.chosen, row.rejected))
                key, label = (row.prompt, "\0".join(sides)), "chosen" if row.chosen == sides[0] else "rejected"
            case _:
                continue
        other, place = seen.setdefault(key, (label, row.place))
        if other != label:
            yield Fault(row.place, f"contradicts {place}: the same is {label} here and {other} there", "decide, and delete one")


def imbalance(rows: Sequence[Row]) -> Iterator[Fault]:
    """A label that is almost all there is."""
    for kind, noun in ((Labelled, "label"), (Classified, "class")):
        labels = Counter(
            str(row.label).lower() for row in rows if isinstance(row, kind) and isinstance(row, Labelled | Classified)
        )
        if len(labels) == 1:
            only = next(iter(labels))
            yield Fault(None, f"every row has the {noun} {only!r}", f"add rows with another {noun}", is_error=kind is Classified)
        elif len(labels) > 1:
            label, number = labels.most_common()[-1]
            share = number / labels.total()
            if share < RAREST * 2 / len(labels):
                what = f"only {number:,} of {labels.total():,} rows ({share:.1%}) have the {noun} {label!r}"
                yield Fault(None, what, f"add rows with {label!r}, or take others out", is_error=False)


def length_bias(rows: Sequence[Row]) -> Iterator[Fault]:
    """Pairs whose chosen answer is nearly always the longer one: a model learns length from them."""
    pairs = [row for row in rows if isinstance(row, Preference) and len(row.chosen) != len(row.rejected)]
    longer = sum(len(row.chosen) > len(row.rejected) for row in pairs)
    if len(pairs) >= ENOUGH and longer / len(pairs) > LONGER:
        what = f"in {longer / len(pairs):.0%} of the pairs the chosen answer is the longer one: length alone tells them apart"
        yield Fault(None, what, "add pairs whose shorter answer is chosen, or compare with the length-only rule", is_error=False)


def broken_off(rows: Sequence[Row]) -> Iterator[Fault]:
    """Answers that seem to end in the middle: an open code block, or no punctuation where the file's others have it."""
    files: defaultdict[Path, list[tuple[Place, str]]] = defaultdict(list)
    for row in rows:
        answer = _learned(row)
        if answer:
            files[row.place.file].append((row.place, answer.rstrip()))
    for answers in files.values():
        open_ends = [place for place, text in answers if _ends_openly(text)]
        usual = len(answers) >= ENOUGH and len(open_ends) < (1 - CLOSED) * len(answers)
        for place in open_ends if usual else []:
            what = "seems broken off: the answer ends without punctuation"
            yield Fault(place, what, "look whether a limit cut it, and finish it", is_error=False)
        for place, text in answers:
            if text.count("```") % 2:
                yield Fault(place, "seems broken off: a code block isn't closed", "close it with ```", is_error=False)


def _ends_openly(text: str) -> bool:
    """Whether a text ends in a letter, a number or a comma, and not in an item of a list, a cell or a line of its own."""
    if len(text) < LONG_ENOUGH or not (unicodedata.category(text[-1])[0] in "LMN" or text[-1] in ",-–("):
        return False
    last = text.rpartition("\n")[2]
    return len(last) >= LONG_ENOUGH // 2 and not _ITEM.match(last)


def leaks(rows: Sequence[Row]) -> Iterator[Fault]:
    """Keys and passwords."""
    for row in rows:
        found = {secret.masked: secret for text in set(_texts(row)) for secret in find_secrets(text)}
        for secret in found.values():
            what = f"holds what looks like {secret.kind}: {secret.masked}"
            yield Fault(row.place, what, "put a placeholder there; if it was real, revoke it", is_error=secret.certain)


def control_tokens(rows: Sequence[Row]) -> Iterator[Fault]:
    """Texts that hold what a model reads as the border of a turn."""
    for row in rows:
        found = {match[0]: None for text in set(_texts(row)) for match in CONTROL.finditer(text)}
        for token in found:
            hint = "take it out: the model's own format puts these in, and within a text they are taught as words"
            yield Fault(row.place, f"holds the control token {token!r}", hint, is_error=False)


def overlap(rows: Sequence[Row], held_out: Sequence[Row]) -> Iterator[Fault]:
    """Rows to train on that stand in the evaluation too, by their prompt or by a long answer."""
    for name, keys in (("prompt", _asked), ("answer", _answered)):
        trained = {key: row.place for row in reversed(rows) for key in keys(row)}
        for row in held_out:
            place = next((trained[key] for key in keys(row) if key in trained), None)
            if place:
                hint = "take it out of one of the two: what was learned by heart proves nothing"
                yield Fault(row.place, f"has the same {name} as {place}, which is trained on", hint)


def _texts(row: Row) -> Iterator[str]:
    match row:
        case Conversation():
            yield from (message.content for message in row.messages)
        case Preference():
            yield from (*(message.content for message in row.prompt), row.chosen, row.rejected)
        case Labelled() | Rated():
            yield from (*(message.content for message in row.prompt), row.completion)
        case Text() | Classified():
            yield row.text


def _learned(row: Row) -> str:
    """The answer that a model is to write, if there is one."""
    match row:
        case Conversation():
            return row.messages[-1].content
        case Preference():
            return row.chosen
        case Labelled():
            return row.completion if row.label else ""
        case _:
            return ""


def _asked(row: Row) -> list[str]:
    """What tells two prompts apart: what was said without the system's part; of a question with passages, the question."""
    match row:
        case Conversation():
            messages: Sequence[Message] = row.messages[:-1]
        case Preference() | Labelled() | Rated() | Prompted():
            messages = row.prompt
        case Text() | Classified():
            return [_plain(row.text)]
    said = "\n".join(message.content for message in messages if message.role != "system")
    return [_plain(said.rpartition("\n\nQuestion: ")[2] if said.startswith("<passage ") else said)]


def _answered(row: Row) -> list[str]:
    match row:
        case Conversation():
            answers = [row.messages[-1].content]
        case Preference():
            answers = [row.chosen, row.rejected]
        case Labelled() | Rated():
            answers = [row.completion]
        case _:
            answers = []
    return [_plain(answer) for answer in answers if len(answer) >= TELLING]


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
