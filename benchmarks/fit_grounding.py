"""Fit the weights of sentences and of answerability, and write assistant/grounding/calibration.json.

    python benchmarks/fit_grounding.py --data ../shared/data --cache /tmp/bench

Data: twelve of the sixteen articles of SQuAD 2 (the four that answering.py reports are never seen here), in three indexes of four
articles, each with its answerable and adversarial questions and with questions of the other articles as off-topic ones, alone
and beside SciFact's 50,000 sentences; and the calibration half of the handbook's questions. Two models, both fitted by Newton's
method in numpy: a softmax over the sentences of a question (listwise, Cao et al. 2007, with several right ones), then a
logistic regression for answerable or not.
"""

import datetime
import itertools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qa_data import (
    HANDBOOK,
    REPORTED,
    Bench,
    Labelled,
    arguments,
    contains,
    describe_machine,
    handbook_questions,
)

from assistant.grounding.calibration import FILE, Linear
from assistant.grounding.evidence import SENTENCE_FEATURES
from assistant.grounding.ground import judge
from assistant.grounding.support import ANSWER_FEATURES
from indexes.search import Searcher

Array = NDArray[np.float64]

HANDBOOK_LIST_WEIGHT = 8
"""One handbook question counts as so many of SQuAD's: there are 90 of them against 2,142, and they hold tables and headings."""
HANDBOOK_WEIGHT = 10
OFF_TOPIC = 200
"""Off-topic questions for each index."""
RIDGE = 2e-3
ANSWER_RIDGE = 2e-2
RARE = 0.03
"""Added to a feature's standard deviation: one that is almost always 0 (a table row, in SQuAD) can't get a huge weight."""
LONGEST_STEP = 1.0
MAX_REFUSED = 0.07
"""Share of SQuAD's answerable questions that may be refused, out of fold: this sets the threshold. On the four reported articles,
which are easier, it refuses fewer (docs/benchmarks.md)."""


@dataclass(slots=True)
class Row:
    """A question's numbers.

    Attributes:
        sentences: ``(n, f)`` features.
        right: ``(n,)`` whether the sentence holds a gold answer, from a right source.
        answer: features of answerability, once the sentences have scores.
    """

    question: Labelled
    group: str
    sentences: Array
    right: NDArray[np.bool_]
    answer: Array


def collect(bench: Bench, searcher: Searcher, questions: Sequence[Labelled], group: str, model: Linear | None) -> list[Row]:
    """Run questions through the product up to the features; with a sentence model also those of answerability."""
    rows = []
    for question in questions:
        weighed = bench.weigh(searcher, question.text)
        if weighed is None:
            continue
        right = np.array(
            [contains(one.unit.text, question.answers) and one.hit.source in question.sources for one in weighed.candidates]
        )
        answer = np.zeros(0)
        if model is not None:
            scores = model(weighed.features)
            answer = np.array(judge(weighed, scores, np.argsort(-scores, kind="stable")))
        rows.append(Row(question, group, weighed.features, right, answer))
    return rows


def fit_softmax(rows: Sequence[Row], weights: Array) -> Linear:
    """Fit sentence weights: the probability that a softmax gives to the right sentences of a question.

    Which of several right sentences is *the* one is not known: each round fixes their shares (expectation), then takes one
    Newton step (maximisation).
    """
    stacked = np.concatenate([row.sentences for row in rows])  # (N, f)
    mean, scale = stacked.mean(axis=0), stacked.std(axis=0) + RARE
    lists = [((row.sentences - mean) / scale, row.right) for row in rows]
    w = np.zeros(stacked.shape[1])
    for _ in range(30):
        gradient, hessian = -RIDGE * w, RIDGE * np.eye(len(w))
        for (x, right), weight in zip(lists, weights / weights.sum(), strict=True):
            p = _softmax(x @ w)  # (n,)
            gold = _softmax(np.where(right, x @ w, -np.inf))
            middle = p @ x  # (f,)
            gradient = gradient + weight * ((gold - p) @ x)
            hessian = hessian + weight * ((x * p[:, None]).T @ x - np.outer(middle, middle))
        step = np.linalg.solve(hessian, gradient)
        w = w + step * min(1.0, LONGEST_STEP / float(np.linalg.norm(step)))
    return Linear(SENTENCE_FEATURES, mean, scale, w, 0.0)


def _softmax(scores: Array) -> Array:
    p: Array = np.exp(scores - scores.max())
    return p / p.sum()


def fit_logistic(x: Array, y: Array, weights: Array, names: Sequence[str], ridge: float = ANSWER_RIDGE) -> Linear:
    """Weighted logistic regression by iteratively reweighted least squares, the bias not shrunk."""
    mean, scale = x.mean(axis=0), x.std(axis=0) + RARE
    z = np.hstack([(x - mean) / scale, np.ones((len(x), 1))])  # (n, f + 1)
    weights = weights / weights.sum()
    penalty = np.diag([ridge] * x.shape[1] + [0.0])
    w = np.zeros(z.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-z @ w))
        gradient = z.T @ (weights * (y - p)) - penalty @ w
        w = w + np.linalg.solve((z * (weights * p * (1 - p))[:, None]).T @ z + penalty, gradient)
    return Linear(tuple(names), mean, scale, w[:-1], float(w[-1]))


def auc(positive: Array, negative: Array) -> float:
    """Area under the ROC curve (Mann-Whitney)."""
    order = np.sort(negative)
    below = np.searchsorted(order, positive, side="left") + np.searchsorted(order, positive, side="right")
    return float(below.mean() / 2 / len(negative))


def gather(bench: Bench, model: Linear | None) -> list[Row]:
    """All labelled questions with their features; without a model only the answerable ones, for fitting it."""
    others = [title for title in bench.articles() if title not in REPORTED]
    rows: list[Row] = []
    if model is None:
        for number in range(3):
            asked = [q for q in bench.questions(others[number::3]) if q.kind == "answerable"]
            with bench.open(bench.index_articles(others[number::3])) as searcher:
                rows += collect(bench, searcher, asked, f"squad-{number}", None)
    for size, number in itertools.product(("", "-50k"), range(3) if model is not None else ()):
        titles = others[number::3]
        asked = bench.questions(titles)[:: 2 if size == "" else 8]
        asked += bench.off_topic(titles, others, OFF_TOPIC if size == "" else OFF_TOPIC // 2, seed=number)
        folders = [bench.index_articles(titles)] + ([bench.index_distractors()] if size else [])
        with bench.open(*folders) as searcher:
            rows += collect(bench, searcher, asked, f"squad-{number}{size}", model)
        print(f"  {titles}{size}: {len(rows)} rows", flush=True)
    with bench.open(bench.index("handbook", HANDBOOK)) as searcher:
        asked = [q for q in handbook_questions("calibration") if model is not None or q.kind == "answerable"]
        rows += collect(bench, searcher, asked, "handbook", model)
    return rows


def row_weights(rows: Sequence[Row]) -> Array:
    """Every kind counts by its share in each group, adversarial ones less: they are hard to tell and would drown the others."""
    counts = {(row.group, row.question.kind): 0 for row in rows}
    for row in rows:
        counts[row.group, row.question.kind] += 1
    share = {"answerable": 1.0, "adversarial": 0.4, "off_topic": 1.0}
    return np.array(
        [
            HANDBOOK_WEIGHT * share[row.question.kind]
            if row.group == "handbook"
            else share[row.question.kind] * 600 / counts[row.group, row.question.kind]
            for row in rows
        ]
    )


def report(rows: Sequence[Row], probability: Array, threshold: float) -> dict[str, dict[str, float]]:
    """Shares refused and AUCs for each group."""
    found = {}
    for group in sorted({row.group for row in rows}):
        by_kind = {
            kind: np.array(
                [p for row, p in zip(rows, probability, strict=True) if row.group == group and row.question.kind == kind]
            )
            for kind in ("answerable", "adversarial", "off_topic")
        }
        found[group] = {f"refused_{kind}": round(float((p < threshold).mean()), 3) for kind, p in by_kind.items()}
        for kind in ("adversarial", "off_topic"):
            found[group][f"auc_{kind}"] = round(auc(by_kind["answerable"], by_kind[kind]), 3)
    return found


def out_of_fold(rows: Sequence[Row], x: Array, y: Array, weights: Array) -> Array:
    """Probabilities from models that saw neither the question's articles nor its tenth of the handbook."""
    folds = np.array([row.group.removesuffix("-50k") if row.group != "handbook" else f"h{i % 10}" for i, row in enumerate(rows)])
    p = np.zeros(len(rows))
    for fold in sorted(set(folds)):
        inside = folds == fold
        log_odds = fit_logistic(x[~inside], y[~inside], weights[~inside], ANSWER_FEATURES)(x[inside])
        p[inside] = 1 / (1 + np.exp(-log_odds))
    return p


def choose_threshold(rows: Sequence[Row], p: Array) -> float:
    """The strictest threshold that refuses at most ``MAX_REFUSED`` of the answerable questions of SQuAD, out of fold."""
    answerable = [
        q for row, q in zip(rows, p, strict=True) if row.question.kind == "answerable" and row.group.startswith("squad")
    ]
    return float(np.quantile(answerable, MAX_REFUSED))


def main() -> int:
    options = arguments(__doc__ or "").parse_args()
    started = time.monotonic()
    bench = Bench(options.data, options.cache)
    print(describe_machine())
    rows = [row for row in gather(bench, None) if row.right.any()]
    bench.embedder.save()
    weights = np.array([HANDBOOK_LIST_WEIGHT if row.group == "handbook" else 1 for row in rows], dtype=float)
    sentence = fit_softmax(rows, weights)
    hit = {
        group: np.mean([r.right[np.argmax(sentence(r.sentences))] for r in rows if r.group == group])
        for group in {r.group for r in rows}
    }
    print("first sentence right (on the data it was fitted on):", {k: round(float(v), 3) for k, v in sorted(hit.items())})
    rows = gather(bench, sentence)
    bench.embedder.save()
    x, y = np.stack([row.answer for row in rows]), np.array([row.question.kind == "answerable" for row in rows], dtype=float)
    weights = row_weights(rows)
    p = out_of_fold(rows, x, y, weights)
    threshold = choose_threshold(rows, p)
    figures = report(rows, p, threshold)
    for group, numbers in figures.items():
        print(f"  {group:14s} {numbers}")
    answerable = fit_logistic(x, y, weights, ANSWER_FEATURES)
    fitted = {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "script": "benchmarks/fit_grounding.py",
        "data": "SQuAD 2.0 dev, twelve of sixteen articles (CC BY-SA 4.0); SciFact abstracts as distractors (CC BY-NC 2.0); "
        "the calibration half of examples/handbook-questions.jsonl",
        "articles_held_out": list(REPORTED),
        "embedder": bench.embedder.model_id,
        "weights_hash": bench.embedder.weights_hash,
        "questions": {
            kind: sum(row.question.kind == kind for row in rows) for kind in ("answerable", "adversarial", "off_topic")
        },
        "threshold": f"refuses at most {MAX_REFUSED:.0%} of SQuAD's answerable questions, out of fold",
        "out_of_fold": figures,
    }
    document = {
        "fitted": fitted,
        "threshold": round(threshold, 5),
        "sentence": sentence.write(),
        "answerable": answerable.write(),
    }
    FILE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    np.savez(
        options.cache / "fit.npz",
        x=x,
        y=y,
        weights=weights,
        group=[r.group for r in rows],
        kind=[r.question.kind for r in rows],
        text=[r.question.text for r in rows],
        top=[r.right[np.argmax(sentence(r.sentences))] for r in rows],
    )
    print(f"wrote {FILE} in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
