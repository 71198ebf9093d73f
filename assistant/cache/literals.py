"""What must stand in both of two questions letter for letter: paths, flags, versions, error codes, identifiers, quotes (pure)."""

import re
from collections.abc import Iterator

from assistant.cache.alignment import Pair, Side, squeeze
from assistant.checking.claims import Claim, normal_quote
from assistant.checking.tokens import Token

_STRICT = re.compile(r"^-{1,2}\w|_|::|@|^[a-z][\w-]*(?:\.\w+)+$|/.*[/.]|^v?\d+(?:\.\d+){2,}$|\.(?:[a-z]{1,4}|\w*\d)$")
"""An identifier that stands for itself, in which capitals, too, say something."""
_INITIALS = re.compile(r"^[^\W\d](?:\.[^\W\d])+\.?$")
_SENTENCE_JOINT = re.compile(r"^[a-z]+\.[A-Z][a-z]*$")
"""A full stop without the space after it."""
_NUMBERED = re.compile(r"\b[A-Za-z]\d{2,}\w*\b")
"""A code of one letter and digits ("E0425")."""
_MIXED = re.compile(r"\b(?=\w*\d)(?=\w*[a-z])[a-z\d]+\b")
"""Letters with digits, as in a formula ("7n3")."""
_DIGITS = re.compile(r"\d+")
_INSIDE = re.compile(r"[\w-]")
_CODE = re.compile(r"`([^`]+)`")
_VERSIONED = re.compile(r"(?:\bversions?|\breleases?|\bv|(?<!^)\b[A-Z]\w+)\s*$")
"""What before a number makes it a version, in which 3.1 and 3.10 are two."""


def other_literals(pair: Pair) -> Iterator[str]:
    """What stands letter for letter in only one of two questions."""
    for side, other in pair.directions:
        yield from _literals(pair, side, other)
    yield from _other_digits(pair)


def _literals(pair: Pair, side: Side, other: Side) -> Iterator[str]:
    """The literals of a question that the other one lacks."""
    text = other.claim.text
    for token in side.claim.tokens:
        said = token.text.rstrip(".:")
        if not (_is_identifier(token) or _is_version(side, token)) or _stands_in(said, text):
            continue
        if token.kind == "number" and any(token.keys & number.keys for number in other.claim.numbers):
            yield f"version {said!r}"
        elif (token.kind != "number" and (is_strict(said) or _is_path(side, token))) or (
            token.kind != "number"
            and _has_code(said)
            and not _is_in_other_letters(said, other)
            and (pair.is_close or _has_product(other))
        ):
            yield f"literal {said!r}"
    codes = _NUMBERED.findall(side.claim.text)
    yield from (f"literal {code!r}" for code in codes if squeeze(code) not in other.squeezed)
    yield from (f"quote {quote!r}" for quote in _quotes(side.claim) if not _is_quoted(quote, side, other))


def _other_digits(pair: Pair) -> Iterator[str]:
    """The same letters with other digits: "7n3", "7n2"."""
    here, there = (set(_MIXED.findall(side.claim.text.lower())) for side in (pair.asked, pair.cached))
    for one in sorted(here - there):
        for two in sorted(there - here):
            if _DIGITS.sub("0", one) == _DIGITS.sub("0", two):
                yield f"literal {one!r} / {two!r}"


def _quotes(claim: Claim) -> list[str]:
    return [*claim.quotes, *(normal_quote(code) for code in _CODE.findall(claim.text))]


def _is_quoted(quote: str, side: Side, other: Side) -> bool:
    """Whether a question has a quote: code as it stands, prose by its words."""
    if re.search(r"[^\w\s'?,.!-]|_", quote) or not re.search(r"[a-z]", quote):
        return _stands_in(quote, normal_quote(other.claim.text))
    said = squeeze(quote)
    return said in other.squeezed or not any(squeeze(token.text) in said for token in side.alone if token.weight >= 1)


def is_strict(said: str) -> bool:
    """Whether an identifier must be written the same in capitals too."""
    if any(len(part) == 1 and part.isalpha() for part in said.split(".")):  # "B.Tech", "U.S."
        return False
    return bool(_STRICT.search(said)) and not _INITIALS.match(said) and not _SENTENCE_JOINT.match(said)


def _is_identifier(token: Token) -> bool:
    is_date = any(key.startswith("month ") for key in token.keys)
    return token.kind == "name" and not is_date and not token.text.replace("'", "").replace("’", "").isalpha()


def _is_path(side: Side, token: Token) -> bool:
    return "/" in token.text and side.claim.text[max(0, token.start - 1) : token.start] in ("/", "~")


def _has_product(side: Side) -> bool:
    return any(_is_identifier(token) and _has_code(token.text) for token in side.alone)


def _has_code(said: str) -> bool:
    """Whether an identifier has both letters and digits, as products and error codes have."""
    return any(c.isdigit() for c in said) and any(c.isalpha() for c in said)


def _is_version(side: Side, token: Token) -> bool:
    before = side.claim.text[: token.start]
    return token.kind == "number" and "." in token.text[1:-1] and bool(_VERSIONED.search(before))


def _stands_in(said: str, text: str) -> bool:
    """Whether something stands in a text as a word of its own."""
    at = text.find(said)
    while at >= 0:
        end = at + len(said)
        if not _INSIDE.match(text[at - 1 : at] or " ") and not _INSIDE.match(text[end : end + 1] or " "):
            return True
        at = text.find(said, at + 1)
    return False


def _is_in_other_letters(said: str, other: Side) -> bool:
    """Whether what has digits in an identifier stands in the other question, in any spelling ("iPhone7", "iPhone 7")."""
    parts = (part for part in re.split(r"[/.:]", said) if any(c.isdigit() for c in part))
    return all(squeeze(part) in other.squeezed for part in parts)
