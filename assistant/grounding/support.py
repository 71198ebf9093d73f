"""How well the best sentences support each word of the question: by letters, by meaning, and by what is lost without the word.

A near miss (the topic is there, the fact is not) shows in the *least* supported word of the question, not in averages. Three
views of a word, each on a sentence and what it stands under:

- by letters: does the word, or one with the same beginning, stand there;
- by meaning: the cosine of the word's vector to the nearest word there;
- left out: if the question without the word is *nearer* to the sentence than the question with it, the sentence is about
  something else.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assistant.grounding.evidence import Candidate, kind_match, likeness, unsupported
from assistant.language import english
from assistant.language.questions import Question, Term, words_of
from indexes.embedding import Matrix
from indexes.records import Hit

Floats = NDArray[np.float64]
Embed = Callable[[Sequence[str]], Matrix]

ASKED_WEIGHT = 0.4
"""A word that names the kind of answer ("which *year*") seldom stands beside it."""
COMMON_WEIGHT = 0.25
"""A word that is common in any text ("often", "keep") may be put in a hundred other ways."""
UNRELATED, SAME = 0.25, 0.75
"""Cosines of two words' vectors at which they have nothing and everything in common (all-MiniLM-L6-v2, docs/log.md)."""
SUPPORTED = 0.3
"""A word is missing by letters when more than this of it is unsupported."""

ANSWER_FEATURES = (
    "score",  # of the best sentence, by the fitted sentence weights
    "margin",  # its lead over the fifth best
    "spread",  # entropy of the sentences' shares: high when none stands out
    "cosine",  # the best cosine of any sentence
    "passage_cosine",  # the best cosine of any passage
    "agree",  # whether words and meaning name the same passage first
    "missing",  # weight of the question's words without support by letters at the best sentence
    "missing_worst",  # … the worst single word
    "missing_least",  # the same as "missing", at whichever of the five best sentences has most
    "missing_meaning",  # … where a word near in meaning is support too
    "missing_meaning_worst",
    "missing_particular",  # the worst supported name, number or quoted word
    "absent",  # weight of the words that stand in none of the first three passages
    "absent_worst",
    "absent_particular",  # the worst name, number or quoted word, in all passages
    "left_out",  # what the sentence loses in cosine when a word is left out, mean
    "left_out_missing",  # … at most what it gains, over the words that are missing by letters
    "left_out_passage",  # mean loss of the passage
    "kind_missing",  # the best sentence lacks the kind of answer that is asked for
    "kind_missing_all",  # … and so do the five best
    "negation",  # the question negates and the sentence doesn't, or the other way round
    "antonym",  # the sentence has the opposite of a word of the question
    "words",  # how many content words the question has
)


@dataclass(frozen=True, slots=True)
class Support:
    """The support of every term of a question by the best candidates.

    Attributes:
        weights: ``(t,)`` of the terms.
        letters: ``(t, c)``, 0 named … 1 not at all.
        meaning: ``(t, c)``, the same, where a word near in meaning is support too.
        left_out: ``(t, c)``, cosine lost when the term is left out of the question.
        passage: ``(t,)``, the same for the best candidate's passage.
    """

    weights: Floats
    letters: Floats
    meaning: Floats
    left_out: Floats
    passage: Floats


def term_weights(terms: Sequence[Term]) -> Floats:
    """Weights of terms, less for common words and for those that name the kind of answer: ``(t,)``."""
    common = [COMMON_WEIGHT if term.word in english.COMMON and not term.particular else 1.0 for term in terms]
    asked = [ASKED_WEIGHT if term.asked else 1.0 for term in terms]
    return np.array([term.weight * c * a + 1e-6 for term, c, a in zip(terms, common, asked, strict=True)], dtype=np.float64)


def meaning_support(question: Question, candidates: Sequence[Candidate], embed: Embed) -> Floats:
    """How near in meaning each candidate's words come to each term, 0 to 1: ``(t, c)``."""
    nearness = np.zeros((len(question.terms), len(candidates)))
    if not question.terms:
        return nearness
    contexts = [context_words(candidate) for candidate in candidates]
    every = [term.word for term in question.terms] + [word for words in contexts for word in words]
    vectors = dict(zip(every, embed(every), strict=True))  # one call for all words: several small ones leave cores idle
    terms = np.stack([vectors[term.word] for term in question.terms])  # (t, d)
    for column, words in enumerate(contexts):
        if words:
            cosines = (terms @ np.stack([vectors[word] for word in words]).T).max(axis=1)  # (t,)
            nearness[:, column] = np.clip((cosines - UNRELATED) / (SAME - UNRELATED), 0.0, 1.0)
    return nearness


def context_words(candidate: Candidate) -> list[str]:
    """The content words of a candidate and of what it stands under."""
    text = " ".join([candidate.unit.text, candidate.unit.lead, *candidate.hit.passage.heading])
    return sorted({word for word in words_of(text) if word not in english.STOPWORDS})


def without(text: str, word: str) -> str:
    """A question without one of its words."""
    return " ".join(re.sub(rf"(?<!\w){re.escape(word)}(?:['’]s)?(?!\w)", " ", text, flags=re.IGNORECASE).split())


def measure_support(
    question: Question, vector: Matrix, candidates: Sequence[Candidate], passage: Sequence[Candidate], embed: Embed
) -> Support:
    """Measure the support of every term by the best candidates.

    Args:
        question: with at least one term.
        vector: ``(d,)``.
        candidates: the best ones, best first.
        passage: all candidates of the best one's passage.
        embed: texts to vectors.
    """
    terms = question.terms
    letters = np.array([[_unsupported(term, one, question) for one in candidates] for term in terms])  # (t, c)
    meaning = np.minimum(letters, 1.0 - meaning_support(question, candidates, embed))
    shorter = embed([without(question.text, term.word) for term in terms])  # (t, d)
    change = vector[None, :] - shorter  # (t, d)
    sentences = np.stack([one.vector for one in candidates])  # (c, d)
    whole = np.mean([one.vector for one in passage], axis=0)  # (d,)
    whole /= max(float(np.linalg.norm(whole)), 1e-6)
    return Support(term_weights(terms), letters, meaning, (change @ sentences.T).astype(float), (change @ whole).astype(float))


def _unsupported(term: Term, candidate: Candidate, question: Question) -> float:
    """As ``unsupported``; a word that asks for a kind of answer ("cost", "born") is half supported where that kind is found."""
    missing = unsupported(term, candidate)
    if missing > 0.5 and term.word in english.KIND_WORDS.get(question.kind, ()) and kind_match(question, candidate.unit.text) > 0:
        return 0.5
    return missing


def answer_features(
    question: Question, hits: Sequence[Hit], ranked: Sequence[Candidate], scores: Floats, support: Support
) -> list[float]:
    """The features of answerability, in the order of ``ANSWER_FEATURES``.

    Args:
        question: what is asked.
        hits: the passages.
        ranked: all candidates, best first.
        scores: ``(n,)`` theirs, falling.
        support: of the first few of them.
    """
    best, share = ranked[0], np.exp(scores - scores[0])
    share /= share.sum()
    weights = support.weights / support.weights.sum()  # (t,)
    peak = support.weights  # (t,), in [0, 1]
    particular = np.array([term.particular for term in question.terms], dtype=float)
    letters, meaning = support.letters[:, 0], support.meaning[:, 0]
    absent = _absent(question, [one for one in ranked if one.hit.rank <= 3])
    gained = support.left_out[:, 0] * (letters > SUPPORTED)
    kinds = [kind_match(question, one.unit.text) for one in ranked[:5]]
    by_cosine = max(hits, key=lambda hit: hit.dense)
    return [
        float(scores[0]),
        float(scores[0] - scores[min(4, len(scores) - 1)]),
        float(-(share * np.log(share + 1e-12)).sum()),
        max(one.cosines[0] for one in ranked),
        by_cosine.dense,
        float(by_cosine is max(hits, key=lambda hit: hit.lexical)),
        float(weights @ letters),
        float((peak * letters).max()),
        float((weights @ support.letters).min()),
        float(weights @ meaning),
        float((peak * meaning).max()),
        float((particular * letters).max()),
        float(weights @ absent),
        float((peak * absent).max()),
        float((particular * _absent(question, ranked)).max()),
        float(weights @ support.left_out[:, 0]),
        float(min(gained.min(), 0.0)),
        float(weights @ support.passage),
        float(kinds[0] < 0),
        float(max(kinds) < 0),
        float(bool(english.NEGATION.search(best.unit.text)) != bool(english.NEGATION.search(question.text))),
        float(has_antonym(question, best)),
        float(np.log1p(len(question.terms))),
    ]


def has_antonym(question: Question, candidate: Candidate) -> bool:
    """Whether a candidate has the opposite of a word of the question, and not the word."""
    asked, said = set(words_of(question.text)), set(words_of(candidate.unit.text))
    asked_only, said_only = asked - said, said - asked
    return any((a in asked_only and b in said_only) or (b in asked_only and a in said_only) for a, b in english.ANTONYMS)


def _absent(question: Question, candidates: Sequence[Candidate]) -> Floats:
    words = frozenset[str]().union(*[one.passage for one in candidates])
    return np.array([1.0 - likeness(term.stem, words) for term in question.terms])
