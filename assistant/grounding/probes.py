"""Does abstaining work on *this* index? Questions made from its own documents, asked with and without their source.

Each probe is a sentence or table row whose number, time, amount or cell is asked for. With its document among the hits it
should be answered; with that document left out it should not, although everything around it is there: near misses made to
measure. Where too many are answered all the same, a stricter threshold for this index is proposed, as far as the others allow.
Never a looser one: probes repeat their source's words, so that real questions are harder to answer than they are.
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from assistant.grounding.calibration import load_calibration
from assistant.grounding.ground import ground
from assistant.language import english
from assistant.language.questions import content_words, stem, words_of
from assistant.language.sentences import Unit, split_units
from indexes.errors import StorageFull
from indexes.records import Hit, Passage
from indexes.search import Searcher, Vector
from indexes.store import Store

FILE = "abstention.json"
Progress = Callable[[int, int], None]

COUNT = 60
"""Probes: a share of one half is known to within 0.13 then, at 95 %."""
MOST_WRONG = 0.1
"""The share of probes without a source that may be answered."""
MOST_LOST = 0.05
"""The share of probes with a source that a stricter threshold may cost."""
SHORTEST, LONGEST = 8, 30
"""Words of a sentence that makes a question."""

_ASKED = (
    ("How much", english.MONEY),
    ("How long", english.DURATION),
    ("When", english.TIME),
    ("How many", english.NUMBER),
)
_CELL = re.compile(r"(?P<key>[^:]{2,60}): (?:.*, )?(?P<column>[^\d,:][^,:]*?) (?P<value>\S*\d\S*)(?:,|$)")


@dataclass(frozen=True, slots=True)
class Probe:
    """A question whose source is known.

    Attributes:
        question: about one thing in one sentence.
        answer: that thing, as written there.
        document_id: where it stands.
    """

    question: str
    answer: str
    document_id: str


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What probing an index showed.

    Attributes:
        generation: of the index, when it was probed.
        asked: probes whose source was among the hits; ``answered`` of them at the threshold proposed, ``answered_before`` at
            the one that travels with the package.
        left_out: probes asked without their document, where no other one says the same; ``wrongly_answered`` and
            ``wrongly_answered_before`` of them.
        shipped, threshold: probability from which on to answer, as it travels with the package and as it is proposed.
    """

    generation: int
    asked: int
    answered: int
    answered_before: int
    left_out: int
    wrongly_answered: int
    wrongly_answered_before: int
    shipped: float
    threshold: float


def probe_index(
    folder: Path, searcher: Searcher, *, count: int = COUNT, top_k: int = 10, progress: Progress = lambda _done, _of: None
) -> ProbeReport:
    """Probe an index.

    Args:
        folder: the index.
        searcher: over it alone.
        count: probes to make; fewer where it holds fewer sentences that can be asked about.
        top_k: passages that an answer is written from.
        progress: told how many of how many probes are done.
    """
    store = Store(folder)
    try:
        probes, generation = make_probes(store, count), store.generation
    finally:
        store.close()
    present, absent = [], []
    for done, probe in enumerate(probes, 1):
        vector = searcher.embed(probe.question)
        hits = searcher.search(probe.question, k=top_k * 4, vector=vector)
        without = [hit for hit in hits if hit.passage.document_id != probe.document_id]
        if any(hit.passage.document_id == probe.document_id for hit in hits[:top_k]):
            present.append(_probability(searcher, probe, vector, hits[:top_k]))
        if without and not any(_says(hit, probe) for hit in without):
            absent.append(_probability(searcher, probe, vector, without[:top_k]))
        progress(done, len(probes))
    return report_on(present, absent, shipped=load_calibration().threshold, generation=generation)


def adopt(folder: Path, report: ProbeReport) -> None:
    """Let an index be answered from at the threshold that probing it led to.

    Raises:
        StorageFull: it can't be written.
    """
    path = folder / FILE
    try:
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(report)), encoding="utf-8")
        part.chmod(0o600)
        part.replace(path)
    except OSError as error:
        raise StorageFull(f"can't write {str(path)!r}: {error.strerror}", hint="free some space, or mend its rights") from error


def _probability(searcher: Searcher, probe: Probe, vector: Vector, hits: Sequence[Hit]) -> float:
    ranked = [replace(hit, rank=rank) for rank, hit in enumerate(hits, 1)]
    found = ground(probe.question, vector, ranked, searcher.embedder, searcher.word_frequency, searcher.passages)
    return found.probability


def _says(hit: Hit, probe: Probe) -> bool:
    """Whether another document gives the same answer to about the same question."""
    asked = set(stem(content_words(probe.question)))
    for unit in split_units(hit.passage):
        if probe.answer in unit.text and 2 * len(asked & set(stem(words_of(unit.text)))) >= len(asked):
            return True
    return False


def report_on(present: Sequence[float], absent: Sequence[float], *, shipped: float, generation: int) -> ProbeReport:
    """Choose the lowest threshold, from the shipped one up, at which few enough probes without a source are answered."""

    def over(probabilities: Sequence[float], threshold: float) -> int:
        return sum(probability >= threshold for probability in probabilities)

    allowed = MOST_WRONG * len(absent)
    least = over(present, shipped) - MOST_LOST * len(present)
    steps = sorted({shipped, *(value + 1e-6 for value in absent if value >= shipped)})
    affordable = [step for step in steps if over(present, step) >= least]
    enough = [step for step in affordable if over(absent, step) <= allowed]
    threshold = enough[0] if enough else affordable[-1]
    return ProbeReport(
        generation=generation,
        asked=len(present),
        answered=over(present, threshold),
        answered_before=over(present, shipped),
        left_out=len(absent),
        wrongly_answered=over(absent, threshold),
        wrongly_answered_before=over(absent, shipped),
        shipped=shipped,
        threshold=threshold,
    )


def threshold_of(folders: Sequence[Path]) -> float | None:
    """The strictest threshold that probing these indexes led to; None where none was probed."""
    found = []
    for folder in folders:
        try:
            found.append(float(json.loads((folder / FILE).read_text(encoding="utf-8"))["threshold"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return max(found, default=None)


def make_probes(store: Store, count: int) -> list[Probe]:
    """Questions from sentences spread over all documents, the same ones for the same index."""
    chance = random.Random(store.generation)  # noqa: S311 - a sample, no secret
    documents = store.documents()
    chance.shuffle(documents)
    queues = [_of_document(store, document.row, chance) for document in documents[: count * 4]]
    probes: list[Probe] = []
    while queues and len(probes) < count:
        for queue in list(queues):
            probe = next(queue, None)
            if probe is None:
                queues.remove(queue)
            elif len(probes) < count:
                probes.append(probe)
    return probes


def _of_document(store: Store, row: int, chance: random.Random) -> Iterator[Probe]:
    passages, _ = store.passages_of(row)
    chance.shuffle(passages)
    for passage in passages:
        for unit in split_units(passage):
            probe = probe_of(passage, unit)
            if probe:
                yield probe
                break


def probe_of(passage: Passage, unit: Unit) -> Probe | None:
    """The question that a sentence or a row answers, if it can be made by rule."""
    made = _from_row(unit) if unit.kind == "row" else _from_sentence(unit) if unit.kind in ("sentence", "item") else None
    if made is None or len(content_words(made[0])) < 2:
        return None
    return Probe(*made, passage.document_id)


def _from_row(unit: Unit) -> tuple[str, str] | None:
    match = _CELL.match(unit.text)
    return (f"What is the {match['column']} of {match['key']}?", match["value"]) if match else None


def _from_sentence(unit: Unit) -> tuple[str, str] | None:
    words = words_of(unit.text)
    if not SHORTEST <= len(words) <= LONGEST or english.DANGLING.match(unit.text):
        return None
    for asked, pattern in _ASKED:
        match = pattern.search(unit.text)
        if match and match.group().strip():
            start, end = _whole_words(unit.text, *match.span())
            rest = f"{unit.text[:start]} {unit.text[end:]}".strip(" .!?;:,\n").split()
            return f"{asked} {' '.join([rest[0].lower(), *rest[1:]])}?", unit.text[start:end].strip(" .,;:()")
    return None


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """A span grown to the white space around it: "4" of "45" is no answer."""
    before, after = re.search(r"\S*$", text[:start]), re.match(r"\S*", text[end:])
    return start - len(before[0] if before else ""), end + len(after[0] if after else "")
