"""Two questions → which word of the one says what a word of the other says, and what each has alone (pure).

Knows the sentence reader of ``assistant.checking`` and nothing of reasons why two questions differ.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from assistant.checking.claims import Claim, read_claim
from assistant.checking.grounds import opposite
from assistant.checking.tokens import Token
from assistant.language import facts

SLIP = 5
"""Letters that a word must have for another that differs in one letter to be the same, misspelt."""
ENDING = 3
"""Letters by which two forms of a word differ at most."""
LOOSE = 1
"""Words that two questions which are otherwise one may have each for itself."""
FAR = 5
"""Rare words in which two questions may differ and still be taken for one by a score."""
NAME_ENDINGS = frozenset(["s", "n", "an", "ian", "ish", "ese", "i", "ns", "ans", "ians", "is"])
"""What makes a people's name of a land's."""

_NOT_LETTERS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Side:
    """One of two questions.

    Attributes:
        claim: the question, read.
        partners: place of each of its words that the other has too → the other's token.
        alone: its content words that the other lacks.
        squeezed: its letters and digits in lower case, nothing between them ("You Tube" is "YouTube").
    """

    claim: Claim
    partners: dict[int, Token]
    alone: tuple[Token, ...]
    squeezed: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions, side by side."""

    asked: Side
    cached: Side

    @property
    def is_close(self) -> bool:
        """Whether little but names and numbers tells the two apart, so that one of these that only one has is what is asked."""
        return self.loose <= LOOSE

    @property
    def is_near(self) -> bool:
        """Whether the two are alike enough for a difference in one thing to be what parts them; others no score takes for one."""
        return self.loose <= FAR

    @property
    def loose(self) -> int:
        """How many rare words that are no names the two have each for itself."""
        rare = (token for token in (*self.asked.alone, *self.cached.alone) if token.kind == "word" and token.weight >= 1)
        return sum(not is_capital(token) for token in rare)

    @property
    def directions(self) -> tuple[tuple[Side, Side], tuple[Side, Side]]:
        """Each side with the other."""
        return (self.asked, self.cached), (self.cached, self.asked)


def align(asked: str, cached: str) -> Pair:
    """Put the words of two questions side by side."""
    first, second = read_claim(asked), read_claim(cached)
    there = _partners(first, second)
    back = {other.place: first.tokens[place] for place, other in there.items()}
    return Pair(_side(first, there), _side(second, back))


def squeeze(text: str) -> str:
    """A text's letters and digits in lower case."""
    return _NOT_LETTERS.sub("", text.lower())


def is_capital(token: Token) -> bool:
    """Whether a word is written like a name where it needn't be."""
    return token.kind != "number" and token.text[0].isupper() and not token.opening


def opposed(token: Token, other: Token) -> bool:
    """Whether two words are opposites; the stemmer may have cut them differently ("visible", "invisible")."""
    if "number" in (token.kind, other.kind) or token.word == other.word:
        return False
    return frozenset((token.word, other.word)) in facts.OPPOSITES or opposite(token, other) or _is_denied(token.word, other.word)


@lru_cache(maxsize=100_000)
def _is_denied(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) > ENDING and long.endswith(short) and long[: -len(short)] in facts.NEGATIVE_PREFIXES


def beside(side: Side, token: Token, step: int) -> Token | None:
    """A word's neighbour."""
    place = token.place + step
    return side.claim.tokens[place] if 0 <= place < len(side.claim.tokens) else None


def _side(claim: Claim, partners: dict[int, Token]) -> Side:
    alone = tuple(token for token in claim.content if token.place not in partners)
    return Side(claim, partners, alone, squeeze(claim.text))


def _partners(first: Claim, second: Claim) -> dict[int, Token]:
    """Pair words off, equal ones first; of several the next in order."""
    partners: dict[int, Token] = {}
    known: dict[str, list[Token]] = {}
    for other in second.tokens:
        for key in {other.word, *other.keys}:
            known.setdefault(key, []).append(other)
    free = {other.place: other for other in second.tokens}
    for token in first.tokens:
        alike = {other.place for key in {token.word, *token.keys} for other in known.get(key, ())} & free.keys()
        found = next((free[place] for place in sorted(alike) if _is_equal(token, free[place])), None)
        if found is not None:
            partners[token.place] = free.pop(found.place)
    for token in first.tokens:
        if token.place not in partners:
            found = next((other for other in free.values() if _is_like(token, other)), None)
            if found is not None:
                partners[token.place] = free.pop(found.place)
    return partners


def _is_equal(token: Token, other: Token) -> bool:
    if token.kind == "number" or other.kind == "number":
        return token.kind == other.kind and bool(token.keys & other.keys)
    return token.word == other.word or bool(token.keys & other.keys)


def _is_like(token: Token, other: Token) -> bool:
    """Whether two different words may say the same: like words, forms of one word, one of them misspelt."""
    if "number" in (token.kind, other.kind) or "function" in (token.kind, other.kind):
        return False
    if token.tags & other.tags:
        return not opposed(token, other)
    if is_capital(token) and is_capital(other):
        return any(_is_form(a, b, NAME_ENDINGS) or _is_dropped_letter(a, b) for a in token.keys for b in other.keys)
    return any(_is_form(a, b, None) or is_slip(a, b) for a in token.keys for b in other.keys) and not opposed(token, other)


def _is_form(one: str, other: str, endings: frozenset[str] | None) -> bool:
    """Whether one word is the other with an ending."""
    short, long = sorted((one, other), key=len)
    if len(short) < ENDING + 1 or not long.startswith(short):
        return False
    rest = long[len(short) :]
    return rest in endings if endings is not None else len(rest) <= ENDING


def is_slip(one: str, other: str) -> bool:
    """Whether two words differ in one letter that is wrong, missing, or has changed places with the next."""
    if min(len(one), len(other)) < SLIP or abs(len(one) - len(other)) > 1 or one[0] != other[0]:
        return False
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    a, b = one[at:], other[at:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[2:] == b[2:] and a[:2] == b[1::-1])


def _is_dropped_letter(one: str, other: str) -> bool:
    """Whether a letter inside of a name is missing in another: a slip that makes no other name ("Hilary", "Hillary")."""
    return len(one) != len(other) and min(len(one), len(other)) > SLIP and one[-1] == other[-1] and is_slip(one, other)


def is_name_of(token: Token, side: Side, other: Side) -> bool:
    """Whether the other question has a name that it lacks as a word, but in other letters: short, or in several words."""
    parts = [squeeze(part) for part in token.word.removesuffix("'s").split("/")]
    parts += [
        squeeze(one.text + two.text)
        for one, two in ((beside(side, token, -1), token), (token, beside(side, token, 1)))
        if one and two
    ]
    if any(part in other.squeezed for part in parts if len(part) > ENDING):
        return True
    if token.text.replace(".", "").isupper() and _abbreviates(token.text, other):
        return True
    short = [one.text for one in other.claim.tokens if one.text.replace(".", "").isupper()]
    return any((_abbreviates(one, side) and token.text[0] in one) or _is_state(one, token.text) for one in short)


def _abbreviates(short: str, side: Side) -> bool:
    """Whether a run of a question's words begins with the letters of an abbreviation ("EU", "European Union")."""
    letters = short.replace(".", "").lower()
    words = [token.word for token in side.claim.tokens]
    small = ("of", "the", "and", "for")
    runs = ("".join(word[0] for word in words), "".join(word[0] for word in words if word not in small))
    is_run = any(letters in initials for initials in runs)
    return 2 <= len(letters) <= 6 and (is_run or any(_is_state(short, token.text) for token in side.alone))


def _is_state(short: str, name: str) -> bool:
    """Whether two capitals stand for a name, as those of a state do (CA, California)."""
    return len(short) == 2 and len(name) > ENDING and name[0] == short[0] and short[1].lower() in name[1:] and name.istitle()
