"""Packs → tensors: tokens, positions that begin again for each branch, who may see whom, and where answers come from."""

import random
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from rows import Mix, Pack, Span, make_pack
from torch import Tensor
from transformers import PreTrainedTokenizerFast

PADDING = -1
CUT_SHARE = 0.4
CUT_TOKENS = 8
LOOK_AHEAD = 6
"""Tokens of a passage that an answer may leave out between two that it takes."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where one token should look: from place ``at`` to the places ``first`` to ``last`` - 1 of its row."""

    at: int
    first: int
    last: int


@dataclass(slots=True)
class Row:
    """A pack in tokens.

    Attributes:
        tokens: the prefix, then every branch.
        positions: place of a token in the prompt that it is part of.
        branch: 0 for the prefix, else which branch a token is in.
        is_answer: whether a token is to be written by the model.
        starts: from the tokens of each unit to its first one.
        units: from whatever writes an answer to the unit that it comes from; to the first token of all where there is none.
        sources: from what writes a token of an answer to the same token in the passage.
    """

    tokens: list[int]
    positions: list[int]
    branch: list[int]
    is_answer: list[bool]
    starts: list[Pointer] = field(default_factory=list)
    units: list[Pointer] = field(default_factory=list)
    sources: list[Pointer] = field(default_factory=list)


@dataclass(slots=True)
class Batch:
    """Rows of about the same length; the pointers are by row."""

    tokens: Tensor
    positions: Tensor
    branch: Tensor
    is_answer: Tensor
    rows: list[Row]

    def mask(self) -> Tensor:
        """Who may see whom: what comes before it, in the prefix or in its own branch."""
        mine, theirs = self.branch.unsqueeze(2), self.branch.unsqueeze(1)
        length = self.branch.size(1)
        return ((theirs == 0) | (mine == theirs)) & torch.ones(length, length, dtype=torch.bool).tril()

    def next_in_branch(self) -> tuple[Tensor, Tensor]:
        """Flat indexes of the tokens that have a next one, and of those next ones; a branch's first token has none before it."""
        same = (self.branch[:, 1:] == self.branch[:, :-1]) & (self.branch[:, 1:] != PADDING)
        rows, columns = same.nonzero(as_tuple=True)
        flat = rows * self.branch.size(1) + columns
        return flat, flat + 1


class Encoder:
    """The tokenizer, and the parts of the prompt that never change."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self._system: dict[str, list[int]] = {}
        self._asked = self.ids("<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n")

    def ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def system(self, text: str) -> list[int]:
        if text not in self._system:
            rendered = self.tokenizer.apply_chat_template([{"role": "system", "content": text}], tokenize=False)
            self._system[text] = self.ids(rendered + "<|start_header_id|>user<|end_header_id|>\n\n")
        return self._system[text]

    def row(self, pack: Pack, most_tokens: int, rng: random.Random | None = None) -> Row:
        """A pack in tokens, with as many branches as there is room for; with ``rng`` many answers only begin.

        Which sentence answers is decided in its first tokens, and copying the rest is learned long before that.
        """
        system = self.system(pack.system)
        encoded = self.tokenizer(pack.passages, add_special_tokens=False, return_offsets_mapping=True)
        ends = [len(system) + i for i in range(len(encoded["input_ids"]) + 1)]
        tail = [end for _, end in encoded["offset_mapping"]]

        def place(span: Span) -> tuple[int, int]:
            return ends[bisect_left(tail, span[0] + 1)], ends[min(bisect_left(tail, span[1]) + 1, len(tail))]

        prefix = system + encoded["input_ids"]
        row = Row(prefix, list(range(len(prefix))), [0] * len(prefix), [False] * len(prefix))
        for first, last in map(place, pack.units):
            row.starts += [Pointer(at, first, first + 1) for at in range(first, last)]
        for number, branch in enumerate(pack.branches, 1):
            asked = self.ids(f"\n\nQuestion: {branch.question}") + self._asked
            answered = [*self.ids(branch.answer), self.tokenizer.eos_token_id]
            if rng and rng.random() < CUT_SHARE:
                answered = answered[:CUT_TOKENS]
            size = len(asked) + len(answered)
            if len(row.tokens) + size > most_tokens:
                break
            self._point(row, len(row.tokens) + len(asked) - 1, answered, place(branch.span) if branch.span else None)
            row.tokens += asked + answered
            row.positions += range(len(prefix), len(prefix) + size)
            row.branch += [number] * size
            row.is_answer += [False] * len(asked) + [True] * len(answered)
        return row

    def _point(self, row: Row, at: int, answered: list[int], unit: tuple[int, int] | None) -> None:
        """Say where the tokens that write an answer should look; ``at`` writes its first token."""
        if unit is None:
            row.units.append(Pointer(at, 0, 1))
            return
        source, last = unit
        for i, token in enumerate(answered):
            found = next((j for j in range(source, min(source + LOOK_AHEAD, last)) if row.tokens[j] == token), None)
            if found is None:
                if i == 0:
                    row.units.append(Pointer(at, *unit))
                continue
            row.units.append(Pointer(at + i, *unit))
            row.sources.append(Pointer(at + i, found, found + 1))
            source = found + 1


def collate(rows: list[Row], pad: int) -> Batch:
    """Rows side by side, padded at the right."""
    length = max(len(row.tokens) for row in rows)

    def column(values: list[list], filler: int) -> Tensor:
        return torch.tensor([value + [filler] * (length - len(value)) for value in values])

    return Batch(
        column([row.tokens for row in rows], pad),
        column([row.positions for row in rows], 0),
        column([row.branch for row in rows], PADDING),
        column([row.is_answer for row in rows], 0).bool(),
        rows,
    )


def batches(
    encoder: Encoder, rng: random.Random, mix: Mix, *, packs: int, batch_tokens: int, most_tokens: int
) -> Iterator[Batch]:
    """So many packs as batches of about the same number of tokens, the packs of a batch about equally long."""
    rows = [encoder.row(make_pack(rng, mix), most_tokens, rng) for _ in range(packs)]
    rows = sorted((row for row in rows if any(row.is_answer)), key=lambda row: len(row.tokens))
    groups: list[list[Row]] = [[]]
    for row in rows:
        if groups[-1] and len(row.tokens) * (len(groups[-1]) + 1) > batch_tokens:
            groups.append([])
        groups[-1].append(row)
    rng.shuffle(groups)
    for group in groups:
        yield collate(group, encoder.tokenizer.pad_token_id)
