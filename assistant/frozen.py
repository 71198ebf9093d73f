"""An answer ↔ JSON, whole: with the passages it was written from, its prompt and its figures (pure).

Read back, it equals what was written: `/why`, `/regenerate` and feedback work on a resumed conversation as on a fresh one. Fields
that a later version adds are left out by this one, and those it lacks get their defaults.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from assistant.records import Answer, Evidence
from indexes.records import Hit


def freeze(answer: Answer) -> str:
    """Write an answer as JSON in ASCII: file names may hold bytes that are no text, which nothing else carries."""
    hits = answer.trace.hits if answer.trace else ()
    return json.dumps(_plain(answer, {hit: number for number, hit in enumerate(hits)}), default=_number)


def thaw(text: str) -> Answer:
    """Read an answer back.

    Raises:
        ValueError: the text is not one that ``freeze`` wrote.
    """
    try:
        document = json.loads(text)
        if trace := document["trace"]:
            hits = trace["hits"] = [_value(Hit, hit) for hit in trace["hits"]]
            for evidence in (trace.get("grounding") or {}).get("evidence", ()):
                if isinstance(evidence["hit"], int):
                    evidence["hit"] = hits[evidence["hit"]]
        answer: Answer = _value(Answer, document)
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"not a frozen answer: {error!r}") from error
    return answer


def _plain(value: Any, places: Mapping[Hit, int]) -> Any:
    """Dataclasses as objects. Evidence names its passage by its place among the hits: the texts are written once."""
    if isinstance(value, Evidence) and value.hit in places:
        return {**{item.name: getattr(value, item.name) for item in fields(value)}, "hit": places[value.hit]}
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name), places) for item in fields(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(item, places) for item in value]
    return value


def _number(value: Any) -> Any:
    return value.item()  # numpy's float32


@lru_cache(maxsize=32)
def _kinds(record: type) -> dict[str, Any]:
    return get_type_hints(record)


def _value(kind: Any, value: Any) -> Any:
    """Plain JSON → what a field is annotated as."""
    if isinstance(kind, type) and is_dataclass(kind):
        if isinstance(value, kind):
            return value
        kinds = _kinds(kind)
        return kind(**{item.name: _value(kinds[item.name], value[item.name]) for item in fields(kind) if item.name in value})
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else _value(next(one for one in inner if one is not NoneType), value)
    if origin is tuple:
        each = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_value(one, item) for one, item in zip(each, value, strict=True))
    if origin is dict:
        return {key: _value(inner[1], item) for key, item in value.items()}
    if (origin is Literal and value not in inner) or (kind in (str, int, bool) and not isinstance(value, kind)):
        raise TypeError(f"{value!r} is not of {kind}")
    return float(value) if kind is float else value
