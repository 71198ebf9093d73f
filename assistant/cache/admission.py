"""Which questions may be answered from the cache by meaning, and which answers may be kept in it (pure)."""

import re
from collections.abc import Sequence

from assistant.followup.nouns import read_nouns
from assistant.followup.references import pronoun
from assistant.language.questions import words_of
from assistant.prompt import neutral
from assistant.records import Answer
from indexes.records import Hit

LONGEST = 400
"""Characters of a question; a longer one is found again exactly, if at all."""
_LEANING = frozenset("same other others else too also either instead then again".split())
_PASSING = frozenset("now today tonight tomorrow yesterday currently latest newest recent recently upcoming".split())
_INSTRUCTION = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b[^.!?\n]{0,40}"
    r"\b(?:instructions?|prompts?|rules|guidelines|directions|above|previous|prior|everything|documents?|passages?)\b"
    r"|\b(?:system|developer) (?:prompt|message|override|note)\b"
    r"|\byou are (?:now|no longer)\b|\bfrom now on,? you\b|\bact as (?:an?|the) \w+|\bnew instructions?\b"
    r"|\b(?:answer|reply|respond|say|output|print|write|cite|quote)\b[^.!?\n]{0,30}"
    r"\b(?:only|always|exactly|nothing but|instead)\b"
    r"[^.!?\n]{0,40}[\"“':\[]"
    r"|^\s*(?:system|assistant|user|human|ai)\s*:",
    re.IGNORECASE | re.MULTILINE,
)


def is_self_contained(question: str) -> bool:
    """Whether a question means the same at any time and after any other: nothing in it points back or at the present moment."""
    if len(question) > LONGEST:
        return False
    words = set(words_of(question))
    return not words & (_LEANING | _PASSING) and pronoun(read_nouns(question)) is None


def is_worth_keeping(answer: Answer, hits: Sequence[Hit]) -> bool:
    """Whether an answer may be given again: it was finished, every sentence is supported, and no passage gives orders."""
    if answer.general or answer.cached or any(is_suspicious(hit) for hit in hits):
        return False
    if answer.status == "abstained":
        return answer.trace is None or not answer.trace.written  # what a model wrote in vain may turn out otherwise
    whole = answer.trace is None or answer.trace.generation is None or answer.trace.generation.ended == "stop"
    supported = bool(answer.sentences) and all(sentence.verdict == "supported" for sentence in answer.sentences)
    return answer.status == "answered" and whole and supported and bool(answer.citations)


def is_suspicious(hit: Hit) -> bool:
    """Whether a passage looks as if it wanted to steer a model: control tokens, our delimiters, or orders to the reader."""
    text = hit.passage.embedded_text
    return neutral(text) != text or _INSTRUCTION.search(text) is not None
