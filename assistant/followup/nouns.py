"""A question → its noun phrases: where they stand, what kind of thing each names, which one it is about (pure).

No parser: closed word lists (``english.py``), positions and capital letters say where a noun phrase ends and the verb begins. It
is right often enough for a follow-up to be understood, and knows nothing of follow-ups itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from assistant.followup import grammar as grammar
from assistant.language import english
from assistant.language.questions import stem

Kind = Literal["year", "time", "number", "ordinal", "audience", "attribute", "name", "thing"]
Role = Literal["asked", "subject", "object", "after"]

_TOKEN = re.compile(r"[^\W_]+(?:[-'’._/:–][^\W_]+)*")
_CLAUSE_END = re.compile(r"[.;:?!,]")
_ATTACHED_TO_SUBJECT = frozenset("of at in on behind for from to near with between under above below".split())
_ATTACHED_TO_OBJECT = frozenset("of at in behind near".split())
_VERB_STEMS = frozenset(stem(sorted(grammar.VERBS)))


@dataclass(frozen=True, slots=True)
class Token:
    """A word, and the part it plays: wh, be, have, do, prep, det, pron, conj, adv, verb or word."""

    text: str
    start: int
    end: int
    tag: str
    name: bool

    @property
    def lower(self) -> str:
        return self.text.lower().replace("’", "'")


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun phrase.

    Attributes:
        start, end: its span with its determiner, without what is attached to it.
        whole: where it ends with what is attached ("the walk *from Varenz to Lindarn*").
        prep, prep_start: the preposition it follows, and where that begins; "" and ``start`` without one.
        role: asked for ("which *hut*"), subject, object, or after a preposition.
        kind: what it names, told by its last word.
        tokens: its words without the determiner.
    """

    start: int
    end: int
    whole: int
    prep: str
    prep_start: int
    role: Role
    kind: Kind
    determiner: str
    tokens: tuple[Token, ...]

    @property
    def head(self) -> str:
        """Its last word, stemmed."""
        return stem([self.tokens[-1].lower.removesuffix("'s")])[0]

    @property
    def plural(self) -> bool:
        """Whether it is many."""
        word = self.tokens[-1].lower
        return word in {"people", "children", "men", "women"} or (
            word.endswith("s") and not word.endswith(("ss", "us", "is", "'s")) and not self.tokens[-1].name
        )

    @property
    def name(self) -> tuple[int, int] | None:
        """The span of the capitalised words in it."""
        named = [token for token in self.tokens if token.name]
        return (named[0].start, named[-1].end) if named else None


@dataclass(frozen=True, slots=True)
class Reading:
    """A question with its words tagged and its noun phrases found."""

    text: str
    tokens: tuple[Token, ...]
    nouns: tuple[Noun, ...]

    @property
    def is_clause(self) -> bool:
        """Whether it has a question word, an auxiliary or a verb: more than a fragment."""
        return any(token.tag in ("wh", "be", "have", "do", "verb") for token in self.tokens)


def read_nouns(text: str, names: frozenset[str] = frozenset()) -> Reading:
    """Find the noun phrases of a question.

    Args:
        text: the question.
        names: words (lower case) known to be names, however they are written here.
    """
    tokens = _mark_verbs(_tagged(text, names), text)
    nouns: list[Noun] = []
    for first, last in _spans(text, tokens):
        noun = _noun(text, tokens, first, last)
        # "Does the association have a drone?": after a subject and an auxiliary comes the object.
        second = noun.role == "subject" and any(other.role == "subject" for other in nouns)
        if second and any(token.tag in ("be", "have", "do") and nouns[-1].end <= token.start < noun.start for token in tokens):
            noun = replace(noun, role="object")
        nouns.append(noun)
    return Reading(text, tuple(tokens), tuple(_attached(text, nouns)))


def kind_of(words: Sequence[Token]) -> Kind:
    """What a noun phrase names."""
    head = words[-1].lower.removesuffix("'s")
    if english.YEAR.fullmatch(head):
        return "year"
    if head in grammar.TIMES and all(_tells_time(token.lower) for token in words[:-1]):
        return "time"
    if all(token.lower.isdigit() for token in words):
        return "number"
    if head in grammar.ORDINALS and len(words) == 1:
        return "ordinal"
    if head in grammar.AUDIENCES:
        return "audience"
    if head in grammar.ATTRIBUTES:
        return "attribute"
    return "name" if words[-1].name or (head.isdigit() and words[0].name) else "thing"


def _tells_time(word: str) -> bool:
    """Whether a word before a time leaves it one: "a *full* day", "the *last three* weeks", but not "*vacation* days"."""
    known = word in grammar.TIMES or word in grammar.ORDINALS or word in ("full", "half", "whole", "following")
    return known or bool(english.NUMBER.fullmatch(word)) or word.isdigit()


def _tagged(text: str, names: frozenset[str]) -> list[Token]:
    matches = list(_TOKEN.finditer(text))
    tokens: list[Token] = []
    for at, match in enumerate(matches):
        word = match.group().lower().replace("’", "'")
        capital = any(letter.isupper() for letter in match.group()) and (at > 0 or len(matches) <= 2)
        named = match.group() == "A" if word == "a" and at else word not in english.STOPWORDS and (capital or word in names)
        tag = "word" if named else _tag(word, at, [other.group().lower() for other in matches[at + 1 : at + 3]])
        if tag == "prep" and tokens and tokens[-1].tag == "det":  # "a via ferrata set"
            tag = "word"
        tokens.append(Token(match.group(), match.start(), match.end(), tag, named))
    return tokens


def _tag(word: str, at: int, after: list[str]) -> str:
    """The part a word plays by itself; the two words after it tell "that hut" from "that is" and "that open to all"."""
    following, next_but_one = (*after, "", "")[:2]
    if word in grammar.QUESTION_WORDS and (at < 3 or word not in grammar.CONJUNCTIONS):
        return "wh"
    if word in grammar.AUXILIARIES:
        return grammar.AUXILIARIES[word]
    leads = bool(following) and following not in english.STOPWORDS and not following.endswith("ly")
    if following in grammar.PREDICATES | grammar.VERBS or _is_participle(following):
        leads = bool(next_but_one) and next_but_one not in english.STOPWORDS and following not in grammar.VERBS
    if word in grammar.DETERMINERS and (word not in grammar.PRONOUNS or leads):
        return "det"
    for tag, words in (
        ("one", frozenset({"one", "ones"})),
        ("pron", grammar.PRONOUNS),
        ("to", frozenset({"to"}) if following in grammar.VERBS else frozenset()),
        ("prep", grammar.PREPOSITIONS),
        ("conj", grammar.CONJUNCTIONS),
        ("adv", grammar.ADVERBS),
    ):
        if word in words:
            return tag
    return "adv" if word.endswith("ly") and word not in grammar.ADJECTIVES_IN_LY else "word"


def _mark_verbs(tokens: list[Token], text: str) -> list[Token]:
    """Tell the verbs from the nouns: each run of words is looked at in the light of the auxiliary before it."""
    tokens, subject = list(tokens), False
    for first, last in _runs(text, tokens):
        before = [token for token in tokens[:first] if token.tag != "adv"]
        waiting = next((token.tag for token in reversed(before) if token.tag in ("be", "have", "do", "verb")), "")
        counted = first > 0 and tokens[first - 1].lower in grammar.MEASURES
        tag = "det" if counted else before[-1].tag if before else "" if _commands(tokens, last) else "none"
        if tag == "wh" and before[-1].lower == "who":
            tag = "to"  # always a verb
        alone = tag in ("be", "do", "have") and len(before) > 1 and before[-2].tag == "wh"
        if last < len(tokens) and tokens[last].tag in ("be", "have"):
            waiting = "verb"  # it comes after: "does the station have …"
        found = _verb_at(tokens[first:last], tag, waiting, subject or alone)
        if found is not None:
            tokens[first + found] = replace(tokens[first + found], tag="verb")
        subject = bool(waiting) or tag == "none"
    return tokens


def _commands(tokens: Sequence[Token], last: int) -> bool:
    """Whether a text may begin with a verb: "describe the hut", not "cost for guests"."""
    return last < len(tokens) and tokens[last].tag in ("det", "pron")


def _verb_at(run: Sequence[Token], before: str, waiting: str, subject: bool) -> int | None:
    """Which word of a run is the verb."""
    fits = [not token.name and _fits(token.lower, waiting) for token in run]
    if before == "none":
        return None
    if before in ("to", "pron") or (before == "" and fits[0]):
        return 0 if not run[0].name else None
    if before == "wh":
        return 0 if stem([run[0].lower])[0] in _VERB_STEMS and run[0].lower not in grammar.TIMES else None
    start = 0 if subject and before != "det" else 1
    found = [at for at in range(start, len(run)) if fits[at]]
    if not found:
        return len(run) - 1 if waiting == "do" and run[0].name and not run[-1].name and not run[-1].text.isdigit() else None
    if waiting in ("be", "have"):
        found = [at for at in found if run[at].lower not in grammar.ADJECTIVES][-1:] or found
        return found[0]
    return found[-1]


def _fits(word: str, waiting: str) -> bool:
    """Whether a word can be the verb after this auxiliary."""
    if waiting == "do":
        return word in grammar.VERBS
    if waiting == "verb":
        return False
    if waiting in ("be", "have"):
        return word in grammar.PREDICATES or _is_participle(word)
    return _is_participle(word) or word in grammar.VERBS


def _is_participle(word: str) -> bool:
    return (word.endswith("ed") and word not in grammar.NOUNS_IN_ED and len(word) > 3) or word in grammar.PARTICIPLES


def _runs(text: str, tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """Spans of neighbouring words that are no function words."""
    runs: list[tuple[int, int]] = []
    for at, token in enumerate(tokens):
        if token.tag != "word":
            continue
        if runs and runs[-1][1] == at and not _CLAUSE_END.search(text[tokens[at - 1].end : token.start]):
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    return runs


def _spans(text: str, tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """The runs that are nouns; "radio and navigation" is one."""
    spans: list[tuple[int, int]] = []
    for first, last in _runs(text, tokens):
        joins = spans and spans[-1][1] == first - 1 and tokens[first - 1].lower in ("and", "or")
        if joins and text[tokens[first - 2].end : tokens[first].start].strip() in ("and", "or"):
            spans[-1] = (spans[-1][0], last)
        else:
            spans.append((first, last))
    return spans


def _noun(text: str, tokens: Sequence[Token], first: int, last: int) -> Noun:
    at = first
    while at and tokens[at - 1].tag == "det":
        at -= 1
    determiner = tokens[at].lower if at < first else ""
    start, end = tokens[at].start, tokens[last - 1].end
    before = tokens[at - 1] if at else None
    prep = before.lower if before and before.tag == "prep" and not _CLAUSE_END.search(text[before.end : start]) else ""
    words = tuple(tokens[first:last])
    role: Role = "object"
    if prep:
        role = "after"
    elif any(token.tag == "wh" for token in tokens[max(0, at - 2) : at]) and not any(
        token.tag in ("be", "have", "do") for token in tokens[:at]
    ):
        role = "asked"
    elif not any(token.tag in ("verb", "pron") for token in tokens[:at]):
        role = "subject"
    return Noun(start, end, end, prep, before.start if before and prep else start, role, kind_of(words), determiner, words)


def _attached(text: str, nouns: Sequence[Noun]) -> list[Noun]:
    """Let each noun phrase reach over the prepositional phrases that belong to it."""
    done: list[Noun] = []
    for noun in reversed(nouns):
        following = done[-1] if done else None
        belongs = _ATTACHED_TO_SUBJECT if noun.role == "subject" else _ATTACHED_TO_OBJECT
        if (
            following
            and following.prep in belongs
            and not text[noun.end : following.prep_start].strip()
            and (following.prep == "of" or following.kind not in ("year", "time", "audience", "number"))
        ):
            noun = replace(noun, whole=following.whole)
        done.append(noun)
    return done[::-1]
