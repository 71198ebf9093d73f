"""Where rendered text is printed: standard output for results, standard error for everything else.

On a terminal text is wrapped at words and keeps its indent; into a pipe each line goes out whole, so that it can be searched.
"""

import re
import sys
from collections.abc import Callable, Iterable
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from assistant.render import MARKER, QUIET, render_error
from assistant.settings import Settings
from assistant.terminal import Terminal, describe, sanitize
from indexes.errors import UserError


class Screen:
    """The two streams, and what each can show."""

    def __init__(self, settings: Settings, *, out: TextIO | None = None, err: TextIO | None = None) -> None:
        out, err = out or sys.stdout, err or sys.stderr
        self.terminal = describe(out, colour=settings.color, links=settings.links, width=settings.width)
        self.err_terminal = describe(err, colour=settings.color, links=settings.links, width=settings.width)
        self.out = _console(out, self.terminal)
        self.err = _console(err, self.err_terminal)

    def show(self, lines: Iterable[Text]) -> None:
        """Print results."""
        _print(self.out, self.terminal, lines)

    def note(self, text: str) -> None:
        """Print a remark that is not a result: quietly, on standard error."""
        _print(self.err, self.err_terminal, [Text(sanitize(text), style=QUIET)])

    def fail(self, error: UserError) -> None:
        """Print an error's two lines."""
        self.err.print(Text(render_error(error)), soft_wrap=True)

    def flow(self) -> "Flow":
        """Begin an answer that comes in pieces."""
        return Flow(self._write, self.terminal.width if self.terminal.interactive else 0)

    def _write(self, text: Text) -> None:
        self.out.print(text, end="", soft_wrap=True)


class Flow:
    """Prints a text that comes in pieces, broken at words. Holds back a word until it is whole.

    Args:
        write: prints a piece without a newline.
        width: columns; 0 breaks no lines.
    """

    def __init__(self, write: Callable[[Text], None], width: int) -> None:
        self._write, self._width = write, width
        self._word = self._space = ""
        self._column = 0

    def feed(self, piece: str) -> None:
        """Print what is whole of a piece."""
        for part in re.findall(r"\n|[^\S\n]+|\S+", sanitize(piece)):
            if not part.isspace():
                self._word += part
                continue
            self._flush()
            if part == "\n":
                self._write(Text("\n"))
                self._space, self._column = "", 0
            elif self._column:
                self._space = part

    def end(self) -> None:
        """Print what was held back, and end the line."""
        self._flush()
        if self._column:
            self._write(Text("\n"))
        self._space, self._column = "", 0

    def _flush(self) -> None:
        if not self._word:
            return
        size = cell_len(self._space) + cell_len(self._word)
        if self._width and self._column and self._column + size > self._width:
            self._write(Text("\n"))
            self._space, self._column, size = "", 0, cell_len(self._word)
        style = MARKER if re.fullmatch(r"(\[\d+\])+[.,;]?", self._word) else ""
        self._write(Text(self._space + self._word, style=style))
        self._word = self._space = ""
        self._column += size


def _console(stream: TextIO, terminal: Terminal) -> Console:
    return Console(
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
