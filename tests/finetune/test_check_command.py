"""`finetune check` as a user meets it: what it prints, what it returns, and what it loads."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_models

from assistant.errors import ModelError
from finetune.commands.check import check
from finetune.commands.check_text import plain

ROWS = [{"prompt": f"Question {number}?", "completion": f"Answer {number}."} for number in range(3)]


def write(file: Path, *records: Any) -> Path:
    file.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_models.tiny_llama3(tmp_path_factory.mktemp("base")))


def test_the_whole_report(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("a.jsonl"), *ROWS, ROWS[0], {"prompt": "Q", "completon": "A"}, {"prompt": "", "completion": "A"}, 7, 8)
    assert check([Path("a.jsonl")]) == 7
    assert capsys.readouterr().out == (
        "4 rows in 1 file: 4 conversation\n"
        "  layout: prompt, completion (5 records)\n"
        "  fit for: sft\n"
        "\n4 errors\n"
        "  is a number, not an object  (2 ×)\n"
        "    a.jsonl:7, 8\n"
        '    mend: a row is an object, e.g. {"prompt": "…", "completion": "…"}\n'
        "  has no 'completion'\n"
        "    a.jsonl:5\n"
        "    mend: rename 'completon' to 'completion'\n"
        "  'prompt' is empty\n"
        "    a.jsonl:6\n"
        "    mend: fill it, or delete the row\n"
        "\n1 warning\n"
        "  is the same row as a.jsonl:1\n"
        "    a.jsonl:4\n"
        "    mend: delete one of the two\n"
        "\nthe first row, what stands in ⟦ ⟧ is learned\n"
        "  user: Question 0?\n"
        "  assistant: ⟦Answer 0.⟧\n"
    )


def test_a_fault_that_is_there_many_times_is_one_entry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("a.jsonl"), *({"text": "T", "label": [number]} for number in range(50)))
    assert check([Path("a.jsonl")]) == 7
    out = capsys.readouterr().out
    assert "50 errors" in out
    assert "'label' is [0], not a class  (and 49 like it)" in out
    assert "    a.jsonl:1, 2, 3 and 47 more\n" in out


def test_the_report_fits_80_columns_and_obeys_no_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[31m\x9b2J\u202e" + "word " * 400
    record = {"prompt": evil, "completion": evil, "label": evil}
    check([write(tmp_path / "a.jsonl", record, record | {"label": True}, {evil: evil})])
    out = capsys.readouterr().out
    assert not set("\x1b\x9b\u202e") & set(out)
    assert max(map(len, out.splitlines())) <= 80
    assert "[…]" in out
    assert plain("க்\u200dஷ\t\n") == "க்\u200dஷ\t\n"


def test_the_json_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "a.jsonl", *ROWS, ROWS[0], {"prompt": "Q"})
    assert check([file], as_json=True) == 7
    found = json.loads(capsys.readouterr().out)
    assert len(found.pop("hash")) == 64
    assert found == {
        "schema": 1, "files": [str(file)], "rows": 4, "kinds": {"conversation": 4}, "layouts": {"prompt, completion": 4},
        "methods": ["sft"], "lengths": None, "evaluation_rows": None, "grader": None,
        "faults": [
            {"file": str(file), "line": 5, "what": "has no 'completion'", "hint": "add 'completion'", "error": True},
            {"file": str(file), "line": 4, "what": f"is the same row as {file}:1", "hint": "delete one of the two",
             "error": False},
        ],
    }  # fmt: skip


def test_warnings_alone_are_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check([write(tmp_path / "a.jsonl", ROWS[0], ROWS[0])]) == 0
    out = capsys.readouterr().out
    assert "no errors" in out
    assert "1 warning\n" in out


def test_held_out_data_is_checked_too_and_must_not_overlap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = write(tmp_path / "a.jsonl", *ROWS)
    assert check([train], eval_paths=[write(tmp_path / "b.jsonl", ROWS[1], {})], as_json=True) == 7
    found = json.loads(capsys.readouterr().out)
    assert found["evaluation_rows"] == 1
    assert [(Path(one["file"]).name, one["line"], one["what"]) for one in found["faults"]] == [
        ("b.jsonl", 2, "has no keys, which is no layout"),
        ("b.jsonl", 1, f"has the same prompt as {train}:2, which is trained on"),
    ]


def test_a_path_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check([tmp_path / "none.jsonl"]) == 7
    out = capsys.readouterr().out
    assert "0 rows in 0 files" in out
    assert "is not there: no such file or folder" in out


def test_with_a_base_lengths_and_the_rendered_row_are_shown(
    tmp_path: Path, base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "a.jsonl", *ROWS, {"prompt": "Long?", "completion": "x" * 100 + "."})
    assert check([file], base=base, max_length=64) == 0
    out = capsys.readouterr().out
    assert "4 rows measured" in " ".join(out.split())  # a long path may break the line
    assert f"  to  64  {'█' * 40} 3\n  to 128   0\n  to 256  {'█' * 14} 1\n" in out
    assert "tokens, more than 64: it is left out" in out
    assert "  left out, being longer than 64: 25.0%\n  without a stop token in the loss: 0.0%\n" in out
    assert "  <|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n  Question 0?<|eot_id|>" in out
    assert "  ⟦Answer 0.<|eot_id|>⟧\n" in out


def test_with_a_base_the_document_has_the_lengths(tmp_path: Path, base: str, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [{"prompt": f"{number}?", "chosen": "a", "rejected": "b" * 50} for number in range(3)]
    assert check([write(tmp_path / "a.jsonl", *pairs)], base=base, as_json=True) == 0
    lengths = json.loads(capsys.readouterr().out)["lengths"]
    assert (lengths["base"], lengths["measured"], lengths["over"], lengths["max_length"]) == (base, 3, 0, 1024)
    assert sum(number for _, number in lengths["bins"]) == 3
    assert 50 < lengths["median"] == lengths["longest"]


def test_data_without_a_row_has_no_lengths(tmp_path: Path, base: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert check([write(tmp_path / "a.jsonl", {})], base=base, as_json=True) == 7
    assert json.loads(capsys.readouterr().out)["lengths"] is None


def test_a_base_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no folder"):
        check([write(tmp_path / "a.jsonl", *ROWS)], base="./nowhere/at all")


def test_without_a_base_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from finetune.commands.check import check\n"
        "check([Path(sys.argv[1])], as_json=True)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'torch', 'transformers', 'numpy', 'pandas', 'pyarrow', 'datasets', 'rich'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(write(tmp_path / "a.jsonl", *ROWS))], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
