"""One question's way: rewrite → recall → search → ground → write → verify. Knows no model, no index format and no terminal."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from assistant import citations
from assistant.cache.serving import AnswerCache, Served
from assistant.errors import ModelError, UsageError
from assistant.followup.rule import rewrite
from assistant.grounding.calibration import Calibration
from assistant.grounding.ground import ground
from assistant.language.detection import language_notice
from assistant.models import LanguageModel
from assistant.prompt import ABSTENTION, build_general, build_messages, one_line
from assistant.records import Answer, Grounding, Prompt, Retrieved, Rewritten, Trace
from assistant.turn import Clock, Turn, history_of
from indexes.records import Hit
from indexes.search import Searcher, Vector

Stream = Iterator[Rewritten | str | Answer]
"""What a follow-up was made into, then the answer's text in pieces, then the answer."""
Rewrite = Callable[[str, Sequence[Answer]], str | None]
"""A follow-up and the turns before it → the same question, self-contained; None when it already is."""

QUESTION_CHARACTERS = 8_000
"""Of a longer question the beginning and the end are read: what is asked stands there, and the model reads 256 tokens anyway."""


class Assistant:
    """Answers questions from the indexes that a searcher has open.

    Args:
        searcher: finds passages.
        model: writes the answers.
        rewrite: makes a follow-up self-contained, given the turns before it; None when it already is.
        top_k: passages to find.
        calibration: fitted numbers of answerability; by default those that travel with the package.
        cache: past answers that may be given again; None: there are none, and none is kept.
        process_started: ``time.monotonic()`` at which the process began, for ``Timings.start``.
    """

    def __init__(
        self,
        *,
        searcher: Searcher,
        model: LanguageModel,
        rewrite: Rewrite = rewrite,
        top_k: int = 10,
        calibration: Calibration | None = None,
        cache: AnswerCache | None = None,
        process_started: float | None = None,
    ) -> None:
        self.searcher = searcher
        self.model = model
        self.top_k = top_k
        self.cache = cache
        self._rewrite = rewrite
        self._calibration = calibration
        self._process_started = process_started
        self._under_way: Turn | None = None

    def close(self) -> None:
        """Give back what it has open: indexes, model, cache. It answers nothing afterwards."""
        self.searcher.close()
        self.model.close()
        if self.cache is not None:
            self.cache.close()

    @property
    def model_name(self) -> str:
        """The name of the model that writes."""
        return self.model.name

    @property
    def index_names(self) -> tuple[str, ...]:
        """Names of the indexes it answers from."""
        return self.searcher.names

    def ask(self, question: str, *, strict: bool = False, earlier: Sequence[Answer] = (), fresh: bool = False) -> Answer:
        """Answer a question, or abstain: the answer at the end of ``stream``.

        Raises:
            UsageError: the question is empty.
            ModelError: the model can't answer.
        """
        return last_of(self.stream(question, strict=strict, earlier=earlier, fresh=fresh))

    def stream(self, question: str, *, strict: bool = False, earlier: Sequence[Answer] = (), fresh: bool = False) -> Stream:
        """Yield what a follow-up was made into, the answer's text as it is written, then the ``Answer`` with the verified text.

        Ctrl-C while it is written ends it as ``interrupted``, with what was written so far.

        Args:
            question: may lean on the turns before it.
            strict: leave out sentences that no passage supports.
            earlier: the turns before it, oldest first.
            fresh: give no past answer again.
        """
        self._under_way = turn = Turn(readable_question(question), question, strict, Clock(self._process_started))
        turn.rewritten = self._rewrite(turn.query, earlier) if earlier else None
        if turn.rewritten:
            turn.query = turn.rewritten
            yield Rewritten(turn.rewritten)
        turn.history = history_of(earlier) if turn.rewritten else ()
        if self.cache is None:
            yield from self._anew(turn)
        else:
            yield from self._recalled_or_anew(turn, self.cache, fresh=fresh)

    def regenerate(self, answer: Answer, *, strict: bool = False) -> Stream:
        """Answer a question again from the very same passages: nothing is searched, and abstaining is left to the model.

        Raises:
            UsageError: the answer has no passages to start from.
        """
        retrieved = Retrieved.of(answer)
        if retrieved is None:
            raise UsageError("the last answer was not written from passages", hint="ask the question again")
        if answer.status == "abstained" and self.model.budget is None:
            raise UsageError(
                f"the passages were judged not to hold the answer, and {self.model.name!r} has nothing but them",
                hint="ask in other words",
            )
        if retrieved.rewritten:
            yield Rewritten(retrieved.rewritten)
        yield from self.write(retrieved, strict=strict)

    def retrieve(self, question: str, *, earlier: Sequence[Answer] = ()) -> Retrieved:
        """Find the passages for a question, so that several adapters can write from the very same ones.

        Raises:
            UsageError: the question is empty.
        """
        turn = Turn(readable_question(question), question, False, Clock(None))
        turn.rewritten = self._rewrite(turn.query, earlier) if earlier else None
        turn.query = turn.rewritten or turn.query
        grounding = self._ground(turn.query, self._search(turn), turn.hits)
        return Retrieved(
            question, turn.rewritten, turn.query, turn.hits, grounding, history_of(earlier) if turn.rewritten else ()
        )

    def write(self, retrieved: Retrieved, *, strict: bool = False) -> Stream:
        """Answer from passages found before; abstaining is left to the model, and the cache is neither read nor written."""
        self._under_way = turn = Turn(
            retrieved.query, retrieved.question, strict, Clock(None), rewritten=retrieved.rewritten, hits=retrieved.hits,
            grounding=retrieved.grounding, history=retrieved.history,
        )  # fmt: skip
        turn.clock.searched()
        yield from self._write(turn)

    def answer_from(self, retrieved: Retrieved) -> Answer:
        """Answer from passages found before, or abstain as ``ask`` does where they were judged not to hold the answer."""
        if retrieved.grounding is None or retrieved.grounding.answerable:
            return last_of(self.write(retrieved))
        turn = Turn(retrieved.query, retrieved.question, False, Clock(None), hits=retrieved.hits, grounding=retrieved.grounding)
        return self._abstain(turn)

    def general(self, question: str, *, earlier: Sequence[Answer] = ()) -> Stream:
        """Answer without documents. The answer says so (``Answer.general``) and cites nothing.

        Raises:
            ModelError: this model answers from documents alone.
        """
        if self.model.budget is None:
            raise ModelError(
                f"the model {self.model.name!r} answers from documents alone",
                hint="choose one that can talk: --model FOLDER or --server URL",
            )
        self._under_way = turn = Turn(readable_question(question), question, False, Clock(None), general=True)
        turn.clock.searched()
        turn.history = history_of(earlier)
        yield from self._write(turn)

    def cut_short(self, written: str) -> Answer:
        """Check what was written of an answer whose stream broke: a fault of the model, or Ctrl-C between two hands.

        Args:
            written: what the stream gave before it broke.

        Raises:
            RuntimeError: no stream was ever begun.
        """
        if self._under_way is None:
            raise RuntimeError("no answer was under way")
        turn = replace(self._under_way, written=written, status="interrupted")
        return self._verified(turn)

    def _recalled_or_anew(self, turn: "Turn", cache: AnswerCache, *, fresh: bool) -> Stream:
        """Give a past answer again, or write one and keep it. Two processes that are asked the same write it once."""
        served = None if fresh else self._recall(turn, cache)
        if served is None:
            with cache.flight(turn.query, strict=turn.strict) as is_first:
                served = None if fresh or is_first else self._recall(turn, cache)
                for piece in self._anew(turn) if served is None else ():
                    if isinstance(piece, Answer):
                        self._keep(turn, piece, cache)
                    yield piece
        if served is not None:
            yield served.answer.text
            yield self._replayed(turn, served)

    def _recall(self, turn: "Turn", cache: AnswerCache) -> Served | None:
        """A past answer that is right for this question. Searches unless it is the very same question in unchanged indexes."""
        served = cache.exact(turn.query, strict=turn.strict)
        if served is None:
            vector = self._search(turn)
            served = cache.verified(turn.query, vector, turn.hits, strict=turn.strict)
        turn.clock.looked_up()
        return served

    def _keep(self, turn: "Turn", answer: Answer, cache: AnswerCache) -> None:
        """Keep an answer, unless earlier turns had a part in it."""
        if turn.vector is not None and (not turn.history or self.model.budget is None):
            seconds = answer.timings.total / 1e3
            cache.keep(turn.query, turn.vector, turn.hits, answer, strict=turn.strict, seconds=seconds)

    def _replayed(self, turn: "Turn", served: Served) -> Answer:
        trace = Trace(turn.query, turn.hits, len(turn.hits), None) if turn.hits else None
        return replace(
            served.answer,
            question=turn.question,
            rewritten=turn.rewritten,
            cached=True,
            cached_question=served.answer.rewritten or served.answer.question,
            similarity=served.similarity,
            timings=turn.clock.timings(),
            trace=trace,
            cache_entry=served.entry_id,
        )

    def _anew(self, turn: "Turn") -> Stream:
        """Search, judge and write."""
        vector = self._search(turn)
        turn.grounding = self._ground(turn.query, vector, turn.hits)
        turn.clock.searched()
        if turn.grounding.answerable:
            yield from self._write(turn)
        else:
            yield self._abstain(turn)

    def _search(self, turn: "Turn") -> Vector:
        """Find the passages, once."""
        if turn.vector is None:
            turn.vector = self.searcher.embed(turn.query)
            turn.hits = tuple(self.searcher.search(turn.query, k=self.top_k, vector=turn.vector))
        return turn.vector

    def _ground(self, query: str, vector: Vector, hits: Sequence[Hit]) -> Grounding:
        searcher = self.searcher
        return ground(
            query, vector, hits, searcher.embedder, searcher.word_frequency, searcher.passages, calibration=self._calibration
        )

    def _write(self, turn: "Turn") -> Stream:
        """Let the model write, and check what it wrote."""
        self._render(turn)
        evidence = turn.grounding.evidence if turn.grounding else ()
        try:
            for piece in self.model.stream(Prompt(turn.query, turn.hits[: turn.kept], evidence, turn.messages)):
                turn.clock.wrote()
                turn.written += piece
                yield piece
        except KeyboardInterrupt:
            turn.status = "interrupted"
        yield self._verified(turn)

    def _render(self, turn: "Turn") -> None:
        """Put passages and earlier turns into messages, for a model that reads messages."""
        budget = self.model.budget
        turn.kept = len(turn.hits)
        if budget is None:
            return
        if turn.general:
            turn.messages = build_general(turn.query, budget, history=turn.history).messages
            return
        rendered = build_messages(turn.query, turn.hits, budget, history=turn.history)
        turn.messages, turn.kept = rendered.messages, len(rendered.hits)

    def _verified(self, turn: "Turn") -> Answer:
        """Check what was written; an answer of which nothing is supported becomes an abstention."""
        if turn.general:
            return self._answer(turn, citations.Verified(text=turn.written.strip()))
        verified = citations.verify(
            turn.written,
            turn.hits[: turn.kept],
            strict=turn.strict,
            is_stale=self.searcher.is_stale,
            embed=self.searcher.embedder.embed,
        )
        if turn.status == "answered" and not verified.citations:
            return self._abstain(turn)
        return self._answer(turn, verified)

    def _abstain(self, turn: "Turn") -> Answer:
        turn.status = "abstained"
        return self._answer(turn, citations.Verified(text=ABSTENTION))

    def _answer(self, turn: "Turn", verified: citations.Verified) -> Answer:
        abstained = turn.status == "abstained"
        return Answer(
            question=turn.question,
            rewritten=turn.rewritten,
            text=verified.text,
            status=turn.status,
            index=self.index_names,
            model=self.model.name,
            adapter=self.model.adapter,
            citations=tuple(verified.citations),
            nearest=citations.nearest(turn.hits, is_stale=self.searcher.is_stale) if abstained else (),
            sentences=tuple(verified.sentences),
            cached=False,
            cached_question=None,
            similarity=None,
            timings=turn.clock.timings(),
            notices=self._notices(turn),
            general=turn.general,
            trace=turn.trace(self.model.last),
        )

    def _notices(self, turn: "Turn") -> tuple[str, ...]:
        language = language_notice(turn.question, self.searcher.embedder.model_id)
        written = self.model.last if turn.written else None
        cut = f"the answer was cut after {written.tokens} tokens" if written and written.ended == "length" else None
        return tuple(notice for notice in (language, cut) if notice)


def last_of(stream: Stream) -> Answer:
    """The answer at the end of a stream."""
    answer = None
    for answer in stream:  # noqa: B007 - the last one is the answer
        pass
    assert isinstance(answer, Answer)  # noqa: S101 - what a stream promises
    return answer


def readable_question(question: str) -> str:
    """A question without control characters, and with its middle left out if it is longer than can be read.

    Raises:
        UsageError: nothing is left of it.
    """
    text = one_line(question)
    if not any(c.isalnum() for c in text):
        raise UsageError(f"the question {question[:40]!r} has no words", hint='ask in words: assistant ask "How do I …?"')
    if len(text) > QUESTION_CHARACTERS:
        half = QUESTION_CHARACTERS // 2
        return f"{text[:half]} … {text[-half:]}"
    return text
