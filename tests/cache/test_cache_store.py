"""The store: what goes in comes out, once; what goes, goes everywhere at once; the least worth keeping goes first."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import FixedClock

from assistant.cache.nearest import Nearest
from assistant.cache.store import CacheStore, worth
from assistant.cache.tables import Bound, Cited, Draft

CITED = Bound("cited", "handbook", "d1", "p1", "h1", "huts/prices.md")
FOUND = Bound("found", "handbook", "d2", "p2", "h2", "huts/rules.md")


def unit(*values: float) -> np.ndarray:
    vector = np.zeros(4, dtype=np.float32)
    vector[: len(values)] = values
    return vector / np.linalg.norm(vector)


def a_draft(question: str = "What costs a bed?", vector: np.ndarray | None = None, **changes: object) -> Draft:
    values: dict[str, object] = {
        "status": "answered",
        "answer": '{"text": "26"}',
        "generations": {"handbook": "a:1"},
        "bound": (CITED, FOUND),
        "seconds": 2.0,
        "lives_s": 1000.0,
    }
    return Draft(question, unit(1) if vector is None else vector, **{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def store(tmp_path: Path, clock: FixedClock) -> Iterator[CacheStore]:
    opened = CacheStore(tmp_path, most_entries=100, now=clock)
    yield opened
    opened.close()


def test_what_goes_in_comes_out(store: CacheStore) -> None:
    row = store.insert("scope", "label", a_draft(cited={"p1": Cited((1,), np.eye(2, 4, dtype=np.float32), 0.5)}))
    entry = store.find("scope", "What costs a bed?")
    assert entry is not None
    assert (entry.entry_id, entry.cited, entry.found, entry.generations) == (row, (CITED,), (FOUND,), {"handbook": "a:1"})
    assert store.entry(row) == entry
    cited = store.cited(row, 4)["p1"]
    assert (cited.quoted, cited.score, cited.vectors.tolist()) == ((1,), 0.5, np.eye(2, 4).tolist())


def test_only_the_exact_scope_and_question_find_it(store: CacheStore) -> None:
    store.insert("scope", "label", a_draft())
    assert store.find("scop", "What costs a bed?") is None
    assert store.find("scope", "what costs a bed?") is None


def test_a_new_answer_takes_the_place_of_the_old_one(store: CacheStore) -> None:
    first = store.insert("scope", "label", a_draft())
    second = store.insert("scope", "label", a_draft(answer='{"text": "28"}'))
    assert [entry.entry_id for _, entry in store.entries()] == [second]
    assert store.changes(0)[0] == {first}


def test_an_answer_lives_as_long_as_it_was_given(store: CacheStore, clock: FixedClock) -> None:
    store.insert("scope", "label", a_draft())
    clock.now += 999
    assert store.find("scope", "What costs a bed?")
    clock.now += 2
    assert store.find("scope", "What costs a bed?") is None
    store.insert("scope", "label", a_draft("other?"))
    assert store.size()[0] == 1


def test_a_neighbour_that_goes_hides_nobody_in_any_process(store: CacheStore, tmp_path: Path, clock: FixedClock) -> None:
    rows = [store.insert("scope", "label", a_draft(f"{n}?", unit(1, n / 10))) for n in range(5)]
    other = CacheStore(tmp_path, now=clock)
    mine, theirs = Nearest(store, "scope", 4), Nearest(other, "scope", 4)
    assert [one.entry_id for one in theirs.search(unit(1), 2)] == rows[:2]
    store.drop(rows[:1], "test")
    store.quarantine(rows[1], "asked?")
    new = store.insert("scope", "label", a_draft("new?", unit(1)))
    for near in (mine, theirs):
        assert [one.entry_id for one in near.search(unit(1), 3)] == [new, *rows[2:4]]
    other.close()


def test_another_scopes_entries_are_never_neighbours(store: CacheStore) -> None:
    store.insert("one", "label", a_draft(vector=unit(1)))
    mine = store.insert("two", "label", a_draft(vector=unit(0, 1)))
    assert [one.entry_id for one in Nearest(store, "two", 4).search(unit(1))] == [mine]


def test_what_saved_least_goes_first(store: CacheStore) -> None:
    slow = store.insert("scope", "label", a_draft("slow?", seconds=60.0))
    rows = [store.insert("scope", "label", a_draft(f"{n}?", seconds=n / 100)) for n in range(110)]
    left = {entry.entry_id for _, entry in store.entries()}
    assert len(left) <= 100
    assert {slow, rows[-1]} <= left
    assert rows[0] not in left


def test_the_worth_of_an_answer() -> None:
    usual = {"quarantined": 0, "seconds": 5.0, "hits": 0, "used": 0.0, "size": 100}
    now = 0.0
    assert worth(now, **usual) < worth(now, **{**usual, "hits": 1})  # type: ignore[arg-type]
    assert worth(now, **usual) > worth(30 * 86_400, **usual) > 0 > worth(now, **{**usual, "quarantined": 1})  # type: ignore[arg-type]


def test_clearing_a_scope_or_a_source(store: CacheStore) -> None:
    elsewhere = Bound("cited", "handbook", "d3", "p3", "h3", "office.md")
    store.insert("abc", "handbook: a", a_draft())
    store.insert("abc", "handbook: a", a_draft("other?", bound=(elsewhere, CITED)))
    store.insert("xyz", "handbook: b", a_draft(bound=(elsewhere, FOUND)))
    assert store.clear(source="huts/rules.md") == 0  # found, not cited
    assert store.clear(scope="ab", source="office.md") == 1
    assert store.clear(scope="handbook: b") == 1
    assert store.clear() == 1


def test_what_happened_is_counted(store: CacheStore) -> None:
    row = store.insert("scope", "label", a_draft())
    store.served(row, "exact", 2.0)
    store.served(row, "semantic", 2.0, audit=("scope", "How much is a bed?"))
    store.missed("nothing alike is kept")
    assert store.events() == {"hit: exact": (1, 2.0), "hit: semantic": (1, 2.0), "miss: nothing alike is kept": (1, 0.0)}
    ((audit, entry, question),) = store.pending_audits("scope")
    assert (entry, question) == (row, "How much is a bed?")
    store.audited(audit, agreed=False)
    assert (store.audits(), store.pending_audits("scope")) == ((1, 1), [])


def test_one_process_at_a_time_answers_a_question(store: CacheStore, clock: FixedClock) -> None:
    assert store.begin_flight("scope", "a?")
    with store.database.writing() as db:
        db.execute("UPDATE flights SET owner = ?", (os.getppid(),))
    assert not store.begin_flight("scope", "a?")
    assert store.begin_flight("scope", "b?")
    with store.database.writing() as db:
        db.execute("UPDATE flights SET owner = 4194305")  # beyond any process's number
    assert store.begin_flight("scope", "a?")
    store.end_flight("scope", "a?")
    assert store.begin_flight("scope", "a?")
