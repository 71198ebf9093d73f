"""Fit how words and meaning decide whether a passage supports a sentence, and write assistant/checking/verdicts.json.

    python benchmarks/fit_verdicts.py --data ../shared/data --cache /tmp/bench

Data: the true sentences and the planted fabrications of twelve articles of SQuAD 2.0 (the four that fabrications.py reports are
never seen here), each against the passage it cites, and the true ones also against the passages they don't come from. Only
grounds without a fault count: what contradicts a number or a name is no matter of degree. Logistic regression by Newton's method.
"""

import datetime
import json
import sys
import time
from collections.abc import Sequence

import numpy as np
from fabrications import EXTRA, Case, cases
from fit_grounding import auc, fit_logistic
from numpy.typing import NDArray
from qa_data import REPORTED, Bench, arguments, describe_machine

from assistant.checking.claims import read_claim, without_attribution
from assistant.checking.grounds import likely_grounds, read_source
from assistant.checking.verdicts import EMBEDDED, FEATURES, FILE, open_grounds, weigh
from assistant.grounding.calibration import Linear

Array = NDArray[np.float64]

RIDGE = 1e-2
HAND_WEIGHT = 3
"""One sentence reworded by hand counts as so many made by rule."""
OTHERS = 3
"""Passages that a true sentence doesn't come from, for each."""
MAX_FLAGGED = 0.04
"""Share of the true sentences without a fault that may be flagged for want of likeness, out of fold: this sets the threshold."""


def collect(bench: Bench, rows: Sequence[Case]) -> tuple[Array, Array, Array, list[str]]:
    """Features of grounds without a fault, whether each supports its claim, how much it counts, and the article."""
    x, y, weights, articles = [], [], [], []
    for case in rows:
        if case.group == EXTRA:
            continue
        claim = read_claim(without_attribution(case.text))
        order = [case.cited, *(at for at in range(len(case.hits)) if at != case.cited)]
        for at in order[: 1 + OTHERS * case.true]:
            text = " ".join(case.hits[at].passage.text.split())
            if at != case.cited and case.fact.source in text:
                continue
            possible = open_grounds(claim, likely_grounds(claim, [read_source(case.hits[at])]))
            weigh(claim, possible[:EMBEDDED], bench.embedder.embed)
            if possible:
                ground = max(possible[:EMBEDDED], key=lambda ground: ground.score)
                supports = case.true and at == case.cited
                x.append(ground.features)
                y.append(float(supports))
                weights.append(HAND_WEIGHT if case.fact.origin == "hand" and supports else 1.0)
                articles.append(case.fact.article)
    return np.array(x), np.array(y), np.array(weights), articles


def out_of_fold(x: Array, y: Array, weights: Array, articles: Sequence[str]) -> Array:
    """Log-odds from models that saw nothing of the article."""
    scores = np.zeros(len(x))
    for article in sorted(set(articles)):
        inside = np.array([name == article for name in articles])
        scores[inside] = _fit(x[~inside], y[~inside], weights[~inside])(x[inside])
    return scores


def _fit(x: Array, y: Array, weights: Array) -> Linear:
    balance = np.where(y > 0, weights / weights[y > 0].sum(), weights / weights[y == 0].sum())
    return fit_logistic(x, y, balance, FEATURES, RIDGE)


def main() -> int:
    options = arguments(__doc__ or "").parse_args()
    started = time.monotonic()
    print(describe_machine())
    bench = Bench(options.data, options.cache)
    titles = [title for title in bench.articles() if title not in REPORTED]
    rows = cases(bench, titles, "tune")
    x, y, weights, articles = collect(bench, rows)
    bench.embedder.save()
    scores = out_of_fold(x, y, weights, articles)
    threshold = float(np.quantile(scores[y > 0], MAX_FLAGGED))
    area = auc(scores[y > 0], scores[y == 0])
    passed = float((scores[y == 0] >= threshold).mean())
    print(f"  {int(y.sum())} grounds that support, {int((1 - y).sum())} others; out of fold: AUC {area:.3f}, passed {passed:.3f}")
    model = _fit(x, y, weights)
    for name, weight in zip(model.names, model.weights, strict=True):
        print(f"    {name:12s} {weight:6.2f}")
    fitted = {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "script": "benchmarks/fit_verdicts.py",
        "data": "SQuAD 2.0 dev, twelve of sixteen articles (CC BY-SA 4.0); benchmarks/rewordings.json, split tune",
        "articles_held_out": list(REPORTED),
        "embedder": bench.embedder.model_id,
        "weights_hash": bench.embedder.weights_hash,
        "grounds": {"support": int(y.sum()), "do not": int((1 - y).sum())},
        "threshold": f"flags at most {MAX_FLAGGED:.0%} of true sentences whose facts stand in the passage, out of fold",
        "out_of_fold": {"auc": round(area, 3), "passed_wrongly": round(passed, 3)},
    }
    document = {"fitted": fitted, "threshold": round(threshold, 5), "supported": model.write()}
    FILE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {FILE} in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
