"""The chat's loop with a scripted assistant: what each line does, and what an interruption leaves."""

import base64
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fakes import a_citation, a_hit, an_abstention, an_answer
from prompt_toolkit.application import create_app_session
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from test_conversation import a_traced_answer

from assistant.chat.clipboard import copy_sequence
from assistant.chat.commands import COMMANDS
from assistant.chat.composing import compose
from assistant.chat.conversation import Conversations
from assistant.chat.lines import PipeReader, PrivateHistory, SlashCompleter, TerminalReader, block_text
from assistant.chat.opening import desktop_command, editor_command, open_file
from assistant.chat.recording import Recording
from assistant.chat.repl import Chat
from assistant.errors import DocumentError, IndexNotFound, ModelError, UsageError
from assistant.feedback import read_feedback
from assistant.records import Answer, Rewritten
from assistant.rendering.indexes import counted, duration, size
from assistant.rendering.screen import Screen
from assistant.settings import Settings

Reply = Sequence[str | Answer | BaseException]


class FakeSearcher:
    def __init__(self) -> None:
        self.queries: list[tuple[str, int]] = []
        self.closed = False

    def search(self, query: str, *, k: int) -> list[object]:
        self.queries.append((query, k))
        return [a_hit(), a_hit(2, "b.md")]

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeModel:
    name: str = "scripted"
    adapter: str | None = None
    budget: object = None
    closed: bool = False

    def close(self) -> None:
        self.closed = True

    def base(self) -> None:
        raise ModelError("'scripted' takes no adapters", hint="none")


class FakeAssistant:
    """Replies as scripted; a reply is what its stream yields, or raises."""

    index_names: tuple[str, ...] = ("default",)

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.questions: list[str] = []
        self.earlier: list[list[str]] = []
        self.regenerated: list[Answer] = []
        self.searcher = FakeSearcher()
        self.model = FakeModel()
        self.cache = None

    def close(self) -> None:
        self.searcher.close()
        self.model.close()

    @property
    def model_name(self) -> str:
        return self.model.name

    def stream(
        self, question: str, *, strict: bool = False, earlier: Sequence[Answer] = (), fresh: bool = False
    ) -> Iterator[Rewritten | str | Answer]:
        self.questions.append(question)
        self.earlier.append([answer.question for answer in earlier])
        yield from self._reply(question)

    def general(self, question: str, *, earlier: Sequence[Answer] = ()) -> Iterator[Rewritten | str | Answer]:
        self.questions.append(f"general: {question}")
        yield from self._reply(question)

    def regenerate(self, answer: Answer, *, strict: bool = False) -> Iterator[Rewritten | str | Answer]:
        self.regenerated.append(answer)
        yield from self._reply(answer.question)

    def cut_short(self, written: str) -> Answer:
        return an_answer(f"checked: {written}", question=self.questions[-1], status="interrupted", citations=())

    def _reply(self, question: str) -> Iterator[Rewritten | str | Answer]:
        written = ""
        for item in self.replies.pop(0):
            if isinstance(item, BaseException):
                raise item
            written += item if isinstance(item, str) else ""
            try:
                yield replace(item, question=question) if isinstance(item, Answer) else item
            except KeyboardInterrupt:  # as `Assistant.stream` does
                yield an_answer(written, question=question, status="interrupted", citations=())
                return


class Keys:
    """A person who types lines; an exception is a key."""

    def __init__(self, *lines: str | BaseException, interactive: bool = True) -> None:
        self.lines = list(lines)
        self.interactive = interactive
        self.beginnings: list[str] = []

    def read(self, beginning: str = "") -> str:
        self.beginnings.append(beginning)
        if not self.lines:
            raise EOFError
        line = self.lines.pop(0)
        if isinstance(line, BaseException):
            raise line
        return line

    def ask(self, question: str) -> str:
        return self.read()

    def confirm(self, question: str) -> bool:
        return self.read() == "y"


@dataclass
class Talk:
    """A chat over a scripted assistant; what it prints and whom it opens are seen."""

    home: Path
    assistant: FakeAssistant
    out: io.StringIO = field(default_factory=io.StringIO)
    err: io.StringIO = field(default_factory=io.StringIO)
    opened: list[tuple[tuple[str, ...], str | None]] = field(default_factory=list)
    refuse: Exception | None = None

    def __post_init__(self) -> None:
        settings = Settings(home=self.home, top_k=7)
        self.screen = Screen(settings, out=self.out, err=self.err)
        self.store = Conversations(self.home)
        self.chat = Chat(settings, self.screen, self.open, Recording(self.store, self.screen.note))  # type: ignore[arg-type]

    def open(self, names: Sequence[str], *, model: str | None = None, now: FakeAssistant | None = None) -> FakeAssistant:
        if self.refuse and now:
            raise self.refuse
        self.opened.append((tuple(names), model))
        if model:
            self.assistant.model = FakeModel(model)
        return self.assistant

    def type(self, *lines: str | BaseException, session: str | None = None, interactive: bool = True) -> Keys:
        keys = Keys(*lines, interactive=interactive)
        self.chat.run(keys, session=self.store.find(session) if session else None)
        return keys

    def saved(self) -> list[str]:
        """The questions of the latest conversation on disk."""
        return [turn.question for turn in self.store.turns(self.store.sessions()[0].session_id)]


def interrupting(self: Screen, since: float) -> object:
    """A preview during which Ctrl-C is pressed."""

    class Preview:
        def __enter__(self) -> Callable[[str], None]:
            def show(piece: str) -> None:
                raise KeyboardInterrupt

            return show

        def __exit__(self, *_: object) -> None: ...

    return Preview()


@pytest.fixture
def chat(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Talk]:
    monkeypatch.setattr(Chat, "greet", lambda self: None)
    return lambda *replies: Talk(home, FakeAssistant(*replies))


@pytest.fixture
def talk(chat: Callable[..., Talk]) -> Callable[..., tuple[str, str, FakeAssistant]]:
    def talk(*lines: str | BaseException, replies: Sequence[Reply] = ()) -> tuple[str, str, FakeAssistant]:
        one = chat(*replies)
        one.type(*lines)
        return one.out.getvalue(), one.err.getvalue(), one.assistant

    return talk


def test_a_question_is_answered_and_the_searcher_closed(talk: Callable[..., tuple[str, str, FakeAssistant]]) -> None:
    out, err, assistant = talk("  How many?  ", replies=[["raw [4]", an_answer()]])
    assert out == "The hut sleeps 24. [1]\n\n[1] guide/setup.md:12-14\n\n"
    assert err == ""
    assert assistant.questions == ["How many?"]
    assert assistant.searcher.closed


def test_empty_lines_ask_nothing_and_leaving_words_leave(talk: Callable[..., tuple[str, str, FakeAssistant]]) -> None:
    for word in ("quit", "exit", "/quit"):
        assert talk("", "   ", "\t", word, "never asked")[2].questions == []


def test_an_error_is_shown_and_the_chat_goes_on(talk: Callable[..., tuple[str, str, FakeAssistant]]) -> None:
    out, err, assistant = talk("a?", "b?", replies=[[UsageError("no 'a'", hint="ask b")], [an_answer()]])
    assert err == "error: no 'a'\nhint: ask b\n"
    assert "The hut sleeps 24." in out
    assert assistant.questions == ["a?", "b?"]


def test_ctrl_c_while_it_is_written_keeps_the_text_and_the_chat(
    talk: Callable[..., tuple[str, str, FakeAssistant]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Screen, "preview", interrupting)
    out, _, assistant = talk("a?", "/sources", replies=[["The hut ", "sleeps", an_answer()]])
    assert out.startswith("The hut\n(interrupted)\n")
    assert assistant.questions == ["a?"]


def test_ctrl_c_before_anything_is_written_keeps_the_chat(talk: Callable[..., tuple[str, str, FakeAssistant]]) -> None:
    out, _, _ = talk("a?", "b?", replies=[[KeyboardInterrupt()], [an_answer()]])
    assert out.startswith("(interrupted)\nThe hut sleeps 24.")


def test_ctrl_c_at_the_prompt_says_how_to_leave(talk: Callable[..., tuple[str, str, FakeAssistant]]) -> None:
    assert talk(KeyboardInterrupt(), "/quit")[1] == "(Ctrl-D leaves)\n"


def test_sources_shows_whole_quotes_and_before_any_answer_an_error(talk: Callable[..., tuple[str, str, FakeAssistant]]) -> None:
    out, err, _ = talk("/sources", "a?", "/sources", replies=[[an_abstention(nearest=(a_citation(quote="long " * 100),))]])
    assert err == "error: nothing was asked yet\nhint: type a question first\n"
    assert out.endswith(f"[1] guide/setup.md:12-14\n    {('long ' * 100).strip()}\n\n")


def test_search_uses_the_settings_and_needs_words(talk: Callable[..., tuple[str, str, FakeAssistant]]) -> None:
    out, err, assistant = talk("/search  boat  house ", "/search")
    assert assistant.searcher.queries == [("boat house", 7)]
    assert out.startswith(" 1 guide/setup.md:12-14  0.90\n")
    assert err.startswith("error: ")


def test_open_takes_a_number_of_the_last_answer(
    talk: Callable[..., tuple[str, str, FakeAssistant]], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, int | None]] = []
    monkeypatch.setattr("assistant.chat.evidence.open_file", lambda path, line: opened.append((path, line)) or len(opened) == 1)
    answer = an_answer(citations=(a_citation(), a_citation(2, "x.pdf", lines=None, page=3)))
    _, err, _ = talk("a?", "/open 1", "/open [2]", "/open 3", "/open", replies=[[answer]])
    assert opened == [("/docs/guide/setup.md", 12), ("/docs/x.pdf", None)]
    assert "/docs/x.pdf\nNothing here can open it" in err
    assert err.count("hint: /open takes one of: 1, 2") == 2


@pytest.mark.parametrize(("typed", "meant"), [("/serch x", "/search"), ("/HELP", None), ("/zzz", None), ("/sorces", "/sources")])
def test_an_unknown_command_suggests_the_nearest(
    talk: Callable[..., tuple[str, str, FakeAssistant]], typed: str, meant: str | None
) -> None:
    _, err, assistant = talk(typed)
    assert (f"did you mean {meant}?" in err) is (meant is not None)
    assert "/help shows all commands" in err
    assert assistant.questions == []


def test_a_question_about_a_path_is_no_command(talk: Callable[..., tuple[str, str, FakeAssistant]]) -> None:
    assert talk("/etc/hosts holds what?", replies=[[an_answer()]])[2].questions == ["/etc/hosts holds what?"]


def test_help_lists_every_command(talk: Callable[..., tuple[str, str, FakeAssistant]]) -> None:
    out = talk("/help")[0]
    for command in COMMANDS:
        assert re.search(rf"^  {re.escape(command.name)}\b.*{re.escape(command.does[:20])}", out, re.MULTILINE)
    assert re.search(r"^  Alt-Enter +begin a new line \(or Esc, then Enter\)$", out, re.MULTILINE)


def test_every_command_of_the_help_is_obeyed(talk: Callable[..., tuple[str, str, FakeAssistant]]) -> None:
    for command in COMMANDS:
        assert "there is no command" not in talk(f"{command.name} /nowhere/at/all", replies=[[an_answer()]])[1]


def test_an_index_that_is_neither_name_nor_folder_is_an_error(talk: Callable[..., tuple[str, str, FakeAssistant]]) -> None:
    assert "error: '/no/where' is neither an index nor a folder" in talk("/index /no/where")[1]


def test_switching_to_an_index_that_cannot_be_opened_keeps_the_old_one(home: Path, chat: Callable[..., Talk]) -> None:
    (home / "indexes" / "other").mkdir(parents=True)
    (home / "indexes" / "other" / "index.sqlite").touch()
    one = chat([an_answer()])
    one.refuse = IndexNotFound("damaged", hint="x")
    one.type("/index other", "still there?")
    assert "error: damaged" in one.err.getvalue()
    assert one.assistant.questions == ["still there?"]


def test_a_follow_up_knows_what_was_said_and_shows_what_is_searched(chat: Callable[..., Talk]) -> None:
    one = chat([an_answer()], [Rewritten("How warm is Mirrin?"), an_answer(rewritten="How warm is Mirrin?")])
    one.type("How many?", "and how warm?")
    assert one.assistant.earlier == [[], ["How many?"]]
    assert one.err.getvalue() == "searching for: How warm is Mirrin?\n"
    assert one.saved() == ["How many?", "and how warm?"]


def test_an_interrupted_answer_is_kept_and_marked(chat: Callable[..., Talk], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Screen, "preview", interrupting)
    one = chat(["The hut ", "sleeps", an_answer()])
    one.type("a?")
    (turn,) = one.store.turns(one.store.sessions()[0].session_id)
    assert turn.answer
    assert (turn.answer.status, turn.answer.text) == ("interrupted", "The hut ")


@pytest.mark.parametrize("fault", [ModelError("out of memory", hint="lower it"), KeyboardInterrupt()])
def test_what_was_written_before_a_stream_breaks_is_kept(chat: Callable[..., Talk], fault: BaseException) -> None:
    one = chat(["It sleeps 24. [3]", fault], [an_answer()])
    one.type("a?", "b?")
    assert one.out.getvalue().startswith("checked: It sleeps 24. [3]\n(interrupted)\n")
    assert ("error: out of memory" in one.err.getvalue()) is isinstance(fault, ModelError)
    assert one.saved() == ["a?", "b?"]


def test_regenerating_starts_from_the_last_answer_and_replaces_it(chat: Callable[..., Talk]) -> None:
    one = chat([a_traced_answer()], [a_traced_answer("Twenty-four. [1]")])
    one.type("a?", "/regenerate")
    assert one.assistant.regenerated == [a_traced_answer(question="a?")]
    assert one.chat.recording.last == a_traced_answer("Twenty-four. [1]", question="a?")
    assert one.saved() == ["a?"]


def test_a_regeneration_that_is_interrupted_replaces_nothing(chat: Callable[..., Talk]) -> None:
    one = chat([a_traced_answer()], ["Twen", ModelError("gone", hint="x")], [a_traced_answer()])
    one.type("a?", "/regenerate", "/regenerate")
    assert one.chat.recording.answers == (a_traced_answer(question="a?"),)
    assert "the answer before this one stays the last\nerror: gone" in one.err.getvalue()
    assert "word for word the same" in one.err.getvalue()


def test_regenerating_an_answer_without_documents_asks_without_documents(chat: Callable[..., Talk]) -> None:
    one = chat([an_answer(general=True)], [an_answer("x", general=True)])
    one.type("/general why?", "/regenerate")
    assert one.assistant.questions == ["general: why?", "general: why?"]
    assert one.err.getvalue().count("(not from your documents)") == 2
    assert one.saved() == ["why?"]


def test_editing_puts_the_last_question_into_the_line(chat: Callable[..., Talk]) -> None:
    one = chat([an_answer()], [an_answer()], [an_answer()])
    keys = one.type("a?", "b?", "/edit", "B?")
    assert keys.beginnings[3] == "b?"
    assert one.assistant.earlier[-1] == ["a?"]
    assert one.saved() == ["a?", "B?"]


@pytest.mark.parametrize("line", ["", EOFError(), KeyboardInterrupt(), "/help"])
def test_editing_can_be_left(chat: Callable[..., Talk], line: str | BaseException) -> None:
    one = chat([an_answer()], [an_answer()])
    one.type("a?", "/edit", line, "b?")
    assert one.saved() == ["a?", "b?"]


def test_editing_from_a_pipe_takes_the_question(chat: Callable[..., Talk]) -> None:
    one = chat([an_answer()], [an_answer()])
    one.type("a?", "/edit", "/edit A?", interactive=False)
    assert "hint: /edit QUESTION" in one.err.getvalue()
    assert one.saved() == ["A?"]


def test_a_block_is_one_question_and_no_command(chat: Callable[..., Talk]) -> None:
    one = chat([an_answer()], [an_answer()])
    one.chat.run(PipeReader(io.StringIO(":::\n/help\nis what?\n:::\n:::\nopen to the end")))
    assert one.assistant.questions == ["/help\nis what?", "open to the end"]
    assert [block_text(text) for text in (":::\n:::", ":::", "a\n:::", ":::\na")] == ["", "", None, "a"]


def type_keys(keys: str, beginning: str = "") -> str:
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        pipe.send_text(keys)
        return TerminalReader(None, lambda _: ()).read(beginning)


def test_enter_within_a_block_begins_a_line() -> None:
    assert type_keys(":::\rone\rtwo\r:::\r") == ":::\none\ntwo\n:::"
    assert type_keys("a :::\r") == "a :::"
    assert type_keys("!\r", "prefilled") == "prefilled!"


def test_thumbs_write_what_was_shown_to_the_model(chat: Callable[..., Talk], home: Path) -> None:
    one = chat([a_traced_answer()])
    one.type("/good", "a?", "/good", "/bad", "/bad too short", "/better", "/better Twenty-four.\nOr so. [1]")
    rows = read_feedback(home).rows
    assert [(row.kind, row.text) for row in rows] == [
        ("good", None), ("bad", None), ("bad", "too short"), ("better", "Twenty-four.\nOr so. [1]"),
    ]  # fmt: skip
    assert rows[0].messages == a_traced_answer().trace.messages  # type: ignore[union-attr]
    assert one.err.getvalue().startswith("error: nothing was asked yet\n")
    assert "error: /better needs the better answer" in one.err.getvalue()


def test_a_conversation_is_resumed_with_its_index_and_all_that_is_known(home: Path, chat: Callable[..., Talk]) -> None:
    (home / "indexes" / "papers").mkdir(parents=True)
    (home / "indexes" / "papers" / "index.sqlite").touch()
    first = chat([a_traced_answer(index=("papers", "gone"), model="llama")])
    first.type("a?")
    session = first.store.sessions()[0].session_id
    later = chat([an_answer()], [a_traced_answer()])
    later.type("/regenerate", "/why", "and b?", session=session)
    assert later.opened[0] == (("papers",), None)
    assert later.assistant.regenerated[0].trace == a_traced_answer().trace
    assert later.saved() == ["a?", "and b?"]
    assert f"resumed {session}: a? (1 turn, " in later.err.getvalue()
    assert "the index 'gone' that it was answered from is gone" in later.err.getvalue()
    assert "llama answered it so far; /model llama goes on with it" in later.err.getvalue()


def test_new_and_resume_go_between_conversations(chat: Callable[..., Talk]) -> None:
    one = chat([an_answer()], [an_answer()], [an_answer()])
    one.type("/resume", "a?", "/new", "b?", "/resume", "c?", "/sessions", "/resume zz")
    assert one.assistant.earlier == [[], [], ["a?"]]
    assert "error: there is no other conversation" in one.err.getvalue()
    assert "error: there is no conversation 'zz'" in one.err.getvalue()
    assert re.search(
        r"^\* \w{4}  .*2 turns .* a\?  default, extractive\n  \w{4}  .*1 turn .* b\?", one.out.getvalue(), re.MULTILINE
    )


def test_a_conversation_is_saved_as_markdown_and_overwrites_only_after_a_yes(chat: Callable[..., Talk], tmp_path: Path) -> None:
    one, file = chat([an_answer("Ask <b>her</b> ![x](http://x) [1]")]), tmp_path / "talk.md"
    one.type(
        "/save", f"/save {file}", "a?", f"/save {file}", f"/save {file}", "n", f"/save {file}", "y", f"/save {tmp_path}/no/x"
    )
    assert file.read_text() == (
        "Answered from default by extractive.\n\n## a?\n\nAsk \\<b>her\\</b> !\\[x](http://x) [1]\n\n"
        "- [1] guide/setup.md:12-14\n\n      The hut sleeps 24.\n"
    )
    said = one.err.getvalue()
    assert [said.count(what) for what in ("written: ", "nothing was written", "error: ")] == [2, 1, 3]
    one.type(f"/save {file}", interactive=False)
    assert f"error: {str(file)!r} exists" in one.err.getvalue()


def test_another_model_answers_from_the_same_index(chat: Callable[..., Talk]) -> None:
    one = chat()
    one.type("/model", "/model scripted", "/model llama")
    assert one.opened[1:] == [((), "llama")]
    assert one.err.getvalue().splitlines() == [
        "answers by scripted: the default, no model is set",
        "answers by scripted: the default, no model is set",
        "answers by llama: set by /model",
    ]


def test_a_model_that_cannot_be_opened_leaves_the_old_one(chat: Callable[..., Talk]) -> None:
    one = chat([an_answer()])
    one.refuse = ModelError("no such model: 'x'", hint="y")
    one.type("/model x", "a?")
    assert one.saved() == ["a?"]


def test_only_what_makes_sense_now_is_offered(home: Path, chat: Callable[..., Talk]) -> None:
    one = chat([an_answer()])
    one.type()
    one.chat.use(())
    before = one.chat.words("")
    assert not {"/regenerate", "/open", "/good", "/why", "/resume", "/general", "/save"} & set(before)
    one.chat.obey("a?")
    one.assistant.model = FakeModel("llama", budget=object())
    assert {"/regenerate", "/open", "/good", "/why", "/resume", "/general"} <= set(one.chat.words(""))
    assert (one.chat.words("/open"), one.chat.words("/why"), one.chat.words("/good")) == (["1"], ("prompt",), ())
    assert one.chat.words("/model") == ["extractive"]
    one.chat.obey("/new")
    assert one.chat.words("/resume") == [one.store.sessions()[0].session_id]
    assert "/regenerate" not in one.chat.words("")


def test_copying_sends_base64_alone_to_a_terminal_alone(chat: Callable[..., Talk]) -> None:
    one = chat([an_answer("bell\x07 \x1b]52;c;x [1]")])
    one.type("a?", "/copy")
    assert "error: there is no terminal" in one.err.getvalue()
    one.screen.terminal = replace(one.screen.terminal, interactive=True)
    one.chat.obey("/copy")
    sequence = one.out.getvalue().rpartition("\x1b]52;c;")[2]
    assert base64.b64decode(sequence.removesuffix("\x07")).decode() == "bell ]52;c;x [1]\n\n[1] guide/setup.md:12-14"
    assert copy_sequence("x" * 50_001) is None


def test_the_editor_gives_a_question(chat: Callable[..., Talk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = tmp_path / "ed"
    editor.write_text('#!/bin/sh\nprintf "and warm?\\n" >> "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    one = chat([an_answer()])
    one.type("/editor how many")
    assert one.assistant.questions == ["how manyand warm?"]
    assert compose("x", environ={"EDITOR": "false"}) == ""
    for environ in ({"PATH": ""}, {"EDITOR": "/no/editor"}):
        with pytest.raises(UsageError) as error:
            compose("x", environ=environ)
        assert error.value.hint == "set EDITOR to your editor"


def test_a_pipe_is_read_line_by_line_to_its_end() -> None:
    reader = PipeReader(io.StringIO("one\ntwo"))
    assert [reader.read(), reader.read()] == ["one", "two"]
    with pytest.raises(EOFError):
        reader.read()


def completions(typed: str) -> list[str]:
    def words(command: str) -> Sequence[str]:
        return {"": [item.name for item in COMMANDS], "/index": ["default", "handbook"], "/open": ["1", "2"]}.get(command, [])

    return [found.text for found in SlashCompleter(words).get_completions(Document(typed), None)]  # type: ignore[arg-type]


def test_completion_knows_commands_index_names_and_numbers() -> None:
    assert completions("/s") == ["/sources", "/search", "/sessions", "/save"]
    assert completions("/index ha") == ["handbook"]
    assert completions("/index default h") == ["handbook"]
    assert completions("/open ") == ["1", "2"]
    assert completions("how do I") == []


def test_completion_of_index_offers_folders_too(tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    assert completions(f"/index {tmp_path}/pa") == ["pers"]


def test_history_survives_strange_characters_and_leaves_books_out(tmp_path: Path) -> None:
    history = PrivateHistory(tmp_path / "history")
    for line in ("first", "two\nlines", "bad \udcff byte", "x" * 100_000):
        history.store_string(line)
    assert list(history.load_history_strings()) == ["bad ? byte", "two\nlines", "first"]
    assert (tmp_path / "history").stat().st_mode & 0o077 == 0


def test_history_that_cannot_be_written_or_read_is_no_error(tmp_path: Path) -> None:
    history = PrivateHistory(tmp_path / "missing" / "history")
    history.store_string("x")
    assert list(history.load_history_strings()) == []
    folder = PrivateHistory(tmp_path)
    folder.store_string("x")
    assert list(folder.load_history_strings()) == []


@pytest.mark.parametrize(
    ("environ", "command"),
    [
        ({"EDITOR": "nano"}, ["nano", "+7", "/x"]),
        ({"EDITOR": "nano", "VISUAL": "code --wait"}, ["code", "--wait", "--goto", "/x:7"]),
        ({"EDITOR": "/usr/bin/hx"}, ["/usr/bin/hx", "/x:7"]),
        ({"EDITOR": "unheard-of"}, ["unheard-of", "/x"]),
        ({"VISUAL": " "}, None),
        ({}, None),
    ],
)
def test_the_editor_gets_the_line_in_its_own_way(environ: dict[str, str], command: list[str] | None) -> None:
    assert editor_command("/x", 7, environ) == command


def test_the_desktop_opens_a_file_only_where_there_is_one(tmp_path: Path) -> None:
    opener = tmp_path / "xdg-open"
    opener.touch(mode=0o755)
    assert desktop_command("/x", {"PATH": str(tmp_path), "DISPLAY": ":0"}) == [str(opener), "/x"]
    assert desktop_command("/x", {"PATH": str(tmp_path)}) is None
    assert desktop_command("/x", {"PATH": "/nowhere", "DISPLAY": ":0"}) is None


def test_opening_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="is gone"):
        open_file(str(tmp_path / "gone"), 1, environ={})
    file = tmp_path / "file"
    file.touch()
    assert open_file(str(file), 1, environ={}) is False
    with pytest.raises(DocumentError, match="can't start '/no/editor'"):
        open_file(str(file), 1, environ={"EDITOR": "/no/editor"})


def test_numbers_are_told_as_a_person_would() -> None:
    assert [counted(1, "file"), counted(1200, "file")] == ["1 file", "1,200 files"]
    assert [duration(0.44), duration(12.3), duration(185), duration(7800)] == ["0.4 s", "12 s", "3 min 5 s", "2 h 10 min"]
    assert [size(640), size(12_340), size(4_500_000), size(25_000_000_000)] == ["640 B", "12.3 kB", "4.5 MB", "25.0 GB"]
