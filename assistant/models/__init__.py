"""What writes the answers: one class for each kind of model, all with the same one method."""

from collections.abc import Iterator
from typing import Protocol

from assistant.prompt import Budget
from assistant.records import Generation, Prompt


class LanguageModel(Protocol):
    """Writes an answer, piece by piece.

    Attributes:
        name: what `ask --json` calls it.
        budget: the room its prompts have; None: it reads ``prompt.evidence`` and needs no messages.
    """

    @property
    def name(self) -> str: ...

    @property
    def budget(self) -> Budget | None: ...

    @property
    def last(self) -> Generation | None:
        """What the last answer took, for a model that counts tokens."""
        ...

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """Yield the answer's text in pieces; ``[n]`` after a sentence cites ``prompt.hits[n - 1]``.

        The consumer may stop at any piece (Ctrl-C, ``close``): nothing but the text yielded so far counts then.
        """
        ...
