"""What fit_grounding.py and answering.py share: question sets, indexes built by the product, and the path up to the grounding.

SQuAD's and SciFact's texts stay where they are (../shared/data); what is derived from them goes into ``--cache``, never into the
project.
"""

import argparse
import csv
import hashlib
import json
import os
import platform
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from assistant.grounding.ground import Weighed, weigh
from indexes.build import build_index
from indexes.embedding import Embedder, Matrix
from indexes.export import load_embedder
from indexes.roots import RootRequest
from indexes.search import Searcher

ROOT = Path(__file__).resolve().parent.parent
HANDBOOK = ROOT / "examples" / "handbook"
HANDBOOK_QUESTIONS = ROOT / "examples" / "handbook-questions.jsonl"
REPORTED = ("Normans", "Steam_engine", "Immune_system", "Warsaw")
"""The four articles whose 1,596 questions are reported; nothing is ever fitted on them."""
HITS = 10


@dataclass(frozen=True, slots=True)
class Labelled:
    """A question with its label.

    Attributes:
        kind: answerable, adversarial (near the topic, not answered) or off_topic.
        answers: gold strings.
        sources: files that hold them; empty where any will do.
    """

    text: str
    kind: str
    answers: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    article: str = ""


class KeptEmbedder:
    """An embedder whose vectors are kept in a file between runs, so that a second run of a benchmark embeds nothing."""

    def __init__(self, real: Embedder, file: Path) -> None:
        self._real, self._file = real, file
        self.model_id, self.weights_hash = real.model_id, real.weights_hash
        self.dimension, self.max_tokens = real.dimension, real.max_tokens
        self._rows: dict[str, int] = {}
        self._vectors = np.zeros((0, real.dimension), dtype=np.float32)
        self._new: list[Matrix] = []
        if file.exists():
            with np.load(file) as kept:
                self._rows = {key: row for row, key in enumerate(kept["keys"].tolist())}
                self._vectors = kept["vectors"]

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        return self._real.token_spans(text)

    def embed(self, texts: Sequence[str]) -> Matrix:
        keys = [hashlib.blake2b(text.encode(), digest_size=12).hexdigest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._rows}
        for key, vector in zip(new, self._real.embed(list(new.values())) if new else [], strict=True):
            self._rows[key] = len(self._rows)
            self._new.append(vector)
        if len(self._new) > 20_000:
            self._merge()
        old = len(self._vectors)
        rows = [self._rows[key] for key in keys]
        return np.stack([self._vectors[row] if row < old else self._new[row - old] for row in rows])

    def _merge(self) -> None:
        if self._new:
            self._vectors = np.concatenate([self._vectors, np.stack(self._new)])
            self._new = []

    def save(self) -> None:
        if self._new:
            self._merge()
            part = self._file.with_suffix(f".{os.getpid()}.npz")
            np.savez(part, keys=np.array(list(self._rows)), vectors=self._vectors)
            part.replace(self._file)


@dataclass(slots=True)
class Bench:
    """Where data and derived files lie, and the embedder."""

    data: Path
    cache: Path
    embedder: KeptEmbedder = field(init=False)

    def __post_init__(self) -> None:
        self.cache.mkdir(parents=True, exist_ok=True)
        real = load_embedder("all-MiniLM-L6-v2", self.cache / "models")
        self.embedder = KeptEmbedder(real, self.cache / "vectors.npz")

    def articles(self) -> dict[str, list[dict]]:
        """SQuAD 2's articles: title → paragraphs."""
        data = json.loads((self.data / "qa_squad" / "squad2-half-dev.json").read_text(encoding="utf-8"))["data"]
        return {article["title"]: article["paragraphs"] for article in data}

    def questions(self, titles: Sequence[str]) -> list[Labelled]:
        """All questions of some articles."""
        articles = self.articles()
        rows = [(title, row) for title in titles for paragraph in articles[title] for row in paragraph["qas"]]
        return [
            Labelled(
                row["question"].strip(),
                "adversarial" if row["is_impossible"] else "answerable",
                tuple(sorted({answer["text"] for answer in row["answers"]})),
                (f"{title}.md",),
                title,
            )
            for title, row in rows
        ]

    def off_topic(self, without: Sequence[str], among: Sequence[str], count: int, seed: int) -> list[Labelled]:
        """A sample of questions of articles that aren't indexed."""
        rows = self.questions([title for title in among if title not in without])
        return [
            Labelled(row.text, "off_topic", article=row.article)
            for row in random.Random(seed).sample(rows, min(count, len(rows)))
        ]

    def index_articles(self, titles: Sequence[str]) -> Path:
        """An index with one Markdown file for each article."""
        name = "squad-" + hashlib.blake2b(" ".join(titles).encode(), digest_size=4).hexdigest()
        folder = self.cache / "text" / name
        folder.mkdir(parents=True, exist_ok=True)
        articles = self.articles()
        for title in titles:
            body = "\n\n".join(" ".join(paragraph["context"].split()) for paragraph in articles[title])
            _write(folder / f"{title}.md", f"# {title.replace('_', ' ')}\n\n{body}\n")
        return self.index(name, folder)

    def index_distractors(self) -> Path:
        """An index of SciFact's 5,183 abstracts, about 50,000 sentences."""
        folder = self.cache / "text" / "scifact"
        folder.mkdir(parents=True, exist_ok=True)
        for row in scifact(self.data):
            _write(folder / f"{row[0]}.md", f"# {row[1]}\n\n{row[2]}\n")
        return self.index("scifact", folder)

    def index(self, name: str, folder: Path) -> Path:
        """Build or refresh an index of a folder with the product's own code."""
        target = self.cache / "indexes" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        build_index(target, [RootRequest(folder)], open_embedder=lambda _: self.embedder)
        return target

    def open(self, *folders: Path) -> Searcher:
        """Search indexes together."""
        return Searcher(folders, open_embedder=lambda _: self.embedder)

    def weigh(self, searcher: Searcher, question: str) -> Weighed | None:
        """The product's path up to the features."""
        vector = self.embedder.embed([question])[0]
        hits = searcher.search(question, k=HITS, vector=vector)
        return weigh(question, vector, hits, self.embedder, searcher.word_frequency, searcher.passages)


def scifact(data: Path) -> Iterator[tuple[str, str, str]]:
    """Id, title and text of each abstract."""
    csv.field_size_limit(10**9)
    with (data / "retrieval_scifact" / "corpus_train.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            # The abstract is a printed numpy array of sentences: ['…' '…'].
            text = re.sub(r"(?:^\[|(?<=[.?!)])['\"]\s+['\"]|['\"]?\]$)", " ", row["abstract"].strip()).strip(" '\"")
            yield row["doc_id"], " ".join(row["title"].split()), " ".join(text.split())


def handbook_questions(split: str) -> list[Labelled]:
    """The handbook's questions of one split."""
    rows = [json.loads(line) for line in HANDBOOK_QUESTIONS.read_text(encoding="utf-8").splitlines() if line.strip()]
    kinds = {"near_miss": "adversarial", "off_topic": "off_topic"}
    return [
        Labelled(
            row["question"],
            kinds[row["kind"]] if row["unanswerable"] else "answerable",
            tuple(row["answers"]),
            tuple(row["sources"]),
            row["kind"],
        )
        for row in rows
        if row["split"] == split
    ]


def normalised(text: str) -> str:
    """Lower case, no punctuation, single blanks."""
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())


def contains(text: str, answers: Sequence[str]) -> bool:
    """Whether a text contains a gold answer, case, white space and punctuation aside."""
    inside = f" {normalised(text)} "
    return any(f" {normalised(answer)} " in inside for answer in answers)


def describe_machine() -> str:
    """Machine and commit, for the head of a report."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=False).stdout
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, commit {commit.strip() or '?'}"


def arguments(description: str) -> argparse.ArgumentParser:
    """The options of both scripts."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="the data sets' folder")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "assistant-benchmarks", help="derived files")
    return parser


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
