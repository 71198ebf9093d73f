"""One question's way: search → ground → write → verify. Knows no model, no index format and no terminal."""

import time
from collections.abc import Iterator, Sequence

from assistant import citations
from assistant.grounding import ground
from assistant.language import language_notice
from assistant.models import LanguageModel
from assistant.records import Answer, Grounding, Prompt, Status, Timings
from indexes.errors import UsageError
from indexes.records import Hit
from indexes.search import Searcher, Vector

NOT_IN_DOCUMENTS = "Not in these documents."
QUESTION_CHARACTERS = 8_000
"""Of a longer question the beginning and the end are read: what is asked stands there, and the model reads 256 tokens anyway."""


class Assistant:
    """Answers questions from the indexes that a searcher has open.

    Args:
        searcher: finds passages.
        model: writes the answers.
        top_k: passages given to the model.
        process_started: ``time.monotonic()`` at which the process began, for ``Timings.start``.
    """

    def __init__(
        self, *, searcher: Searcher, model: LanguageModel, top_k: int = 10, process_started: float | None = None
    ) -> None:
        self.searcher = searcher
        self.model = model
        self.top_k = top_k
        self._process_started = process_started

    @property
    def model_name(self) -> str:
        """The name of the model that writes."""
        return self.model.name

    @property
    def index_names(self) -> tuple[str, ...]:
        """Names of the indexes it answers from."""
        return self.searcher.names

    def ask(self, question: str, *, strict: bool = False) -> Answer:
        """Answer a question, or abstain.

        Raises:
            UsageError: the question is empty.
        """
        answer = None
        for answer in self.stream(question, strict=strict):  # noqa: B007 - the last one is the answer
            pass
        assert isinstance(answer, Answer)  # noqa: S101 - what stream promises
        return answer

    def stream(self, question: str, *, strict: bool = False) -> Iterator[str | Answer]:
        """Yield the answer's text as it is written, then the ``Answer``, whose text is the verified one.

        Ctrl-C while it is written ends it as ``interrupted``, with what was written so far.
        """
        clock = _Clock(self._process_started)
        query = readable_question(question)
        vector = self.searcher.embed(query)
        hits = self.searcher.search(query, k=self.top_k, vector=vector)
        grounding = self._ground(query, vector, hits)
        clock.searched()
        if not grounding.answerable:
            yield self._answer(question, hits, NOT_IN_DOCUMENTS, "abstained", clock, strict=strict)
            return
        written = ""
        status: Status = "answered"
        try:
            for piece in self.model.stream(Prompt(query, tuple(hits), grounding.evidence)):
                clock.wrote()
                written += piece
                yield piece
        except KeyboardInterrupt:
            status = "interrupted"
        yield self._answer(question, hits, written, status, clock, strict=strict)

    def _ground(self, query: str, vector: Vector, hits: Sequence[Hit]) -> Grounding:
        searcher = self.searcher
        return ground(query, vector, hits, searcher.embedder, searcher.word_frequency, searcher.passages)

    def _answer(self, question: str, hits: Sequence[Hit], text: str, status: Status, clock: "_Clock", *, strict: bool) -> Answer:
        """Check what was written; an answer of which nothing is supported becomes an abstention."""
        verified = citations.Verified(text=text)
        if status != "abstained":
            verified = citations.verify(text, hits, strict=strict, is_stale=self.searcher.is_stale)
            if status == "answered" and not verified.citations:
                status, verified = "abstained", citations.Verified(text=NOT_IN_DOCUMENTS)
        nearest = citations.nearest(hits, is_stale=self.searcher.is_stale) if status == "abstained" else ()
        return Answer(
            question=question,
            rewritten=None,
            text=verified.text,
            status=status,
            index=self.index_names,
            model=self.model.name,
            adapter=None,
            citations=tuple(verified.citations),
            nearest=nearest,
            sentences=tuple(verified.sentences),
            cached=False,
            cached_question=None,
            similarity=None,
            timings=clock.timings(),
            notices=tuple(notice for notice in (language_notice(question, self.searcher.embedder.model_id),) if notice),
        )


def readable_question(question: str) -> str:
    """A question without control characters, and with its middle left out if it is longer than can be read.

    Raises:
        UsageError: nothing is left of it.
    """
    text = " ".join("".join(c if c.isprintable() else " " for c in question).split())
    if not any(c.isalnum() for c in text):
        raise UsageError(f"the question {question[:40]!r} has no words", hint='ask in words: assistant ask "How do I …?"')
    if len(text) > QUESTION_CHARACTERS:
        half = QUESTION_CHARACTERS // 2
        return f"{text[:half]} … {text[-half:]}"
    return text


class _Clock:
    """Milliseconds of the stages of one question."""

    def __init__(self, process_started: float | None) -> None:
        self._asked = time.monotonic()
        self._start_ms = 0.0 if process_started is None else (self._asked - process_started) * 1e3
        self._search_ms = 0.0
        self._first_ms: float | None = None

    def _now(self) -> float:
        return (time.monotonic() - self._asked) * 1e3

    def searched(self) -> None:
        self._search_ms = self._now()

    def wrote(self) -> None:
        self._first_ms = self._first_ms if self._first_ms is not None else self._now()

    def timings(self) -> Timings:
        return Timings(round(self._start_ms, 1), 0.0, round(self._search_ms, 1), self._first_ms, round(self._now(), 1))
