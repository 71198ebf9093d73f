"""Which layout a record has, and what rows it becomes (pure). ``LAYOUTS`` is the list of all that is understood.

A layout is told by the keys that it needs; keys beyond those are left alone. On any of them may stand ``system`` (what the
assistant is told first) and ``documents`` (ids of the documents that a row was made from).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from assistant.records import Message
from finetune.data.answers import ranked_rows, scored_rows
from finetune.data.fields import Fields, shown
from finetune.data.passages import read_question
from finetune.data.rows import Classified, Conversation, Labelled, Preference, Prompted, Rated, Row, Text
from finetune.data.turns import begun, is_whole, read_answer, read_prompt, read_sides, read_turns

GOOD = ("true", "1", "yes", "good", "desirable")
BAD = ("false", "0", "no", "bad", "undesirable")
"""What the label of an answer may be, beside true and false; case doesn't matter."""
OTHER_NAMES = {
    "prompt": ("question", "query", "instruction", "input"),
    "completion": ("response", "answer", "output", "reply", "target"),
    "chosen": ("preferred", "accepted", "better", "good"),
    "rejected": ("dispreferred", "worse", "bad"),
    "messages": ("conversation", "dialogue", "dialog", "turns", "chat"),
    "label": ("class", "category", "sentiment"),
    "text": ("content", "sentence", "document", "body"),
    "responses": ("answers", "completions", "outputs"),
}
"""What is often meant by another key: said in the hint of a fault, never assumed."""
TYPO = 0.75
"""How much alike two keys must be for the one to be a slip of the other."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A way to write a row.

    Attributes:
        name: as reports call it.
        needs: keys that tell it.
        read: makes rows of a record.
    """

    name: str
    needs: tuple[str, ...]
    read: Callable[[Fields], list[Row]]


def read_row(fields: Fields, layout: Layout) -> list[Row]:
    """The rows of a record; none where the record is faulty: ``fields.faults`` says how."""
    rows = layout.read(fields)
    return [] if fields.failed else rows


def recognise(record: Mapping[str, Any], *, as_rated: bool = False, as_prompts: bool = False) -> Layout | None:
    """The layout of a record; None: it has none that is known."""
    return _by_keys(frozenset(key for key, value in record.items() if value is not None), as_rated, as_prompts)


@lru_cache(maxsize=1024)
def _by_keys(keys: frozenset[str], as_rated: bool, as_prompts: bool) -> Layout | None:
    known = (RATED if as_rated else ()) + LAYOUTS + (PROMPTS if as_prompts else ())
    return next((layout for layout in known if keys.issuperset(layout.needs)), None)


@lru_cache(maxsize=1024)
def explain_unknown(keys: frozenset[str]) -> tuple[str, str]:
    """What is wrong with keys that make no layout, and what mends it: the layout that is nearest."""
    ranked = sorted(LAYOUTS, key=lambda layout: (-_nearness(layout, keys), len(layout.needs)))
    nearest = ranked[0]
    if not _nearness(nearest, keys):
        named = ", ".join(map(repr, sorted(keys))) or "no keys"
        return f"has {named}, which is no layout", f"give one of: {'; '.join(layout.name for layout in LAYOUTS)}"
    missing = [key for key in nearest.needs if key not in keys]
    instead = {key: _stand_in(key, nearest.needs, keys) for key in missing}
    what = f"has no {' and no '.join(map(repr, missing))}"
    renamed = [f"rename {found!r} to {key!r}" for key, found in instead.items() if found]
    added = [f"add {key!r}" for key, found in instead.items() if not found]
    return what, ", ".join([*renamed, *added])


def _nearness(layout: Layout, keys: frozenset[str]) -> float:
    """The share of the keys it needs that are there, a stand-in counting less."""
    found = [1.0 if key in keys else 0.8 if _stand_in(key, layout.needs, keys) else 0.0 for key in layout.needs]
    return sum(found) / len(found) if len(found) > 1 or found != [0.0] else 0.0


def _stand_in(key: str, needs: tuple[str, ...], keys: frozenset[str]) -> str | None:
    free = sorted(str(each) for each in keys if each not in needs)
    near = get_close_matches(key, free, n=1, cutoff=TYPO)
    others = [name for name in free if name.lower() == key or name.lower() in OTHER_NAMES.get(key, ())]
    return near[0] if near else others[0] if others else None


def _conversation(fields: Fields, key: str) -> list[Row]:
    messages = begun(fields, key, read_turns(fields, key), last="assistant")
    return [Conversation(messages, fields.place, fields.texts("documents"))]


def _labelled_turns(fields: Fields, key: str, label: str) -> list[Row]:
    messages = begun(fields, key, read_turns(fields, key), last="assistant")
    good = _label(fields, label)
    if not messages:
        return []
    return [Labelled(messages[:-1], messages[-1].content, good, fields.place, fields.texts("documents"))]


def _completed(fields: Fields, prompt: tuple[Message, ...], key: str) -> list[Row]:
    answer = read_answer(fields, key, prompt)
    return [Conversation((*prompt, Message("assistant", answer)), fields.place, fields.texts("documents"))]


def _preferred(fields: Fields, prompt: tuple[Message, ...]) -> list[Row]:
    chosen, rejected = (read_answer(fields, key, prompt) for key in ("chosen", "rejected"))
    return _pair(fields, prompt, chosen, rejected)


def _pair(fields: Fields, prompt: tuple[Message, ...], chosen: str, rejected: str) -> list[Row]:
    if not fields.failed and chosen.strip() == rejected.strip():
        fields.wrong("the chosen and the rejected answer are the same", "delete the row, or give two different answers")
    return [Preference(prompt, chosen, rejected, fields.place, _margin(fields), fields.texts("documents"))]


def _margin(fields: Fields) -> float | None:
    if fields.get("margin") not in (None, ""):
        margin = fields.number("'margin'", fields.get("margin"))
    elif fields.get("score_chosen") is not None and fields.get("score_rejected") is not None:
        chosen, rejected = (fields.number(f"'{key}'", fields.get(key)) for key in ("score_chosen", "score_rejected"))
        margin = chosen - rejected
    else:
        return None
    if margin < 0:
        fields.wrong(f"has the margin {margin:g}: the rejected answer is rated higher", "swap the two, or delete the row")
    return margin


def _sides(fields: Fields) -> list[Row]:
    if not (is_whole(fields.get("chosen")) and is_whole(fields.get("rejected"))):
        found = _stand_in("prompt", ("chosen", "rejected"), frozenset(fields.record.value))
        fields.wrong("has no 'prompt'", f"rename {found!r} to 'prompt'" if found else "add 'prompt'")
        return []
    messages, chosen, rejected = read_sides(fields)
    if fields.failed:
        return []
    return _pair(fields, begun(fields, "chosen", messages, last="user"), chosen, rejected)


def _judged(fields: Fields, prompt: tuple[Message, ...], key: str, label: str) -> list[Row]:
    answer, good = read_answer(fields, key, prompt), _label(fields, label)
    return [Labelled(prompt, answer, good, fields.place, fields.texts("documents"))]


def _label(fields: Fields, key: str) -> bool:
    value = fields.get(key)
    text = str(value).strip().lower()
    text = text.removesuffix(".0") if isinstance(value, float) else text
    if text not in GOOD + BAD:
        fields.wrong(f"'{key}' is {shown(value)}, neither good nor bad", f"give true or false ({', '.join(GOOD + BAD)} will do)")
    return text in GOOD


def _rated(fields: Fields, key: str) -> list[Row]:
    prompt = read_prompt(fields)
    score = fields.number(f"'{key}'", fields.get(key))
    return [Rated(prompt, read_answer(fields, "completion", prompt), score, fields.place)]


def _alpaca_prompt(fields: Fields) -> tuple[Message, ...]:
    """Earlier exchanges, then the instruction with its input below."""
    history: list[Message] = []
    for at, exchange in enumerate(fields.items("history") if fields.get("history") not in (None, "", []) else []):
        if not isinstance(exchange, list | tuple) or len(exchange) != 2:
            fields.wrong(f"'history'[{at}] is {shown(exchange)}", "an exchange is [what the user said, what was answered]")
            continue
        said = [fields.sound(f"'history'[{at}][{side}]", text) for side, text in enumerate(exchange)]
        history += [Message("user", said[0]), Message("assistant", said[1])]
    asked = "\n".join(part for part in (fields.text("instruction"), fields.optional("input")) if part)
    return begun(fields, "history", [*history, Message("user", asked)], last="user")


def _turns_prompt(fields: Fields) -> tuple[Message, ...]:
    return begun(fields, "conversations", read_turns(fields, "conversations"), last="user")


def _asked(fields: Fields, prompt: tuple[Message, ...]) -> list[Row]:
    return [Prompted(prompt, fields.place, documents=fields.texts("documents"))]


def _text(fields: Fields) -> list[Row]:
    return [Text(fields.text("text"), fields.place)]


def _classified(fields: Fields) -> list[Row]:
    value = fields.get("label")
    value = int(value) if isinstance(value, float) and value.is_integer() else value
    label = str(value).strip() if isinstance(value, str | int) else ""
    if not label:
        fields.wrong(f"'label' is {shown(value)}, not a class", "give the name or the number of a class")
    return [Classified(fields.text("text"), label, fields.place)]


RATED = (
    Layout("prompt, responses, scores", ("prompt", "responses", "scores"), lambda row: scored_rows(row, as_rated=True)),
    Layout("prompt, responses, ratings", ("prompt", "responses", "ratings"), lambda row: scored_rows(row, as_rated=True)),
)
"""Read as rows with a score where that is asked for, instead of as pairs."""
PROMPTS = (
    Layout("passages, question", ("question", "passages"), lambda row: _asked(row, read_question(row))),
    Layout("prompt", ("prompt",), lambda row: _asked(row, read_prompt(row))),
)
"""Understood only where nothing but the prompt is asked for: elsewhere such a row lacks something."""
LAYOUTS = (
    Layout("passages, chosen, rejected", ("question", "passages", "chosen", "rejected"),
           lambda row: _preferred(row, read_question(row))),
    Layout("passages, answer, label", ("question", "passages", "answer", "label"),
           lambda row: _judged(row, read_question(row), "answer", "label")),
    Layout("passages, answer", ("question", "passages", "answer"), lambda row: _completed(row, read_question(row), "answer")),
    Layout("prompt, chosen, rejected", ("prompt", "chosen", "rejected"), lambda row: _preferred(row, read_prompt(row))),
    Layout("ShareGPT, chosen, rejected", ("conversations", "chosen", "rejected"),
           lambda row: _preferred(row, _turns_prompt(row))),
    Layout("Alpaca, chosen, rejected", ("instruction", "chosen", "rejected"), lambda row: _preferred(row, _alpaca_prompt(row))),
    Layout("chosen, rejected", ("chosen", "rejected"), _sides),
    Layout("chosen_messages, rejected_messages", ("chosen_messages", "rejected_messages"), _sides),
    Layout("prompt, responses, ranking", ("prompt", "responses", "ranking"), ranked_rows),
    Layout("prompt, responses, scores", ("prompt", "responses", "scores"), lambda row: scored_rows(row, as_rated=False)),
    Layout("prompt, responses, ratings", ("prompt", "responses", "ratings"), lambda row: scored_rows(row, as_rated=False)),
    Layout("prompt, completion, label", ("prompt", "completion", "label"),
           lambda row: _judged(row, read_prompt(row), "completion", "label")),
    Layout("prompt, completion, score", ("prompt", "completion", "score"), lambda row: _rated(row, "score")),
    Layout("prompt, completion, rating", ("prompt", "completion", "rating"), lambda row: _rated(row, "rating")),
    Layout("prompt, completion", ("prompt", "completion"), lambda row: _completed(row, read_prompt(row), "completion")),
    Layout("messages, label", ("messages", "label"), lambda row: _labelled_turns(row, "messages", "label")),
    Layout("messages", ("messages",), lambda row: _conversation(row, "messages")),
    Layout("ShareGPT, kto_tag", ("conversations", "kto_tag"), lambda row: _labelled_turns(row, "conversations", "kto_tag")),
    Layout("ShareGPT", ("conversations",), lambda row: _conversation(row, "conversations")),
    Layout("Alpaca, kto_tag", ("instruction", "output", "kto_tag"),
           lambda row: _judged(row, _alpaca_prompt(row), "output", "kto_tag")),
    Layout("Alpaca", ("instruction", "output"), lambda row: _completed(row, _alpaca_prompt(row), "output")),
    Layout("text, label", ("text", "label"), _classified),
    Layout("text", ("text",), _text),
)  # fmt: skip
"""Every layout, the more particular ones first."""
