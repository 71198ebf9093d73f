"""Conversations on disk and the one that is going on: what was said is what is read back, whatever the disk does."""

import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import FixedClock, a_hit, an_abstention, an_answer

from assistant.chat.conversation import ALPHABET, Conversations
from assistant.chat.recording import Recording
from assistant.errors import StorageFull, UsageError
from assistant.frozen import freeze, thaw
from assistant.records import Answer, Evidence, Generation, Grounding, Message, Sentence, Trace


def a_traced_answer(text: str = "The hut sleeps 24. [1]", **changes: object) -> Answer:
    hits = (a_hit(), a_hit(2, "b.md", "It is warm."))
    evidence = (Evidence(hits[1], 0, 11, "It is warm.", 0.7), Evidence(hits[0], 0, 18, "The hut sleeps 24.", 0.2))
    messages = (Message("system", "Be brief."), Message("user", "<passage 1>"))
    trace = Trace(
        query="How many people sleep at Mirrin?",
        hits=hits,
        kept=1,
        grounding=Grounding(True, 0.9, evidence, {"cosine": 0.5}),
        messages=messages,
        written=text,
        prompt_format="passages-1",
        generation=Generation(90, 30, 12, 4, 2, 0.2, 1.3, "stop"),
    )
    return an_answer(text, trace=trace, sentences=(Sentence("The hut sleeps 24.", "supported", (1,)),), **changes)


@pytest.fixture
def store(home: Path) -> Conversations:
    return Conversations(home, now=FixedClock())


def said(store: Conversations, *questions: str) -> str:
    session = None
    for question in questions:
        session, _ = store.append(session, an_answer(question=question))
    assert session
    return session


def test_an_answer_comes_back_whole() -> None:
    for answer in (
        a_traced_answer(rewritten="x", general=True, notices=("n",)),
        an_abstention(),
        an_answer(status="interrupted"),
    ):
        assert thaw(freeze(answer)) == answer


def test_strange_file_names_and_numpys_numbers_survive() -> None:
    answer = a_traced_answer()
    assert answer.trace
    hit = replace(answer.trace.hits[0], source="caf\udce9\u2028.md", dense=np.float32(0.5))
    frozen = freeze(replace(answer, trace=replace(answer.trace, hits=(hit,))))
    assert frozen.isascii()
    back = thaw(frozen)
    assert back.trace
    assert (back.trace.hits[0].source, back.trace.hits[0].dense) == ("caf\udce9\u2028.md", 0.5)


def test_each_passage_is_stored_once() -> None:
    assert freeze(a_traced_answer()).count('"ordinal"') == 2


def test_fields_of_other_versions_are_no_obstacle() -> None:
    document = json.loads(freeze(an_answer(general=True)))
    document["of_tomorrow"] = 1
    del document["general"]
    assert thaw(json.dumps(document)) == an_answer()


@pytest.mark.parametrize("change", [{"status": "asleep"}, {"text": 3}, {"timings": None}, {"citations": [{}]}, {"trace": 7}])
def test_what_is_no_answer_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a frozen answer"):
        thaw(json.dumps(json.loads(freeze(an_answer())) | change))
    with pytest.raises(ValueError, match="Expecting"):
        thaw("{")


def test_a_session_is_what_was_said_in_it(store: Conversations, home: Path) -> None:
    session, first = store.append(None, a_traced_answer(question="How\n many?", index=("a", "b")))
    store.append(session, an_answer(question="And warm?", status="interrupted", adapter="mine"))
    (found,) = store.sessions()
    assert (found.session_id, found.title, found.turns, found.adapter) == (session, "How many?", 2, "mine")
    assert found.index == ("default",)
    turns = store.turns(session)
    assert [turn.question for turn in turns] == ["How\n many?", "And warm?"]
    assert turns[0].answer == a_traced_answer(question="How\n many?", index=("a", "b"))
    assert turns[0].turn_id == first
    assert {path.stat().st_mode & 0o077 for path in home.glob("conversations*")} == {0}


def test_reading_what_was_never_written_makes_no_file(store: Conversations, home: Path) -> None:
    assert (store.sessions(), store.turns("x")) == ((), ())
    store.purge()
    assert list(home.iterdir()) == []


def test_the_one_talked_in_last_comes_first(home: Path) -> None:
    clock = FixedClock()
    store = Conversations(home, now=clock)
    first = said(store, "a?")
    clock.now += 5
    second = said(store, "b?")
    assert [one.session_id for one in store.sessions()] == [second, first]
    clock.now += 5
    store.append(first, an_answer())
    assert [one.session_id for one in store.sessions(limit=1)] == [first]


def test_an_id_is_found_by_its_beginning(store: Conversations, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter("bcd2 bcd2 bcf3 k222".replace(" ", ""))  # the second one is taken already: the next is used
    monkeypatch.setattr("secrets.choice", lambda _: next(names))
    assert [said(store, "a?"), said(store, "b?"), said(store, "c?")] == ["bcd2", "bcf3", "k222"]
    assert store.find(" K ").session_id == "k222"
    with pytest.raises(UsageError, match="several conversations begin with 'bc'") as several:
        store.find("bc")
    assert "bcd2" in several.value.hint
    for wrong in ("zz", "", "%", "_"):
        with pytest.raises(UsageError, match="there is no conversation"):
            store.find(wrong)
    assert not set(ALPHABET) & set("aeiou01l")


def test_replacing_the_first_turn_renames_the_session(store: Conversations) -> None:
    session, turn = store.append(None, an_answer(question="Waht?"))
    assert store.replace(turn, an_answer(question="What?"))
    assert [one.title for one in store.sessions()] == ["What?"]
    assert [one.question for one in store.turns(session)] == ["What?"]
    assert not store.replace(99, an_answer())


def test_what_is_deleted_is_gone_from_the_file(store: Conversations, home: Path) -> None:
    kept, gone = said(store, "kept question"), said(store, "secret question", "another secret")
    store.delete(gone)
    assert [one.session_id for one in store.sessions()] == [kept]
    data = b"".join(path.read_bytes() for path in home.glob("conversations*"))
    assert b"kept question" in data
    assert b"secret" not in data
    store.purge()
    assert store.sessions() == ()
    assert b"kept question" not in store.file.read_bytes()


def test_a_turn_of_another_version_is_left_where_it_is(store: Conversations) -> None:
    session = said(store, "a?", "b?")
    with sqlite3.connect(store.file) as db:
        db.execute("UPDATE turns SET answer = '{}' WHERE question = 'a?'")
    db.close()
    assert [turn.answer is None for turn in store.turns(session)] == [True, False]
    recording = Recording(store, print)
    assert recording.resume(store.find(session)) == 1
    recording.add(an_answer(question="c?"))
    assert [turn.question for turn in store.turns(session)] == ["a?", "b?", "c?"]


def damage(file: Path) -> None:
    file.write_bytes(b"no database " * 500)


def make_newer(file: Path) -> None:
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version = 2")
    db.close()


def make_foreign(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE photos (name TEXT)")
    db.close()


@pytest.mark.parametrize(
    ("spoil", "why", "hint"),
    [
        (damage, "it is damaged", "mv .*conversations.sqlite"),
        (make_newer, "a newer version wrote it", "upgrade"),
        (make_foreign, "it is not one of this program's", "mv "),
    ],
)
def test_a_file_that_cannot_be_read_is_never_overwritten(
    store: Conversations, spoil: Callable[[Path], None], why: str, hint: str
) -> None:
    said(store, "a?")
    spoil(store.file)
    before = store.file.read_bytes()
    heard: list[str] = []
    recording = Recording(store, heard.append)
    for _ in range(3):
        recording.add(an_answer())
    recording.close()
    assert store.file.read_bytes() == before
    assert len(heard) == 2
    assert why in heard[0]
    assert heard[1] == "3 turns of this chat could not be saved"
    assert len(recording.answers) == 3
    with pytest.raises(StorageFull, match=why) as error:
        store.sessions()
    assert re.search(hint, error.value.hint)


def test_purging_mends_a_damaged_file_and_leaves_a_foreign_one(store: Conversations) -> None:
    said(store, "a?")
    damage(store.file)
    store.purge()
    said(store, "b?")
    make_foreign(store.file)
    with pytest.raises(StorageFull, match="not one of this program's"):
        store.purge()


def test_after_a_lock_all_turns_are_saved_in_their_order(store: Conversations, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.database.WAIT_S", 0.05)
    session = said(store, "a?")
    heard: list[str] = []
    recording = Recording(store, heard.append)
    recording.resume(store.find(session))
    other = sqlite3.connect(store.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    recording.add(an_answer(question="b?"))
    recording.add(an_answer(question="c?"))
    recording.replace_last(an_answer(question="C?"))
    assert len(heard) == 1
    assert "another program is writing to it" in heard[0]
    other.execute("ROLLBACK")
    other.close()
    recording.add(an_answer(question="d?"))
    assert heard[1:] == ["this chat is saved again, with all its turns"]
    assert [turn.question for turn in store.turns(session)] == ["a?", "b?", "C?", "d?"]


def test_an_unsaved_conversation_that_was_left_is_saved_later(store: Conversations, home: Path) -> None:
    aside = home / "aside"
    said(store, "a?")
    store.file.rename(aside)
    store.file.mkdir()  # nothing can be opened there
    recording = Recording(store, lambda _: None)
    recording.add(an_answer(question="b?"))
    recording.begin_anew()
    assert recording.answers == ()
    store.file.rmdir()
    aside.rename(store.file)
    recording.close()
    assert sorted(one.title for one in store.sessions()) == ["a?", "b?"]


def test_a_session_deleted_elsewhere_goes_on_as_another(store: Conversations) -> None:
    heard: list[str] = []
    recording = Recording(store, heard.append)
    recording.add(an_answer(question="a?"))
    first = recording.session_id
    assert first
    store.delete(first)
    recording.replace_last(an_answer(question="A?"))
    recording.add(an_answer(question="b?"))
    assert recording.session_id
    assert recording.session_id != first
    assert [turn.question for turn in store.turns(recording.session_id)] == ["A?", "b?"]
    assert heard == [f"conversation {first} was deleted elsewhere; what follows is saved as {recording.session_id}"]


def test_without_history_nothing_is_written_and_nothing_said(store: Conversations, home: Path) -> None:
    heard: list[str] = []
    recording = Recording(store, heard.append, write=False)
    recording.add(an_answer())
    recording.replace_last(an_answer("x"))
    recording.close()
    assert (list(home.iterdir()), heard) == ([], [])
    assert recording.last == an_answer("x")
