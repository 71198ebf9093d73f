"""The values of one question's way to its answer. Frozen, and cheap to import."""

from dataclasses import dataclass, field
from typing import Literal

from indexes.records import Hit

Status = Literal["answered", "abstained", "interrupted"]
Verdict = Literal["supported", "misattributed", "stitched", "not_found"]
Step = Literal["answer", "rewrite", "judge"]
"""What a model may be asked to write for one question."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence (or a table row) of a retrieved passage, weighed against the question.

    Attributes:
        hit: the passage it stands in.
        start, end: its span in ``hit.passage.text``.
        text: how it reads in an answer: the span itself, or a table row rendered with its column names.
        score: how well it answers the question; the best first.
    """

    hit: Hit
    start: int
    end: int
    text: str
    score: float

    @property
    def quote(self) -> str:
        """The words exactly as the document has them."""
        return self.hit.passage.text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Grounding:
    """Can the question be answered from what was found?

    Attributes:
        answerable: whether to answer at all.
        probability: calibrated probability that the passages hold the answer, in [0, 1].
        evidence: the sentences of the passages, best first.
        features: what the probability was computed from, by name.
    """

    answerable: bool
    probability: float
    evidence: tuple[Evidence, ...]
    features: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat, as a template renders it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What a question is answered from, frozen: whoever writes from it is given the same prompt.

    Attributes:
        question: as it was asked.
        rewritten: the self-contained question that was made of it.
        query: what was searched for.
        hits: all that was found, best first.
        grounding: whether and why the question was held to be answerable; None when that wasn't asked.
        history: earlier turns, as they were rendered then.
    """

    question: str
    rewritten: str | None
    query: str
    hits: tuple[Hit, ...]
    grounding: Grounding | None
    history: tuple[Message, ...] = ()

    @classmethod
    def of(cls, answer: "Answer") -> "Retrieved | None":
        """What an answer was written from; None where it was not written from passages."""
        trace = answer.trace
        if trace is None or not trace.hits:
            return None
        return cls(answer.question, answer.rewritten, trace.query, trace.hits, trace.grounding, trace.messages[1:-1])


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a language model is given. The extractive one reads the evidence, a chat model the messages.

    Attributes:
        question: self-contained.
        hits: the passages; marker ``[n]`` in an answer means ``hits[n - 1]``.
        evidence: their sentences, best first.
        messages: system, earlier turns, and the question with its passages; empty for a model without a token budget.
        step: what is to be written; each step may have an adapter of its own.
    """

    question: str
    hits: tuple[Hit, ...]
    evidence: tuple[Evidence, ...] = ()
    messages: tuple[Message, ...] = ()
    step: Step = "answer"


@dataclass(frozen=True, slots=True)
class Generation:
    """What writing an answer took.

    Attributes:
        prompt_tokens: tokens of the prompt.
        reused_tokens: those of them that an earlier turn had left in the KV cache.
        tokens: tokens written.
        drafted, accepted: tokens that prompt lookup guessed, and how many of them the model would have written too.
        first_token_s: seconds to the first token.
        seconds: seconds to the last one.
        ended: the model stopped by itself; it ran into the limit; or it was interrupted.
    """

    prompt_tokens: int
    reused_tokens: int
    tokens: int
    drafted: int
    accepted: int
    first_token_s: float
    seconds: float
    ended: Literal["stop", "length", "interrupted"]

    @property
    def tokens_per_s(self) -> float:
        """Tokens written per second, the first one's wait left out."""
        return (self.tokens - 1) / (self.seconds - self.first_token_s) if self.seconds > self.first_token_s else 0.0


@dataclass(frozen=True, slots=True)
class Trace:
    """How an answer came about: what `/why` shows, `/regenerate` starts from and feedback records.

    Attributes:
        query: what was searched for.
        hits: all that was found, best first; the first ``kept`` of them stood in the prompt.
        grounding: whether and why the question was held to be answerable; None when that wasn't asked.
        messages: what a chat model was given.
        written: what the model wrote, before its check.
        prompt_format: name of the prompt's wording; None without messages.
        generation: what writing took; None for a model that doesn't say.
    """

    query: str
    hits: tuple[Hit, ...]
    kept: int
    grounding: Grounding | None
    messages: tuple[Message, ...] = ()
    written: str = ""
    prompt_format: str | None = None
    generation: Generation | None = None


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a follow-up was made into: told before the answer begins.

    Attributes:
        question: self-contained; what is searched for.
    """

    question: str


@dataclass(frozen=True, slots=True)
class Citation:
    """A quote that stands literally in a document.

    Attributes:
        marker: the number in the answer, from 1, in the order of first use.
        stale: whether the file has changed or gone since it was indexed.
    """

    marker: int
    source: str
    path: str
    page: int | None
    lines: tuple[int, int] | None
    quote: str
    passage_id: str
    stale: bool
    heading: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of an answer and what the check of its citations said."""

    text: str
    verdict: Verdict
    markers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds from the start of the question (``start``: from the start of the process to the question)."""

    start: float
    cache: float
    search: float
    first_token: float | None
    total: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its evidence, or an honest abstention with the nearest passages."""

    question: str
    rewritten: str | None
    text: str
    status: Status
    index: tuple[str, ...]
    model: str
    adapter: str | None
    citations: tuple[Citation, ...]
    nearest: tuple[Citation, ...]
    sentences: tuple[Sentence, ...]
    cached: bool
    cached_question: str | None
    similarity: float | None
    timings: Timings
    notices: tuple[str, ...] = ()
    general: bool = False
    """Answered without documents, on request (`/general`)."""
    cache_entry: int | None = None
    """The row of the cache that it came from."""
    trace: Trace | None = None
