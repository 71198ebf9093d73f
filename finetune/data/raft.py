"""Questions + the live index → rows that teach to read passages: RAFT (Zhang et al. 2024, arXiv 2403.10131).

A row holds the golden passage among near misses that the search itself takes for good, in an order that is shuffled, and as its
target the sentence that holds the answer, word for word, with its marker. In a share of the rows the golden passage's documents
are left out and the target is to abstain; so it is for unanswerable questions. All rows of a run show equally many passages
where the index has so many, so that their number tells nothing.

What a row stores renders to the very prompt that serving would render for these hits (``passage_hits``).
"""

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assistant.citations import verify
from assistant.grounding.evidence import list_candidates
from assistant.grounding.ground import ground
from assistant.prompt import ABSTENTION, neutral, one_line, passage_text
from finetune.data.passages import passage_hit
from finetune.data.stored import StoredDocuments
from indexes.evaluation import contains
from indexes.questions_file import LabelledQuestion
from indexes.records import Hit
from indexes.search import Searcher, Vector

DEPTH = 50
"""Passages searched for a question: golden ones are looked for among them, near misses are the first of them."""
CANDIDATES = 10
"""Of the passages that hold an answer, the best ranked so many are weighed."""
NO_SOURCES = "it names no sources"
NO_ANSWERS = "it gives no answers"
NOT_INDEXED = "its sources are not in the index"
NOT_FOUND = "no sentence of its sources holds an answer"
NOT_SUPPORTED = "the sentence with the answer can't be cited word for word"
NOTHING_FOUND = "the search finds no passages"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mixture:
    """What rows are made of.

    Attributes:
        distractors: passages beside the golden one. RAFT found 4 to be best on most of its data (section 4).
        without_golden: share of the answerable questions whose golden passage is left out, in [0, 1].
        seed: chooses those, and shuffles the passages of each row.
    """

    distractors: int = 4
    without_golden: float = 0.2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Mined:
    """Rows, in the order of their questions, and what became of the others.

    Attributes:
        rows: in the passages layout.
        golden, without_golden, unanswerable: how many rows are of which kind.
        skipped: questions that gave no row, by reason.
    """

    rows: tuple[Row, ...]
    golden: int
    without_golden: int
    unanswerable: int
    skipped: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Found:
    """An answerable question with its golden passage, the sentence that answers it, and what else the search found.

    Attributes:
        near: hits that hold no answer, best first; ``outside``: those of other documents than its sources.
    """

    asked: LabelledQuestion
    golden: Hit
    sentence: str
    near: tuple[Hit, ...]
    outside: tuple[Hit, ...]


def mine(
    questions: Sequence[LabelledQuestion],
    searcher: Searcher,
    stored: StoredDocuments,
    mixture: Mixture,
    *,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Mined:
    """Make rows. The same questions, index and mixture make the same rows.

    Args:
        questions: with their sources and answers.
        searcher: over the indexes.
        stored: the documents of the same indexes.
        mixture: what rows are made of.
        on_progress: told how many of how many questions are done.
    """
    found: list[_Found | Row | str] = []
    for done, written in enumerate(questions, 1):
        asked = replace(written, question=one_line(written.question))  # as serving reads it
        found.append(_unanswerable(asked, searcher, mixture) if asked.unanswerable else _find(asked, searcher, stored))
        on_progress(done, len(questions))
    answerable = [one for one in found if isinstance(one, _Found)]
    without = _without_golden(answerable, mixture)
    made = [
        one if not isinstance(one, _Found) else _abstaining(one, mixture) if id(one) in without else _answered(one, mixture)
        for one in found
    ]
    rows = tuple(row for row in made if not isinstance(row, str))
    unanswerable = sum(isinstance(one, dict) for one in found)
    skipped = Counter(reason for reason in made if isinstance(reason, str))
    return Mined(rows, len(rows) - len(without) - unanswerable, len(without), unanswerable, dict(skipped))


def passage_hits(passages: Sequence[Mapping[str, Any]]) -> list[Hit]:
    """The passages of a row as the hits that they were: ``build_messages`` renders them as serving did.

    Args:
        passages: ``{"text", "source", "heading": [...], "header": str | None}``, of the right types; the last two may be missing.
    """
    return [
        passage_hit(number, one["text"], one["source"], tuple(one.get("heading") or ()), one.get("header") or "")
        for number, one in enumerate(passages, 1)
    ]


def _find(asked: LabelledQuestion, searcher: Searcher, stored: StoredDocuments) -> _Found | str:
    """The golden passage and the near misses of a question, or why there are none."""
    if not asked.sources or not asked.answers:
        return NO_ANSWERS if asked.sources else NO_SOURCES
    if not any(source in stored for source in asked.sources):
        return NOT_INDEXED
    vector = searcher.embed(asked.question)
    hits = searcher.search(asked.question, k=DEPTH, vector=vector)
    golden = [hit for hit in hits if hit.source in asked.sources and _sentences(hit, asked.answers)][:CANDIDATES]
    if not golden:
        return NOT_FOUND
    hit, sentence = _best(asked, searcher, vector, golden)
    near = tuple(hit for hit in hits if not any(contains(passage_text(hit, 1), answer) for answer in asked.answers))
    return _Found(asked, hit, sentence, near, tuple(hit for hit in near if hit.source not in asked.sources))


def _best(asked: LabelledQuestion, searcher: Searcher, vector: Vector, golden: Sequence[Hit]) -> tuple[Hit, str]:
    """Of the passages that hold an answer, the one that answers the question, and its sentence.

    A short answer ("18.00") stands in many places; serving's own judge of sentences says which of them speaks of what is asked.
    """
    evidence = ground(asked.question, vector, golden, searcher.embedder, searcher.word_frequency, searcher.passages).evidence
    said = ((one.hit, one.text) for one in evidence if any(contains(one.text, answer) for answer in asked.answers))
    return next(said, (golden[0], _sentences(golden[0], asked.answers)[0]))


def _sentences(hit: Hit, answers: Sequence[str]) -> list[str]:
    """The sentences, list items and table rows of a passage that hold an answer, as they read in one."""
    texts = [candidate.unit.text for candidate in list_candidates([hit])]
    return [text for text in texts if any(contains(text, answer) for answer in answers)]


def _without_golden(found: Sequence[_Found], mixture: Mixture) -> set[int]:
    """Which of the answerable ones lose their golden passage: exactly the share, where so many have anything else to show."""

    def lot(one: _Found) -> bytes:
        return hashlib.sha256(f"{mixture.seed}\0{one.asked.id}\0{one.asked.question}".encode(errors="replace")).digest()

    drawn = sorted((one for one in found if one.outside), key=lot)
    return {id(one) for one in drawn[: round(mixture.without_golden * len(found))]}


def _answered(found: _Found, mixture: Mixture) -> Row | str:
    hits = _shuffled([found.golden, *found.near[: mixture.distractors]], found.asked, mixture)
    place = next(number for number, hit in enumerate(hits, 1) if hit is found.golden)
    row = _row(found.asked, hits, f"{neutral(found.sentence)} [{place}]")
    return row if _is_supported(row, place) else NOT_SUPPORTED


def _abstaining(found: _Found, mixture: Mixture) -> Row:
    return _row(found.asked, _shuffled(found.outside[: mixture.distractors + 1], found.asked, mixture), ABSTENTION)


def _unanswerable(asked: LabelledQuestion, searcher: Searcher, mixture: Mixture) -> Row | str:
    hits = searcher.search(asked.question, k=mixture.distractors + 1)
    return _row(asked, _shuffled(hits, asked, mixture), ABSTENTION) if hits else NOTHING_FOUND


def _is_supported(row: Row, place: int) -> bool:
    """Whether the target stands, as one sentence, in the passage that it cites, as the row stores it."""
    verified = verify(row["answer"], passage_hits(row["passages"]), strict=True)
    whole = [f"{sentence.text} [{place}]" for sentence in verified.sentences] == [row["answer"]]
    return whole and {citation.passage_id for citation in verified.citations} == {str(place)}


def _shuffled(hits: Sequence[Hit], asked: LabelledQuestion, mixture: Mixture) -> list[Hit]:
    order = list(hits)
    random.Random(f"{mixture.seed}:{asked.id}").shuffle(order)  # noqa: S311 - an order, no secret
    return order


def _row(asked: LabelledQuestion, hits: Sequence[Hit], answer: str) -> Row:
    passages = [
        {
            "text": hit.passage.text,
            "source": hit.source,
            "heading": list(hit.passage.heading),
            "header": hit.passage.header or None,
        }
        for hit in hits
    ]
    documents = list(dict.fromkeys(hit.passage.document_id for hit in hits))
    return {"question": asked.question, "passages": passages, "answer": answer, "documents": documents, "id": asked.id}
