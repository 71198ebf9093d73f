"""Data files → all their rows and all their faults at once; and the rows that a method learns from, or why there are none.

What is wrong only when rows are seen together is found in ``checking``.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

from assistant.records import Message
from finetune.data.fields import Fields
from finetune.data.layouts import explain_unknown, read_row, recognise
from finetune.data.prompts import prompt_of
from finetune.data.reading import Fault, find_files, read_records
from finetune.data.rows import FOR_METHOD, KIND_OF, Kind, Labelled, Place, Preference, Row
from finetune.errors import DataFault

__all__ = ["Dataset", "Fault", "content", "counted", "data_hash", "load_dataset", "methods_for", "rows_for"]

NAMED = 5
"""Faults that an error names; `finetune check` names all."""
_NAMES = {kind: tuple(field.name for field in fields_of(kind) if field.name != "place") for kind in KIND_OF}


@dataclass(frozen=True, slots=True)
class Dataset:
    """What was read.

    Attributes:
        rows: in the order of the files.
        faults: all that is wrong with single rows and files, in the same order.
        files: those that were read.
        hash: sha256 of the rows, in hex; where they stood makes no difference.
        layouts: how many records had each layout.
    """

    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]
    files: tuple[Path, ...]
    hash: str
    layouts: Counter[str]

    @property
    def kinds(self) -> Counter[Kind]:
        """How many rows there are of each kind."""
        return Counter(KIND_OF[type(row)] for row in self.rows)

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The faults for which nothing should be trained."""
        return tuple(fault for fault in self.faults if fault.is_error)


@dataclass(frozen=True, slots=True)
class _Read:
    """A record that could be read: its layout, what stood in it, and its rows."""

    layout: str
    needs: tuple[str, ...]
    keys: frozenset[str]
    rows: tuple[Row, ...]
    place: Place


def load_dataset(paths: Sequence[Path | str], *, as_rated: bool = False, as_prompts: bool = False) -> Dataset:
    """Read files and folders.

    Args:
        paths: what the user named.
        as_rated: make rows with a score, not pairs, of several rated responses.
        as_prompts: of whatever a record holds take the prompt alone, once; records that hold nothing else will do.
    """
    files, faults = find_files([Path(path) for path in paths])
    rows: list[Row] = []
    layouts: Counter[str] = Counter()
    for file in files:
        read: list[_Read] = []
        for found in read_records(file):
            if isinstance(found, Fault):
                faults.append(found)
                continue
            fields = Fields(found)
            read += _understood(fields, as_rated=as_rated, as_prompts=as_prompts)
            faults += fields.faults
        faults += _strays(read)
        rows += [row for one in read for row in one.rows]
        layouts.update(one.layout for one in read)
    return Dataset(tuple(rows), tuple(faults), tuple(files), data_hash(rows), layouts)


def _understood(fields: Fields, *, as_rated: bool, as_prompts: bool) -> list[_Read]:
    record = fields.record.value
    layout = recognise(record, as_rated=as_rated, as_prompts=as_prompts)
    if layout is None:
        fields.wrong(*explain_unknown(frozenset(key for key, value in record.items() if value is not None)))
        return []
    keys = frozenset(key for key, value in record.items() if value is not None)
    rows = read_row(fields, layout)
    rows = [prompt_of(row, record) for row in rows[:1]] if as_prompts else rows
    return [_Read(layout.name, layout.needs, keys, tuple(rows), fields.place)]


def _strays(read: Sequence[_Read]) -> list[Fault]:
    """Rows of another kind than most of their file: a key that is missing makes another layout of a row."""
    kinds = Counter(type(row) for one in read for row in one.rows)
    if len(kinds) < 2 or methods_for(KIND_OF[kind] for kind in kinds):
        return []
    usual = kinds.most_common(1)[0][0]
    model = next(one for one in read if one.rows and type(one.rows[0]) is usual)
    faults = []
    for one in read:
        if one.rows and type(one.rows[0]) is not usual:
            is_part = set(one.needs) < set(model.needs)
            missing = ", ".join(repr(key) for key in model.needs if key not in one.keys and is_part)
            what = f"is of the layout '{one.layout}', and most rows of the file are of '{model.layout}'"
            faults.append(Fault(one.place, what, f"add {missing}" if missing else "put rows of one kind into a file"))
    return faults


def content(row: Row) -> tuple[Any, ...]:
    """What a row says, without the place where it stood: equal for equal rows."""
    return (KIND_OF[type(row)], *(getattr(row, name) for name in _NAMES[type(row)]))


def data_hash(rows: Iterable[Row]) -> str:
    """The sha256 of rows in their order, in hex."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(content(row), default=_said).encode() + b"\n")
    return digest.hexdigest()


def _said(message: Message) -> tuple[str, str]:
    return message.role, message.content


def methods_for(kinds: Iterable[Kind]) -> tuple[str, ...]:
    """The methods that learn from rows of these kinds."""
    present = set(kinds)
    return tuple(method for method in FOR_METHOD if present and not _unfit(present, method))


def rows_for(dataset: Dataset, method: str) -> tuple[Row, ...]:
    """The rows as a method learns from them; for KTO a pair becomes a good and a bad answer.

    Raises:
        DataFault: there are errors, no rows, or rows that the method doesn't learn from.
    """
    if dataset.errors:
        places = [fault.place for fault in dataset.errors[:NAMED] if fault.place]
        named = " ".join(dict.fromkeys(str(place.file) for place in places))
        first = "; ".join(map(str, dataset.errors[:NAMED]))
        more = f"; and {len(dataset.errors) - NAMED:,} more" if len(dataset.errors) > NAMED else ""
        raise DataFault(f"{counted(len(dataset.errors), 'fault')} in the data: {first}{more}", hint=f"finetune check {named}")
    if not dataset.rows:
        raise DataFault("the data holds no rows", hint="name files that hold rows with --data")
    unfit = _unfit(set(dataset.kinds), method)
    if unfit:
        raise _for_others(dataset, method, unfit)
    if method == "kto":
        return tuple(half for row in dataset.rows for half in (_halves(row) if isinstance(row, Preference) else (row,)))
    return dataset.rows


def _unfit(kinds: set[Kind], method: str) -> set[Kind]:
    """The kinds that a method can't learn from, be it only that it can't from several at once."""
    fit = {*FOR_METHOD[method], "preference"} if method == "kto" else set(FOR_METHOD[method])
    return kinds - fit or (kinds if method == "reward" and len(kinds) > 1 else set())


def _for_others(dataset: Dataset, method: str, unfit: set[Kind]) -> DataFault:
    first = next(row for row in dataset.rows if KIND_OF[type(row)] in unfit)
    kinds = ", ".join(f"{counted(number, 'row')} of the kind {kind}" for kind, number in dataset.kinds.most_common())
    others = methods_for(dataset.kinds)
    hint = f"finetune {others[0]} is for these rows" if others else "keep rows of one kind in the file"
    if len(others) > 1:
        hint = f"these rows are for: {', '.join(others)}"
    return DataFault(f"{method} can't learn from {kinds} (the first at {first.place})", hint=hint)


def _halves(row: Preference) -> tuple[Labelled, Labelled]:
    return (
        Labelled(row.prompt, row.chosen, True, row.place, row.documents),
        Labelled(row.prompt, row.rejected, False, row.place, row.documents),
    )


def counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`, `1,200 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
