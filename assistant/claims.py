"""A sentence → what it claims: its numbers with their units, its names, its quotes, what it denies, and its words in order (pure).

Two wordings of one fact get the same keys here: 1,200 = 1200, "twelve" = 12, "30 %" = "30 percent", 9 pm = 21:00, kilometres = km,
"11th" = "eleventh" = "XI", began = begin, French = France. Knows English only through ``english.py`` and ``english_facts.py``,
and nothing of passages and verdicts.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from assistant import english_facts as facts
from assistant.english import COMMON
from assistant.questions import stem

Kind = Literal["number", "name", "word", "function"]

COMMON_WEIGHT = 0.4
"""A word that is common in any text may be put in a hundred other ways."""
TITLE_WEIGHT = 0.5
SCOPE = 3
"""How many words with a meaning of their own a "not" reaches."""

_SCALE = "|".join(facts.MULTIPLIERS)
_TOKEN = re.compile(
    r"(?P<date>\b\d{4}-\d{2}-\d{2}\b)"
    r"|(?P<clock>\b\d{1,2}(?:[:.]\d{2})?\s?(?:[ap]\.m\.|[ap]\.?m\b|in the (?:morning|afternoon|evening)\b|at night\b)|\b\d{1,2}:\d{2}\b|\b\d{1,2}\s(?=o['’]clock))"
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
_QUOTED = re.compile(r"[\"“”„«»]([^\"“”„«»]+)[\"“”„«»]|(?<!\w)[‘']([^‘’']+(?:['’]\w[^‘’']*)*)[’'](?!\w)")
_ATTRIBUTION = re.compile(facts.ATTRIBUTION, re.IGNORECASE)
_NOT_NEGATING = re.compile(facts.NOT_NEGATING, re.IGNORECASE)
_BOUNDS = [(sign, re.compile(rf"(?:{pattern})\W+(?:an?\W+|the\W+)?$", re.IGNORECASE)) for sign, pattern in facts.COMPARED]


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a number of a sentence.

    Attributes:
        text: as written.
        keys: its normal forms; two tokens that share one say the same.
        tags: the groups of words it belongs to that may stand for one another.
        kind: a number, a name (or identifier), a word with a meaning of its own, or one without.
        place: its number in the sentence, counting all tokens.
        rank: its number counting only what says something, a name of several words as one.
        clause: number of the clause it stands in, cut at punctuation.
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

    @property
    def word(self) -> str:
        """In lower case."""
        return self.text.lower()


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence, read.

    Attributes:
        tokens: all of them, in order.
        quotes: what it puts in quotation marks.
        negators: places of the words that deny.
    """

    text: str
    tokens: tuple[Token, ...]
    quotes: tuple[str, ...]
    negators: tuple[int, ...]

    @property
    def content(self) -> tuple[Token, ...]:
        """The tokens that say something."""
        return tuple(token for token in self.tokens if token.kind != "function")

    @property
    def numbers(self) -> tuple[Token, ...]:
        """The numbers, dates and times of day among them."""
        return tuple(token for token in self.tokens if token.kind == "number")


def normal_quote(text: str) -> str:
    """A quote for literal comparison: white space collapsed, one kind of apostrophe, no punctuation at its ends."""
    return " ".join(text.replace("’", "'").replace("‘", "'").split()).strip(" .,;:!?…")


def without_attribution(text: str) -> str:
    """A sentence without what only leads in to it: "According to the guide, …"."""
    while match := _ATTRIBUTION.match(text):
        text = text[match.end() :]
    return text


@lru_cache(maxsize=8192)
def read_claim(text: str) -> Claim:
    """Read a sentence."""
    tokens = list(_with_units(_merge_number_words(list(_raw_tokens(text)))))
    tokens = [
        replace(token, place=place, rank=rank)
        for place, (token, rank) in enumerate(zip(tokens, _ranks(text, tokens), strict=True))
    ]
    negators = tuple(_negators(text, tokens))
    reached = {place for negator in negators for place in _scope(tokens, negator)}
    tokens = [replace(token, negated=True) if token.place in reached else token for token in tokens]
    quotes = tuple(normal_quote(match[1] or match[2]) for match in _QUOTED.finditer(text))
    return Claim(text, tuple(tokens), tuple(quote for quote in quotes if quote), negators)


def _raw_tokens(text: str) -> Iterator[Token]:
    clause, opening, before = 0, True, ""
    for match in _TOKEN.finditer(text):
        kind, said = match.lastgroup, match.group()
        if kind == "mark":
            clause += said not in "–—" or not text[match.end() : match.end() + 1].isdigit()
            opening = opening or said in ".!?"
            continue
        read = _READERS[kind or "word"](text, match, before, opening)
        yield from (replace(token, clause=clause, opening=opening) for token in read)
        opening, before = False, said


def _token(match: re.Match[str], keys: set[str], kind: Kind, **more: object) -> Token:
    return Token(match.group(), frozenset(keys), kind, match.start(), match.end(), **more)  # type: ignore[arg-type]


def _read_date(text: str, match: re.Match[str], before: str, opening: bool) -> list[Token]:
    year, month, day = match.group().split("-")
    month_token = Token(match.group(), frozenset({f"month {int(month)}"}), "name", match.start(), match.end())
    return [_token(match, {str(int(day))}, "number"), month_token, _token(match, {year}, "number")]


def _read_clock(text: str, match: re.Match[str], before: str, opening: bool) -> list[Token]:
    digits = re.findall(r"\d+", match.group())
    hour, minute = int(digits[0]), digits[1] if len(digits) > 1 else "00"
    half = re.sub(r"[^a-z]", "", match.group().lower())
    half = "am" if half == "inthemorning" else "pm" if half.startswith(("inthe", "atnight")) else half
    hours = {hour % 12 + (12 if half == "pm" else 0)} if half else {hour}
    if "clock" in text[match.end() : match.end() + 8]:
        hours = {hour, hour + 12}
    keys = {f"{h}:{minute}" for h in hours} | ({str(h) for h in hours} if minute == "00" else set())
    return [_token(match, keys, "number")]


def _read_nth(text: str, match: re.Match[str], before: str, opening: bool) -> list[Token]:
    number = re.sub(r"\D", "", match.group())
    return [_token(match, {number}, "number")]


def _read_decade(text: str, match: re.Match[str], before: str, opening: bool) -> list[Token]:
    digits = re.sub(r"\D", "", match.group())
    century = {str(int(digits[:-2]) + 1)} if digits.endswith("00") else set()
    return [_token(match, {digits + "s", *century}, "number")]


def _read_number(text: str, match: re.Match[str], before: str, opening: bool) -> list[Token]:
    digits = re.sub(r"[^\d.−-]", "", match.group()).replace("−", "-")
    keys = {_decimal(float(digits))}
    if re.fullmatch(r"\d{1,2}\.[0-5]\d", digits):  # 9.30 may be a time
        keys.add(digits.replace(".", ":"))
    bound = next((sign for sign, pattern in _BOUNDS if pattern.search(text[: match.start()])), "")
    return [_token(match, keys, "number", bound=bound)]


def _read_identifier(text: str, match: re.Match[str], before: str, opening: bool) -> list[Token]:
    name = match.group().lower().strip(".:")
    keys = {word_key(name.replace(".", ""))[0]} if re.fullmatch(r"\w(?:\.\w)+", name) else {name}  # U.S. is US
    keys |= {f"land {facts.DEMONYMS[key]}" for key in set(keys) if key in facts.DEMONYMS}
    return [_token(match, keys, "name")]


def _read_unit(text: str, match: re.Match[str], before: str, opening: bool) -> list[Token]:
    return [_token(match, {facts.UNITS.get(match.group().lower().replace(" ", ""), match.group())}, "function")]


def _read_word(text: str, match: re.Match[str], before: str, opening: bool) -> list[Token]:
    said = match.group().replace("’", "'")
    word = re.sub(r"'s?$", "", said.lower())
    if (
        word in facts.MONTHS
        and (len(word) > 3 or said[0].isupper())
        and (word not in ("may", "march", "mar") or said[0].isupper())
    ):
        return [_token(match, {f"month {facts.MONTHS[word]}"}, "name")]
    if said in ("II", "III", "IV", "VI", "VII", "VIII", "IX", "XI", "XII", "XIII", "XIV", "XV", "XVI") or (
        said in ("I", "V", "X") and before[:1].isupper() and before.lower() not in facts.FUNCTION_WORDS
    ):
        return [_token(match, {str(facts.ROMAN[said.lower()])}, "number")]
    if (word in facts.FUNCTION_WORDS and said != "US") or not word or word.endswith("n't"):
        return [_token(match, {word}, "function", weight=0.0)]
    key, tags = word_key(word)
    keys = {key} | ({f"land {facts.DEMONYMS[word]}"} if word in facts.DEMONYMS else set())
    is_name = said[0].isupper() and not opening and word not in facts.TITLES
    weight = TITLE_WEIGHT if said[0].isupper() and word in facts.TITLES else COMMON_WEIGHT if word in COMMON else 1.0
    if word in facts.LIGHT_VERBS:
        weight = 0.2
    return [_token(match, keys, "name" if is_name else "word", tags=tags, weight=1.0 if is_name else weight)]


_READERS = {
    "date": _read_date,
    "clock": _read_clock,
    "nth": _read_nth,
    "decade": _read_decade,
    "number": _read_number,
    "name": _read_identifier,
    "unit": _read_unit,
    "word": _read_word,
}


@lru_cache(maxsize=65536)
def word_key(word: str) -> tuple[str, frozenset[int]]:
    """A word's stem, irregular forms led back, and the groups of like words it is in."""
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


def _decimal(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _merge_number_words(tokens: list[Token]) -> list[Token]:
    """Read runs of number words ("twenty-one thousand", "3.5 million", "the eleventh") as one number each."""
    merged: list[Token] = []
    at = 0
    while at < len(tokens):
        used, number = _number_at(tokens, at)
        merged.append(number or tokens[at])
        at += used
    return merged


def _number_at(tokens: list[Token], at: int) -> tuple[int, Token | None]:
    """How many tokens from a place on are one number in words, and that number."""
    total, part, used, nth = 0.0, 0.0, 0, False
    first = tokens[at]
    if first.kind == "number":
        if not any(key.replace(".", "").isdigit() for key in first.keys) or first.keys & {""}:
            return 1, None
        part, used = max(float(key) for key in first.keys if key.replace(".", "").isdigit()), 1
    while at + used < len(tokens) and not nth:
        word = tokens[at + used].word
        if used and tokens[at + used].clause != first.clause:
            break
        if word in facts.NUMBER_VALUES and (not used or first.kind != "number"):
            part += facts.NUMBER_VALUES[word]
        elif word in facts.MULTIPLIERS and used:
            scale = facts.MULTIPLIERS[word]
            total, part = (total + part * scale, 0.0) if scale >= 1000 else (total, part * scale)
        elif word in facts.ORDINALS and first.kind != "number" and (used or word not in facts.LOOSE_ORDINALS):
            part, nth = part + facts.ORDINALS[word], True
        elif word == "dozen" and not used:
            part = 12
        elif not (
            word == "and"
            and used
            and tokens[at + used - 1].word in ("hundred", "thousand")
            and at + used + 1 < len(tokens)
            and tokens[at + used + 1].word in facts.NUMBER_VALUES
        ):
            break
        used += 1
    return _fraction_or_number(tokens, at, used, total + part)


def _fraction_or_number(tokens: list[Token], at: int, used: int, value: float) -> tuple[int, Token | None]:
    first = tokens[at]
    if not used:
        if first.word == "half" and first.kind != "number":
            return 1, replace(first, keys=frozenset(facts.FRACTIONS["half"]), kind="number", weight=1.0)
        if first.word in facts.LOOSE_ORDINALS and first.text[0].isupper() and not first.opening:
            return 1, replace(first, keys=frozenset({str(facts.ORDINALS[first.word])}), kind="number", weight=1.0)
        return 1, None
    if used == 1 and first.kind == "number":
        return 1, None
    if used == 1 and first.word == "one":  # seldom a count: "one of the", "the one"
        return 1, None
    return used, replace(
        first, text=first.text, keys=frozenset({_decimal(value)}), kind="number", end=tokens[at + used - 1].end, weight=1.0
    )


def _with_units(tokens: list[Token]) -> Iterator[Token]:
    """Give numbers the units beside them, also the first of two ("10 to 25 m"), and take those words out of the count."""
    units = [facts.UNITS.get(token.word.replace(" ", ""), "") for token in tokens]
    found = [""] * len(tokens)
    taken = set[int]()
    for at, token in enumerate(tokens):
        if token.kind != "number":
            continue
        after = at + 1 if at + 1 < len(tokens) and units[at + 1] and tokens[at + 1].clause == token.clause else None
        if after is not None and not _is_unit(tokens[after], token):
            after = None
        if after is None and at + 2 < len(tokens) and tokens[at + 1].word in ("per", "square", "cubic") and units[at + 2]:
            after = at + 2
        if (
            after is None
            and at
            and token.start - tokens[at - 1].end <= 1
            and tokens[at - 1].text in ("$", "€", "£", "¥", "USD", "EUR", "GBP", "CHF")
        ):
            after = at - 1
        if after is not None:
            found[at] = units[after]
            taken.add(after)
    for at in range(len(tokens) - 2, -1, -1):  # a range's unit stands after its second number
        if tokens[at].kind == "number" and not found[at]:
            following = at + 2 if tokens[at + 1].word in ("to", "and", "or") else at + 1
            is_range = (
                following < len(tokens) and tokens[following].kind == "number" and tokens[following].clause == tokens[at].clause
            )
            if is_range and tokens[following].start - tokens[at].end <= 5:
                found[at] = found[following]
    for at, token in enumerate(tokens):
        if at in taken:
            yield replace(token, kind="function", keys=token.keys | {f"unit {units[at]}"}, weight=0.0)
        else:
            yield replace(token, unit=found[at]) if found[at] else token


def _is_unit(token: Token, number: Token) -> bool:
    """Whether a token after a number is its unit; a bare letter must stand close, and in lower case but for °C, V, W and the like."""
    return len(token.text) > 2 or token.start - number.end <= 1


def _ranks(text: str, tokens: list[Token]) -> Iterator[int]:
    rank, last = -1, None
    for token in tokens:
        if token.kind != "function":
            rank += not (last and goes_on(text, last, token))
            last = token
        yield max(rank, 0)


def goes_on(text: str, token: Token, following: Token) -> bool:
    """Whether two words of a text are parts of one name ("Robert of Jumièges")."""
    are_words = token.kind != "number" and following.kind != "number"
    are_names = are_words and token.text[0].isupper() and following.text[0].isupper()
    return are_names and text[token.end : following.start] in _JOINS


def _negators(text: str, tokens: list[Token]) -> Iterator[int]:
    harmless = [match.span() for match in _NOT_NEGATING.finditer(text)]
    for token in tokens:
        word = token.word.replace("’", "'")
        if word in facts.NEGATORS or word.endswith("n't"):
            if not any(start <= token.start < end for start, end in harmless):
                yield token.place


def _scope(tokens: list[Token], negator: int) -> list[int]:
    """Places of the words that a negator reaches: the next few with a meaning of their own, in its clause."""
    said = tokens[negator]
    reached: list[int] = []
    if said.word in ("nothing", "none", "nobody"):  # "costs nothing"
        before = [token.place for token in tokens[:negator] if token.kind != "function" and token.clause == said.clause]
        if before:
            return before[-1:]
    for token in tokens[negator + 1 :]:
        if token.clause != said.clause or token.word in facts.SCOPE_ENDS or len(reached) == SCOPE:
            break
        if token.kind != "function":
            reached.append(token.place)
    return reached
