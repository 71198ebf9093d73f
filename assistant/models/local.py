"""Llama 3, Gemma 2 or any other causal model of Hugging Face's, in this process: messages → ids → tokens → text.

Its adapters change what it computes, never the model itself (`adapters.swapping`).
"""

import gc
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from assistant.adapters.admitting import admit
from assistant.adapters.identity import BaseIdentity, identify_base
from assistant.adapters.selection import Selection, adapters_identity, label, scope
from assistant.adapters.swapping import Adapters
from assistant.errors import ModelError
from assistant.models import Decoding
from assistant.models.detokenizing import Detokenizer, Thoughts, until
from assistant.models.generation import Decoder
from assistant.models.loading import Loaded, Request, identify, load
from assistant.models.rendering import render, special_tokens
from assistant.prompt import Budget
from assistant.records import Generation, Message, Prompt, Step

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
        self.adapters = Adapters(loaded.model)
        self._selections: Mapping[Step, Selection] = MappingProxyType({})
        self._known: Mapping[str, Any] = identify(loaded, loaded.models, self._decoding)
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
        """What the answers' adapters are called, as it can be typed again."""
        return label(self._selections.get("answer", ()))

    def base(self) -> BaseIdentity:
        """What adapters must belong to."""
        return identify_base(self.loaded, self.loaded.models)

    @property
    def selections(self) -> Mapping[Step, Selection]:
        """The adapters of each step that has any."""
        return self._selections

    @property
    def identity(self) -> Mapping[str, Any]:
        """The hashes of weights, tokenizer, template and adapters, the form they are held in, and how tokens are chosen."""
        return {**self._known, "adapter": adapters_identity(self._selections)}

    def use_adapters(self, selections: Mapping[Step, Selection], announce: Callable[[str], None] = lambda _: None) -> None:
        """Write with these adapters from now on: what isn't in memory is loaded, and each is proven at its first load.

        Raises:
            ModelError: one can't be used; the present ones stay.
        """
        for selection in selections.values():
            admit(self.adapters, selection, self.loaded, announce)
        self.adapters.activate(selections.get("answer", ()))
        self._selections = MappingProxyType({step: selection for step, selection in selections.items() if selection})

    def prefetch(self, selections: Mapping[Step, Selection]) -> Future[None] | None:
        """Begin to load adapters in another thread; None where all are in memory."""
        wanted = tuple(one for selection in selections.values() for one in selection)
        return None if self.adapters.is_resident(wanted) else self.adapters.prefetch(wanted)

    @property
    def decoding(self) -> Decoding:
        """How it chooses its tokens now."""
        return self._decoding

    @contextmanager
    def choosing(self, decoding: Decoding) -> Iterator[None]:
        """Choose tokens in another way for a while."""
        before, self._decoding = self._decoding, decoding
        try:
            yield
        finally:
            self._decoding = before

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
        selection = self._selections.get(prompt.step, ())
        self.adapters.activate(selection)
        with closing(self._pieces(ids, scope(selection))) as pieces:
            for piece in until(pieces, self.loaded.family.stop_texts):
                piece = piece if begun else piece.lstrip()
                if piece:
                    begun = True
                    yield piece
        if self._decoder.last and self._decoder.last.ended == "interrupted":  # by a text that ends answers
            self._decoder.last = replace(self._decoder.last, ended="stop")

    def _pieces(self, ids: Sequence[int], scope: str) -> Generator[str]:
        text, thoughts = Detokenizer(self._decode), Thoughts()
        with closing(self._decoder.stream(ids, self._decoding, scope=scope)) as tokens:
            for token in tokens:
                yield thoughts.push(text.push(token))
        yield thoughts.push(text.finish()) + thoughts.finish()

    def close(self) -> None:
        """Let go of the weights, the adapters and the KV caches, so that another model finds room."""
        self._decoder.forget()
        self.adapters.close()
        del self.loaded, self._decoder, self.adapters
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
