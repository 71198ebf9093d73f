"""A pronoun of a follow-up → the words of the last turn that it stands for (pure).

Which words point back is told by position: the "it" of "does it cost anything to …" stands for nothing, "that" may join clauses,
and a pronoun whose noun stands earlier in the same question is at home there.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from assistant.followup import grammar as grammar
from assistant.followup.nouns import Noun, Reading, Token
from assistant.records import Answer

Target = Literal["thing", "things", "person", "place", "one"]

_TARGETS: dict[str, Target] = {
    **dict.fromkeys("it its it's this that".split(), "thing"),
    **dict.fromkeys("they them their theirs these those".split(), "things"),
    **dict.fromkeys("he she him her his hers".split(), "person"),
    **dict.fromkeys("one ones".split(), "one"),
    "there": "place",
}
_POSSESSIVE = frozenset("its their his her theirs hers".split())
_PERSON = re.compile(r"\b(?:[A-Z][\w'’-]+ )*?(?P<name>(?:Dr\.? )?[A-Z][\w'’-]+ [A-Z][\w'’-]+)\b(?! [A-Z])")


def pronoun(reading: Reading) -> int | None:
    """Which token of a question points out of it; None when none does."""
    for at, token in enumerate(reading.tokens):
        if token.lower in _TARGETS and _points_out(reading, at):
            return at
    return None


def resolve(reading: Reading, previous: Reading, turn: Answer) -> str | None:
    """The question with its pronoun replaced by what it stands for in the last turn; None when there is nothing to replace."""
    at = pronoun(reading)
    if at is None:
        return None
    token, target = reading.tokens[at], _TARGETS[reading.tokens[at].lower]
    if target == "one":
        return _with_one(reading, at, previous)
    if target == "person":
        return _spliced(reading, token, _person(previous, turn))
    if target == "place":
        before = reading.tokens[at - 1].lower if at else ""
        place = _place(previous, bare=before in grammar.PLACES | grammar.MOVING)
        return _spliced(reading, token, f"to {place}" if place and before in grammar.MOVING else place)
    if token.lower in grammar.DETERMINERS and token.tag == "det" and token.lower not in _POSSESSIVE:
        return _with_demonstrative(reading, at, previous)
    found = topic(previous, plural=target == "things", person=reading.tokens[0].lower == "who", said=reading.text)
    if found and any(noun.prep in ("at", "in", "on") and noun.name for noun in reading.nouns):
        found = replace(found, whole=found.end)  # "is it cheaper at Ostrel" is not of the place that was spoken of
    return _spliced(reading, token, describe(previous, found) if found else None)


def topic(previous: Reading, *, plural: bool | None = None, person: bool = False, said: str = "") -> Noun | None:
    """The noun phrase that a question is about.

    Args:
        previous: the question.
        plural: whether it should be many; None: either.
        person: whether it may be the one that a "who is …" asks for.
        said: text whose nouns are taken already.
    """
    asks_who = bool(previous.tokens) and previous.tokens[0].lower in ("who", "whos", "who's") and not person

    has = any(token.tag == "have" for token in previous.tokens)

    def score(noun: Noun) -> float:
        points = {"subject": 3.0, "object": 2.0, "asked": 1.5 if plural else -1.0, "after": 1.0}[noun.role]
        points -= 3.0 * (plural is not None and noun.plural != plural)
        points += 2.0 * (noun.role == "object" and has)  # "does X have Y": Y is what is new
        points -= 2.5 * (noun.kind == "attribute") + 1.5 * (noun.kind == "audience" and not plural)
        points -= 2.5 * (asks_who and noun.role == "subject" and not plural)
        return points + 0.5 * (noun.kind == "name")

    candidates = [noun for noun in previous.nouns if noun.kind not in ("year", "time", "number", "ordinal")]
    fresh = [noun for noun in candidates if previous.text[noun.tokens[0].start : noun.end].lower() not in said.lower()]
    return max(fresh or candidates, key=score, default=None)


def describe(previous: Reading, noun: Noun) -> str:
    """A noun phrase of the last turn in words that stand by themselves: "a sauna" is now "the sauna"."""
    text = previous.text[noun.start : noun.whole]
    if noun.role == "asked":
        text = previous.text[noun.tokens[0].start : noun.end] + _belonging(previous, noun)
        return text if noun.kind == "name" else f"the {text}"
    if noun.determiner in ("a", "an", "any", "some", "no", "each", "every", "another"):
        return f"the {previous.text[noun.tokens[0].start : noun.whole]}"
    return text


def _belonging(previous: Reading, asked: Noun) -> str:
    """Of "which batteries does the station have" or "how many blankets are there in the hut": what they belong to."""
    for noun in previous.nouns:
        if noun.role == "subject" and any(token.tag == "have" or token.lower == "have" for token in previous.tokens):
            return f" of {previous.text[noun.start : noun.whole]}"
        if noun.role == "after" and noun.prep in grammar.PLACES and noun.start > asked.end:
            return f" {previous.text[noun.prep_start : noun.whole]}"
    return ""


def _points_out(reading: Reading, at: int) -> bool:
    token = reading.tokens[at]
    before = reading.tokens[at - 1] if at else None
    after = reading.tokens[at + 1] if at + 1 < len(reading.tokens) else None
    if reading.text[: token.start].count('"') % 2 or (before and after and _is_embedded(reading, before, token, after)):
        return False
    checks: dict[str, Callable[[], bool]] = {
        "it": lambda: not any(m.start() <= token.start < m.end() for m in grammar.EXPLETIVE.finditer(reading.text)),
        "there": lambda: not _is_existential(reading, at),
        "that": lambda: _stands_for_something(before, after),
        "this": lambda: _names_no_time(after),
        "these": lambda: _names_no_time(after),
        "those": lambda: after is None or not re.fullmatch(r"who|that|which|\w+ing|\w+ed|responsible|able|who\w+", after.lower),
        "one": lambda: _counts_something(before, after),
        "ones": lambda: True,
    }
    word = token.lower if token.lower != "it's" else "it"
    return checks.get(word, lambda: True)() and not _at_home(reading, token)


def _is_embedded(reading: Reading, before: Token, token: Token, after: Token) -> bool:
    """Whether a pronoun begins a clause about its subject: "four rescuers have said *they are* coming"."""
    if token.lower not in ("it", "they", "he", "she") or after.tag not in ("be", "have", "do", "verb"):
        return False
    subject = reading.tokens[0].lower == "who" or any(noun.end < before.start for noun in reading.nouns)
    return before.tag in ("verb", "word") and subject


def _is_existential(reading: Reading, at: int) -> bool:
    """Whether a "there" only says that something exists."""
    near = reading.tokens[max(0, at - 1) : at + 2]
    last = at == len(reading.tokens) - 1 and not reading.text.lower().startswith("how many")
    return any(token.tag in ("be", "have") or token.lower in ("exist", "exists", "there's") for token in near) and not last


def _stands_for_something(before: Token | None, after: Token | None) -> bool:
    """Whether a "that" is a pronoun or determiner, and joins no clauses."""
    if before is None or before.tag in ("be", "do", "have", "prep", "to", "conj"):
        return before is None or before.lower not in ("so", "such")
    return after is None or (after.tag in ("prep", "adv") and after.lower != "there") if before.tag in ("verb", "wh") else False


def _names_no_time(after: Token | None) -> bool:
    """Not "this week", and not "this handbook"."""
    return after is None or (after.lower not in grammar.TIMES and after.lower not in grammar.THE_DOCUMENTS)


def _counts_something(before: Token | None, after: Token | None) -> bool:
    """Whether a "one" is a thing ("which one"), not anybody and no number ("one hut")."""
    if after is not None and after.tag == "word":
        return False
    return before is not None and (before.tag in ("det", "word", "verb") or before.lower in ("which", "that", "this", "other"))


def _at_home(reading: Reading, token: Token) -> bool:
    """Whether the noun that a pronoun stands for comes before it in the same question."""
    target, possessive = _TARGETS[token.lower], _owns(reading, token)
    before = reading.text[: token.start]
    if ", and " in before:
        return True
    first = reading.tokens[:2]
    if first[0].lower == "who" and target in ("person", "things") and (possessive or grammar.CLAUSE_BOUNDARY.search(before[4:])):
        return first[1].tag != "be"  # "who announced that she …", "who lost their card"
    for noun in reading.nouns:
        between = reading.text[noun.end : token.start].lower()
        if noun.end > token.start or noun.kind in ("year", "time", "number", "ordinal") or not between.strip():
            continue
        many = noun.plural or any(token.lower.endswith("s") for token in noun.tokens)  # its last word may be a verb in truth
        agrees = noun.name is not None or target not in ("thing", "things") or (many if target == "things" else not noun.plural)
        away = grammar.CLAUSE_BOUNDARY.search(between) or (target != "thing" and " to " in between)
        if agrees and (possessive or target == "one" or away):
            return True
    return False


def _spliced(reading: Reading, token: Token, words: str | None) -> str | None:
    if not words:
        return None
    owned = ("'" if words.endswith("s") and not words.endswith("ss") else "'s") if _owns(reading, token) else ""
    verb = " is" if token.lower == "it's" else ""
    return f"{reading.text[: token.start]}{words}{owned}{verb}{reading.text[token.end :]}"


def _owns(reading: Reading, token: Token) -> bool:
    """Whether a pronoun is a possessive; "her" is one only before a noun."""
    following = next((other for other in reading.tokens if other.start >= token.end), None)
    return token.lower in _POSSESSIVE and (token.lower != "her" or (following is not None and following.tag == "word"))


def _person(previous: Reading, turn: Answer) -> str | None:
    """The person the last answer named, or else the one the last question asked about."""
    asked = {token.lower for token in previous.tokens}
    if previous.tokens and previous.tokens[0].lower.startswith("who"):
        for match in _PERSON.finditer(turn.text if turn.status == "answered" else ""):
            if not asked & {word.lower() for word in match["name"].split()}:
                return match["name"]
        verb = previous.tokens[1] if len(previous.tokens) > 1 else previous.tokens[0]
        if verb.tag == "verb":
            return f"the person who {previous.text[verb.start :]}"
    people = [noun for noun in previous.nouns if noun.kind in ("audience", "name") and not noun.plural]
    subject = next((noun for noun in previous.nouns if noun.role == "subject"), None)
    found = subject or (people[0] if people else topic(previous, plural=False))
    return describe(previous, found) if found else None


def _place(previous: Reading, *, bare: bool) -> str | None:
    """Where "there" is: the last place named, or else what the question was about."""
    where = next((noun for noun in previous.nouns if noun.role == "subject" and previous.text.lower().startswith("where ")), None)
    placed = [noun for noun in previous.nouns if noun.prep in grammar.PLACES and noun.kind in ("name", "thing")]
    named = [noun for noun in placed if noun.name] or [noun for noun in previous.nouns if noun.name] or placed
    noun = where or (named[-1] if named else topic(previous))
    if noun is None:
        return None
    prep = noun.prep if noun.prep in ("at", "in", "on") else "at"
    return describe(previous, noun) if bare else f"{prep} {describe(previous, noun)}"


def _with_one(reading: Reading, at: int, previous: Reading) -> str | None:
    """Name the "one": "which one" → "which weather station"."""
    noun = topic(previous, plural=None)
    if noun is None:
        return None
    words = [token for token in noun.tokens if token.lower not in grammar.ORDINALS] or list(noun.tokens)
    text = previous.text[words[0].start : words[-1].end]
    if " and " in text and reading.tokens[at - 1].lower == "which":
        return _spliced(reading, reading.tokens[at], f"of {text}")
    if noun.plural and reading.tokens[at].lower == "one":
        text = text.removesuffix("s")
    return _spliced(reading, reading.tokens[at], text)


def _with_demonstrative(reading: Reading, at: int, previous: Reading) -> str | None:
    """Turn "this lift" into "the goods lift at Ostrel", and "that price" into "the price of the goods lift"."""
    noun = next((noun for noun in reading.nouns if noun.start == reading.tokens[at].start), None)
    if noun is None:
        return None
    same = next((other for other in previous.nouns if other.head == noun.head), None)
    found = same or topic(previous)
    if found is None:
        return None
    words = describe(previous, found)
    if same is None:
        words = f"the {reading.text[noun.tokens[0].start : noun.end]} of {words}"
    return f"{reading.text[: noun.start]}{words}{reading.text[noun.end :]}"
