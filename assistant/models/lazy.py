"""A model in this process that loads its weights when it is first asked to write: an answer from the cache needs none."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from assistant.adapters.identity import BaseIdentity, identify_base
from assistant.adapters.selection import Selection, adapters_identity, label
from assistant.models import Decoding
from assistant.models.loading import Draft, Request, identify, load_draft, make_draft
from assistant.models.local import LocalModel
from assistant.prompt import Budget
from assistant.records import Generation, Prompt, Step


@dataclass(slots=True)
class LazyModel:
    """Stands for a model until it is needed.

    Attributes:
        name: its id or folder.
        request: how to load it.
        choose: its family's way of choosing tokens → the way that is wanted.
        announce: told what goes on while it loads.

    Raises:
        ModelError: as for ``open_local``, but at the first question.
    """

    name: str
    request: Request
    choose: Callable[[Decoding], Decoding]
    announce: Callable[[str], None] = lambda _: None
    selections: Mapping[Step, Selection] = field(default_factory=dict)
    _draft: Draft | None = field(default=None, init=False)
    _identity: Mapping[str, Any] | None = field(default=None, init=False)
    _model: LocalModel | None = field(default=None, init=False)

    @property
    def adapter(self) -> str | None:
        """What the answers' adapters are called."""
        return label(self.selections.get("answer", ()))

    @property
    def identity(self) -> Mapping[str, Any]:
        """As the loaded model's."""
        if self._identity is None:
            known = self.draft
            self._identity = identify(known, self.request.models, self.choose(known.family.decoding))
        return {**self._identity, "adapter": adapters_identity(self.selections)}

    def base(self) -> BaseIdentity:
        """What adapters must belong to; known without the weights."""
        return identify_base(self.draft, self.request.models)

    @property
    def budget(self) -> Budget:
        """The loaded model's."""
        return self.opened().budget

    @property
    def last(self) -> Generation | None:
        """What the last answer took."""
        return self._model.last if self._model else None

    def use_adapters(self, selections: Mapping[Step, Selection], announce: Callable[[str], None] = lambda _: None) -> None:
        """Write with these adapters; those of a model that isn't loaded yet are loaded with it."""
        if self._model:
            self._model.use_adapters(selections, announce)
        self.selections = selections

    def prefetch(self, selections: Mapping[Step, Selection]) -> Future[None] | None:
        """Begin to load adapters; those of a model that isn't loaded yet are loaded with it."""
        return self._model.prefetch(selections) if self._model else None

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """Yield the answer's text, after having loaded the weights if they weren't."""
        yield from self.opened().stream(prompt)

    def close(self) -> None:
        """Let go of the weights, if they were loaded."""
        if self._model:
            self._model.close()

    def check(self) -> None:
        """Find out all that can be known without the weights.

        Raises:
            ModelError: it can't be used.
        """
        self._draft = self.draft

    @property
    def draft(self) -> Draft:
        """What is known of it without its weights."""
        if self._draft is None:
            self._draft = make_draft(self.name, self.request, announce=self.announce)
        return self._draft

    def opened(self) -> LocalModel:
        """The model itself, loaded now if it wasn't."""
        if self._model is None:
            known = self.draft
            loaded = load_draft(known, self.request, announce=self.announce)
            for notice in loaded.notices:
                self.announce(notice)
            model = LocalModel(loaded, decoding=self.choose(known.family.decoding))
            model.use_adapters(self.selections, self.announce)
            self._model = model
        return self._model
