"""The same sentence with one word exchanged, or one more: two questions where the word can't be put for the other (pure)."""

from collections.abc import Iterable, Iterator

from assistant.cache.alignment import Pair, Side, beside, is_capital, opposed
from assistant.cache.kinds import kinds_of
from assistant.checking.tokens import Token
from assistant.followup import grammar
from assistant.language import facts

FRAME = 3
"""Words that two questions must share around a place for one to be the other with something else in it."""
SLOT = 3
"""Words that such a place holds at most."""
EMPHASIS = frozenset(
    """really truly actually literally indeed somehow fact just even ever still basically simply honestly seriously generally
    usually currently exactly right now today possibly legally""".split()
)
"""Words that a question may have or lack and ask for the same."""

ASPECTS = frozenset("becoming starting beginning stopping trying planning going about".split())
"""Words with which a thing isn't so yet, or no longer."""
POINTING = frozenset("he him his she her hers".split())


def other_slots(pair: Pair) -> Iterator[str]:
    """What stands in the one place where two questions differ, and what a thing is asked to be."""
    yield from _other_place(pair)
    yield from _other_predicates(pair)


def _other_place(pair: Pair) -> Iterator[str]:
    one, two = pair.asked.claim.tokens, pair.cached.claim.tokens
    shorter = min(len(one), len(two))
    front = _shared(one, two, shorter)
    back = _shared(one[::-1], two[::-1], shorter - front)
    mine, theirs = one[front : len(one) - back], two[front : len(two) - back]
    if front + back < FRAME or max(len(mine), len(theirs)) > SLOT or _is_preamble(one, len(one) - back):
        return
    here, there = _telling(pair.asked, mine), _telling(pair.cached, theirs)
    if here and there:
        if _is_firm(pair, here, there):
            yield f"slot: {_text(here)} / {_text(there)}"
    elif _is_one_meant(mine, theirs):
        yield f"who is meant: {_text(mine)} / {_text(theirs)}"
    elif (here and _narrows(pair.asked, here)) or (there and _narrows(pair.cached, there)):
        yield f"narrower: {_text(here or there)}"


def _other_predicates(pair: Pair) -> Iterator[str]:
    """What a thing is asked to be ("Is she a nurse?"), where each question has another."""
    if _opens_with_be(pair.asked) and _opens_with_be(pair.cached):
        here, there = ([token for token in side.alone if _is_introduced(side, token)] for side in (pair.asked, pair.cached))
        if here and there:
            yield f"slot: {_text(here)} / {_text(there)}"


def _is_firm(pair: Pair, here: list[Token], there: list[Token]) -> bool:
    """Whether no other word can be put in a place: for a thing that is someone's, and for what something is asked to be."""
    if opposed(here[0], there[0]) or any(all(token.weight < 1 for token in tokens) for tokens in (here, there)):
        return False  # opposites are another gate's
    before = beside(pair.asked, here[0], -1), beside(pair.cached, there[0], -1)
    is_owned = all(token is not None and token.word in grammar.DETERMINERS for token in before)
    is_whether = kinds_of(pair.asked.claim.text) == {"whether"}
    return is_whether and (is_owned or _opens_with_be(pair.asked))


def _opens_with_be(side: Side) -> bool:
    return bool(side.claim.tokens) and side.claim.tokens[0].word in facts.BE


def _is_introduced(side: Side, token: Token) -> bool:
    before = beside(side, token, -1)
    return before is not None and before.word in ("a", "an") and token.weight >= 1


def _narrows(side: Side, tokens: list[Token]) -> bool:
    """Whether words say which one is meant ("a night course"), or that something isn't so yet ("is becoming a nurse")."""
    first, last = beside(side, tokens[0], -1), beside(side, tokens[-1], 1)
    if kinds_of(side.claim.text) != {"whether"} or first is None or last is None:
        return False
    if any(token.word in ASPECTS for token in tokens):
        return True
    return first.word in grammar.DETERMINERS and last.kind != "function"


def _is_one_meant(mine: tuple[Token, ...], theirs: tuple[Token, ...]) -> bool:
    """Whether a name stands where the other question says "his" or "she": of several people it may be another."""
    words = [{token.word for token in tokens} & POINTING for tokens in (mine, theirs)]
    named = [any(is_capital(token) for token in tokens) for tokens in (mine, theirs)]
    return bool((words[0] and named[1]) or (words[1] and named[0]))


def _is_preamble(tokens: tuple[Token, ...], end: int) -> bool:
    """Whether a place lies in a sentence before the question, which doesn't point back to it."""
    last = max((token.place for token in tokens if token.opening), default=0)
    question = tokens[last:]
    points_back = any(token.word in POINTING | {"i", "my", "me", "this", "these", "that", "they"} for token in question)
    return end <= last and not points_back and sum(token.kind != "function" for token in question) >= FRAME


def _shared(one: tuple[Token, ...], two: tuple[Token, ...], most: int) -> int:
    return next((i for i in range(most) if not _is_same(one[i], two[i])), most)


def _is_same(token: Token, other: Token) -> bool:
    return token.word == other.word or (token.kind == other.kind != "function" and bool(token.keys & other.keys))


def _telling(side: Side, tokens: tuple[Token, ...]) -> list[Token]:
    return [token for token in tokens if token in side.alone and not _is_emphasis(token)]


def _is_emphasis(token: Token) -> bool:
    return token.word in EMPHASIS or (token.word.endswith("ly") and token.word not in grammar.ADJECTIVES_IN_LY)


def _text(tokens: Iterable[Token]) -> str:
    return " ".join(token.text for token in tokens)
