"""The command line as a person uses it: real programs, real files, whole output."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

SETUP = """# Setup

## Linux

Install the pump firmware with the blue cable before the first frost of the year.

## Storage

The spare keys of the boat house lie in the green box under the stairs.
"""


def run(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "assistant", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        env={**os.environ, **(env or {})},
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "BLOCKED" not in done.stderr
    return done


def one_document(output: str) -> dict[str, object]:
    assert output.count("\n") == 1
    document = json.loads(output)
    assert document["schema"] == 1
    return document


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "guide").mkdir(parents=True)
    (folder / "guide" / "setup.md").write_text(SETUP, encoding="utf-8")
    (folder / "fees.csv").write_text("item,price\nkayak,12 euros\ncanoe,15 euros\n", encoding="utf-8")
    (folder / "notes.txt").write_text("The club was founded in 1921 by Ada Brandt.\n", encoding="utf-8")
    return folder


@pytest.fixture
def indexed(ready_home: Path, docs: Path) -> Path:
    done = run("index", str(docs))
    assert done.returncode == 0, done.stderr
    return docs


def test_from_a_folder_to_an_answer_and_back(ready_home: Path, docs: Path, tmp_path: Path) -> None:
    built = run("index", str(docs))
    assert re.sub(r"\([\d.]+ s\)", "(… s)", built.stdout) == "default: 3 documents, 4 passages (… s)\n  3 added\n"
    assert built.stderr == ""

    again = one_document(run("index", "--json").stdout)
    assert again.pop("seconds")
    assert again == {
        "schema": 1,
        "index": "default",
        "documents": 3,
        "passages": 4,
        "added": 0,
        "changed": 0,
        "removed": 0,
        "unchanged": 3,
        "failed": [],
        "renamed": 0,
        "skipped": {},
        "embedded": 0,
        "interrupted": False,
    }

    answer = one_document(run("ask", "Where are the spare keys of the boat house?", "--fresh", "--json").stdout)
    assert (answer["status"], answer["index"], answer["model"]) == ("answered", ["default"], "extractive")
    cited = answer["citations"][0]  # type: ignore[index]
    assert (cited["marker"], cited["source"], cited["page"], cited["stale"]) == (1, "guide/setup.md", None, False)
    assert cited["quote"] in SETUP
    assert SETUP.splitlines()[cited["lines"][0] - 1] == "The spare keys of the boat house lie in the green box under the stairs."

    refused = one_document(run("ask", "What is the boiling point of tungsten?", "--json").stdout)
    assert (refused["status"], refused["answer"], refused["citations"]) == ("abstained", "Not in these documents.", [])
    assert refused["nearest"]

    found = one_document(run("search", "price of a canoe", "-k", "1", "--json").stdout)
    assert [(hit["rank"], hit["source"], hit["index"]) for hit in found["hits"]] == [(1, "fees.csv", "default")]  # type: ignore[attr-defined]

    listed = one_document(run("indexes", "--json").stdout)
    assert [(info["name"], info["documents"], info["problem"]) for info in listed["indexes"]] == [("default", 3, None)]  # type: ignore[attr-defined]
    assert run("indexes", "check", "default").stdout == "default: sound\n"

    questions = tmp_path / "questions.jsonl"
    questions.write_text(
        '{"question": "Who founded the club?", "sources": ["notes.txt"], "answers": ["Ada Brandt"]}\n'
        '{"question": "What is the boiling point of tungsten?", "unanswerable": true}\n',
        encoding="utf-8",
    )
    report = one_document(run("eval", str(questions), "--json").stdout)
    assert report["n"] == 2
    assert all(set(metric) == {"value", "low", "high"} for metric in report["metrics"].values())  # type: ignore[attr-defined]
    failed = run("eval", str(questions), "--min", "latency_ms_median=1e9")
    assert failed.returncode == 7

    deleted = run("indexes", "delete", "default", "--yes")
    assert (deleted.returncode, deleted.stdout) == (0, "deleted the index default\n")
    gone = run("ask", "Who founded the club?")
    assert (gone.returncode, gone.stdout, gone.stderr) == (4, "", "error: there is no index yet\nhint: assistant index PATH\n")


def test_an_answer_as_text_and_nothing_else_on_stdout(indexed: Path) -> None:
    done = run("ask", "Who founded the club?")
    assert done.stdout == "The club was founded in 1921 by Ada Brandt. [1]\n\n[1] notes.txt:1\n"
    assert done.stderr == "from default, extractive\n"


def test_an_edited_file_is_marked_stale_until_it_is_indexed_again(indexed: Path) -> None:
    file = indexed / "notes.txt"
    file.write_text(file.read_text(encoding="utf-8") + "It has 90 members.\n", encoding="utf-8")
    assert "[1] notes.txt:1 (changed since indexing)" in run("ask", "Who founded the club?").stdout
    assert "1 changed" in run("index").stdout
    assert "(changed since" not in run("ask", "Who founded the club?").stdout


def test_files_that_fail_are_named_and_the_rest_is_indexed(ready_home: Path, docs: Path) -> None:
    (docs / "broken.pdf").write_bytes(b"%PDF-1.4 and then nothing")
    (docs / ".hidden").mkdir()
    (docs / "pic.png").write_bytes(b"\x89PNG\r\n")
    done = run("index", str(docs))
    assert done.returncode == 0
    assert "1 file could not be read:\n    broken.pdf: " in done.stdout
    assert "  skipped: 1 binary, 1 hidden\n" in done.stdout


def test_hostile_names_and_texts_never_send_the_terminal_a_command(ready_home: Path, docs: Path) -> None:
    (docs / "a\n\x1b[31mb\u202e.md").write_text("The pass\x1b]0;owned\x07word of the shed is heron.\x1b[2J\n", encoding="utf-8")
    (docs / "bro\x1b[2Jken.pdf").write_bytes(b"%PDF-1.4")
    outputs = [run("index", str(docs)), run("search", "password of the shed"), run("ask", "What is the password of the shed?")]
    outputs.append(run("ask", "What is the password of the shed?", "--json"))
    for done in outputs:
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", done.stdout + done.stderr)


ERRORS = [
    (["index", "/no/such/folder"], 3, "/no/such/folder"),
    (["index", "--name", "../evil", "."], 2, "can't be the name of an index"),
    (["index"], 4, "no index"),
    (["index", ".", "--watch", "--json"], 2, "--watch"),
    (["index", "--include", "*.md"], 2, "--include"),
    (["ask", "x", "--index", "nope"], 4, "nope"),
    (["ask", "x", "--adapter", "mine"], 5, "mine"),
    (["ask"], 2, "QUESTION"),
    (["ask", "how", "many"], 2, "many"),
    (["ask", "x", "--server", "ftp://localhost", "--adapter", "mine"], 5, "ftp://localhost"),
    (["search", "x", "-k", "0"], 2, "whole number from 1 to 100"),
    (["search", "x", "-k", "many"], 2, "many"),
    (["serch", "x"], 2, "serch"),
    (["indexes", "show", "nope"], 4, "nope"),
    (["indexes", "check", "nope"], 4, "nope"),
    (["indexes", "delete", "nope", "--yes"], 4, "nope"),
    (["eval", "/no/such.jsonl"], None, "/no/such.jsonl"),
    (["chat", "--index", "nope"], 4, "nope"),
    (["--nonsense"], 2, "--nonsense"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), ERRORS, ids=[" ".join(error[0]) for error in ERRORS])
def test_an_error_is_two_lines_and_its_exit_code(arguments: list[str], code: int | None, said: str) -> None:
    done = run(*arguments, stdin="a question\n")
    assert done.stdout == ""
    assert re.fullmatch(r"error: .+\nhint: .+\n", done.stderr), done.stderr
    assert said in done.stderr
    assert done.returncode == code if code is not None else done.returncode in {2, 3}


def test_wrong_settings_are_an_error_of_every_command_and_doctor_explains(home: Path) -> None:
    (home / "config.toml").write_text("modle = 'x'\n", encoding="utf-8")
    done = run("indexes")
    assert done.returncode == 2
    assert "config.toml:1: there is no setting 'modle' (did you mean 'model'?)" in done.stderr
    checkup = run("doctor", "--json")
    assert checkup.returncode == 1
    assert "modle" in one_document(checkup.stdout)["problems"][0]["what"]  # type: ignore[index]


def test_debug_adds_the_traceback_wherever_it_stands() -> None:
    for arguments in (["--debug", "ask", "x"], ["ask", "x", "--debug"], ["ask", "--debug", "x"]):
        done = subprocess.run([sys.executable, "-m", "assistant", *arguments], capture_output=True, text=True, check=False)
        assert "Traceback (most recent call last)" in done.stderr
        assert done.stderr.endswith("error: there is no index yet\nhint: assistant index PATH\n")
        assert done.returncode == 4


def test_deleting_asks_first_and_without_a_terminal_wants_yes(indexed: Path) -> None:
    done = run("indexes", "delete", "default")
    assert (done.returncode, done.stdout) == (2, "")
    assert "hint: add --yes" in done.stderr
    assert run("indexes", "show", "default").returncode == 0


def test_files_are_their_owners_alone(indexed: Path, ready_home: Path) -> None:
    for path in [ready_home / "indexes", *(ready_home / "indexes").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_closed_pipe_is_no_error(indexed: Path) -> None:
    command = f"{sys.executable} -m assistant search club -k 100 | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_that_is_not_utf8_gets_question_marks_and_valid_json(ready_home: Path, docs: Path, encoding: str) -> None:
    (docs / "ü.txt").write_text("Der Schlüssel der Hütte heißt 日本.\n", encoding="utf-8")
    env = {"PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    run("index", str(docs))
    assert run("search", "Schlüssel der Hütte", env=env).returncode == 0
    found = one_document(run("search", "Schlüssel der Hütte", "--json", env=env).stdout)
    assert any("日本" in hit["text"] for hit in found["hits"])  # type: ignore[attr-defined]


def test_chat_reads_one_question_a_line_from_a_pipe(indexed: Path) -> None:
    done = run("chat", stdin="Who founded the club?\n\n   \n/nonsense\n\x1b[31m\nWhere are the spare keys of the boat house?\n")
    assert done.returncode == 0
    assert done.stdout.startswith("The club was founded in 1921 by Ada Brandt. [1]\n\n[1] notes.txt:1\n\n")
    assert "green box" in done.stdout
    assert "error: there is no command '/nonsense'\nhint: " in done.stderr
    assert "> " not in done.stdout


def test_bare_assistant_is_chat_and_an_empty_stdin_is_fine() -> None:
    done = run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_very_long_question_is_answered_or_refused_without_a_traceback(indexed: Path) -> None:
    done = run("chat", stdin="Who founded the club? " * 5_000 + "\n" + "x" * 100_000 + "\n")
    assert done.returncode == 0
    assert done.stdout


def test_interrupting_index_exits_130_and_the_next_run_goes_on(ready_home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(40):
        words = " ".join(f"word{number}x{place}" for place in range(100))
        (folder / f"{number}.txt").write_text(f"Document {number}. {words}\n", encoding="utf-8")
    program = subprocess.Popen(
        [sys.executable, "-m", "assistant", "index", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    database = ready_home / "indexes" / "default" / "index.sqlite"
    deadline = time.monotonic() + 60
    while not database.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert program.returncode == 130, err
    assert "Traceback" not in err
    assert "run the same command again to go on" in out
    assert "40 documents" in run("index", str(folder)).stdout


def test_watch_picks_up_a_change(indexed: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-u", "-m", "assistant", "index", "--watch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout
    assert "nothing changed" in program.stdout.readline() + program.stdout.readline()
    (indexed / "new.md").write_text("The sauna is heated on Fridays.\n", encoding="utf-8")
    assert program.stdout.readline().startswith("default: 4 documents")
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=30)
    assert program.returncode == 130
