"""Llama 3, Gemma 2 or any other causal model of Hugging Face's, in this process: messages → ids → tokens → text."""

import gc
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from assistant.errors import ModelError
from assistant.models import Decoding
from assistant.models.detokenizing import Detokenizer, Thoughts, until
from assistant.models.generation import Decoder
from assistant.models.loading import Loaded, Request, identify, load
from assistant.models.rendering import render, special_tokens
from assistant.prompt import Budget
from assistant.records import Generation, Message, Prompt

LEAST_ROOM = 64
"""Tokens that a prompt needs at the very least."""


class LocalModel:
    """Answers with a model in memory.

    Args:
        loaded: model, tokenizer and what they need.
        decoding: how it chooses its tokens.

    Raises:
        ModelError: context and answer leave no room for a prompt.
    """

    def __init__(self, loaded: Loaded, *, decoding: Decoding | None = None) -> None:
        self.loaded = loaded
        self._decoding = decoding or Decoding()
        self._decoder = Decoder(loaded.model, loaded.stop_ids)
        room = loaded.context - self._decoding.max_tokens
        if room < LEAST_ROOM:
            raise ModelError(
                f"{loaded.name!r} has a context of {loaded.context} tokens, "
                f"of which an answer may take {self._decoding.max_tokens}",
                hint=f"set max_tokens to {max(loaded.context // 4, 1)} (ASSISTANT_MAX_TOKENS)",
            )
        self._budget = Budget(room, self._count, special_tokens(loaded.tokenizer))

    @property
    def name(self) -> str:
        """The model's id or folder."""
        return self.loaded.name

    @property
    def adapter(self) -> str | None:
        """None: adapters are not loaded here yet."""
        return None

    @property
    def identity(self) -> Mapping[str, Any]:
        """The hashes of weights, tokenizer and template, the form they are held in, and how tokens are chosen."""
        return identify(self.loaded, self.loaded.models, self._decoding)

    @property
    def budget(self) -> Budget:
        """The context without what an answer may take."""
        return self._budget

    @property
    def last(self) -> Generation | None:
        """What the last answer took."""
        return self._decoder.last

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """Yield the answer's text token by token."""
        ids = self.render(prompt.messages)
        begun = False
        with closing(self._pieces(ids)) as pieces:
            for piece in until(pieces, self.loaded.family.stop_texts):
                piece = piece if begun else piece.lstrip()
                if piece:
                    begun = True
                    yield piece
        if self._decoder.last and self._decoder.last.ended == "interrupted":  # by a text that ends answers
            self._decoder.last = replace(self._decoder.last, ended="stop")

    def _pieces(self, ids: Sequence[int]) -> Generator[str]:
        text, thoughts = Detokenizer(self._decode), Thoughts()
        with closing(self._decoder.stream(ids, self._decoding)) as tokens:
            for token in tokens:
                yield thoughts.push(text.push(token))
        yield thoughts.push(text.finish()) + thoughts.finish()

    def close(self) -> None:
        """Let go of the weights and the KV caches, so that another model finds room."""
        self._decoder.forget()
        del self.loaded, self._decoder
        gc.collect()  # transformers' modules hold each other

    def render(self, messages: Sequence[Message]) -> list[int]:
        """Messages as the ids that the model reads."""
        return render(self.loaded.tokenizer, self.loaded.family, messages)

    def _count(self, messages: Sequence[Message]) -> int:
        return len(self.render(messages))

    def _decode(self, ids: Sequence[int]) -> str:
        # Special tokens say nothing; a space before a full stop is the model's own and stays.
        text = self.loaded.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)


def open_local(
    model: str,
    request: Request,
    *,
    decoding: Decoding | None = None,
    choose: Callable[[Decoding], Decoding] = lambda decoding: decoding,
    announce: Callable[[str], None] = lambda _: None,
) -> LocalModel:
    """Load a model and make it answer.

    Args:
        model: an id or a folder.
        request: how to load it.
        decoding: how it chooses its tokens; None: as its family does, with what ``choose`` changes of that.
        choose: the family's way → the way that is wanted.
        announce: told of what the user should know.

    Raises:
        ModelError: it can't be loaded, with what mends that.
    """
    loaded = load(model, request, announce=announce)
    for notice in loaded.notices:
        announce(notice)
    return LocalModel(loaded, decoding=decoding or choose(loaded.family.decoding))
