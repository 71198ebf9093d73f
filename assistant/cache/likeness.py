"""How much two questions ask for the same, as numbers (pure): what the cache's score is computed from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from assistant.language.questions import content_words, stem, words_of

PAIR_FEATURES = ("cosine", "shared", "extra", "missing", "order", "margin")
EVIDENCE_FEATURES = ("rank", "kept", "foreign", "unheard", "closeness", "answered", "worse")
UNHEARD = 0.999
"""A word of this weight stands in no document: it is another word for something, or not there at all. One that stands elsewhere,
but in nothing that is cited, speaks of something else."""
Weigh = Callable[[Sequence[str]], Sequence[float]]
"""Words → how much each matters, in [0, 1]: rare ones more."""


def equal_weights(words: Sequence[str]) -> list[float]:
    """For where there are no documents to count words in."""
    return [1.0] * len(words)


@dataclass(frozen=True, slots=True)
class Words:
    """A question's content words: their stems in order, and what each weighs."""

    stems: tuple[str, ...]
    weights: dict[str, float]
    all_stems: frozenset[str]


def read_words(text: str, weigh: Weigh) -> Words:
    """A question's content words, weighed."""
    content = content_words(text)
    stems = stem(content)
    return Words(tuple(stems), dict(zip(stems, weigh(content), strict=True)), frozenset(stem(words_of(text))))


def pair_features(asked: Words, cached: Words, cosine: float, margin: float) -> list[float]:
    """The features of ``PAIR_FEATURES``, each in about [0, 1].

    Args:
        asked: the new question.
        cached: the one that was answered.
        cosine: of their vectors.
        margin: by how much the cosine exceeds that of the nearest entry with another answer.
    """
    both = set(asked.stems) & set(cached.stems)
    weights = cached.weights | asked.weights
    union = sum(weights[word] for word in set(asked.stems) | set(cached.stems))
    extra = [asked.weights[word] for word in set(asked.stems) - cached.all_stems]
    missing = [cached.weights[word] for word in set(cached.stems) - asked.all_stems]
    shared = sum(weights[word] for word in both) / union if union else 1.0
    return [cosine, shared, min(sum(extra), 3.0) / 3, min(sum(missing), 3.0) / 3, _same_order(asked, cached, both), margin]


def _same_order(asked: Words, cached: Words, both: set[str]) -> float:
    """Share of the neighbouring common words that stand in the same order in both."""
    one, other = ([word for word in dict.fromkeys(words.stems) if word in both] for words in (asked, cached))
    if len(one) < 2:
        return 1.0
    place = {word: number for number, word in enumerate(other)}
    return sum(place[a] < place[b] for a, b in pairwise(one)) / (len(one) - 1)


def evidence_features(asked: Words, cached: Words, quotes: str, rank: int, kept: float, closeness: float) -> list[float]:
    """The features of ``EVIDENCE_FEATURES``, each in [0, 1].

    Args:
        asked: the new question.
        cached: the one that was answered.
        quotes: what the cached answer cites, with the headings above it.
        rank: of the worst found of the cited passages, for the question asked.
        kept: share of the passages found first for the cached question that are found first for the other one too.
        closeness: the cosine of the question and the best cited passage, as a share of the best passage's.

    The last two are those of ``support.support_features``.
    """
    said = frozenset(stem(words_of(quotes)))
    news = [weight for word, weight in asked.weights.items() if word not in said and word not in cached.all_stems]
    foreign = max((weight for weight in news if weight < UNHEARD), default=0.0)
    unheard = min(1.0, sum(weight >= UNHEARD for weight in news) / 3)
    return [1 / rank, kept, foreign, unheard, max(0.0, min(1.0, closeness))]
