"""Passages → possible grounds of a claim, and where in a ground each of the claim's words stands (pure, by letters alone).

A ground is a run of one to three neighbouring sentences of a passage. Knows ``claims`` and the sentences of passages, nothing of
meaning and verdicts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from assistant.checking.claims import Claim, read_claim
from assistant.checking.tokens import Token, word_key
from assistant.language import facts
from assistant.language.sentences import Unit, split_units
from indexes.records import Hit

WINDOW = 3
"""Neighbouring sentences that may support one of an answer together."""
CLOSE_LOOK = 4
"""Grounds of a claim that are looked at closely, those that share most words with it."""
BEFORE = 3
"""Sentences before a ground in which a name may stand that the ground only points to."""
WIDTH_COST = 0.04
"""Share of the claim's words that another sentence must add to be worth taking in."""


@dataclass(frozen=True, slots=True)
class Source:
    """A passage, taken apart.

    Attributes:
        units: its sentences, rows and items, without headings.
        claims: the same, read.
        above: what they stand under: the passage's headings and the lines that lead its lists.
        names: keys of the words that are names somewhere in it, so that one which begins a sentence is known for one.
    """

    hit: Hit
    units: tuple[Unit, ...]
    claims: tuple[Claim, ...]
    above: Claim
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a word of a claim is found.

    Attributes:
        sentence: which of the ground's; -1 for what stands before or above the ground.
        token: the word found there.
        quality: how well it says what the claim's word says, from 0 to 1.
    """

    sentence: int
    token: Token
    quality: float


@dataclass(slots=True)
class Ground:
    """Neighbouring sentences of a passage as the ground of a claim.

    Attributes:
        covered: share of the claim's words that it has.
        options: for each content token of the claim, everywhere that it is found.
        places: the likeliest of them.
        lacking: hard facts of the claim that it lacks, in words.
        contradicted: those that it contradicts.
        features: what the score is computed from.
        score: log-odds that it supports the claim.
    """

    source: Source
    first: int
    last: int
    covered: float = 0.0
    options: tuple[tuple[Place, ...], ...] = ()
    places: tuple[Place | None, ...] = ()
    lacking: tuple[str, ...] = ()
    contradicted: tuple[str, ...] = ()
    features: tuple[float, ...] = field(default=(), repr=False)
    score: float = 0.0

    @property
    def worth(self) -> float:
        """Share of the claim's words that it has, less what its width costs."""
        return self.covered - WIDTH_COST * (self.last - self.first)

    @property
    def faults(self) -> tuple[str, ...]:
        """What speaks against it."""
        return tuple(dict.fromkeys([*self.lacking, *self.contradicted]))

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
class Match:
    """A claim against a ground.

    Attributes:
        pairs: each content token of the claim, with the likeliest place where the ground has it.
    """

    claim: Claim
    ground: Ground
    pairs: tuple[tuple[Token, Place | None], ...]

    @classmethod
    def of(cls, claim: Claim, ground: Ground) -> "Match":
        """Pair the tokens of a claim with their places in an aligned ground."""
        return cls(claim, ground, tuple(zip(claim.content, ground.places, strict=True)))


def read_source(hit: Hit) -> Source:
    """Take a passage apart."""
    units = tuple(unit for unit in split_units(hit.passage) if unit.kind != "heading")
    above = ". ".join([*hit.passage.heading, *dict.fromkeys(unit.lead for unit in units if unit.lead)])
    claims = tuple(read_claim(unit.text) for unit in units)
    tokens = (token for claim in (*claims, read_claim(above)) for token in claim.tokens)
    names = frozenset(key for token in tokens if token.kind == "name" for key in token.keys)
    return Source(hit, units, claims, read_claim(above), names)


def likely_grounds(claim: Claim, sources: Sequence[Source]) -> list[Ground]:
    """The grounds that share most with a claim, most first, each word of the claim in its place."""
    found: list[Ground] = []
    content = claim.content
    total = sum(token.weight for token in content) or 1.0
    for source in sources:
        shares = [shared(content, sentence) for sentence in source.claims]
        for first in range(len(shares)):
            union = [0.0] * len(content)
            for last in range(first, min(first + WINDOW, len(shares))):
                before = sum(union)
                union = [max(pair) for pair in zip(union, shares[last], strict=True)]
                gain = sum(union) - before
                if gain > (WIDTH_COST * total if last > first else 0.0):
                    found.append(Ground(source, first, last, sum(union) / total))
    grounds = sorted(found, key=lambda ground: -ground.worth)[:CLOSE_LOOK]
    for ground in grounds:
        align(claim, ground)
    return grounds


def shared(content: Sequence[Token], sentence: Claim) -> list[float]:
    """The weight of each of a claim's words that a sentence has."""
    known = vocabulary(sentence)
    return [
        token.weight
        if token.keys & known.keys
        else 0.8 * token.weight
        if token.tags & known.tags or (token.kind == "word" and known.has_kin(token))
        else 0.0
        for token in content
    ]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All keys and tags of a sentence, and its keys by their first letters."""

    keys: frozenset[str]
    tags: frozenset[int]
    by_start: dict[str, list[str]]

    def has_kin(self, token: Token) -> bool:
        """Whether a key begins like one of a token's."""
        return any(same_family(key, other) for key in token.keys for other in self.by_start.get(key[:3], ()))


@lru_cache(maxsize=8192)
def vocabulary(sentence: Claim) -> Vocabulary:
    """What words a sentence has."""
    keys = frozenset(key for token in sentence.tokens for key in token.keys)
    by_start: dict[str, list[str]] = {}
    for key in keys:
        by_start.setdefault(key[:3], []).append(key)
    return Vocabulary(keys, frozenset(tag for token in sentence.tokens for tag in token.tags), by_start)


def align(claim: Claim, ground: Ground) -> None:
    """Find each content token of a claim in a ground; of several places the likeliest is the nearest to the word before it."""
    places: list[Place | None] = []
    last: Place | None = None
    ground.options = tuple(tuple(_candidates(token, ground)) for token in claim.content)
    for options in ground.options:
        best = max(options, key=lambda place: (place.quality, -_distance(place, last)), default=None)
        places.append(best)
        last = best or last
    ground.places = tuple(places)


def _candidates(token: Token, ground: Ground) -> list[Place]:
    found = [
        Place(number, other, quality)
        for number, sentence in enumerate(ground.sentences)
        for other in sentence.content
        if (quality := likeness(token, other))
    ]
    if found or token.kind == "number":
        return found
    if token.kind == "name" and (short := _abbreviated(token, ground)):
        return [short]
    return [Place(-1, other, 0.9 * quality) for other in before(ground) if (quality := likeness(token, other)) >= 0.9]


def _abbreviated(token: Token, ground: Ground) -> Place | None:
    """The words of a ground, or of its passage, whose first letters a name is made of (EU, European Union)."""
    for number, sentence in enumerate(ground.sentences):
        for other in sentence.tokens:
            if len(other.text) == 2 and other.text.isupper() and _is_short_for(other.text, token.text):
                return Place(number, other, 0.9)
    letters = token.text.replace(".", "")
    if not (letters.isupper() and 2 <= len(letters) <= 6):
        return None
    for number, sentence in [*enumerate(ground.sentences), *((-1, claim) for claim in ground.source.claims)]:
        initials = "".join(other.text[0] if other.text[0].isupper() else " " for other in sentence.tokens)
        if (at := initials.find(letters)) >= 0:
            return Place(number, sentence.tokens[at], 0.9)
    return None


def _is_short_for(short: str, name: str) -> bool:
    """Whether two capitals stand for a name, as those of a state do (CA, California)."""
    return len(name) > 3 and name[0] == short[0] and short[1].lower() in name[1:] and not name.isupper()


def before(ground: Ground) -> list[Token]:
    """Tokens of what stands before a ground, the nearest sentence first, and above it."""
    sentences = ground.source.claims[max(0, ground.first - BEFORE) : ground.first]
    return [token for sentence in [*reversed(sentences), ground.source.above] for token in sentence.content]


def _distance(place: Place, last: Place | None) -> float:
    if last is None:
        return 0.0
    return abs(place.token.place - last.token.place) + 20.0 * abs(place.sentence - last.sentence)


def likeness(token: Token, other: Token) -> float:
    """How well a token of a source says what one of a claim says, from 0 to 1, by letters alone."""
    if token.keys & other.keys:
        return float((token.kind == "number") == (other.kind == "number"))
    if token.kind == "number" or other.kind in ("number", "function"):
        return 0.0
    if token.kind == "name":
        return 0.9 * _same_name(token, other)
    if token.tags & other.tags and not opposite(token, other):
        return 0.9
    return 0.8 * any(same_family(a, b) for a in token.keys for b in other.keys)


def _same_name(token: Token, other: Token) -> bool:
    """Whether a name is another's with a short ending (Norman, Normandy; Italian, Italy)."""
    return other.text[0].isupper() and any(_short_ending(a, b) for a in token.keys for b in other.keys)


@lru_cache(maxsize=100_000)
def _short_ending(one: str, other: str) -> bool:
    if not (one.isalpha() and other.isalpha()):
        return False
    same = _common(one, other)
    if min(len(one), len(other)) >= 6 and one[0] == other[0] and _is_slip(one, other, same):
        return True
    return same >= 4 and same >= min(len(one), len(other)) - 1 and max(len(one), len(other)) - same <= (5 if same >= 6 else 3)


@lru_cache(maxsize=200_000)
def same_family(one: str, other: str) -> bool:
    """Whether two stems begin alike enough to be of one family (invad-, invas-)."""
    if one[:3] != other[:3] or len(one) < 4 or len(other) < 4:
        return False
    same = _common(one, other)
    return same == min(len(one), len(other)) or same >= 0.7 * max(len(one), len(other))


def _is_slip(one: str, other: str, same: int) -> bool:
    """Whether two words differ in one letter: a slip of the pen, or another spelling."""
    return one[same + 1 :] == other[same + 1 :] or one[same + 1 :] == other[same:] or one[same:] == other[same + 1 :]


def _common(one: str, other: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def opposite(token: Token, other: Token) -> bool:
    """Whether two words are opposites, or one is the other with a prefix that denies."""
    return any(_opposite(a, b) for a in token.keys for b in other.keys)


@lru_cache(maxsize=200_000)
def _opposite(one: str, other: str) -> bool:
    if frozenset((one, other)) in _opposites():
        return True
    short, long = sorted((one, other), key=len)
    return len(short) > 3 and long.endswith(short) and long[: -len(short)] in facts.NEGATIVE_PREFIXES


@lru_cache(maxsize=1)
def _opposites() -> frozenset[frozenset[str]]:
    stems = (frozenset(word_key(word)[0] for word in pair) for pair in facts.OPPOSITES)
    return frozenset(pair for pair in stems if len(pair) == 2)
