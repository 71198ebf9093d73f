"""What two questions ask for: a thing that is no time and no reason, what is counted, and who does it (pure)."""

import re
from collections.abc import Iterator

from assistant.cache.alignment import Pair, Side
from assistant.cache.arguments import is_symmetric
from assistant.cache.kinds import kinds_of
from assistant.checking.tokens import Token
from assistant.followup import grammar
from assistant.language import facts

_AUXILIARY = r"(?:is|are|was|were|do|does|did|can|could|may|might|must|should|shall|has|have|had|will|would)"
_THING = re.compile(
    rf"^\W*(?:(?:in|on|at|to|for|from|by|with|of|under|into|through|about) )?(?:what|which) "
    rf"(?P<noun>(?!{_AUXILIARY}\b)(?:[a-z-]+ ){{0,2}}?[a-z-]+) {_AUXILIARY}\b",
    re.IGNORECASE,
)
_DOING = re.compile(r"^\W*which (?P<noun>(?!.*\bone\b)[a-z-]+ [a-z-]+(?:ed|s))\b", re.IGNORECASE)
"""A noun and what may be its verb ("Which train goes …")."""
_TIMES = frozenset(
    """time date day month year week hour century decade era period age season moment point stage phase event occasion war battle
    reign generation summer winter spring autumn fall minute second deadline dynasty night morning evening afternoon weekday
    weekend birthday anniversary case situation condition circumstance age grade step order interval date term millennium
    duration length session semester quarter festival holiday""".split()
)
_CAUSES = frozenset(
    """reason cause purpose factor motive ground problem thing event explanation logic point basis aim goal law rule mistake error
    use sense good effect benefit advantage idea evidence circumstance condition difference issue way kind type sort
    mechanism process property principle force argument feature right""".split()
)
_AMOUNTS = frozenset(
    """number amount price cost fee percentage percent fraction proportion share rate size speed level population quantity
    volume weight length height width depth distance temperature sum money salary total ratio range part age score kind type
    degree interest bit charge grade mark majority value""".split()
)
_UNPERSONAL = frozenset(
    """newspaper magazine book language word colour color river lake mountain sea ocean road street bridge ship boat car animal
    plant tree metal element disease drug gas liquid number letter document treaty battle war instrument tool device machine
    material substance method technique process theory title award prize building church castle food""".split()
)
"""What is never asked for with "who"."""
_UNFIT = {"when": _TIMES, "how long": _TIMES | _AMOUNTS, "how often": _TIMES | _AMOUNTS, "why": _CAUSES, "how much": _AMOUNTS}
_NO_NOUNS = frozenset("actually exactly really else to one ever other on in the a if about of".split())
_KINDS_OF = frozenset("kind kinds type types sort sorts number different total various other more times".split())
_OPEN = frozenset("mean means meant cost costs happen happens happened call called say said think know".split())
_DO = frozenset("do does did can could will would should must may might has have had".split())
_ASKING = frozenset(["who", "whom", "what", "which"])
NEAR = 3
"""Words after a verb of which one is what it is done to."""


def other_asked(pair: Pair) -> Iterator[str]:
    """Two questions that ask for two things, though their words are much the same."""
    if not pair.is_near:
        return
    yield from _other_counted(pair)
    yield from _other_role(pair)
    yield from _other_end(pair)
    for side, other in pair.directions:
        yield from _no_time(side, other)


def _no_time(side: Side, other: Side) -> Iterator[str]:
    """A thing that has a name ("which newspaper"), against a time, a reason, an amount or a person."""
    kinds = kinds_of(other.claim.text)
    match = _THING.match(side.claim.text) or (_DOING.match(side.claim.text) if kinds == {"when"} else None)
    if match is None or len(kinds) != 1 or kinds_of(side.claim.text):
        return
    kind, nouns = next(iter(kinds)), _singulars(match["noun"])
    unfit = _UNFIT.get(kind)
    is_other = not set(nouns) & unfit if unfit is not None else kind == "who" and nouns[-1] in _UNPERSONAL
    if is_other and not set(nouns) & _NO_NOUNS:
        yield f"kind: {match['noun']} / {kind}"


def _singulars(phrase: str) -> list[str]:
    words = phrase.lower().split()
    return [word if word.endswith("ss") else re.sub(r"ies$", "y", word).removesuffix("s") for word in words]


def _other_counted(pair: Pair) -> Iterator[str]:
    """What is counted in the one question stands in the other for something else."""
    mine, theirs = _counted(pair.asked), _counted(pair.cached)
    if not mine or not theirs:
        return
    there = {one.place for one in theirs}
    partners = [pair.asked.partners.get(token.place) for token in mine]
    if any(one is not None and one.place in there for one in partners):
        return
    head, other = mine[0], theirs[0]
    back = pair.cached.partners.get(other.place)
    if _is_person(head) and _is_person(other):
        return
    is_measured = pair.is_close and (head.word in facts.UNITS) != (other.word in facts.UNITS)
    if is_measured or partners[0] is not None or back is not None:
        yield f"counted: {head.text} / {other.text}"


def _counted(side: Side) -> list[Token]:
    """The words between "how many" and the next word without a meaning of its own."""
    tokens = side.claim.tokens
    many = next((at for at, token in enumerate(tokens) if token.word == "many" and at and tokens[at - 1].word == "how"), None)
    if many is None:
        return []
    found: list[Token] = []
    for token in tokens[many + 1 :]:
        if token.word in _KINDS_OF or (not found and token.word == "of"):
            continue
        if token.kind != "word" or token.word in grammar.VERBS or token.text[0].isupper():
            break
        found.append(token)
    return found


def _is_person(token: Token) -> bool:
    """Whether a counted word is one for people, who are counted as members, guests or people alike."""
    return token.word in grammar.AUDIENCES or token.word == "people" or bool(grammar.PEOPLE.search(token.word))


def _other_role(pair: Pair) -> Iterator[str]:
    """Who did it, against whom it was done to: "Which land forced Japan …?", "Which land did Japan force …?"."""
    for place, other in pair.asked.partners.items():
        verb = pair.asked.claim.tokens[place]
        if (
            "function" in (verb.kind, other.kind)
            or verb.word in _OPEN
            or other.word in _OPEN
            or is_symmetric(pair.asked.claim, verb)
        ):
            continue
        for does, verb_does, done, verb_done, partners in (
            (pair.asked, verb, pair.cached, other, pair.asked.partners),
            (pair.cached, other, pair.asked, verb, pair.cached.partners),
        ):
            objects, subjects = _objects(does, verb_does), _subjects(done, verb_done)
            if any(partners.get(one.place) in subjects for one in objects):
                yield f"order: {verb.text}"
                return


def _objects(side: Side, verb: Token) -> list[Token]:
    """What a verb is done to by who or what is asked for, with no auxiliary before it."""
    before = side.claim.tokens[: verb.place]
    if not before or before[0].word not in _ASKING or any(token.kind == "function" for token in before[1:]):
        return []
    if verb.clause != before[0].clause or len(before) > NEAR:
        return []
    if len(before) == 1 and before[0].word == "which":
        return []
    after = side.claim.tokens[verb.place + 1 : verb.place + 1 + NEAR]
    found: list[Token] = []
    for token in after:
        if token.word in grammar.PREPOSITIONS:
            break
        if token.kind != "function":
            found.append(token)
    return found


def _subjects(side: Side, verb: Token) -> list[Token]:
    """Who does something to whom or what is asked for ("What did Ada …")."""
    before = side.claim.tokens[: verb.place]
    if not before or before[0].word not in _ASKING:
        return []
    auxiliary = next((at for at, token in enumerate(before) if token.word in _DO), None)
    if auxiliary is None or any(token.word in grammar.PREPOSITIONS | facts.BE | {"to"} for token in before[auxiliary:]):
        return []
    return [token for token in before[auxiliary + 1 :] if token.kind != "function"]


def _other_end(pair: Pair) -> Iterator[str]:
    """What ends a question as who does it, against what it is done to ("… defined by what?", "… define what?")."""
    ends = [_end(side) for side in (pair.asked, pair.cached)]
    if ends[0] and ends[1] and ends[0][1] != ends[1][1] and pair.asked.partners.get(ends[0][0].place) is ends[1][0]:
        yield f"order: {ends[0][0].text}"


def _end(side: Side) -> tuple[Token, bool] | None:
    """The verb before a question word that ends a question, and whether it is in the passive."""
    tokens = side.claim.tokens
    if len(tokens) <= NEAR or tokens[-1].word not in _ASKING:
        return None
    is_by = tokens[-2].word == "by"
    verb = tokens[-3] if is_by else tokens[-2]
    return None if verb.kind == "function" else (verb, is_by)
