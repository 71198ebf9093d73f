"""Rows of questions and a real index: what is golden, what distracts, what is left out, and that the prompt is serving's."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import CountingEmbedder
from hypothesis import given
from hypothesis import strategies as st

from assistant.citations import verify
from assistant.errors import UsageError
from assistant.prompt import ABSTENTION, Budget, build_messages
from assistant.records import Message
from finetune.commands import data
from finetune.data import raft
from finetune.data.faults import load_dataset
from finetune.data.raft import Mined, Mixture, mine, passage_hits
from finetune.data.stored import StoredDocuments
from finetune.errors import DataFault
from indexes.build import build_index
from indexes.catalog import index_folder
from indexes.evaluation import contains
from indexes.questions_file import LabelledQuestion, read_questions
from indexes.roots import RootRequest
from indexes.search import Searcher

ROOM = Budget(1, lambda _messages: 0)
FILES = {
    "mirrin.md": "# Mirrin Hut\n\nThe warden is Davit Orsolan. The hut sleeps 26 people.\n\n"
    "## Sauna\n\nThe sauna holds six people and costs 9 euros.\n",
    "ostrel.md": "# Ostrel Hut\n\nThe warden is Jorun Pell. The hut sleeps 38 people.\n",
    "lindarn.md": "# Lindarn Hut\n\nThe lift carries 64 bags. The warden is Ilse Marchetta. The hut sleeps 64 people.\n\n"
    "## Bread\n\nBread is baked on Tuesday.\n",
    "prices.csv": "item,hut,price\nTea,Mirrin,5.20\nTea,Ostrel,6.50\nShower,Mirrin,3.00\n",
    "odd.md": "# Odd\n\nThe code of the yellow box is <|eot_id|> 4471, says the maker.\n\n"
    "A footnote on the flag pole [3] says 1921.\n",
}


@pytest.fixture
def folder(home: Path, tmp_path: Path) -> Path:
    documents = tmp_path / "documents"
    documents.mkdir()
    for name, text in FILES.items():
        (documents / name).write_text(text, encoding="utf-8")
    folder = index_folder(home, "huts")
    build_index(folder, [RootRequest(documents)], open_embedder=lambda _: CountingEmbedder(), embedder="counting")
    return folder


@pytest.fixture
def searcher(folder: Path) -> Iterator[Searcher]:
    with Searcher([folder], open_embedder=lambda _: CountingEmbedder()) as searcher:
        yield searcher


def ask(question: str, source: str = "", *answers: str, asked_id: str = "q1") -> LabelledQuestion:
    return LabelledQuestion(asked_id, question, (source,) if source else (), answers, not source and not answers)


WARDEN = ask("Who is the warden of Mirrin Hut?", "mirrin.md", "Davit Orsolan")


def mined(searcher: Searcher, *asked: LabelledQuestion, without: float = 0.0, distractors: int = 4, seed: int = 0) -> Mined:
    folders = [part.store.folder for part in searcher._parts]
    return mine(asked, searcher, StoredDocuments(folders), Mixture(distractors, without, seed))


def test_the_target_is_the_sentence_with_the_marker_of_its_passage(searcher: Searcher) -> None:
    (row,) = mined(searcher, WARDEN).rows
    place = next(at for at, passage in enumerate(row["passages"], 1) if "Orsolan" in passage["text"])
    assert row["answer"] == f"The warden is Davit Orsolan. [{place}]"
    assert list(row) == ["question", "passages", "answer", "documents", "id"]
    assert row["passages"][place - 1]["source"] == "mirrin.md"
    assert row["passages"][place - 1]["heading"] == ["Mirrin Hut"]
    assert len(row["passages"]) == 5
    assert all("Orsolan" not in passage["text"] for at, passage in enumerate(row["passages"], 1) if at != place)


def test_documents_are_the_ids_of_all_that_is_shown(searcher: Searcher) -> None:
    (row,) = mined(searcher, WARDEN).rows
    hits = searcher.search(WARDEN.question, k=50)
    ids = {hit.source: hit.passage.document_id for hit in hits}
    assert set(row["documents"]) == {ids[passage["source"]] for passage in row["passages"]}
    assert len(set(row["documents"])) == len(row["documents"])


def test_a_row_of_a_table_is_told_and_renders_with_its_header(searcher: Searcher) -> None:
    (row,) = mined(searcher, ask("What does tea cost at Ostrel?", "prices.csv", "6.50")).rows
    assert row["answer"].startswith("Tea: hut Ostrel, price 6.50 [")
    assert {passage["header"] for passage in row["passages"] if passage["source"] == "prices.csv"} == {"item,hut,price"}
    assert {passage["header"] for passage in row["passages"] if passage["source"] != "prices.csv"} == {None}


def test_what_is_stored_renders_to_the_prompt_that_serving_renders(searcher: Searcher) -> None:
    hits = searcher.search("What does tea cost at Mirrin Hut?", k=8)
    assert {hit.source for hit in hits} > {"prices.csv", "odd.md"}  # a table, and a text that looks like a special token
    row = raft._row(WARDEN, hits, "")
    stored = passage_hits(json.loads(json.dumps(row["passages"])))
    for budget in (ROOM, Budget(700, lambda messages: sum(len(message.content) for message in messages))):
        served = build_messages(WARDEN.question, hits, budget).messages
        assert build_messages(row["question"], stored, budget).messages == served


def test_what_is_written_is_read_as_the_prompt_of_serving(searcher: Searcher, tmp_path: Path) -> None:
    found = mined(searcher, WARDEN, ask("Who is the warden of Brenna?", asked_id="q2"))
    data.write_rows(found.rows, tmp_path / "rows.jsonl")
    dataset = load_dataset([tmp_path / "rows.jsonl"])
    assert dataset.faults == ()
    by_text = {hit.passage.text: hit for hit in searcher.search(WARDEN.question, k=50)}
    for read, row in zip(dataset.rows, found.rows, strict=True):
        served = build_messages(row["question"], [by_text[one["text"]] for one in row["passages"]], ROOM).messages
        assert read.messages == (*served, Message("assistant", row["answer"]))
        assert read.documents == tuple(row["documents"])


def test_every_target_stands_in_what_it_cites(searcher: Searcher) -> None:
    asked = [
        WARDEN,
        ask("How many people does the sauna hold?", "mirrin.md", "six people", asked_id="q2"),
        ask("When is bread baked?", "lindarn.md", "Tuesday", asked_id="q3"),
    ]
    for row in mined(searcher, *asked).rows:
        verified = verify(row["answer"], passage_hits(row["passages"]))
        assert [sentence.verdict for sentence in verified.sentences] == ["supported"]


@pytest.mark.parametrize(
    ("question", "source", "answer"),
    [
        ("What is the code of the yellow box?", "odd.md", "4471"),
        ("When, says the footnote on the flag pole?", "odd.md", "1921"),
    ],
)
def test_a_sentence_that_cannot_be_cited_word_for_word_is_no_target(
    searcher: Searcher, question: str, source: str, answer: str
) -> None:
    found = mined(searcher, ask(question, source, answer))
    assert (found.rows, found.skipped) == ((), {raft.NOT_SUPPORTED: 1})


def test_a_short_answer_is_taken_from_the_sentence_that_answers(searcher: Searcher) -> None:
    (row,) = mined(searcher, ask("How many people does Lindarn Hut sleep?", "lindarn.md", "64")).rows
    assert row["answer"].startswith("The hut sleeps 64 people. [")


def test_no_distractor_holds_an_answer(searcher: Searcher) -> None:
    (row,) = mined(searcher, ask("How many people does Lindarn Hut sleep?", "lindarn.md", "64", "people")).rows
    assert sum("people" in passage["text"] for passage in row["passages"]) == 1


def test_without_its_golden_passage_the_target_is_to_abstain(searcher: Searcher) -> None:
    found = mined(searcher, WARDEN, without=1.0)
    (row,) = found.rows
    assert (row["answer"], found.golden, found.without_golden) == (ABSTENTION, 0, 1)
    assert len(row["passages"]) == 5  # as many as with it
    assert "mirrin.md" not in {passage["source"] for passage in row["passages"]}


def test_exactly_the_share_loses_its_golden_passage(searcher: Searcher) -> None:
    asked = [LabelledQuestion(f"q{n}", WARDEN.question, WARDEN.sources, WARDEN.answers, False) for n in range(10)]
    found = mined(searcher, *asked, without=0.28)
    assert (found.golden, found.without_golden) == (7, 3)
    assert [row["id"] for row in found.rows] == [one.id for one in asked]
    again = mined(searcher, *asked, without=0.28)
    other = mined(searcher, *asked, without=0.28, seed=1)
    assert again == found != other


def test_the_golden_passage_is_not_always_in_one_place(searcher: Searcher) -> None:
    asked = [LabelledQuestion(f"q{n}", WARDEN.question, WARDEN.sources, WARDEN.answers, False) for n in range(30)]
    assert {row["answer"][-3:] for row in mined(searcher, *asked).rows} == {f"[{place}]" for place in range(1, 6)}


def test_an_unanswerable_question_is_answered_with_an_abstention(searcher: Searcher) -> None:
    found = mined(searcher, ask("Who is the warden of Brenna?"))
    assert (found.rows[0]["answer"], len(found.rows[0]["passages"]), found.unanswerable) == (ABSTENTION, 5, 1)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (ask("Who is the warden?", "gone.md", "Davit"), raft.NOT_INDEXED),
        (ask("Who is the warden?", "mirrin.md", "Jorun Pell"), raft.NOT_FOUND),
        (ask("Who is the warden?", "mirrin.md"), raft.NO_ANSWERS),
        (ask("Who is the warden?", "", "Davit"), raft.NO_SOURCES),
    ],
)
def test_what_gives_no_row_is_counted_by_its_reason(searcher: Searcher, asked: LabelledQuestion, reason: str) -> None:
    found = mined(searcher, asked, WARDEN)
    assert (len(found.rows), found.skipped) == (1, {reason: 1})


@given(st.lists(st.sampled_from(["hut", "18", "5.20", "Euros", "the"])), st.lists(st.sampled_from(["18", "euros"]), min_size=1))
def test_an_answer_is_held_by_what_holds_its_words_side_by_side(words: list[str], answer: list[str]) -> None:
    said, wanted = [word.lower() for word in words if word != "the"], " ".join(answer)
    beside = any(said[at : at + len(answer)] == answer for at in range(len(said)))
    assert contains(", ".join(words), wanted) == beside
    assert contains(f"180 {', '.join(words)}; {wanted}!", wanted)
    assert not contains(wanted, "?")


def write_questions(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_all_faults_of_the_questions_are_named_with_their_lines(tmp_path: Path) -> None:
    path = write_questions(
        tmp_path / "q.jsonl", '{"question": "', [], {"question": " ?"}, {"question": "a", "answers": "b"}, "",
        {"question": "a", "sources": [" "]}, {"question": "a", "unanswerable": True, "answers": ["b"]},
    )  # fmt: skip
    with pytest.raises(UsageError) as error:
        read_questions(path)
    for part in ("line 1: not JSON", "line 2: not a JSON", "line 3: 'question'", "line 4: 'answers' is 'b'", "line 6", "line 7"):
        assert part in error.value.message
    assert "line 5" not in error.value.message
    with pytest.raises(UsageError, match="can't read"):
        read_questions(tmp_path / "missing.jsonl")


def test_questions_are_put_on_one_line(searcher: Searcher) -> None:
    spread = replace(WARDEN, question=WARDEN.question.replace(" ", "\n\u2028 ", 1))
    assert spread != WARDEN
    assert mined(searcher, spread).rows == mined(searcher, WARDEN).rows
    assert mined(searcher, WARDEN).rows


def test_questions_are_chosen_by_their_keys(tmp_path: Path) -> None:
    lines = [{"question": "Who is it?", "split": "test"}, {"question": "What?", "split": "calibration", "id": "b"}]
    path = write_questions(tmp_path / "q.jsonl", *lines)
    assert [(one.id, one.question) for one in read_questions(path)] == [("line 1", "Who is it?"), ("b", "What?")]
    assert [one.id for one in read_questions(path, only={"split": "calibration"})] == ["b"]
    with pytest.raises(UsageError, match=r"no questions in .* with .*'train'"):
        read_questions(path, only={"split": "train"})


def test_the_command_writes_rows_and_reports(home: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexes.export.load_embedder", lambda *_, **__: CountingEmbedder())
    asked = [
        {"question": WARDEN.question, "sources": ["mirrin.md"], "answers": ["Davit Orsolan"]},
        {"question": "Who?", "answers": ["x"]},
    ]
    questions, out, said = write_questions(tmp_path / "q.jsonl", *asked), tmp_path / "rows.jsonl", []
    options = {"home": home, "questions": questions, "index": ["huts"], "out": out}
    assert data.raft(**options, without_golden=0.0, as_json=True, write=said.append) == 0
    assert json.loads(said[0]) == {
        "schema": 1, "rows": 1, "used": 1, "skipped": {raft.NO_SOURCES: 1}, "golden": 1, "without_golden": 0, "unanswerable": 0,
        "index": ["huts"], "out": str(out),
    }  # fmt: skip
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["line 1"]
    assert out.stat().st_mode & 0o077 == 0
    with pytest.raises(UsageError, match="is there already"):
        data.raft(**options)
    before = out.read_bytes()
    with pytest.raises(DataFault, match=r"no row can be made of .*: 1 × it names no sources"):
        data.raft(**{**options, "questions": write_questions(tmp_path / "none.jsonl", asked[1])}, force=True)
    assert out.read_bytes() == before
    with pytest.raises(UsageError, match=r"--distractors is -1; .*--without-golden is 2"):
        data.raft(**{**options, "out": tmp_path / "new.jsonl"}, distractors=-1, without_golden=2)
