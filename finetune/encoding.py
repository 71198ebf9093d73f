"""Rows → what a trainer is fed: lists of token ids by name. Rows that are too long are left out and counted, never cut.

A cut answer would teach a model to break off; a cut prompt isn't one that serving would give. Plain text is parted instead.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from finetune.data.rows import Classified, Conversation, Labelled, Place, Preference, Rated, Row, Text
from finetune.errors import DataFault
from finetune.formatting import UNLEARNED, Formatter

Features = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Encoding:
    """Encoded rows.

    Attributes:
        features: one mapping a row.
        rows: the row that each was made from.
        too_long: places of the rows that were left out.
    """

    features: tuple[Features, ...]
    rows: tuple[Row, ...]
    too_long: tuple[Place, ...]

    @property
    def tokens(self) -> int:
        """Of all rows together."""
        return sum(each["length"] for each in self.features)


def _encode(rows: Sequence[Row], encode: Callable[[Row], Iterable[Features]], max_length: int) -> Encoding:
    features: list[Features] = []
    kept: list[Row] = []
    too_long = []
    for row in rows:
        for each in encode(row):
            if each["length"] > max_length:
                too_long.append(row.place)
                continue
            features.append(each)
            kept.append(row)
    return Encoding(tuple(features), tuple(kept), tuple(too_long))


def encode_learned(formatter: Formatter, rows: Sequence[Row], max_length: int) -> Encoding:
    """Conversations and texts (SFT): ``input_ids``, ``labels``, and how many characters are learned."""

    def encode(row: Row) -> Iterable[Features]:
        if not isinstance(row, Conversation | Text):
            raise TypeError(type(row).__name__)
        encoded = formatter.conversation(row)
        said = row.text if isinstance(row, Text) else "".join(m.content for m in row.messages if m.role == "assistant")
        whole = len(encoded.ids)
        size = max_length if isinstance(row, Text) else whole
        for start in range(0, max(whole - 1, 1), max(size - 1, 1)):  # parts overlap by a token: the first can't be predicted
            ids, labels = encoded.ids[start : start + size], encoded.labels[start : start + size]
            labels = [UNLEARNED, *labels[1:]] if start else labels
            share = sum(label >= 0 for label in labels) / max(sum(label >= 0 for label in encoded.labels), 1)
            yield {"input_ids": ids, "labels": labels, "length": len(ids), "characters": share * len(said)}

    return _encode(rows, encode, max_length)


def encode_pairs(formatter: Formatter, rows: Sequence[Row], max_length: int) -> Encoding:
    """Preferences (ORPO, DPO): ``prompt_ids``, ``chosen_ids``, ``rejected_ids``."""

    def encode(row: Row) -> Iterable[Features]:
        if not isinstance(row, Preference):
            raise TypeError(type(row).__name__)
        pair = formatter.pair(row)
        yield {
            "prompt_ids": pair.prompt, "chosen_ids": pair.chosen, "rejected_ids": pair.rejected, "length": pair.length,
        }  # fmt: skip

    return _encode(rows, encode, max_length)


def encode_judged(formatter: Formatter, rows: Sequence[Row], max_length: int) -> Encoding:
    """Good and bad answers (KTO): ``prompt_ids``, ``completion_ids``, ``label``."""

    def encode(row: Row) -> Iterable[Features]:
        if not isinstance(row, Labelled):
            raise TypeError(type(row).__name__)
        prompt, answer = formatter.judged(row)
        yield {"prompt_ids": prompt, "completion_ids": answer, "label": row.label, "length": len(prompt) + len(answer)}

    return _encode(rows, encode, max_length)


def encode_scored(formatter: Formatter, rows: Sequence[Row], max_length: int) -> Encoding:
    """What a reward model reads: pairs as ``chosen_ids`` and ``rejected_ids``, all else as ``input_ids`` and its target."""

    def encode(row: Row) -> Iterable[Features]:
        match row:
            case Preference():
                pair = formatter.pair(row)
                ids = {"chosen_ids": pair.prompt + pair.chosen, "rejected_ids": pair.prompt + pair.rejected}
                margin = {} if row.margin is None else {"margin": row.margin}
                yield {**ids, **margin, "length": pair.length}
            case Rated():
                prompt, answer = formatter.judged(row)
                yield {"input_ids": prompt + answer, "target": row.score, "length": len(prompt) + len(answer)}
            case Classified():
                read = formatter.classified(row)
                yield {"input_ids": read, "target": row.label, "length": len(read)}
            case _:
                raise TypeError(type(row).__name__)

    return _encode(rows, encode, max_length)


def with_mismatched(features: Sequence[Features], batch: int) -> list[Features]:
    """Give each row of KTO the answer of its neighbour in the batch: how far the policy has moved is estimated from them.

    A last batch of one row has no neighbour, and is left out.
    """
    whole = features if len(features) % batch != 1 else features[:-1]
    paired = []
    for start in range(0, len(whole), batch):
        group = whole[start : start + batch]
        paired += [row | {"KL_completion_ids": group[at - 1]["completion_ids"]} for at, row in enumerate(group)]
    return paired


def require_rows(encoding: Encoding, *, least: int, max_length: int) -> None:
    """Refuse to train on nothing.

    Raises:
        DataFault: fewer rows than that are left.
    """
    if len(encoding.features) >= least:
        return
    longest = (
        f": {len(encoding.too_long)} are longer than {max_length} tokens, e.g. {encoding.too_long[0]}"
        if encoding.too_long
        else ""
    )
    raise DataFault(
        f"{len(encoding.features)} rows are left to train on, and {least} are needed{longest}",
        hint="raise --max-length, or give more rows with --data" if encoding.too_long else "give more rows with --data",
    )
