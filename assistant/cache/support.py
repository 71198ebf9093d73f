"""How well the sentences that an answer cites answer another question.

It is the sentence score of `grounding`, with vectors kept from when the answer was written: nothing but the question is embedded.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from assistant.cache.tables import Cited, Vector
from assistant.grounding.calibration import load_calibration
from assistant.grounding.evidence import Candidate, list_candidates, sentence_features, set_cosines
from assistant.grounding.ground import rarity
from assistant.language.questions import Question, content_words, read_question
from indexes.records import Hit
from indexes.search import Searcher

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


def read(question: str, searcher: Searcher) -> Question:
    """A question with its words weighed by how rare they are in the documents."""
    return read_question(question, rarity(content_words(question), searcher.word_frequency, searcher.passages))


def cite(question: Question, vector: Vector, hit: Hit, quotes: Sequence[str], embed: Embed) -> Cited | None:
    """Note how well the sentences of a passage that are quoted answer the question; None if none of them is a sentence of it."""
    candidates = list_candidates([hit])
    quoted = tuple(place for place, one in enumerate(candidates) if any(_overlaps(one, hit, quote) for quote in quotes))
    if not quoted or not question.terms:
        return None
    vectors = embed([one.unit.text for one in candidates])  # (n, d)
    scores = _scores(question, vector, candidates, vectors)
    return Cited(quoted, vectors, float(scores[list(quoted)].max()))


def support_features(question: Question, vector: Vector, cited: Sequence[tuple[Hit, Cited]]) -> list[float]:
    """How much of the score of all sentences of the cited passages those that are quoted have, and how much less it is than then.

    Args:
        question: the new one.
        vector: its unit vector.
        cited: the cited passages, as the new question found them, with what was noted of them.
    """
    shares, changes = [0.0], [1.0]
    for hit, noted in cited:
        candidates = list_candidates([hit])
        if len(candidates) != len(noted.vectors) or not question.terms:
            continue
        scores = _scores(question, vector, candidates, noted.vectors)
        share = np.exp(scores - scores.max())
        shares.append(float(share[list(noted.quoted)].sum() / share.sum()))
        changes.append((noted.score - float(scores[list(noted.quoted)].max())) / 5)
    return [max(shares), max(-0.5, min(1.0, min(changes)))]


def _scores(
    question: Question, vector: Vector, candidates: Sequence[Candidate], vectors: NDArray[np.float32]
) -> NDArray[np.float64]:
    set_cosines(candidates, vectors, vector, vector[None])
    features = np.array([sentence_features(question, one) for one in candidates])  # (n, f)
    return load_calibration().sentence(features)


def _overlaps(candidate: Candidate, hit: Hit, quote: str) -> bool:
    start = hit.passage.text.find(quote)
    return start >= 0 and candidate.unit.start < start + len(quote) and start < candidate.unit.end
