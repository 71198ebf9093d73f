"""Every sentence of the passages that were found, weighed against the question: the features of one (question, sentence) pair.

What a feature measures is written beside its name; how much it counts is fitted (``calibration.json``, made by
``benchmarks/fit_grounding.py``). This module knows nothing of probabilities and of whether to answer at all.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from assistant.language import english
from assistant.language.questions import Question, Term, stem, words_of
from assistant.language.sentences import Unit, split_units
from indexes.embedding import Matrix
from indexes.records import Hit

SENTENCE_FEATURES = (
    "cosine",  # of the sentence to the question
    "cosine_before",  # of the sentence before it, which often carries the topic
    "cosine_after",
    "passage_cosine",
    "passage_score",  # fused score of the search, in [0, 1]
    "passage_first",  # 1 / rank
    "overlap",  # weight of the question's words that stand in it
    "overlap_soft",  # … or that begin alike (religion, religious)
    "covered",  # … or stand in its headings
    "meaning",  # how near in meaning its words are to the question's, for the best few candidates, else 0
    "phrases",  # mean cosine of it to the question's phrases
    "overlap_before",  # weight that only the sentence before it adds
    "overlap_heading",  # weight that only the headings add
    "overlap_passage",  # weight that only the rest of the passage adds
    "rarest",  # whether the question's weightiest word stands in it
    "particulars",  # share of names, numbers, quoted words that stand in it or in its headings
    "pairs",  # share of the question's neighbouring words that are neighbours here
    "function_words",  # share of the question's remaining words that stand in it
    "kind_found",  # it holds the kind of answer that is expected …
    "kind_missing",  # … or lacks it
    "news",  # content words that the question doesn't have, log scale: an answer brings something new
    "length",  # words, log scale
    "is_row",
    "is_item",
    "is_code",
    "is_question",
    "dangling",  # leans on the sentence before it
)

_CAPITALISED = re.compile(r"(?<![\w.])[A-ZÀ-Þ][\w'’.-]+")


@dataclass(slots=True)
class Candidate:
    """A unit of a hit's passage with what is needed to weigh it.

    Attributes:
        own: stems of its own words; ``heading``: of its headings and, in a table, of its header; ``before`` and ``after``: of its
            neighbours in the same block; ``passage``: of the whole passage.
    """

    hit: Hit
    unit: Unit
    place: int
    own: list[str]
    heading: frozenset[str]
    before: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()
    passage: frozenset[str] = frozenset()
    vector: Matrix = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    cosines: tuple[float, float, float] = (0.0, 0.0, 0.0)
    phrases: float = 0.0
    meaning: float = 0.0


def list_candidates(hits: Sequence[Hit]) -> list[Candidate]:
    """All units of all hits that can be an answer, in the order of the hits and of the text."""
    return [candidate for hit in hits for candidate in _of_hit(hit)]


def _of_hit(hit: Hit) -> list[Candidate]:
    passage = hit.passage
    units = split_units(passage)
    titles = " ".join(passage.heading)
    found = [
        Candidate(hit, unit, place, stem(words_of(unit.text)), frozenset(stem(words_of(f"{titles} {unit.lead}"))))
        for place, unit in enumerate(units)
    ]
    whole = frozenset(word for candidate in found for word in [*candidate.own, *candidate.heading])
    for at, candidate in enumerate(found):
        candidate.passage = whole
        if at and found[at - 1].unit.kind != "row":
            candidate.before = frozenset(found[at - 1].own)
        if at + 1 < len(found) and found[at + 1].unit.block == candidate.unit.block and candidate.unit.kind != "row":
            candidate.after = frozenset(found[at + 1].own)
    return [candidate for candidate in found if candidate.unit.kind != "heading"]


def set_cosines(candidates: Sequence[Candidate], vectors: Matrix, question: Matrix, phrases: Matrix) -> None:
    """Give every candidate its vector and the cosines of itself and its neighbours to the question.

    Args:
        candidates: in the order of ``list_candidates``.
        vectors: ``(n, d)``, unit rows, one for each candidate.
        question: ``(d,)``.
        phrases: ``(p, d)``, the question's phrases.
    """
    cosines = vectors @ question  # (n,)
    means = (vectors @ phrases.T).mean(axis=1)  # (n,)
    for i, candidate in enumerate(candidates):
        same_before = i > 0 and candidates[i - 1].hit is candidate.hit
        same_after = i + 1 < len(candidates) and candidates[i + 1].hit is candidate.hit
        candidate.vector = vectors[i]
        candidate.phrases = float(means[i])
        candidate.cosines = (
            float(cosines[i]),
            float(cosines[i - 1]) if same_before else float(candidate.hit.dense),
            float(cosines[i + 1]) if same_after else float(candidate.hit.dense),
        )


def sentence_features(question: Question, candidate: Candidate) -> list[float]:
    """The features of a pair, in the order of ``SENTENCE_FEATURES``."""
    own = frozenset(candidate.own)
    total = question.weight or 1.0
    covered = {term.stem for term in question.terms if term.stem in own}
    before = {term.stem for term in question.terms if term.stem in candidate.before} - covered
    heading = {term.stem for term in question.terms if term.stem in candidate.heading} - covered - before
    rest = {term.stem for term in question.terms if term.stem in candidate.passage} - covered - before - heading
    weigh = {term.stem: term.weight for term in question.terms}
    soft = sum(term.weight * likeness(term.stem, own) for term in question.terms) / total
    rarest = max(question.terms, key=lambda term: (not term.asked, term.weight), default=None)
    particular = [term for term in question.terms if term.particular]
    pairs = set(zip(candidate.own, candidate.own[1:], strict=False))
    function = question.stems - {term.stem for term in question.terms}
    kind = kind_match(question, candidate.unit.text)
    news = len({word for word in own - question.stems if word not in english.STOPWORDS})
    hit, unit = candidate.hit, candidate.unit
    return [
        *candidate.cosines,
        float(hit.dense),
        float(hit.score),
        1.0 / hit.rank,
        sum(weigh[word] for word in covered) / total,
        soft,
        sum(term.weight * likeness(term.stem, own | candidate.heading) for term in question.terms) / total,
        candidate.meaning,
        candidate.phrases,
        sum(weigh[word] for word in before) / total,
        sum(weigh[word] for word in heading) / total,
        sum(weigh[word] for word in rest) / total,
        float(rarest is not None and rarest.stem in own),
        sum(term.stem in own or term.stem in candidate.heading for term in particular) / len(particular) if particular else 1.0,
        len(question.pairs & pairs) / len(question.pairs) if question.pairs else 0.0,
        len(function & own) / len(function) if function else 0.0,
        float(kind > 0),
        float(kind < 0),
        float(np.log1p(news)),
        float(np.log1p(len(candidate.own))),
        float(unit.kind == "row"),
        float(unit.kind == "item"),
        float(unit.kind == "code"),
        float(unit.text.endswith("?")),
        float(english.DANGLING.match(unit.text) is not None),
    ]


def likeness(word: str, others: frozenset[str]) -> float:
    """How like a stem is to the likest of others: 1 for the same, else their common beginning's share, from four letters on."""
    if word in others:
        return 1.0
    best = 0.0
    for other in others:
        if other[:4] == word[:4] and len(other) >= 4 and len(word) >= 4:
            same = next((i for i, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other)))
            best = max(best, same / max(len(word), len(other)))
    return best if best >= 0.5 else 0.0


def kind_match(question: Question, text: str) -> int:
    """Whether a text holds the kind of answer that is asked for, outside the question's own words: 1 yes, -1 no, 0 can't say."""
    kind = question.kind
    if kind in ("which", "how", "yesno"):
        return 0
    kept = " ".join(word for word in text.split() if not _said(word, question))
    if kind == "who":
        # A capital at the start of a sentence says nothing, unless a second capitalised word follows it.
        names = [match for match in _CAPITALISED.finditer(kept) if match.start() or re.match(r"\S+ [A-Z]", kept)]
        return 1 if names else -1
    if kind == "where" and _CAPITALISED.search(kept[1:]):
        return 1
    pattern = _PATTERNS[kind]
    if kind == "when" and re.search(r"\byear\b", question.text, re.IGNORECASE):
        pattern = english.YEAR
    return 1 if pattern.search(kept) else -1


_PATTERNS = {
    "when": english.TIME,
    "where": english.PLACE,
    "number": english.NUMBER,
    "money": english.MONEY,
    "duration": english.DURATION,
    "measure": english.NUMBER,
    "why": english.CAUSE,
    "contact": english.CONTACT,
}


def _said(word: str, question: Question) -> bool:
    stems = stem(words_of(word))
    return bool(stems) and all(one in question.stems and one not in english.STOPWORDS for one in stems)


def unsupported(term: Term, candidate: Candidate) -> float:
    """How little a candidate and what it stands under speak of a term, by its letters: 0 they name it, 1 not at all."""
    levels = (
        (1.0, frozenset(candidate.own)),
        (0.95, candidate.heading),
        (0.85, candidate.before),
        (0.7, candidate.after),
        (0.5, candidate.passage),
    )
    return 1.0 - max(level * likeness(term.stem, words) for level, words in levels)
