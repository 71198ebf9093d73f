"""Where attention should look: a loss on a few heads that shortens the way to choosing the right sentence.

The next token alone says little about which sentence answers: one token of an answer decides it, the others follow. What is known
of generated rows is told to the network directly: (1) one head of an early layer looks from every token of a sentence to its
first one, (2) two heads look from whatever writes an answer to the sentence that holds it, (3) one head, a layer further up, to
the very token that is to be written. The loss of a pointer is -log of the attention that falls on its places.
"""

import torch
from batches import Batch, Pointer
from torch import Tensor

STARTS = (2, (0,))
UNITS = (3, (0, 1))
SOURCES = (4, (0,))
"""Layer and heads."""
MOST_STARTS = 48
"""Pointers of the first kind in a row; they are many, and easily learned."""


def pointer_loss(batch: Batch, mask: Tensor, seen: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """The mean loss of each kind of pointer.

    Args:
        batch: the rows with their pointers.
        mask: (rows, length, length), who may see whom.
        seen: every layer's queries and keys, (rows, heads, length, size).
    """
    losses: dict[str, list[Tensor]] = {"starts": [], "units": [], "sources": []}
    for i, row in enumerate(batch.rows):
        few = row.starts[:: max(1, len(row.starts) // MOST_STARTS)]
        aims = (("starts", STARTS, few), ("units", UNITS, row.units), ("sources", SOURCES, row.sources))
        for name, (layer, heads), pointers in aims:
            if pointers:
                query, key = seen[layer][0][i, list(heads)], seen[layer][1][i, list(heads)]
                losses[name].append(_loss(query, key, mask[i], pointers))
    return {name: torch.cat(each).mean() for name, each in losses.items() if each}


def _loss(query: Tensor, key: Tensor, mask: Tensor, pointers: list[Pointer]) -> Tensor:
    """Loss of each pointer, the mean over heads."""
    at = torch.tensor([pointer.at for pointer in pointers])
    first, last = (torch.tensor([[getattr(pointer, name)] for pointer in pointers]) for name in ("first", "last"))
    places = torch.arange(key.size(1))
    scores = (query[:, at] @ key.mT).float() * key.size(-1) ** -0.5
    scores = scores.masked_fill(~mask[at], float("-inf"))
    aimed = scores.masked_fill((places < first) | (places >= last), float("-inf"))
    return (scores.logsumexp(-1) - aimed.logsumexp(-1)).mean(0)
