"""Fit the cache's score, certify its threshold, and write assistant/cache/presets.json; then try it on what neither has seen.

    python benchmarks/fit_cache.py --data ../shared/data --cache /tmp/bench [--write] [--test]

Data: SQuAD 2's articles and the sample handbook, in one index each. Kept are answerable questions with the sentence that holds
their answer. Asked are rewordings and near misses written by hand (benchmarks/paraphrases) and other questions on the same texts,
answerable or not. An answer is right for a question if it holds one of that question's gold answers; for a near miss none is,
unless somebody who read both found that the sentence answers it all the same. The score is fitted (boosted trees) on squad.jsonl
and handbook-calibration.jsonl, by which the gates were mended too; the threshold is certified (Learn-then-Test) on
squad-certify.jsonl, which nothing was tuned on; the four articles that answering.py reports and the handbook's test half are only
tried.
"""

import json
import math
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from qa_data import HANDBOOK, HANDBOOK_QUESTIONS, REPORTED, Bench, arguments, contains, describe_machine

from assistant.cache import support
from assistant.cache.evidence import LivePassages, passage_hash
from assistant.cache.gates import differences
from assistant.cache.key import normal_question
from assistant.cache.likeness import EVIDENCE_FEATURES, PAIR_FEATURES
from assistant.cache.nearest import Nearest
from assistant.cache.store import CacheStore
from assistant.cache.tables import Bound, Draft
from assistant.cache.threshold import PRESETS, Certified, Node, Preset, learn_then_test
from assistant.cache.verify import MOST, Evidence, check_evidence, features, margins
from assistant.language.sentences import split_units
from indexes.records import Hit
from indexes.search import Searcher

PARAPHRASES = Path(__file__).with_name("paraphrases")
NAMES = (*PAIR_FEATURES, *EVIDENCE_FEATURES)
KEPT = 60
"""Questions of an article that are kept, besides those with a rewording."""
OTHERS = 40
"""Other questions that are asked about an article, half of them without an answer."""
FLOOR = 0.55
TREES, RATE = 60, 0.06
PER_HIT, PER_REQUEST = 0.2, 0.05
"""Limits of the wrong share of what is served and of all that is asked, on a mix of which three in four should miss."""
SCOPE = "fit"


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its gold answers; ``part`` is what it may be used for: fit, certify or test."""

    text: str
    answers: tuple[str, ...]
    part: str
    source: str
    kind: str


@dataclass(slots=True)
class Task:
    """What is kept and what is asked over one index."""

    index: Path
    kept: list[Question] = field(default_factory=list)
    asked: list[Question] = field(default_factory=list)


@dataclass(slots=True)
class Candidate:
    """One entry for one request: why a gate refused it, or its features, and whether its answer is right."""

    refusal: str
    values: tuple[float, ...]
    is_right: bool


@dataclass(slots=True)
class Request:
    """A question that was asked, with its candidates."""

    question: Question
    candidates: list[Candidate]


def squad(bench: Bench) -> Task:
    """The articles, with rewordings, near misses and other questions."""
    written = {"fit": _written("squad"), "certify": _written("squad-certify")}
    task, rng = Task(bench.index_articles(tuple(sorted(bench.articles())))), random.Random(7)
    for title, paragraphs in sorted(bench.articles().items()):
        rows = [row for paragraph in paragraphs for row in paragraph["qas"]]
        reworded = {row["id"] for row in rows if any(row["id"] in some for some in written.values())}
        others = [row for row in rows if row["id"] not in reworded and not row["is_impossible"]]
        impossible = [row for row in rows if row["is_impossible"]]
        rng.shuffle(others)
        rng.shuffle(impossible)
        known = [row for row in rows if row["id"] in reworded] + others[:KEPT]
        task.kept += [_squad_question(row, "", title) for row in known if not row["is_impossible"]]
        for n, row in enumerate((*others[KEPT : KEPT + OTHERS // 2], *impossible[: OTHERS // 2])):
            task.asked.append(_squad_question(row, "test" if title in REPORTED else ("fit", "certify")[n % 2], title))
        for part, some in written.items():
            part = "test" if title in REPORTED else part
            task.asked += _reworded(some, {row["id"]: _squad_question(row, part, title) for row in rows})
    return task


def handbook(bench: Bench, split: str) -> Task:
    """The handbook, with the rewordings and near misses of one half of its questions, and its unanswerable ones."""
    task = Task(bench.index("handbook-alone", HANDBOOK))
    rows = [json.loads(line) for line in HANDBOOK_QUESTIONS.read_text("utf-8").splitlines()]
    asked = {}
    for row in rows:
        part = "handbook" if split == "test" else "fit"
        question = Question(row["question"], tuple(row["answers"]), part, (row["sources"] or [""])[0], "other")
        if row["unanswerable"] and row["split"] == split:
            task.asked.append(question)
        elif not row["unanswerable"]:
            task.kept.append(question)
            asked[row["id"]] = question
    task.asked += _reworded(_written(f"handbook-{split}"), asked)
    return task


def _written(name: str) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for line in (PARAPHRASES / f"{name}.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        found.setdefault(row["id"], []).append(row)
    return found


def _squad_question(row: dict, part: str, title: str) -> Question:
    answers = tuple(sorted({answer["text"] for answer in row["answers"]}))
    return Question(row["question"].strip(), answers, part, f"{title}.md", "other")


def _reworded(written: dict[str, list[dict]], asked: dict[str, Question]) -> Iterator[Question]:
    for key, rows in written.items():
        for row in rows if key in asked else ():
            base = asked[key]
            if "paraphrase" in row:
                yield Question(row["paraphrase"], base.answers, base.part, base.source, "rewording")
            else:
                answers = base.answers if row.get("answered") else ()
                yield Question(row["near_miss"], answers, base.part, base.source, "near miss")


def keep(task: Task, searcher: Searcher, store: CacheStore) -> dict[int, str]:
    """Keep the answers: the sentence that holds the gold answer, in the best found passage that has one; by row."""
    answers = {}
    for question in task.kept:
        vector = searcher.embed(question.text)
        hits = searcher.search(question.text, k=10, vector=vector)
        found = next(((hit, said) for hit in hits if hit.source == question.source and (said := _said(hit, question))), None)
        if found is None:
            continue
        bound = tuple(
            Bound(role, hit.index, hit.passage.document_id, hit.passage.passage_id, passage_hash(hit.passage), hit.source)
            for role, some in (("cited", [found[0]]), ("found", hits))
            for hit in some
        )  # type: ignore[misc]
        cited = support.cite(support.read(question.text, searcher), vector, found[0], [found[1][1]], searcher.embedder.embed)
        noted = {found[0].passage.passage_id: cited} if cited else {}
        draft = Draft(normal_question(question.text), vector, "answered", "", searcher.generations, bound, 1.0, 1e6, noted)
        answers[store.insert(SCOPE, SCOPE, draft)] = found[1][0]
    return answers


def _said(hit: Hit, question: Question) -> tuple[str, str] | None:
    """The first sentence with a gold answer: as it reads, and as it is written."""
    found = (unit for unit in split_units(hit.passage) if contains(unit.text, question.answers))
    return next(((unit.text, hit.passage.text[unit.start : unit.end]) for unit in found), None)


def ask(task: Task, searcher: Searcher, store: CacheStore, answers: dict[int, str]) -> list[Request]:
    """Every question's candidates, as the cache would look at them."""
    near, requests = Nearest(store, SCOPE, searcher.embedder.dimension), []
    for question in task.asked:
        vector = searcher.embed(question.text)
        now = Evidence(searcher, vector, searcher.search(question.text, k=10, vector=vector), LivePassages(searcher))
        found = [one for one in near.search(vector) if one.cosine >= FLOOR]
        entries = {one.entry_id: store.entry(one.entry_id) for one in found}
        margin = margins(found, lambda a, b: answers[a] == answers[b])
        candidates = []
        for one in found[:MOST]:
            entry = entries[one.entry_id]
            assert entry is not None
            reasons = differences(question.text, entry.question)
            verdict = check_evidence(entry, now)
            refusal = f"gate: {reasons[0]}" if reasons else verdict.reason
            noted = store.cited(entry.entry_id, len(vector))
            values = features(question.text, entry, noted, one.cosine, margin[one.entry_id], now) if not refusal else {}
            is_right = contains(answers[one.entry_id], question.answers) if question.answers else False
            candidates.append(Candidate(refusal, tuple(values[name] for name in NAMES) if values else (), is_right))
        requests.append(Request(question, candidates))
    return requests


def fit(requests: Sequence[Request]) -> Preset:
    """Boosted trees on the candidates that passed the gates."""
    from sklearn.ensemble import GradientBoostingClassifier

    rows = [one for request in requests for one in request.candidates if not one.refusal]
    x, y = np.array([one.values for one in rows]), np.array([one.is_right for one in rows])
    boosted = GradientBoostingClassifier(n_estimators=TREES, max_depth=3, learning_rate=RATE, min_samples_leaf=15, random_state=0)
    boosted.fit(x, y)
    print(f"fitted on {len(rows)} candidates, {int(y.sum())} of them right")
    trees = [[_node(tree[0].tree_, place) for place in range(tree[0].tree_.node_count)] for tree in boosted.estimators_]
    preset = Preset(round(math.log(y.mean() / (1 - y.mean())), 4), trees, 1.0, FLOOR, {})
    ours = [preset.score(dict(zip(NAMES, one.values, strict=True))) for one in rows]
    assert np.allclose(ours, boosted.predict_proba(x)[:, 1], atol=5e-3)  # nothing but rounding
    return preset


def _node(tree: Any, place: int) -> Node:
    leaf = tree.children_left[place] < 0
    feature = "" if leaf else NAMES[tree.feature[place]]
    limit = 0.0 if leaf else round(float(tree.threshold[place]), 7)
    value = round(RATE * float(tree.value[place][0][0]), 4) if leaf else 0.0
    return Node(feature, limit, int(tree.children_left[place]), int(tree.children_right[place]), value)


def decide(request: Request, preset: Preset) -> tuple[float, bool] | None:
    """The best candidate's score, and whether its answer is right."""
    scored = [
        (preset.score(dict(zip(NAMES, one.values, strict=True))), one.is_right) for one in request.candidates if not one.refusal
    ]
    return max(scored, default=None)


def certify(requests: Sequence[Request], preset: Preset) -> Certified | None:
    """The loosest threshold that holds both limits."""
    decided = [found for request in requests if (found := decide(request, preset))]
    return learn_then_test(
        [score for score, _ in decided],
        [is_right for _, is_right in decided],
        requests=len(requests),
        per_hit=PER_HIT,
        per_request=PER_REQUEST,
        least_hits=80,
    )


def curve(requests: Sequence[Request], preset: Preset) -> None:
    """Hits and wrong ones at some thresholds."""
    decided = sorted((found for request in requests if (found := decide(request, preset))), reverse=True)
    for threshold in (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5):
        served = [is_right for score, is_right in decided if score >= threshold]
        print(f"  {threshold:.2f}: {len(served)} hits, {served.count(False)} wrong")


def report(name: str, requests: Sequence[Request], preset: Preset) -> None:
    """What the threshold does on a set of questions."""
    print(f"{name}:")
    for kind in ("rewording", "near miss", "other"):
        some = [request for request in requests if request.question.kind == kind]
        found = [decide(request, preset) for request in some]
        served = [is_right for one in found if one for score, is_right in [one] if score >= preset.threshold]
        refused = Counter(
            (request.candidates[0].refusal.partition(":")[0] if request.candidates else "nothing near") or "score"
            for request, one in zip(some, found, strict=True)
            if not one or one[0] < preset.threshold
        )
        share = f"{len(served) / max(len(some), 1):.1%} of {len(some)} served"
        print(
            f"  {kind:10s} {share}, {served.count(False)} wrongly; the others' first candidates: {dict(refused.most_common(6))}"
        )


def show(requests: Sequence[Request], preset: Preset, most: int) -> None:
    """Print what was served wrongly, and rewordings that weren't served."""
    for request in requests:
        found = decide(request, preset)
        is_served = bool(found and found[0] >= preset.threshold)
        if found and is_served and not found[1]:
            print("  WRONG ", request.question.kind, "|", request.question.text, f"{found[0]:.3f}")
        if request.question.kind == "rewording" and not is_served and most > 0:
            most -= 1
            reasons = [one.refusal or "score" for one in request.candidates]
            print("  MISSED", request.question.text, found and f"{found[0]:.3f}", reasons)


def main() -> int:
    parser = arguments(str(__doc__))
    parser.add_argument("--write", action="store_true", help="write the preset")
    parser.add_argument("--test", action="store_true", help="try the handbook's test half too")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print wrong ones, and N rewordings that weren't served")
    options = parser.parse_args()
    bench = Bench(options.data, options.cache)
    print(describe_machine())
    requests: list[Request] = []
    for task in (squad(bench), handbook(bench, "calibration"), *([handbook(bench, "test")] if options.test else [])):
        with bench.open(task.index) as searcher, tempfile.TemporaryDirectory() as home:
            store = CacheStore(Path(home), most_entries=100_000)
            requests += ask(task, searcher, store, keep(task, searcher, store))
            store.close()
    bench.embedder.save()
    part = {name: [one for one in requests if one.question.part == name] for name in ("fit", "certify", "test", "handbook")}
    preset = fit(part["fit"])
    found = certify(part["certify"], preset)
    print(found)
    certificate = {"confidence": 0.95, **{key: getattr(found, key) for key in found.__slots__}} if found else {}
    preset = replace(preset, threshold=found.threshold if found else 1.0, certificate=certificate)
    for name, some in part.items():
        report(name, some, preset)
        curve(some, preset)
        if options.show and name in ("fit", "certify"):
            show(some, preset, options.show)
    if options.write and found:
        known = json.loads(PRESETS.read_text("utf-8"))
        known[bench.embedder.weights_hash] = {"model": bench.embedder.model_id, **preset.write()}
        PRESETS.write_text(json.dumps(known) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
