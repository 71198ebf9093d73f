"""Texts written by people: the sample handbook, split as the index splits it, and its questions.

Training sees the handbook's documents with questions that are made by rule from its sentences; of its own questions it sees none.
Those of the calibration half tell how far it is.
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
def calibration() -> tuple[tuple[Hit, Asked], ...]:
    """The calibration half's answerable questions with a passage that answers each, and the unit nearest to both."""
    from indexes.evaluation import contains

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
