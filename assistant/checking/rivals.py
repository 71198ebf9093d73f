"""A name or a number in another's place: it stands in the passage, but not where the claim puts it (pure).

The words beside it in the claim are looked up in the ground. If another name or number stands beside them there, it is its
*rival*, and the claim is wrong. Word order between a name and its neighbours may change only as a passive, or an "A is B" said
the other way round, changes it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from assistant.checking.grounds import Ground, Match, Place, likeness
from assistant.checking.roles import is_passive
from assistant.checking.tokens import Token, goes_on
from assistant.language import facts

NEIGHBOURS = 2
"""Words with a meaning of their own on each side of a name or a number that tell its place in the sentence."""
AROUND = 4
"""Words on each side by which the sentence of a ground is known that it should stand in."""
SLOT = 3
"""Words between such a neighbour, in the ground, and another name or number that has taken the place."""
FAR = 20
"""Words between a name and its neighbour beyond which the one says nothing of the other."""


@dataclass(frozen=True, slots=True)
class Run:
    """Words of a claim that make one name ("Duke William of Normandy"), or one number.

    Attributes:
        first, last: places among the claim's content tokens.
        home: the sentence of the ground that says most of what stands around it.
    """

    first: int
    last: int
    home: int = -1


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A word beside a run.

    Attributes:
        at: its place among the claim's content tokens.
        side: 1 when it stands before the run, -1 when after.
        apart: words from it to the run.
    """

    at: int
    side: int
    apart: int


def displaced(match: Match) -> Iterator[str]:
    """The names and numbers of a claim that stand in another's place, in words."""
    for run in runs(match):
        said = match.pairs[run.first][0]
        rival = _rival(match, run) or _rival_inside(match, run) or _rival_number(match, run)
        if rival:
            yield f"{rival.text!r} stands in the place of {said.text!r}"
        elif _is_borrowed(match, run) and (said.kind == "number" or not _may_mean(match, run)):
            yield f"{'number' if said.kind == 'number' else 'name'} {said.text!r}"
        elif run.first == run.last and said.kind == "word" and not said.opening and match.pairs[run.first][1] is None:
            yield f"name {said.text!r}"


def strays(match: Match) -> float:
    """Weight of the names and numbers of a claim that stand outside of the sentence that says what stands around them."""
    return sum(
        sum(match.pairs[at][0].weight for at in range(run.first, run.last + 1))
        for run in runs(match)
        if not any(place.sentence == run.home for place in _places(match, run))
    )


def runs(match: Match) -> Iterator[Run]:
    """The names and numbers of a claim."""
    first: int | None = None
    for at, (token, place) in enumerate(match.pairs):
        if token.kind == "number":
            yield Run(at, at, _home(match, at, at))
        elif _is_named(token, place):
            first = at if first is None else first
            following = match.pairs[at + 1] if at + 1 < len(match.pairs) else None
            if following and _is_named(*following) and goes_on(match.claim.text, token, following[0]):
                continue
            yield Run(first, at, _home(match, first, at))
            first = None


def _is_named(token: Token, place: Place | None) -> bool:
    if token.kind == "number":
        return False
    if not token.text[0].isupper():
        return token.kind == "name"
    return not token.opening or (token.weight >= 1 and (place is None or place.token.text[0].isupper()))


def _home(match: Match, first: int, last: int) -> int:
    said = [0.0] * len(match.ground.sentences)
    for at, (token, _) in enumerate(match.pairs):
        apart = max(match.pairs[first][0].rank - token.rank, token.rank - match.pairs[last][0].rank)
        if not first <= at <= last and apart <= AROUND:
            for sentence in {place.sentence for place in match.ground.options[at] if place.sentence >= 0}:
                said[sentence] += token.weight / (1 + apart)
    return max(range(len(said)), key=said.__getitem__)


def _places(match: Match, run: Run) -> list[Place]:
    return [place for at in range(run.first, run.last + 1) for place in match.ground.options[at]]


def _rival(match: Match, run: Run) -> Token | None:
    """A name or number that stands beside the words that this one stands beside in the claim, where this one doesn't."""
    here = [place for place in _places(match, run) if place.sentence == run.home and _as_named(place)]
    beside = [(one, place) for one in _beside(match, run) for place in match.ground.options[one.at] if place.sentence == run.home]
    if any(_is_near(match, run, one, place, mine) for one, place in beside for mine in here):
        return None
    nearest = {one.side: one.at for one, _ in reversed(beside)}
    beside_now = [(one, place) for one, place in beside if nearest[one.side] == one.at]
    for one, place in beside_now:
        if usurpers := _usurpers(match, run, one, place):
            return usurpers[0]
    if any(_is_moved(match, run, one, place, mine) for one, place in beside for mine in here):
        return None
    for one, place in beside_now:
        rivals = _newcomers(match, run, one, place) or _turncoats(match, run, one, place)
        if rivals and (here or not _points_back(match.ground, place, rivals[0], one.side)):
            return rivals[0]
    return None


def _as_named(place: Place) -> bool:
    return place.token.kind in ("number", "name") or place.token.text[0].isupper()


def _beside(match: Match, run: Run) -> Iterator[Neighbour]:
    """The content tokens around a run that stand in the ground, the nearest first."""
    for step, edge in ((-1, run.first), (1, run.last)):
        said = match.pairs[edge][0]
        at = edge + step
        while 0 <= at < len(match.pairs) and abs(match.pairs[at][0].rank - said.rank) <= NEIGHBOURS:
            place = match.pairs[at][1]
            if place and place.sentence >= 0:
                yield Neighbour(at, -step, abs(match.pairs[at][0].place - said.place))
            at += step


def _edge(match: Match, run: Run, one: Neighbour) -> Token:
    return match.pairs[run.first if one.side > 0 else run.last][0]


def _is_near(match: Match, run: Run, one: Neighbour, place: Place, mine: Place) -> bool:
    """Whether a run stands about as near to a neighbour in the ground as in the claim."""
    apart = abs(_edge(match, run, one).rank - match.pairs[one.at][0].rank)
    return abs(mine.token.rank - place.token.rank) <= apart + 1


def _is_moved(match: Match, run: Run, one: Neighbour, place: Place, mine: Place) -> bool:
    """Whether a name stands farther from a neighbour than in the claim, but on the side where it should."""
    edge, said = _edge(match, run, one), match.pairs[one.at][0]
    if edge.kind == "number" or abs(mine.token.place - place.token.place) > FAR:
        return False
    low, high = sorted((edge.place, said.place))
    if any(token.word in facts.BE for token in match.claim.tokens[low:high]):  # "A is B" may be said the other way round
        return True
    same_side = one.side * (mine.token.place - place.token.place) > 0
    return same_side != _is_turned(match, said, place)


def _is_turned(match: Match, said: Token, place: Place) -> bool:
    return is_passive(match.claim, said) != is_passive(match.ground.sentences[place.sentence], place.token)


def _newcomers(match: Match, run: Run, one: Neighbour, place: Place) -> list[Token]:
    """Names or numbers near a neighbour in the ground of which the claim says nothing."""
    near = _around(match.ground, place, max(SLOT, one.apart + 1))
    return [other for other in near if _is_alike(match, run, other) and _is_news(match, run, other)]


def _usurpers(match: Match, run: Run, one: Neighbour, place: Place) -> list[Token]:
    """Those of them that stand just where this one should, in the same clause."""
    side = -one.side if _is_turned(match, match.pairs[one.at][0], place) else one.side
    return [
        other
        for other in _newcomers(match, run, one, place)
        if 0 < side * (other.place - place.token.place) <= one.apart and other.clause == place.token.clause
    ]


def _turncoats(match: Match, run: Run, one: Neighbour, place: Place) -> list[Token]:
    """Names that the claim has elsewhere, just where this one should stand."""
    if match.pairs[one.at][0].text[0].isupper() or is_passive(match.ground.sentences[place.sentence], place.token):
        return []
    near = (other for other in _around(match.ground, place, one.apart) if one.side * (other.place - place.token.place) > 0)
    return [other for other in near if other.kind != "number" and _is_alike(match, run, other)]


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


def _is_alike(match: Match, run: Run, other: Token) -> bool:
    """Whether a token of the ground could stand in a run's place: a name for a name, a year for a year."""
    token = match.pairs[run.first][0]
    if token.kind == "number":
        same_unit = other.unit == token.unit or not (other.unit and token.unit)
        return other.kind == "number" and _is_year(other) == _is_year(token) and same_unit
    if other.kind != "word":
        return other.kind == "name"
    return other.text[0].isupper() and (not other.opening or bool(other.keys & match.ground.source.names))


def _is_year(token: Token) -> bool:
    return not token.unit and bool(re.fullmatch(r"1\d{3}|20\d{2}", token.text))


def _is_news(match: Match, run: Run, other: Token) -> bool:
    """Whether the claim says nothing of a name of the ground, nor of the longer name that it is part of."""
    if any(likeness(said, other) for said, _ in match.pairs):
        return False
    if other.kind == "number":
        return True
    claimed = {
        (place.sentence, place.token.place)
        for at, (_, place) in enumerate(match.pairs)
        if place and place.token.text[0].isupper() and not run.first - 1 <= at <= run.last + 1
    }
    sentences = enumerate(match.ground.sentences)
    return not any(
        {(n, other.place - 1), (n, other.place + 1)} & claimed for n, sentence in sentences if other in sentence.tokens
    )


def _rival_inside(match: Match, run: Run) -> Token | None:
    """A name beside a part of this one in the ground ("Robert Crispin"), where the claim has another ("Robert Guiscard")."""
    options = match.ground.options
    for at in range(run.first, run.last + 1) if run.last > run.first else ():
        for mate in (other for other in (at - 1, at + 1) if run.first <= other <= run.last):
            places = [place for place in options[mate] if place.sentence >= 0]
            if not places or any(_apart(mine, place) <= SLOT for mine in options[at] for place in places):
                break
            rivals = [other for place in places for other in _around(match.ground, place, 1) if other.kind == "name"]
            news = [other for other in rivals if not any(likeness(said, other) for said, _ in match.pairs)]
            if news and len(news) >= len(places):
                return news[0]
    return None


def _apart(one: Place, other: Place) -> float:
    return abs(one.token.place - other.token.place) if one.sentence == other.sentence else float("inf")


def _rival_number(match: Match, run: Run) -> Token | None:
    """A number like this one in the sentence that says what stands around it in the claim, when this one stands elsewhere."""
    token = match.pairs[run.first][0]
    if token.kind != "number" or any(place.sentence == run.home for place in match.ground.options[run.first]):
        return None
    rivals = (other for other in match.ground.sentences[run.home].numbers if _is_alike(match, run, other))
    return next((other for other in rivals if not any(likeness(said, other) for said, _ in match.pairs)), None)


def _is_borrowed(match: Match, run: Run) -> bool:
    """Whether a number comes from a sentence of the ground that has nothing else to say in the claim."""
    places = _places(match, run)
    if not places or any(place.sentence == run.home for place in places):
        return False
    sentences = {place.sentence for place in places if place.sentence >= 0}
    others = (
        {place.sentence for place in match.ground.options[at]}
        for at, (token, _) in enumerate(match.pairs)
        if not run.first <= at <= run.last and abs(token.rank - match.pairs[run.first][0].rank) <= 2 * AROUND
    )
    return not any(there & sentences and run.home not in there for there in others)


def _may_mean(match: Match, run: Run) -> bool:
    """Whether a sentence may mean a name that it doesn't say: by a pronoun, or because the passage is about nothing else."""
    home = match.ground.sentences[run.home]
    above = match.ground.source.above
    if any(token.word in facts.PRONOUNS for token in home.tokens):
        return True
    return any(likeness(match.pairs[at][0], other) for at in range(run.first, run.last + 1) for other in above.content)
