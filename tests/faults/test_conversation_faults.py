"""Real faults of what the chat keeps: killed writers, two writers at once, a full disk, no rights. What was written stays."""

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from fakes import an_answer
from limits import file_size_limit, powerless

from assistant.chat.conversation import Conversations
from assistant.chat.recording import Recording
from assistant.errors import StorageFull
from assistant.feedback import FILE, append_feedback, judge_answer, read_feedback

TESTS = Path(__file__).parents[1]
WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from fakes import an_answer
from assistant.chat.conversation import Conversations
from assistant.feedback import append_feedback, judge_answer
home, name, most, long = Path({home!r}), {name!r}, {most}, "x" * {length}
session = None
for number in range(most):
    answer = an_answer(long, question=f"{{name}} {{number}}")
    if {feedback}:
        append_feedback(home, judge_answer("good", answer))
    else:
        session, _ = Conversations(home).append(session, answer)
    print(number, flush=True)
"""


def start_writer(
    home: Path, name: str = "w", *, feedback: bool, most: int = 100_000, length: int = 60_000
) -> "subprocess.Popen[str]":
    script = WRITER.format(tests=str(TESTS), home=str(home), name=name, feedback=feedback, most=most, length=length)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_after(process: "subprocess.Popen[str]", lines: int) -> int:
    """Kill a writer as soon as it has reported so many; returns how many it had reported by then."""
    with process:
        assert process.stdout
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        return lines + len(process.stdout.read().split())


@pytest.mark.parametrize("lines", [1, 7, 20])
def test_a_killed_chat_leaves_every_turn_that_was_saved(home: Path, lines: int) -> None:
    reported = kill_after(start_writer(home, feedback=False), lines)
    store = Conversations(home)
    (session,) = store.sessions()
    turns = store.turns(session.session_id)
    assert reported <= len(turns) <= reported + 1
    assert [turn.question for turn in turns] == [f"w {n}" for n in range(len(turns))]
    assert all(turn.answer and len(turn.answer.text) == 60_000 for turn in turns)
    store.append(session.session_id, an_answer(question="after"))
    assert store.turns(session.session_id)[-1].question == "after"


@pytest.mark.parametrize("lines", [1, 7, 20])
def test_a_killed_writer_spoils_no_other_judgement(home: Path, lines: int) -> None:
    reported = kill_after(start_writer(home, feedback=True, length=600_000), lines)
    append_feedback(home, judge_answer("bad", an_answer(question="after")))
    log = read_feedback(home)
    assert reported <= len(log.rows) - 1 <= reported + 1
    assert log.skipped <= 1
    assert [row.question for row in log.rows] == [*(f"w {n}" for n in range(len(log.rows) - 1)), "after"]


def test_every_place_at_which_a_line_may_be_torn(home: Path) -> None:
    whole = judge_answer("good", an_answer())
    append_feedback(home, whole)
    line = (home / FILE).read_bytes()
    for length in range(1, len(line) - 1):
        (home / FILE).write_bytes(line + line[:length])
        append_feedback(home, whole)
        log = read_feedback(home)
        assert (len(log.rows), log.skipped) == (2, 1), length


def finish(*writers: "subprocess.Popen[str]") -> None:
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, "")


def test_two_processes_judge_at_once_and_no_line_is_mixed(home: Path) -> None:
    finish(*(start_writer(home, name, feedback=True, most=40) for name in "ab"))
    log = read_feedback(home)
    assert (len(log.rows), log.skipped) == (80, 0)
    for name in "ab":
        assert [row.question for row in log.rows if row.question[0] == name] == [f"{name} {n}" for n in range(40)]


def test_two_chats_save_at_once_from_the_first_turn_on(home: Path) -> None:
    finish(*(start_writer(home, name, feedback=False, most=30, length=2_000) for name in "abc"))
    store = Conversations(home)
    sessions = store.sessions()
    assert sorted((one.title, one.turns) for one in sessions) == [("a 0", 30), ("b 0", 30), ("c 0", 30)]


def test_on_a_full_disk_the_chat_goes_on_and_saves_all_once_there_is_room(home: Path) -> None:
    heard: list[str] = []
    recording = Recording(Conversations(home), heard.append)
    recording.add(an_answer(question="a?"))
    with file_size_limit(20_000):
        recording.add(an_answer("x" * 50_000, question="b?"))
        recording.add(an_answer("x" * 50_000, question="c?"))
        assert recording.session_id
        assert [turn.question for turn in recording.store.turns(recording.session_id)] == ["a?"]
    assert len(heard) == 1
    assert "hint" not in heard[0]
    assert "The chat goes on unsaved" in heard[0]
    recording.add(an_answer(question="d?"))
    assert [turn.question for turn in recording.store.turns(recording.session_id)] == ["a?", "b?", "c?", "d?"]
    assert heard[1:] == ["this chat is saved again, with all its turns"]


def test_on_a_full_disk_a_judgement_is_refused_and_the_file_is_as_before(home: Path) -> None:
    append_feedback(home, judge_answer("good", an_answer()))
    before = (home / FILE).read_bytes()
    with file_size_limit(len(before) + 5_000), pytest.raises(StorageFull, match="File too large"):
        append_feedback(home, judge_answer("good", an_answer("x" * 50_000)))
    assert (home / FILE).read_bytes() == before


def test_what_may_only_be_read_is_read_and_refuses_to_be_written() -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        session, _ = Conversations(home).append(None, an_answer(question="a?"))
        append_feedback(home, judge_answer("good", an_answer()))
        for path in home.iterdir():
            path.chmod(0o444)
        home.chmod(0o555)
        with powerless():
            assert [turn.question for turn in Conversations(home).turns(session)] == ["a?"]
            assert len(read_feedback(home).rows) == 1
            with pytest.raises(StorageFull, match="can't use the conversations"):
                Conversations(home).append(session, an_answer())
            with pytest.raises(StorageFull, match="can't use the feedback"):
                append_feedback(home, judge_answer("good", an_answer()))
        home.chmod(0o700)
        assert json.loads((home / FILE).read_text())["kind"] == "good"
