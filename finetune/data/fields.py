"""The fields of one record, read one by one; whatever is wrong with them is collected, not raised. Knows no layout."""

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

from finetune.data.reading import Fault, Record
from finetune.data.rows import Place

SHOWN = 40
"""Characters of a value to show in a fault."""
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a record.

    Attributes:
        record: as it stood in the file.
        faults: what was found wrong so far.
    """

    record: Record
    faults: list[Fault] = field(default_factory=list)

    @property
    def place(self) -> Place:
        """Where the record begins."""
        return self.record.place

    @property
    def failed(self) -> bool:
        """Whether no row can be made of the record."""
        return any(fault.is_error for fault in self.faults)

    def get(self, key: str) -> Any:
        """A field as it is; None: it isn't there, or null."""
        return self.record.value.get(key)

    def wrong(self, what: str, hint: str, *, is_error: bool = True) -> None:
        """Note that something is wrong."""
        row = f"row {self.record.number}: " if self.record.number else ""
        self.faults.append(Fault(self.place, row + what, hint, is_error))

    def text(self, key: str) -> str:
        """A field that must be a text that isn't empty."""
        return self.sound(f"'{key}'", self.get(key))

    def sound(self, name: str, value: object) -> str:
        """A value that must be a text that isn't empty, and is whole Unicode."""
        if not isinstance(value, str):
            self.wrong(f"{name} is {shown(value)}, not a text", f"make {name} a text")
        elif not value.strip():
            self.wrong(f"{name} is empty", "fill it, or delete the row")
        elif not value.isascii() and (half := _SURROGATE.search(value)):
            what = f"{name} holds half a character, \\u{ord(half[0]):x}"
            self.wrong(what, "write the file with whole characters: in Python, json.dumps(row, ensure_ascii=False)")
        else:
            return value
        return ""

    def optional(self, key: str) -> str:
        """A field that may be missing or empty, and otherwise must be a text."""
        value = self.get(key)
        return self.text(key) if value is not None and value != "" else ""

    def items(self, key: str) -> list[Any]:
        """A field that must be a list that isn't empty; in a cell of a CSV file, one written as JSON."""
        value = self.get(key)
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                value = self.get(key)
        if not isinstance(value, list):
            self.wrong(f"'{key}' is {shown(value)}, not a list", f"make '{key}' a list")
        elif not value:
            self.wrong(f"'{key}' is empty", "fill it, or delete the row")
        else:
            return value
        return []

    def texts(self, key: str) -> tuple[str, ...]:
        """A field that may be missing, and otherwise must be a list of texts, or one text."""
        if self.get(key) in (None, "", []):
            return ()
        value = self.get(key)
        items = [value] if isinstance(value, str) and not value.lstrip().startswith("[") else self.items(key)
        return tuple(self.sound(f"'{key}'[{at}]", item) for at, item in enumerate(items))

    def number(self, name: str, value: object) -> float:
        """A value that must be a finite number, or a text that is one."""
        try:
            found = math.nan if isinstance(value, bool) or not isinstance(value, int | float | str) else float(value)
        except (ValueError, OverflowError):
            found = math.nan
        if not math.isfinite(found):
            self.wrong(f"{name} is {shown(value)}, not a finite number", "give a number, or delete the row")
            return 0.0
        return found


def shown(value: object) -> str:
    """A value as a fault shows it: short, and what is missing in words."""
    if value is None:
        return "missing"
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
