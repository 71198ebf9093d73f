"""Token ids as they come → text as it comes, never half a character, and nothing of what a model thinks aloud first (pure)."""

from collections.abc import Callable, Iterable, Iterator, Sequence

Decode = Callable[[Sequence[int]], str]
UNFINISHED = "\ufffd"
CONTEXT = 6
"""Tokens decoded again with a new one: whether a space stands before a word depends on what comes before it."""
LONGEST_CHARACTER = 8
"""Tokens after which bytes that still make no character are shown as such: a broken one must not hold the stream back."""

THOUGHTS = {"<think>": "</think>", "<thinking>": "</thinking>"}
"""What reasoning models put before their answers."""


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


def until(pieces: Iterable[str], stop_texts: Sequence[str]) -> Iterator[str]:
    """Pass text on up to the first of some texts that end it; what may be the beginning of one is held back.

    Args:
        pieces: the text as it comes.
        stop_texts: none of them empty.
    """
    held = ""
    for piece in pieces:
        held += piece
        found = [at for at in (held.find(text) for text in stop_texts) if at >= 0]
        if found:
            yield held[: min(found)]
            return
        begun = max((n for text in stop_texts for n in range(1, len(text)) if held.endswith(text[:n])), default=0)
        if len(held) > begun:
            yield held[: len(held) - begun]
            held = held[len(held) - begun :]
    if held:
        yield held


class Thoughts:
    """Leaves out ``<think>…</think>`` at the beginning of an answer, as reasoning models write it; text in, text out."""

    def __init__(self) -> None:
        self._held = ""
        self._ends: str | None = ""

    def push(self, piece: str) -> str:
        """Take in some text; return what belongs to the answer, ``""`` while that isn't known."""
        if self._ends is None:
            return piece
        self._held += piece
        if not self._ends:
            begun = self._held.lstrip()
            tag = next((tag for tag in THOUGHTS if begun.startswith(tag)), None)
            if tag is None:
                return "" if any(other.startswith(begun) for other in THOUGHTS) else self._release(self._held)
            self._ends = THOUGHTS[tag]
        _, mark, answer = self._held.partition(self._ends)
        return self._release(answer.lstrip()) if mark else ""

    def finish(self) -> str:
        """Return what was held back in vain: the beginning of a tag. A thought that never ended is no answer."""
        return "" if self._ends else self._release(self._held)

    def _release(self, text: str) -> str:
        self._ends, self._held = None, ""
        return text
