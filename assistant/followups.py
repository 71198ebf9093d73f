"""A follow-up question ("and for Linux?") → a self-contained one, from the turns before it: by rule, without a model (pure).

What is missing is taken from the last turn's self-contained question: a pronoun gets its topic, a fragment takes the place of the
phrase of its kind, a bare "why?" gets the rest. A question that stands on its own is left alone: a false rewrite costs more than
a missed one, and where nothing fits nothing is made of it. ``rewriting.py`` lets a chat model try first.
"""

import re
from collections.abc import Sequence

from assistant import english
from assistant.nouns import Reading, read_nouns
from assistant.records import Answer
from assistant.references import resolve
from assistant.slots import ask_again, fill

TURNS = 3
"""Earlier turns that are looked at, the last one first."""
LONGEST = 30
"""Words; a longer question says what it is about."""


def rewrite(question: str, earlier: Sequence[Answer]) -> str | None:
    """Make a follow-up self-contained by rule; None when it already is, or when nothing can be made of it.

    Args:
        question: as it was asked.
        earlier: the turns before it, oldest first.
    """
    text = " ".join(question.split()).rstrip(" ?.!…")
    if not earlier or not text or len(text.split()) > LONGEST:
        return None
    names = known_names(earlier)
    for turn in list(earlier)[: -TURNS - 1 : -1]:
        made = _rewritten(text, read_nouns(self_contained(turn).rstrip(" ?.!"), names), turn, names)
        if made:
            made = _as_question(made)
            return made if made != _as_question(text) and _rewritten(made.rstrip("?."), None, turn, names) is None else None
    return None
