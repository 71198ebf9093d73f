"""A model in this process that loads its weights when it is first asked to write: an answer from the cache needs none."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from assistant.models import Decoding
from assistant.models.loading import Draft, Request, identify, load_draft, make_draft
from assistant.models.local import LocalModel
from assistant.prompt import Budget
from assistant.records import Generation, Prompt


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
    _draft: Draft | None = field(default=None, init=False)
    _model: LocalModel | None = field(default=None, init=False)

    @property
    def adapter(self) -> str | None:
        """None: adapters are not loaded here yet."""
        return None

    @property
    def identity(self) -> Mapping[str, Any]:
        """As the loaded model's."""
        known = self._known()
        return identify(known, self.request.models, self.choose(known.family.decoding))

    @property
    def budget(self) -> Budget:
        """The loaded model's."""
        return self._opened().budget

    @property
    def last(self) -> Generation | None:
        """What the last answer took."""
        return self._model.last if self._model else None

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """Yield the answer's text, after having loaded the weights if they weren't."""
        yield from self._opened().stream(prompt)

    def close(self) -> None:
        """Let go of the weights, if they were loaded."""
        if self._model:
            self._model.close()

    def _known(self) -> Draft:
        if self._draft is None:
            self._draft = make_draft(self.name, self.request, announce=self.announce)
        return self._draft

    def _opened(self) -> LocalModel:
        if self._model is None:
            known = self._known()
            loaded = load_draft(known, self.request, announce=self.announce)
            for notice in loaded.notices:
                self.announce(notice)
            self._model = LocalModel(loaded, decoding=self.choose(known.family.decoding))
        return self._model
