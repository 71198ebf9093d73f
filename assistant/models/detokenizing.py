"""Token ids as they come → text as it comes, never half a character (pure)."""

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]
UNFINISHED = "\ufffd"
CONTEXT = 6
"""Tokens decoded again with a new one: whether a space stands before a word depends on what comes before it."""
LONGEST_CHARACTER = 8
"""Tokens after which bytes that still make no character are shown as such: a broken one must not hold the stream back."""


class Detokenizer:
    """Turns a stream of ids into a stream of text.

    Args:
        decode: ids → text, special tokens left out.
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._start, self._shown = 0, 0

    def push(self, token: int) -> str:
        """Take in an id; return the text that is certain now, ``""`` while a character is unfinished."""
        self._ids.append(token)
        before = self._decode(self._ids[self._start : self._shown])
        text = self._decode(self._ids[self._start :])
        if text.endswith(UNFINISHED) and len(self._ids) - self._shown < LONGEST_CHARACTER:
            return ""
        self._start, self._shown = max(0, len(self._ids) - CONTEXT, self._start), len(self._ids)
        return text[len(before) :]

    def finish(self) -> str:
        """Return what was held back."""
        held = self._decode(self._ids[self._start :])[len(self._decode(self._ids[self._start : self._shown])) :]
        self._shown = len(self._ids)
        return held
