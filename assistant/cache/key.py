"""What a cached answer belongs to: the exact scope, and the exact question (pure).

Two answers may stand in for each other only if everything that shaped them is the same. All of that is hashed into the scope,
which is compared before any question is; nothing in it is compared by likeness.
"""

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

SCHEMA = 1
"""Raised when an answer of the same scope would be another one for a reason that no part of the scope shows."""


@dataclass(frozen=True)
class Scope:
    """Everything besides the question that an answer depends on.

    Attributes:
        model: what the model says of itself: weights, form, adapter, decoding (``LanguageModel.identity``).
        prompt: hash of the prompt's exact wording; ``""`` for a model that reads none.
        retrieval: how passages are found and judged.
        embedder: hash of the embedding model's weights.
        index: names of the indexes, in the order in which they are searched.
        strict: whether unsupported sentences were left out.
    """

    model: Mapping[str, Any]
    prompt: str
    retrieval: Mapping[str, Any]
    embedder: str
    index: Sequence[str]
    strict: bool

    @cached_property
    def key(self) -> str:
        """The hash of all of it, 64 hexadecimal digits."""
        parts = {
            "schema": SCHEMA,
            "model": dict(self.model),
            "prompt": self.prompt,
            "retrieval": dict(self.retrieval),
            "embedder": self.embedder,
            "index": list(self.index),
            "strict": self.strict,
        }
        return digest(json.dumps(parts, sort_keys=True, ensure_ascii=True, allow_nan=False))


def digest(text: str) -> str:
    """SHA-256 of a text, also of one with a file name's bytes that are no text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def normal_question(question: str) -> str:
    """A question as it is compared exactly: compatible forms of characters and white space don't count, all else does."""
    return " ".join(unicodedata.normalize("NFKC", question).split())
