"""Texts written by people: the sample handbook, split as the index splits it, and the questions of its calibration half.

Questions on the handbook are either of the calibration half or made by rule. Those made by rule that come near a question of the
test half are left out, which is the only use that is made of that half.
"""

import json
import re
from functools import cache
from pathlib import Path

from documents import Asked, make_hit
from questions import content_of

from assistant.language.sentences import split_units
from indexes.reading import read_document
from indexes.records import Hit
from indexes.splitting import SplitSettings, split

ROOT = Path(__file__).resolve().parents[3]
HANDBOOK = ROOT / "examples" / "handbook"
QUESTIONS = ROOT / "examples" / "handbook-questions.jsonl"
PROSE = ("README.md", "docs")
NEAR = 0.5
"""Share of common content words from which a question made by rule counts as one of the test half."""


def _spans(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\w{1,6}|[^\w\s]", text)]  # about as many as an embedder's tokens


def passages(folder: Path) -> list[Hit]:
    """The passages of a folder's readable files."""
    found = []
    for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
        if path.is_file():
            document = read_document(path, path.relative_to(folder).as_posix() if folder.is_dir() else path.name)
            parts = split(document, document.source, _spans, SplitSettings())
            found += [make_hit(document.source, part.heading, part.text, part.header, part.kind) for part in parts]
    return found


@cache
def handbook() -> tuple[Hit, ...]:
    return tuple(passages(HANDBOOK))


@cache
def own_prose() -> tuple[Hit, ...]:
    """The project's own documentation."""
    return tuple(hit for name in PROSE for hit in passages(ROOT / name))


@cache
def questions(split_name: str) -> tuple[dict, ...]:
    lines = QUESTIONS.read_text("utf-8").splitlines()
    return tuple(record for line in lines if (record := json.loads(line))["split"] == split_name)


@cache
def _test_words() -> tuple[frozenset[str], ...]:
    return tuple(frozenset(content_of(record["question"])) for record in questions("test"))


def is_near_test(question: str) -> bool:
    """Whether a question has too many words in common with one of the test half."""
    words = set(content_of(question))
    return any(len(words & other) >= NEAR * min(len(words), len(other)) and len(words & other) > 1 for other in _test_words())


@cache
def calibration() -> tuple[tuple[Hit, Asked], ...]:
    """The calibration half's answerable questions with a passage that answers each, and the unit nearest to both."""
    from assistant.evaluation import contains  # it imports the whole assistant

    found = []
    for record in questions("calibration"):
        candidates = [
            (len(set(content_of(unit.text)) & set(content_of(record["question"]))), -len(unit.text), hit, unit.text)
            for hit in handbook()
            if hit.source in record["sources"]
            for unit in split_units(hit.passage)
            if any(contains(unit.text, answer) for answer in record["answers"])
        ]
        if candidates:
            _, _, hit, text = max(candidates, key=lambda each: each[:2])
            found.append((hit, Asked(record["question"], text)))
    return tuple(found)


@cache
def unanswerable() -> tuple[str, ...]:
    """The calibration half's unanswerable questions."""
    return tuple(record["question"] for record in questions("calibration") if record["unanswerable"])
