"""Our cache as far as it goes without documents: gates and a score of the two questions alone, for pairs that have no passages.

The product never serves a question in other words without evidence. What is measured here is the part of it that questions alone
can show: the gates are the product's own, the score is fitted like the product's, on the features of the pair only.
"""

import random
from collections.abc import Callable, Sequence

import numpy as np
from cache_data import Quora, fold_of
from numpy.typing import NDArray

from assistant.cache.gates import differences
from assistant.cache.likeness import equal_weights, pair_features, read_words
from assistant.cache.verify import MOST

Vector = NDArray[np.float32]
Embed = Callable[[str], Vector]
Score = Callable[[str, str, float], float]
FLOOR = 0.55
PAIRS = 3000
"""Pairs of each kind that the score is fitted on."""
SHIPPED = 0.8
"""The threshold, fixed before anything was measured with it."""
PAIR_ONLY = 5
"""Features that are of the two questions alone; the next one compares with other entries, of which there may be none here."""


def fit(quora: Quora, embed: Callable[[Sequence[str]], NDArray[np.float32]]) -> Score:
    """Fit the score of two questions on labelled pairs of the calibration fifth that pass the gates."""
    from sklearn.ensemble import GradientBoostingClassifier

    rng = random.Random(0)
    same = [
        (group[0], group[1]) for cluster, group in quora.members.items() if fold_of(cluster) == "calibration" and len(group) > 1
    ]
    other = [pair for pair in quora.strangers if all(fold_of(quora.cluster_of[text]) == "calibration" for text in pair)]
    pairs = [(*pair, label) for some, label in ((same, True), (other, False)) for pair in rng.sample(some, min(PAIRS, len(some)))]
    passed = [pair for pair in pairs if not differences(pair[0], pair[1])]
    vectors = embed([text for one, two, _ in passed for text in (one, two)])
    cosines = (vectors[::2] * vectors[1::2]).sum(axis=1)
    x = np.array([_features(one, two, float(cosine)) for (one, two, _), cosine in zip(passed, cosines, strict=True)])
    y = np.array([label for _, _, label in passed])
    model = GradientBoostingClassifier(n_estimators=80, max_depth=3, learning_rate=0.08, min_samples_leaf=20, random_state=0)
    model.fit(x, y)
    print(f"our score of pairs: fitted on {len(passed)} of {len(pairs)} calibration pairs, {int(y.sum())} of them duplicates")

    def score(asked: str, cached: str, cosine: float) -> float:
        return float(model.predict_proba(np.array([_features(asked, cached, cosine)]))[0, 1])

    return score


def _features(asked: str, cached: str, cosine: float) -> list[float]:
    one, other = read_words(asked, equal_weights), read_words(cached, equal_weights)
    return pair_features(one, other, cosine, 0.0)[:PAIR_ONLY]


class OurPairs:
    """Nearest neighbours, the product's gates, then the score.

    Args:
        embed: text → unit vector.
        score: of two questions and their cosine.
        threshold: the lowest score that is served.
    """

    name = "ours, without evidence"

    def __init__(self, embed: Embed, score: Score, threshold: float = SHIPPED) -> None:
        self.threshold = threshold
        self._embed, self._score = embed, score
        self._keys: list[str] = []
        self._questions: list[str] = []
        self._vectors = np.zeros((1024, len(embed("length"))), dtype=np.float32)

    def put(self, question: str, key: str) -> None:
        if len(self._keys) == len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
        self._vectors[len(self._keys)] = self._embed(question)
        self._keys.append(key)
        self._questions.append(question)

    def fill(self, rows: Sequence[tuple[str, str]]) -> None:
        for question, key in rows:
            self.put(question, key)

    def get(self, question: str) -> tuple[str | None, float]:
        if not self._keys:
            return None, 0.0
        cosines = self._vectors[: len(self._keys)] @ self._embed(question)  # (n,)
        near = np.argsort(-cosines)[:MOST]
        found = [
            (self._score(question, self._questions[place], float(cosines[place])), self._keys[place])
            for place in near
            if cosines[place] >= FLOOR and not differences(question, self._questions[place])
        ]
        best, key = max(found, default=(0.0, None))
        return (key if key is not None and best >= self.threshold else None), best

    def clear(self) -> None:
        self._keys.clear()
        self._questions.clear()
