"""`assistant history` and `assistant feedback`: what was said, shown, taken along and deleted."""

import json
from pathlib import Path

import pytest
from test_commands import one_document, run

SAID = "Who founded the club?\n/bad in what year?\nWhere do the spare keys lie?\n/good\n"


@pytest.fixture
def talked(ready_home: Path, tmp_path: Path) -> str:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "club.md").write_text("# Club\n\nThe club was founded in 1921 by Ada Brandt.\n", encoding="utf-8")
    (docs / "keys.md").write_text("The spare keys of the boat house lie in the green box.\n", encoding="utf-8")
    assert run("index", str(docs)).returncode == 0
    assert run("chat", stdin=SAID).returncode == 0
    (session,) = one_document(run("history", "list", "--json").stdout)["sessions"]  # type: ignore[misc]
    return str(session["id"])


def test_a_conversation_is_shown_as_it_was(talked: str) -> None:
    shown = run("history", "show", talked[:2]).stdout
    assert "\n> Who founded the club?\nThe club was founded in 1921 by Ada Brandt. [1]\n\n[1] club.md:3\n\n> Where" in shown
    document = one_document(run("history", "show", talked, "--json").stdout)
    assert {key for key in document if key != "turns"} == {
        "schema", "id", "title", "created", "updated", "index", "model", "adapter", "turn_count",
    }  # fmt: skip
    first = document["turns"][0]  # type: ignore[index]
    assert (first["question"], first["status"], first["citations"][0]["source"]) == (
        "Who founded the club?",
        "answered",
        "club.md",
    )


def test_a_named_conversation_goes_on(talked: str) -> None:
    done = run("chat", "--session", talked[:3], stdin="/why\nWho founded the club?\n")
    assert done.stdout.startswith("searched    Where do the spare keys lie?\n")
    assert done.stderr.startswith(f"resumed {talked}: Who founded the club? (2 turns, ")
    document = one_document(run("history", "show", talked, "--json").stdout)
    assert document["turn_count"] == 3


def test_an_unknown_one_is_an_error_and_resuming_nothing_is_not(talked: str) -> None:
    done = run("chat", "--session", "zzzz", stdin="x\n")
    assert (done.returncode, done.stderr) == (2, "error: there is no conversation 'zzzz'\nhint: `assistant history` lists them\n")
    assert run("history", "purge", "--yes").stdout == "deleted all conversations\n"
    done = run("chat", "--resume", stdin="Who founded the club?\n")
    assert done.stderr.startswith("there is no conversation to go on with yet: this is the first one\n")
    assert "club.md:3" in done.stdout


def test_deleting_needs_a_yes(talked: str, ready_home: Path) -> None:
    for command in (("history", "delete", talked), ("history", "purge"), ("feedback", "purge")):
        done = run(*command)
        assert done.returncode == 2
        assert done.stderr.endswith("hint: add --yes\n")
    assert run("history", "delete", talked, "--yes").stdout == f"deleted the conversation {talked}\n"
    assert run("feedback", "purge", "--yes").stdout == "deleted all feedback\n"
    assert run("history").stderr == "No conversation is kept yet. Begin one with: assistant chat\n"
    assert not (ready_home / "feedback.jsonl").exists()


def test_feedback_is_listed_and_exported(talked: str, tmp_path: Path) -> None:
    document = one_document(run("feedback", "--json").stdout)
    assert [(row["kind"], row["text"]) for row in document["feedback"]] == [("bad", "in what year?"), ("good", None)]  # type: ignore[attr-defined]
    listed = run("feedback").stdout
    assert "  bad  extractive\n  > Who founded the club?\n" in listed
    assert "\n  why: in what year?\n" in listed
    target = tmp_path / "out.jsonl"
    assert run("feedback", "export", str(target)).stdout == f"wrote 2 judgements into {target}\n"
    assert [json.loads(line) for line in target.read_text().splitlines()] == document["feedback"]
    done = run("feedback", "export", str(target))
    assert (done.returncode, done.stderr.splitlines()[1]) == (2, "hint: add --yes")


def test_without_history_nothing_is_kept_but_feedback(ready_home: Path, talked: str) -> None:
    assert run("history", "purge", "--yes").returncode == 0
    (ready_home / "feedback.jsonl").unlink()
    (ready_home / "conversations.sqlite").unlink()
    done = run("chat", stdin=SAID, env={"ASSISTANT_HISTORY": "false"})
    assert "club.md:3" in done.stdout
    assert not (ready_home / "conversations.sqlite").exists()
    assert len((ready_home / "feedback.jsonl").read_text().splitlines()) == 2
