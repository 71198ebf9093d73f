"""Answer text + passages → verified citations (pure).

A sentence is supported when it stands in the passage it cites: as written, or as a table row told with its column names, or a
part of either ("…" marks what was cut). Then its quote is the literal text of the document. A marker that points nowhere, or at
a passage that doesn't hold the sentence, is taken off, and the verdict says so; a sentence without a marker gets the one it
lacks. What a chat model may say in its own words is checked by meaning in a later version; this module trusts nothing that it
can't find.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from assistant.records import Citation, Sentence, Verdict
from assistant.sentences import plain_text, split_units
from indexes.records import Hit

MARKER = re.compile(r"\s*\[(\d{1,3})\]")
MARKED = re.compile(r"(?P<text>.*?)(?P<markers>(?:\s*\[\d{1,3}\])+)|(?P<rest>.+)$", re.DOTALL)
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
    """

    text: str = ""
    citations: list[Citation] = field(default_factory=list)
    sentences: list[Sentence] = field(default_factory=list)


def verify(
    text: str, hits: Sequence[Hit], *, strict: bool = False, is_stale: Callable[[Hit], bool] = lambda _: False
) -> Verified:
    """Check every sentence of an answer against what it cites.

    Args:
        text: the answer, with ``[n]`` after the sentences that cite ``hits[n - 1]``.
        hits: the passages that the model was given.
        strict: leave out sentences that aren't supported.
        is_stale: whether a hit's file has changed since it was indexed.
    """
    verified = Verified()
    numbers: dict[tuple[str, int, int], int] = {}
    parts = []
    for sentence, cited in marked_sentences(text):
        verdict, quotes = _judge(sentence, cited, hits)
        if strict and verdict != "supported":
            continue
        markers = []
        for quote in quotes:
            key = (quote.hit.passage.passage_id, quote.start, quote.end)
            if key not in numbers:
                numbers[key] = len(numbers) + 1
                verified.citations.append(citation(quote, numbers[key], stale=is_stale(quote.hit)))
            markers.append(numbers[key])
        verified.sentences.append(Sentence(sentence, verdict, tuple(markers)))
        parts.append(sentence + "".join(f" [{marker}]" for marker in markers))
    verified.text = "\n".join(parts) if any("\n" in part for part in parts) else " ".join(parts)
    return verified


def marked_sentences(text: str) -> list[tuple[str, list[int]]]:
    """The parts of an answer that end with markers, with those; a last part may have none."""
    found = []
    for match in MARKED.finditer(text):
        body = (match["text"] or match["rest"] or "").strip()
        if body:
            found.append((body, [int(number) for number in MARKER.findall(match["markers"] or "")]))
    return found


def _judge(sentence: str, cited: Sequence[int], hits: Sequence[Hit]) -> tuple[Verdict, list[Quote]]:
    pointed = [hits[number - 1] for number in cited if 1 <= number <= len(hits)]
    quotes = [quote for hit in pointed if (quote := find_quote(sentence, hit))]
    elsewhere = [] if quotes else [quote for hit in hits if (quote := find_quote(sentence, hit))]
    if quotes or (elsewhere and not cited):
        return "supported", quotes or elsewhere[:1]
    return ("misattributed" if elsewhere else "not_found"), []


def find_quote(sentence: str, hit: Hit) -> Quote | None:
    """Where a sentence stands in a passage, or None. Only white space, markup and cut ends may differ."""
    wanted = _normal(sentence)
    if not wanted:
        return None
    literal = _literal_span(wanted, hit.passage.text)
    if literal:
        return Quote(hit, *literal)
    units = split_units(hit.passage)
    for unit in units:
        if _literal_span(wanted, _normal(unit.text)):
            return Quote(hit, unit.start, unit.end)
    for first in range(len(units)):  # several units said as one: a list with the line that leads it
        joined = ""
        for unit in units[first : first + 8]:
            joined = _normal(f"{joined} {unit.text}")
            if wanted == joined:
                return Quote(hit, units[first].start, unit.end)
    return None


def _normal(text: str) -> str:
    return " ".join(plain_text(text).replace(CUT, " ").split())


def _literal_span(wanted: str, text: str) -> tuple[int, int] | None:
    """The span of words in a text that equal these words, whatever white space divides them."""
    match = re.search(r"(?<!\w)" + r"\s+".join(map(re.escape, wanted.split())) + r"(?!\w)", text)
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
