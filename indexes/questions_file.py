"""A file of labelled questions: one JSON object a line. All faults are reported together, with their lines."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.errors import UsageError

KEYS = {"question": str, "sources": list, "answers": list, "unanswerable": bool, "id": str}
EXAMPLE = 'a line is {"question": "…", "sources": ["guide.md"], "answers": ["…"]}'


@dataclass(frozen=True, slots=True)
class LabelledQuestion:
    """A question with what is known of its answer.

    Attributes:
        id: its name in the file, or its line.
        sources: files that hold the answer.
        answers: texts of which one must occur in the answer.
        unanswerable: whether the documents don't hold the answer.
    """

    id: str
    question: str
    sources: tuple[str, ...]
    answers: tuple[str, ...]
    unanswerable: bool


def read_questions(path: Path, *, only: Mapping[str, str] | None = None) -> list[LabelledQuestion]:
    """Read a file of questions.

    Args:
        path: JSON lines, schema in the README.
        only: keep the lines whose further keys have these values, e.g. ``{"split": "test"}``.

    Raises:
        UsageError: the file can't be read, holds no such question, or lines of it are faulty.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it isn't UTF-8 text"
        raise UsageError(f"can't read {str(path)!r}: {why}", hint="name a file with one JSON object a line") from error
    questions, faults = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record, fault = _parse(line)
        if fault:
            faults.append(f"line {number}: {fault}")
        elif all(str(record.get(key)) == value for key, value in (only or {}).items()):
            questions.append(_question(record, number))
    if faults:
        more = f" and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise UsageError(f"{str(path)!r}: {'; '.join(faults[:10])}{more}", hint=EXAMPLE)
    if not questions:
        raise UsageError(f"no questions in {str(path)!r}" + (f" with {dict(only)!r}" if only else ""), hint=EXAMPLE)
    return questions


def _parse(line: str) -> tuple[dict[str, Any], str]:
    try:
        record = json.loads(line)
    except ValueError as error:
        return {}, f"not JSON ({error})"
    if not isinstance(record, dict):
        return {}, "not a JSON object"
    if not isinstance(record.get("question"), str) or not re.search(r"\w", record["question"]):
        return {}, "'question' must be a text with words"
    for key, kind in KEYS.items():
        if key in record and not isinstance(record[key], kind):
            return {}, f"{key!r} is {record[key]!r}; it must be a {kind.__name__}"
    for key in ("sources", "answers"):
        if not all(isinstance(item, str) and item.strip() for item in record.get(key, [])):
            return {}, f"{key!r} must be a list of texts that aren't empty"
    if record.get("unanswerable") and record.get("answers"):
        return {}, "an unanswerable question has no 'answers'"
    return record, ""


def _question(record: dict[str, Any], number: int) -> LabelledQuestion:
    return LabelledQuestion(
        id=record.get("id", f"line {number}"),
        question=record["question"],
        sources=tuple(record.get("sources", ())),
        answers=tuple(record.get("answers", ())),
        unanswerable=record.get("unanswerable", False),
    )
