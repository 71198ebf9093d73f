"""A follow-up question ("and for Linux?") → a self-contained one, from the turns before it: by rule, without a model (pure).

What is missing is taken from the last turn's self-contained question: a pronoun gets its topic (``references.py``), a fragment
takes the place of the phrase of its kind and a bare "why?" gets the rest (``slots.py``). A question that stands on its own is
left alone: a false rewrite costs more than a missed one. ``rewriting.py`` lets a chat model try first.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from assistant.followup import grammar as grammar
from assistant.followup.nouns import Reading, read_nouns
from assistant.followup.references import describe, pronoun, resolve, topic
from assistant.followup.slots import ask_again, bare_question, combine, fill
from assistant.language import english
from assistant.records import Answer

TURNS = 3
"""Earlier turns that are looked at, the last one first."""
LONGEST = 30
"""Words; a longer question says what it is about."""
SHORT = 8
"""Words of a question that may be asked together with the one before it."""

_NAME = re.compile(r"(?P<before>[a-z] )?\b(?P<first>[A-Z][\w-]+)(?: [A-Z][\w-]+)*")


def rewrite(question: str, earlier: Sequence[Answer]) -> str | None:
    """Make a follow-up self-contained by rule; None when it already is, or when nothing can be made of it.

    Args:
        question: as it was asked.
        earlier: the turns before it, oldest first.
    """
    recent = [turn for turn in earlier if without_opening(turn.question)[0]][-TURNS:]
    made = _from_turns(question, recent)
    if made is None or made == as_question(_bare(question)):
        return None
    return made if _from_turns(made, recent) is None else None  # what still leans on the turns is no help


def _from_turns(question: str, recent: Sequence[Answer]) -> str | None:
    """What the newest turn from which something can be made makes of it."""
    text = _bare(question)
    if not any(letter.isalnum() for letter in text) or len(text.split()) > LONGEST:
        return None
    names = known_names(recent)
    made = (_rewritten(text, turn, names) for turn in reversed(recent))
    return next((as_question(one) for one in made if one), None)


def _bare(question: str) -> str:
    return " ".join(question.split()).rstrip(" ?.!…")


def self_contained(turn: Answer) -> str:
    """A turn's question, as it can be read alone."""
    return turn.rewritten or turn.question


def known_names(earlier: Sequence[Answer]) -> frozenset[str]:
    """Words that the conversation and its sources write with a capital, in lower case: people type names without one."""
    texts = [text for turn in earlier for text in (self_contained(turn), turn.text, *(one.quote for one in turn.citations))]
    named = {match["first"].lower() for text in texts for match in _NAME.finditer(text) if match["before"]}
    plain = {word for text in texts for word in re.findall(r"\b[a-z][\w-]+", text)}
    return frozenset(named - english.STOPWORDS - english.COMMON - grammar.TIMES - english.CALENDAR) - (
        plain - {word for turn in earlier for word in self_contained(turn).split()}
    )


def as_question(text: str) -> str:
    """With a capital at its beginning and a question mark at its end."""
    text = " ".join(text.split()).strip(" ,;:")
    end = "." if grammar.COMMAND.match(text) else "?"
    return text[:1].upper() + text[1:] + end


def without_opening(text: str) -> tuple[str, bool]:
    """A follow-up without its "and" or "what about", and whether it began so. "OK, …" goes too, and says nothing."""
    opening = grammar.OPENING.match(text)
    if not opening:
        return text, False
    words = {word.lower().strip(",") for word in opening.group().split()}
    return text[opening.end() :], not words <= grammar.SMALL_TALK


def _rewritten(text: str, turn: Answer, names: frozenset[str]) -> str | None:
    """One follow-up after one turn: its fixed forms first, then what it points to or leaves out."""
    previous = read_nouns(self_contained(turn).rstrip(" ?.!"), names)
    body, said = without_opening(text)
    if fixed := _fixed_form(text, body, previous):
        return fixed
    if bare := bare_question(body):
        asked = ask_again(bare[0], previous)
        return fill(bare[1], read_nouns(asked, names), names, sure=True) if asked and bare[1] else asked
    read = read_nouns(body, names)
    if not read.tokens:
        return None
    if pronoun(read) is not None:
        resolved = _resolved(read, previous, turn, names)
        if resolved is None:
            return combine(previous, body) if len(body.split()) <= SHORT else None
        if resolved.is_clause and not grammar.CONDITION.match(resolved.text):
            return resolved.text
        read = resolved
    return _definite(read, previous) or _fragment(read, previous, names, said=said) or _carried(read, previous, said=said)


def _fixed_form(text: str, body: str, previous: Reading) -> str | None:
    """What is always said in the same words: "tell me more", "what then?", "is it the same at …", "how long does that take?"."""
    if grammar.MORE.match(text):
        about = topic(previous)
        return f"tell me more about {describe(previous, about)}" if about else None
    if grammar.NEXT.match(text):
        return combine(previous, "what happens then")
    if same := grammar.SAME.match(body):
        return fill(grammar.ALSO.sub("", same["rest"]), previous, frozenset(), sure=True)
    if event := grammar.EVENT.match(body):
        return ask_again(event["asked"], previous)
    if duration := grammar.DURATION.match(body):
        return _duration(duration["asked"], previous)
    return None


def _duration(asked: str, previous: Reading) -> str:
    """Ask how long something takes: "… to apply for leave" after "how do I apply for leave?"."""
    for token, following in pairwise(previous.tokens):
        if token.tag == "pron" and following.tag == "verb":
            return f"{asked} it take to {previous.text[following.start :]}"
    return combine(previous, f"{asked} it take")


def _resolved(read: Reading, previous: Reading, turn: Answer, names: frozenset[str]) -> Reading | None:
    """The question with all that points back replaced; None when it points to nothing."""
    for _ in range(TURNS):
        if pronoun(read) is None:
            break
        made = resolve(read, previous, turn)
        if made is None or made == read.text:
            return None
        read = read_nouns(made, names)
    return read


def _definite(read: Reading, previous: Reading) -> str | None:
    """Let "the hut" after "Mirrin Hut" be that one, in a question that names nothing."""
    if not read.is_clause or any(noun.name for noun in read.nouns):
        return None
    for noun in read.nouns:
        if noun.determiner == "the" and len(noun.tokens) == 1 and noun.whole == noun.end:
            same = next((other for other in previous.nouns if other.head == noun.head and other.name and not other.plural), None)
            if same:
                return f"{read.text[: noun.start]}{describe(previous, same)}{read.text[noun.end :]}"
    return None


def _fragment(read: Reading, previous: Reading, names: frozenset[str], *, said: bool) -> str | None:
    """Put what is no clause ("for guests", "does Mirrin", "if I come late") into the last question."""
    body = grammar.ALSO.sub("", read.text)
    bare = read_nouns(grammar.RELATIVE.split(body)[0], names)  # "guests who pay by card" is no clause
    bare = bare if bare.nouns else read
    if condition := grammar.CONDITION.match(body):
        if not said and not body.lower().startswith("what"):
            return None
        kept = re.split(r",? \b(?:if|unless)\b", previous.text)[0]
        return f"{kept} {condition['clause']}"
    if auxiliary := grammar.AUXILIARY_FIRST.match(body):
        rest = read_nouns(auxiliary["rest"], names)
        alone = len(rest.nouns) == 1 and rest.nouns[0].end == len(rest.text) and rest.nouns[0].kind in ("name", "audience")
        return fill(auxiliary["rest"], previous, names, sure=True) if alone else None
    if bare.is_clause and not re.match(r"to \w+", body):
        return None
    starts = body.split()[0].lower() in grammar.PREPOSITIONS
    if len(body.split()) > (LONGEST if said else SHORT - 1):
        return None
    if not said and not starts and (len(bare.nouns) != 1 or bare.text != body):
        return None
    return fill(body, previous, names, sure=said or starts)


def _carried(read: Reading, previous: Reading, *, said: bool) -> str | None:
    """Ask of the last place what names none: "and can I pay by card?", "how many beds are there?"."""
    counts = grammar.COUNT.match(read.text)
    if not read.is_clause or any(noun.name for noun in read.nouns) or not (said or counts):
        return None
    named = [noun for noun in previous.nouns if noun.name and (said or noun.prep in grammar.PLACES)]
    if not named:
        return None
    asked = counts["asked"] if counts else read.text
    prep = named[-1].prep if named[-1].prep in ("at", "in", "on") else "at"
    return f"{asked} {prep} {describe(previous, named[-1])}"
