"""A text → the clipboard of whoever sits at the terminal, over any number of ssh and tmux hops: OSC 52 (pure)."""

import base64

LONGEST = 50_000
"""Bytes; terminals drop longer sequences whole, the strictest at 74,994 characters of base64."""


def copy_sequence(text: str) -> str | None:
    """The sequence that makes a terminal put a text on the clipboard; None for one that is too long.

    Only base64 stands in it: nothing in the text can end it early.
    """
    data = text.encode("utf-8", "replace")
    return f"\x1b]52;c;{base64.b64encode(data).decode('ascii')}\x07" if len(data) <= LONGEST else None
