"""The person of the demo: what she asks, what she would have liked to read, and the rule by which she judges a screen (pure).

She reads what stands on the screen and nothing else. An answer that holds the words she is after is good. Where it doesn't,
she looks at the passage: if that has the words, she types the sentence that she would have liked; if not, a wrong answer is bad,
and a refusal is left alone.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from indexes.evaluation import contains

Verdict = Literal["good", "better", "bad", "nothing"]
REFUSAL = "Not in these documents."
WRONG = "that is not what I asked"


@dataclass(frozen=True, slots=True)
class Question:
    """What she asks.

    Attributes:
        text: as she types it.
        words: any of them shows her that the answer is right.
        better: the sentence that she would have liked; empty: none was written down.
    """

    text: str
    words: tuple[str, ...]
    better: str = ""

    def is_in(self, text: str) -> bool:
        """Whether a text holds the words that she is after."""
        return any(contains(text, words) for words in self.words)


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer on the screen: its text, without what follows it (citations, nearest passages)."""

    text: str

    @property
    def refused(self) -> bool:
        """Whether it says that the documents don't hold it."""
        return self.text.endswith(REFUSAL)


def read_questions(file: Path) -> list[Question]:
    """What she asks, in the order of her file."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [Question(row["question"], tuple(row["words"]), row["better"]) for row in rows]


def held_out(file: Path) -> list[Question]:
    """The test half's questions that the handbook answers: nothing is learned from them."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [Question(row["question"], tuple(row["answers"])) for row in rows if row["split"] == "test" and row["answers"]]


def spread(questions: Sequence[Question], count: int) -> list[Question]:
    """So many of them, evenly over the whole file."""
    return [questions[at * len(questions) // count] for at in range(min(count, len(questions)))]


def read_answer(lines: Sequence[str]) -> Seen:
    """The answer among the lines that appeared after a question was typed."""
    text = " ".join(line.strip() for line in lines)
    return Seen(re.split(r"  (?=\[\d+\] |Nearest passages:)", text.strip())[0].strip())


def look_at(seen: Seen) -> str:
    """What she types to see the whole passage: beside a refusal it is named, a citation shows its own lines alone."""
    return "/sources" if seen.refused else "/why prompt"


def read_passages(lines: Sequence[str]) -> str:
    """The passages' text among what ``look_at`` showed: of a prompt what stands between the rules and the question."""
    text = " ".join(line.strip() for line in lines)
    if "<passage 1>" not in text:
        return text
    return text.partition("<passage 1>")[2].rpartition("</passage 1>")[0]


def judge(question: Question, seen: Seen, passages: str) -> Verdict:
    """What she makes of an answer.

    Args:
        question: what she asked.
        seen: what she read.
        passages: those that she looked at.
    """
    if not seen.refused and question.is_in(seen.text):
        return "good"
    if question.is_in(passages):
        return "better"
    return "nothing" if seen.refused else "bad"


def judgement(verdict: Verdict, question: Question) -> str:
    """What she types; empty: nothing."""
    lines = {"good": "/good", "better": f"/better {question.better}", "bad": f"/bad {WRONG}", "nothing": ""}
    return lines[verdict]


def prefer(question: Question, first: str, second: str) -> str:
    """The key that she presses when two answers stand side by side: the right one, of two right ones the shorter."""
    right = [question.is_in(first), question.is_in(second)]
    if all(right):
        right = [len(first) <= len(second), len(second) < len(first)]
    return "a" if right[0] else "b" if right[1] else "="
