"""The chat's command that chooses adapters: /adapter.

A switch to what is in memory is immediate. What isn't is read in another thread: for a moment the chat waits for it, and if that
doesn't do, whoever answers now goes on answering until it is there.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.adapters.selection import NONE, Selection, label
from assistant.errors import UserError
from assistant.records import Step
from assistant.rendering.adapters import render_adapters

if TYPE_CHECKING:
    from assistant.chat.repl import Chat
    from assistant.models import LanguageModel

WAIT_S = 2.0
"""How long the chat waits for an adapter before it goes on with the one before."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Adapters that are being read.

    Attributes:
        spec: as they were asked for.
        selections: what they are.
        reading: ends when they are in memory.
        model: that they are for.
    """

    spec: str
    selections: Mapping[Step, Selection]
    reading: Future[None]
    model: "LanguageModel"


def adapter(chat: "Chat", rest: str) -> None:
    """Show who could answer, or let another adapter answer from the next question on."""
    if rest:
        chat.use_adapter(rest)
        return
    from assistant.adapters.registry import installed

    chat.screen.show([*render_adapters(installed(chat.settings.home))])
    chat.screen.note(f"now: {chat.assistant.model.adapter or 'the base alone'}. /adapter NAME, NAME*0.5, A*0.5+B*0.5 or none")


def switch(chat: "Chat", spec: str) -> Pending | None:
    """Let other adapters answer.

    Returns:
        what is still being read, to be given to ``arrive`` before the next question; None: they answer now.

    Raises:
        UserError: they can't be used; the present ones stay.
    """
    from assistant.wiring import choose_adapters

    model, started = chat.assistant.model, time.monotonic()
    selections = choose_adapters(model, spec, chat.settings, announce=chat.screen.note)
    checked = time.monotonic()
    reading = model.prefetch(selections)
    if reading is not None:
        try:
            reading.result(timeout=WAIT_S)
        except TimeoutError:
            chat.screen.note(f"reading {spec}; until it is there, {model.adapter or 'the base'} answers")
            return Pending(spec, selections, reading, model)
        except KeyboardInterrupt:
            reading.cancel()
            chat.screen.note(f"not switched: {model.adapter or 'the base'} answers as before")
            raise
    read = time.monotonic()
    model.use_adapters(selections, chat.screen.note)
    _tell(chat, selections, checked - started, read - checked if reading else None, time.monotonic() - read)
    return None


def arrive(chat: "Chat", pending: Pending) -> Pending | None:
    """Switch to what has been read meanwhile; before each question.

    Returns:
        the same while it is still being read, else None.
    """
    if pending.model is not chat.assistant.model:
        pending.reading.cancel()
        return None
    if not pending.reading.done():
        return pending
    try:
        pending.reading.result()
        started = time.monotonic()
        pending.model.use_adapters(pending.selections, chat.screen.note)  # proves them, too
    except UserError as error:  # the question is answered all the same
        chat.screen.fail(error)
        return None
    _tell(chat, pending.selections, 0.0, None, time.monotonic() - started)
    return None


def _tell(chat: "Chat", selections: Mapping[Step, Selection], checked: float, read: float | None, switched: float) -> None:
    """Say who answers now, and what the switch took."""
    took = [f"checked in {_ms(checked)}"] if selections and checked else []
    took.append(f"switched in {_ms(switched)}" if read is None else f"read and proven in {_ms(read + switched)}")
    who = label(selections.get("answer", ())) or "the base"
    others = [f"{label(selection)} does the step {step!r}" for step, selection in selections.items() if step != "answer"]
    chat.screen.note(f"{'; '.join([f'{who} answers now', *others])} ({', '.join(took)})")


def adapter_names(chat: "Chat") -> Sequence[str]:
    """The adapters there are."""
    from assistant.adapters.installing import names

    return [NONE, *names(chat.settings.home)]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2g} ms" if seconds < 0.1 else f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
