"""A sentence → what it claims: its numbers with their units, its names, quotes, what it denies, and its words in order (pure).

Knows English only through ``facts.py``, and nothing of passages and verdicts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from assistant.checking.numbers import put_together
from assistant.checking.tokens import Token, goes_on, tokenise
from assistant.language import facts

SCOPE = 3
"""How many words with a meaning of their own a "not" reaches."""

_QUOTED = re.compile(r"[\"“”„«»]([^\"“”„«»]+)[\"“”„«»]|(?<!\w)[‘']([^‘’']+(?:['’]\w[^‘’']*)*)[’'](?!\w)")
_ATTRIBUTION = re.compile(facts.ATTRIBUTION, re.IGNORECASE)
_NOT_NEGATING = re.compile(facts.NOT_NEGATING, re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """A sentence, read.

    Attributes:
        tokens: all of them, in order.
        content: those that say something.
        numbers: the numbers, dates and times of day among them.
        quotes: what it puts in quotation marks.
        negators: places of the words that deny.
    """

    text: str
    tokens: tuple[Token, ...]
    content: tuple[Token, ...]
    numbers: tuple[Token, ...]
    quotes: tuple[str, ...]
    negators: tuple[int, ...]


@lru_cache(maxsize=8192)
def read_claim(text: str) -> Claim:
    """Read a sentence."""
    tokens = put_together(list(tokenise(text)))
    for place, (token, rank) in enumerate(zip(tokens, _ranks(text, tokens), strict=True)):
        token.place, token.rank = place, rank
    negators = tuple(_negators(text, tokens))
    for negator in negators:
        for token in _scope(tokens, negator):
            token.negated = True
    content = tuple(token for token in tokens if token.kind != "function")
    numbers = tuple(token for token in content if token.kind == "number")
    return Claim(text, tuple(tokens), content, numbers, tuple(_quotes(text)), negators)


def normal_quote(text: str) -> str:
    """A quote for literal comparison: white space collapsed, one kind of quotation mark, no punctuation at its ends."""
    plain = re.sub(r"[“”„«»]", '"', text).replace("’", "'").replace("‘", "'")
    return " ".join(plain.split()).strip(" .,;:!?…\"'")


def without_attribution(text: str) -> str:
    """A sentence without what only leads in to it: "According to the guide, …"."""
    while match := _ATTRIBUTION.match(text):
        text = text[match.end() :]
    return text


def without_quotes(text: str) -> str:
    """A sentence without what it quotes."""
    return _QUOTED.sub(" ", text)


def _quotes(text: str) -> Iterator[str]:
    for match in _QUOTED.finditer(text):
        if quote := normal_quote(match[1] or match[2]):
            yield quote


def _ranks(text: str, tokens: list[Token]) -> Iterator[int]:
    rank, last = -1, None
    for token in tokens:
        if token.kind != "function":
            rank += not (last and goes_on(text, last, token))
            last = token
        yield max(rank, 0)


def _negators(text: str, tokens: list[Token]) -> Iterator[int]:
    harmless = [match.span() for match in _NOT_NEGATING.finditer(text)]
    for token in tokens:
        denies = token.word in facts.NEGATORS or token.word.endswith("n't")
        if denies and not any(start <= token.start < end for start, end in harmless):
            yield token.place


def _scope(tokens: list[Token], negator: int) -> list[Token]:
    """The words that a negator reaches: the next few with a meaning of their own, in its clause."""
    said = tokens[negator]
    before = [token for token in tokens[:negator] if token.kind != "function" and token.clause == said.clause]
    if before and said.word in ("nothing", "none", "nobody"):  # "costs nothing"
        return before[-1:]
    reached: list[Token] = []
    for token in tokens[negator + 1 :]:
        if token.clause != said.clause or token.word in facts.SCOPE_ENDS or len(reached) == SCOPE:
            break
        if token.kind != "function":
            reached.append(token)
    return reached
