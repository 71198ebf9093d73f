"""May a past answer stand in for a new one? First what forbids it, cheapest first, then one score against one threshold.

Gates, in this order: the entry isn't quarantined; the two questions differ in no hard fact (`gates`); the cited passages are as
they were; the new question finds them itself, and nothing newer above them. Any error, and too long a wait, is a no.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from assistant.cache import evidence
from assistant.cache.evidence import LivePassages
from assistant.cache.gates import differences
from assistant.cache.likeness import EVIDENCE_FEATURES, PAIR_FEATURES, Weigh, evidence_features, pair_features, read_words
from assistant.cache.nearest import Neighbour
from assistant.cache.support import read, support_features
from assistant.cache.tables import Cited, Entry, Vector
from assistant.cache.threshold import Preset
from indexes.records import Hit
from indexes.search import Searcher

MOST = 3
"""Neighbours that are looked at closely."""
PATIENCE_S = 0.05
REACH = 5
"""Passages found first that are compared between two questions."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about an entry: the passages it cites as they are now, or why it can't be used.

    Attributes:
        reason: empty for a yes.
        score: probability that its answer is right; 0 where a gate said no.
        cited: the cited passages as they are now, by id.
        is_dead: whether the entry can never be used again.
    """

    reason: str
    score: float = 0.0
    cited: dict[str, Hit] | None = None
    is_dead: bool = False


class Judge(Protocol):
    """Looks at an entry for a question."""

    def __call__(self, entry: Entry) -> Verdict: ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the new question found.

    Attributes:
        searcher: the indexes.
        vector: the question's, ``(d,)``.
        hits: the passages, best first.
        live: the documents as they are now.
    """

    searcher: Searcher
    vector: Vector
    hits: Sequence[Hit]
    live: LivePassages


def check_evidence(entry: Entry, now: Evidence) -> Verdict:
    """Whether an entry's passages are what they were, and still the best there are for these hits."""
    if entry.status == "abstained":
        return Verdict("" if evidence.same_passages(entry, now.hits) else "other passages are found", cited={})
    cited = evidence.cited_now(entry, now.live)
    if cited is None:
        return Verdict("a passage that it cites has changed", is_dead=True)
    rank = evidence.weakest_rank(entry, now.hits)
    if rank is None:
        return Verdict("what it cites isn't found")
    if evidence.newer_and_better(entry, now.hits, rank, now.searcher):
        return Verdict("a newer passage is better")
    return Verdict("", cited=cited)


def check_question(
    asked: str, entry: Entry, noted: Mapping[str, Cited], cosine: float, margin: float, now: Evidence, preset: Preset
) -> Verdict:
    """Whether an entry's answer is right for another question than its own.

    Args:
        asked: the question.
        entry: the past answer.
        noted: the sentences of the passages that it cites.
        cosine: of the two questions.
        margin: by how much it exceeds that of the nearest entry with another answer.
        now: what the question found.
        preset: the score's weights and threshold.
    """
    if entry.quarantined:
        return Verdict("it was said to be wrong")
    if reasons := differences(asked, entry.question):
        return Verdict(f"the questions differ: {reasons[0]}")
    verdict = check_evidence(entry, now)
    if verdict.reason:
        return verdict
    score = preset.score(features(asked, entry, noted, cosine, margin, now))
    return Verdict("" if score >= preset.threshold else "not alike enough", score, verdict.cited)


def features(
    asked: str, entry: Entry, noted: Mapping[str, Cited], cosine: float, margin: float, now: Evidence
) -> dict[str, float]:
    """What the score is computed from, by name."""
    weigh = weights_in(now.searcher)
    one, other = read_words(asked, weigh), read_words(entry.question, weigh)
    rank = evidence.weakest_rank(entry, now.hits) or len(now.hits)
    first = {bound.passage for bound in entry.found[:REACH]}
    kept = sum(hit.passage.passage_id in first for hit in now.hits[:REACH]) / max(1, min(REACH, len(now.hits)))
    best = max((hit.dense for hit in now.hits), default=1.0)
    ids = {bound.passage for bound in entry.cited}
    cited = [hit for hit in now.hits if hit.passage.passage_id in ids]
    close = max((hit.dense for hit in cited), default=0.0)
    said = " ".join(hit.passage.embedded_text for hit in cited)
    values = evidence_features(one, other, said, rank, kept, close / best if best > 0 else 0.0)
    known = [(hit, noted[hit.passage.passage_id]) for hit in cited if hit.passage.passage_id in noted]
    values += support_features(read(asked, now.searcher), now.vector, known)
    pairs = dict(zip(PAIR_FEATURES, pair_features(one, other, cosine, margin), strict=True))
    return pairs | dict(zip(EVIDENCE_FEATURES, values, strict=True))


def weights_in(searcher: Searcher) -> Weigh:
    """How rare words are in the documents: 1 for one that stands nowhere, 0 for one in every passage."""

    def weigh(words: Sequence[str]) -> list[float]:
        counts, passages = searcher.word_frequency(words), max(searcher.passages, 2)
        return [1 - math.log1p(counts[word]) / math.log1p(passages) for word in words]

    return weigh


def margins(neighbours: Sequence[Neighbour], same: Callable[[int, int], bool]) -> dict[int, float]:
    """By how much each neighbour is nearer than the nearest one with another answer."""
    found = {}
    for one in neighbours:
        others = [
            other.cosine for other in neighbours if other.entry_id != one.entry_id and not same(one.entry_id, other.entry_id)
        ]
        found[one.entry_id] = one.cosine - max(others, default=0.0)
    return found


def best_of(
    candidates: Sequence[Neighbour], judge: Judge, read: Callable[[int], Entry | None]
) -> tuple[Entry, Verdict] | Verdict:
    """The first candidates looked at closely: the best that may be used, or why none may."""
    deadline, refusal = time.monotonic() + PATIENCE_S, Verdict("nothing alike is kept")
    accepted: list[tuple[Entry, Verdict]] = []
    for neighbour in candidates[:MOST]:
        if time.monotonic() > deadline:
            refusal = Verdict("it took too long")
            break
        entry = read(neighbour.entry_id)
        if entry is None:
            continue
        verdict = judge(entry)
        if not verdict.reason:
            accepted.append((entry, verdict))
        elif refusal.reason == "nothing alike is kept":
            refusal = verdict
    return max(accepted, key=lambda pair: pair[1].score) if accepted else refusal
