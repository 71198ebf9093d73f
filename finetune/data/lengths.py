"""How long rows are in a model's tokens, which a limit leaves out, and how one of them looks to the model.

Counts through ``finetune.formatting``: what is measured here is what is trained on. Rows beyond the limit are left out there,
never cut; plain text is parted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.errors import ModelError
from assistant.records import Message
from finetune.data.reading import Fault
from finetune.data.rows import Classified, Conversation, Labelled, Preference, Prompted, Rated, Row, Text

if TYPE_CHECKING:
    from finetune.formatting import Formatter

MOST = 2_000
"""Rows that are measured, spread evenly over the data: enough for shares within 2 %."""
SMALLEST = 32
"""Tokens of the first bar."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of rows in tokens; of a pair, the longer side.

    Attributes:
        base: whose tokens.
        measured: how many rows were measured.
        median, high, longest: the middle one, the one that 95 % don't exceed, the greatest.
        max_length: the limit asked about.
        over: share of the rows beyond it.
        without_stop: share of the rows whose last learned token ends nothing.
        bins: (greatest length, number of rows), by powers of two.
    """

    base: str
    measured: int
    median: int
    high: int
    longest: int
    max_length: int
    over: float
    without_stop: float
    bins: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a row as the model sees it.

    Attributes:
        learned: whether the model learns to write it.
    """

    text: str
    learned: bool


@dataclass(frozen=True, slots=True)
class _Sequence:
    """Ids of which those from a mask are learned."""

    ids: list[int]
    learned: list[bool]


def measure(rows: Sequence[Row], formatter: "Formatter", *, base: str, max_length: int) -> tuple[Lengths | None, list[Fault]]:
    """Measure rows, and say what speaks against training on them at a limit; None: there is no row to measure."""
    sample = [rows[at * len(rows) // min(MOST, len(rows))] for at in range(min(MOST, len(rows)))]
    ends = {formatter.stop_id, formatter.tokenizer.eos_token_id}
    lengths, over, unstopped, faults = [], 0, 0, []
    for row in sample:
        try:
            sides = _sequences(row, formatter)
        except ModelError as error:
            faults.append(Fault(row.place, f"can't be rendered: {error.message}", error.hint))
            continue
        length = max(len(side.ids) for side in sides)
        lengths.append(length)
        if length > max_length and not isinstance(row, Text):
            over += 1
            what = f"has {length:,} tokens, more than {max_length:,}: it is left out"
            faults.append(Fault(row.place, what, f"--max-length {length}, or shorten it", is_error=False))
        if not all(_stops(side, ends) for side in sides):
            unstopped += 1
            what = "is learned without a token that ends it: a model taught by it doesn't stop"
            faults.append(Fault(row.place, what, "mend the base's chat template: it has to end every turn with a stop token"))
    if not lengths:
        return None, faults
    lengths.sort()
    found = Lengths(
        base=base, measured=len(lengths), median=lengths[len(lengths) // 2], high=lengths[int(0.95 * (len(lengths) - 1))],
        longest=lengths[-1], max_length=max_length, over=over / len(lengths), without_stop=unstopped / len(lengths),
        bins=_bins(lengths),
    )  # fmt: skip
    return found, faults


def preview(row: Row, formatter: "Formatter | None" = None) -> dict[str, tuple[Piece, ...]]:
    """A row as the model will see it: rendered in its format, or without a model as turns. Of a pair both sides, by name."""
    if formatter is None:
        return {"": _turns(row)}
    names = ("chosen", "rejected") if isinstance(row, Preference) else ("",)
    sides = zip(names, _sequences(row, formatter), strict=True)
    return {name: _pieces(side, formatter) for name, side in sides}


def _pieces(side: _Sequence, formatter: "Formatter") -> tuple[Piece, ...]:
    starts = [at for at in range(len(side.ids)) if at == 0 or side.learned[at] != side.learned[at - 1]]
    ends = [*starts[1:], len(side.ids)]
    texts = (str(formatter.tokenizer.decode(side.ids[start:end])) for start, end in zip(starts, ends, strict=True))
    return tuple(Piece(text, side.learned[start]) for text, start in zip(texts, starts, strict=True))


def _sequences(row: Row, formatter: "Formatter") -> list[_Sequence]:
    """What a model reads for a row: two sequences for a pair, one for any other."""
    match row:
        case Conversation() | Text():
            encoded = formatter.conversation(row)
            return [_Sequence(encoded.ids, [label >= 0 for label in encoded.labels])]
        case Preference():
            pair = formatter.pair(row)
            return [_answered(pair.prompt, answer) for answer in (pair.chosen, pair.rejected)]
        case Labelled() | Rated():
            return [_answered(*formatter.judged(row))]
        case Classified() | Prompted():
            ids = formatter.classified(row) if isinstance(row, Classified) else formatter.prompted(row)
            return [_Sequence(ids, [False] * len(ids))]


def _answered(prompt: list[int], answer: list[int]) -> _Sequence:
    return _Sequence(prompt + answer, [False] * len(prompt) + [True] * len(answer))


def _stops(side: _Sequence, ends: set[int | None]) -> bool:
    """Whether the last learned token is one that ends; a classifier learns none."""
    learned = [each for each, is_learned in zip(side.ids, side.learned, strict=True) if is_learned]
    return not learned or learned[-1] in ends


def _bins(lengths: Sequence[int]) -> tuple[tuple[int, int], ...]:
    bounds = [SMALLEST]
    while bounds[-1] < lengths[-1]:
        bounds.append(2 * bounds[-1])
    counts = [sum(low < length <= high for length in lengths) for low, high in zip([0, *bounds], bounds, strict=False)]
    return tuple(zip(bounds, counts, strict=True))


def _turns(row: Row) -> tuple[Piece, ...]:
    said: list[tuple[str, str, bool]]
    match row:
        case Conversation():
            said = [(each.role, each.content, each.role == "assistant") for each in row.messages]
        case Text():
            return (Piece(row.text, learned=True),)
        case Classified():
            said = [("text", row.text, False), ("class", row.label, True)]
        case Preference():
            said = [*_asked(row.prompt), ("chosen", row.chosen, True), ("rejected", row.rejected, True)]
        case Labelled():
            said = [*_asked(row.prompt), ("good" if row.label else "bad", row.completion, True)]
        case Rated():
            said = [*_asked(row.prompt), (f"score {row.score:g}", row.completion, True)]
    pieces = [(Piece(f"{name}: ", learned=False), Piece(text, learned)) for name, text, learned in said]
    return tuple(piece for at, pair in enumerate(pieces) for piece in (*([Piece("\n", learned=False)] if at else []), *pair))


def _asked(prompt: Sequence[Message]) -> list[tuple[str, str, bool]]:
    return [(each.role, each.content, False) for each in prompt]
