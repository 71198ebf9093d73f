"""A question → what it asks for: its words with their weights, and the kind of answer it expects (pure).

Knows English only through ``english.py`` and nothing of passages.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import Stemmer

from assistant.language import english
from assistant.language.english import AnswerKind

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_IDENTIFIER = re.compile(r"[A-Za-z]\w*(?:[_.\-/:]\w+)+|\w*\d\w*|[a-z]+[A-Z]\w*|[A-Z]{2,}\w*")
_QUOTED = re.compile(r"[\"“«`]([^\"”»`]{2,60})[\"”»`]")

_KINDS = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in english.ANSWER_KINDS]


@dataclass(frozen=True, slots=True)
class Term:
    """A word of the question that an answer should take up.

    Attributes:
        stem: lower case, stemmed.
        weight: how much it matters, in [0, 1]; rare words matter more.
        particular: a name, a number, an identifier or a quoted word, for which no other word can stand.
        asked: names the kind of answer ("which *year*"), so that an answer seldom repeats it.
        phrase: number of the run of words it stands in ("minimum age" is one, "for the night course" the next).
    """

    word: str
    stem: str
    weight: float
    particular: bool
    asked: bool
    phrase: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question, read.

    Attributes:
        kind: the kind of answer it expects.
        terms: its content words, once each, in order.
        stems: the stems of all its words, function words too.
        pairs: stems of neighbouring content words.
    """

    text: str
    kind: AnswerKind
    terms: tuple[Term, ...]
    stems: frozenset[str]
    pairs: frozenset[tuple[str, str]]

    @property
    def weight(self) -> float:
        """The weight of all its terms together."""
        return sum(term.weight for term in self.terms)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; a hyphen parts two words, an apostrophe does not, ``'s`` is dropped."""
    words = (word.replace("’", "'") for word in _WORD.findall(text.lower()))
    return [word[:-2] if word.endswith("'s") else word for word in words]


def stem(words: Sequence[str]) -> list[str]:
    """Stem English words (Snowball)."""
    return [_stem(word) for word in words]


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))


@lru_cache(maxsize=1)
def _stemmer() -> Stemmer.Stemmer:
    return Stemmer.Stemmer("english")


def content_words(text: str) -> list[str]:
    """The words of a question that its answer's source must speak of, once each, in order."""
    return list(dict.fromkeys(word for word in words_of(text) if word not in english.STOPWORDS))


def answer_kind(text: str) -> AnswerKind:
    """The kind of answer that a question expects."""
    return next((kind for kind, pattern in _KINDS if pattern.search(text)), "which")


def read_question(text: str, weights: Mapping[str, float]) -> Question:
    """Read a question.

    Args:
        text: the question.
        weights: how much each of its content words matters, in [0, 1].
    """
    asked = {word for match in english.ASKED.finditer(text) for word in words_of(match.group("noun"))}
    particular = _particular(text)
    terms: dict[str, Term] = {}
    for number, phrase in enumerate(phrases(text)):
        for word in phrase:
            entry = Term(word, _stem(word), weights.get(word, 1.0), word in particular, word in asked, number)
            terms.setdefault(entry.stem, entry)
    pairs = frozenset((_stem(a), _stem(b)) for phrase in phrases(text) for a, b in pairwise(phrase))
    return Question(text, answer_kind(text), tuple(terms.values()), frozenset(stem(words_of(text))), pairs)


def phrases(text: str) -> list[list[str]]:
    """The runs of content words between function words and punctuation."""
    runs: list[list[str]] = [[]]
    end = 0
    for match in _WORD.finditer(text):
        word = words_of(match.group())[0] if words_of(match.group()) else ""
        if re.search(r"[,;:?!.()]", text[end : match.start()]):
            runs.append([])
        end = match.end()
        if not word or word in english.STOPWORDS:
            runs.append([])
        else:
            runs[-1].append(word)
    return [run for run in runs if run]


def _particular(text: str) -> set[str]:
    """Words that no other can stand for: names, numbers, identifiers, quoted terms."""
    found: set[str] = set()
    for match in _IDENTIFIER.finditer(text):
        found.update(words_of(match.group()))
    for match in _QUOTED.finditer(text):
        found.update(words_of(match.group(1)))
    for match in _WORD.finditer(text):
        # The first word of the question is written with a capital for another reason.
        if match.group()[0].isupper() and text[: match.start()].strip("\"'“‘ "):
            found.update(words_of(match.group()))
    return found - english.STOPWORDS
