"""A sentence + the passages given → is it supported, by which words of which passage, and if not, what is wrong with it.

Every run of one to three neighbouring sentences of a passage is a possible *ground* of the claim. Hard facts come first: each
number (with its unit), name, quote and negation of the claim must be found in the ground, in a like place; one that isn't is a
*fault*, and no likeness makes up for it. Then words and meaning decide, by fitted numbers (``verdicts.json``, made by
``benchmarks/fit_verdicts.py``). Embeds only what words can't decide. Knows no language model and no marker.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assistant.checking.claims import Claim, normal_quote, read_claim, without_attribution, without_quotes
from assistant.checking.faults import find_faults, stands_in
from assistant.checking.grounds import Ground, Match, Source, likely_grounds, opposite, read_source, shared, vocabulary
from assistant.checking.rivals import strays
from assistant.checking.tokens import Token
from assistant.grounding.calibration import Linear
from assistant.language import facts
from assistant.records import Verdict
from indexes.embedding import Matrix
from indexes.records import Hit

Embed = Callable[[Sequence[str]], Matrix]

FILE = Path(__file__).with_name("verdicts.json")
RIVALS = 0.04
"""Share of the claim's words that a ground may lack against the best one and still be looked at."""
HEART = 0.08
"""Share of the claim's words that a sentence may lack against a wider ground and still be what that ground says."""
EMBEDDED = 2
"""Grounds of a claim that are embedded, where words alone leave it open."""
LEAST_COSINE, MOST_COSINE = 0.45, 0.95
"""Cosines between which that of a claim and a ground which shares its words is taken to lie."""
NEAR = 6
"""Words between two neighbouring words of a claim at which they still stand together in a ground."""
STITCHED, ADDED = 0.75, 0.2
"""Share of a claim's words that two sentences together must have for it to be stitched of them, and that the second must add."""
UNRELATED, SAME = 0.25, 0.75
"""Cosines of two words' vectors at which they have nothing and everything in common (all-MiniLM-L6-v2)."""

LEAST_CLAUSE = 3
"""Words with a meaning of their own that a clause must have to be judged by itself."""
_CLAUSES = re.compile(r";\s+|,?\s+(?:and|but|while|whereas)\s+(?=(?:the|a|an|this|these|[A-Z0-9]\w*)\b)")

FEATURES = (
    "covered",  # weight of the claim's words that stand in the ground, or a word of the same group or beginning
    "meant",  # … or one near in meaning
    "worst",  # the worst word: weight × how much it lacks support
    "missing",  # words that lack support, log scale
    "gap",  # weight of the longest run of words that lack support: what was added is said in one piece
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


def judge(sentence: str, cited: Sequence[int], sources: "Sources", embed: Embed, *, is_cited: bool) -> Judgement:
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
    if good := [ground for ground in own if supports(ground)]:
        return Judgement("supported", tuple(good))
    if clauses := _clause_by_clause(claim, [sources[at] for at in cited], embed):
        return Judgement("supported", clauses)
    rest = [sources[at] for at in range(len(sources)) if at not in cited]
    other = best_ground(claim, rest, embed)
    if other and supports(other):
        return Judgement("misattributed", (), ("source",)) if is_cited else Judgement("supported", (other,))
    nearest = max([*own, *([other] if other else [])], key=lambda ground: ground.worth, default=None)
    together = is_stitched(claim, [sources[at] for at in range(len(sources))])
    return Judgement("stitched" if together else "not_found", (), nearest.faults if nearest else ())


def _clause_by_clause(claim: Claim, sources: Sequence[Source], embed: Embed) -> tuple[Ground, ...]:
    """The grounds of a sentence that says several things, each with its own subject, when what it cites supports each of them."""
    parts = [read_claim(part) for part in _CLAUSES.split(claim.text)]
    if len(parts) < 2 or any(len(part.content) < LEAST_CLAUSE for part in parts):
        return ()
    grounds = [best_ground(part, sources, embed) for part in parts]
    if not all(ground and supports(ground) for ground in grounds):
        return ()
    return tuple({(ground.source.hit.passage.passage_id, ground.span): ground for ground in grounds if ground}.values())


class Sources:
    """Passages, each taken apart when it is first asked for."""

    def __init__(self, hits: Sequence[Hit]) -> None:
        self._hits = hits
        self._read: dict[int, Source] = {}

    def __len__(self) -> int:
        return len(self._hits)

    def __getitem__(self, at: int) -> Source:
        if at not in self._read:
            self._read[at] = read_source(self._hits[at])
        return self._read[at]


def supports(ground: Ground) -> bool:
    """Whether a ground supports its claim."""
    return not ground.faults and ground.score >= load_fitted().threshold


def judge_lead(sentence: str, sources: Sources) -> tuple[str, ...]:
    """The numbers and names of a line that only leads in to others which stand in none of the passages."""
    every = [sources[at] for at in range(len(sources))]
    known = [vocabulary(claim).keys for source in every for claim in (*source.claims, source.above)]
    hard = [token for token in read_claim(sentence).content if token.kind in ("number", "name")]
    return tuple(f"{token.kind} {token.text!r}" for token in hard if not any(token.keys & keys for keys in known))


def best_ground(claim: Claim, sources: Sequence[Source], embed: Embed) -> Ground | None:
    """The ground that supports a claim best, those without faults first, among those that share most words with it."""
    grounds = likely_grounds(claim, sources)
    possible = open_grounds(claim, grounds)
    if not possible:
        return grounds[0] if grounds else None
    if quoted := _quoted_ground(claim, possible):
        return quoted
    _decide(claim, possible, embed)
    return max(possible, key=lambda ground: ground.score)


def open_grounds(claim: Claim, grounds: Sequence[Ground]) -> list[Ground]:
    """Those of a claim's grounds that have no fault.

    One that has far fewer of the claim's words can't make up for what the best one contradicts.
    """
    for ground in grounds:
        find_faults(Match.of(claim, ground))
    for ground in grounds:
        if heart := next((other for other in grounds if _is_heart(other, ground)), None):
            ground.contradicted += heart.contradicted
    return [ground for ground in grounds if not ground.faults and ground.worth >= grounds[0].worth - RIVALS]


def _is_heart(one: Ground, ground: Ground) -> bool:
    """Whether one ground is a part of another that has nearly all it has of the claim: what it contradicts stays contradicted."""
    is_part = one.source is ground.source and ground.first <= one.first and one.last <= ground.last and one is not ground
    return is_part and one.covered >= ground.covered - HEART


def _quoted_ground(claim: Claim, grounds: Sequence[Ground]) -> Ground | None:
    """The ground of a sentence that does nothing but quote, and quotes rightly."""
    rest = read_claim(without_quotes(claim.text)).content
    if not claim.quotes or any(token.word not in facts.REPORTING for token in rest):
        return None
    for ground in grounds:
        text = normal_quote(ground.text).casefold()
        if all(stands_in(quote.casefold(), text) for quote in claim.quotes):
            ground.score = float("inf")
            return ground
    return None


def _decide(claim: Claim, grounds: Sequence[Ground], embed: Embed) -> None:
    """Score grounds; embed only where words alone leave it open."""
    fitted = load_fitted()
    least = [ground_features(claim, ground, None, cosine=LEAST_COSINE) for ground in grounds]
    most = [ground_features(claim, ground, None, cosine=MOST_COSINE, meaning=1.0) for ground in grounds]
    at_least, at_most = fitted.supported(np.array(least)), fitted.supported(np.array(most))
    for ground, low, high in zip(grounds, at_least, at_most, strict=True):
        ground.score = float(low if low >= fitted.threshold else high)
    if max(at_least) >= fitted.threshold or max(at_most) < fitted.threshold:
        return
    undecided = [ground for ground, high in zip(grounds, at_most, strict=True) if high >= fitted.threshold]
    for ground in grounds:
        ground.score = min(ground.score, fitted.threshold - 1)
    weigh(claim, undecided[:EMBEDDED], embed)


def weigh(claim: Claim, grounds: Sequence[Ground], embed: Embed) -> None:
    """Give grounds their features and scores, by words and by meaning."""
    if not grounds:
        return
    texts = [claim.text, *(ground.text for ground in grounds), *(s.text for ground in grounds for s in ground.sentences)]
    words = [token.word for ground in grounds for token in (*_lacking(claim, ground), *_offered(claim, ground))]
    every = list(dict.fromkeys([*texts, *words]))
    vectors = dict(zip(every, embed(every), strict=True))
    for ground in grounds:
        ground.features = ground_features(claim, ground, vectors)
        ground.score = float(load_fitted().supported(np.array([ground.features]))[0])


def _lacking(claim: Claim, ground: Ground) -> list[Token]:
    return [token for token, place in zip(claim.content, ground.places, strict=True) if place is None and token.kind == "word"]


def _offered(claim: Claim, ground: Ground) -> list[Token]:
    """Words of a ground that no word of the claim has taken, when the claim lacks any."""
    if not _lacking(claim, ground):
        return []
    taken = {(place.sentence, place.token.place) for place in ground.places if place}
    every = [(number, token) for number, sentence in enumerate(ground.sentences) for token in sentence.content]
    return [token for number, token in every if token.kind in ("word", "name") and (number, token.place) not in taken]


def ground_features(
    claim: Claim, ground: Ground, vectors: Mapping[str, Matrix] | None, *, cosine: float = 0.0, meaning: float = 0.0
) -> tuple[float, ...]:
    """The features of a ground, in the order of ``FEATURES``.

    Args:
        claim: what it may support.
        ground: aligned with the claim.
        vectors: of the claim, the ground, its sentences, and the words that are compared; None to take what follows instead.
        cosine: of the claim to the ground.
        meaning: how near the ground comes to each word that it lacks.
    """
    content = claim.content
    weights = np.array([token.weight for token in content]) + 1e-6
    letters = np.array([place.quality if place else 0.0 for place in ground.places])
    offered = _offered(claim, ground) if vectors else []
    meant = letters.copy()
    for at, (token, place) in enumerate(zip(content, ground.places, strict=True)):
        if place is None and token.kind == "word":
            meant[at] = _nearest(token, offered, vectors) if vectors else meaning
    cosines = [float(vectors[claim.text] @ vectors[text]) for text in _texts(ground)] if vectors else [cosine]
    context = sum(token.weight for token, place in zip(content, ground.places, strict=True) if place and place.sentence < 0)
    return (
        float(weights @ letters / weights.sum()),
        float(weights @ meant / weights.sum()),
        float((weights * (1 - meant)).max()),
        float(np.log1p((meant < 0.5).sum())),
        _longest_gap(weights * (meant < 0.5)),
        cosines[0],
        max(cosines[1:] or cosines),
        _nearness(ground),
        float(context / weights.sum()),
        strays(Match.of(claim, ground)) / float(weights.sum()),
        float(ground.last - ground.first + 1),
        float(np.log1p(len(content))),
    )


def _texts(ground: Ground) -> list[str]:
    return [ground.text, *(sentence.text for sentence in ground.sentences)]


def _nearest(token: Token, offered: Sequence[Token], vectors: Mapping[str, Matrix]) -> float:
    """How near in meaning the nearest of the offered words comes to one, opposites aside."""
    near = [float(vectors[token.word] @ vectors[other.word]) for other in offered if not opposite(token, other)]
    return min(max((max(near, default=0.0) - UNRELATED) / (SAME - UNRELATED), 0.0), 1.0)


def _longest_gap(lacking: NDArray[np.float64]) -> float:
    """The greatest sum of neighbours that are all above zero."""
    longest = current = 0.0
    for weight in lacking:
        current = current + float(weight) if weight > 0 else 0.0
        longest = max(longest, current)
    return longest


def _nearness(ground: Ground) -> float:
    """Share of neighbouring content tokens of the claim that lie near each other in the ground."""
    near = [
        a is not None and b is not None and a.sentence == b.sentence and abs(a.token.place - b.token.place) <= NEAR
        for a, b in pairwise(ground.places)
    ]
    return sum(near) / len(near) if near else 1.0


def is_stitched(claim: Claim, sources: Sequence[Source]) -> bool:
    """Whether a claim's words all stand somewhere, but not together: in two sentences that don't belong together."""
    content = claim.content
    total = sum(token.weight for token in content)
    shares = [shared(content, sentence) for source in sources for sentence in source.claims]
    if len(shares) < 2 or not total:
        return False
    best = max(shares, key=sum)
    rest = max(shares, key=lambda share: sum(max(0.0, b - a) for a, b in zip(best, share, strict=True)))
    union = [max(pair) for pair in zip(best, rest, strict=True)]
    hard = [value for token, value in zip(content, union, strict=True) if token.kind in ("number", "name")]
    return all(hard) and sum(union) >= STITCHED * total and sum(union) - sum(best) >= ADDED * total
