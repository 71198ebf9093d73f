"""What two questions deny, and the opposites in them: whether one says yes where the other says no (pure)."""

import re
from collections.abc import Iterator

from assistant.cache.alignment import Pair, Side, beside, opposed
from assistant.cache.arguments import turned
from assistant.checking.claims import SCOPE
from assistant.checking.tokens import Token
from assistant.language import facts

_PARTICLES = tuple(frozenset(pair.split("/")) for pair in "on/off up/down in/out into/from to/from into/out onto/off".split())
"""Opposites of direction; each of these words says other things too, so that they count only after the same word."""
_DENIALS = (facts.NEGATORS - facts.DENYING) | {"without"}
_USED_TO = re.compile(
    r"\bdid\b.{1,40}\buse to (?=[a-z])|"
    r"(?<!\bis )(?<!\bare )(?<!\bbe )(?<!\bwas )(?<!\bget )\bused to (?=(?:be|have|do|live|work|go)\b)",
    re.IGNORECASE,
)
_TENSES = dict.fromkeys("is are am do does".split(), "present") | dict.fromkeys("was were did".split(), "past")
_COMPARED = frozenset("same similar equal alike different differ differs differed difference".split())
"""Words with which one comparison is asked for either way: "Are they the same?", "How do they differ?"."""
_ABSENCE = frozenset("absence absent except excluding without".split())
"""Words that deny what follows them, and leave a verb as it is."""
_FIRST = 2
"""Words after a "not" of which one must be in the other question: a verb, and what stands before it in a question."""
_LESS = frozenset("less fewer least".split())


def denials(pair: Pair) -> Iterator[str]:
    """A word that only one of two questions denies."""
    if not pair.is_near:
        return
    if [token.word for token in pair.asked.alone].count("non") != [token.word for token in pair.cached.alone].count("non"):
        yield "denial: non-"
    mine, theirs = _negators(pair.asked), _negators(pair.cached)
    one, two = _unpaired(mine, theirs), _unpaired(theirs, mine)
    for side, other, has in ((pair.asked, pair.cached, one), (pair.cached, pair.asked, two)):
        if has and not _denies(other) and any(_is_said(pair, side, other, negator) for negator in has):
            yield f"denial: {has[0].text}"
            return
    moved = list(_denied_once(pair)) if mine and theirs else []
    here, there = [token for token, _ in moved if token.negated], [other for _, other in moved if other.negated]
    if here and there:
        yield f"denial of {here[0].text} / {there[0].text}"


def _unpaired(negators: list[Token], others: list[Token]) -> list[Token]:
    """Denials of a question where the other one has none, or says only what is absent."""
    if not others:
        return negators
    are_both = any(token.word not in _ABSENCE for token in others)
    return [] if are_both else [token for token in negators if token.word not in _ABSENCE]


def _is_said(pair: Pair, side: Side, other: Side, negator: Token) -> bool:
    """Whether the other question says what one denies, and not its opposite."""
    reached = _scope(side, negator)
    if any(opposed(token, one) for token in reached for one in other.alone):
        return False
    if _asks_what_is_not(side, negator):
        return any(token.place in side.partners for token in side.claim.content)
    return pair.is_close or any(token.place in side.partners for token in reached[:_FIRST])


def _asks_what_is_not(side: Side, negator: Token) -> bool:
    """Whether all that stands before a "not" is what is asked for: "Which huts are usually not …?"."""
    before = side.claim.tokens[: negator.place]
    named = [token for token in before[1:] if token.kind != "function" and not token.word.endswith("ly")]
    return before[0].word in ("what", "which", "who") and len(named) <= (before[0].word == "which")


def _denied_once(pair: Pair) -> Iterator[tuple[Token, Token]]:
    """Words that both questions have and one of them denies."""
    for place, other in pair.asked.partners.items():
        token = pair.asked.claim.tokens[place]
        if token.negated != other.negated and token.kind == "word":
            yield token, other


def _negators(side: Side) -> list[Token]:
    """The words that deny something; "Isn't it …?" and "… or not?" deny nothing."""
    tokens = side.claim.tokens
    found = [tokens[place] for place in side.claim.negators if place]
    return [token for token in found if (token.word in _DENIALS or token.word.endswith("n't")) and not _is_elliptic(side, token)]


def _is_elliptic(side: Side, negator: Token) -> bool:
    """Whether a "not" stands for the other possibility: "… or not", "If not, why?"."""
    before, after = beside(side, negator, -1), beside(side, negator, 1)
    is_last = after is None or after.clause != negator.clause or after.opening or after.word in ("then", "why")
    return (before is not None and before.word == "or") or (is_last and not _scope(side, negator))


def _scope(side: Side, negator: Token) -> list[Token]:
    reached = [token for token in side.claim.content if token.negated and token.place > negator.place - 2]
    return reached[:SCOPE]


def _denies(side: Side) -> bool:
    return any(token.word in facts.DENYING for token in side.alone) or any(
        token.word in facts.DENYING and token.place not in side.partners for token in side.claim.tokens
    )


def used_to(pair: Pair) -> Iterator[str]:
    """Whether something is so, was so, or used to be."""
    habits = [bool(_USED_TO.search(side.claim.text)) for side in (pair.asked, pair.cached)]
    tenses = [_TENSES.get(side.claim.tokens[0].word, "") if side.claim.tokens else "" for side in (pair.asked, pair.cached)]
    if habits[0] != habits[1]:
        yield "used to"
    elif all(tenses) and tenses[0] != tenses[1] and pair.is_close:
        yield f"time: {tenses[0]} / {tenses[1]}"


def opposites(pair: Pair) -> Iterator[str]:
    """A word of the one question, and its opposite in the same place of the other."""
    theirs = [token for token in pair.cached.claim.tokens if token.place not in pair.cached.partners]
    for token in pair.asked.claim.tokens:
        if token.place in pair.asked.partners:
            continue
        for other in theirs:
            if _is_opposed(pair, token, other) and _is_even(pair, token, other) and not turned(pair, token, other):
                yield f"opposites: {token.text} / {other.text}"


def _is_opposed(pair: Pair, token: Token, other: Token) -> bool:
    words = {token.word, other.word}
    if words & facts.UNIVERSAL and words & facts.PARTIAL:
        return _are_partners(pair, beside(pair.asked, token, 1), beside(pair.cached, other, 1))
    if frozenset(words) in _PARTICLES:
        before, there = beside(pair.asked, token, -1), beside(pair.cached, other, -1)
        after, beyond = beside(pair.asked, token, 1), beside(pair.cached, other, 1)
        return _are_partners(pair, before, there) or (before is None and _are_partners(pair, after, beyond))
    if not opposed(token, other) or words <= _COMPARED:
        return False
    after, beyond = beside(pair.asked, token, 1), beside(pair.cached, other, 1)
    return not (after and beyond and opposed(after, beyond))  # more active, less passive


def _are_partners(pair: Pair, token: Token | None, other: Token | None) -> bool:
    return token is not None and other is not None and pair.asked.partners.get(token.place) is other


def _is_even(pair: Pair, token: Token, other: Token) -> bool:
    """Whether both or neither of two words are denied, or said to be less."""
    return _is_less(pair.asked, token) == _is_less(pair.cached, other)


def _is_less(side: Side, token: Token) -> bool:
    """Whether a word is denied, or said to be less: "not safe", "less safe", "with no licence"."""
    before, after = beside(side, token, -1), beside(side, token, 1)
    is_with_no = token.word == "with" and after is not None and after.word == "no"
    return (token.negated != (before is not None and before.word in _LESS)) != is_with_no
