"""Who does what to whom in two questions, and what stands before what: whether two of their words have changed places (pure).

Knows no grammar but word order: what stands to the left of a verb, a comparison or a direction that both questions have, what to
its right, and that a passive turns the sides round.
"""

from collections.abc import Iterator

from assistant.cache.alignment import Pair, Side, is_capital
from assistant.cache.kinds import kinds_of
from assistant.checking.claims import Claim
from assistant.checking.roles import is_passive
from assistant.checking.tokens import Token, word_key
from assistant.language import facts

FAR = 7
"""Words between a verb and what does it, or has it done, beyond which the two aren't taken to belong together."""
NEAREST = 2
"""Words with a meaning of their own on each side that may be what a verb joins."""
DIRECTIONS = frozenset("to into onto from than before after over under above below behind".split())
ASKED = frozenset(["who", "whom"])
JOINING = frozenset("and or nor vs versus".split())

_SYMMETRIC = frozenset(word_key(word)[0] for word in facts.SYMMETRIC - {"with", "and", "or"})


def swapped(pair: Pair) -> Iterator[str]:
    """Words on the two sides of a verb, comparison or direction that stand the other way round in the other question."""
    if not pair.is_close:
        return
    asked, cached = pair.asked, pair.cached
    free = kinds_of(asked.claim.text) != {"whether"} or kinds_of(cached.claim.text) != {"whether"}
    for relation, other in _relations(asked):
        if is_symmetric(asked.claim, relation):
            continue
        for one, two in _crossed(asked, _sides(asked, relation), _sides(cached, other)):
            if not free or relation.word in DIRECTIONS or _are_firm(one, two):
                yield f"order: {one.text} {relation.text} {two.text}"
                return


def _are_firm(one: Token, two: Token) -> bool:
    """Whether two words can't but be what does something and has it done: two names, or who is asked for."""
    return (is_capital(one) and is_capital(two)) or bool({one.word, two.word} & ASKED)


def turned(pair: Pair, token: Token, other: Token) -> bool:
    """Whether the two sides of opposites have changed places to make up for it ("A before B", "B after A")."""
    return any(_crossed(pair.asked, _sides(pair.asked, token), _sides(pair.cached, other)))


def is_symmetric(claim: Claim, relation: Token) -> bool:
    """Whether a word, or one close to it, says the same of either side."""
    near = claim.tokens[max(0, relation.place - 2) : relation.place + 3]
    return any(token.keys & _SYMMETRIC for token in near)


def _relations(asked: Side) -> Iterator[tuple[Token, Token]]:
    for place, other in asked.partners.items():
        token = asked.claim.tokens[place]
        is_small = token.text[0].islower() and other.text[0].islower()
        is_verb = is_small and (token.kind, other.kind) != ("function", "function") and "number" not in (token.kind, other.kind)
        if is_verb or token.word == other.word in DIRECTIONS:
            yield token, other


def _sides(side: Side, relation: Token) -> tuple[list[Token], list[Token]]:
    """What stands to the left and to the right of a word, nearest first, the sides of a passive exchanged."""
    tokens = side.claim.tokens
    before, after = tokens[max(0, relation.place - FAR) : relation.place][::-1], tokens[relation.place + 1 :][:FAR]
    left, right = _near(before, relation), _near(after, relation)
    if asked := next((token for token in before if token.word in ASKED), None):
        (right if left else left).append(asked)  # "Who pays Ada?", "Who does Ada pay?"
    return (right, left) if _is_done(side.claim, relation) else (left, right)


def _is_done(claim: Claim, relation: Token) -> bool:
    """Whether a verb is in the passive, and says by whom."""
    after = claim.tokens[relation.place + 1 : relation.place + 1 + FAR]
    by = next((token for token in after if token.word == "by"), None)
    if by is None or relation.word.endswith("ing"):
        return False
    return by is after[0] or is_passive(claim, relation)


def _near(tokens: tuple[Token, ...], relation: Token) -> list[Token]:
    found: list[Token] = []
    for token in tokens:
        if token.clause != relation.clause or token.word in JOINING or len(found) == NEAREST:
            break
        if token.kind in ("word", "name", "number"):
            found.append(token)
    return found


def _crossed(
    asked: Side, here: tuple[list[Token], list[Token]], there: tuple[list[Token], list[Token]]
) -> Iterator[tuple[Token, Token]]:
    """Words left and right of something that stand right and left of it in the other question."""
    right = [token for token in here[0] if asked.partners.get(token.place) in there[1]]
    left = [token for token in here[1] if asked.partners.get(token.place) in there[0]]
    if right and left:
        yield right[0], left[0]
