"""What training data becomes: one kind of row for each thing that can be learned, and where in which file it stood.

Every layout (messages, Alpaca, ShareGPT, …) ends in one of these. A prompt is messages, because that is what the assistant gives
to a model: a prompt given as text is one message of the user.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from assistant.records import Message

Kind = Literal["conversation", "text", "preference", "labelled", "rated", "classified", "prompt"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stood.

    Attributes:
        file: as the user named it, or below a folder that the user named.
        line: 1 for the first. Of a JSON array, the line where the row begins; of a Parquet file, the number of the row.
    """

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns whose assistant turns are learned (SFT).

    Attributes:
        messages: user and assistant take turns after an optional system message; the last one is the assistant's.
        place: where it stood.
        documents: ids of the documents that it was made from.
    """

    messages: tuple[Message, ...]
    place: Place
    documents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text, all of which is learned (SFT)."""

    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Preference:
    """Two answers to a prompt, the first of which is better (ORPO, DPO, reward models).

    Attributes:
        prompt: up to the last user message.
        chosen, rejected: texts of the assistant.
        place: where it stood.
        margin: by how much it is better, in the units of the ratings that it was made from; None: nobody said.
        documents: ids of the documents that it was made from.
    """

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    place: Place
    margin: float | None = None
    documents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Labelled:
    """An answer that is good or not (KTO)."""

    prompt: tuple[Message, ...]
    completion: str
    label: bool
    place: Place
    documents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rated:
    """An answer with a score (reward models, by regression)."""

    prompt: tuple[Message, ...]
    completion: str
    score: float
    place: Place


@dataclass(frozen=True, slots=True)
class Classified:
    """A text of a class (reward models as classifiers)."""

    text: str
    label: str
    place: Place


@dataclass(frozen=True, slots=True)
class Prompted:
    """A prompt that the model itself will answer (methods that learn from scores).

    Attributes:
        prompt: up to the last user message; empty where ``text`` is given.
        place: where it stood.
        text: a plain text, whose first tokens are the prompt and go on as they please; empty: it is a prompt of messages.
        documents: ids of the documents that it was made from.
        fields: the whole record, for whatever scores the answer.
    """

    prompt: tuple[Message, ...]
    place: Place
    text: str = ""
    documents: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False)


Row = Conversation | Text | Preference | Labelled | Rated | Classified | Prompted
KIND_OF: dict[type[Row], Kind] = {
    Conversation: "conversation", Text: "text", Preference: "preference", Labelled: "labelled", Rated: "rated",
    Classified: "classified", Prompted: "prompt",
}  # fmt: skip
FOR_METHOD: dict[str, tuple[Kind, ...]] = {
    "sft": ("conversation", "text"),
    "orpo": ("preference",),
    "dpo": ("preference",),
    "kto": ("labelled",),
    "reward": ("preference", "rated", "classified"),
    "ppo": ("prompt",),
    "rloo": ("prompt",),
    "grpo": ("prompt",),
}
"""The kinds of rows that each method learns from."""
