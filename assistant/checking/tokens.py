"""A sentence → its words and numbers, each in a normal form (pure).

Two ways to write a thing get the same keys: 1,200 = 1200, 30 % = 30 percent, 9 pm = 21:00, 11th = XI, began = begin, French =
France.
Number words and units are put together in ``numbers``.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from assistant.language import facts
from assistant.language.english import COMMON
from assistant.language.questions import stem

Kind = Literal["number", "name", "word", "function"]

COMMON_WEIGHT = 0.4
"""A word that is common in any text may be put in a hundred other ways."""
TITLE_WEIGHT = 0.5
LIGHT_WEIGHT = 0.2
BOUND_CHARACTERS = 40
"""Characters before a number among which "more than" is looked for."""

_TOKEN = re.compile(
    r"(?P<date>\b\d{4}-\d{2}-\d{2}\b)"
    r"|(?P<clock>\b\d{1,2}(?:[:.]\d{2})?\s?(?:[ap]\.m\.|[ap]\.?m\b|in the (?:morning|afternoon|evening)\b|at night\b)|"
    r"\b\d{1,2}:\d{2}\b|\b\d{1,2}\s(?=o['’]clock))"
    r"|(?P<nth>\b\d+(?:st|nd|rd|th)\b)"
    r"|(?P<decade>\b\d{1,3}0['’]?s\b)"
    r"|(?P<name>(?<!\w)-{1,2}[a-zA-Z][\w-]*|\b[A-Za-z][\w]*(?:[_/.:@]+\w+)+\b|\b\w+_\w+\b|\bv?\d+(?:\.\d+){2,}\b|"
    r"\b(?=\w*\d)(?=\w*[A-Za-z]{2})(?!\d+[a-z]+\b)\w+\b)"
    r"|(?P<number>(?:(?<![\w.)–-])[-−](?=\d))?(?<![\w.])(?:\d{1,3}(?:[,'’\u00a0\u202f ]\d{3})+(?!\d)|\d+)(?:\.\d+)?)"
    r"|(?P<unit>[%€$£¥]|°\s?[CF]\b)"
    r"|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)*)"
    r"|(?P<mark>[,;:()\[\]—–]|[.!?](?=\s|$))"
)
_JOINS = frozenset([" ", "-", ". ", " of ", " of the ", " the ", " de ", " von ", " van ", " al-", " & "])
_BOUNDS = [(sign, re.compile(rf"(?:{pattern})\W+(?:an?\W+|the\W+)?$", re.IGNORECASE)) for sign, pattern in facts.COMPARED]


@dataclass(slots=True, eq=False)
class Token:
    """A word or a number of a sentence. Not changed any more once its sentence has been read.

    Attributes:
        text: as written.
        keys: its normal forms; two tokens that share one say the same.
        kind: a number, a name (or identifier), a word with a meaning of its own, or one without.
        place: its number in the sentence, counting all tokens.
        rank: its number counting only what says something, a name of several words as one.
        clause: number of the clause it stands in, cut at punctuation.
        tags: the groups of words it belongs to that may stand for one another.
        unit: of a number, by its usual sign.
        bound: of a number, ``>`` or ``<`` when it is a bound.
        opening: it begins a sentence, so that its capital says nothing.
        negated: within reach of a "not".
        weight: how much it matters that a source speaks of it.
    """

    text: str
    keys: frozenset[str]
    kind: Kind
    start: int
    end: int
    place: int = 0
    rank: int = 0
    clause: int = 0
    tags: frozenset[int] = frozenset()
    unit: str = ""
    bound: str = ""
    opening: bool = False
    negated: bool = False
    weight: float = 1.0
    word: str = ""

    def __post_init__(self) -> None:
        self.word = self.text.lower().replace("’", "'")


def tokenise(text: str) -> Iterator[Token]:
    """Cut a sentence into tokens, number words and units not yet put together."""
    clause, opening, before = 0, True, ""
    for match in _TOKEN.finditer(text):
        kind, said = match.lastgroup, match.group()
        if kind == "mark":
            is_range = said in "–—" and text[match.end() : match.end() + 1].isdigit()
            clause += not is_range
            opening = opening or said in ".!?"
            continue
        for token in _read(kind or "word", text, match, before, opening=opening):
            token.clause, token.opening = clause, opening
            yield token
        opening, before = False, said


def goes_on(text: str, token: Token, following: Token) -> bool:
    """Whether two words of a text are parts of one name ("Robert of Jumièges")."""
    if token.kind == "number" or following.kind == "number":
        return False
    return token.text[0].isupper() and following.text[0].isupper() and text[token.end : following.start] in _JOINS


@lru_cache(maxsize=65536)
def word_key(word: str) -> tuple[str, frozenset[int]]:
    """A word's stem, irregular forms led back and accents taken off, and the groups of like words it is in."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    key = stem([facts.IRREGULAR.get(plain, plain)])[0]
    return key, _groups().get(key, frozenset())


@lru_cache(maxsize=1)
def _groups() -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for number, group in enumerate(facts.SAME):
        for word in group:
            found.setdefault(stem([facts.IRREGULAR.get(word, word)])[0], set()).add(number)
    return {key: frozenset(groups) for key, groups in found.items()}


def _read(kind: str, text: str, match: re.Match[str], before: str, *, opening: bool) -> list[Token]:
    """Read one match; a date gives three tokens."""
    said, start, end = match.group(), match.start(), match.end()

    def number(*keys: str, bound: str = "") -> Token:
        return Token(said, frozenset(keys), "number", start, end, bound=bound)

    if kind == "word":
        return [_read_word(match, before, opening=opening)]
    if kind == "date":
        year, month, day = said.split("-")
        return [number(str(int(day))), Token(said, frozenset([f"month {int(month)}"]), "name", start, end), number(year)]
    if kind == "clock":
        return [number(*_clock_keys(said, is_o_clock="clock" in text[end : end + 8]))]
    if kind == "nth":
        return [number(re.sub(r"\D", "", said))]
    if kind == "decade":
        digits = re.sub(r"\D", "", said)
        return [number(f"{digits}s", *([str(int(digits[:-2]) + 1)] if digits.endswith("00") else []))]
    if kind == "number":
        before_it = text[max(0, start - BOUND_CHARACTERS) : start]
        return [number(*_number_keys(said), bound=next((sign for sign, bound in _BOUNDS if bound.search(before_it)), ""))]
    if kind == "unit":
        unit = facts.UNITS.get(said.lower().replace(" ", ""), said)
        return [Token(said, frozenset([unit]), "function", start, end, weight=0.0)]
    return [Token(said, _name_keys(said), "name", start, end)]


def _clock_keys(said: str, *, is_o_clock: bool) -> set[str]:
    digits = re.findall(r"\d+", said)
    hour, minute = int(digits[0]), digits[1] if len(digits) > 1 else "00"
    half = re.sub(r"[^a-z]", "", said.lower())
    if half:
        hour = hour % 12 + (0 if half in ("am", "inthemorning") else 12)
    hours = {hour, hour + 12} if is_o_clock else {hour}
    return {f"{h}:{minute}" for h in hours} | ({str(h) for h in hours} if minute == "00" else set())


def _number_keys(said: str) -> set[str]:
    digits = re.sub(r"[^\d.−-]", "", said).replace("−", "-")
    keys = {decimal(float(digits))}
    if re.fullmatch(r"\d{1,2}\.[0-5]\d", digits):  # 9.30 may be a time
        keys.add(digits.replace(".", ":"))
    return keys


def decimal(value: float) -> str:
    """A number's normal form: no exponent, no trailing zeros."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _name_keys(said: str) -> frozenset[str]:
    name = said.lower().strip(".:")
    if not re.fullmatch(r"\w(?:\.\w)+", name):
        return frozenset([name])
    key = word_key(name.replace(".", ""))[0]  # U.S. is US
    return frozenset([key, *([f"land {facts.DEMONYMS[key]}"] if key in facts.DEMONYMS else [])])


def _read_word(match: re.Match[str], before: str, *, opening: bool) -> Token:
    said, start, end = match.group().replace("’", "'"), match.start(), match.end()
    word = re.sub(r"'s?$", "", said.lower())
    is_capital = said[0].isupper()
    if word in facts.MONTHS and (is_capital or (len(word) > 3 and word != "march")):
        return Token(match.group(), frozenset([f"month {facts.MONTHS[word]}"]), "name", start, end)
    if said in facts.ROMAN and (len(said) > 1 or (before[:1].isupper() and before.lower() not in facts.FUNCTION_WORDS)):
        return Token(match.group(), frozenset([str(facts.ROMAN[said])]), "number", start, end)
    if not word or word.endswith("n't") or (word in facts.FUNCTION_WORDS and said != "US"):
        return Token(match.group(), frozenset([word_key(word)[0]]), "function", start, end, weight=0.0)
    key, tags = word_key(word)
    keys = frozenset([key, f"land {facts.DEMONYMS[word]}"]) if word in facts.DEMONYMS else frozenset([key])
    if is_capital and not opening and word not in facts.TITLES:
        return Token(match.group(), keys, "name", start, end, tags=tags)
    return Token(match.group(), keys, "word", start, end, tags=tags, weight=_weight(word, is_title=is_capital))


def _weight(word: str, *, is_title: bool) -> float:
    if word in facts.LIGHT_VERBS:
        return LIGHT_WEIGHT
    if is_title and word in facts.TITLES:
        return TITLE_WEIGHT
    return COMMON_WEIGHT if word in COMMON else 1.0
