"""The slash commands of the chat: one table of what there is, when it makes sense, and what Tab offers after it.

What a command does stands in the module of its group: `turns`, `evidence`, `sessions`, `setup`.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from assistant.chat import adapting, comparing, evidence, sampling, sessions, setup, turns
from assistant.errors import UsageError
from assistant.rendering.answers import QUIET

if TYPE_CHECKING:
    from assistant.chat.repl import Chat

KEYS = {
    "Enter": "send",
    "Alt-Enter": "begin a new line (or Esc, then Enter)",
    ":::": "alone on a line: open a block of lines, or close it",
    "Ctrl-C": "stop an answer (the part is kept), or clear the line",
    "Ctrl-X Ctrl-E": "go on in your editor",
    "Tab": "complete",
}

WIDE = 80
"""Columns from which on a command and what it does fit on one line."""


def _always(_chat: "Chat") -> bool:
    return True


def _after_an_answer(chat: "Chat") -> bool:
    return chat.recording.last is not None


def _nothing(_chat: "Chat") -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command.

    Attributes:
        name: with its slash.
        takes: its argument, as the help shows it.
        does: in a few words.
        obey: does it, given what was typed after the name.
        ready: whether it makes sense now; Tab offers no other.
        words: what Tab offers after it.
    """

    name: str
    takes: str
    does: str
    obey: Callable[["Chat", str], None]
    ready: Callable[["Chat"], bool] = _always
    words: Callable[["Chat"], Sequence[str]] = _nothing


def _help(chat: "Chat", _rest: str) -> None:
    chat.screen.show(render_help(chat.screen.terminal.width))


def _quit(chat: "Chat", _rest: str) -> None:
    chat.leaving = True


GROUPS: dict[str, tuple[Command, ...]] = {
    "The last answer": (
        Command("/regenerate", "", "answer again, from the same passages", turns.regenerate, _after_an_answer),
        Command("/fresh", "", "ask it again, whatever was answered before", turns.fresh, _after_an_answer),
        Command("/wrong", "[WHY]", "say that an earlier answer doesn't fit here", turns.wrong, turns.was_cached),
        Command("/edit", "[QUESTION]", "change the question and ask it again", turns.edit, _after_an_answer),
        Command("/good", "", "say that it is right", turns.good, _after_an_answer),
        Command("/bad", "[WHY]", "say that it is not", turns.bad, _after_an_answer),
        Command("/better", "TEXT", "say how it should read", turns.better, _after_an_answer),
        Command("/copy", "", "put it on the clipboard", turns.copy, _after_an_answer),
    ),
    "Its evidence": (
        Command("/sources", "", "show the cited passages in full", evidence.sources, _after_an_answer),
        Command("/open", "N", "open the file of citation N", evidence.open_citation, evidence.has_citations,
                evidence.numbers),
        Command("/why", "[prompt]", "show how it came about: found, judged, written, checked", evidence.why,
                _after_an_answer, evidence.parts),
    ),
    "Asking in another way": (
        Command("/search", "QUERY", "find passages without answering", evidence.search),
        Command("/general", "QUESTION", "answer without your documents", turns.general, turns.can_talk),
        Command("/compare", "A B [--blind]", "answer with two adapters, and say which is better", comparing.compare,
                turns.can_talk, adapting.adapter_names),
        Command("/best", "[N]", "write N answers, and let a reward adapter choose", sampling.best,
                turns.can_talk, adapting.adapter_names),
        Command("/editor", "", "write a question in your editor", turns.editor),
    ),
    "Conversations": (
        Command("/new", "", "begin a new one; this one is kept", sessions.new, _after_an_answer),
        Command("/sessions", "", "list those kept", sessions.sessions, sessions.has_sessions),
        Command("/resume", "[ID]", "go on with the last one, or with another", sessions.resume, sessions.has_sessions,
                sessions.ids),
        Command("/save", "FILE", "write this one into a Markdown file", sessions.save, _after_an_answer),
    ),
    "Setting up": (
        Command("/index", "[NAME|FOLDER…]", "refresh; or use other indexes; or read a folder", setup.index,
                words=setup.index_names),
        Command("/model", "[NAME|FOLDER]", "show who answers; or let another model answer", setup.model,
                words=setup.model_names),
        Command("/adapter", "[NAME|none]", "show the adapters; or let another one answer", adapting.adapter,
                words=adapting.adapter_names),
        Command("/help", "", "show this", _help),
        Command("/quit", "", "leave (or Ctrl-D)", _quit),
    ),
}  # fmt: skip
COMMANDS = tuple(command for group in GROUPS.values() for command in group)


def is_command(line: str) -> bool:
    """`/help` is a command; `/etc/hosts holds what?` is a question."""
    return line.startswith("/") and "/" not in line.split()[0][1:]


def obey(chat: "Chat", line: str) -> None:
    """Do what a line says that begins with a command.

    Raises:
        UsageError: there is no such command.
    """
    name, *rest = line.split(None, 1)
    command = next((command for command in COMMANDS if command.name == name), None)
    if command is None:
        near = difflib.get_close_matches(name, [item.name for item in COMMANDS], n=1)
        hint = f"did you mean {near[0]}? /help shows all commands" if near else "/help shows all commands"
        raise UsageError(f"there is no command {name!r}", hint=hint)
    command.obey(chat, rest[0].strip() if rest else "")


def words(chat: "Chat", command: str) -> Sequence[str]:
    """What Tab offers: for ``""`` the commands that make sense now; for a command what it can be followed by."""
    if not command:
        return [item.name for item in COMMANDS if item.ready(chat)]
    return next((item.words(chat) for item in COMMANDS if item.name == command), ())


def render_help(width: int) -> Iterator[Text]:
    """All commands by group, then the keys; on a narrow terminal each with its explanation below it."""
    rows = {title: [(f"{item.name} {item.takes}", item.does) for item in group] for title, group in GROUPS.items()}
    rows["Keys"] = list(KEYS.items())
    widest = max(len(name) for group in rows.values() for name, _ in group)
    for title, group in rows.items():
        yield Text(title, style=QUIET)
        for name, does in group:
            yield Text(f"  {name.ljust(widest)}  {does}" if width >= WIDE else f"  {name}\n      {does}")
