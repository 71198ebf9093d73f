"""Answer text + passages → verified citations (pure).

A sentence is supported when it stands in the passage it cites: as written, or as a table row told with its column names, or a
part of either ("…" marks what was cut). With an embedding model a sentence in other words is supported too, when ``verdicts``
finds its facts and its meaning in neighbouring sentences of the passage. Either way its quote is literal text of the document. A
marker that points nowhere, or at a passage that doesn't support the sentence, is taken off, and the verdict says so; a sentence
without a marker gets the one it lacks.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from assistant.checking.answer_text import Said, marked_sentences, split_answer
from assistant.checking.verdicts import Embed, Sources, judge, judge_lead
from assistant.language.sentences import Unit, plain_text, split_units
from assistant.records import Citation, Sentence, Verdict
from indexes.embedding import Matrix
from indexes.records import Hit, Passage

CUT = "…"


@dataclass(frozen=True, slots=True)
class Quote:
    """A literal span of a passage, from ``start`` to ``end`` in its text."""

    hit: Hit
    start: int
    end: int


@dataclass(slots=True)
class Verified:
    """An answer after the check.

    Attributes:
        text: the answer with markers numbered in the order of first use, and without those that failed.
        citations: by marker, from 1.
        sentences: each sentence with its verdict.
        faults: for each sentence what its passages lack or contradict, in words; empty where nothing, or nothing in particular.
    """

    text: str = ""
    citations: list[Citation] = field(default_factory=list)
    sentences: list[Sentence] = field(default_factory=list)
    faults: list[tuple[str, ...]] = field(default_factory=list)


def verify(
    text: str,
    hits: Sequence[Hit],
    *,
    strict: bool = False,
    is_stale: Callable[[Hit], bool] = lambda _: False,
    embed: Embed | None = None,
) -> Verified:
    """Check every sentence of an answer against what it cites.

    Args:
        text: the answer, with ``[n]`` after the sentences that cite ``hits[n - 1]``.
        hits: the passages that the model was given.
        strict: leave out sentences that aren't supported.
        is_stale: whether a hit's file has changed since it was indexed.
        embed: texts to unit vectors; without it only a sentence that stands in its passage is supported. Passages are taken
            apart and texts embedded only when an answer doesn't stand in them word for word.
    """
    judged = [(Said("", part, tuple(cited)), _judge(part, cited, hits)) for part, cited in marked_sentences(text)]
    if embed is None or all(found.verdict == "supported" for _, found in judged):
        verified = _put_together(judged, strict=strict, is_stale=is_stale)
        parts = [_with_markers(sentence) for sentence in verified.sentences]
        verified.text = "\n".join(parts) if any("\n" in part for part in parts) else " ".join(parts)
        return verified
    judged = _judge_by_meaning(split_answer(text), hits, embed)
    verified = _put_together(judged, strict=strict, is_stale=is_stale)
    kept = [said for said, found in judged if not strict or found.verdict == "supported"]
    pairs = zip(kept, verified.sentences, strict=True)
    verified.text = "".join(said.before + _with_markers(sentence) for said, sentence in pairs).strip()
    return verified


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found about a sentence: ``quotes`` support it, ``faults`` speak against it."""

    verdict: Verdict
    quotes: tuple[Quote, ...] = ()
    faults: tuple[str, ...] = ()


def _put_together(judged: Sequence[tuple[Said, _Found]], *, strict: bool, is_stale: Callable[[Hit], bool]) -> Verified:
    """Number the quotes in the order of first use, each once."""
    verified = Verified()
    numbers: dict[tuple[str, int, int], int] = {}
    for said, found in judged:
        if strict and found.verdict != "supported":
            continue
        markers = []
        for quote in found.quotes:
            key = (quote.hit.passage.passage_id, quote.start, quote.end)
            if key not in numbers:
                numbers[key] = len(numbers) + 1
                verified.citations.append(citation(quote, numbers[key], stale=is_stale(quote.hit)))
            markers.append(numbers[key])
        verified.sentences.append(Sentence(said.text, found.verdict, tuple(dict.fromkeys(markers))))
        verified.faults.append(found.faults)
    return verified


def _with_markers(sentence: Sentence) -> str:
    return sentence.text + "".join(f" [{marker}]" for marker in sentence.markers)


def _judge(sentence: str, cited: Sequence[int], hits: Sequence[Hit]) -> _Found:
    """Whether a sentence stands in what it cites, or, if it cites nothing, anywhere."""
    pointed = [hits[number - 1] for number in cited if 1 <= number <= len(hits)]
    quotes = [quote for hit in pointed if (quote := find_quote(sentence, hit))]
    elsewhere = [] if quotes else [quote for hit in hits if (quote := find_quote(sentence, hit))]
    if quotes or (elsewhere and not cited):
        return _Found("supported", tuple(quotes or elsewhere[:1]))
    return _Found("misattributed" if elsewhere else "not_found")


def _judge_by_meaning(said: Sequence[Said], hits: Sequence[Hit], embed: Embed) -> list[tuple[Said, _Found]]:
    """Judge the sentences of an answer in words of its own: those that stand in a passage first, the others by meaning."""
    sources, remembering = Sources(hits), _remembering(embed)
    judged = []
    for one in said:
        # A sentence without markers of its own may be meant by the next one's, and else stands for itself.
        tries = [one.cited] if one.cited else [*([one.inherited] if one.inherited else []), ()]
        found = _Found("not_found")
        for cited in tries:
            if found.verdict != "supported":
                found = _by_words_or_meaning(one.text, cited, hits, sources, remembering)
        if one.is_lead and found.verdict != "supported" and not judge_lead(one.text, sources):
            found = _Found("supported")
        judged.append((one, found))
    return judged


def _by_words_or_meaning(sentence: str, cited: Sequence[int], hits: Sequence[Hit], sources: Sources, embed: Embed) -> _Found:
    literal = _judge(sentence, cited, hits)
    if literal.verdict == "supported":
        return literal
    known = list(dict.fromkeys(number - 1 for number in cited if 1 <= number <= len(hits)))
    found = judge(plain_text(sentence), known, sources, embed, is_cited=bool(cited))
    if found.verdict != "supported" and literal.verdict == "misattributed":
        return _Found("misattributed", (), ("source",))
    return _Found(found.verdict, tuple(Quote(one.source.hit, *one.span) for one in found.grounds), found.faults)


def _remembering(embed: Embed) -> Embed:
    """An embedder that embeds no text twice while one answer is checked."""
    known: dict[str, Matrix] = {}

    def remembering(texts: Sequence[str]) -> Matrix:
        if new := [text for text in dict.fromkeys(texts) if text not in known]:
            known.update(zip(new, embed(new), strict=True))
        return np.stack([known[text] for text in texts])

    return remembering


def find_quote(sentence: str, hit: Hit) -> Quote | None:
    """Where a sentence stands in a passage, or None. Only white space, markup and cut ends may differ."""
    wanted = _normal(sentence)
    if not wanted:
        return None
    literal = _literal_span(wanted, hit.passage.text)
    if literal:
        return Quote(hit, *literal)
    units, texts = _units(hit.passage)
    for unit, text in zip(units, texts, strict=True):
        if _literal_span(wanted, text):
            return Quote(hit, unit.start, unit.end)
    for first, text in enumerate(texts):  # several units said as one: a list with the line that leads it
        joined = text if wanted.startswith(text) else ""
        for unit, following in zip(units[first + 1 : first + 8], texts[first + 1 : first + 8], strict=True) if joined else ():
            joined = f"{joined} {following}"
            if wanted == joined:
                return Quote(hit, units[first].start, unit.end)
    return None


@lru_cache(maxsize=64)
def _units(passage: Passage) -> tuple[list[Unit], list[str]]:
    """A passage's units, and how each reads."""
    units = split_units(passage)
    return units, [_normal(unit.text) for unit in units]


def _normal(text: str) -> str:
    return " ".join(plain_text(text).replace(CUT, " ").split())


def _literal_span(wanted: str, text: str) -> tuple[int, int] | None:
    """The span of words in a text that equal these words, whatever white space divides them."""
    words = wanted.split()
    if not all(word in text for word in words):
        return None
    match = re.search(r"(?<!\w)" + r"\s+".join(map(re.escape, words)) + r"(?!\w)", text)
    return match.span() if match else None


def citation(quote: Quote, marker: int, *, stale: bool) -> Citation:
    """A quote as a citation, with the lines that the quote itself takes."""
    passage = quote.hit.passage
    lines = None
    if passage.lines:
        first = passage.lines[0] + passage.text.count("\n", 0, quote.start)
        lines = (first, first + passage.text.count("\n", quote.start, quote.end))
    return Citation(
        marker=marker,
        source=quote.hit.source,
        path=quote.hit.path,
        page=passage.page,
        lines=lines,
        quote=passage.text[quote.start : quote.end],
        passage_id=passage.passage_id,
        stale=stale,
        heading=passage.heading,
    )


def nearest(hits: Sequence[Hit], *, is_stale: Callable[[Hit], bool], most: int = 3) -> tuple[Citation, ...]:
    """The best passages as a whole, for an abstention: what came nearest."""
    quotes = [Quote(hit, 0, len(hit.passage.text)) for hit in hits[:most]]
    return tuple(citation(quote, number, stale=is_stale(quote.hit)) for number, quote in enumerate(quotes, 1))
