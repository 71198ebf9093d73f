"""What the chat does while nobody types: it answers a question afresh that was answered from the cache by meaning, and compares.

A key ends that at once, and it is done another time.
"""

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from assistant.cache.auditing import audit
from assistant.errors import UserError
from assistant.records import Answer

if TYPE_CHECKING:
    from assistant.answering import Assistant

QUIET_S = 3.0
"""Seconds without a key after which the chat takes it that nobody types."""
LOOK_S = 0.02

IsTyping = Callable[[], bool]


class Typing(Exception):
    """Somebody types, and what was done meanwhile has to wait."""


def audit_while_idle(assistant: "Assistant", is_typing: IsTyping, *, quiet_s: float = QUIET_S) -> None:
    """Audit one hit, if one awaits it and nobody types."""
    cache = assistant.cache
    if cache is None or not cache.has_audits() or not _is_quiet(is_typing, quiet_s):
        return

    def ask(question: str, strict: bool) -> Answer:
        for piece in assistant.stream(question, strict=strict, fresh=True):
            if isinstance(piece, Answer):
                return piece
            if is_typing():
                break
        raise Typing

    with contextlib.suppress(Typing, UserError):
        audit(cache, ask, most=1)


def _is_quiet(is_typing: IsTyping, seconds: float) -> bool:
    """Wait a while; whether nobody typed in it."""
    until = time.monotonic() + seconds
    while not is_typing():
        if time.monotonic() >= until:
            return True
        time.sleep(LOOK_S)
    return False
