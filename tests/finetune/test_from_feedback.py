"""Judgements → rows: what each says, which one counts, and that nothing is left out without being counted."""

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fakes import CountingEmbedder
from hypothesis import given
from hypothesis import strategies as st

from assistant.errors import StorageFull, UsageError
from assistant.feedback import (
    FILE,
    Feedback,
    FeedbackLog,
    JudgedPassage,
    OtherAnswer,
    append_feedback,
    export_feedback,
    feedback_document,
)
from assistant.prompt import ABSTENTION, PROMPT_FORMAT, Budget, build_messages
from assistant.records import Message
from finetune.commands import data
from finetune.data import from_feedback as made_of
from finetune.data.faults import load_dataset
from finetune.data.from_feedback import KINDS, Made, from_feedback
from finetune.data.rows import Conversation, Labelled, Preference, Row
from finetune.data.stored import StoredDocuments, text_hash
from finetune.errors import DataFault
from indexes.build import build_index
from indexes.catalog import index_folder
from indexes.roots import RootRequest
from indexes.search import Searcher

PROMPT = (Message("system", "Be brief."), Message("user", "<passage 1>\nx\n</passage 1>\n\nQuestion: Who?"))
OTHER_PROMPT = (Message("user", "Question: Where?"),)
PASSAGES = (JudgedPassage("p1", "00", "a.md", 0.9), JudgedPassage("p2", "00", "b.md", 0.5))
ids = count()


def said(kind: str, answer: str = "Ada. [1]", text: str | None = None, **changes: Any) -> Feedback:
    other = OtherAnswer(text or "", None) if kind == "compare" else None
    row = Feedback(str(next(ids)), "t", kind, "Who?", None, PROMPT_FORMAT, PROMPT, PASSAGES, answer, "m", None, other, text)  # type: ignore[arg-type]
    return replace(row, **changes)


def made(kind: str, *rows: Feedback, torn: int = 0, stored: StoredDocuments | None = None) -> Made:
    return from_feedback(FeedbackLog(rows, torn), kind, stored=stored)  # type: ignore[arg-type]


def labels(*rows: Feedback) -> list[tuple[str, bool]]:
    return [(row["completion"], row["label"]) for row in made("kto", *rows).rows]


def pairs(*rows: Feedback) -> list[tuple[str, str]]:
    return [(row["chosen"], row["rejected"]) for row in made("preference", *rows).rows]


def test_rows_are_in_the_layouts_that_training_reads() -> None:
    rows = [said("better", "Bo. [2]", " Ada. [1] "), said("good", "Here.", messages=OTHER_PROMPT, passages=())]
    prompt = [{"role": one.role, "content": one.content} for one in PROMPT]
    documents = ["a.md", "b.md"]
    assert made("kto", *rows).rows[:2] == (
        {"prompt": prompt, "completion": "Bo. [2]", "label": False, "documents": documents},
        {"prompt": prompt, "completion": "Ada. [1]", "label": True, "documents": documents},
    )
    assert made("preference", *rows).rows == (
        {"prompt": prompt, "chosen": "Ada. [1]", "rejected": "Bo. [2]", "documents": documents},
    )
    assert made("sft", *rows).rows == (
        {"messages": [*prompt, {"role": "assistant", "content": "Ada. [1]"}], "documents": documents},
        {
            "messages": [{"role": "user", "content": "Question: Where?"}, {"role": "assistant", "content": "Here."}],
            "documents": [],
        },
    )


@pytest.mark.parametrize(("kind", "row"), [("kto", Labelled), ("preference", Preference), ("sft", Conversation)])
def test_what_is_written_is_read_as_rows_without_a_fault(tmp_path: Path, kind: str, row: type[Row]) -> None:
    data.write_rows(made(kind, said("better", "Bo. [2]", "Ada.\u2028[1]")).rows, tmp_path / "rows.jsonl")
    dataset = load_dataset([tmp_path / "rows.jsonl"])
    assert (dataset.faults, {type(one) for one in dataset.rows}) == ((), {row})
    for one in dataset.rows:
        assert getattr(one, "prompt", None) == PROMPT or one.messages == (*PROMPT, Message("assistant", "Ada.\u2028[1]"))
        assert one.documents == ("a.md", "b.md")


def test_the_last_judgement_of_an_answer_counts() -> None:
    assert labels(said("good"), said("bad")) == [("Ada. [1]", False)]
    assert labels(said("bad"), said("good")) == [("Ada. [1]", True)]
    assert made("kto", said("bad"), said("good"), said("good")).skipped == {made_of.CONTRADICTED: 1, made_of.AGAIN: 1}
    assert made("kto", said("better", "A", "B"), said("better", "A", "C")).skipped == {made_of.REPLACED: 1}


def test_a_correction_outlives_bad_but_not_good() -> None:
    assert labels(said("better", "A", "B"), said("bad", "A")) == [("A", False), ("B", True)]
    assert labels(said("better", "A", "B"), said("good", "A")) == [("A", True)]
    assert labels(said("bad", "A"), said("better", "A", "B")) == [("A", False), ("B", True)]


def test_the_same_text_is_never_good_and_bad() -> None:
    found = made("kto", said("better", "A", "B"), said("bad", "B"))
    assert [(row["completion"], row["label"]) for row in found.rows] == [("A", False), ("B", False)]
    assert (found.used, found.skipped) == (2, {})


def test_a_text_that_two_judgements_speak_of_goes_by_the_later_one() -> None:
    assert made("sft", said("good", "A"), said("better", "B", "A")).skipped == {made_of.AGAIN: 1}
    found = made("kto", said("bad", "A"), said("better", "B", "A"))
    assert {row["completion"]: row["label"] for row in found.rows} == {"A": True, "B": False}
    assert found.skipped == {made_of.CONTRADICTED: 1}


def test_pairs_come_of_corrections_comparisons_and_opposite_judgements() -> None:
    assert pairs(said("better", "A", "B")) == [("B", "A")]
    assert pairs(said("compare", "A", "B")) == [("A", "B")]
    assert pairs(said("bad", "A"), said("good", "B")) == [("B", "A")]
    assert pairs(said("bad", "A"), said("good", "B", messages=OTHER_PROMPT)) == []
    assert pairs(said("compare", "A", "B"), said("compare", "B", "A")) == [("B", "A")]
    assert pairs(said("good", "B"), said("bad", "A"), said("compare", "A", "B")) == [("A", "B")]
    assert sorted(pairs(said("good", "A"), said("bad", "B"), said("bad", "C"))) == [("A", "B"), ("A", "C")]


@pytest.mark.parametrize(
    ("kind", "row", "reason"),
    [
        ("kto", said("wrong_cache"), made_of.OF_CACHE),
        ("kto", said("good", status="interrupted"), made_of.BROKEN_OFF),
        ("kto", said("compare", "A", "B"), made_of.NOT_ABSOLUTE),
        ("sft", said("bad"), made_of.NOT_GOOD),
        ("preference", said("good"), made_of.ALONE),
        ("kto", said("good", prompt_format="passages-0"), made_of.OLD_FORMAT),
        ("kto", said("good", messages=(Message("user", "a"), Message("assistant", "b"))), made_of.UNREADABLE),
        ("kto", said("good", messages=(Message("user", 5),)), made_of.UNREADABLE),  # type: ignore[arg-type]
        ("kto", said("good", messages=(), passages=()), made_of.NO_PROMPT),
        ("kto", said("good", messages=()), made_of.NO_INDEX),
        ("kto", said("good", " \n"), made_of.NO_WORDS),
        ("kto", said("better", "A", None), made_of.NO_WORDS),
        ("preference", said("compare", "A", ""), made_of.NO_WORDS),
        ("kto", said("bad", "A\udcff"), made_of.HALF),
        ("preference", said("better", "A", " A "), made_of.SAME),
        ("sft", said("good", "Ada. [3]"), made_of.NO_SUCH_PASSAGE),
        ("sft", said("better", "Bo.", "Ada. [0]"), made_of.NO_SUCH_PASSAGE),
    ],
)
def test_what_is_left_out_is_counted_by_its_reason(kind: str, row: Feedback, reason: str) -> None:
    found = made(kind, row)
    assert (found.rows, found.used, found.skipped) == ((), 0, {reason: 1})


def test_a_bad_answer_may_cite_what_is_not_there() -> None:
    assert labels(said("bad", "Ada. [7]")) == [("Ada. [7]", False)]


def test_good_answers_that_cite_nothing_are_counted() -> None:
    rows = [said("good", "Ada."), said("good", ABSTENTION), said("bad", "Bo."), said("good", "Here.", passages=())]
    assert made("sft", *rows).uncited == 1


JUDGEMENTS = st.builds(
    lambda kind, answer, text, prompt: said(kind, answer, text, messages=prompt),
    st.sampled_from(["good", "bad", "better", "compare", "wrong_cache"]),
    st.sampled_from(["A", "B", "C [1]", " "]),
    st.sampled_from(["A", "B", "D [9]", None]),
    st.sampled_from([PROMPT, OTHER_PROMPT, ()]),
)


@given(st.lists(JUDGEMENTS, max_size=12), st.integers(0, 3), st.sampled_from(KINDS))
def test_every_line_is_used_or_counted_and_no_row_contradicts_another(rows: list[Feedback], torn: int, kind: str) -> None:
    found = made(kind, *rows, torn=torn)
    assert found.used + sum(found.skipped.values()) == len(rows) + torn
    keys = [json.dumps([row.get("prompt") or row["messages"], sorted(texts_of(row))]) for row in found.rows]
    assert len(keys) == len(set(keys))
    if rows and rows[-1].kind in ("good", "bad") and rows[-1].messages and rows[-1].answer.strip() and kind == "kto":
        last = [
            row for row in found.rows if row["completion"] == rows[-1].answer and len(row["prompt"]) == len(rows[-1].messages)
        ]
        assert [row["label"] for row in last] == [rows[-1].kind == "good"]


def texts_of(row: dict[str, Any]) -> list[str]:
    return [row[key] for key in ("completion", "chosen", "rejected") if key in row]


FILES = {
    "a.md": "# Mirrin\n\nThe warden is Davit Orsolan.\n",
    "b.md": "# Ostrel\n\nThe warden is Jorun Pell.\n",
    "c.csv": "item,price\nTea,5.20\n",
}


@pytest.fixture
def folder(home: Path, tmp_path: Path) -> Path:
    (tmp_path / "documents").mkdir()
    for name, text in FILES.items():
        (tmp_path / "documents" / name).write_text(text, encoding="utf-8")
    folder = index_folder(home, "huts")
    refresh(folder, RootRequest(tmp_path / "documents"))
    return folder


def refresh(folder: Path, *requests: RootRequest) -> None:
    build_index(folder, requests, open_embedder=lambda _: CountingEmbedder(), embedder="counting")


def extracted(folder: Path) -> tuple[Feedback, tuple[Message, ...]]:
    """A judgement of an extracted answer, and the prompt that a model would have been given."""
    with Searcher([folder], open_embedder=lambda _: CountingEmbedder()) as searcher:
        hits = searcher.search("Who is the warden of Mirrin?", k=3)
    passages = tuple(JudgedPassage(one.passage.passage_id, text_hash(one.passage.text), one.source, one.score) for one in hits)
    place = next(at for at, hit in enumerate(hits, 1) if hit.source == "a.md")
    row = said(
        "good",
        f"The warden is Davit Orsolan. [{place}]",
        question="Who is\nthe warden of Mirrin?",
        messages=(),
        passages=passages,
    )
    served = build_messages("Who is the warden of Mirrin?", hits, Budget(1, lambda _messages: 0)).messages
    return replace(row, prompt_format=None), served


def test_a_prompt_that_was_not_kept_is_rendered_from_the_index(folder: Path) -> None:
    row, served = extracted(folder)
    followed = replace(row, question="And there?", rewritten="Who is the warden of Mirrin?")
    (found,) = made("sft", followed, row, stored=StoredDocuments([folder])).rows
    assert found["messages"][:-1] == [{"role": one.role, "content": one.content} for one in served]
    assert "Tea" in found["messages"][1]["content"]
    assert "item,price" in found["messages"][1]["content"]


def test_documents_go_by_their_ids_where_an_index_knows_them(folder: Path) -> None:
    with Searcher([folder], open_embedder=lambda _: CountingEmbedder()) as searcher:
        known = {hit.source: hit.passage.document_id for hit in searcher.search("warden", k=3)}
    row = said("good", passages=(*PASSAGES, JudgedPassage("p3", "00", "gone.md", 0.1)))
    assert made("kto", row, stored=StoredDocuments([folder])).rows[0]["documents"] == [known["a.md"], known["b.md"], "gone.md"]


def test_passages_that_changed_are_not_put_into_a_prompt(folder: Path, tmp_path: Path) -> None:
    row, _ = extracted(folder)
    (tmp_path / "documents" / "b.md").write_text("# Ostrel\n\nThe warden is someone else.\n", encoding="utf-8")
    refresh(folder)
    assert made("sft", row, stored=StoredDocuments([folder])).skipped == {made_of.GONE: 1}


def test_a_marker_that_points_at_another_passage_is_not_learned(folder: Path) -> None:
    row, _ = extracted(folder)
    wrong = next(at for at in (1, 2, 3) if f"[{at}]" not in row.answer)
    misled = replace(row, answer=f"The warden is Davit Orsolan. [{wrong}]")
    assert made("sft", misled, stored=StoredDocuments([folder])).skipped == {made_of.MISATTRIBUTED: 1}


def test_the_twins_of_two_roots_are_told_apart_as_in_the_search(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.md").write_text("# More\n\nThe warden of Mirrin left.\n", encoding="utf-8")
    refresh(folder, RootRequest(tmp_path / "more"))
    with Searcher([folder], open_embedder=lambda _: CountingEmbedder()) as searcher:
        hits = searcher.search("warden", k=4)
    stored = StoredDocuments([folder])
    assert {hit.source for hit in hits} == {"documents/a.md", "more/a.md", "b.md", "c.csv"}
    for hit in hits:
        judged = JudgedPassage(hit.passage.passage_id, text_hash(hit.passage.text), hit.source, 0.5)
        found = stored.find(judged)
        assert found is not None
        assert found.passage == hit.passage
        assert stored.document_ids(hit.source) == (hit.passage.document_id,)
        assert stored.find(replace(judged, hash="00")) is None


def test_the_command_writes_reports_and_refuses_to_overwrite(home: Path, tmp_path: Path) -> None:
    for row in (said("good"), said("bad", "Bo\u2028x"), said("wrong_cache")):
        append_feedback(home, row)
    with (home / FILE).open("a") as stream:
        stream.write('{"schema": 1, "kind": "go')
    out, heard = tmp_path / "rows.jsonl", []
    assert data.from_feedback(home=home, kind="kto", out=out, as_json=True, write=heard.append) == 0
    assert json.loads(heard[0]) == {
        "schema": 1, "rows": 2, "used": 2, "skipped": {made_of.OF_CACHE: 1, made_of.TORN: 1}, "uncited": 0, "out": str(out),
    }  # fmt: skip
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["completion"] for row in rows] == ["Ada. [1]", "Bo\u2028x"]
    assert out.stat().st_mode & 0o077 == 0
    with pytest.raises(UsageError, match=r"rows\.jsonl' is there already") as error:
        data.from_feedback(home=home, kind="kto", out=out)
    assert "--force" in error.value.hint
    assert data.from_feedback(home=home, kind="preference", out=out, force=True, write=heard.append) == 0
    assert heard[1].splitlines() == [
        f"wrote 1 row into {out}, from 2 judgements",
        "left out 2 judgements:",
        f"      1  {made_of.OF_CACHE}",
        f"      1  {made_of.TORN}",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl"]


def test_an_exported_file_is_read_whatever_its_name(home: Path, tmp_path: Path) -> None:
    append_feedback(home, said("good"))
    export_feedback(home, tmp_path / "mine.jsonl")
    heard: list[str] = []
    options = {"home": tmp_path, "kind": "sft", "out": tmp_path / "rows.jsonl", "write": heard.append}
    assert data.from_feedback(**options, feedback=tmp_path / "mine.jsonl") == 0
    assert heard[0].startswith("wrote 1 row into")
    with pytest.raises(UsageError, match="there is no feedback in"):
        data.from_feedback(**options, force=True)


def test_where_nothing_can_be_learned_it_says_why_and_writes_nothing(home: Path, tmp_path: Path) -> None:
    append_feedback(home, said("good", messages=(), prompt_format=None))
    with pytest.raises(DataFault, match=r"no kto row .*: 1 × it has no messages, and no --index") as error:
        data.from_feedback(home=home, kind="kto", out=tmp_path / "rows.jsonl")
    assert "--index" in error.value.hint
    assert not (tmp_path / "rows.jsonl").exists()
    with pytest.raises(UsageError, match="there is no kind of rows 'dpo'"):
        data.from_feedback(home=home, kind="dpo", out=tmp_path / "rows.jsonl")
    with pytest.raises(UsageError, match="is a folder"):
        data.from_feedback(home=home, kind="kto", out=tmp_path)
    with pytest.raises(StorageFull, match=r"can't write .*: No such file"):
        data.write_rows([feedback_document(said("good"))], tmp_path / "missing" / "rows.jsonl")
