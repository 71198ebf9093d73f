"""What kind of answer two questions ask for: who, when, where, how much, how long, why, how, or whether (pure).

Says nothing where a question's opening doesn't tell.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from assistant.cache.alignment import Pair
from assistant.followup import grammar
from assistant.language.sentences import sentence_spans

_LEAD = re.compile(
    r"^\W*(?:(?:and|but|so|ok|okay|please|hi|hello|hey|well|also|then|exactly|guys)\b\W*|"
    r"(?:can|could|would|will) (?:you|anyone|anybody|someone|somebody)\b(?: \w+)? (?:tell|explain|show|give)(?: \w+)? "
    r"(?=(?:who|when|where|why|how|what|which|if|whether)\b)|"
    r"(?:do|does) (?:you|anyone|anybody) know (?=(?:who|when|where|why|how|what|which|if|whether)\b)|"
    r"(?:tell|explain|show) (?:me|us)? ?(?=(?:who|when|where|why|how|what|which|if|whether)\b)|"
    r"(?:i (?:want|would like|need|wish) to know|i wonder|i'd like to know) |"
    r"(?:in|on|at|to|for|from|by|since|until|till|with|of|after|before|around|about|up to) "
    r"(?=(?:what|which|who|whom|whose|when|where|how)\b))+",
    re.IGNORECASE,
)
_WHAT = r"(?:what|which|what's|whats)(?: (?:is|are|was|were|would be|will be))?(?: (?:the|a|an|some|your|my|exact))*"
_WH = r"(?:who|when|where|why|how|what|which)"
_SEVERAL = re.compile(rf"^{_WH}\s*(?:and|or|/|,)\s*{_WH}\b", re.IGNORECASE)
_CONDITION = re.compile(
    rf"^\W*(?:if|when|while|after|before|since|as|because|given)\b(?! {grammar.ASKS_AT_ONCE}\b)[^,]*,\s*(?:then |so )?(?=\w)",
    re.IGNORECASE,
)
"""A clause before the question: "If it rains, when …"."""
_OPENINGS = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        (
            "when",
            rf"when\b|{_WHAT} (?:time|date|day|year|month|week|hours?|deadline|century)\b(?! (?:table|zone|limit))|"
            r"how (?:soon|early|late)\b",
        ),
        ("how long", r"how (?:long|much time)\b|how many (?:seconds|minutes|hours|days|weeks|months|years)\b"),
        ("how often", r"how (?:often|frequently|many times)\b"),
        (
            "how much",
            r"how (?:much|many|expensive)\b|"
            rf"{_WHAT} (?:\w+ ){{0,2}}(?:price|cost|fee|fare|charge)s?\b|{_WHAT} (?:number|amount) of\b",
        ),
        ("how far", r"how (?:far|tall|high|deep|wide|heavy|fast|big|large|hot|cold|old|thick|small|close)\b"),
        (
            "why",
            r"why\b|how come\b|for what reason|what (?:makes?|made|causes?|caused)\b|"
            rf"{_WHAT} (?:\w+ )?(?:reason|cause|purpose)s?\b",
        ),
        (
            "how",
            r"how (?:do|does|did|can|could|should|shall|would|must|to|will|i|we|you|have)\b|"
            rf"{_WHAT} (?:\w+ ){{0,3}}(?:way|method|step|tip)s?\b|is there (?:a|any|some) (?:\w+ )?ways?\b|"
            r"what (?:must|should|can|do|could|would|shall) (?:i|we|you|one) (?:have to |need to )?do\b",
        ),
        ("who", r"(?:who|whom|whose)\b(?!.*\bor\b)|(?:what|which) (?:person|people)\b"),
        ("where", rf"where\b|{_WHAT} (?:place|city|country|location|address|website|site)s?\b"),
        ("whether", r"(?:is|are|was|were|do|does|did|can|could|may|must|should|has|have|had|will|would|am)\b(?!.*\bor\b)"),
    )
)
_ALIKE = frozenset(
    frozenset(pair)
    for pair in (
        ("how", "why"),
        ("how", "whether"),
        ("how", "where"),
        ("how much", "how far"),
        ("how long", "how far"),
        ("how", "how far"),
        ("when", "how far"),
        ("when", "how long"),
        ("when", "how often"),
    )
)
"""Kinds that ask for the same in many a wording."""


def other_kind(pair: Pair) -> Iterator[str]:
    """Two kinds of answer, where both questions say clearly which they want."""
    one, two = kinds_of(pair.asked.claim.text), kinds_of(pair.cached.claim.text)
    if pair.is_near and one and two and not any(a == b or frozenset((a, b)) in _ALIKE for a in one for b in two):
        yield f"kind: {' and '.join(sorted(one))} / {' and '.join(sorted(two))}"


@lru_cache(maxsize=8192)
def kinds_of(text: str) -> frozenset[str]:
    """The kinds of answer that a question's sentences open with; none when one of them leaves it open."""
    sentences = [text[start:end] for start, end in sentence_spans(text)]
    asking = [sentence for sentence in sentences if sentence.rstrip("\"')”").endswith("?")] or sentences[-1:]
    found = [_kind(sentence) for sentence in asking]
    return frozenset(found) if all(found) else frozenset()


def _kind(sentence: str) -> str:
    opening = _LEAD.sub("", _CONDITION.sub("", _LEAD.sub("", sentence))).lstrip(" \"'“‘,")
    if _SEVERAL.match(opening):
        return ""
    return next((kind for kind, pattern in _OPENINGS if pattern.match(opening)), "")
