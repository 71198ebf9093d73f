"""What goes into a request for an answer, and what comes out of the events of its stream (pure)."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from assistant.records import Generation, Message

Ended: TypeAlias = Literal["stop", "length", "interrupted"]


@dataclass(slots=True)
class Progress:
    """One answer while it is written.

    Attributes:
        started, first: on the clock of ``time.monotonic()``; ``first`` is 0 until there is text.
        pieces: how many pieces of text came.
        usage: the server's own count, if it sends one.
    """

    started: float
    first: float = 0.0
    pieces: int = 0
    usage: Mapping[str, Any] | None = None

    def note(self, event: Mapping[str, Any], text: str) -> None:
        """Take down an event."""
        usage = event.get("usage")
        self.usage = usage if isinstance(usage, dict) else self.usage
        if text:
            self.first = self.first or time.monotonic()
            self.pieces += 1

    def generation(self, ended: Ended, *, estimated: int) -> Generation | None:
        """What the answer took; None if nothing came. Without the server's count each piece is taken for a token."""
        if not self.pieces:
            return None
        usage = self.usage or {}
        return Generation(
            prompt_tokens=_number(usage, "prompt_tokens") or estimated,
            reused_tokens=_number(usage.get("prompt_tokens_details"), "cached_tokens"),
            tokens=_number(usage, "completion_tokens") or self.pieces,
            drafted=0,
            accepted=0,
            first_token_s=self.first - self.started,
            seconds=time.monotonic() - self.started,
            ended=ended,
        )


def read_event(event: Mapping[str, Any]) -> tuple[str, str | None]:
    """The text and the reason to end in an event; what a model thinks before it answers is neither."""
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    delta, finish = choice.get("delta"), choice.get("finish_reason")
    text = delta.get("content") if isinstance(delta, dict) else None
    return text if isinstance(text, str) else "", finish if isinstance(finish, str) and finish else None


def as_json(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Messages as a request holds them."""
    return [{"role": message.role, "content": message.content} for message in messages]


def _number(fields: object, name: str) -> int:
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if isinstance(value, int) else 0
