"""Where rendered text is printed: standard output for results, standard error for everything else.

On a terminal text is wrapped at words and keeps its indent; into a pipe each line goes out whole, so that it can be searched.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from assistant.rendering.answers import QUIET, render_error
from assistant.rendering.terminal import Terminal, describe, sanitize
from assistant.settings import Settings
from indexes.errors import UserError

PREVIEW_AFTER_S = 0.15


class Screen:
    """The two streams, and what each can show."""

    def __init__(self, settings: Settings, *, out: TextIO | None = None, err: TextIO | None = None) -> None:
        out, err = out or sys.stdout, err or sys.stderr
        self.terminal = describe(out, colour=settings.color, links=settings.links, width=settings.width)
        self.err_terminal = describe(err, colour=settings.color, links=settings.links, width=settings.width)
        self.out = _console(out, self.terminal)
        self.err = _console(err, self.err_terminal)

    def show(self, lines: Iterable[Text] | str) -> None:
        """Print results: rendered lines, or plain text."""
        _print(self.out, self.terminal, [Text(sanitize(lines))] if isinstance(lines, str) else lines)

    def note(self, text: str) -> None:
        """Print a remark that is not a result: quietly, on standard error."""
        _print(self.err, self.err_terminal, [Text(sanitize(text), style=QUIET)])

    def fail(self, error: UserError) -> None:
        """Print an error's two lines."""
        self.err.print(Text(render_error(error)), soft_wrap=True)

    @contextmanager
    def preview(self, since: float | None = None) -> Iterator[Callable[[str], None]]:
        """Show a text while it is written, on a terminal only; it is wiped away at the end, when the checked one is there.

        What is written faster than it can be read never shows: a flicker tells nothing.

        Args:
            since: ``time.monotonic()`` when the waiting began; by default now.
        """
        if not self.terminal.interactive:
            yield lambda _: None
            return
        started, text = since or time.monotonic(), ""
        with Live(console=self.out, auto_refresh=False, transient=True, vertical_overflow="crop") as live:

            def show(piece: str) -> None:
                nonlocal text
                text += sanitize(piece)
                if time.monotonic() - started > PREVIEW_AFTER_S:
                    lines = Text(text).wrap(self.out, self.terminal.width, overflow="fold")
                    live.update(Text("\n").join(lines[-max(self.out.height - 2, 1) :]), refresh=True)

            yield show


class _Console(Console):
    """A console that leaves a reader who went away to `cli`; rich would end the program with exit code 1."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        raise BrokenPipeError


def _console(stream: TextIO, terminal: Terminal) -> Console:
    return _Console(
        file=stream,
        width=terminal.width,
        force_terminal=terminal.interactive or terminal.colour or terminal.links,
        color_system="auto" if terminal.interactive or not terminal.colour else "standard",
        no_color=not terminal.colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def _print(console: Console, terminal: Terminal, lines: Iterable[Text]) -> None:
    for text in lines:
        for line in text.split("\n", allow_blank=True):
            if terminal.interactive:
                _print_wrapped(console, line, terminal.width)
            else:
                console.print(line, soft_wrap=True)


def _print_wrapped(console: Console, line: Text, width: int) -> None:
    indent = len(line.plain) - len(line.plain.lstrip(" "))
    for part in line[indent:].wrap(console, max(width - indent, 10), overflow="fold") if line.plain.strip() else [Text("")]:
        part.rstrip()
        console.print(Text(" " * indent) + part, soft_wrap=True)
