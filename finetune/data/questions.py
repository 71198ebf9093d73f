"""A file of questions with their sources and answers, as `assistant eval` reads it: one JSON object a line.

All faults are reported together, with their lines. `finetune` may not import the assistant's own reader (DESIGN §2).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.errors import UsageError

_KEYS = {"question": str, "sources": list, "answers": list, "unanswerable": bool, "id": str}
_EXAMPLE = 'a line is {"question": "…", "sources": ["guide.md"], "answers": ["…"]}'


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with what is known of its answer, as `assistant eval` reads it.

    Attributes:
        id: its name in the file, or its line.
        question: as serving reads it: on one line.
        sources: the files that hold the answer, all of them.
        answers: texts of which one must occur in the answer.
        unanswerable: whether the documents don't hold the answer.
    """

    id: str
    question: str
    sources: tuple[str, ...]
    answers: tuple[str, ...]
    unanswerable: bool


def read_asked(path: Path, *, only: Mapping[str, str] | None = None) -> list[Asked]:
    """Read a file of questions, one JSON object a line.

    Args:
        path: the file.
        only: keep the lines whose further keys have these values, e.g. ``{"split": "calibration"}``.

    Raises:
        UsageError: the file can't be read, holds no such question, or lines of it are faulty: all of them are named.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it isn't UTF-8 text"
        raise UsageError(f"can't read {str(path)!r}: {why}", hint="name a file with one JSON object a line") from error
    asked, faults = [], []
    for number, line in enumerate(lines, 1):
        record = _parse(line) if line.strip() else {}
        if isinstance(record, str):
            faults.append(f"line {number}: {record}")
        elif record and all(str(record.get(key)) == value for key, value in (only or {}).items()):
            asked.append(_asked(record, number))
    if faults:
        more = f" and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise UsageError(f"{str(path)!r}: {'; '.join(faults[:10])}{more}", hint=_EXAMPLE)
    if not asked:
        raise UsageError(f"no questions in {str(path)!r}" + (f" with {dict(only)!r}" if only else ""), hint=_EXAMPLE)
    return asked


def _parse(line: str) -> dict[str, Any] | str:
    """A line's object, or what is wrong with it."""
    try:
        record = json.loads(line)
    except ValueError as error:
        return f"not JSON ({error})"
    if not isinstance(record, dict):
        return "not a JSON object"
    if not isinstance(record.get("question"), str) or not re.search(r"\w", record["question"]):
        return "'question' must be a text with words"
    for key, kind in _KEYS.items():
        if key in record and not isinstance(record[key], kind):
            return f"{key!r} is {record[key]!r}; it must be a {kind.__name__}"
    for key in ("sources", "answers"):
        if not all(isinstance(item, str) and item.strip() for item in record.get(key, [])):
            return f"{key!r} must be a list of texts that aren't empty"
    return "an unanswerable question has no 'answers'" if record.get("unanswerable") and record.get("answers") else record


def _asked(record: dict[str, Any], number: int) -> Asked:
    return Asked(
        id=record.get("id", f"line {number}"),
        question=as_asked(record["question"]),
        sources=tuple(record.get("sources", ())),
        answers=tuple(record.get("answers", ())),
        unanswerable=record.get("unanswerable", False),
    )


def as_asked(question: str) -> str:
    """A question as serving reads it before it searches and prompts: on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in question).split())
