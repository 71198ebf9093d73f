"""The demo's person and the screen that she reads."""

import json
from pathlib import Path

import pytest
from outcome import curve, of_chat
from person import Question, held_out, judge, judgement, look_at, prefer, read_answer, read_passages, read_questions, spread
from screen import Screen

from indexes.evaluation import contains

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples" / "loop" / "person.jsonl"
QUESTIONS = ROOT / "examples" / "handbook-questions.jsonl"
TEA = Question("How much is tea?", ("5.20",), "Tea: 5.20 [1]")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("one\r\ntwo", ["one", "two"]),
        ("It\r\x1b[2KIt is\r\x1b[2KIt is so\r\n> ", ["It is so", ">"]),
        ("a\r\nb\r\n\x1b[2A\x1b[JIt\r\n", ["It", ""]),
        ("> hello\x1b[5D\x1b[Kbye\b\bb", ["> bbe"]),
        ("abcdefghij\r\n", ["abcdefghij", ""]),  # a full line isn't yet the next one
        ("abcdefghijkl", ["abcdefghij", "kl"]),
        ("\x1b[1;32mgreen\x1b[0m \x1b]0;title\x07\x1b[?25l\x1b=x", ["green x"]),
    ],
)
def test_a_screen_shows_what_a_terminal_would(sent: str, shown: list[str]) -> None:
    for pieces in ([sent], list(sent)):  # wherever the bytes are cut
        screen = Screen(10)
        for piece in pieces:
            screen.feed(piece)
        assert screen.lines == shown


def test_an_answer_is_told_from_what_follows_it() -> None:
    assert read_answer(["Tea costs 5.20", "euros. [1]", "", "[1] huts/prices.csv:4", ""]).text == "Tea costs 5.20 euros. [1]"
    refused = read_answer(["", "Not in these documents.", "", "Nearest passages:", "[1] a.md:1", "    Tea, 5.20", ""])
    assert refused.refused
    assert not refused.text.endswith("5.20")


def test_of_a_prompt_she_reads_the_passage_and_not_the_question() -> None:
    prompt = ["--- system", "Answer.", "--- user", "<passage 1>", "Tea is hot.", "</passage 1>", "", "Question: Is it 5.20?"]
    assert read_passages(prompt).strip() == "Tea is hot."
    assert read_passages(["[1] a.md:1", "    Tea is hot."]) == "[1] a.md:1 Tea is hot."
    assert [look_at(read_answer([line])) for line in ("Not in these documents.", "Tea. [1]")] == ["/sources", "/why prompt"]


@pytest.mark.parametrize(
    ("answer", "passage", "types"),
    [
        ("Tea: 5.20 [1]", "", "/good"),
        ("Not in these documents.", "Tea, litre, 5.20", "/better Tea: 5.20 [1]"),
        ("Soup: 7.00 [1]", "Tea, litre, 5.20", "/better Tea: 5.20 [1]"),
        ("Soup: 7.00 [1]", "Soup, 7.00", "/bad that is not what I asked"),
        ("Not in these documents.", "Soup, 7.00", ""),
    ],
)
def test_the_rule(answer: str, passage: str, types: str) -> None:
    assert judgement(judge(TEA, read_answer([answer]), passage), TEA) == types


def test_of_two_answers_she_takes_the_right_one_and_of_two_right_ones_the_shorter() -> None:
    pairs = [("5.20", "7.00"), ("7.00", "5.20"), ("5.20", "5.20 and more"), ("5.20 and more", "5.20"), ("6", "7")]
    assert [prefer(TEA, *pair) for pair in pairs] == ["a", "b", "a", "b", "="]


def test_she_asks_nothing_of_the_test_half_and_would_like_right_answers() -> None:
    hers, others = read_questions(FILE), held_out(QUESTIONS)
    assert len(hers) == len(others) == 90
    assert not {one.text for one in hers} & {one.text for one in others}
    assert all(one.is_in(one.better) and one.better.endswith(" [1]") for one in hers)
    known = {row["id"]: row for row in map(json.loads, QUESTIONS.read_text("utf-8").splitlines())}
    for row in map(json.loads, FILE.read_text("utf-8").splitlines()):
        assert (row["question"], row["words"]) == (known[row["id"]]["question"], known[row["id"]]["answers"])
        assert known[row["id"]]["split"] == "calibration"
        assert any(contains(row["better"], words) for words in row["words"])


def test_a_few_are_taken_evenly() -> None:
    some = spread([Question(str(at), ("x",)) for at in range(10)], 4)
    assert [one.text for one in some] == ["0", "2", "5", "7"]
    assert len(spread(some, 99)) == 4


def test_what_is_shown_of_a_difference_and_of_a_course() -> None:
    row = of_chat("right", [False] * 20 + [True] * 20, [True] * 40)
    assert (row.before, row.after, row.difference, row.n, row.verdict) == (0.5, 1.0, 0.5, 40, "better")
    assert 0 < row.low < 0.5 < row.high
    assert curve("loss", [(1, 2.0), (5, 1.0)]) == "loss: 2.00 █▁ 1.00 (5 steps)"
    assert "1.00 ▁ 1.00" in curve("loss", [(1, 1.0)])
