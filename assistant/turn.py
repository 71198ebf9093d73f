"""One question on its way to an answer: what is known of it so far, and what each stage took."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.prompt import PROMPT_FORMAT
from assistant.records import Answer, Generation, Grounding, Message, Status, Timings, Trace
from indexes.records import Hit
from indexes.search import Vector


class Clock:
    """Milliseconds of the stages of one question."""

    def __init__(self, process_started: float | None) -> None:
        self._asked = time.monotonic()
        self._start_ms = 0.0 if process_started is None else (self._asked - process_started) * 1e3
        self._cache_ms = 0.0
        self._search_ms = 0.0
        self._first_ms: float | None = None

    def _now(self) -> float:
        return (time.monotonic() - self._asked) * 1e3

    def looked_up(self) -> None:
        """The cache has been asked."""
        self._cache_ms = self._now()

    def searched(self) -> None:
        """The passages are known and judged."""
        self._search_ms = self._now()

    def wrote(self) -> None:
        """A piece was written; the first one counts."""
        self._first_ms = self._first_ms if self._first_ms is not None else self._now()

    def timings(self) -> Timings:
        """What it took, in milliseconds."""
        return Timings(
            round(self._start_ms, 1), round(self._cache_ms, 1), round(self._search_ms, 1), self._first_ms, round(self._now(), 1)
        )


@dataclass(slots=True)
class Turn:
    """What is known of a question so far; each hop adds its part.

    Attributes:
        query: what is searched for: self-contained, readable.
        question: as it was asked.
        strict: leave out what no passage supports.
        clock: what its stages take.
        rewritten: the self-contained form of a follow-up.
        vector, hits, grounding: what was found, and whether it answers.
        history: the turns before it as they were prompted.
        messages, kept: the prompt, and how many of the hits found room in it.
        written: what the model wrote.
        status: how it ended.
        general: without documents.
    """

    query: str
    question: str
    strict: bool
    clock: Clock
    rewritten: str | None = None
    vector: Vector | None = None
    hits: tuple[Hit, ...] = ()
    grounding: Grounding | None = None
    history: tuple[Message, ...] = ()
    messages: tuple[Message, ...] = ()
    kept: int = 0
    written: str = ""
    status: Status = "answered"
    general: bool = False

    def trace(self, generation: Generation | None) -> Trace:
        """All of it that explains the answer."""
        return Trace(
            query=self.query,
            hits=self.hits,
            kept=self.kept,
            grounding=self.grounding,
            messages=self.messages,
            written=self.written,
            prompt_format=PROMPT_FORMAT if self.messages and not self.general else None,
            generation=generation if self.messages else None,
        )


def history_of(earlier: Sequence[Answer]) -> tuple[Message, ...]:
    """The conversation that the last turn was part of, as it was rendered then, so that a model finds it in its KV cache."""
    trace = earlier[-1].trace if earlier else None
    if trace is None or not trace.messages or not trace.written.strip():
        return ()
    return (*trace.messages[1:], Message("assistant", trace.written.strip()))
