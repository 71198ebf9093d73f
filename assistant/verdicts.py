"""A sentence + the passages given → is it supported, by which words of which passage, and if not, what is wrong with it.

Every run of one to three neighbouring sentences of a passage is a possible *ground* of the claim. Hard facts come first: each
number (with its unit), name, quote and negation of the claim must be found in the ground, in a like place; one that isn't is a
*fault*, and no likeness makes up for it. Then words and meaning decide, by fitted numbers (``verdicts.json``, made by
``benchmarks/fit_verdicts.py``). Embeds only what words can't decide. Knows no language model and no marker.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from assistant.claims import Claim, read_claim, without_attribution
from assistant.faults import find_faults
from assistant.grounding.calibration import Linear
from assistant.grounds import Ground, Match, Source, likely_grounds, opposite, shared, vocabulary
from assistant.records import Verdict
from assistant.rivals import strays
from assistant.tokens import Token
from indexes.embedding import Matrix

Embed = Callable[[Sequence[str]], Matrix]

FILE = Path(__file__).with_name("verdicts.json")
RIVALS = 0.04
"""Share of the claim's words that a ground may lack against the best one and still be looked at."""
UNRELATED, SAME = 0.25, 0.75
"""Cosines of two words' vectors at which they have nothing and everything in common (all-MiniLM-L6-v2)."""

FEATURES = (
    "covered",  # weight of the claim's words that stand in the ground, or a word of the same group or beginning
    "meant",  # … or one near in meaning
    "worst",  # the worst word: weight × how much it lacks support
    "missing",  # words that lack support, log scale
    "cosine",  # of the claim to the ground
    "cosine_unit",  # … to the nearest single sentence
    "near",  # share of neighbouring words of the claim that are near each other in the ground
    "context",  # weight of the names that stand only in what comes before the ground, or above it
    "strays",  # weight of the names and numbers that stand in another sentence than what is said of them
    "width",  # sentences of the ground
    "length",  # words of the claim, log scale
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found about a sentence.

    Attributes:
        verdict: as recorded.
        grounds: what supports it, best first; empty unless supported.
        faults: why not, in words, against the ground that comes nearest.
    """

    verdict: Verdict
    grounds: tuple[Ground, ...] = ()
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fitted:
    """The fitted numbers.

    Attributes:
        supported: log-odds that a ground supports a claim.
        threshold: log-odds from which on it does.
    """

    supported: Linear
    threshold: float


@lru_cache(maxsize=4)
def load_fitted(path: Path = FILE) -> Fitted:
    """Read the fitted numbers, by default those that travel with the package."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return Fitted(Linear.read(data["supported"]), float(data["threshold"]))


def judge(sentence: str, cited: Sequence[int], sources: Sequence[Source], embed: Embed, *, is_cited: bool) -> Judgement:
    """Judge a sentence of an answer.

    Args:
        sentence: without markers and markup.
        cited: places in ``sources`` of the passages it cites.
        sources: all passages that the model was given.
        embed: texts to unit vectors.
        is_cited: whether it cites anything, be it a marker that points nowhere; else any passage may support it.
    """
    claim = read_claim(without_attribution(sentence))
    own = [ground for at in cited if (ground := best_ground(claim, [sources[at]], embed))]
    good = [ground for ground in own if supports(ground)]
    if good:
        return Judgement("supported", tuple(good))
    other = best_ground(claim, [source for at, source in enumerate(sources) if at not in cited], embed)
    if other and supports(other):
        return Judgement("misattributed", (), ("source",)) if is_cited else Judgement("supported", (other,))
    nearest = max([*own, *([other] if other else [])], key=lambda ground: ground.score - 2 * len(ground.faults), default=None)
    faults = tuple(nearest.faults) if nearest else ()
    return Judgement("stitched" if is_stitched(claim, sources) else "not_found", (), faults)


def supports(ground: Ground) -> bool:
    """Whether a ground supports its claim."""
    return not ground.faults and ground.score >= load_fitted().threshold


def judge_lead(sentence: str, sources: Sequence[Source]) -> tuple[str, ...]:
    """The numbers and names of a line that only leads in to others which stand in none of the passages."""
    known = [vocabulary(claim)[0] for source in sources for claim in (*source.claims, source.above)]
    hard = [token for token in read_claim(sentence).content if token.kind in ("number", "name")]
    return tuple(f"{token.kind} {token.text!r}" for token in hard if not any(token.keys & keys for keys in known))


def best_ground(claim: Claim, sources: Sequence[Source], embed: Embed) -> Ground | None:
    """The ground that supports a claim best, among those that share most words with it; those without faults first."""
    grounds = likely_grounds(claim, sources)
    for ground in grounds:
        ground.faults = find_faults(Match.of(claim, ground))
    # One that has far fewer of the claim's words can't make up for what the best one contradicts.
    open_grounds = [ground for ground in grounds if not ground.faults and ground.worth >= grounds[0].worth - RIVALS]
    weigh(claim, open_grounds or grounds[:1], embed)
    return max(open_grounds or grounds[:1], key=lambda ground: ground.score, default=None)


# Words and meaning.


def weigh(claim: Claim, grounds: Sequence[Ground], embed: Embed) -> None:
    """Give grounds their features and scores."""
    if not grounds:
        return
    fitted = load_fitted()
    texts = list(
        dict.fromkeys([claim.text, *(ground.text for ground in grounds), *(s.text for g in grounds for s in g.sentences)])
    )
    lacking = {token.word for ground in grounds for token in _lacking(claim, ground)}
    offered = {token.word for ground in grounds if _lacking(claim, ground) for token in _offered(ground)}
    words = sorted(lacking | offered)
    rows = embed([*texts, *words])  # (n, d)
    vectors = dict(zip([*texts, *words], rows, strict=True))
    for ground in grounds:
        ground.features = _features(claim, ground, vectors)
    scores = fitted.supported(np.array([ground.features for ground in grounds]))
    for ground, score in zip(grounds, scores, strict=True):
        ground.score = float(score)


def _lacking(claim: Claim, ground: Ground) -> list[Token]:
    return [token for token, place in zip(claim.content, ground.places, strict=True) if place is None and token.kind == "word"]


def _offered(ground: Ground) -> list[Token]:
    taken = {(place.sentence, place.token.place) for place in ground.places if place}
    return [
        token
        for number, sentence in enumerate(ground.sentences)
        for token in sentence.content
        if token.kind in ("word", "name") and (number, token.place) not in taken
    ]


def _features(claim: Claim, ground: Ground, vectors: dict[str, Matrix]) -> tuple[float, ...]:
    content = claim.content
    weights = np.array([token.weight for token in content]) + 1e-6
    letters = np.array([place.quality if place else 0.0 for place in ground.places])
    offered = _offered(ground)
    meaning = letters.copy()
    for at, (token, place) in enumerate(zip(content, ground.places, strict=True)):
        if place is None and token.kind == "word":
            near = [float(vectors[token.word] @ vectors[other.word]) for other in offered if not opposite(token, other)]
            meaning[at] = min(max((max(near, default=0.0) - UNRELATED) / (SAME - UNRELATED), 0.0), 1.0)
    own = vectors[claim.text]
    units = [float(own @ vectors[sentence.text]) for sentence in ground.sentences]
    context = sum(token.weight for token, place in zip(content, ground.places, strict=True) if place and place.sentence < 0)
    return (
        float(weights @ letters / weights.sum()),
        float(weights @ meaning / weights.sum()),
        float((weights * (1 - meaning)).max()),
        float(np.log1p((meaning < 0.5).sum())),
        float(own @ vectors[ground.text]),
        max(units),
        _nearness(ground),
        float(context / weights.sum()),
        strays(Match.of(claim, ground)) / float(weights.sum()),
        float(ground.last - ground.first + 1),
        float(np.log1p(len(content))),
    )


def _nearness(ground: Ground) -> float:
    """Share of neighbouring content tokens of the claim that lie near each other in the ground."""
    pairs = list(pairwise(ground.places))
    near = [
        a is not None and b is not None and a.sentence == b.sentence and abs(a.token.place - b.token.place) <= 6 for a, b in pairs
    ]
    return sum(near) / len(near) if near else 1.0


def is_stitched(claim: Claim, sources: Sequence[Source]) -> bool:
    """Whether a claim's words all stand somewhere, but not together: in two places that don't belong together."""
    content = claim.content
    total = sum(token.weight for token in content)
    shares = [shared(content, sentence) for source in sources for sentence in source.claims]
    if len(shares) < 2 or not total:
        return False
    best = max(shares, key=sum)
    rest = max(shares, key=lambda share: sum(max(0.0, b - a) for a, b in zip(best, share, strict=True)))
    union = [max(a, b) for a, b in zip(best, rest, strict=True)]
    hard = [value for token, value in zip(content, union, strict=True) if token.kind in ("number", "name")]
    return sum(union) >= 0.75 * total and all(hard) and sum(union) - sum(best) >= 0.2 * total
