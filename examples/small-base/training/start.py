"""The weights that training starts from: random, with the one circuit wired in that takes longest to be found.

A network that copies needs heads that look one token back, and heads a layer further up that look for where the present token
came before and bring what followed it (induction heads). Found by training alone they cost millions of tokens. Wired, they copy
badly at first, but they copy, and all that the tokens have to teach is when and from where.
"""

import torch
from model import Network, Shape
from torch import Tensor

CONSTANT = 0.25
"""Dimension 0 of every embedding: something to make a query of that doesn't depend on the token; it moves all logits alike."""
BACK_HEADS = 2
MATCH_HEADS = 3
SLOW = 0.0045
"""Frequencies below it turn so little over a prompt that content can be compared in their dimensions."""


@torch.no_grad()
def wire(network: Network) -> None:
    """Wire a fresh network for copying."""
    shape = network.shape
    size = shape.width // shape.heads
    frequency = shape.theta ** -(torch.arange(0, size, 2).float() / size)
    slow = [i for i in range(size) if frequency[i % (size // 2)] < SLOW]
    network.embedding[:, 0] = CONSTANT
    read, written, copied = (_rows(count, shape) for count in (BACK_HEADS * size, BACK_HEADS * size, MATCH_HEADS * size))
    first, second = network.blocks[0], network.blocks[1]
    for head in range(BACK_HEADS):
        rows = slice(head * size, (head + 1) * size)
        _look_back(first.qkv, rows, frequency, shape)
        first.qkv[2 * shape.width :][rows] = read[rows]
        first.out[:, rows] = 0.09 * written[rows].T
    for head in range(MATCH_HEADS + 1):
        rows = slice(head * size, (head + 1) * size)
        mine = [(head * len(slow) + i) % len(read) for i in range(len(slow))]
        where = [head * size + i for i in slow]
        second.qkv[: shape.width][where] = 1.7 * read[mine]
        if head == MATCH_HEADS:  # looks for the same token, not for what came after it
            second.qkv[shape.width : 2 * shape.width][where] = 1.7 * read[mine]
        else:
            second.qkv[shape.width : 2 * shape.width][where] = 1.7 * written[mine]
            second.qkv[2 * shape.width :][rows] = copied[rows]
            second.out[:, rows] = 0.15 * copied[rows].T


def _rows(count: int, shape: Shape) -> Tensor:
    """Orthonormal rows that leave dimension 0 alone."""
    rows = torch.linalg.qr(torch.randn(shape.width - 1, count)).Q.T
    return torch.cat((torch.zeros(count, 1), rows), dim=1)


def _look_back(qkv: Tensor, rows: slice, frequency: Tensor, shape: Shape) -> None:
    """Query and key of a head that looks at the token before: constant vectors, the query turned back by one place."""
    half = len(frequency)
    strength = torch.where(frequency > 0.01, 1.5, 0.0)
    query, key = qkv[: shape.width][rows], qkv[shape.width : 2 * shape.width][rows]
    query.mul_(0.2)
    key.mul_(0.2)
    query[:half, 0] = strength * frequency.cos()
    query[half:, 0] = -strength * frequency.sin()
    key[:half, 0] = strength
