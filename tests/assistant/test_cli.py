"""The command line's own part: errors to text and code, --debug, completion, doctor, which index is written."""

import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import FixedClock

from assistant import cli, errors, running
from assistant.commands import completion, doctor, indexing
from assistant.errors import CheckFailed, DocumentError, IndexNotFound, ModelError, UsageError, UserError
from assistant.models import machine
from assistant.rendering.checkup import checkup_document, render_checkup
from assistant.rendering.terminal import Terminal
from assistant.settings import Settings

PLAIN = Terminal(interactive=False, width=80, colour=False, links=False, unicode=True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("a", hint="b"), 2),
        (DocumentError("a", hint="b"), 3),
        (IndexNotFound("a", hint="b"), 4),
        (ModelError("a", hint="b"), 5),
        (CheckFailed("a", hint="b"), 7),
    ],
)
def test_a_users_error_is_two_lines_and_its_classs_code(error: UserError, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert running.explain(error) == code
    assert capsys.readouterr() == ("", "error: a\nhint: b\n")


def test_a_bug_is_called_one_and_exits_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert running.explain(ZeroDivisionError("division\nby zero \x1b[2J")) == 1
    assert capsys.readouterr().err == (
        "error: this is a bug in assistant: ZeroDivisionError: division by zero ␛[2J\n"
        "hint: run the same command with --debug added, and report what it prints\n"
    )


def test_ctrl_c_exits_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert running.explain(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_too_little_memory_is_said_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    assert running.explain(MemoryError()) == 1
    assert capsys.readouterr().err.startswith("error: there is not enough memory\n")


@pytest.mark.parametrize(
    ("line", "rest", "debug"),
    [
        (["ask", "x"], ["ask", "x"], False),
        (["--debug", "ask", "x"], ["ask", "x"], True),
        (["ask", "x", "--debug"], ["ask", "x"], True),
        (["ask", "--", "--debug"], ["ask", "--", "--debug"], False),
        ([], [], False),
    ],
)
def test_debug_may_stand_anywhere_before_two_dashes(line: list[str], rest: list[str], debug: bool) -> None:
    assert running.take_debug(line) == (rest, debug)


def test_a_command_that_crashes_is_a_bug_with_a_traceback_on_demand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: 1 / 0)
    assert cli.run(["doctor"]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert cli.run(["doctor", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_completion_offers_indexes_that_exist(home: Path) -> None:
    for name in ("handbook", "papers", "empty"):
        (home / "indexes" / name).mkdir(parents=True)
        if name != "empty":
            (home / "indexes" / name / "index.sqlite").touch()
    assert completion.index_names() == ["handbook", "papers"]
    assert completion.index_names("pa") == ["papers"]


def test_completion_without_a_home_offers_nothing() -> None:
    assert completion.index_names() == []


def test_the_shell_gets_index_names(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "indexes" / "handbook").mkdir(parents=True)
    (home / "indexes" / "handbook" / "index.sqlite").touch()
    monkeypatch.setenv("_ASSISTANT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "assistant ask x --index ha")
    monkeypatch.setenv("COMP_CWORD", "4")
    with pytest.raises(SystemExit):
        cli.run([])
    assert capsys.readouterr().out.split() == ["handbook"]


def an_index(monkeypatch: pytest.MonkeyPatch, name: str, *roots: Path) -> None:
    info = SimpleNamespace(name=name, roots=[SimpleNamespace(path=str(root)) for root in roots], problem="")
    monkeypatch.setattr(indexing, "list_indexes", lambda home: [info])


def test_which_index_is_written(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    an_index(monkeypatch, "handbook", tmp_path)
    settings = Settings(home=home)
    assert indexing.name_to_build(settings, [tmp_path], "mine") == "mine"
    assert indexing.name_to_build(settings, [tmp_path], None) == "handbook"
    assert indexing.name_to_build(settings, [tmp_path / "other"], None) == "default"
    assert indexing.name_to_build(Settings(home=home, index=("set",)), [tmp_path], None) == "set"
    with pytest.raises(IndexNotFound):
        indexing.name_to_build(settings, [], None)


def test_watching_looks_every_two_seconds_and_shows_only_changes() -> None:
    clock, shown = FixedClock(), []
    quiet = SimpleNamespace(interrupted=False, added=0, changed=0, removed=0, renamed=0)
    changed = SimpleNamespace(interrupted=False, added=0, changed=0, removed=1, renamed=0)
    stopped = SimpleNamespace(interrupted=True)
    reports = iter([quiet, changed, quiet, stopped])
    with pytest.raises(KeyboardInterrupt):
        indexing.watch(lambda: next(reports), shown.append, sleep=clock.sleep)  # type: ignore[arg-type, return-value]
    assert shown == [changed]
    assert clock.slept == [2.0] * 4


def test_the_doctor_tells_where_each_setting_came_from(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config.toml").write_text("top_k = 4\n", encoding="utf-8")
    monkeypatch.setenv("ASSISTANT_COLOR", "never")
    told = checkup_document(doctor.examine())["settings"]
    assert told["top_k"] == {"value": 4, "origin": f"{home}/config.toml:1"}  # type: ignore[index]
    assert told["color"] == {"value": "never", "origin": "ASSISTANT_COLOR"}  # type: ignore[index]
    assert told["model"] == {"value": "extractive", "origin": "default"}  # type: ignore[index]


def test_the_doctor_of_a_fresh_home_is_content_and_says_what_comes_first() -> None:
    checkup = doctor.examine()
    assert checkup.able
    assert [(problem.what, problem.mend) for problem in checkup.problems] == [("there is no index yet", "assistant index FOLDER")]


def test_the_doctor_names_a_missing_package_and_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.NEEDED, "no-such-package", "no_such_package")
    checkup = doctor.examine()
    assert not checkup.able
    problem = next(problem for problem in checkup.problems if "no-such-package" in problem.what)
    assert (problem.mend, problem.fatal) == ("pip install no-such-package", True)


def test_the_doctor_runs_the_exported_embedder_and_notices_a_damaged_one(ready_home: Path) -> None:
    assert doctor.examine().embedding.runs is True
    model = next((ready_home / "models").glob("*.onnx"))
    model.unlink()
    model.write_bytes(b"damaged")
    checkup = doctor.examine()
    assert (checkup.embedding.runs, checkup.able) == (False, False)
    assert any("doesn't run" in problem.what and "rm " in problem.mend for problem in checkup.problems)


def test_the_doctor_notices_a_damaged_index(home: Path) -> None:
    (home / "indexes" / "broken").mkdir(parents=True)
    (home / "indexes" / "broken" / "index.sqlite").write_bytes(b"not a database" * 100)
    checkup = doctor.examine()
    assert not checkup.able
    assert any("'broken'" in problem.what and "delete broken" in problem.mend for problem in checkup.problems)


def test_the_doctor_notices_a_home_that_others_may_enter(home: Path) -> None:
    home.chmod(0o755)
    assert [(problem.mend, problem.fatal) for problem in doctor.examine().problems if "others" in problem.what] == [
        (f"chmod 700 {home}", False)
    ]


def test_the_doctor_notices_a_set_index_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_INDEX", "nope")
    assert any("ASSISTANT_INDEX names the index 'nope'" in problem.what for problem in doctor.examine().problems)


def test_downloaded_models_are_the_causal_ones(tmp_path: Path) -> None:
    for name, architecture in (("models--org--llama", "LlamaForCausalLM"), ("models--org--bert", "BertModel")):
        folder = tmp_path / "hub" / name / "snapshots" / "abc"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}), encoding="utf-8")
    (tmp_path / "hub" / "models--org--odd" / "snapshots" / "x").mkdir(parents=True)
    (tmp_path / "hub" / "models--org--odd" / "snapshots" / "x" / "config.json").write_text("[]", encoding="utf-8")
    assert doctor.downloaded_models({"HF_HOME": str(tmp_path)}) == ("org/llama",)


def test_the_checkup_as_text_ends_with_the_verdict() -> None:
    lines = [text.plain for text in render_checkup(doctor.examine(), PLAIN)]
    assert lines[-1] == "✓ Documents can be indexed and asked."
    assert "  mend it with: assistant index FOLDER" in lines
    for section in ("versions", "machine", "embedding model", "indexes", "models", "settings"):
        assert section in lines


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ("fpu avx2 avx512f avx512_bf16", "bfloat16"),
        ("fpu amx_bf16", "bfloat16"),
        ("fpu avx2 avx512f", "float32"),
        ("", "float32"),
    ],
)
def test_bf16_is_chosen_only_where_the_processor_has_it(flags: str, dtype: str) -> None:
    features = machine.features_in(f"processor : 0\nmodel name : X\nflags\t\t: {flags}\n" if flags else "")
    chosen, reason = machine.Machine("X", 2, features, None, None, None).model_dtype
    assert chosen == dtype
    assert reason


def test_features_of_an_arm_processor_are_found() -> None:
    assert machine.features_in("Features\t: fp asimd bf16 i8mm\n") == ("asimd", "bf16", "i8mm")


def test_this_machine_is_described() -> None:
    found = machine.inspect_machine()
    assert found.processors >= 1
    assert found.memory_total is None or found.memory_total > 10**8


def test_output_that_the_encoding_lacks_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    running.tolerate_encodings(sys.stdout)
    out.write("日x\udc80")
    out.flush()
    assert out.buffer.getvalue() == b"?x?"  # type: ignore[attr-defined]


def test_whatever_a_command_writes_is_private() -> None:
    cli.run(["--version"])
    before = os.umask(0o022)
    assert before == 0o077


def test_every_error_is_exported() -> None:
    assert set(errors.__all__) == {name for name, value in vars(errors).items() if isinstance(value, type)}


def test_an_error_crosses_from_a_worker_process_with_its_hint() -> None:
    import pickle

    from assistant.errors import CheckFailed, IndexLocked

    for error in (IndexLocked("busy", hint="wait"), CheckFailed("low", hint="lower it")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), copy.message, copy.hint, copy.exit_code) == (type(error), error.message, error.hint, error.exit_code)
