"""What rewriting a follow-up by rule is worth, and how often a question that needs none is rewritten.

    python benchmarks/followups.py --work /tmp/bench [--split tune|report] [--misses]

followups.jsonl holds two- and three-turn dialogues over the sample handbook, written by hand before the rule was: the turns
before, the follow-up, the same question made self-contained by hand, the files that answer it. The rule was fitted on the tune
half. Measured are recall of the gold file searching for the follow-up as it is, rewritten, and rewritten by hand; the share
answered rightly by the extractive assistant in the same three ways; and false rewrites of the handbook's own, self-contained
questions asked after another one.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from qa_data import HANDBOOK, HANDBOOK_QUESTIONS, Bench, contains, describe_machine

from assistant.answering import Assistant
from assistant.followup.rewriting import may_depend
from assistant.followup.rule import rewrite, self_contained
from assistant.models.extractive import ExtractiveModel
from assistant.records import Answer
from indexes.search import Searcher

DIALOGUES = Path(__file__).with_name("followups.jsonl")
WAYS = ("as asked", "rewritten", "by hand")


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Turns, a follow-up, and what should become of it."""

    id: str
    split: str
    form: str
    earlier: tuple[str, ...]
    question: str
    gold: str
    sources: tuple[str, ...]
    answers: tuple[str, ...]


def dialogues(split: str) -> list[Dialogue]:
    rows = [json.loads(line) for line in DIALOGUES.read_text(encoding="utf-8").splitlines() if line.strip()]
    as_tuples = ({key: tuple(value) if isinstance(value, list) else value for key, value in row.items()} for row in rows)
    return [Dialogue(**row) for row in as_tuples if row["split"] == split]


def talk(assistant: Assistant, questions: Sequence[str]) -> list[Answer]:
    """Ask one question after the other."""
    turns: list[Answer] = []
    for question in questions:
        turns.append(assistant.ask(question, earlier=turns))
    return turns


def found_at(searcher: Searcher, query: str, sources: Sequence[str]) -> int:
    """The rank of the first passage of a gold file; 99 when it isn't found."""
    return next((hit.rank for hit in searcher.search(query, k=10) if hit.source in sources), 99)


def is_right(answer: Answer, dialogue: Dialogue) -> bool:
    cited = any(one.source in dialogue.sources for one in answer.citations)
    return answer.status == "answered" and contains(answer.text, dialogue.answers) and cited


def measure(searcher: Searcher, split: str, *, misses: bool) -> None:
    assistant = Assistant(searcher=searcher, model=ExtractiveModel(), rewrite=rewrite)
    ranks: dict[str, list[int]] = {way: [] for way in WAYS}
    right: dict[str, list[bool]] = {way: [] for way in WAYS}
    rewritten, same, seconds = 0, 0, []
    for dialogue in dialogues(split):
        turns = talk(assistant, dialogue.earlier)
        started = time.perf_counter()
        made = rewrite(dialogue.question, turns)
        seconds.append(time.perf_counter() - started)
        rewritten += made is not None
        same += (made or dialogue.question).lower().rstrip("?.") == dialogue.gold.lower().rstrip("?.")
        for way, query in zip(WAYS, (dialogue.question, made or dialogue.question, dialogue.gold), strict=True):
            ranks[way].append(found_at(searcher, query, dialogue.sources))
            right[way].append(is_right(assistant.ask(query), dialogue))
        lost = ranks["rewritten"][-1] > ranks["by hand"][-1] or right["rewritten"][-1] < right["by hand"][-1]
        if misses and split == "tune" and (lost or made is None):
            print(f"    {dialogue.id} {dialogue.form} | {self_contained(turns[-1])} | {dialogue.question} | {made}")
    print(
        f"{split} half: {len(seconds)} dialogues, {rewritten} rewritten, {same} just as by hand, "
        f"{1e3 * float(np.median(seconds)):.2f} ms each (median)"
    )
    for way in WAYS:
        at_1, at_5 = ([rank <= k for rank in ranks[way]] for k in (1, 5))
        print(f"  {way:10s} R@1 {interval(at_1)}  R@5 {interval(at_5)}  answered rightly {interval(right[way])}")
    for name, values in (
        ("R@5", [[float(rank <= 5) for rank in ranks[way]] for way in WAYS]),
        ("answers", [right[way] for way in WAYS]),
    ):
        gain = np.array(values[1], dtype=float) - np.array(values[0], dtype=float)
        print(f"  rewriting is worth {interval(gain, sign='+')} {name} (paired)")


def false_rewrites(searcher: Searcher) -> None:
    """Every handbook question after a random other one, and after the one before it in the file, which is of the same topic."""
    rows = [json.loads(line) for line in HANDBOOK_QUESTIONS.read_text(encoding="utf-8").splitlines() if line.strip()]
    assistant = Assistant(searcher=searcher, model=ExtractiveModel(), rewrite=rewrite)
    answers = [assistant.ask(row["question"]) for row in rows]
    rng = random.Random(20261121)
    others = [rng.choice([other for other in range(len(rows)) if other != at]) for at in range(len(rows))]
    for name, before in (("a random other one", others), ("the one before it", [at - 1 for at in range(len(rows))])):
        made = [
            (answers[other].question, row["question"], new)
            for row, other in zip(rows, before, strict=True)
            if (new := rewrite(row["question"], [answers[other]]))
        ]
        print(f"false rewrites after {name}: {len(made)} of {len(rows)} ({len(made) / len(rows):.1%})")
        for line in made:
            print("   ", " | ".join(line))
    costs = sum(may_depend(row["question"]) for row in rows)
    print(f"would cost a model call: {costs} of {len(rows)} self-contained questions ({costs / len(rows):.1%})")


def interval(values: Sequence[float], *, sign: str = "") -> str:
    """A mean with its 95 % bootstrap interval."""
    rng, array = np.random.default_rng(0), np.array(values, dtype=float)
    low, high = np.quantile(rng.choice(array, (2000, len(array))).mean(axis=1), [0.025, 0.975])
    return f"{array.mean():{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="derived files: the index and the exported embedder")
    parser.add_argument("--split", choices=["tune", "report"], action="append", help="only this half")
    parser.add_argument("--misses", action="store_true", help="print what went wrong in the tune half")
    options = parser.parse_args()
    print(describe_machine())
    bench = Bench(options.work, options.work)
    with bench.open(bench.index("handbook", HANDBOOK)) as searcher:
        for split in options.split or ["tune", "report"]:
            measure(searcher, split, misses=options.misses)
        false_rewrites(searcher)
    bench.embedder.save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
