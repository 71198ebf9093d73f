"""The chat's loop with a scripted assistant: what each line does, and what an interruption leaves."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from fakes import a_citation, a_hit, an_abstention, an_answer
from prompt_toolkit.document import Document

from assistant.errors import DocumentError, IndexNotFound, UsageError
from assistant.opening import desktop_command, editor_command, open_file
from assistant.records import Answer
from assistant.render_index import counted, duration, size
from assistant.repl import COMMANDS, Chat
from assistant.repl_input import PipeReader, PrivateHistory, SlashCompleter
from assistant.screen import Screen
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


class FakeAssistant:
    """Replies as scripted; a reply is what its stream yields, or raises."""

    model_name = "scripted"
    index_names = ("default",)

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.questions: list[str] = []
        self.searcher = FakeSearcher()

    def stream(self, question: str, *, strict: bool = False) -> Iterator[str | Answer]:
        self.questions.append(question)
        written = ""
        for item in self.replies.pop(0):
            if isinstance(item, BaseException):
                raise item
            written += item if isinstance(item, str) else ""
            try:
                yield item
            except KeyboardInterrupt:  # as `Assistant.stream` does
                yield an_answer(written, status="interrupted", citations=())
                return


class Keys:
    """A person who types lines; an exception is a key."""

    interactive = True

    def __init__(self, *lines: str | BaseException) -> None:
        self.lines = list(lines)

    def read(self) -> str:
        if not self.lines:
            raise EOFError
        line = self.lines.pop(0)
        if isinstance(line, BaseException):
            raise line
        return line

    def ask(self, question: str) -> str:
        return self.read()


@pytest.fixture
def talk(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, str, FakeAssistant]]:
    monkeypatch.setattr(Chat, "greet", lambda self: None)

    def talk(*lines: str | BaseException, replies: Sequence[Reply] = ()) -> tuple[str, str, FakeAssistant]:
        assistant, out, err = FakeAssistant(*replies), io.StringIO(), io.StringIO()
        chat = Chat(Settings(home=home, top_k=7), Screen(Settings(home=home), out=out, err=err), lambda names: assistant)  # type: ignore[arg-type, return-value]
        chat.run(Keys(*lines))
        return out.getvalue(), err.getvalue(), assistant

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
    def interrupting(self: Screen) -> object:
        class Preview:
            def __enter__(self) -> Callable[[str], None]:
                def show(piece: str) -> None:
                    raise KeyboardInterrupt

                return show

            def __exit__(self, *_: object) -> None: ...

        return Preview()

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
    monkeypatch.setattr("assistant.repl.open_file", lambda path, line: opened.append((path, line)) or len(opened) == 1)
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
        assert re.search(rf"^{re.escape(command.name)}\b.*{re.escape(command.does[:20])}", out, re.MULTILINE)
    assert "Alt-Enter (or Esc, then Enter) begins a new line" in out


def test_every_command_of_the_help_is_obeyed(talk: Callable[..., tuple[str, str, FakeAssistant]]) -> None:
    for command in COMMANDS:
        assert "there is no command" not in talk(f"{command.name} /nowhere/at/all")[1]


def test_an_index_that_is_neither_name_nor_folder_is_an_error(talk: Callable[..., tuple[str, str, FakeAssistant]]) -> None:
    assert "error: '/no/where' is neither an index nor a folder" in talk("/index /no/where")[1]


def test_switching_to_an_index_that_cannot_be_opened_keeps_the_old_one(home: Path) -> None:
    (home / "indexes" / "other").mkdir(parents=True)
    (home / "indexes" / "other" / "index.sqlite").touch()
    assistant, err = FakeAssistant([an_answer()]), io.StringIO()

    def open_assistant(names: Sequence[str]) -> FakeAssistant:
        if names:
            raise IndexNotFound("damaged", hint="x")
        return assistant

    chat = Chat(Settings(home=home), Screen(Settings(home=home), out=io.StringIO(), err=err), open_assistant)  # type: ignore[arg-type]
    Chat.greet, kept = lambda self: None, Chat.greet  # type: ignore[method-assign, assignment]
    try:
        chat.run(Keys("/index other", "still there?"))
    finally:
        Chat.greet = kept  # type: ignore[method-assign]
    assert "error: damaged" in err.getvalue()
    assert assistant.questions == ["still there?"]


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
    assert completions("/s") == ["/sources", "/search"]
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
