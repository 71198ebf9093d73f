"""A question with its passages → the messages that the assistant itself would give a model. The same prompt by construction."""

from collections.abc import Sequence
from typing import Any

from assistant.prompt import Budget, build_messages, one_line
from assistant.records import Message
from finetune.data.fields import Fields, shown
from indexes.records import Hit, Passage, PassageKind

ROOM = Budget(tokens=1, count=lambda _: 0)
"""Room for everything: what is too long for a model is left out when it is trained."""


def read_question(fields: Fields) -> tuple[Message, ...]:
    """The prompt of a question with its passages."""
    question = one_line(fields.text("question"))
    hits = [_hit(fields, at, item) for at, item in enumerate(fields.items("passages"))]
    return () if fields.failed else build_messages(question, hits, ROOM).messages


def _hit(fields: Fields, at: int, item: Any) -> Hit:
    name = f"'passages'[{at}]"
    if not isinstance(item, dict):
        fields.wrong(f"{name} is {shown(item)}", 'a passage is {"text": "…", "source": "guide/setup.md"}')
        item = {"text": "x", "source": "x"}
    text = fields.sound(f"'text' of {name}", item.get("text"))
    source = fields.sound(f"'source' of {name}", item.get("source"))
    given = item.get("heading") or ()
    heading = [*([item["title"]] if item.get("title") else []), *(given if isinstance(given, list | tuple) else [given])]
    _all_texts(fields, name, [*heading, item.get("header") or "x"])
    return passage_hit(at + 1, text, source, tuple(map(str, heading)), str(item.get("header") or ""))


def passage_hit(number: int, text: str, source: str, heading: tuple[str, ...], header: str) -> Hit:
    """A passage of a row as the hit that it was, as far as a prompt shows it."""
    kind: PassageKind = "table" if header else "text"
    passage = Passage(str(number), "", number - 1, text, heading, header, kind, 0, len(text), None, None)
    return Hit(passage, source, source, "", number, 1.0, 1.0, 1.0)


def _all_texts(fields: Fields, name: str, values: Sequence[Any]) -> None:
    for value in values:
        if not isinstance(value, str):
            fields.wrong(f"{name} has {shown(value)} where a title or heading is a text", "give texts")
