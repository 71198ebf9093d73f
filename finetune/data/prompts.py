"""A row of any kind → its prompt alone, for methods that write the answers themselves (pure)."""

import json
from collections.abc import Mapping
from typing import Any

from finetune.data.rows import Classified, Conversation, Prompted, Row, Text


def prompt_of(row: Row, record: Mapping[str, Any]) -> Prompted:
    """The prompt of a row, with the record that it was made from: scores may ask for what else stood there."""
    fields = json.loads(json.dumps(dict(record), default=str))
    match row:
        case Text() | Classified():
            return Prompted((), row.place, row.text, fields=fields)
        case Conversation():
            prompt = row.messages[:-1]
        case _:
            prompt = row.prompt
    return Prompted(prompt, row.place, documents=getattr(row, "documents", ()), fields=fields)
