"""/compare and /best in a real chat over a real index and the small base; what they print, record, and leave as it was."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import pytest
from fakes import a_citation, a_hit, an_answer
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from random_adapters import random_adapter
from rich.text import Text
from safetensors.torch import load_file, save_file
from test_conversation import a_traced_answer
from test_repl import interrupting
from trained_adapters import train_adapter

from assistant.adapters.manifest import WEIGHTS
from assistant.adapters.registry import add
from assistant.answering import Assistant
from assistant.chat.comparing import Comparison, go_back, parse_comparison
from assistant.chat.conversation import Conversations
from assistant.chat.lines import PipeReader, TerminalReader
from assistant.chat.recording import Recording
from assistant.chat.repl import Chat
from assistant.chat.sampling import BestOf, parse_best
from assistant.errors import ModelError, UsageError
from assistant.feedback import FeedbackLog, as_prompted, judge_answer, read_feedback
from assistant.models.extractive import ExtractiveModel
from assistant.prompt import ABSTENTION
from assistant.rendering.comparing import Side, render_sides, scores_line
from assistant.rendering.screen import Screen
from assistant.rendering.terminal import Terminal
from assistant.settings import Settings
from assistant.wiring import open_assistant
from finetune.data.from_feedback import from_feedback
from indexes.build import RootRequest, build_index
from indexes.export import load_embedder

SMALL = Path(__file__).parents[2] / "examples" / "small-base"
ASKED = "Who founded the club?"
TRUE = "The club was founded in 1921 by Ada Brandt. [1]"
KEYS = ("a", "b", "=")


class Keys:
    """A person who types lines and presses keys."""

    interactive = True

    def __init__(self, *pressed: str) -> None:
        self.pressed = list(pressed)

    def key(self, question: str, keys: Sequence[str]) -> str:
        assert keys == KEYS
        return self.pressed.pop(0)


@dataclass
class Talk:
    """A chat with the small base."""

    chat: Chat
    assistant: Assistant
    out: io.StringIO
    err: io.StringIO
    announced: list[str] = field(default_factory=list)

    def type(self, line: str, *pressed: str) -> tuple[str, str]:
        """Do what a line says; returns what it printed."""
        begun = len(self.out.getvalue()), len(self.err.getvalue())
        self.chat._reader = Keys(*pressed)  # type: ignore[assignment]
        self.chat._guarded(line, self.chat._reader)  # type: ignore[arg-type]
        return self.out.getvalue()[begun[0] :], self.err.getvalue()[begun[1] :]


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One adapter that makes the small base write nonsense, one that scores."""
    folder = tmp_path_factory.mktemp("adapters")
    return {
        "odd": random_adapter(SMALL, folder / "odd", seed=1, strength=3.0).folder,
        "helpful": train_adapter(folder / "helpful", SMALL, "reward"),
    }


@pytest.fixture
def talk(ready_home: Path, tmp_path: Path, adapters: dict[str, Path]) -> Callable[..., Talk]:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "keys.md").write_text("The spare keys of the boat house lie in the green box.\n", encoding="utf-8")
    (docs / "club.md").write_text("# Club\n\nThe club was founded in 1921 by Ada Brandt.\n", encoding="utf-8")
    embedder = load_embedder("all-MiniLM-L6-v2", ready_home / "models")
    build_index(ready_home / "indexes" / "default", [RootRequest(docs)], open_embedder=lambda _: embedder)
    for name, source in adapters.items():
        add(ready_home, source, name=name, trust_base=True)

    def open_talk(**changes: object) -> Talk:
        settings = Settings(
            home=ready_home, **{"model": str(SMALL), "max_tokens": 30, "origins": {"max_tokens": "here"}, **changes}
        )  # type: ignore[arg-type]
        out, err = io.StringIO(), io.StringIO()
        screen, assistant = Screen(settings, out=out, err=err), open_assistant(settings)
        chat = Chat(settings, screen, lambda *_, **__: assistant, Recording(Conversations(ready_home), screen.note))
        chat.use(())
        return Talk(chat, assistant, out, err)

    return open_talk


def test_the_better_one_is_recorded_and_becomes_a_row_to_train_on(talk: Callable[..., Talk], ready_home: Path) -> None:
    one = talk(width=60)
    one.type(ASKED)
    out, err = one.type("/compare odd none", "b")
    assert re.search(
        rf"^A  odd \(\d+\.\d s\)\n{re.escape(ABSTENTION)}\n.*\nB  none \(\d+\.\d s\)\n{re.escape(TRUE)}\n", out, re.S
    )
    assert "noted: none is better than odd here." in err
    log = read_feedback(ready_home)
    (judged,) = log.rows
    assert (judged.kind, judged.adapter, judged.other and judged.other.adapter) == ("compare", None, "odd")
    assert judged.messages == one.chat.answered.trace.messages  # type: ignore[union-attr]
    (row,) = from_feedback(log, "preference").rows
    assert (row["chosen"], row["rejected"]) == (judged.answer, ABSTENTION)
    assert row["prompt"] == [{"role": message.role, "content": message.content} for message in judged.messages]
    assert one.chat.recording.answers == (one.chat.answered,)


def test_who_answered_before_answers_afterwards(
    talk: Callable[..., Talk], ready_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = random_adapter(SMALL, tmp_path / "broken", seed=2).folder
    save_file({name: tensor * float("nan") for name, tensor in load_file(broken / WEIGHTS).items()}, broken / WEIGHTS)
    add(ready_home, broken, name="broken", trust_base=True)
    one = talk(adapter="odd*0.5")
    one.type(ASKED)
    assert "holds NaN" in one.type("/compare none broken")[1]
    assert "nothing was chosen: nothing is recorded" in one.type("/compare none odd", "")[1]
    monkeypatch.setattr(Screen, "preview", interrupting)
    assert one.type("/compare none odd")[0] == "(interrupted)\n"
    assert one.assistant.model.adapter == "odd*0.5"
    assert read_feedback(ready_home).rows == ()


def test_blind_tells_nothing_before_the_choice(talk: Callable[..., Talk], ready_home: Path) -> None:
    one, first = talk(), set()
    while len(first) < 2:  # the order is drawn
        out, err = one.type(f"/compare odd none --blind {ASKED}", "a")
        assert not re.search(r"odd|none|\d s\b", out)
        shown, better = re.findall(r"A was (\w+) \(\d+\.\d s\), B was \w+ \(.*\n.*noted: (\w+) is better", err)[0]
        assert shown == better
        first.add(shown)
        kept = read_feedback(ready_home).rows[-1]
        assert (kept.adapter or "none", kept.answer == ABSTENTION) == (shown, shown == "odd")
    assert {answer.question for answer in one.chat.recording.answers} == {ASKED}


def test_the_base_answers_where_nobody_else_can() -> None:
    class Model:
        asked: ClassVar[list[object]] = []

        def use_adapters(self, selections: object) -> None:
            self.asked.append(selections)
            if selections:
                raise ModelError("it is gone", hint="look for it")

    with pytest.raises(ModelError, match="it is gone"):
        go_back(Model(), {"answer": ()})  # type: ignore[arg-type]
    assert Model.asked == [{"answer": ()}, {}]


def test_nothing_goes_through_the_cache(talk: Callable[..., Talk]) -> None:
    one = talk()
    one.type(ASKED)
    store = one.assistant.cache.store  # type: ignore[union-attr]
    before = store.entries(), store.events()
    one.type(f"/compare none odd {ASKED}", "a")
    one.type(f"/best 2 {ASKED}")
    assert not one.chat.answered.cached
    assert (store.entries(), store.events()) == before


def test_the_same_words_leave_nothing_to_choose(talk: Callable[..., Talk], ready_home: Path) -> None:
    one = talk()
    one.type(ASKED)
    out, err = one.type("/compare none odd*0.001")
    assert out.startswith(f"{TRUE}\n")
    assert re.search(r"none \(\d.\d s\) and odd\*0.001 \(\d.\d s\) write word for word the same: nothing is recorded", err)
    err = one.type("/compare none odd Who won the football World Cup in 2014?")[1]
    assert "judged not to hold the answer; both write from them all the same" in err
    assert "write word for word the same" in err
    assert "'none' and 'none' are the same" in one.type("/compare none none")[1]
    assert read_feedback(ready_home).rows == ()


def test_a_question_that_was_answered_from_the_cache_is_searched_for(talk: Callable[..., Talk]) -> None:
    talk().type(ASKED)
    one = talk()
    one.type(ASKED)
    assert one.chat.answered.cached
    assert "noted: none is better" in one.type("/compare none odd", "a")[1]


def test_the_best_of_several_is_the_one_with_the_highest_score(talk: Callable[..., Talk]) -> None:
    one = talk()
    assert "error: nothing was asked yet" in one.type("/best")[1]
    one.type(ASKED)
    _, err = one.type("/best 5")
    found = re.search(r"the best of 5, scored by helpful: (.*?)(?:; (\d) different texts)? \(\d+\.\d s\)\n", err)
    assert found
    scores = [float(score) for score in found[1].split(" · ")]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 5
    assert one.chat.answered.notices[-1] in err
    took = one.chat.answered.trace.generation  # type: ignore[union-attr]
    assert took
    assert took.reused_tokens == took.prompt_tokens - 1  # the prompt is read once for all answers
    assert len(one.chat.recording.answers) == 1
    assert one.assistant.model.adapter is None
    assert "the best of 2" in one.type("/best 2 helpful Where do the spare keys lie?")[1]
    assert len(one.chat.recording.answers) == 2
    assert "'odd' writes answers and can't score" in one.type("/best 2 odd")[1]


def test_the_same_seeds_write_the_same_answers(talk: Callable[..., Talk]) -> None:
    one = talk()
    one.type(ASKED)
    again = [re.findall(r"the best of .*? \(", one.type("/best 3")[1]) for _ in range(3)]
    assert again[0] == again[1] == again[2]
    assert one.type(f"/best 2 {ASKED}")[0] == one.type("/best 2")[0]


def test_the_extractive_model_takes_neither(talk: Callable[..., Talk]) -> None:
    one = talk(model="extractive")
    one.assistant.model = ExtractiveModel()
    one.type(ASKED)
    assert "'extractive' takes no adapters" in one.type("/compare none odd")[1]
    assert "doesn't run in this process" in one.type("/best")[1]


def test_other_answers_have_the_prompts_numbers_too() -> None:
    one = a_traced_answer("It is warm. [1]")
    assert one.trace
    trace = replace(one.trace, hits=tuple(a_hit(n, f"{n}.md") for n in (1, 2, 3)), kept=3)
    better = replace(one, trace=trace, citations=(a_citation(1, passage_id="p3"),))
    cited = (a_citation(1, passage_id="p2"), a_citation(2, passage_id="p1"))
    worse = replace(better, text="Cold. [1] Wet. [2]", adapter="odd", citations=cited)
    judged = judge_answer("compare", better, other=worse)
    assert (judged.answer, judged.other and judged.other.answer) == ("It is warm. [3]", "Cold. [2] Wet. [1]")
    assert as_prompted(worse) == "Cold. [2] Wet. [1]"
    (row,) = from_feedback(FeedbackLog((judged,), 0), "preference").rows
    assert (row["chosen"], row["rejected"]) == ("It is warm. [3]", "Cold. [2] Wet. [1]")


def plain(lines: Sequence[Text]) -> list[str]:
    return [line.plain for line in lines]


def test_two_columns_from_a_hundred_on() -> None:
    sides = [Side("A", "terse", an_answer("Twenty-four. [1]")), Side("B", "none", an_answer("The hut sleeps 24 people 宿" * 4))]
    wide = plain(list(render_sides(sides, Terminal(True, 100, False, False, True), blind=False)))
    assert wide[0] == "A  terse (0.0 s)".ljust(48) + " │ B  none (0.0 s)"
    assert wide[1].startswith("Twenty-four. [1]".ljust(48) + " │ The hut sleeps 24 people 宿")
    assert all(Text(line).cell_len <= 100 for line in wide)
    narrow = plain(list(render_sides(sides, Terminal(True, 99, False, False, True), blind=True)))
    assert narrow[:2] == ["A", "Twenty-four. [1]"]
    assert narrow[narrow.index("B") - 1] == ""
    assert "terse" not in "".join(narrow)


def test_a_name_or_an_answer_sends_the_terminal_no_command() -> None:
    sides = [Side("A", "\x1b[2J", an_answer("\x1b]52;c;x\x07")), Side("B", "b\n", an_answer("\x9b0m"))]
    for width in (60, 100):
        shown = "".join(plain(list(render_sides(sides, Terminal(True, width, False, False, False), blind=False))))
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", shown)
    assert "\x1b" not in scores_line("\x1b[2J", [1.0, 2.0], texts=2, seconds=0.0)


@pytest.mark.parametrize(
    ("typed", "parsed"),
    [
        ("a b", Comparison(("a", "b"))),
        ("a*0.5+b none --blind", Comparison(("a*0.5+b", "none"), blind=True)),
        ("--blind a b Who  founded it?", Comparison(("a", "b"), "Who founded it?", blind=True)),
    ],
)
def test_what_is_compared(typed: str, parsed: Comparison) -> None:
    assert parse_comparison(typed) == parsed


@pytest.mark.parametrize("typed", ["", "a", "a --blind", "a b --bland", "--x a b"])
def test_a_comparison_of_less_is_refused(typed: str) -> None:
    with pytest.raises(UsageError):
        parse_comparison(typed)


@given(st.integers(2, 16) | st.none(), st.sampled_from([None, "helpful"]), st.sampled_from(["", "Who is it?", "4 huts, where?"]))
def test_what_is_sampled(count: int | None, reward: str | None, question: str) -> None:
    typed = " ".join(str(part) for part in (count, reward, question) if part)
    if count is None and reward is None and question[:1] == "4":
        question = question[2:]  # a first number is N
        count = 4
    assert parse_best(typed, lambda word: word == "helpful") == BestOf(count or 4, reward, question)


@pytest.mark.parametrize("typed", ["1", "17", "-3", "0 helpful", "nope", "4 nope"])
def test_other_numbers_and_unknown_adapters_are_refused(typed: str) -> None:
    with pytest.raises(UsageError):
        parse_best(typed, lambda word: word == "helpful")


@pytest.mark.parametrize(
    ("pressed", "chosen"),
    [("a", "a"), ("B", "b"), ("=", "="), ("\r", ""), ("\x03", ""), ("\x04", ""), ("xyz7\x1b[A\tb", "b"), ("\x1b", "")],
)
def test_one_key_chooses(pressed: str, chosen: str) -> None:
    with create_pipe_input() as source, create_app_session(input=source, output=DummyOutput()):
        source.send_text(pressed)
        assert TerminalReader(None, lambda _: ()).key("Which?", KEYS) == chosen


def test_from_a_pipe_the_next_line_chooses() -> None:
    reader = PipeReader(io.StringIO("A \nWho?\n"))
    assert [reader.key("Which?", KEYS) for _ in range(3)] == ["a", "who?", ""]
