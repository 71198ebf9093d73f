"""Past answers in the assistant itself: real index, real embedder. When they come back, and everything that stops them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import ScriptedModel

from assistant.answering import Assistant
from assistant.cache.auditing import audit
from assistant.cache.key import Scope
from assistant.cache.serving import AnswerCache
from assistant.cache.store import CacheStore
from assistant.cache.tables import FILE
from assistant.cache.threshold import Preset
from assistant.chat.idling import audit_while_idle
from assistant.models.extractive import ExtractiveModel
from indexes.build import RootRequest, build_index
from indexes.embedding import OnnxEmbedder
from indexes.export import load_embedder
from indexes.search import Searcher

PUMP = "How many litres does the pump hold?"
ALIKE = "What is the capacity of the pump in litres?"
GENEROUS = Preset(3.0, [], 0.5, 0.3, {})
"""Serves every neighbour that passes the gates."""
Ask = Callable[..., Assistant]


@pytest.fixture(scope="module")
def embedder(exported_models: Path) -> OnnxEmbedder:
    return load_embedder("all-MiniLM-L6-v2", exported_models)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, embedder: OnnxEmbedder) -> Path:
    folder = tmp_path_factory.mktemp("serving")
    docs = folder / "docs"
    docs.mkdir()
    (docs / "pump.md").write_text("# The pump\n\nThe pump holds 40 litres of water. It is filled at the north gate.\n")
    (docs / "boat.md").write_text("# The boat\n\nThe boat is kept in the harbour and painted every spring.\n")
    build_index(folder / "index", [RootRequest(docs)], open_embedder=lambda _: embedder)
    return folder


@pytest.fixture
def folder(built: Path, tmp_path: Path, embedder: OnnxEmbedder) -> Path:
    shutil.copytree(built / "docs", tmp_path / "docs")
    build_index(tmp_path / "index", [RootRequest(tmp_path / "docs")], open_embedder=lambda _: embedder)
    return tmp_path


@pytest.fixture
def searcher(folder: Path, embedder: OnnxEmbedder) -> Iterator[Searcher]:
    with Searcher([folder / "index"], open_embedder=lambda _: embedder) as opened:
        yield opened


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def assistant(folder: Path, searcher: Searcher, said: list[str]) -> Ask:
    def make(model: object = None, preset: Preset | None = GENEROUS, weights: str = "w") -> Assistant:
        def scope(strict: bool) -> Scope:
            return Scope({"weights": weights}, "", {}, searcher.weights_hash, searcher.names, strict)

        store = CacheStore(folder / "home")
        cache = AnswerCache(store, searcher, scope, label="test", preset=preset, lives_s=1e6, announce=said.append)
        return Assistant(searcher=searcher, model=model or ExtractiveModel(), cache=cache)  # type: ignore[arg-type]

    return make


def rewrite(folder: Path, embedder: OnnxEmbedder, name: str, text: str | None) -> None:
    file = folder / "docs" / name
    file.unlink() if text is None else file.write_text(text)
    build_index(folder / "index", [RootRequest(folder / "docs")], open_embedder=lambda _: embedder)


def test_the_same_question_is_answered_at_once(assistant: Ask, searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    one = assistant()
    first = one.ask(PUMP)
    monkeypatch.setattr(Searcher, "embed", lambda *_: pytest.fail("embedded"))
    monkeypatch.setattr(Searcher, "search", lambda *_, **__: pytest.fail("searched"))
    again = one.ask(f"  {PUMP} ")
    assert (again.cached, again.similarity, again.cached_question) == (True, 1.0, PUMP)
    assert (again.text, again.citations, again.status) == (first.text, first.citations, "answered")


def test_a_question_that_asks_for_the_same(assistant: Ask) -> None:
    one = assistant()
    one.ask(PUMP)
    again = one.ask(ALIKE)
    assert (again.cached, again.cached_question, again.question) == (True, PUMP, ALIKE)
    assert 0.5 < (again.similarity or 0) < 1
    assert one.cache
    assert len(one.cache.store.entries()) == 1  # nothing is kept of what was given again


@pytest.mark.parametrize("other", ["How many litres doesn't the pump hold?", "Who filled the pump?"])
def test_a_question_that_asks_for_something_else(assistant: Ask, other: str) -> None:
    one = assistant()
    one.ask(PUMP)
    assert not one.ask(other).cached


def test_without_a_preset_only_the_same_question_is_found(assistant: Ask) -> None:
    one = assistant(preset=None)
    one.ask(PUMP)
    assert (one.ask(ALIKE).cached, one.ask(PUMP).cached) == (False, True)


def test_a_question_that_leans_on_others_is_found_exactly_alone(assistant: Ask) -> None:
    one = assistant()
    one.ask(PUMP)
    one.ask("How many litres does it hold, the pump?")
    assert not one.ask("How much does it hold, the pump, in litres?").cached


def test_another_model_has_answers_of_its_own_and_the_first_finds_its_own_again(assistant: Ask) -> None:
    one, other = assistant(weights="a"), assistant(weights="b")
    one.ask(PUMP)
    assert not other.ask(PUMP).cached
    assert not one.ask(PUMP, strict=True).cached
    assert one.ask(PUMP).cached


def test_a_change_of_what_it_cites_ends_an_answer(assistant: Ask, folder: Path, embedder: OnnxEmbedder) -> None:
    one = assistant()
    one.ask(PUMP)
    one.ask("Where is the boat kept?")
    rewrite(folder, embedder, "pump.md", "# The pump\n\nThe pump holds 55 litres of water. It is filled at the north gate.\n")
    now = one.ask(PUMP)
    assert (now.cached, "55" in now.text) == (False, True)
    assert one.ask("Where is the boat kept?").cached


def test_a_change_elsewhere_ends_none_and_the_lines_are_those_of_now(
    assistant: Ask, folder: Path, embedder: OnnxEmbedder
) -> None:
    one = assistant()
    (before,) = one.ask(PUMP).citations
    text = (folder / "docs" / "pump.md").read_text()
    rewrite(folder, embedder, "pump.md", f"# News\n\nThe gate was painted green by the neighbours.\n\n{text}")
    again = one.ask(PUMP)
    assert again.cached
    assert (before.lines, again.citations[0].lines) == ((3, 3), (7, 7))


def test_a_file_that_goes_takes_its_answers_along(assistant: Ask, folder: Path, embedder: OnnxEmbedder) -> None:
    one = assistant()
    one.ask(PUMP)
    rewrite(folder, embedder, "pump.md", None)
    assert not one.ask(PUMP).cached
    assert one.cache
    assert PUMP not in [entry.question for _, entry in one.cache.store.entries() if entry.status == "answered"]


def test_a_newer_and_better_passage_is_not_passed_over(assistant: Ask, folder: Path, embedder: OnnxEmbedder) -> None:
    one = assistant()
    one.ask(PUMP)
    rewrite(
        folder,
        embedder,
        "a.md",
        "# How many litres does the pump hold?\n\nThe pump holds 70 litres since the repair of the pump.\n",
    )
    assert not one.ask(PUMP).cached


def test_an_abstention_lasts_as_long_as_nothing_else_is_found(assistant: Ask, folder: Path, embedder: OnnxEmbedder) -> None:
    one = assistant()
    question = "Who won the football World Cup in 2014?"
    assert one.ask(question).status == "abstained"
    assert (one.ask(question).cached, one.ask(question).status) == (True, "abstained")
    rewrite(folder, embedder, "cup.md", "# Football\n\nGermany won the football World Cup in 2014.\n")
    answer = one.ask(question)
    assert (answer.cached, answer.status) == (False, "answered")


def test_fresh_asks_again_and_the_new_answer_takes_the_place(assistant: Ask) -> None:
    one = assistant(ScriptedModel("The pump holds 40 litres of water. [1]", "It holds 40 litres of water. [1]"))
    one.ask(PUMP)
    assert one.ask(PUMP, fresh=True).text == "It holds 40 litres of water. [1]"
    assert one.ask(PUMP).text == "It holds 40 litres of water. [1]"


@pytest.mark.parametrize(
    "reply",
    [["The pump holds 40 ", KeyboardInterrupt()], "The pump holds 40 litres of water. [1] It is red.", "It holds 70 litres. [1]"],
)
def test_what_was_cut_short_or_not_supported_is_not_kept(assistant: Ask, reply: object) -> None:
    one = assistant(ScriptedModel(reply, "The pump holds 40 litres of water. [1]"))  # type: ignore[arg-type]
    one.ask(PUMP)
    assert not one.ask(PUMP).cached


def test_an_answer_said_to_be_wrong_is_never_given_again(assistant: Ask) -> None:
    one = assistant()
    one.ask(PUMP)
    entry = one.ask(ALIKE).cache_entry
    assert one.cache
    assert entry
    one.cache.quarantine(entry, ALIKE)
    assert (one.ask(ALIKE).cached, one.ask(PUMP).cached) == (False, False)
    assert one.ask(PUMP).cached_question == PUMP  # each has a new answer of its own
    assert one.ask(ALIKE).cached_question == ALIKE


def test_a_file_that_cannot_be_used_is_said_once_and_all_is_answered(assistant: Ask, folder: Path, said: list[str]) -> None:
    (folder / "home").mkdir(mode=0o700)
    (folder / "home" / FILE).write_bytes(b"SQLite format 3\0" + bytes(4096))
    one = assistant()
    assert [one.ask(PUMP).status for _ in range(3)] == ["answered"] * 3
    assert len(said) == 1
    assert "answers aren't cached" in said[0]


def test_every_hit_by_meaning_awaits_its_audit(assistant: Ask) -> None:
    one = assistant()
    one.ask(PUMP)
    one.ask(ALIKE)
    one.ask(PUMP)
    assert one.cache
    assert one.cache.store.events()["hit: semantic"][0] == one.cache.store.events()["hit: exact"][0] == 1


@pytest.mark.parametrize(
    ("fresh", "wrong"), [("The pump holds 40 litres of water. [1]", 0), ("It is filled at the north gate. [1]", 1)]
)
def test_an_audit_answers_afresh_and_ends_what_was_wrong(assistant: Ask, fresh: str, wrong: int) -> None:
    one = assistant(ScriptedModel("The pump holds 40 litres of water. [1]", fresh))
    one.ask(PUMP)
    assert one.ask(ALIKE).cached
    assert one.cache
    found = audit(one.cache, lambda question, strict: one.ask(question, strict=strict, fresh=True))
    assert (found.audited, found.wrong) == (1, wrong)
    assert one.cache.store.audits() == (1, wrong)
    assert one.cache.store.size()[1] == wrong
    assert audit(one.cache, lambda *_: pytest.fail("nothing is left to audit")).audited == 0


def test_the_audit_waits_for_quiet_and_a_key_ends_it(assistant: Ask) -> None:
    one = assistant(ScriptedModel("The pump holds 40 litres of water. [1]", ["The pump", " holds 40 litres of water. [1]"], "-"))
    one.ask(PUMP)
    one.ask(ALIKE)
    assert one.cache
    audit_while_idle(one, lambda: True)
    keys = iter([False, False, True])
    audit_while_idle(one, lambda: next(keys), quiet_s=0.0)
    assert (one.cache.store.audits(), one.cache.has_audits()) == ((0, 0), True)
    one.model.replies[:] = ["The pump holds 40 litres of water. [1]"]  # type: ignore[attr-defined]
    audit_while_idle(one, lambda: False, quiet_s=0.0)
    assert (one.cache.store.audits(), one.cache.has_audits()) == ((1, 0), False)
