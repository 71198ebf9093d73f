"""A claim and a ground → the hard facts of the claim that the ground lacks or contradicts, in words (pure).

Numbers with their units and bounds, names, quotes, denials, opposites, a name or number in another's place (``rivals``), and who
does what to whom (``roles``). No likeness makes up for one of them.
"""

import re
from collections.abc import Iterator

from assistant.checking.claims import Claim, normal_quote
from assistant.checking.grounds import Ground, Match, opposite, shared
from assistant.checking.rivals import displaced
from assistant.checking.roles import swapped_roles
from assistant.checking.tokens import Token
from assistant.language import facts
from assistant.language.sentences import plain_text

MAIN = 0.7
"""A sentence that says so much less of a claim than another one has nothing to deny in it."""


def find_faults(match: Match) -> None:
    """Note on a ground which hard facts of a claim it lacks and which it contradicts; none when it may support the claim."""
    match.ground.lacking = tuple(fault for check in (_quotes, _numbers, _names) for fault in check(match))
    checks = (displaced, _unsaid_denials, _lost_denials, _opposites, swapped_roles)
    match.ground.contradicted = tuple(dict.fromkeys(fault for check in checks for fault in check(match)))


def stands_in(quote: str, text: str) -> bool:
    """Whether a quote stands literally in a text (both as ``normal_quote`` makes them), its cuts ("…", "[…]") aside."""
    pieces = [piece for piece in (normal_quote(piece) for piece in re.split(r"…|\.\.\.|\[[^\]]*\]", quote)) if piece]
    at = 0
    for piece in pieces:
        found = re.compile(r"(?<!\w)" + re.escape(piece) + r"(?!\w)").search(text, at)
        if not found:
            return False
        at = found.end()
    return bool(pieces)


def _quotes(match: Match) -> Iterator[str]:
    if match.claim.quotes:
        text = normal_quote(plain_text(match.ground.source.hit.passage.text)).casefold()
        yield from (f"quote {quote!r}" for quote in match.claim.quotes if not stands_in(quote.casefold(), text))


def _numbers(match: Match) -> Iterator[str]:
    for token in match.claim.numbers:
        found = [other for sentence in match.ground.sentences for other in sentence.numbers if other.keys & token.keys]
        fitting = [other for other in found if _same_unit(token, other, match.ground)]
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
    is_known = any(f"unit {token.unit}" in known.keys or facts.UNITS.get(known.word) == token.unit for known in said)
    return not other.unit and is_known


def _names(match: Match) -> Iterator[str]:
    for token, place in match.pairs:
        if place is None and (token.kind == "name" or _can_only_be_a_name(match.claim, token)):
            yield f"name {token.text!r}"


def _can_only_be_a_name(claim: Claim, token: Token) -> bool:
    """Whether a word that begins a claim, and stands nowhere in the passage, is a name all the same ("Napoleon invaded …")."""
    if not token.opening or not token.text[0].isupper() or token.weight < 1:
        return False
    after = claim.tokens[token.place + 1].word if token.place + 1 < len(claim.tokens) else ""
    is_owner = token.word.endswith("'s")
    is_common = token.word.endswith(("s", "ing", "ed", "ly"))
    return is_owner or (not is_common and (after in facts.BE or after.endswith("ed") or after in facts.IRREGULAR))


# Denial and direction.


def _unsaid_denials(match: Match) -> Iterator[str]:
    """What the claim denies and the ground doesn't."""
    claim, ground = match.claim, match.ground
    is_denied = any(sentence.negators for sentence in ground.sentences) or _denies(ground.sentences)
    for negator in claim.negators:
        reached = [pair for pair in match.pairs if pair[0].negated and pair[0].place > negator - 2][:3]
        found = [place for _, place in reached if place and place.sentence >= 0]
        if any(place.token.negated for place in found) or any(_is_reversed(token, ground) for token, _ in reached):
            continue
        if not _said_alike(claim, negator, ground) and (found or not is_denied):
            yield f"{claim.tokens[negator].text!r} is not said"


def _lost_denials(match: Match) -> Iterator[str]:
    """What the ground denies and the claim, which denies nothing, says."""
    claim, ground = match.claim, match.ground
    if claim.negators or _denies([claim]):
        return
    mine = {(place.sentence, place.token.place) for _, place in match.pairs if place}
    main = _main_sentences(match)
    for number, sentence in enumerate(ground.sentences):
        for negator in sentence.negators if sentence in main else ():
            scope = [token for token in sentence.content if token.negated and token.place > negator - 2][:2]
            if any((number, token.place) in mine for token in scope):
                yield f"{sentence.tokens[negator].text!r} is left out"


def _said_alike(claim: Claim, negator: int, ground: Ground) -> bool:
    """Whether the ground has the same negation after the same word ("manage without them")."""
    word, before = claim.tokens[negator].word, _content_before(claim, negator)
    same = ((s, other) for s in ground.sentences for other in s.negators if s.tokens[other].word == word)
    return any(before and (after := _content_before(s, other)) and before.keys & after.keys for s, other in same)


def _content_before(claim: Claim, place: int) -> Token | None:
    return next((token for token in reversed(claim.tokens[:place]) if token.kind != "function"), None)


def _denies(sentences: tuple[Claim, ...] | list[Claim]) -> bool:
    return any(token.word in facts.DENYING for sentence in sentences for token in sentence.tokens)


def _is_reversed(token: Token, ground: Ground) -> bool:
    """Whether the ground has the opposite of a word that the claim denies."""
    return any(opposite(token, other) for sentence in ground.sentences for other in sentence.tokens)


def _opposites(match: Match) -> Iterator[str]:
    """Words of the claim of which the ground has the opposite, and not the word."""
    theirs = [token for sentence in _main_sentences(match) for token in sentence.tokens if token.kind != "number"]
    known = {key for sentence in match.ground.sentences for token in sentence.tokens for key in token.keys}
    mine = {key for token in match.claim.tokens for key in token.keys}
    for token in match.claim.tokens:
        if token.kind == "number" or token.negated or token.keys & known:
            continue
        for other in theirs:
            if not other.keys & mine and opposite(token, other) and not other.negated:
                yield f"{token.word!r} for {other.word!r}"


def _main_sentences(match: Match) -> list[Claim]:
    """The sentences of a ground that say about as much of the claim as the one that says most."""
    said = [sum(shared(match.claim.content, sentence)) for sentence in match.ground.sentences]
    return [sentence for sentence, share in zip(match.ground.sentences, said, strict=True) if share >= MAIN * max(said)]
