"""Follow an answer while it is written: show it as it comes, and let nothing that was written be lost."""

import time
from collections.abc import Callable, Generator, Iterator
from itertools import chain

from assistant.errors import UserError
from assistant.records import Answer, Rewritten
from assistant.rendering.screen import Screen

CutShort = Callable[[str], Answer]
"""What was written of an answer whose stream broke → an answer of it."""


def listen(stream: Iterator[Rewritten | str | Answer], screen: Screen, cut_short: CutShort) -> tuple[Answer, UserError | None]:
    """Show a stream to its end.

    Ctrl-C ends it with what was written so far. So does a fault in the middle of it, which is returned with the answer.

    Raises:
        KeyboardInterrupt, UserError: nothing was written yet.
    """
    written: list[str] = []
    try:
        return _follow(stream, screen, written), None
    except (KeyboardInterrupt, UserError) as fault:
        if not "".join(written).strip():
            raise
        return cut_short("".join(written)), fault if isinstance(fault, UserError) else None


def _follow(stream: Iterator[Rewritten | str | Answer], screen: Screen, written: list[str]) -> Answer:
    """Show a stream to its end. Ctrl-C is passed to it, so that it ends with what was written so far."""
    since = time.monotonic()
    first = next(stream)
    if isinstance(first, Rewritten):  # before the preview, which would put an empty line behind it
        screen.note(f"searching for: {first.question}")
        first = next(stream)
    with screen.preview(since) as show:
        try:
            for item in chain([first], stream):
                if isinstance(item, Answer):
                    return item
                if isinstance(item, str):
                    written.append(item)
                    show(item)
        except KeyboardInterrupt as interrupt:
            if isinstance(stream, Generator):
                answer: Answer = stream.throw(interrupt)  # raised again where nothing can be made of it
                return answer
            raise
    raise TypeError("the stream ended without an answer")
