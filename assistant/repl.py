"""The chat: read a line, answer it or obey its slash command, and go on.

It knows how to talk; answering is `answering`'s, printing `screen`'s, reading lines `repl_input`'s.
"""

import difflib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from assistant import completion
from assistant.errors import UsageError, UserError
from assistant.opening import open_file
from assistant.records import Answer
from assistant.render import QUIET, render_answer, render_hits, render_sources
from assistant.render_index import counted, render_report
from assistant.repl_input import LineReader
from assistant.screen import Screen
from assistant.settings import Settings

if TYPE_CHECKING:
    from assistant.answering import Assistant

Opener = Callable[[Sequence[str]], "Assistant"]


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command: its name, what it takes, what it does."""

    name: str
    takes: str
    does: str


COMMANDS = (
    Command("/help", "", "show this"),
    Command("/sources", "", "show the cited passages of the last answer in full"),
    Command("/open", "N", "open the file of citation N"),
    Command("/index", "[NAME|FOLDER…]", "refresh; or answer from other indexes; or read another folder"),
    Command("/search", "QUERY", "find passages without answering"),
    Command("/quit", "", "leave (or Ctrl-D)"),
)
LEAVING = ("quit", "exit", ":q")
"""What people type to leave, whatever the help says."""
KEYS = """Enter sends; Alt-Enter (or Esc, then Enter) begins a new line.
Ctrl-C stops an answer or clears the line; Tab completes."""


class Chat:
    """A conversation with the documents of one or several indexes.

    Args:
        settings: as gathered.
        screen: where to print.
        open_assistant: opens an assistant over the indexes named (none: the usual ones).
        strict: pass on only sentences that the check of their citations supports.
    """

    def __init__(self, settings: Settings, screen: Screen, open_assistant: Opener, *, strict: bool = False) -> None:
        self._settings, self._screen, self._open, self._strict = settings, screen, open_assistant, strict
        self._assistant: Assistant | None = None
        self._last: Answer | None = None

    def words(self, command: str) -> Sequence[str]:
        """What can be typed: the commands for ``""``; after a command what it takes."""
        if command == "/open" and self._last:
            return [str(citation.marker) for citation in self._last.citations or self._last.nearest]
        if command == "/index":
            return completion.names_in(self._settings.home)
        return [item.name for item in COMMANDS] if not command else []

    def run(self, reader: LineReader, *, index: Sequence[str] = ()) -> None:
        """Talk until the lines end. From a pipe nothing is opened before the first line has come."""
        try:
            if reader.interactive:
                self._use(index)
                self.greet()
            self._talk(reader, index)
        finally:
            self._close()

    def _talk(self, reader: LineReader, index: Sequence[str]) -> None:
        while True:
            try:
                line = reader.read()
            except EOFError:
                return
            except KeyboardInterrupt:
                if not reader.interactive:
                    raise
                self._screen.note("(Ctrl-D leaves)")
                continue
            if not line.strip():
                continue
            if line.strip() in LEAVING:
                return
            if self._assistant is None:
                self._use(index)
            if not self._obey(line.strip(), reader):
                return

    def greet(self) -> None:
        """Say what answers, from what, and whether it is up to date."""
        from indexes.catalog import describe_index, index_folder

        assistant = self._opened
        for name in assistant.index_names:
            info = describe_index(index_folder(self._settings.home, name))
            self._screen.note(f"{name}: {counted(info.documents, 'document')}, {counted(info.passages, 'passage')}")
        origin = self._settings.origin("model")
        why = "the default, no model is set" if origin == "default" else f"set by {origin}"
        self._screen.note(f"answers by {assistant.model_name}: {why}")
        changed = assistant.searcher.changed_files()
        if changed:
            self._screen.note(f"{counted(changed, 'file')} changed since indexing: /index to refresh")
        self._screen.note("Ask a question. /help shows the commands, Ctrl-D leaves.")

    def _obey(self, line: str, reader: LineReader) -> bool:
        """Handle one line; False when it ends the chat. An error of the user's is shown and the chat goes on."""
        try:
            if _is_command(line):
                return self._command(line)
            self.answer(line)
        except UserError as error:
            self._screen.fail(error)
        except KeyboardInterrupt:
            if not reader.interactive:
                raise
            self._screen.show([Text("(interrupted)", style=QUIET)])
        return True

    def answer(self, question: str) -> None:
        """Answer a question. What is written shows as it comes, and the verified answer then takes its place."""
        answer = self._last = self._listen(self._opened.stream(question, strict=self._strict))
        self._screen.show([*render_answer(answer, self._screen.terminal), Text("")])
        for notice in answer.notices:
            self._screen.note(notice)

    def _listen(self, stream: Iterator[str | Answer]) -> Answer:
        """Show a stream to its end. Ctrl-C is passed to it, so that it ends with what was written so far."""
        with self._screen.preview() as show:
            try:
                for item in stream:
                    if isinstance(item, Answer):
                        return item
                    show(item)
            except KeyboardInterrupt as interrupt:
                if isinstance(stream, Generator):
                    answer: Answer = stream.throw(interrupt)  # raised again where nothing was written yet
                    return answer
                raise
        raise TypeError("the stream ended without an answer")

    def _command(self, line: str) -> bool:
        name, _, rest = line.partition(" ")
        if name == "/quit":
            return False
        handlers: dict[str, Callable[[str], None]] = {
            "/help": self._help,
            "/sources": self._sources,
            "/open": self._open_citation,
            "/index": self._index,
            "/search": self._search,
        }
        handler = handlers.get(name)
        if handler is None:
            near = difflib.get_close_matches(name, [item.name for item in COMMANDS], n=1)
            hint = f"did you mean {near[0]}? /help shows all commands" if near else "/help shows all commands"
            raise UsageError(f"there is no command {name!r}", hint=hint)
        handler(rest.strip())
        return True

    def _help(self, _rest: str) -> None:
        widest = max(len(f"{item.name} {item.takes}") for item in COMMANDS)
        lines = [Text(f"{item.name} {item.takes}".ljust(widest + 2) + item.does) for item in COMMANDS]
        self._screen.show([*lines, Text(KEYS, style=QUIET)])

    def _sources(self, _rest: str) -> None:
        self._screen.show([*render_sources(self._answered, self._screen.terminal), Text("")])

    def _open_citation(self, rest: str) -> None:
        citations = self._answered.citations or self._answered.nearest
        found = next((citation for citation in citations if str(citation.marker) == rest.strip("[]")), None)
        if found is None:
            numbers = ", ".join(str(citation.marker) for citation in citations) or "none"
            raise UsageError(f"there is no citation {rest!r} in the last answer", hint=f"/open takes one of: {numbers}")
        if not open_file(found.path, found.lines[0] if found.lines else None):
            self._screen.note(f"{found.path}\nNothing here can open it: set EDITOR to your editor.")

    def _search(self, rest: str) -> None:
        from assistant.answering import readable_question

        hits = self._opened.searcher.search(readable_question(rest), k=self._settings.top_k)
        self._screen.show([*render_hits(hits, self._screen.terminal), Text("")])

    def _index(self, rest: str) -> None:
        """Refresh (no argument), answer from the indexes named, or read the folders named."""
        from assistant import indexing
        from indexes.roots import RootRequest

        words, names = rest.split(), completion.names_in(self._settings.home)
        if words and all(word in names for word in words):
            self._use(words)
            self.greet()
            return
        whole = Path(rest).expanduser()  # a path may hold spaces
        paths = [whole] if rest and whole.exists() else [Path(word).expanduser() for word in words]
        for path in paths:
            if not path.exists():
                near = difflib.get_close_matches(str(path), names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"indexes: {', '.join(names) or 'none'}"
                raise UsageError(f"{str(path)!r} is neither an index nor a folder", hint=hint)
        current = self._opened.index_names
        targets = [indexing.name_to_build(self._settings, paths, None)] if paths else current
        for name in targets:
            report = indexing.build(self._settings, self._screen, name, [RootRequest(path) for path in paths])
            self._screen.show([*render_report(report, self._screen.terminal), Text("")])
        self._use(targets)

    def _use(self, index: Sequence[str]) -> None:
        opened = self._open(index)
        self._close()
        self._assistant = opened

    def _close(self) -> None:
        if self._assistant is not None:
            self._assistant.searcher.close()
            self._assistant = None

    @property
    def _opened(self) -> "Assistant":
        if self._assistant is None:
            raise TypeError("the chat was used before it was opened")
        return self._assistant

    @property
    def _answered(self) -> Answer:
        if self._last is None:
            raise UsageError("nothing was asked yet", hint="type a question first")
        return self._last


def _is_command(line: str) -> bool:
    """`/help` is a command; `/etc/hosts holds what?` is a question."""
    return line.startswith("/") and "/" not in line.split()[0][1:]
