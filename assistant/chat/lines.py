"""Where the chat's lines come from: a person at a terminal (prompt_toolkit), or a pipe.

Both are read with ``read()``, which raises EOFError at the end and KeyboardInterrupt on Ctrl-C at an empty prompt.
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.input.typeahead import clear_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import FormattedTextControl, Layout, Window
from prompt_toolkit.shortcuts import CompleteStyle

if sys.platform != "win32":
    import termios

HISTORY = "history"
FENCE = ":::"
"""Alone on a line it opens a block of several lines, and closes it."""
TAKE_PATHS = frozenset({"/index", "/model", "/save"})
"""Commands whose argument may be a file or folder."""
LONGEST_REMEMBERED = 5_000
"""Characters of a line that goes into the history; a pasted document does not."""


class LineReader(Protocol):
    """Gives the chat its next line."""

    interactive: bool

    def read(self, beginning: str = "") -> str:
        """The next line without its newline, or a whole ``:::`` block with its fences. Raises EOFError when there is none.

        Args:
            beginning: stands there already, to be changed.
        """
        ...

    def ask(self, question: str) -> str:
        """Ask for a folder. Raises EOFError when nobody answers."""
        ...

    def confirm(self, question: str) -> bool:
        """Ask for a yes. Raises EOFError when nobody answers."""
        ...

    def key(self, question: str, keys: Sequence[str]) -> str:
        """Ask for one key of several; ``""`` for none of them. From a pipe it is whatever stands in the next line."""
        ...


def is_open_block(text: str) -> bool:
    """Whether a text begins a ``:::`` block and doesn't end it."""
    lines = text.split("\n")
    return lines[0].strip() == FENCE and (len(lines) == 1 or lines[-1].strip() != FENCE)


def block_text(text: str) -> str | None:
    """What stands in a ``:::`` block; None for a text that is none."""
    lines = text.split("\n")
    if lines[0].strip() != FENCE:
        return None
    return "\n".join(lines[1:-1] if len(lines) > 1 and lines[-1].strip() == FENCE else lines[1:])


class PipeReader:
    """One question a line, from a pipe or a file."""

    interactive = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def read(self, beginning: str = "") -> str:  # noqa: ARG002 - there is nothing to change
        text = self._line()
        while is_open_block(text):
            try:
                text += f"\n{self._line()}"
            except EOFError:
                break
        return text

    def _line(self) -> str:
        line = self._stream.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")

    def ask(self, question: str) -> str:  # noqa: ARG002 - nobody is there to be asked
        raise EOFError

    def confirm(self, question: str) -> bool:  # noqa: ARG002 - the same
        raise EOFError

    def key(self, question: str, keys: Sequence[str]) -> str:  # noqa: ARG002 - a line comes from elsewhere
        try:
            return self._line().strip().lower()
        except EOFError:
            return ""


class TerminalReader:
    """Lines from a person: history, completion, several lines, Ctrl-C clears.

    Args:
        home: where the history lies; None keeps it in memory.
        words: slash commands and what each can be completed with.
        idle: what to do while nobody types; it is told how to find out that somebody does, and returns then.
    """

    interactive = True

    def __init__(
        self,
        home: Path | None,
        words: Callable[[str], Sequence[str]],
        idle: Callable[[Callable[[], bool]], None] = lambda _: None,
    ) -> None:
        self._idle = idle
        history: History = PrivateHistory(home / HISTORY) if home else InMemoryHistory()
        self._session: PromptSession[str] = PromptSession(
            history=history,
            completer=SlashCompleter(words),
            complete_while_typing=False,  # a menu that pops up by itself is in the way of a question
            complete_style=CompleteStyle.READLINE_LIKE,
            multiline=True,
            key_bindings=_keys(),
            prompt_continuation="  ",
            reserve_space_for_menu=4,
            enable_open_in_editor=True,  # Ctrl-X Ctrl-E
            tempfile_suffix=".md",
        )

    def read(self, beginning: str = "") -> str:
        return _encodable(
            self._session.prompt("> ", default=beginning, inputhook=lambda context: self._idle(context.input_is_ready))
        )

    def ask(self, question: str) -> str:
        session: PromptSession[str] = PromptSession(
            completer=PathCompleter(only_directories=True, expanduser=True), complete_style=CompleteStyle.READLINE_LIKE
        )
        return _encodable(session.prompt(question))

    def confirm(self, question: str) -> bool:
        session: PromptSession[str] = PromptSession()
        return session.prompt(f"{question} [y/N] ").strip().lower() in ("y", "yes")

    def key(self, question: str, keys: Sequence[str]) -> str:
        asking: Application[str] = Application(
            layout=Layout(Window(FormattedTextControl(question, show_cursor=True), height=1)), key_bindings=_choice(keys)
        )
        _forget_typed(asking.input)
        return asking.run()


class PrivateHistory(FileHistory):
    """A history file that only its owner reads. Neither a full disk nor a strange character in it ends the chat."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))

    def store_string(self, string: str) -> None:
        """Append a line to the file."""
        if len(string) > LONGEST_REMEMBERED:
            return
        try:
            Path(str(self.filename)).touch(mode=0o600)
            super().store_string(_encodable(string))
        except OSError:
            return  # the line is still remembered until the chat ends

    def load_history_strings(self) -> Iterable[str]:
        """Read the file, newest line first."""
        try:
            return list(super().load_history_strings())
        except OSError:
            return []


class SlashCompleter(Completer):
    """Completes slash commands, then what each takes: names, ids, numbers, paths.

    Args:
        words: for ``""`` the commands; for a command what it can be followed by.
    """

    def __init__(self, words: Callable[[str], Sequence[str]]) -> None:
        self._words = words
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if not text.startswith("/") or "\n" in text:
            return
        command, space, rest = text.partition(" ")
        word = rest.rpartition(" ")[2]
        typed = word if space else command
        for candidate in self._words(command if space else ""):
            if candidate.startswith(typed):
                yield Completion(candidate, start_position=-len(typed))
        if space and command in TAKE_PATHS:
            yield from self._paths.get_completions(Document(word), complete_event)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        if is_open_block(event.current_buffer.text):
            event.current_buffer.newline(copy_margin=False)
        else:
            event.current_buffer.validate_and_handle()

    # Not Ctrl-J: what is typed ahead while an answer is written arrives with Enter as that very character.
    @keys.add("escape", "enter")
    @keys.add("escape", "c-j")
    def _newline(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    @keys.add("c-c")
    def _clear(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    return keys


def _forget_typed(source: Input) -> None:
    """Drop what was typed while the answers were written: it was no choice between them."""
    clear_typeahead(source)
    if sys.platform != "win32" and os.isatty(source.fileno()):
        termios.tcflush(source.fileno(), termios.TCIFLUSH)


def _choice(keys: Sequence[str]) -> KeyBindings:
    """One press of a key chooses it; Enter, Esc, Ctrl-C and Ctrl-D choose nothing, and any other key does nothing."""
    bindings = KeyBindings()
    for name in [*keys, *(key.upper() for key in keys if key != key.upper())]:
        bindings.add(name)(lambda event, name=name: event.app.exit(result=name.lower()))
    for name in ("enter", "escape", "c-c", "c-d"):
        bindings.add(name)(lambda event: event.app.exit(result=""))
    return bindings


def _encodable(text: str) -> str:
    """Replace what UTF-8 can't hold: a terminal may send bytes that are no text."""
    return text.encode("utf-8", "replace").decode("utf-8")
