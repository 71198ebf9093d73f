"""``metrics.csv``: every figure that a run logged, one a line, ``step,seconds,name,value``.

Long and not wide, so that a new metric needs no new column and any tool can read it. Lines are appended whole: a kill can tear
the last one only, and a torn line is never read, not even where what is left of it looks like a figure.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.run_folder.files import append_lines, whole_lines, write_file

HEADER = b"step,seconds,name,value\n"


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A figure.

    Attributes:
        step: optimiser steps done.
        seconds: since the run began, without the time between an interruption and its resume.
        name: e.g. ``loss``, ``eval_loss``, ``rewards/margins``.
        value: as exact as it was logged.
    """

    step: int
    seconds: float
    name: str
    value: float


def append_rows(file: Path, rows: Sequence[MetricRow]) -> None:
    """Write figures at the end, and the header before the first.

    Raises:
        TrainingError: they can't be written; the file is as before.
    """
    lines = b"".join(map(_line, rows))
    append_lines(file, lines if _has_header(file) else HEADER + lines)


def read_rows(file: Path) -> list[MetricRow]:
    """All figures in the order in which they were logged; lines that are none are left out."""
    return [row for line in whole_lines(file) if (row := _row(line)) is not None]


def rewind_rows(file: Path, step: int) -> list[MetricRow]:
    """Cut all figures after a step, and a torn last line; returns those that are left.

    Raises:
        TrainingError: the file can't be written; it is as before.
    """
    kept = [row for row in read_rows(file) if row.step <= step]
    write_file(file, HEADER + b"".join(map(_line, kept)))
    return kept


def _has_header(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.readline() == HEADER
    except FileNotFoundError:
        return False


def _line(row: MetricRow) -> bytes:
    text = io.StringIO()
    name = " ".join(row.name.split())  # a line break would end the line
    csv.writer(text, lineterminator="\n").writerow((row.step, f"{row.seconds:.3f}", name, repr(row.value)))
    return text.getvalue().encode("utf-8", "replace")


def _row(line: bytes) -> MetricRow | None:
    try:
        ((step, seconds, name, value),) = csv.reader([line.decode("utf-8", "replace")])
        return MetricRow(int(step), float(seconds), name, float(value))
    except (ValueError, csv.Error):
        return None
