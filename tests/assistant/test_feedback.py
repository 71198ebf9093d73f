"""The feedback file: its exact schema, its numbers, and lines that are none."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import a_citation, a_hit, an_abstention, an_answer
from test_conversation import a_traced_answer

from assistant.errors import StorageFull
from assistant.feedback import (
    FILE,
    append_feedback,
    export_feedback,
    judge_answer,
    purge_feedback,
    read_feedback,
)


def lines(home: Path) -> list[str]:
    return (home / FILE).read_text(encoding="utf-8").splitlines()


def test_a_line_is_exactly_what_the_design_says(home: Path) -> None:
    append_feedback(home, judge_answer("bad", a_traced_answer(rewritten="How many sleep at Mirrin?"), text="too short"))
    (document,) = [json.loads(line) for line in lines(home)]
    assert re.fullmatch(r"[0-9a-f]{16}", document.pop("id"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", document.pop("time"))
    assert document == {
        "schema": 1,
        "kind": "bad",
        "question": "How many people sleep there?",
        "rewritten": "How many sleep at Mirrin?",
        "prompt_format": "passages-1",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "<passage 1>"}],
        "passages": [
            {
                "id": "p1",
                "hash": hashlib.sha256(b"The hut sleeps 24.").hexdigest(),
                "source": "guide/setup.md",
                "score": 0.9,
            }
        ],
        "answer": "The hut sleeps 24. [1]",
        "model": "extractive",
        "adapter": None,
        "other": None,
        "text": "too short",
        "status": "answered",  # an addition to the design: nothing is learned from what was interrupted
    }
    assert (home / FILE).stat().st_mode & 0o077 == 0


def test_numbers_are_those_of_the_prompts_passages() -> None:
    answer = a_traced_answer("It is warm. [1] It sleeps 24. [2] See [9].")
    assert answer.trace
    trace = replace(answer.trace, hits=tuple(a_hit(n, f"{n}.md") for n in (1, 2, 3)), kept=3)
    answer = replace(
        answer, trace=trace, citations=(replace(a_citation(1), passage_id="p3"), replace(a_citation(2), passage_id="p1"))
    )
    made = judge_answer("better", answer, text="Warm [1]")
    assert made.answer == "It is warm. [3] It sleeps 24. [1] See [9]."
    assert made.text == "Warm [3]"
    assert [one.source for one in made.passages] == ["1.md", "2.md", "3.md"]


def test_an_abstention_is_judged_by_what_was_found() -> None:
    traced = a_traced_answer().trace
    assert traced
    made = judge_answer("good", an_abstention(trace=replace(traced, kept=0, messages=(), prompt_format=None)))
    assert ([one.passage_id for one in made.passages], made.messages, made.answer) == (
        ["p1", "p2"],
        (),
        "Not in these documents.",
    )


@pytest.mark.parametrize("kind", ["good", "bad", "better", "compare", "wrong_cache"])
def test_every_kind_comes_back_as_it_was(home: Path, kind: str) -> None:
    other = an_answer("No.", adapter="mine") if kind == "compare" else None
    made = judge_answer(kind, an_answer("Yes\u2028. \x85 \udcff"), text="why\nnot", other=other)  # type: ignore[arg-type]
    append_feedback(home, made)
    assert len(lines(home)) == 1
    assert read_feedback(home).rows == (made,)


@pytest.mark.parametrize(
    "torn",
    [
        '{"schema": 1, "kind": "go',
        "\x00\x00",
        "[]",
        "null",
        '{"schema": 2, "kind": "good"}',
        '{"schema": 1, "kind": "fine"}',
        "\udcff",
    ],
)
def test_a_torn_or_foreign_line_spoils_no_other(home: Path, torn: str) -> None:
    first, second = judge_answer("good", an_answer()), judge_answer("bad", an_answer())
    append_feedback(home, first)
    with (home / FILE).open("ab") as stream:
        stream.write(torn.encode(errors="surrogateescape"))
    append_feedback(home, second)
    log = read_feedback(home)
    assert (log.rows, log.skipped) == ((first, second), 1)


def test_exporting_writes_what_is_feedback_and_overwrites_whole(home: Path, tmp_path: Path) -> None:
    made = judge_answer("good", an_answer())
    append_feedback(home, made)
    with (home / FILE).open("a") as stream:
        stream.write("torn")
    target = tmp_path / "out.jsonl"
    target.write_text("before")
    assert export_feedback(home, target).skipped == 1
    assert target.read_text() == lines(home)[0] + "\n"
    assert target.stat().st_mode & 0o077 == 0
    with pytest.raises(StorageFull, match="can't write"):
        export_feedback(home, tmp_path / "missing" / "out.jsonl")
    assert list(tmp_path.iterdir()) == [target]


def test_purging_deletes_the_file_and_nothing_is_no_error(home: Path) -> None:
    purge_feedback(home)
    append_feedback(home, judge_answer("good", an_answer()))
    purge_feedback(home)
    assert not (home / FILE).exists()
    assert read_feedback(home).rows == ()


def test_where_it_cannot_be_written_it_says_so(home: Path) -> None:
    (home / FILE).mkdir()
    with pytest.raises(StorageFull, match=r"can't use the feedback in .*: Is a directory") as error:
        append_feedback(home, judge_answer("good", an_answer()))
    assert error.value.hint
