"""A follow-up question ("and for Linux?") → a self-contained one, from the turns before it (pure)."""

from collections.abc import Sequence

from assistant.records import Answer


def rewrite(question: str, earlier: Sequence[Answer]) -> str | None:
    """Make a follow-up self-contained by rule; None when it already is."""
    raise NotImplementedError
