"""What writes the answers: one class for each kind of model, all with the same one method."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from assistant.prompt import Budget
from assistant.records import Generation, Prompt, Step

if TYPE_CHECKING:
    from concurrent.futures import Future

    from assistant.adapters.identity import BaseIdentity
    from assistant.adapters.selection import Selection


@dataclass(frozen=True, slots=True)
class Decoding:
    """How tokens are chosen.

    Attributes:
        max_tokens: the most an answer may take.
        temperature: 0 takes the likeliest token.
        top_p: the least probable tokens beyond this share are never drawn.
        seed: of the drawing.
        lookup: guess ahead from the prompt; at temperature 0 only.
        reuse: keep the KV cache for the next turn.
    """

    max_tokens: int = 400
    temperature: float = 0.0
    top_p: float = 0.95
    seed: int = 0
    lookup: bool = True
    reuse: bool = True


class LanguageModel(Protocol):
    """Writes an answer, piece by piece.

    Attributes:
        name: what `ask --json` calls it.
        budget: the room its prompts have; None: it reads ``prompt.evidence`` and needs no messages.
    """

    @property
    def name(self) -> str: ...

    @property
    def adapter(self) -> str | None:
        """The adapter that it writes with."""
        ...

    def base(self) -> "BaseIdentity":
        """What adapters must belong to.

        Raises:
            ModelError: it takes none.
        """
        ...

    @property
    def selections(self) -> "Mapping[Step, Selection]":
        """The adapters of each step that has any."""
        ...

    def use_adapters(self, selections: "Mapping[Step, Selection]", announce: Callable[[str], None] = ...) -> None:
        """Write with these adapters from now on, each step with its own; none: as the base does.

        Raises:
            ModelError: one can't be used; the present ones stay.
        """
        ...

    def prefetch(self, selections: "Mapping[Step, Selection]") -> "Future[None] | None":
        """Begin to load adapters, while the present ones go on answering; None where there is nothing to wait for."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything of it that shapes an answer, as JSON; ``weak`` where it can't be known for certain."""
        ...

    @property
    def budget(self) -> Budget | None: ...

    @property
    def last(self) -> Generation | None:
        """What the last answer took, for a model that counts tokens."""
        ...

    def close(self) -> None:
        """Give back what it holds: memory, connections. It writes nothing afterwards."""
        ...

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """Yield the answer's text in pieces; ``[n]`` after a sentence cites ``prompt.hits[n - 1]``.

        The consumer may stop at any piece (Ctrl-C, ``close``): nothing but the text yielded so far counts then.
        """
        ...
