"""A sentence + the passages given → is it supported, by which words of which passage, and if not, what is wrong with it.

Every run of one to three neighbouring sentences of a passage is a possible *ground* of the claim. Hard facts come first: each
number (with its unit), name, quote and negation of the claim must be found in the ground, in a like place; one that isn't is a
*fault*, and no likeness makes up for it. Then words and meaning decide, by fitted numbers (``verdicts.json``, made by
``benchmarks/fit_verdicts.py``). Embeds only what words can't decide. Knows no language model and no marker.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from assistant import english_facts as facts
from assistant.calibration import Linear
from assistant.claims import Claim, Token, normal_quote, read_claim, without_attribution, word_key
from assistant.records import Verdict
from assistant.sentences import Unit, plain_text, split_units
from indexes.embedding import Matrix
from indexes.records import Hit

Embed = Callable[[Sequence[str]], Matrix]

FILE = Path(__file__).with_name("verdicts.json")
WINDOW = 3
"""Neighbouring sentences that may support one of an answer together."""
CLOSE_LOOK = 4
"""Grounds of a claim that are looked at closely, those that share most words with it."""
BEFORE = 3
"""Sentences before a ground in which a name may stand that the ground only points to."""
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
    "width",  # sentences of the ground
    "length",  # words of the claim, log scale
)


@dataclass(frozen=True, slots=True)
class Source:
    """A passage, taken apart."""

    hit: Hit
    units: tuple[Unit, ...]
    claims: tuple[Claim, ...]
    above: Claim


@dataclass(frozen=True, slots=True)
class Place:
    """Where a word of the claim is found: which sentence of the ground, which token; ``sentence`` -1 is what comes before it."""

    sentence: int
    token: Token
    quality: float


@dataclass(slots=True)
class Ground:
    """Neighbouring sentences of a passage as the ground of a claim.

    Attributes:
        faults: hard facts of the claim that it contradicts or lacks, in words.
        score: log-odds that it supports the claim.
    """

    source: Source
    first: int
    last: int
    places: list[Place | None] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    features: tuple[float, ...] = ()
    score: float = 0.0

    @property
    def sentences(self) -> tuple[Claim, ...]:
        """Its sentences, read."""
        return self.source.claims[self.first : self.last + 1]

    @property
    def text(self) -> str:
        """How it reads."""
        return " ".join(unit.text for unit in self.source.units[self.first : self.last + 1])

    @property
    def span(self) -> tuple[int, int]:
        """Its span in the passage's text."""
        return self.source.units[self.first].start, self.source.units[self.last].end


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


def read_source(hit: Hit) -> Source:
    """Take a passage apart."""
    units = tuple(unit for unit in split_units(hit.passage) if unit.kind != "heading")
    above = read_claim(". ".join([*hit.passage.heading, *dict.fromkeys(unit.lead for unit in units if unit.lead)]))
    return Source(hit, units, tuple(read_claim(unit.text) for unit in units), above)


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
    known = [_vocabulary(claim)[0] for source in sources for claim in (*source.claims, source.above)]
    hard = [token for token in read_claim(sentence).content if token.kind in ("number", "name")]
    return tuple(f"{token.kind} {token.text!r}" for token in hard if not any(token.keys & keys for keys in known))


def best_ground(claim: Claim, sources: Sequence[Source], embed: Embed) -> Ground | None:
    """The ground that supports a claim best, among those that share most words with it; those without faults first."""
    if not claim.content:
        return None
    grounds = likely_grounds(claim, sources)
    for ground in grounds:
        ground.faults = find_faults(claim, ground)
    open_grounds = [ground for ground in grounds if not ground.faults]
    weigh(claim, open_grounds or grounds[:1], embed)
    return max(open_grounds or grounds[:1], key=lambda ground: ground.score, default=None)


def likely_grounds(claim: Claim, sources: Sequence[Source]) -> list[Ground]:
    """The grounds that share most with a claim, most first."""
    found: list[tuple[float, Ground]] = []
    content = claim.content
    total = sum(token.weight for token in content) or 1.0
    for source in sources:
        shares = [_shared(content, sentence) for sentence in source.claims]
        for first in range(len(shares)):
            union = [0.0] * len(content)
            for last in range(first, min(first + WINDOW, len(shares))):
                before = sum(union)
                union = [max(a, b) for a, b in zip(union, shares[last], strict=True)]
                if last > first and (sum(union) <= before or not any(shares[last])):
                    continue
                worth = sum(union) / total - 0.04 * (last - first)
                if worth > 0:
                    found.append((worth, Ground(source, first, last)))
    found.sort(key=lambda pair: -pair[0])
    return [ground for _, ground in found[:CLOSE_LOOK]]


def _shared(content: Sequence[Token], sentence: Claim) -> list[float]:
    keys, tags = _vocabulary(sentence)
    return [
        token.weight if token.keys & keys else 0.8 * token.weight if token.tags & tags or _begins_like(token, keys) else 0.0
        for token in content
    ]


@lru_cache(maxsize=8192)
def _vocabulary(sentence: Claim) -> tuple[frozenset[str], frozenset[int]]:
    keys = frozenset(key for token in sentence.tokens for key in token.keys)
    return keys, frozenset(tag for token in sentence.tokens for tag in token.tags)


def _begins_like(token: Token, keys: frozenset[str]) -> bool:
    return token.kind == "word" and any(same_family(key, other) for key in token.keys for other in keys)


@lru_cache(maxsize=200_000)
def same_family(one: str, other: str) -> bool:
    """Whether two stems begin alike enough to be of one family (invad-, invas-)."""
    if one[:3] != other[:3] or len(one) < 4 or len(other) < 4:
        return False
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return same == min(len(one), len(other)) or same >= 0.7 * max(len(one), len(other))


# Alignment: where each word of the claim stands in the ground.


def align(claim: Claim, ground: Ground) -> list[Place | None]:
    """Where each content token of a claim is found in a ground, the nearest to the one before it when there are several."""
    places: list[Place | None] = []
    last: Place | None = None
    for token in claim.content:
        found = _candidates(token, ground)
        best = max(found, key=lambda place: (place.quality, -_distance(place, last)), default=None)
        places.append(best)
        last = best or last
    return places


def _candidates(token: Token, ground: Ground) -> list[Place]:
    found = []
    for number, sentence in enumerate(ground.sentences):
        for other in sentence.tokens:
            quality = likeness(token, other)
            if quality:
                found.append(Place(number, other, quality))
    if not found and token.kind in ("name", "word"):
        found = [Place(-1, other, 0.9 * quality) for other in _before(ground) if (quality := likeness(token, other)) >= 0.9]
    return found


def _before(ground: Ground) -> list[Token]:
    """Tokens of what stands before a ground, the nearest first, and above it."""
    before = ground.source.claims[max(0, ground.first - BEFORE) : ground.first]
    return [token for sentence in [*reversed(before), ground.source.above] for token in sentence.tokens]


def _distance(place: Place, last: Place | None) -> float:
    if last is None:
        return 0.0
    return abs(place.token.place - last.token.place) + 20.0 * abs(place.sentence - last.sentence)


def likeness(token: Token, other: Token) -> float:
    """How well a token of a source says what one of a claim says, from 0 to 1, by letters alone."""
    if token.kind == "number" or other.kind == "number":
        return float(token.kind == other.kind and bool(token.keys & other.keys))
    if token.keys & other.keys:
        return 1.0
    if token.kind == "name":
        return _like_name(token, other)
    if token.tags & other.tags and not opposite(token, other):
        return 0.9
    if other.kind != "function" and any(same_family(a, b) for a in token.keys for b in other.keys):
        return 0.8
    return 0.0


def _like_name(token: Token, other: Token) -> float:
    """A name stands for another that it begins (Norman, Normandy; Italian, Italy), nothing shorter and nothing looser."""
    for a in token.keys:
        for b in other.keys:
            if len(a) >= 4 and len(b) >= 4 and a.isalpha() and b.isalpha() and other.text[0].isupper():
                same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
                if same >= 4 and same >= min(len(a), len(b)) - 1 and max(len(a), len(b)) - same <= 3:
                    return 0.9
    return 0.0


@lru_cache(maxsize=100_000)
def _opposite(one: str, other: str) -> bool:
    return frozenset((one, other)) in _opposites()


@lru_cache(maxsize=1)
def _opposites() -> frozenset[frozenset[str]]:
    stems = {frozenset(word_key(word)[0] for word in pair) for pair in facts.OPPOSITES}
    return frozenset(pair for pair in stems if len(pair) == 2)


def opposite(token: Token, other: Token) -> bool:
    """Whether two words are opposites, or one the other with a prefix that denies."""
    for a in token.keys:
        for b in other.keys:
            if _opposite(a, b) or any(a == prefix + b or b == prefix + a for prefix in facts.NEGATIVE_PREFIXES):
                return True
    return False


# Faults: hard facts that the ground lacks or contradicts.


def find_faults(claim: Claim, ground: Ground) -> list[str]:
    """The hard facts of a claim that a ground lacks or contradicts, in words."""
    ground.places = align(claim, ground)
    pairs = list(zip(claim.content, ground.places, strict=True))
    return [
        *_quote_faults(claim, ground),
        *(fault for token in claim.numbers if (fault := _number_fault(claim, token, ground))),
        *(f"name {token.text!r}" for token, place in pairs if _lacks_name(claim, token, place, ground)),
        *_negation_faults(claim, ground),
        *_opposite_faults(claim, ground),
        *_role_faults(claim, ground),
    ]


def _quote_faults(claim: Claim, ground: Ground) -> list[str]:
    if not claim.quotes:
        return []
    text = normal_quote(plain_text(ground.source.hit.passage.text)).casefold()
    return [f"quote {quote!r}" for quote in claim.quotes if not stands_in(quote, text)]


def stands_in(quote: str, text: str) -> bool:
    """Whether a quote stands in a text (normal, folded), cut ends and "…" aside."""
    pieces = [piece for piece in (normal_quote(piece) for piece in re.split(r"…|\.\.\.|\[[^\]]*\]", quote.casefold())) if piece]
    at = 0
    for piece in pieces:
        match = re.compile(r"(?<!\w)" + re.escape(piece) + r"(?!\w)").search(text, at)
        if not match:
            return False
        at = match.end()
    return bool(pieces)


def _number_fault(claim: Claim, token: Token, ground: Ground) -> str:
    found = [(i, other) for i, sentence in enumerate(ground.sentences) for other in sentence.numbers if other.keys & token.keys]
    if not found:
        return f"number {token.text!r}"
    fitting = [(i, other) for i, other in found if _same_unit(token, other, ground)]
    if not fitting:
        return f"unit {token.unit!r}"
    if token.bound and all(other.bound not in ("", token.bound) for _, other in fitting):
        return f"bound {token.bound!r}"
    return ""


def _same_unit(token: Token, other: Token, ground: Ground) -> bool:
    if token.unit == other.unit or not token.unit:
        return True
    if other.unit:
        return False
    return any(f"unit {token.unit}" in known.keys or facts.UNITS.get(known.word) == token.unit
               for sentence in ground.sentences for known in sentence.tokens)


def _lacks_name(claim: Claim, token: Token, place: Place | None, ground: Ground) -> bool:
    if place is not None:
        return False
    if token.kind == "name":
        return not _is_acronym(token, ground)
    return False


def _is_acronym(token: Token, ground: Ground) -> bool:
    """Whether a name abbreviates words that stand in the passage, or is part of what an abbreviation there stands for."""
    letters = token.text.replace(".", "")
    if not (letters.isupper() and 2 <= len(letters) <= 6):
        return False
    initials = "".join(t.text[0] if t.text[0].isupper() else " " for s in ground.source.claims for t in s.tokens)
    return letters in initials


def _negation_faults(claim: Claim, ground: Ground) -> list[str]:
    faults = []
    for token, place in zip(claim.content, ground.places, strict=True):
        if place and place.sentence >= 0 and token.kind == "word" and token.negated != place.token.negated:
            faults.append(token.text)
    denied = any(place and place.sentence >= 0 for place in ground.places)
    mine = bool(claim.negators)
    theirs = any(sentence.negators for sentence in ground.sentences)
    if mine and not theirs and denied:
        return ["negation"]
    if theirs and not mine and faults:
        return ["negation"]
    return []


def _opposite_faults(claim: Claim, ground: Ground) -> list[str]:
    faults = []
    theirs = [token for sentence in ground.sentences for token in sentence.tokens]
    mine = claim.tokens
    for token in mine:
        if token.kind == "number" or any(likeness(token, other) == 1.0 for other in theirs):
            continue
        for other in theirs:
            if opposite(token, other) and not any(likeness(own, other) == 1.0 for own in mine):
                faults.append(f"{token.word!r} for {other.word!r}")
    return faults


def _role_faults(claim: Claim, ground: Ground) -> list[str]:
    return []


# Words and meaning.


def weigh(claim: Claim, grounds: Sequence[Ground], embed: Embed) -> None:
    """Give grounds their features and scores."""
    if not grounds:
        return
    fitted = load_fitted()
    texts = list(dict.fromkeys([claim.text, *(ground.text for ground in grounds), *(s.text for g in grounds for s in g.sentences)]))
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
    shares = [_shared(content, sentence) for source in sources for sentence in source.claims]
    if len(shares) < 2 or not total:
        return False
    best = max(shares, key=sum)
    rest = max(shares, key=lambda share: sum(max(0.0, b - a) for a, b in zip(best, share, strict=True)))
    union = [max(a, b) for a, b in zip(best, rest, strict=True)]
    hard = [value for token, value in zip(content, union, strict=True) if token.kind in ("number", "name")]
    return sum(union) >= 0.75 * total and all(hard) and sum(union) - sum(best) >= 0.2 * total
