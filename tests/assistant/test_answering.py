"""The way of one question, with the real embedder and index; the model is scripted where its misbehaviour is the point."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import ScriptedModel

from assistant.answering import QUESTION_CHARACTERS, Assistant, readable_question
from assistant.chat.listening import listen
from assistant.errors import ModelError, UsageError
from assistant.models.extractive import ExtractiveModel
from assistant.prompt import ABSTENTION
from assistant.records import Answer, Rewritten
from assistant.rendering.screen import Screen
from assistant.settings import Settings, load_settings
from assistant.wiring import open_assistant, open_model, process_started
from indexes.build import RootRequest, build_index
from indexes.embedding import OnnxEmbedder
from indexes.export import load_embedder
from indexes.search import Searcher

QUESTION = "How many litres does the pump hold?"


@pytest.fixture(scope="module")
def embedder(exported_models: Path) -> OnnxEmbedder:
    return load_embedder("all-MiniLM-L6-v2", exported_models)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, embedder: OnnxEmbedder) -> Path:
    folder = tmp_path_factory.mktemp("answering")
    docs = folder / "docs"
    docs.mkdir()
    (docs / "pump.md").write_text(
        "# The pump\n\nThe pump holds 40 litres of water. It is filled at the north gate every morning.\n"
    )
    (docs / "boat.md").write_text("# The boat\n\nThe boat is kept in the harbour and painted every spring by the youth group.\n")
    build_index(folder / "index", [RootRequest(docs)], open_embedder=lambda _: embedder)
    return folder / "index"


@pytest.fixture
def searcher(index: Path, embedder: OnnxEmbedder) -> Iterator[Searcher]:
    with Searcher([index], open_embedder=lambda _: embedder) as opened:
        yield opened


def test_an_answer_is_literal_cited_and_timed(searcher: Searcher) -> None:
    answer = Assistant(searcher=searcher, model=ExtractiveModel(), process_started=process_started()).ask(QUESTION)
    assert (answer.status, answer.text) == ("answered", "The pump holds 40 litres of water. [1]")
    (citation,) = answer.citations
    assert (citation.source, citation.lines, citation.stale) == ("pump.md", (3, 3), False)
    assert citation.quote == "The pump holds 40 litres of water."
    assert 0 < answer.timings.search <= (answer.timings.first_token or 0) <= answer.timings.total
    assert answer.timings.start > 0


def test_what_is_not_in_the_documents_is_said_before_the_model_runs(searcher: Searcher) -> None:
    model = ScriptedModel()  # would fail if it were asked
    answer = Assistant(searcher=searcher, model=model).ask("Who won the football World Cup in 2014?")
    assert (answer.status, answer.text, answer.citations, model.prompts) == ("abstained", ABSTENTION, (), [])
    assert {citation.source for citation in answer.nearest} <= {"pump.md", "boat.md"}
    assert answer.nearest


def test_an_answer_of_which_nothing_is_supported_becomes_an_abstention(searcher: Searcher) -> None:
    answer = Assistant(searcher=searcher, model=ScriptedModel("The pump holds 90 litres. [1]")).ask(QUESTION)
    assert (answer.status, answer.text) == ("abstained", ABSTENTION)
    assert [s.verdict for s in answer.sentences] == []


def test_an_unsupported_sentence_is_marked_and_left_out_when_strict(searcher: Searcher) -> None:
    reply = "The pump holds 40 litres of water. [1] It is blue. [1]"
    answer = Assistant(searcher=searcher, model=ScriptedModel(reply)).ask(QUESTION)
    assert [(s.verdict, s.markers) for s in answer.sentences] == [("supported", (1,)), ("not_found", ())]
    strict = Assistant(searcher=searcher, model=ScriptedModel(reply)).ask(QUESTION, strict=True)
    assert strict.text == "The pump holds 40 litres of water. [1]"


def test_ctrl_c_keeps_what_was_written(searcher: Searcher) -> None:
    model = ScriptedModel(["The pump holds 40 litres of water. [1] ", KeyboardInterrupt()])
    pieces = list(Assistant(searcher=searcher, model=model).stream(QUESTION))
    assert pieces[0] == "The pump holds 40 litres of water. [1] "
    answer = pieces[-1]
    assert isinstance(answer, Answer)
    assert (answer.status, len(answer.citations)) == ("interrupted", 1)


@pytest.mark.parametrize("fault", [ModelError("the server has gone", hint="start it"), KeyboardInterrupt()])
def test_what_was_written_before_the_stream_broke_is_checked_like_any_answer(searcher: Searcher, fault: BaseException) -> None:
    assistant = Assistant(searcher=searcher, model=ScriptedModel("The pump holds 40 litres of water. [1] It is"))

    def broken() -> Iterator[Rewritten | str | Answer]:  # as where Ctrl-C comes between two frames of the stream
        yield next(assistant.stream(QUESTION))
        raise fault

    answer, error = listen(broken(), Screen(load_settings()), assistant.cut_short)
    assert (answer.status, answer.question) == ("interrupted", QUESTION)
    assert answer.citations[0].source == "pump.md"
    assert error is (fault if isinstance(fault, ModelError) else None)


def test_a_changed_file_makes_its_citation_stale(tmp_path: Path, embedder: OnnxEmbedder) -> None:
    (tmp_path / "docs").mkdir()
    file = tmp_path / "docs" / "pump.md"
    file.write_text("The pump holds 40 litres of water.\n")
    build_index(tmp_path / "index", [RootRequest(tmp_path / "docs")], open_embedder=lambda _: embedder)
    file.write_text("The pump was sold.\n")
    with Searcher([tmp_path / "index"], open_embedder=lambda _: embedder) as searcher:
        answer = Assistant(searcher=searcher, model=ExtractiveModel()).ask(QUESTION)
    assert [citation.stale for citation in answer.citations] == [True]


@pytest.mark.parametrize("question", ["", "   ", "?!…", "\x00\x1b[2J"[:1], "\n\n"])
def test_a_question_without_words_is_refused(question: str) -> None:
    with pytest.raises(UsageError, match="has no words"):
        readable_question(question)


def test_a_question_of_100_000_characters_is_answered_from_its_ends(searcher: Searcher) -> None:
    question = QUESTION + " bla" * 25_000 + " " + QUESTION
    assert len(readable_question(question)) <= QUESTION_CHARACTERS + 3
    assert Assistant(searcher=searcher, model=ExtractiveModel()).ask(question).status in ("answered", "abstained")


def test_control_characters_of_a_question_reach_nothing() -> None:
    assert readable_question("how\x1b[31m many\x00\u202e litres\n?") == "how [31m many litres ?"


def test_wiring_opens_what_the_settings_say(ready_home: Path, index: Path) -> None:
    (ready_home / "indexes").mkdir()
    (ready_home / "indexes" / "pumps").symlink_to(index)
    assistant = open_assistant(load_settings(environ={"ASSISTANT_HOME": str(ready_home)}))
    with assistant.searcher:
        assert (assistant.index_names, assistant.model_name) == (("pumps",), "extractive")
        assert assistant.ask(QUESTION).status == "answered"


def test_an_unknown_model_is_a_clear_error(home: Path) -> None:
    with pytest.raises(ModelError, match="'gpt-9'") as error:
        open_model(Settings(home=home, model="gpt-9"))
    assert "gpt-9" in error.value.hint
