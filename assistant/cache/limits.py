"""What only one of two questions sets apart: besides what, after when, the highest, what was only wanted, what stopped (pure).

Each gate has its counterparts: words with which the other question may say the same in another way.
"""

import re
from collections.abc import Iterator

from assistant.cache.alignment import Pair, Side
from assistant.checking.tokens import Token
from assistant.language import facts

REACH = 4
"""Words after a relation among which what it relates to is looked for."""
_EXCEPT = re.compile(
    r"\b(?:besides|except(?:ing)?|with the exception of|excluding|apart from|"
    r"aside from|other than|in addition to|not counting)\b",
    re.IGNORECASE,
)
_OTHER = re.compile(r"\b(?:what|which|who|where|how many) (?:(?:are|is) (?:the |some |any )?)?(?:else|others?)\b", re.IGNORECASE)
_OTHERWISE = re.compile(
    r"\b(?:others?|another|else|besides?|except|excluding|exclude|instead|apart|aside|than|without|not|only|alternatives?|more|"
    r"non|also|too|beyond|addition(?:al)?|but|further|different)\b",
    re.IGNORECASE,
)
_LATER, _EARLIER, _AT = frozenset(["after", "since"]), frozenset("before until till by".split()), frozenset(["in", "during"])
_RELATIONS = frozenset("before after until till since".split())
_IT = frozenset("it he she they".split())
_TIMED = (
    _LATER
    | _EARLIER
    | _AT
    | frozenset(
        """if when while once prior post pre following later earlier first last then next previous previously ago upon having with
        without being from for at on through not now still becoming become former formerly already ahead yet ever""".split()
    )
)
_MEASURED = "high low large small long short old young tall deep cold rich poor few wide".split()
_SUPERLATIVES = frozenset(word.removesuffix("e") + "est" for word in _MEASURED) | frozenset("earliest hottest heaviest".split())
"""Not those that only stress ("the biggest problem", "the latest news", "the greatest film", "the best way")."""
_EXTREME = re.compile(
    r"\b\w{2,}(?:est|most)\b|\b(?:best|worst|most|least|first|last|top|bottom|max\w*|min\w*|main\w*|peak|record|ever|any|only|"
    r"more|less|major|never|than|how (?:high|low|large|big|small|long|short|old|young|early|late|tall|deep|hot|cold))\b",
    re.IGNORECASE,
)
_WANTED = frozenset("wanted intended planned supposed hoped proposed expected meant wished tried attempted".split())
_DID_WANT = frozenset("want intend plan hope propose expect mean wish try attempt".split())
_WANTING = re.compile(
    r"\b(?:want\w*|intend\w*|intent\w*|plan\w*|suppos\w*|hop(?:ed|es?|ing)|propos\w*|expect\w*|mean\w*|meant|wish\w*|try|tried|"
    r"tries|attempt\w*|should|would|will|going to|aim\w*|like[ds]?|prefer\w*|choice|candidate|desire[ds]?|seek|sought|"
    r"might|was to|were to)\b",
    re.IGNORECASE,
)
_STOP = frozenset("stop stops stopped stopping cease ceases ceased quit quits discontinue discontinued".split())
_ENDING = facts.DENYING | frozenset(
    """overcome quit quits quitting cure beat rid break control reduce remove cut handle resist fight kick cope deal end ending
    ends leave drop drops dropped give gave cease discontinue discontinued halt finish finished close closed off out away over
    no not never anymore longer manage cancel block disable stopping ceasing delete tackle treat eliminate kill last until till
    defeat dont don't can't won't doesn't didn't""".split()
)
_EMPTY = frozenset(["to", "from", "the", "a", "an", "being", "it", "him", "her", "them", "all", "its", "their", "my", "your"])


def other_limits(pair: Pair) -> Iterator[str]:
    """What only one of two questions sets apart."""
    if not pair.is_near:
        return
    yield from _other_times(pair)
    for side, other in pair.directions:
        yield from _excepted(pair, side, other)
        yield from _related(side, other)
        yield from _highest(pair, side, other)
        yield from _wanted(side, other)
        yield from _stopped(side, other)


def _excepted(pair: Pair, side: Side, other: Side) -> Iterator[str]:
    """What is asked for besides something ("What other dogs …?", "… except dogs")."""
    is_alike = pair.loose <= sum(token.word == "else" for token in side.alone)
    found = _EXCEPT.search(side.claim.text) or (_OTHER.search(side.claim.text) if is_alike else None)
    if found and not _OTHERWISE.search(other.claim.text):
        yield f"exception: {found.group()}"


def _other_times(pair: Pair) -> Iterator[str]:
    """After and until the same year."""
    for place, there in pair.asked.partners.items():
        token = pair.asked.claim.tokens[place]
        if place and there.place and token.kind == "number" and not token.unit:
            one, two = pair.asked.claim.tokens[place - 1].word, pair.cached.claim.tokens[there.place - 1].word
            kinds = [next((kind for kind in (_LATER, _EARLIER, _AT) if word in kind), None) for word in (one, two)]
            if all(kinds) and kinds[0] is not kinds[1]:
                yield f"time: {one} / {two}"


def _related(side: Side, other: Side) -> Iterator[str]:
    """Before or after it did what ("before it rose"), where the other question doesn't relate to any time."""
    if any(token.word in _TIMED for token in other.claim.tokens):
        return
    for token in side.claim.tokens:
        if token.word in _RELATIONS:
            after = _after(side, token)
            said = [one for one in after if one.kind != "function"]
            if said and said[0] in side.alone and after[0].word in _IT:
                yield f"time: {token.text} {after[0].text} {said[0].text}"


def _highest(pair: Pair, side: Side, other: Side) -> Iterator[str]:
    """The highest of what the other question names without a comparison."""
    if _EXTREME.search(other.claim.text):
        return
    for token in side.claim.tokens:
        if token.word in _SUPERLATIVES and token.place not in side.partners:
            after = [one for one in _after(side, token) if one.kind != "function"][:2]
            if pair.is_close or any(one.place in side.partners for one in after):
                yield f"superlative: {token.text}"


def _wanted(side: Side, other: Side) -> Iterator[str]:
    """What somebody wanted to do, against what was done."""
    if _WANTING.search(other.claim.text):
        return
    wanted = _WANTED | (_DID_WANT if any(token.word == "did" for token in side.claim.tokens) else frozenset())
    for token in side.claim.tokens:
        after = _after(side, token)
        to = next((at for at, one in enumerate(after) if one.word == "to"), None)
        if token.word in wanted and to is not None and after[to + 1 : to + 3]:
            verb = next((one for one in after[to + 1 :] if one.kind != "function"), None)
            if verb is not None and verb.place in side.partners:
                yield f"only {token.text}"


def _stopped(side: Side, other: Side) -> Iterator[str]:
    """What stopped, against what was or went on."""
    if any(token.word in _ENDING or token.word.endswith("n't") for token in other.claim.tokens):
        return
    for token in side.claim.tokens:
        if token.word in _STOP and not side.claim.negators:
            after = next((one for one in _after(side, token) if one.word not in _EMPTY), None)
            if after is not None and after.word.endswith("ing") and after.place in side.partners:
                yield f"stopped: {token.text} {after.text}"


def _after(side: Side, token: Token) -> list[Token]:
    """The words that follow another in its clause."""
    following = side.claim.tokens[token.place + 1 : token.place + 1 + REACH]
    return [one for one in following if one.clause == token.clause]
