"""The chat: read a line, answer it or obey its slash command, keep the turn, and go on.

It knows how to talk; answering is `answering`'s, printing `screen`'s, reading lines `repl_input`'s, the commands
`repl_commands`', and keeping what was said `recording`'s.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from rich.text import Text

from assistant.chat import adapting, commands
from assistant.chat.conversation import Session
from assistant.chat.idling import audit_while_idle
from assistant.chat.lines import LineReader, block_text
from assistant.chat.listening import listen
from assistant.chat.recording import Recording
from assistant.commands import completion
from assistant.errors import UsageError, UserError
from assistant.records import Answer, Retrieved
from assistant.rendering.answers import QUIET, cached_note, render_answer
from assistant.rendering.indexes import counted
from assistant.rendering.screen import Screen
from assistant.rendering.sessions import GENERAL, render_resumed, render_turn
from assistant.settings import Settings

if TYPE_CHECKING:
    from assistant.answering import Assistant, Stream

LEAVING = ("quit", "exit", ":q")
"""What people type to leave, whatever the help says."""


class Opener(Protocol):
    """Opens an assistant."""

    def __call__(self, names: Sequence[str], *, model: str | None = None, now: "Assistant | None" = None) -> "Assistant":
        """Open an assistant over the indexes named; what ``now`` has open stays open and is used again.

        Args:
            names: of indexes; none: those of ``now``, else the usual ones.
            model: who answers; None: the one of ``now``, else the usual one.
            now: what is open. The caller closes its searcher if it is another one afterwards.
        """
        ...


class Chat:
    """A conversation with the documents of one or several indexes.

    Args:
        settings: as gathered.
        screen: where to print.
        open_assistant: opens what answers.
        recording: where the turns are kept.
        strict: pass on only sentences that the check of their citations supports.
        fresh: give no past answer again.
    """

    def __init__(
        self,
        settings: Settings,
        screen: Screen,
        open_assistant: Opener,
        recording: Recording,
        *,
        strict: bool = False,
        fresh: bool = False,
    ) -> None:
        self.settings, self.screen, self.recording = settings, screen, recording
        self.leaving = False
        self._open, self._strict, self._fresh = open_assistant, strict, fresh
        self._assistant: Assistant | None = None
        self._reader: LineReader | None = None
        self._index: Sequence[str] = ()
        self._model_origin = settings.origin("model")
        self._pending: adapting.Pending | None = None

    def words(self, command: str) -> Sequence[str]:
        """What can be typed now: the commands for ``""``; after a command what it takes."""
        return commands.words(self, command)

    def run(self, reader: LineReader, *, session: Session | None = None) -> None:
        """Talk until the lines end. From a pipe no index is opened before the first line has come.

        Args:
            reader: gives the lines.
            session: a conversation to go on with.
        """
        self._reader = reader
        try:
            unreadable = self._take_up(session) if session else 0
            if reader.interactive:
                self.use(self._index)
                self.greet()
            if session:
                self._show_resumed(session, unreadable)
            self._talk(reader)
        finally:
            self.recording.close()
            self._close()

    def _talk(self, reader: LineReader) -> None:
        while not self.leaving:
            try:
                line = reader.read()
            except EOFError:
                return
            except KeyboardInterrupt:
                if not reader.interactive:
                    raise
                self.screen.note("(Ctrl-D leaves)")
                continue
            if line.strip() in LEAVING:
                return
            if not line.strip():
                continue
            if self._assistant is None:
                self.use(self._index)
            self._guarded(line, reader)

    def _guarded(self, line: str, reader: LineReader) -> None:
        """Do what a line asks for. An error of the user's is shown, Ctrl-C ends it, and the chat goes on."""
        try:
            self.obey(line)
        except UserError as error:
            self.screen.fail(error)
        except KeyboardInterrupt:
            if not reader.interactive:
                raise
            self.screen.show([Text("(interrupted)", style=QUIET)])

    def obey(self, line: str) -> None:
        """Answer a line, or do what its command says. A ``:::`` block is always a question."""
        block = block_text(line)
        if block is None and commands.is_command(line.strip()):
            commands.obey(self, line.strip())
        elif (block or line).strip():
            self.ask((block or line).strip())

    def greet(self) -> None:
        """Say what answers, from what, and whether it is up to date."""
        from indexes.catalog import describe_index, index_folder

        for name in self.assistant.index_names:
            info = describe_index(index_folder(self.settings.home, name))
            self.screen.note(f"{name}: {counted(info.documents, 'document')}, {counted(info.passages, 'passage')}")
        self.say_who_answers()
        changed = self.assistant.searcher.changed_files()
        if changed:
            self.screen.note(f"{counted(changed, 'file')} changed since indexing: /index to refresh")
        self.screen.note("Ask a question. /help shows the commands, Ctrl-D leaves.")

    def say_who_answers(self) -> None:
        """Name the model, and who chose it."""
        why = "the default, no model is set" if self._model_origin == "default" else f"set by {self._model_origin}"
        adapter = f" with {self.assistant.model.adapter}" if self.assistant.model.adapter else ""
        self.screen.note(f"answers by {self.assistant.model_name}{adapter}: {why}")

    def ask(self, question: str, *, instead: bool = False, fresh: bool = False) -> None:
        """Answer a question. What is written shows as it comes, and the verified answer then takes its place.

        Args:
            question: as typed.
            instead: of the last turn, which it replaces.
            fresh: whatever was answered before.
        """
        afresh = fresh or self._fresh
        stream = self.assistant.stream(question, strict=self._strict, earlier=self._earlier(instead), fresh=afresh)
        self._keep(self._hear(stream), instead=instead)

    def general(self, question: str, *, instead: bool = False) -> None:
        """Answer a question without documents."""
        stream = self.assistant.general(question, earlier=self._earlier(instead))
        self._keep(self._hear(stream), instead=instead)

    def regenerate(self) -> None:
        """Answer the last question again, from the very same passages. Only an answer that got to its end replaces the last."""
        before = self.answered
        if before.general:
            self.general(before.question, instead=True)
            return
        heard = self._hear(self.assistant.regenerate(before, strict=self._strict))
        answer, fault = heard
        if answer.status == "interrupted":
            self._tell(answer)
            self.screen.note("the answer before this one stays the last")
            if fault:
                raise fault
            return
        self._keep(heard, instead=True)
        if answer.text == before.text and answer.model == before.model:
            self.screen.note(f"word for word the same: {answer.model} answers the same prompt alike; /edit asks in other words")

    def retrieved(self, question: str = "") -> Retrieved:
        """The passages of the last question; of another one those that are found for it now.

        Raises:
            UsageError: nothing was asked yet, or the last answer was written without documents.
        """
        if self._pending:
            self._pending = adapting.arrive(self, self._pending)
        if question:
            found = self.assistant.retrieve(question, earlier=self.recording.answers)
            if found.rewritten:
                self.screen.note(f"searching for: {found.rewritten}")
            return found
        last = self.answered
        if last.general:
            raise UsageError("the last answer was written without documents", hint="type the question after the command")
        if known := Retrieved.of(last):
            return known
        found = self.assistant.retrieve(last.rewritten or last.question)  # given again from the cache, without a search
        return replace(found, question=last.question, rewritten=last.rewritten)

    def write(self, retrieved: Retrieved) -> Answer:
        """Answer from passages found before. The answer isn't kept; one that doesn't get to its end is none.

        Raises:
            KeyboardInterrupt: it was interrupted.
            ModelError: the model can't go on.
        """
        answer, fault = self._hear(self.assistant.write(retrieved, strict=self._strict))
        if fault:
            raise fault
        if answer.status == "interrupted":
            raise KeyboardInterrupt
        return answer

    def keep(self, answer: Answer, *, instead: bool) -> None:
        """Show an answer and keep it as the last turn, or instead of that."""
        self._keep((answer, None), instead=instead)

    def _earlier(self, instead: bool) -> Sequence[Answer]:
        return self.recording.answers[:-1] if instead else self.recording.answers

    def _hear(self, stream: "Stream") -> tuple[Answer, UserError | None]:
        if self._pending:  # nothing of the stream has run yet
            self._pending = adapting.arrive(self, self._pending)
        return listen(stream, self.screen, self.assistant.cut_short)

    def _keep(self, heard: tuple[Answer, UserError | None], *, instead: bool) -> None:
        """Show an answer and keep it as the last turn, however far it got; then say what stopped it."""
        answer, fault = heard
        self._tell(answer)
        if instead:
            self.recording.replace_last(answer)
        else:
            self.recording.add(answer)
        if fault:
            raise fault

    def _tell(self, answer: Answer) -> None:
        if answer.general:
            self.screen.note(f"({GENERAL})")
        self.screen.show([*render_answer(answer, self.screen.terminal), Text("")])
        if note := cached_note(answer):
            self.screen.note(note)
        for notice in answer.notices:
            self.screen.note(notice)

    def idle(self, is_typing: Callable[[], bool]) -> None:
        """Do something useful while nobody types."""
        if self._assistant is not None:
            audit_while_idle(self._assistant, is_typing)

    def resume(self, session: Session) -> None:
        """Go on with a conversation that lies on disk, over its indexes."""
        unreadable = self._take_up(session)
        if self._index and tuple(self._index) != self.assistant.index_names:
            self.use(self._index)
        self._show_resumed(session, unreadable)

    def _take_up(self, session: Session) -> int:
        """Load its turns, and choose its indexes, as far as they are still there and no others were asked for."""
        unreadable = self.recording.resume(session)
        there = completion.names_in(self.settings.home)
        for name in session.index:
            if name not in there:
                self.screen.note(f"the index {name!r} that it was answered from is gone")
        if self.settings.origin("index") != "--index":
            self._index = [name for name in session.index if name in there]
        return unreadable

    def _show_resumed(self, session: Session, unreadable: int) -> None:
        """Say which conversation goes on, and to a person show its last turn."""
        for line in render_resumed(session, unreadable):
            self.screen.note(line)
        if self.recording.last and self.reader.interactive:
            turn = render_turn(self.recording.last.question, self.recording.last, self.screen.terminal)
            self.screen.show([Text(""), *turn, Text("")])
        if self._assistant and session.model != self._assistant.model_name:
            self.screen.note(f"{session.model} answered it so far; /model {session.model} goes on with it")

    def use(self, index: Sequence[str]) -> None:
        """Answer from other indexes (none: the usual ones), by the same model."""
        self._become(self._open(index, now=self._assistant))

    def use_model(self, name: str) -> None:
        """Let another model answer, from the same indexes."""
        adapter = self.assistant.model.adapter
        self._become(self._open((), model=name, now=self.assistant))
        self._model_origin = "/model"
        if adapter:
            self.screen.note(f"without {adapter}, which belongs to the model before")

    def use_adapter(self, spec: str) -> None:
        """Let other adapters answer, from the next question on."""
        self._pending = adapting.switch(self, spec)

    def _become(self, opened: "Assistant") -> None:
        before, self._assistant = self._assistant, opened
        if before is not None and before.searcher is not opened.searcher:
            before.searcher.close()
        if before is not None and before.model is not opened.model:
            before.model.close()
        if before is not None and before.cache is not None:
            before.cache.close()

    def _close(self) -> None:
        if self._assistant is not None:
            self._assistant.close()
            self._assistant = None

    @property
    def assistant(self) -> "Assistant":
        """What answers."""
        if self._assistant is None:
            raise TypeError("the chat was used before it was opened")
        return self._assistant

    @property
    def reader(self) -> LineReader:
        """Where the lines come from."""
        if self._reader is None:
            raise TypeError("the chat was used before it ran")
        return self._reader

    @property
    def answered(self) -> Answer:
        """The last answer.

        Raises:
            UsageError: nothing was asked yet.
        """
        if self.recording.last is None:
            raise UsageError("nothing was asked yet", hint="type a question first")
        return self.recording.last
