"""How well questions are answered without a language model, and refused when they can't be.

    python benchmarks/answering.py --data ../shared/data --cache /tmp/bench [--part squad|abstention|handbook]

squad: share of answerable questions for which *one* sentence of at most 40 words, picked out of all of an index's, holds a gold
answer. abstention: refusal of answerable, adversarial and off-topic questions with the index at 1,000 and at 50,000 sentences.
handbook: the test half of the sample handbook's questions. Nothing is fitted here.
"""

import sys
import time
from collections.abc import Sequence

import numpy as np
from fit_grounding import auc
from numpy.typing import NDArray
from qa_data import (
    HANDBOOK,
    HITS,
    REPORTED,
    Bench,
    Labelled,
    arguments,
    contains,
    describe_machine,
    handbook_questions,
)

from assistant.grounding.calibration import load_calibration
from assistant.grounding.ground import ground
from assistant.language.questions import read_question
from assistant.models.extractive import MAX_WORDS, ExtractiveModel, trim
from assistant.records import Grounding, Prompt
from indexes.records import Hit
from indexes.search import Searcher

OFF_TOPIC = 500


def run(bench: Bench, searcher: Searcher, question: str) -> tuple[list[Hit], Grounding]:
    """The product's path: search, then ground."""
    vector = bench.embedder.embed([question])[0]
    hits = searcher.search(question, k=HITS, vector=vector)
    return hits, ground(question, vector, hits, bench.embedder, searcher.word_frequency, searcher.passages)


def one_sentence(question: str, grounding: Grounding) -> str:
    """The best sentence, cut to ``MAX_WORDS`` words."""
    text = grounding.evidence[0].text if grounding.evidence else ""
    return text if len(text.split()) <= MAX_WORDS else trim(read_question(question, {}), text)


def squad(bench: Bench) -> None:
    titles = list(bench.articles())
    others = [title for title in titles if title not in REPORTED]
    groups = {"reported four (held out)": list(REPORTED)} | {f"fitted on, {n + 1}": others[n::3] for n in range(3)}
    total, right = 0, 0
    for name, group in groups.items():
        asked = [q for q in bench.questions(group) if q.kind == "answerable"]
        with bench.open(bench.index_articles(group)) as searcher:
            found = [contains(one_sentence(q.text, run(bench, searcher, q.text)[1]), q.answers) for q in asked]
        total, right = total + len(found), right + sum(found)
        print(f"  one sentence, {name:26s} n={len(found):5d}  {_interval(found)}", flush=True)
        bench.embedder.save()
    print(f"  one sentence, all sixteen articles        n={total:5d}  {right / total:.3f}")


def abstention(bench: Bench) -> None:
    titles = list(bench.articles())
    own, off = bench.questions(REPORTED), bench.off_topic(REPORTED, titles, OFF_TOPIC, seed=7)
    for size, folders in (
        ("1,000 sentences", [bench.index_articles(list(REPORTED))]),
        ("50,000 sentences", [bench.index_articles(list(REPORTED)), bench.index_distractors()]),
    ):
        asked = [*own, *off]
        if size.startswith("50"):
            asked = [q for i, q in enumerate(asked) if q.kind == "off_topic" or i % 2 == 0]
        with bench.open(*folders) as searcher:
            p = np.array([run(bench, searcher, q.text)[1].probability for q in asked])
        bench.embedder.save()
        print(f"  index of {size}")
        _report(asked, p)


def handbook(bench: Bench, split: str) -> None:
    asked = handbook_questions(split)
    answered, refused = [], {"adversarial": [], "off_topic": []}
    model, seconds = ExtractiveModel(), []
    with bench.open(bench.index("handbook", HANDBOOK)) as searcher:
        for q in asked:
            started = time.monotonic()
            hits, grounding = run(bench, searcher, q.text)
            text = "".join(model.stream(Prompt(q.text, tuple(hits), grounding.evidence))) if grounding.answerable else ""
            seconds.append(time.monotonic() - started)
            if q.kind == "answerable":
                markers = [n for n in range(1, len(hits) + 1) if f"[{n}]" in text]
                ok = contains(text, q.answers) and any(hits[n - 1].source in q.sources for n in markers)
                answered.append(ok)
            else:
                ok = not grounding.answerable
                refused[q.kind].append(ok)
            if not ok and split == "calibration":
                print(f"    MISS p={grounding.probability:.2f} {q.article} | {q.text} | {text} | {q.answers}")
    print(f"  handbook, {split} half: answered rightly {_interval(answered)} (n={len(answered)})")
    print(f"  refused: {_interval([*refused['adversarial'], *refused['off_topic']])}", end="")
    print(f" (near misses {_interval(refused['adversarial'])}, off topic {_interval(refused['off_topic'])})")
    print(
        f"  median {1000 * float(np.median(seconds)):.0f} ms a question (vectors kept from an earlier run are not embedded again)"
    )


def _report(asked: Sequence[Labelled], p: NDArray[np.float64]) -> None:
    by_kind = {kind: p[[q.kind == kind for q in asked]] for kind in ("answerable", "adversarial", "off_topic")}
    threshold = load_calibration().threshold
    five = float(np.quantile(by_kind["answerable"], 0.05))
    for kind, values in by_kind.items():
        area = "" if kind == "answerable" else f"  AUC {auc(by_kind['answerable'], values):.3f}"
        print(
            f"    {kind:12s} n={len(values):5d}  refused {np.mean(values < threshold):.3f}"
            f"  (where 5 % of the answerable are: {np.mean(values < five):.3f}){area}",
            flush=True,
        )


def _interval(values: Sequence[bool]) -> str:
    """A share with its 95 % bootstrap interval."""
    if not values:
        return "-"
    rng, array = np.random.default_rng(0), np.array(values, dtype=float)
    low, high = np.quantile(rng.choice(array, (1000, len(array))).mean(axis=1), [0.025, 0.975])
    return f"{array.mean():.3f} [{low:.3f}, {high:.3f}]"


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--part", choices=["squad", "abstention", "handbook"], action="append", help="only these parts")
    parser.add_argument("--split", choices=["calibration", "test"], default="test", help="half of the handbook's questions")
    options = parser.parse_args()
    print(describe_machine())
    bench = Bench(options.data, options.cache)
    parts = options.part or ["squad", "abstention", "handbook"]
    if "squad" in parts:
        squad(bench)
    if "abstention" in parts:
        abstention(bench)
    if "handbook" in parts:
        handbook(bench, options.split)
    bench.embedder.save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
