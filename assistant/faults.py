"""A claim and a ground → the hard facts of the claim that the ground lacks or contradicts, in words (pure).

Numbers with their units and bounds, names, quotes, negation, opposites, and who does what to whom. No likeness makes up for one of
them. What stands in the ground must also stand in a like place there: a number or a name is wrong when the words beside it in the
claim have another one beside them in the ground.
"""

import re
from collections.abc import Iterator

from assistant import english_facts as facts
from assistant.claims import Claim, Token, normal_quote
from assistant.grounds import Ground, Place, likeness, opposite
from assistant.sentences import plain_text

REACH = 4
"""Words between a name or a number and a neighbour that tells its place in the sentence."""
SLOT = 3
"""Words between that neighbour, in the ground, and another name or number that has taken the place."""
LIGHT = 0.3
"""Weight under which a word tells nothing of a place."""
ARGUMENTS = 6
"""Words between a verb and who does it, or to whom."""

Pair = tuple[Token, Place | None]


def find_faults(claim: Claim, ground: Ground) -> tuple[str, ...]:
    """The hard facts of a claim that a ground lacks or contradicts, in words; none when it may support the claim."""
    pairs = list(zip(claim.content, ground.places, strict=True))
    return tuple(
        dict.fromkeys(
            [
                *_quotes(claim, ground),
                *_numbers(claim, ground),
                *_names(pairs),
                *_slots(pairs, ground),
                *_negations(claim, pairs, ground),
                *_opposites(claim, pairs, ground),
                *_roles(claim, pairs, ground),
            ]
        )
    )


def stands_in(quote: str, text: str) -> bool:
    """Whether a quote stands literally in a text (both as ``normal_quote`` makes them), its cuts ("…", "[…]") aside."""
    pieces = [piece for piece in (normal_quote(piece) for piece in re.split(r"…|\.\.\.|\[[^\]]*\]", quote)) if piece]
    at = 0
    for piece in pieces:
        match = re.compile(r"(?<!\w)" + re.escape(piece) + r"(?!\w)").search(text, at)
        if not match:
            return False
        at = match.end()
    return bool(pieces)


def _quotes(claim: Claim, ground: Ground) -> Iterator[str]:
    if claim.quotes:
        text = normal_quote(plain_text(ground.source.hit.passage.text)).casefold()
        yield from (f"quote {quote!r}" for quote in claim.quotes if not stands_in(quote.casefold(), text))


def _numbers(claim: Claim, ground: Ground) -> Iterator[str]:
    for token in claim.numbers:
        found = [other for sentence in ground.sentences for other in sentence.numbers if other.keys & token.keys]
        fitting = [other for other in found if _same_unit(token, other, ground)]
        if not found:
            yield f"number {token.text!r}"
        elif not fitting:
            yield f"unit of {token.text!r}"
        elif token.bound and all(other.bound not in ("", token.bound) for other in fitting):
            yield f"bound of {token.text!r}"


def _same_unit(token: Token, other: Token, ground: Ground) -> bool:
    """Whether two equal numbers count the same; a unit that a source gives elsewhere (a table's head) is taken to be meant."""
    if token.unit == other.unit or not token.unit:
        return True
    said = (known for sentence in (*ground.sentences, ground.source.above) for known in sentence.tokens)
    return not other.unit and any(
        f"unit {token.unit}" in known.keys or facts.UNITS.get(known.word) == token.unit for known in said
    )


def _names(pairs: list[Pair]) -> Iterator[str]:
    yield from (f"name {token.text!r}" for token, place in pairs if place is None and token.kind == "name")


# A number or a name in another's place.


def _slots(pairs: list[Pair], ground: Ground) -> Iterator[str]:
    for at, (token, place) in enumerate(pairs):
        is_named = token.kind == "name" or (token.text[0].isupper() and token.kind == "word")
        if token.kind != "number" and not is_named:
            continue
        if rival := _rival(pairs, at, ground) or _rival_sentence(pairs, at, ground):
            yield f"{rival.text!r} stands in the place of {token.text!r}"
        elif place is None and token.kind == "word" and not token.opening:
            yield f"name {token.text!r}"


def _rival(pairs: list[Pair], at: int, ground: Ground) -> Token | None:
    """A number or name of the ground, not in the claim, that stands where this token should: beside the words beside it."""
    token, place = pairs[at]
    found: Token | None = None
    for neighbour in _neighbours(pairs, at, 2 if token.kind == "number" else REACH):
        mine = _apart(place, neighbour)
        if mine <= (SLOT if token.kind == "number" else REACH + 1) and not (token.kind == "number" and mine > 1):
            return None
        if place and place.sentence < 0 and _points_back(ground, neighbour):
            return None
        rivals = [other for other in _around(ground, neighbour, SLOT) if _is_rival(token, other) and _is_news(other, pairs, at, ground)]
        nearer = [other for other in rivals if abs(other.place - neighbour.token.place) < mine]
        if not nearer and mine <= SLOT:
            return None
        found = found or (nearer[0] if nearer else None)
    return found


def _around(ground: Ground, place: Place, reach: int) -> list[Token]:
    """The tokens around a place of a ground, the nearest first."""
    tokens = ground.sentences[place.sentence].tokens
    near = tokens[max(0, place.token.place - reach) : place.token.place + reach + 1]
    return sorted(near, key=lambda token: abs(token.place - place.token.place))


def _points_back(ground: Ground, place: Place) -> bool:
    return any(token.word in facts.PRONOUNS for token in _around(ground, place, 2))


def _is_news(other: Token, pairs: list[Pair], at: int, ground: Ground) -> bool:
    """Whether the claim says nothing of a name of the ground, nor of the longer name that it is part of."""
    if any(likeness(said, other) for said, _ in pairs):
        return False
    beside = {place.token.place for i, (_, place) in enumerate(pairs) if place and place.token.text[0].isupper() and abs(i - at) > 1}
    same = any(other in sentence.tokens for sentence in ground.sentences)
    return not (same and other.kind != "number" and {other.place - 1, other.place + 1} & beside)


def _neighbours(pairs: list[Pair], at: int, reach: int) -> Iterator[Place]:
    """Where the words just before and after a token stand, if they stand in the ground."""
    token = pairs[at][0]
    for step in (-1, 1):
        other = at + step
        while 0 <= other < len(pairs) and abs(pairs[other][0].place - token.place) <= reach:
            place = pairs[other][1]
            if place and place.sentence >= 0 and place.token.kind != "function" and pairs[other][0].weight >= LIGHT:
                yield place
                break
            other += step


def _apart(place: Place | None, neighbour: Place) -> float:
    if place is None or place.sentence != neighbour.sentence:
        return float("inf")
    return abs(place.token.place - neighbour.token.place)


def _is_rival(token: Token, other: Token) -> bool:
    if token.kind == "number":
        return other.kind == "number" and _shape(other) == _shape(token) and (other.unit == token.unit or not (other.unit and token.unit))
    return other.kind == "name" or (other.kind == "word" and other.text[0].isupper() and not other.opening)


def _rival_sentence(pairs: list[Pair], at: int, ground: Ground) -> Token | None:
    """A number like this one in the sentence that says most of the claim, when this one stands in another sentence."""
    token, place = pairs[at]
    if token.kind != "number" or place is None:
        return None
    said = [0.0] * len(ground.sentences)
    for other, where in pairs:
        if where and where.sentence >= 0 and other is not token:
            said[where.sentence] += other.weight * where.quality
    main = max(range(len(said)), key=said.__getitem__)
    if main == place.sentence or said[main] <= said[place.sentence]:
        return None
    rivals = [
        other
        for other in ground.sentences[main].numbers
        if _is_rival(token, other) and not any(likeness(said, other) for said, _ in pairs)
    ]
    return rivals[0] if rivals else None


def _shape(token: Token) -> str:
    """Year or not: the one never stands in the place of the other."""
    return "year" if re.fullmatch(r"1\d{3}|20\d{2}", token.text) and not token.unit else "count"


# Denial and direction.


def _negations(claim: Claim, pairs: list[Pair], ground: Ground) -> Iterator[str]:
    theirs = [(number, negator) for number, sentence in enumerate(ground.sentences) for negator in sentence.negators]
    for negator in claim.negators:
        reached = [(token, place) for token, place in pairs if token.negated and token.place > negator - 2][:3]
        found = [place for _, place in reached if place and place.sentence >= 0]
        if any(place.token.negated for place in found) or any(_denied(token, ground) for token, _ in reached):
            continue
        if _said_alike(claim, negator, ground) or (not found and (theirs or _denies(ground))):
            continue
        yield f"{claim.tokens[negator].text!r} is not said"
    if claim.negators or any(token.word in facts.DENYING for token in claim.tokens):
        return
    mine = {(place.sentence, place.token.place) for _, place in pairs if place}
    for number, negator in theirs:
        scope = [token for token in ground.sentences[number].content if token.negated and token.place > negator - 2][:2]
        if any((number, token.place) in mine for token in scope):
            yield f"{ground.sentences[number].tokens[negator].text!r} is left out"


def _said_alike(claim: Claim, negator: int, ground: Ground) -> bool:
    """Whether the ground has the same negation after the same word ("manage without them")."""
    word, before = claim.tokens[negator].word, _content_before(claim, negator)
    same = ((s, other) for s in ground.sentences for other in s.negators if s.tokens[other].word == word)
    return any(before and (after := _content_before(s, other)) and before.keys & after.keys for s, other in same)


def _content_before(claim: Claim, place: int) -> Token | None:
    return next((token for token in reversed(claim.tokens[:place]) if token.kind != "function"), None)


def _denies(ground: Ground) -> bool:
    return any(token.word in facts.DENYING for sentence in ground.sentences for token in sentence.tokens)


def _denied(token: Token, ground: Ground) -> bool:
    """Whether the ground has the opposite of a word that the claim denies."""
    return any(opposite(token, other) for sentence in ground.sentences for other in sentence.tokens)


def _opposites(claim: Claim, pairs: list[Pair], ground: Ground) -> Iterator[str]:
    theirs = [token for sentence in ground.sentences for token in sentence.tokens]
    for token in claim.tokens:
        if token.kind == "number" or token.negated or any(token.keys & other.keys for other in theirs):
            continue
        for other in theirs:
            if opposite(token, other) and not other.negated and not any(other.keys & own.keys for own in claim.tokens):
                yield f"{token.word!r} for {other.word!r}"


# Who does what to whom.


def _roles(claim: Claim, pairs: list[Pair], ground: Ground) -> Iterator[str]:
    """A verb whose two sides have changed places, without a passive to account for it."""
    placed = [(token, place) for token, place in pairs if place and place.sentence >= 0 and place.quality >= 0.8]
    for at, (verb, there) in enumerate(placed):
        if not _is_verb(claim, verb):
            continue
        sentence = ground.sentences[there.sentence]
        left = [pair for pair in placed[:at] if _is_argument(pair, verb, there)][-2:]
        right = [pair for pair in placed[at + 1 :] if _is_argument(pair, verb, there)][:2]
        turned = _is_passive(claim, verb) != _is_passive(sentence, there.token)
        for (a, before), (b, after) in ((x, y) for x in left for y in right):
            mine = after.token.place < there.token.place < before.token.place
            if mine and not turned and a.keys != b.keys:
                yield f"{a.text!r} and {b.text!r} have changed places"
            elif turned and before.token.place < there.token.place < after.token.place and a.keys != b.keys:
                if _by(claim, b) or _by(sentence, after.token):
                    yield f"{a.text!r} and {b.text!r} have changed places"


def _is_argument(pair: tuple[Token, Place | None], verb: Token, there: Place) -> bool:
    token, place = pair
    return (
        place is not None
        and place.sentence == there.sentence
        and token.text[0].isupper()
        and token.kind != "number"
        and place.token.text[0].isupper()
        and abs(token.place - verb.place) <= 2 * ARGUMENTS
    )


def _is_passive(claim: Claim, verb: Token) -> bool:
    """Whether a verb is in the passive: a form of "be" close before it, or "by" close after it."""
    if not (verb.word.endswith(("ed", "en")) or verb.word in facts.IRREGULAR):
        return False
    before, after = claim.tokens[max(0, verb.place - 3) : verb.place], claim.tokens[verb.place + 1 : verb.place + 4]
    return any(token.word in facts.BE for token in before) or any(token.word == "by" for token in after)


def _is_verb(claim: Claim, token: Token) -> bool:
    """Whether a word looks like a verb, or like a comparison or direction, which has two sides as well."""
    if token.kind != "word" or token.text[0].isupper() or token.word in facts.SYMMETRIC:
        return False
    before = claim.tokens[token.place - 1].word if token.place else ""
    after = claim.tokens[token.place + 1].word if token.place + 1 < len(claim.tokens) else ""
    return (
        token.word.endswith(("ed", "ing"))
        or token.word in facts.IRREGULAR
        or before in facts.BEFORE_VERBS
        or (token.word.endswith("s") and not token.word.endswith("ss") and after in facts.AFTER_VERBS)
        or after == "than"
        or token.word in facts.COMPASS
    )


def _by(claim: Claim, token: Token) -> bool:
    return any(other.word == "by" for other in claim.tokens[max(0, token.place - 3) : token.place])
