"""Guessing the next tokens from those that are there already: an answer quotes its passages (pure).

Source: Saxena, "Prompt Lookup Decoding" (2023). The n-grams are kept in a table: a guess costs the same whatever the length.
"""

from collections.abc import Sequence

NGRAMS = (4, 3, 2)
"""Lengths of the endings that are looked for, the surest first."""
LONGEST, SHORTEST = 16, 2
"""Tokens guessed at once: doubled when all were right, halved when none was."""


class Lookup:
    """A sequence of tokens that can guess how it goes on.

    Args:
        tokens: the prompt.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        self._length = 4
        for token in tokens:
            self.append(token)

    def append(self, token: int) -> None:
        """Take in the next token."""
        end = len(self._tokens)
        for n in NGRAMS:  # what ends before this token is known to be followed by it
            if end >= n:
                self._after[tuple(self._tokens[end - n : end])] = end
        self._tokens.append(token)

    def draft(self, most: int) -> list[int]:
        """Guess the next tokens: what followed the longest ending that has occurred before; [] where none has."""
        end = len(self._tokens)
        for n in NGRAMS:
            at = self._after.get(tuple(self._tokens[end - n :])) if end >= n else None
            if at is not None:
                return self._tokens[at : at + max(0, min(most, self._length))]
        return []

    def learn(self, drafted: int, agreed: int) -> None:
        """Adapt the length of guesses to how the last one went."""
        if agreed == drafted:
            self._length = min(LONGEST, self._length * 2)
        elif agreed == 0:
            self._length = max(SHORTEST, self._length // 2)
