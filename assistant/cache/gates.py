"""Two questions → why they can't have the same answer, in words (pure): the hard gates of the semantic cache.

An embedding model finds "Can I open it?" and "Can I close it?" alike. Whatever it finds, these speak against a cached answer:

- *literal*: a path, flag, version, error code or quoted text that the other question hasn't got, letter for letter;
- *number*, *date*, *name*: one that the other lacks, or has with another unit;
- *denial* and *opposites*: "not", "without", "un-"; open and close, more and less, before and after;
- *order*: who does what to whom, from where to where (``arguments``);
- *kind*: who, when, where, how much, why, whether;
- *asked*: a thing that is no time and no reason, what is counted, who did it (``asked``);
- *limits*: besides what, after or until when, the highest, what was only wanted, what stopped (``limits``);
- *slot*: the same sentence with another word in one place, or with one more that narrows what is asked.

It knows no passages and no scores: a pair without reasons may still be two questions.
"""

from collections.abc import Iterator

from assistant.cache.alignment import Pair, Side, align, beside, is_capital, is_name_of, squeeze
from assistant.cache.arguments import swapped
from assistant.cache.asked import other_asked
from assistant.cache.kinds import kinds_of, other_kind
from assistant.cache.limits import other_limits
from assistant.cache.literals import other_literals
from assistant.cache.polarity import denials, opposites, used_to
from assistant.cache.slots import other_slots
from assistant.checking.tokens import Token, goes_on
from assistant.language import english, facts

LONGEST = 1000
"""Characters of a question that is still read word by word; of longer ones only the same is the same."""

_COMMON_ENDINGS = ("tion", "sion", "ment", "ness", "ology")
_LISTED = frozenset("top best the these those your my our of first last".split())
"""Words after which a number counts what is listed."""
_YEAR_DIGITS = 4
_CHOICES = 3
"""Words in which two questions that offer a choice may differ: the adverb, and one of each choice's names."""
_HE, _SHE = frozenset("he him his himself".split()), frozenset("she her hers herself".split())


def differences(asked: str, cached: str) -> tuple[str, ...]:
    """Why two questions can't have the same answer, in words ("number 40 / 50"); empty when nothing speaks against it."""
    if asked == cached:
        return ()
    if max(len(asked), len(cached)) > LONGEST:
        return ("too long to compare",)
    pair = align(asked, cached)
    gates = (
        *(other_literals, _other_facts, denials, opposites, used_to, swapped, other_kind, other_asked, other_limits),
        *(_choices, _pronouns, other_slots),
    )
    return tuple(dict.fromkeys(reason for gate in gates for reason in gate(pair)))


def _other_facts(pair: Pair) -> Iterator[str]:
    """Numbers, dates and names, on each side those that the other lacks."""
    for what, lacks in (("number", _numbers), ("date", _dates), ("name", _names)):
        here, there = (" ".join(lacks(pair, side, other)) for side, other in pair.directions)
        if here or there:
            yield f"{what} {here or 'none'} / {there or 'none'}"


def _numbers(pair: Pair, side: Side, other: Side) -> Iterator[str]:
    rivals = [one for one in other.alone if one.kind == "number"]
    for number in side.claim.numbers:
        same = [one for one in other.claim.numbers if one.keys & number.keys]
        if not same:
            is_said = _is_in_text(number, other) or any(_are_thousands(number, one) for one in rivals)
            if not is_said and (rivals or (not pair.loose and not _counts_a_list(side, number))):
                yield number.text
        elif all(one.unit and number.unit and one.unit != number.unit for one in same):
            yield f"{number.text} {number.unit}"
        elif all(one.bound and number.bound and one.bound != number.bound for one in same):
            yield f"{number.bound}{number.text}"
    if any(one.word in facts.ORDINALS for one in other.alone):
        yield from (one.text for one in side.alone if one.word in facts.ORDINALS and one.kind == "word")


def _are_thousands(number: Token, other: Token) -> bool:
    """Whether one of two numbers is the other with a "k" for three zeros."""
    return any(
        long.text.replace(",", "") == f"{short.text}000" and short.unit in ("k", "")
        for long, short in ((number, other), (other, number))
    )


def _counts_a_list(side: Side, number: Token) -> bool:
    """Whether a number says only how many are wanted, or one: "the five tallest trees", "a week", "1 week"."""
    before = beside(side, number, -1)
    is_count = (
        before is not None
        and before.word in _LISTED
        and not number.unit
        and not (number.text.isdigit() and len(number.text) == _YEAR_DIGITS)
    )
    return is_count or "1" in number.keys


def _is_in_text(number: Token, other: Side) -> bool:
    """Whether a number is part of a name in the other question ("iPhone 7", "iPhone7")."""
    names = (token.text for token in other.claim.tokens if token.kind == "name" and any(c.isdigit() for c in token.text))
    words = (token.word for token in other.claim.tokens)
    return any(squeeze(number.text) in squeeze(name) for name in names) or number.word in words


def _dates(_: Pair, side: Side, __: Side) -> Iterator[str]:
    for token in side.alone:
        if token.word in english.CALENDAR and not (token.word == "may" and token.opening):  # "May I …?"
            yield token.text


def _names(pair: Pair, side: Side, other: Side) -> Iterator[str]:
    if _is_title_case(side):
        return
    rivals = any(_is_name(token) and not _known_parts(other, token) for token in other.alone)
    for token in side.alone:
        if not (_is_name(token) or _opens_name(side, token)) or token.word in english.CALENDAR or is_name_of(token, side, other):
            continue
        known = _known_parts(side, token)
        is_rivalled = any(_has_stranger_beside(side, other, part) for part in known) if known else rivals
        if (is_rivalled and pair.is_near) or (not known and not pair.loose):
            yield token.text


def _is_name(token: Token) -> bool:
    return (
        is_capital(token)
        and not token.word.startswith("i'")
        and token.kind != "number"
        and token.word not in english.COMMON
        and token.word not in facts.UNITS
        and token.word not in facts.TITLES
        and not token.word.removesuffix("'s").endswith(_COMMON_ENDINGS)
    )


def _opens_name(side: Side, token: Token) -> bool:
    """Whether a name of several words begins a question."""
    after = beside(side, token, 1)
    return (
        token.opening
        and token.kind == "word"
        and after is not None
        and is_capital(after)
        and goes_on(side.claim.text, token, after)
    )


def _is_title_case(side: Side) -> bool:
    """Whether a question is written Like This, so that a capital says nothing."""
    return any(
        token.kind == "function" and is_capital(token) and len(token.text) > 1 and token.text not in ("US", "IT")
        for token in side.claim.tokens
    )


def _known_parts(side: Side, token: Token) -> list[Token]:
    """Beside a word, the parts of the same name that the other question has ("Ada Brandt", "Brandt")."""
    near = (beside(side, token, -1), beside(side, token, 1))
    return [part for part in near if part and is_capital(part) and part.place in side.partners]


def _has_stranger_beside(side: Side, other: Side, part: Token) -> bool:
    """Whether a part of a name has another name beside it in the other question ("Ada Brandt", "Tom Brandt")."""
    there = side.partners[part.place]
    near = (beside(other, there, -1), beside(other, there, 1))
    return any(one and one in other.alone and one.text[0].isupper() and one.word not in facts.TITLES for one in near)


def _choices(pair: Pair) -> Iterator[str]:
    """Both, or one of the two; these, or only these."""
    words = [{token.word for token in side.claim.tokens} for side in (pair.asked, pair.cached)]
    is_whether = all(kinds_of(side.claim.text) == {"whether"} or _opens_with_be(side) for side in (pair.asked, pair.cached))
    is_crossed = any("and" in one - two and "or" in two - one for one, two in (words, words[::-1]))
    if is_whether and is_crossed and pair.loose <= _CHOICES and not any("any" in said for said in words):
        yield "and / or"
    if not pair.loose and ("only" in words[0]) != ("only" in words[1]) and is_whether:
        yield "only"


def _opens_with_be(side: Side) -> bool:
    return bool(side.claim.tokens) and side.claim.tokens[0].word in facts.BE  # also with an "or", which leaves its kind open


def _pronouns(pair: Pair) -> Iterator[str]:
    """He in the place of she, and a pronoun that one of several names may be meant by."""
    said = [{token.word for token in side.claim.tokens if token.place not in side.partners} for side in (pair.asked, pair.cached)]
    if (said[0] & _HE and said[1] & _SHE) or (said[0] & _SHE and said[1] & _HE):
        yield "he / she"
