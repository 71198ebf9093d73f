"""The records of a JSON text, each with the line where it begins (pure). The standard decoder doesn't say where a value stood."""

import json
import re
from collections.abc import Generator, Iterator
from json import JSONDecodeError
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()
TURN_KEYS = {"role", "from"}
"""A list of objects with one of these is a conversation, not a list of records."""


def is_lines(text: str) -> bool:
    """Whether a text is several JSON objects one after the other, which is JSON lines, whatever the file is called."""
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        return False
    first = text.find("\n", at)
    try:
        json.loads(text[at:first])
    except (ValueError, RecursionError):
        return False
    return first >= 0 and text[_skip(text, first) :][:1] == "{"


def elements(text: str) -> Iterator[tuple[Any, int]]:
    """The records of a text and their lines: of an array its elements, of an object its only list of objects, or the object.

    Raises:
        JSONDecodeError: the text isn't JSON from there on; what stands before it has been given.
    """
    line, counted = 1, 0
    for value, at in _walk(text):
        line += text.count("\n", counted, at)
        counted = at
        yield value, line


def explain_object(value: dict[str, Any]) -> str:
    """What an object is that holds rows in a way that isn't read; empty: it may be a row."""
    lists = {key: inner for key, inner in value.items() if isinstance(inner, list) and inner}
    if len(lists) < 2 or len(lists) < len(value):
        return ""
    named = ", ".join(map(repr, lists))
    if all(isinstance(one, dict) and not one.keys() & TURN_KEYS for inner in lists.values() for one in inner):
        return f"holds several lists of rows: {named}"
    if len({len(inner) for inner in lists.values()}) == 1 and not any(
        isinstance(one, dict) for each in lists.values() for one in each
    ):
        return f"holds columns, not rows: {named}"
    return ""


def _walk(text: str) -> Iterator[tuple[Any, int]]:
    at = _skip(text, 0)
    if at == len(text):
        return
    if text[at] == "[":
        end = yield from _array(text, at)
    else:
        value, end = _DECODER.raw_decode(text, at)
        inner = _only_list(value)
        if inner is None:
            yield value, at
        else:
            yield from _array(text, _begin(text, at, inner))  # it has been decoded once: it ends where it should
    end = _skip(text, end)
    if end < len(text):
        raise JSONDecodeError("more after the end", text, end)


def _array(text: str, at: int) -> Generator[tuple[Any, int], None, int]:
    """The elements of the array that begins at a position; returns where it ends."""
    at = _skip(text, at + 1)
    if text[at : at + 1] == "]":
        return at + 1
    while True:
        value, end = _DECODER.raw_decode(text, at)
        yield value, at
        at = _skip(text, end)
        if text[at : at + 1] == "]":
            return at + 1
        if text[at : at + 1] != ",":
            raise JSONDecodeError("Expecting ',' delimiter", text, at)
        at = _skip(text, at + 1)


def _only_list(value: Any) -> str | None:
    """The key of the only list of records in an object; None: the object is a record itself."""
    lists = [key for key, inner in value.items() if isinstance(inner, list)] if isinstance(value, dict) else []
    if len(lists) != 1 or not value[lists[0]] or not all(isinstance(one, dict) for one in value[lists[0]]):
        return None
    return None if value[lists[0]][0].keys() & TURN_KEYS else lists[0]


def _begin(text: str, at: int, key: str) -> int:
    """Where the value of a key of the object at a position begins. The text is known to be JSON."""
    found = at
    while text[at] != "}":
        name, end = _DECODER.raw_decode(text, _skip(text, at + 1))
        begin = _skip(text, _skip(text, end) + 1)
        found = begin if name == key else found
        at = _skip(text, _DECODER.raw_decode(text, begin)[1])
    return found


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
