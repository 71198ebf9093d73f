"""Packs → tensors: tokens, positions that begin again for each branch, and who may see whom."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from rows import Mix, Pack, make_pack
from torch import Tensor
from transformers import PreTrainedTokenizerFast

PADDING = -1
CUT_SHARE = 0.4
CUT_TOKENS = 8


@dataclass(slots=True)
class Row:
    """A pack in tokens.

    Attributes:
        tokens: the prefix, then every branch.
        positions: place of a token in the prompt that it is part of.
        branch: 0 for the prefix, else which branch a token is in.
        is_answer: whether a token is to be written by the model.
    """

    tokens: list[int]
    positions: list[int]
    branch: list[int]
    is_answer: list[bool]


@dataclass(slots=True)
class Batch:
    """Rows of about the same length."""

    tokens: Tensor
    positions: Tensor
    branch: Tensor
    is_answer: Tensor

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
        """A pack in tokens, with as many branches as there is room for; with ``rng`` most answers only begin.

        Which sentence answers is decided in its first tokens, and copying the rest is learned long before that.
        """
        prefix = self.system(pack.system) + self.ids(pack.passages)
        row = Row(prefix, list(range(len(prefix))), [0] * len(prefix), [False] * len(prefix))
        for number, (question, answer) in enumerate(pack.branches, 1):
            asked = self.ids(f"\n\nQuestion: {question}") + self._asked
            answered = [*self.ids(answer), self.tokenizer.eos_token_id]
            if rng and rng.random() < CUT_SHARE:
                answered = answered[:CUT_TOKENS]
            size = len(asked) + len(answered)
            if len(row.tokens) + size > most_tokens:
                break
            row.tokens += asked + answered
            row.positions += range(len(prefix), len(prefix) + size)
            row.branch += [number] * size
            row.is_answer += [False] * len(asked) + [True] * len(answered)
        return row


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
