"""Past answers as a user meets them: said, listed, cleared, refused; in `ask`, in the chat and in `assistant cache`."""

from pathlib import Path

import pytest
from test_commands import one_document, run

ASKED = "Who founded the club?"


@pytest.fixture
def asked(ready_home: Path, tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "club.md").write_text("# Club\n\nThe club was founded in 1921 by Ada Brandt.\n", encoding="utf-8")
    assert run("index", str(docs)).returncode == 0
    assert run("ask", ASKED).returncode == 0
    return docs


def answer(*flags: str) -> dict[str, object]:
    return one_document(run("ask", ASKED, "--json", *flags).stdout)


def test_an_answer_given_again_says_so(asked: Path) -> None:
    again = run("ask", ASKED)
    assert "Ada Brandt. [1]\n\n[1] club.md:3\n" in again.stdout
    assert again.stderr.startswith("cached: the same question was answered before\n")
    document = answer()
    assert (document["cached"], document["cached_question"], document["similarity"]) == (True, ASKED, 1.0)


@pytest.mark.parametrize("flag", ["--fresh", "--no-cache"])
def test_nothing_old_where_nothing_old_is_wanted(asked: Path, flag: str) -> None:
    document = answer(flag)
    assert (document["cached"], document["cached_question"], document["similarity"]) == (False, None, None)


def test_an_edit_ends_it(asked: Path) -> None:
    (asked / "club.md").write_text("# Club\n\nThe club was founded in 1921 by Ida Brandt.\n", encoding="utf-8")
    assert run("index").returncode == 0
    document = answer()
    assert document["cached"] is False
    assert "Ida" in str(document["answer"])


def test_the_chat_asks_afresh_and_hears_what_is_wrong(asked: Path) -> None:
    done = run("chat", stdin=f"{ASKED}\n/why\n/wrong it was Eva\n{ASKED}\n/wrong\n/fresh\n")
    assert done.stderr.count("cached: the same question was answered before") == 1
    assert "cached      an earlier answer to: Who founded the club?" in done.stdout
    assert "noted: that answer isn't given again" in done.stderr
    assert "error: this answer was written for this very question" in done.stderr
    (row,) = one_document(run("feedback", "list", "--json").stdout)["feedback"]  # type: ignore[misc]
    assert (row["kind"], row["text"]) == ("wrong_cache", "it was Eva")


def test_what_is_kept_is_shown_and_deleted(asked: Path) -> None:
    run("ask", ASKED)
    stats = one_document(run("cache", "--json").stdout)
    assert (stats["entries"], stats["hits"], stats["misses"], stats["audited"], stats["wrong_at_most"]) == (1, 1, 1, 0, None)
    assert "no bound yet" in run("cache").stdout
    (entry,) = one_document(run("cache", "list", "--json").stdout)["entries"]  # type: ignore[misc]
    assert (entry["question"], entry["sources"], entry["hits"]) == (ASKED, ["club.md"], 1)
    assert run("cache", "clear").stderr.endswith("hint: add --yes\n")
    assert run("cache", "clear", "--source", "other.md", "--yes").stdout == "deleted 0 answers\n"
    assert run("cache", "clear", "--source", "club.md", "--yes").stdout == "deleted 1 answer\n"
    assert run("cache", "list").stderr == "No answer is kept yet.\n"


def test_before_anything_was_asked(ready_home: Path) -> None:
    assert run("cache").stdout.startswith("0 answers, 0.0 MB\n")
    assert run("cache", "clear", "--yes").stderr == "There is nothing to delete.\n"
    assert not (ready_home / "cache.sqlite").exists()
