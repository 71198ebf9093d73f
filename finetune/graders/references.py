"""Data files → samples whose completion is the row's own answer: what graders are tried on, and prompts with their rows.

Of a pair it is the better answer, of rated or judged answers the good ones; a plain text is parted after its first words. Rows
with faults are left out: ``finetune check`` tells of them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from assistant.records import Message
from finetune.data.fields import Fields
from finetune.data.layouts import read_row, recognise
from finetune.data.reading import Fault, find_files, read_records
from finetune.data.rows import Classified, Conversation, Labelled, Preference, Rated, Row, Text
from finetune.graders.grader import Sample

PROMPT_WORDS = 4
"""Words of a plain text that stand for its prompt."""


def read_references(paths: Sequence[Path | str]) -> tuple[Sample, ...]:
    """All samples of files and folders, in their order; each once."""
    files, _ = find_files([Path(path) for path in paths])
    read = [found for file in files for found in _rows(file)]
    ratings = [row.score for row, _ in read if isinstance(row, Rated)]
    least = median(ratings) if ratings else 0.0
    samples = (sample for row, record in read if (sample := reference(row, record, least=least)))
    return tuple({(sample.prompt, sample.completion): sample for sample in samples}.values())


def _rows(file: Path) -> Iterator[tuple[Row, dict[str, Any]]]:
    for found in read_records(file):
        if isinstance(found, Fault) or (layout := recognise(found.value)) is None:
            continue
        for row in read_row(Fields(found), layout):
            yield row, found.value


def reference(row: Row, record: dict[str, Any], *, least: float = 0.0) -> Sample | None:
    """A row's prompt with its own good answer; None: it has none.

    Args:
        row: as it is trained on.
        record: its fields in the file.
        least: the rating from which on a rated answer is good.
    """
    match row:
        case Conversation(messages=messages):
            return Sample(messages[:-1], messages[-1].content, record)
        case Preference(prompt=prompt, chosen=answer) | Labelled(prompt=prompt, completion=answer, label=True):
            return Sample(prompt, answer, record)
        case Rated(prompt=prompt, completion=answer, score=score) if score >= least:
            return Sample(prompt, answer, record)
        case Text(text=text) | Classified(text=text):
            words = text.split(maxsplit=PROMPT_WORDS)
            at = len(text) - len(words[-1]) if len(words) > PROMPT_WORDS else len(text)
            head = text[:at].rstrip()
            return Sample((Message("user", head),), text[len(head) :], record) if text[len(head) :].strip() else None
        case _:
            return None
