import json
from pathlib import Path

import pytest

from assistant.commands.evaluate import check
from assistant.errors import CheckFailed, UsageError
from assistant.evaluation import EvalReport, contains, token_f1
from assistant.rendering.evaluation import report_document
from indexes.evaluation import Interval
from indexes.questions_file import read_questions

REPORT = EvalReport(2, {"answer_contained": Interval(0.8, 0.7, 0.9)}, ())


def questions_file(folder: Path, *lines: str) -> Path:
    file = folder / "questions.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_questions_are_read_with_defaults(tmp_path: Path) -> None:
    file = questions_file(
        tmp_path, '{"question": "a?"}', "", '{"question": "b?", "unanswerable": true, "id": "x", "split": "test"}'
    )
    assert [(q.id, q.unanswerable, q.answers) for q in read_questions(file)] == [("line 1", False, ()), ("x", True, ())]
    assert [q.id for q in read_questions(file, only={"split": "test"})] == ["x"]


def test_all_faults_of_a_file_are_reported_with_their_lines(tmp_path: Path) -> None:
    lines = ["{", "[]", '{"question": ""}', '{"question": "q", "answers": "a"}', '{"question": "q", "answers": [1]}',
             '{"question": "q", "unanswerable": true, "answers": ["a"]}']  # fmt: skip
    with pytest.raises(UsageError) as caught:
        read_questions(questions_file(tmp_path, *lines))
    assert all(f"line {number}:" in caught.value.message for number in range(1, 7))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00"])
def test_a_file_without_questions_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "q.jsonl").write_bytes(content)
    with pytest.raises(UsageError, match=r"q\.jsonl"):
        read_questions(tmp_path / "q.jsonl")


@pytest.mark.parametrize(
    ("text", "gold", "expected"),
    [
        ("It costs 44.00 EUR.", "44.00", True),
        ("It costs 144.00 EUR.", "44.00", False),
        ("Open on Wednesday, 16:30–18:00.", "wednesday", True),
        ("the Board of Directors", "A board of directors", True),
        ("He was 16", "1", False),
        ("anything", "", False),
    ],
)
def test_containment_is_by_whole_words(text: str, gold: str, expected: bool) -> None:
    assert contains(text, gold) is expected


def test_token_f1_equals_a_hand_worked_value() -> None:
    assert token_f1("the red apple pie", "red apple") == pytest.approx(2 * 2 / (3 + 2))
    assert token_f1("pear", "apple") == 0.0


def test_a_missed_minimum_fails_the_check_and_an_unknown_metric_is_named() -> None:
    check(REPORT, {"answer_contained": 0.8})
    with pytest.raises(CheckFailed, match=r"answer_contained is 0\.800, wanted 0\.9"):
        check(REPORT, {"answer_contained": 0.9})
    with pytest.raises(UsageError, match="no metric 'f2'"):
        check(REPORT, {"f2": 0.1})


def test_the_json_document_has_the_keys_of_the_contract() -> None:
    document = json.loads(json.dumps(report_document(REPORT)))
    assert document == {
        "schema": 1, "n": 2, "metrics": {"answer_contained": {"value": 0.8, "low": 0.7, "high": 0.9}}, "gate": None,
    }  # fmt: skip
