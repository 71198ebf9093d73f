"""A row → token ids and which of them are learned: through the very code that serves prompts, so that both see the same ids.

A prompt is rendered by ``assistant.models.rendering``; what the model should write is encoded as it would write it: the text,
token by token, then the token that ends a turn. Nothing is ever encoded across that border.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assistant.models.families import Family
from assistant.models.hub import find_model
from assistant.models.pretrained import read_config, read_tokenizer
from assistant.models.rendering import ending_id, own_template, pad_id, recognise, render, render_answer
from assistant.records import Message
from finetune.data.rows import Classified, Conversation, Labelled, Preference, Prompted, Rated, Row, Text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

UNLEARNED = -100
"""The label of a token that isn't learned (PyTorch's ``ignore_index``)."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids, and the labels: the id where it is learned, else ``UNLEARNED``. Both of one length."""

    ids: list[int]
    labels: list[int]


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt with what follows it: the better and the worse answer, each with its end."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    @property
    def length(self) -> int:
        """Of the longer sequence."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


class Formatter:
    """Renders rows for one model.

    Args:
        tokenizer: the model's.
        family: what its kind needs.
        stop_id: the token that ends an answer.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", family: Family, stop_id: int) -> None:
        self.tokenizer, self.family, self.stop_id = tokenizer, family, stop_id

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerBase", family: Family, generation_config: Any = None) -> "Formatter":
        """For a loaded tokenizer.

        Raises:
            ModelError: it has no token that ends a text.
        """
        return cls(tokenizer, family, ending_id(tokenizer, family, generation_config))

    @classmethod
    def open(cls, base: str) -> "Formatter":
        """For a model of which only the tokenizer and the config are read."""
        checkpoint = find_model(base)
        tokenizer, config = read_tokenizer(checkpoint), read_config(checkpoint)
        return cls.of(tokenizer, recognise(config, tokenizer, name=checkpoint.name))

    @property
    def has_template(self) -> bool:
        """Whether the tokenizer brings a chat template."""
        return own_template(self.tokenizer) is not None

    def pad_id(self) -> int:
        """The id to pad with; never the one that ends an answer, unless there is no other."""
        return pad_id(self.tokenizer, self.family, [self.stop_id])

    def padded_tokenizer(self) -> "PreTrainedTokenizerBase":
        """The tokenizer, padding with what doesn't end an answer."""
        padding = self.tokenizer.convert_ids_to_tokens(self.pad_id())
        if self.tokenizer.pad_token != padding:
            self.tokenizer.pad_token = padding
        return self.tokenizer

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """What the model reads before it answers: the ids that the assistant would give it.

        Raises:
            ModelError: a content holds a control token that can't be kept out, or the template fails.
        """
        return render(self.tokenizer, self.family, messages)

    def answer(self, text: str) -> list[int]:
        """What the model should write: the text's ids and the end."""
        return [*self._said(text), self.stop_id]

    def conversation(self, row: Conversation | Text) -> Encoded:
        """A conversation, of which the assistant's turns are learned; or a text, of which all is."""
        if isinstance(row, Text):
            return self.text(row.text)
        *before, last = row.messages
        prompt = self.prompt(before)
        answer = self.answer(last.content)
        labels = [UNLEARNED] * len(prompt)
        for start, end in self._earlier_turns(row.messages, prompt):
            labels[start:end] = prompt[start:end]
        return Encoded(prompt + answer, labels + answer)

    def text(self, text: str) -> Encoded:
        """A plain text from its beginning to its end."""
        ids = list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
        bos = self.tokenizer.bos_token_id
        begins = bos is not None and self.tokenizer("x")["input_ids"][:1] == [bos]
        eos = self.tokenizer.eos_token_id
        ids = [*([bos] if begins else []), *ids, eos if eos is not None else self.stop_id]
        return Encoded(ids, [UNLEARNED, *ids[1:]] if begins else list(ids))

    def pair(self, row: Preference) -> Pair:
        """A prompt with its better and its worse answer."""
        return Pair(self.prompt(row.prompt), self.answer(row.chosen), self.answer(row.rejected))

    def judged(self, row: Labelled | Rated) -> tuple[list[int], list[int]]:
        """A prompt, and the answer that was judged."""
        return self.prompt(row.prompt), self.answer(row.completion)

    def classified(self, row: Classified) -> list[int]:
        """A text, as a classifier reads it."""
        return self.text(row.text).ids

    def prompted(self, row: Prompted) -> list[int]:
        """A prompt to be answered; of a plain text all that could be one: it, without an end."""
        return self.text(row.text).ids[:-1] if row.text else self.prompt(row.prompt)

    def length(self, row: Row) -> int:
        """Tokens of a row, of its longer side."""
        match row:
            case Preference():
                return self.pair(row).length
            case Labelled() | Rated():
                return sum(map(len, self.judged(row)))
            case Classified():
                return len(self.classified(row))
            case Prompted():
                return len(self.prompted(row))
            case _:
                return len(self.conversation(row).ids)

    def _said(self, text: str) -> list[int]:
        return render_answer(self.tokenizer, self.family, text)

    def _earlier_turns(self, messages: Sequence[Message], whole: Sequence[int]) -> Iterable[tuple[int, int]]:
        """Where in a rendered prompt the assistant's earlier turns stand, each with its end.

        A template that leaves something out of earlier turns, or moves it, gives a prompt that doesn't begin with theirs: those
        turns aren't learned.
        """
        for at, message in enumerate(messages[:-1]):
            if message.role != "assistant":
                continue
            before = self.prompt(messages[:at])
            start = len(before)
            end = start + len(self._said(message.content))
            if list(whole[:start]) != before or list(whole[start:end]) != self._said(message.content):
                continue
            yield start, end + (list(whole[end : end + 1]) == [self.stop_id])
