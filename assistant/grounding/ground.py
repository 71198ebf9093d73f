"""Can the question be answered from the passages that were found, and which of their sentences answers it?

Every sentence is weighed against the question (``evidence``), the best ones' support of each of its words is measured
(``support``), and fitted numbers (``calibration``) make a score and a probability of both. No feature grows with the index: none
is a maximum over something that gets longer, none a raw count. This module knows no language model and no index.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assistant.grounding.calibration import Calibration, load_calibration
from assistant.grounding.evidence import (
    Candidate,
    likeness,
    list_candidates,
    sentence_features,
    set_cosines,
)
from assistant.grounding.gates import Named, about_another, capitalised, closed_gates, read_named, subject
from assistant.grounding.support import ANSWER_FEATURES, Embed, answer_features, meaning_support, measure_support, term_weights
from assistant.language.questions import Question, content_words, phrases, read_question
from assistant.records import Evidence, Grounding
from indexes.embedding import Embedder, Matrix
from indexes.records import Hit

WordFrequency = Callable[[Sequence[str]], dict[str, int]]

BUDGET_TOKENS = 1000
"""Tokens of sentences embedded for a question, about 0.15 s on two cores; the least promising ones are left out."""
CHARACTERS_PER_TOKEN = 4.5
CLOSE_LOOK = 6
"""Sentences whose words are compared with the question's one by one."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """A question with its candidates and their features, before any fitted number comes in.

    Attributes:
        features: ``(n, f)``, columns as in ``SENTENCE_FEATURES``.
    """

    question: Question
    vector: Matrix
    hits: tuple[Hit, ...]
    candidates: tuple[Candidate, ...]
    features: NDArray[np.float64]
    embed: Embed


def ground(
    question: str,
    vector: Matrix,
    hits: Sequence[Hit],
    embedder: Embedder,
    word_frequency: WordFrequency,
    passages: int,
    *,
    calibration: Calibration | None = None,
) -> Grounding:
    """Judge whether passages answer a question, and order their sentences by how well they do.

    Args:
        question: self-contained.
        vector: its unit vector, ``(d,)``.
        hits: the passages found, best first.
        embedder: the model that made ``vector``.
        word_frequency: in how many passages of the index words stand.
        passages: how many passages the index holds.
        calibration: fitted numbers; by default those that travel with the package.
    """
    calibration = calibration or load_calibration()
    weighed = weigh(question, vector, hits, embedder, word_frequency, passages)
    if weighed is None:
        return Grounding(False, 0.0, ())
    scores = calibration.sentence(weighed.features)
    order = np.argsort(-scores, kind="stable")
    named = read_named(question, name_shares(question, word_frequency, passages))
    passed = _through_gates(weighed, named, order)
    is_open = bool(passed) and passed[0] in order[:CLOSE_LOOK]
    kept = np.array(passed if is_open else order)
    features = judge(weighed, scores, kept)
    probability = calibration.probability(features) if is_open else 0.0
    share = np.exp(scores - scores.max())
    share /= share.sum()
    evidence = tuple(_evidence(weighed.candidates[i], float(share[i])) for i in kept)
    values = dict(zip(ANSWER_FEATURES, features, strict=True))
    return Grounding(is_open and probability >= calibration.threshold, probability, evidence, values)


def _through_gates(weighed: Weighed, named: Named, order: NDArray[np.intp]) -> list[int]:
    """The candidates that may be the answer, best first."""
    question, candidates = weighed.question, weighed.candidates
    best = candidates[order[0]]
    wanted = subject(question, best) if about_another(named, best) else frozenset[str]()
    return [i for i in order if not closed_gates(question, named, candidates[i]) and wanted <= subject(question, candidates[i])]


def name_shares(question: str, word_frequency: WordFrequency, passages: int) -> dict[str, float]:
    """In which share of the passages each name of a question stands."""
    names = capitalised(question)
    return {name: count / max(passages, 1) for name, count in word_frequency(names).items()} if names else {}


def weigh(
    text: str, vector: Matrix, hits: Sequence[Hit], embedder: Embedder, word_frequency: WordFrequency, passages: int
) -> Weighed | None:
    """Read a question and compute the features of every sentence; None when question or passages hold no word."""
    question = read_question(text, rarity(content_words(text), word_frequency, passages))
    candidates = within_budget(question, list_candidates(hits))
    if not candidates or not question.terms:
        return None
    embed = _remembering(embedder)
    parts = [" ".join(phrase) for phrase in phrases(text)]
    vectors = embed([one.unit.text for one in candidates] + parts)  # (n + p, d)
    set_cosines(candidates, vectors[: len(candidates)], vector, vectors[len(candidates) :])
    _set_meaning(question, candidates, embed)
    features = np.array([sentence_features(question, one) for one in candidates])  # (n, f)
    return Weighed(question, vector, tuple(hits), tuple(candidates), features, embed)


def judge(weighed: Weighed, scores: NDArray[np.float64], order: NDArray[np.intp]) -> list[float]:
    """The features of answerability, in the order of ``ANSWER_FEATURES``, once the sentences have scores."""
    ranked = [weighed.candidates[i] for i in order]
    passage = [one for one in ranked if one.hit is ranked[0].hit]
    support = measure_support(weighed.question, weighed.vector, ranked[:CLOSE_LOOK], passage, weighed.embed)
    return answer_features(weighed.question, weighed.hits, ranked, scores[order], support)


def rarity(words: Sequence[str], word_frequency: WordFrequency, passages: int) -> dict[str, float]:
    """How rare each word is, from 0 (in every passage) to 1 (in none): idf over its greatest value, so that size cancels out."""
    counts = word_frequency(words)
    greatest = math.log1p((passages + 0.5) / 0.5)
    # Okapi's idf, the + 1 inside keeps it positive
    return {word: math.log1p(max(passages - counts[word] + 0.5, 0.5) / (counts[word] + 0.5)) / greatest for word in words}


def within_budget(question: Question, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates worth embedding, in their order: those that share words with the question or stand in the best passages."""
    total = question.weight or 1.0

    def promise(candidate: Candidate) -> float:
        words = frozenset(candidate.own) | candidate.heading | candidate.before
        return sum(term.weight * likeness(term.stem, words) for term in question.terms) / total + candidate.hit.score

    kept, spent = set[int](), 0.0
    for i in sorted(range(len(candidates)), key=lambda i: -promise(candidates[i])):
        spent += 2 + len(candidates[i].unit.text) / CHARACTERS_PER_TOKEN
        if kept and spent > BUDGET_TOKENS:
            break
        kept.add(i)
    return [candidate for i, candidate in enumerate(candidates) if i in kept]


def _set_meaning(question: Question, candidates: Sequence[Candidate], embed: Embed) -> None:
    """Compare the words of the most promising candidates with the question's: cosine + 0.6 × overlap chooses them."""
    weights = term_weights(question.terms)

    def promise(candidate: Candidate) -> float:
        words = frozenset(candidate.own) | candidate.heading
        overlap = weights @ [likeness(term.stem, words) for term in question.terms] / weights.sum()
        return float(candidate.cosines[0] + 0.6 * overlap)

    best = sorted(candidates, key=lambda candidate: -promise(candidate))[:CLOSE_LOOK]
    support = weights @ meaning_support(question, best, embed) / weights.sum()  # (c,)
    for candidate, value in zip(best, support, strict=True):
        candidate.meaning = float(value)


def _remembering(embedder: Embedder) -> Embed:
    """An embedder that embeds no text twice while one question is answered."""
    known: dict[str, Matrix] = {}

    def embed(texts: Sequence[str]) -> Matrix:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, embedder.embed(new), strict=True))
        return np.stack([known[text] for text in texts])

    return embed


def _evidence(candidate: Candidate, score: float) -> Evidence:
    return Evidence(candidate.hit, candidate.unit.start, candidate.unit.end, candidate.unit.text, score)
