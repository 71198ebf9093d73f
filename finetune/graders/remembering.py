"""An embedder that embeds no text twice: passages come again with every answer to their question."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assistant.checking.verdicts import Embed
from indexes.embedding import Matrix

MOST = 20_000
"""Vectors that are kept, those used longest ago dropped first: 30 MB of all-MiniLM-L6-v2."""


def remembering(embed: Embed, most: int = MOST) -> Embed:
    """The same, with a memory."""
    known: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def remembered(texts: Sequence[str]) -> Matrix:
        if new := [text for text in dict.fromkeys(texts) if text not in known]:
            known.update(zip(new, embed(new), strict=True))
        for text in texts:
            known.move_to_end(text)
        found = np.stack([known[text] for text in texts])
        while len(known) > most:
            known.popitem(last=False)
        return found

    return remembered
