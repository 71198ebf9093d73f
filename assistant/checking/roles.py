"""Who does what to whom: whether the two sides of a verb have changed places between a claim and its ground (pure).

Knows no grammar but word order: what stands before a verb and what after it, and whether it is in the passive.
"""

from collections.abc import Iterator

from assistant.checking.claims import Claim
from assistant.checking.grounds import Match, Place
from assistant.checking.tokens import Token
from assistant.language import facts

FAR = 12
"""Words between a verb and a name beyond which the name isn't taken to do it, or to have it done."""


def swapped_roles(match: Match) -> Iterator[str]:
    """Names on the two sides of a verb that stand the other way round in the ground, without a passive to account for it."""
    claim, ground = match.claim, match.ground
    placed = [(token, place) for token, place in match.pairs if place and place.sentence >= 0 and place.quality >= 0.8]
    for at, (verb, there) in enumerate(placed):
        if not _is_verb(claim, verb):
            continue
        sentence = ground.sentences[there.sentence]
        turned = is_passive(claim, verb) != is_passive(sentence, there.token)
        for a, before in [pair for pair in placed[:at] if _is_side(*pair, verb, there)][-2:]:
            for b, after in [pair for pair in placed[at + 1 :] if _is_side(*pair, verb, there)][:2]:
                swapped = a.keys != b.keys and _are_swapped(before, there, after, turned=turned)
                if swapped and (not turned or _follows_by(claim, b) or _follows_by(sentence, after.token)):
                    yield f"{a.text!r} and {b.text!r} have changed places"


def _are_swapped(before: Place, verb: Place, after: Place, *, turned: bool) -> bool:
    if turned:
        return before.token.place < verb.token.place < after.token.place
    return after.token.place < verb.token.place < before.token.place


def _is_side(token: Token, place: Place, verb: Token, there: Place) -> bool:
    is_name = token.kind != "number" and token.text[0].isupper() and place.token.text[0].isupper()
    return is_name and place.sentence == there.sentence and abs(token.place - verb.place) <= FAR


def is_passive(claim: Claim, verb: Token) -> bool:
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
    is_present = token.word.endswith("s") and not token.word.endswith("ss") and after in facts.AFTER_VERBS
    is_past = token.word.endswith(("ed", "ing")) or token.word in facts.IRREGULAR
    return is_past or is_present or before in facts.BEFORE_VERBS or after == "than" or token.word in facts.COMPASS


def _follows_by(claim: Claim, token: Token) -> bool:
    return any(other.word == "by" for other in claim.tokens[max(0, token.place - 3) : token.place])
