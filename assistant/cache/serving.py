"""The cache as the assistant uses it: look a question up, keep an answer, and never be the reason why one fails.

The ladder: exactly this question in an unchanged index (nothing is embedded or searched); after one search, exactly this question
in a changed index, or one that asks for the same. Whatever goes wrong is a miss. A file that can't be used is said once, and the
assistant answers without it.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from assistant.cache import evidence, support
from assistant.cache.admission import is_self_contained, is_worth_keeping
from assistant.cache.evidence import LivePassages
from assistant.cache.key import Scope, normal_question
from assistant.cache.nearest import Nearest, Neighbour
from assistant.cache.store import CacheStore
from assistant.cache.tables import Cited, Draft, Entry, Vector
from assistant.cache.threshold import Preset
from assistant.cache.verify import Evidence, Verdict, best_of, check_evidence, check_question, margins
from assistant.errors import StorageFull
from assistant.frozen import freeze, thaw
from assistant.records import Answer, Citation
from indexes.records import Hit
from indexes.search import Searcher

WAIT_S = 0.05
"""How often another process's answer is looked for."""
AUDIT_ALL = 200
"""The first so many hits by meaning are audited, later ``AUDIT_SHARE`` of them."""
AUDIT_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class Served:
    """A past answer that is right for a question.

    Attributes:
        answer: with the question it was an answer to, and its citations as they are now.
        entry_id: its row in the store.
        similarity: 1 for the same question, else the cosine of the two.
    """

    answer: Answer
    entry_id: int
    similarity: float


class AnswerCache:
    """Past answers of one model to questions about one set of indexes.

    Args:
        store: where they lie.
        searcher: the indexes.
        scope: whether unsupported sentences are left out → what the answers belong to.
        label: the scope in words.
        preset: what was certified for the embedding model; None: only the same questions are found.
        lives_s: how long an answer is kept.
        announce: told once when the cache can't be used.
    """

    def __init__(
        self,
        store: CacheStore,
        searcher: Searcher,
        scope: Callable[[bool], Scope],
        *,
        label: str,
        preset: Preset | None,
        lives_s: float,
        announce: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.store = store
        self.preset = preset
        self._searcher, self._scope, self._label, self._lives_s = searcher, scope, label, lives_s
        self._announce = announce
        self._broken = False
        self._near: dict[str, Nearest] = {}

    def exact(self, question: str, *, strict: bool) -> Served | None:
        """The answer to exactly this question, if no index has changed since it was found to be right."""
        if self._broken:
            return None
        with self._guarded():
            entry = self.store.find(self._scope(strict).key, normal_question(question))
            if entry and not entry.quarantined and entry.generations == self._searcher.generations:
                answer = thaw(entry.answer)
                return self._serve(entry, answer, evidence.marked_stale(answer.citations, entry, self._searcher), 1.0)
        return None

    def verified(self, question: str, vector: Vector, hits: Sequence[Hit], *, strict: bool) -> Served | None:
        """The answer to this question or to one that asks for the same, if the documents still say so.

        Args:
            question: self-contained.
            vector: its unit vector, ``(d,)``.
            hits: what was found for it, best first.
            strict: whether unsupported sentences are left out.
        """
        if self._broken:
            return None
        with self._guarded():
            scope, now = self._scope(strict).key, Evidence(self._searcher, vector, hits, LivePassages(self._searcher, hits))
            entry = self.store.find(scope, normal_question(question))
            if entry and not entry.quarantined:
                verdict = check_evidence(entry, now)
                if not verdict.reason:
                    self.store.confirm(entry.entry_id, self._searcher.generations)
                    return self._serve_now(entry, verdict, 1.0)
                self._miss(verdict, entry)
            elif self.preset and is_self_contained(question):
                return self._by_meaning(question, vector, scope, now, self.preset)
            else:
                self._miss(Verdict("it was said to be wrong" if entry else "nothing alike is kept"), entry)
        return None

    def keep(
        self, question: str, vector: Vector, hits: Sequence[Hit], answer: Answer, *, strict: bool, seconds: float
    ) -> int | None:
        """Keep an answer that may be given again; its row, or None.

        Args:
            question: self-contained; what was searched for.
            vector: its unit vector.
            hits: what the answer was written from.
            answer: whole and checked.
            strict: whether unsupported sentences were left out.
            seconds: what writing it took.
        """
        if self._broken or not is_worth_keeping(answer, hits):
            return None
        with self._guarded():
            by_meaning = self.preset is not None and is_self_contained(question) and answer.status == "answered"
            draft = Draft(
                normal_question(question),
                vector if by_meaning else None,
                answer.status,
                freeze(replace(answer, trace=None)),
                self._searcher.generations,
                evidence.bind(answer, hits),
                seconds,
                self._lives_s,
                self._cited(question, vector, hits, answer) if by_meaning else {},
            )
            return self.store.insert(self._scope(strict).key, self._label, draft)
        return None

    def _cited(self, question: str, vector: Vector, hits: Sequence[Hit], answer: Answer) -> dict[str, Cited]:
        asked, embed = support.read(question, self._searcher), self._searcher.embedder.embed
        noted = {}
        for hit in hits:
            quotes = [one.quote for one in answer.citations if one.passage_id == hit.passage.passage_id]
            if quotes and (cited := support.cite(asked, vector, hit, quotes, embed)):
                noted[hit.passage.passage_id] = cited
        return noted

    def quarantine(self, entry_id: int, asked: str) -> None:
        """Never give this answer again: somebody said that it was wrong for what was asked."""
        if not self._broken:
            with self._guarded():
                self.store.quarantine(entry_id, normal_question(asked))

    @contextmanager
    def flight(self, question: str, *, strict: bool) -> Iterator[bool]:
        """While this question is answered, other processes wait for the answer.

        Yields:
            True, or False after having waited for another process that was answering it: look the question up again.
        """
        scope, asked, mine = self._scope(strict).key, normal_question(question), False
        try:
            waited = False
            while not self._broken:
                with self._guarded():
                    mine = self.store.begin_flight(scope, asked)
                if mine:
                    break
                waited = True
                time.sleep(WAIT_S)
            yield not waited
        finally:
            if mine:
                with self._guarded():
                    self.store.end_flight(scope, asked)

    def has_audits(self) -> bool:
        """Whether a hit awaits its audit."""
        if not self._broken:
            with self._guarded():
                return any(self.store.pending_audits(self.scope_key(strict=strict)) for strict in (False, True))
        return False

    def scope_key(self, *, strict: bool) -> str:
        """The key of what its answers belong to."""
        return self._scope(strict).key

    def close(self) -> None:
        """Close the file."""
        self.store.close()

    def _by_meaning(self, question: str, vector: Vector, scope: str, now: Evidence, preset: Preset) -> Served | None:
        if scope not in self._near:
            self._near[scope] = Nearest(self.store, scope, len(vector))
        asked = normal_question(question)
        found = {one: self.store.entry(one.entry_id) for one in self._near[scope].search(vector) if one.cosine >= preset.floor}
        near = [one for one, entry in found.items() if entry and not self.store.is_refused(scope, asked, entry.question)]
        read = {one.entry_id: found[one] for one in near}
        cosine = {one.entry_id: one.cosine for one in near}
        margin = margins(near, lambda a, b: _cites(read[a]) == _cites(read[b]))
        best = best_of(
            near,
            lambda entry: check_question(
                question,
                entry,
                self.store.cited(entry.entry_id, len(vector)),
                cosine[entry.entry_id],
                margin[entry.entry_id],
                now,
                preset,
            ),
            read.get,
        )
        if isinstance(best, Verdict):
            self._miss(best, self._dead(near, read, now) if best.is_dead else None)
            return None
        entry, verdict = best
        return self._serve_now(entry, verdict, cosine[entry.entry_id], audit=(scope, question))

    def _dead(self, near: Sequence[Neighbour], read: Mapping[int, Entry | None], now: Evidence) -> Entry | None:
        """The nearest entry one of whose passages has changed."""
        entries = (read[one.entry_id] for one in near)
        return next((entry for entry in entries if entry and check_evidence(entry, now).is_dead), None)

    def _serve_now(self, entry: Entry, verdict: Verdict, similarity: float, audit: tuple[str, str] | None = None) -> Served:
        answer = thaw(entry.answer)
        return self._serve(
            entry, answer, evidence.refreshed(answer.citations, verdict.cited or {}, self._searcher), similarity, audit
        )

    def _serve(
        self,
        entry: Entry,
        answer: Answer,
        citations: tuple[Citation, ...],
        similarity: float,
        audit: tuple[str, str] | None = None,
    ) -> Served:
        kind = "semantic" if audit else "exact"
        due = audit if audit and (entry.hits < AUDIT_ALL or random.random() < AUDIT_SHARE) else None  # noqa: S311 - a sample
        self.store.served(entry.entry_id, kind, entry.seconds, audit=due)
        return Served(replace(answer, citations=citations), entry.entry_id, round(similarity, 4))

    def _miss(self, verdict: Verdict, entry: Entry | None = None) -> None:
        reason = verdict.reason.partition(":")[0]
        if verdict.is_dead and entry:
            self.store.drop([entry.entry_id], reason)
        self.store.missed(reason)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Give up on a file that can't be used: a question is answered with or without it."""
        try:
            yield
        except StorageFull as error:
            self._broken = True
            self._announce(f"answers aren't cached: {error}")


def _cites(entry: Entry | None) -> frozenset[str]:
    return frozenset(bound.hash for bound in entry.cited) if entry else frozenset()
