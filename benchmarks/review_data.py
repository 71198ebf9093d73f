"""The rows of reviews.py: pieces of film reviews with their ratings, prompts, and the second grader's words.

Three sets of texts that share nothing: IMDB's training split teaches the writer (texts) and the sentiment classifier (texts and
ratings); the even reviews of its test split are the prompts that are learned from, the odd ones those that are measured on; the
second grader is fitted to rt_polarity, which other people wrote, elsewhere.
"""

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

GOOD, BAD = 7, 4
PIECE = (10, 40)
"""Words of a piece: about what a prompt and an answer have together."""
PROMPT_WORDS = 40
TUNED = 768
LICENCES = "IMDB reviews (Maas et al. 2011, research use); rt_polarity (Pang and Lee 2005, research use)"
SECOND_GRADER = '''"""Log-odds that a text is positive, by the words in it: a logistic regression on rt_polarity."""

import json
import re
from pathlib import Path

WEIGHTS = json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8"))


def score(prompt: str, completion: str, row: dict) -> float:
    """A word counts once, whatever its place."""
    words = set(re.findall(r"[a-z']{2,}", (prompt + completion).lower()))
    return WEIGHTS["intercept"] + sum(WEIGHTS["words"].get(word, 0.0) for word in sorted(words))
'''


def split_rows(data: Path, split: str) -> Iterator[dict[str, Any]]:
    """Reviews of a split of IMDB, each text on one line."""
    with gzip.open(data / "sentiment_aclimdb" / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield {"text": " ".join(row["text"].replace("<br />", " ").split()), "rating": row["rating"]}


def rated_pieces(data: Path, split: str, *, count: int) -> list[dict[str, str]]:
    """Pieces of reviews, drawn from anywhere in them, with the rating's side as their label: half of them of each."""
    drawn = random.Random(f"pieces {split}")
    rows = [row for row in split_rows(data, split) if row["rating"] >= GOOD or row["rating"] <= BAD]
    drawn.shuffle(rows)
    found: dict[str, list[dict[str, str]]] = {"positive": [], "negative": []}
    for row in rows:
        words = row["text"].split()
        size = drawn.randint(*PIECE)
        start = drawn.choice([0, drawn.randint(0, max(0, len(words) - size)), max(0, len(words) - size)])
        label = "positive" if row["rating"] >= GOOD else "negative"
        found[label].append({"text": " ".join(words[start : start + size]), "label": label})
    both = [each for pair in zip(found["positive"], found["negative"], strict=False) for each in pair]
    return both[:count]


def prompts(data: Path, *, learned: int, measured: int) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Beginnings of held-out reviews to learn from, and of others to measure on; each beginning once.

    The first ``TUNED`` of the others were looked at while the settings were sought.
    """
    seen: dict[str, str] = {}
    for row in split_rows(data, "test"):
        words = row["text"].split()
        seen.setdefault(" ".join(words[:8]).lower(), " ".join(words[:PROMPT_WORDS]))
    texts = list(seen.values())
    random.Random("prompts").shuffle(texts)
    return [{"text": text} for text in texts[::2][:learned]], [{"text": text} for text in texts[1::2][TUNED : TUNED + measured]]


def make_second_grader(data: Path, folder: Path) -> tuple[Path, float]:
    """Fit the words of rt_polarity: the grader's file, and its accuracy on a held-out tenth."""
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    texts, labels = [], []
    for name in ("pos", "neg"):
        lines = (data / "sentiment_rt_polarity" / f"rt-polarity.{name}").read_text(encoding="latin-1").splitlines()
        texts += lines
        labels += [name == "pos"] * len(lines)
    order = np.random.default_rng(0).permutation(len(texts))
    test, train = order[: len(order) // 10], order[len(order) // 10 :]
    counter = CountVectorizer(binary=True, token_pattern=r"[a-z']{2,}", min_df=3)
    counts, truth = counter.fit_transform([texts[at] for at in train]), np.array([labels[at] for at in train])
    fitted = LogisticRegression(C=0.3, max_iter=1_000).fit(counts, truth)
    right = fitted.predict(counter.transform([texts[at] for at in test])) == np.array([labels[at] for at in test])
    folder.mkdir(parents=True, exist_ok=True)
    weights = dict(zip(counter.get_feature_names_out().tolist(), fitted.coef_[0].tolist(), strict=True))
    (folder / "words.json").write_text(json.dumps({"intercept": float(fitted.intercept_[0]), "words": weights}), encoding="utf-8")
    file = folder / "words_grader.py"
    file.write_text(SECOND_GRADER, encoding="utf-8")
    return file, float(right.mean())


def write_rows(rows: Sequence[dict[str, str]], file: Path) -> Path:
    """One JSON object a line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file
