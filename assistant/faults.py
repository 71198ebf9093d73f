"""A claim and a ground → the hard facts of the claim that the ground lacks or contradicts, in words (pure).

Numbers with their units and bounds, names, quotes, negation, opposites, and who does what to whom. No likeness makes up for one of
them. What stands in the ground must also stand in a like place there: a number or a name is wrong when the words beside it in the
claim have another one beside them in the ground.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from assistant import english_facts as facts
from assistant.claims import Claim, Token, goes_on, normal_quote
from assistant.grounds import Ground, Place, likeness, opposite, shared
from assistant.sentences import plain_text

NEIGHBOURS = 2
"""Words with a meaning of their own on each side of a name or a number that tell its place in the sentence."""
AROUND = 4
"""Words on each side by which the sentence of a ground is known that it should stand in."""
SLOT = 3
"""Words between such a neighbour, in the ground, and another name or number that has taken the place."""
FAR = 20
"""Words between a name and its neighbour beyond which the one says nothing of the other."""
MAIN = 0.7
"""A sentence that says so much less of a claim than another one has nothing to deny in it."""
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
                *_names(claim, pairs),
                *_slots(claim, pairs, ground),
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


def _names(claim: Claim, pairs: list[Pair]) -> Iterator[str]:
    for token, place in pairs:
        if (place is None and token.kind == "name") or _unknown_opening(claim, token, place):
            yield f"name {token.text!r}"


# A number or a name in another's place.


@dataclass(frozen=True, slots=True)
class _Run:
    """Words of a claim that make one name ("Duke William of Normandy"), or one number.

    Attributes:
        first, last: places among the claim's content tokens.
    """

    first: int
    last: int


def _slots(claim: Claim, pairs: list[Pair], ground: Ground) -> Iterator[str]:
    for run in _runs(claim, pairs):
        said = pairs[run.first][0]
        if rival := _rival(claim, pairs, run, ground) or _rival_inside(pairs, run, ground) or _rival_sentence(pairs, run, ground):
            yield f"{rival.text!r} stands in the place of {said.text!r}"
        elif run.first == run.last and said.kind == "word" and not said.opening and pairs[run.first][1] is None:
            yield f"name {said.text!r}"


def _unknown_opening(claim: Claim, token: Token, place: Place | None) -> bool:
    """Whether a word that begins the claim, and stands nowhere in the passage, can only be a name ("Napoleon invaded …")."""
    if place is not None or not token.opening or not token.text[0].isupper() or token.weight < 1:
        return False
    after = claim.tokens[token.place + 1].word if token.place + 1 < len(claim.tokens) else ""
    if token.word.endswith(("s", "ing", "ed", "ly")) and not token.word.endswith("'s"):
        return False
    return token.word.endswith("'s") or after in facts.BE or after.endswith("ed") or after in facts.IRREGULAR


def _runs(claim: Claim, pairs: list[Pair]) -> Iterator[_Run]:
    first: int | None = None
    for at, (token, place) in enumerate(pairs):
        if token.kind == "number":
            yield _Run(at, at)
        is_named = _is_named(token, place)
        if is_named and first is None:
            first = at
        following = pairs[at + 1] if at + 1 < len(pairs) else None
        joins = is_named and following is not None and _is_named(*following) and goes_on(claim.text, token, following[0])
        if first is not None and not joins:
            yield _Run(first, at if is_named else at - 1)
            first = None


def _is_named(token: Token, place: Place | None) -> bool:
    if token.kind == "number" or not token.text[0].isupper():
        return token.kind == "name"
    return not token.opening or (token.weight >= 1 and (place is None or place.token.text[0].isupper()))


def _rival(claim: Claim, pairs: list[Pair], run: _Run, ground: Ground) -> Token | None:
    """A name or number of the ground that stands beside the words that this one stands beside in the claim, where this doesn't."""
    token = pairs[run.first][0]
    home = _home(pairs, run, ground)
    here = [
        place
        for at in range(run.first, run.last + 1)
        for place in ground.options[at]
        if place.sentence == home and _as_named(place)
    ]
    found: Token | None = None
    nearest = set[int]()
    for side, at, apart in _beside(pairs, run):
        neighbours = [place for place in ground.options[at] if place.sentence == home]
        if any(_keeps(claim, pairs, run, at, place, neighbour, ground) for place in here for neighbour in neighbours):
            return None
        for neighbour in neighbours if side not in nearest and not found else ():
            rivals = [
                other
                for other in _around(ground, neighbour, max(SLOT, apart + 1))
                if _is_rival(token, other, ground)
                and (_is_news(other, pairs, run, ground) or _takes_side(other, neighbour, side, apart, ground, pairs[at][0]))
            ]
            if rivals and (here or not _points_back(ground, neighbour, rivals[0], side)):
                found = found or rivals[0]
        if neighbours:
            nearest.add(side)
    return found


def _as_named(place: Place) -> bool:
    return place.token.kind == "number" or place.token.text[0].isupper() or place.token.kind == "name"


def strays(claim: Claim, ground: Ground) -> float:
    """Weight of the names and numbers of a claim that stand outside of the sentence that says what stands around them."""
    pairs = list(zip(claim.content, ground.places, strict=True))
    found = 0.0
    for run in _runs(claim, pairs):
        home = _home(pairs, run, ground)
        tokens = range(run.first, run.last + 1)
        if not any(place.sentence == home for at in tokens for place in ground.options[at]):
            found += sum(pairs[at][0].weight for at in tokens)
    return found


def _home(pairs: list[Pair], run: _Run, ground: Ground) -> int:
    """The sentence of the ground that says most of what stands around a name or a number in the claim."""
    said = [0.0] * len(ground.sentences)
    for at, (token, _) in enumerate(pairs):
        apart = max(pairs[run.first][0].rank - token.rank, token.rank - pairs[run.last][0].rank)
        if run.first <= at <= run.last or apart > AROUND:
            continue
        for sentence in {place.sentence for place in ground.options[at]}:
            if sentence >= 0:
                said[sentence] += token.weight / (1 + apart)
    return max(range(len(said)), key=said.__getitem__)


def _beside(pairs: list[Pair], run: _Run) -> Iterator[tuple[int, int, int]]:
    """The content tokens around a run that stand in the ground, the nearest first: side, place among them, words away."""
    for step, edge in ((-1, run.first), (1, run.last)):
        at = edge + step
        while 0 <= at < len(pairs) and abs(pairs[at][0].rank - pairs[edge][0].rank) <= NEIGHBOURS:
            place = pairs[at][1]
            if place and place.sentence >= 0:
                yield -step, at, abs(pairs[at][0].place - pairs[edge][0].place)
            at += step


def _keeps(claim: Claim, pairs: list[Pair], run: _Run, at: int, place: Place, neighbour: Place, ground: Ground) -> bool:
    """Whether a name or number stands to a neighbour in the ground as it does in the claim."""
    if place.sentence != neighbour.sentence:
        return False
    edge = pairs[run.first if at < run.first else run.last][0]
    apart = abs(place.token.rank - neighbour.token.rank)
    if apart <= abs(edge.rank - pairs[at][0].rank) + 1:
        return True
    if edge.kind == "number" or abs(place.token.place - neighbour.token.place) > FAR:
        return False
    low, high = sorted((edge.place, pairs[at][0].place))
    if any(token.word in facts.BE for token in claim.tokens[low:high]):  # "A is B" may be said the other way round
        return True
    turned = _is_passive(claim, pairs[at][0]) != _is_passive(ground.sentences[neighbour.sentence], neighbour.token)
    same = (edge.place < pairs[at][0].place) == (place.token.place < neighbour.token.place)
    return same != turned


def _takes_side(other: Token, neighbour: Place, side: int, apart: int, ground: Ground, verb: Token) -> bool:
    """Whether a name that the claim has elsewhere stands just here, on the same side of the neighbour."""
    if other.kind == "number" or _is_passive_at(ground, neighbour) or verb.text[0].isupper():
        return False
    return 0 < side * (other.place - neighbour.token.place) <= apart


def _is_passive_at(ground: Ground, place: Place) -> bool:
    return _is_passive(ground.sentences[place.sentence], place.token)


def _rival_inside(pairs: list[Pair], run: _Run, ground: Ground) -> Token | None:
    """A name beside a part of this one in the ground ("Robert Crispin"), where the claim has another ("Robert Guiscard")."""
    for at in range(run.first, run.last + 1):
        mates = [other for other in (at - 1, at + 1) if run.first <= other <= run.last]
        if pairs[at][0].kind == "number" or not mates:
            continue
        for mate in mates:
            places = [place for place in ground.options[mate] if place.sentence >= 0]
            if not places or any(_apart(mine, place) <= 3 for mine in ground.options[at] for place in places):
                break
            rivals = [other for place in places for other in _around(ground, place, 1) if other.kind == "name"]
            news = [other for other in rivals if not any(likeness(said, other) for said, _ in pairs)]
            if news and len(news) >= len(places):
                return news[0]
    return None


def _around(ground: Ground, place: Place, reach: int) -> list[Token]:
    """The tokens around a place of a ground, the nearest first."""
    tokens = ground.sentences[place.sentence].tokens
    near = tokens[max(0, place.token.place - reach) : place.token.place + reach + 1]
    return sorted(near, key=lambda token: abs(token.place - place.token.place))


def _points_back(ground: Ground, place: Place, rival: Token, side: int) -> bool:
    """Whether a pronoun stands where a name should, nearer than a rival: an earlier sentence's name may be meant by it."""
    apart = abs(rival.place - place.token.place)
    near = (token for token in _around(ground, place, apart - 1) if side * (token.place - place.token.place) > 0)
    return any(token.word in facts.PRONOUNS for token in near)


def _is_news(other: Token, pairs: list[Pair], run: _Run, ground: Ground) -> bool:
    """Whether the claim says nothing of a name of the ground, nor of the longer name that it is part of."""
    if any(likeness(said, other) for said, _ in pairs):
        return False
    if other.kind == "number":
        return True
    claimed = {
        (place.sentence, place.token.place)
        for at, (_, place) in enumerate(pairs)
        if place and place.token.text[0].isupper() and not run.first - 1 <= at <= run.last + 1
    }
    return not any(
        {(number, other.place - 1), (number, other.place + 1)} & claimed
        for number, sentence in enumerate(ground.sentences)
        if other in sentence.tokens
    )


def _apart(place: Place | None, neighbour: Place) -> float:
    if place is None or place.sentence != neighbour.sentence or place.sentence < 0:
        return float("inf")
    return abs(place.token.place - neighbour.token.place)


def _is_rival(token: Token, other: Token, ground: Ground) -> bool:
    if token.kind == "number":
        same = other.unit == token.unit or not (other.unit and token.unit)
        return other.kind == "number" and _shape(other) == _shape(token) and same
    if other.kind == "name":
        return True
    return other.kind == "word" and other.text[0].isupper() and (not other.opening or bool(other.keys & ground.source.names))


def _rival_sentence(pairs: list[Pair], run: _Run, ground: Ground) -> Token | None:
    """A number like this one in the sentence that says what stands around it in the claim, when this one stands elsewhere."""
    token, home = pairs[run.first][0], _home(pairs, run, ground)
    if token.kind != "number" or any(place.sentence == home for place in ground.options[run.first]):
        return None
    rivals = (other for other in ground.sentences[home].numbers if _is_rival(token, other, ground))
    return next((other for other in rivals if not any(likeness(said, other) for said, _ in pairs)), None)


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
    said = [sum(shared(claim.content, sentence)) for sentence in ground.sentences]
    for number, negator in theirs:
        if said[number] < MAIN * max(said):
            continue
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
