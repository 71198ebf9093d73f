r"""JSON → lines that split and read well: a record per line, or a path and its value per line.

A file of several megabytes is often one line, and its words stand between quotes and escapes (``\u05e9``), where no search
finds them.
"""

import json
from collections.abc import Iterator
from typing import Any

from indexes.decoding import decode
from indexes.formats import Extracted
from indexes.formats.markdown import one_line


def extract(data: bytes) -> Extracted:
    """Read a JSON file; one that isn't quite JSON (comments, several values) is read line by line."""
    text = decode(data)
    value = _parse(text)
    if value is None:
        return extract_lines(data)
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return Extracted(("\n".join(map(_record, value)),))
    return Extracted(("\n".join(_lines("", value)).lstrip("\n"),))


def extract_lines(data: bytes) -> Extracted:
    """Read JSON lines: line n of the text is the record of line n of the file; what is no JSON stays as it is."""
    lines = decode(data).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    values = map(_parse, lines)
    read = [_record(value) if isinstance(value, dict) else line for line, value in zip(lines, values, strict=True)]
    return Extracted(("\n".join(read),), has_lines=True)


def _parse(text: str) -> Any:
    """The value, or None. Numbers stay as they are written: no rounding, and no number is too long."""
    try:
        return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None


def _record(record: dict[str, Any]) -> str:
    return "; ".join(line for line in _lines("", record) if line)


def _lines(path: str, value: Any) -> Iterator[str]:
    """``a.b[0].c: value`` for every value, with an empty line before each object of a list."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _lines(f"{path}.{key}" if path else key, inner)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            if isinstance(inner, dict):
                yield ""
            yield from _lines(f"{path}[{place}]", inner)
    else:
        shown = value if isinstance(value, str) else json.dumps(value)
        if shown:
            yield one_line(f"{path}: {shown}" if path else shown)
