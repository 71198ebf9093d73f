"""Which rows are kept back to measure on: by prompt, so that no prompt is on both sides (pure)."""

import json
import random
from collections.abc import Sequence

from finetune.data.rows import Classified, Conversation, Prompted, Row, Text


def split_by_prompt(rows: Sequence[Row], share: float, seed: int) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Part rows into those to learn from and those to measure on, so that no prompt is on both sides."""
    prompts = sorted({_prompt_key(row) for row in rows})
    random.Random(seed).shuffle(prompts)  # noqa: S311 - a split, not a secret
    most = min(round(share * len(prompts)), len(prompts) - 1)
    kept = set(prompts[:most])
    return tuple(r for r in rows if _prompt_key(r) not in kept), tuple(r for r in rows if _prompt_key(r) in kept)


def _prompt_key(row: Row) -> str:
    match row:
        case Text() | Classified():
            return row.text
        case Prompted(text=text) if text:
            return text
        case Conversation():
            messages = row.messages[:-1]
        case _:
            messages = row.prompt
    return json.dumps([[message.role, message.content] for message in messages])


def without_prompts_of(rows: Sequence[Row], others: Sequence[Row]) -> tuple[Row, ...]:
    """The rows whose prompt is none of the others'."""
    known = {_prompt_key(row) for row in others}
    return tuple(row for row in rows if _prompt_key(row) not in known)
