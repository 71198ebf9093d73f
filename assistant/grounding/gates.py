"""What a question names has to be where the answer is found: gates that no probability can open (pure).

A near miss shares almost every word with the question: the sauna of another hut, the fee of another year, a sentence about the
drone's height where its flying time is asked. Averages over words can't see that, so each kind of thing that can't be replaced by
another is checked by itself, against the sentence and what it stands under:

- *numbered*: "Corvessa 5", "channel 9": the name with that number;
- *year*: the year itself, or a span that holds it ("1958–1979", "since 2017", "from 2026");
- *name*: a name that stands elsewhere in the index; for a table row the row itself must be about it;
- *kind*: an amount of money, a number, a length of time, a telephone number, where that is asked.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from assistant.grounding.evidence import Candidate, kind_match, likeness
from assistant.language import english
from assistant.language.questions import Question, stem, words_of

CHECKED_KINDS = frozenset({"money", "contact", "duration", "number", "measure"})
"""Kinds whose wording in an answer is closed enough to be recognised; "who" and "why" are answered in too many ways."""
SAME_NAME = 0.7
"""Least likeness of two names' stems, for endings ("Norman", "Normans")."""
COMMON_NAME = 0.2
"""A name in more than this share of the passages is what the documents are about; a passage needn't repeat it."""
FOLLOWING = 120
"""Characters after a sentence in which the kind of answer may still stand."""

_NUMBERED = re.compile(r"\b([A-Za-z][\w-]+)\s+(\d+[a-z]?)\b")
_YEAR = re.compile(r"\b(?:1[0-9]\d\d|20\d\d)\b")
_SPAN = re.compile(r"\b(1\d{3}|20\d\d)\s*(?:–|—|-|to|until|till|and)\s*(1\d{3}|20\d\d|\d\d\b|today|now|present)")
_FROM = re.compile(
    r"\b(?:since|from|after|as of)\s+(?:\w+\s+){0,2}?(1\d{3}|20\d\d)\b(?!\s*(?:–|—|-|to\b|until\b))", re.IGNORECASE
)
_UNTIL = re.compile(r"(?<!\d )\b(?:until|before|till|up to)\s+(?:\w+\s+){0,2}?(1\d{3}|20\d\d)\b", re.IGNORECASE)
_OPEN = 9999
_WORD = re.compile(r"[^\W\d_][\w'’-]*")


@dataclass(frozen=True, slots=True)
class Named:
    """What a question names that can't be replaced by another.

    Attributes:
        numbered: a word with its number, as written.
        years: four digits.
        names: lower case; only those rare enough in the index to tell passages apart.
    """

    numbered: tuple[tuple[str, str], ...]
    years: tuple[str, ...]
    names: tuple[str, ...]


def read_named(text: str, shares: Mapping[str, float]) -> Named:
    """Find what a question names.

    Args:
        text: the question.
        shares: in which share of the index's passages a word stands; a name that isn't listed is taken for rare.
    """
    years = tuple(dict.fromkeys(_YEAR.findall(text)))
    numbered = tuple(
        (word, number)
        for word, number in _NUMBERED.findall(text)
        if number not in years and (word[0].isupper() or word.lower() in english.NUMBERED)
    )
    names = [name for name in capitalised(text) if shares.get(name, 0.0) <= COMMON_NAME]
    return Named(numbered, years, tuple(dict.fromkeys(names)))


def capitalised(text: str) -> list[str]:
    """The words of a question that are names by their capital, in lower case; neither its first word nor an acronym is one.

    An acronym is often written out in the document ("UV", "ultraviolet").
    """
    found = []
    for match in _WORD.finditer(text):
        word = match.group()
        first = not text[: match.start()].strip("\"'“‘ ")
        if (
            word[0].isupper()
            and not word.isupper()
            and not first
            and words_of(word)
            and words_of(word)[0] not in english.STOPWORDS | english.CALENDAR
        ):
            found += words_of(word)
    return found


def closed_gates(question: Question, named: Named, candidate: Candidate) -> list[str]:
    """Why a candidate can't be the answer, whatever its score; an empty list when it can."""
    reasons = about_another(named, candidate)
    if question.kind in CHECKED_KINDS and kind_match(question, f"{candidate.unit.text} {_following(candidate)}") < 0:
        reasons.append(f"it holds no {question.kind}")
    return reasons


def subject(question: Question, candidate: Candidate) -> frozenset[str]:
    """The stems of the question's telling words that a candidate takes up: neither names nor everyday words.

    Where the best candidate is about another one (the sauna of the other hut), what replaces it must speak of the same thing.
    """
    stems = frozenset(stem(words_of(_about(candidate))))
    kind_words = english.KIND_WORDS.get(question.kind, frozenset())
    telling = (t for t in question.terms if not (t.particular or t.asked or t.word in english.COMMON or t.word in kind_words))
    return frozenset(term.stem for term in telling if likeness(term.stem, stems) >= SAME_NAME)


def about_another(named: Named, candidate: Candidate) -> list[str]:
    """Which names, numbered names and years of the question a candidate doesn't stand under."""
    about = _about(candidate)
    passage = candidate.hit.passage
    reasons = [
        f"{word} {number} isn't named there"
        for word, number in named.numbered
        if not re.search(rf"\b{re.escape(word)}s?\W{{0,3}}{re.escape(number)}\b", about, re.IGNORECASE)
    ]
    everything = f"{about} {passage.header} {passage.text}"
    reasons += [f"it isn't about {year}" for year in named.years if not holds_year(everything, int(year))]
    stems = frozenset(stem(words_of(about)))
    return reasons + [f"{name} isn't named there" for name in named.names if likeness(stem([name])[0], stems) < SAME_NAME]


def _about(candidate: Candidate) -> str:
    """What a candidate may take a name from: itself and what it stands under; of prose the whole passage, of a table its row."""
    passage, unit = candidate.hit.passage, candidate.unit
    path = re.sub(r"[/_.\-]+", " ", candidate.hit.source)
    parts = [unit.text, unit.lead, *passage.heading, path]
    return " ".join(parts if unit.kind == "row" else [*parts, passage.text])


def _following(candidate: Candidate) -> str:
    """The words that follow a sentence of prose: an amount is often given in the next one."""
    if candidate.unit.kind == "row":
        return ""
    return candidate.hit.passage.text[candidate.unit.end : candidate.unit.end + FOLLOWING]


def holds_year(text: str, year: int) -> bool:
    """Whether a text speaks of a year: by its number, or with a span that holds it."""
    if re.search(rf"\b{year}\b", text):
        return True
    spans = [(int(first), _end(first, last)) for first, last in _SPAN.findall(text)]
    spans += [(int(first), _OPEN) for first in _FROM.findall(text)] + [(0, int(last)) for last in _UNTIL.findall(text)]
    return any(first <= year <= last for first, last in spans)


def _end(first: str, last: str) -> int:
    """The second year of a span: written out ("1958–1979"), in two digits ("1958–79"), or still open ("1958–today")."""
    if not last.isdigit():
        return _OPEN
    return int(last) if len(last) == 4 else int(first[:2] + last)
