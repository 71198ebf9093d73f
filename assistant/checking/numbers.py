"""Number words and units: "twenty-one thousand", "3.5 million", "the eleventh", "10 to 25 m", "$5" → one number each (pure)."""

from collections.abc import Sequence

from assistant.checking.tokens import Token, decimal
from assistant.language import facts

RANGE_CHARACTERS = 5
"""Characters between the two numbers of a range: "10 to 25", "10–25"."""


def put_together(tokens: Sequence[Token]) -> list[Token]:
    """Make one token of each number in words, and give numbers their units; a unit's word then says nothing by itself."""
    merged: list[Token] = []
    at = 0
    while at < len(tokens):
        used, keys = _number_at(tokens, at)
        token = tokens[at]
        if keys:
            token.keys, token.kind, token.weight, token.end = frozenset(keys), "number", 1.0, tokens[at + used - 1].end
        merged.append(token)
        at += used
    _give_units(merged)
    return merged


def _number_at(tokens: Sequence[Token], at: int) -> tuple[int, tuple[str, ...]]:
    """How many tokens from a place on are one number in words, and its keys; none where there is nothing to put together."""
    first = tokens[at]
    has_digits = first.kind == "number"
    part, used = _starting_value(first)
    if has_digits and not used:
        return 1, ()
    total, is_ordinal = 0.0, False
    while at + used < len(tokens) and not is_ordinal and tokens[at + used].clause == first.clause:
        word = tokens[at + used].word
        if word in facts.NUMBER_VALUES and not has_digits:
            part += facts.NUMBER_VALUES[word]
        elif word in facts.MULTIPLIERS and (used or word == "dozen"):
            scale = facts.MULTIPLIERS[word]
            total, part = (total + part * scale, 0.0) if scale >= 1000 else (total, max(part, 1.0) * scale)
        elif word in facts.ORDINALS and not has_digits and (used or word not in facts.LOOSE_ORDINALS):
            part, is_ordinal = part + facts.ORDINALS[word], True
        elif not (used and _joins_hundreds(tokens, at + used)):
            break
        used += 1
    if used > has_digits and not (used == 1 and first.word == "one"):  # "one" is seldom a count: "one of the"
        return used, (decimal(total + part),)
    return 1, () if has_digits else _single(first)


def _starting_value(first: Token) -> tuple[float, int]:
    if first.kind != "number":
        return 0.0, 0
    plain = [key for key in first.keys if key.replace(".", "", 1).isdigit()]
    return (max(map(float, plain)), 1) if plain else (0.0, 0)


def _joins_hundreds(tokens: Sequence[Token], at: int) -> bool:
    """Whether an "and" stands inside a number: "two hundred and twelve"."""
    inside = tokens[at].word == "and" and tokens[at - 1].word in ("hundred", "thousand")
    return inside and at + 1 < len(tokens) and tokens[at + 1].word in facts.NUMBER_VALUES


def _single(token: Token) -> tuple[str, ...]:
    if token.word == "half":
        return facts.HALF
    if token.word in facts.LOOSE_ORDINALS and token.text[0].isupper() and not token.opening:  # the Second World War
        return (str(facts.ORDINALS[token.word]),)
    return ()


def _give_units(tokens: list[Token]) -> None:
    taken: dict[int, str] = {}
    for at, token in enumerate(tokens):
        if token.kind == "number" and (place := _unit_of(tokens, at)) is not None:
            token.unit = taken[place] = _unit(tokens[place])
    for at in range(len(tokens) - 2, -1, -1):  # a range's unit stands after its second number
        if tokens[at].kind == "number" and not tokens[at].unit:
            following = at + 2 if tokens[at + 1].word in ("to", "and", "or") else at + 1
            if following < len(tokens) and _is_range(tokens[at], tokens[following]):
                tokens[at].unit = tokens[following].unit
    for place, unit in taken.items():
        token = tokens[place]
        token.kind, token.weight, token.keys = "function", 0.0, token.keys | {f"unit {unit}"}


def _unit(token: Token) -> str:
    return facts.UNITS.get(token.word.replace(" ", ""), "")


def _unit_of(tokens: Sequence[Token], at: int) -> int | None:
    """The place of a number's unit: after it, after "square" or "per", or, for a currency, before it."""
    number = tokens[at]
    after = tokens[at + 1] if at + 1 < len(tokens) else None
    if after and _unit(after) and after.clause == number.clause and (len(after.text) > 2 or after.start - number.end <= 1):
        return at + 1
    if after and after.word in ("per", "square", "cubic") and at + 2 < len(tokens) and _unit(tokens[at + 2]):
        return at + 2
    if at and number.start - tokens[at - 1].end <= 1 and tokens[at - 1].text in facts.CURRENCY_SIGNS:
        return at - 1
    return None


def _is_range(first: Token, second: Token) -> bool:
    return second.kind == "number" and second.clause == first.clause and second.start - first.end <= RANGE_CHARACTERS
