"""Retrieval on SciFact (Wadden et al. 2020, CC BY-NC 2.0): nDCG@10 of our search beside BM25 and MiniLM alone.

Every abstract becomes a file and goes through `indexes.build` like anybody's documents. The fusion weight is fitted on the
training claims; the test claims are only measured. BM25 (bm25s) and MiniLM (whole abstract, cut at 256 tokens) are run beside
as they are commonly run, without our splitting.

    python benchmarks/retrieval.py --data ../shared/data/retrieval_scifact --work /tmp/scifact
"""

import argparse
import csv
import re
import time
from pathlib import Path

import bm25s
import numpy as np
import Stemmer
from machine import describe

from indexes.build import RootRequest, build_index
from indexes.evaluation import bootstrap, ndcg_at, paired_difference
from indexes.export import load_embedder
from indexes.search import Searcher, Vector

WEIGHTS = [round(0.1 * step, 1) for step in range(11)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for the files and the index; kept for the next run")
    arguments = parser.parse_args()
    print(describe("faiss-cpu", "bm25s", "onnxruntime"))
    corpus = read_corpus(arguments.data)
    train, test = read_claims(arguments.data / "claims_train.csv"), read_claims(arguments.data / "claims_validation.csv")
    print(f"{len(corpus)} abstracts, {len(train)} training claims, {len(test)} test claims")
    with open_searcher(arguments.work, corpus) as searcher:
        fitted = {weight: np.mean(scores(searcher, train, weight)) for weight in WEIGHTS}
        for weight, value in fitted.items():
            print(f"  training claims, weight of the dense side {weight}: nDCG@10 {value:.4f}")
        best = max(fitted, key=lambda weight: fitted[weight])
        ours = scores(searcher, test, best)
        print(f"fitted weight: {best}")
        report("ours, fused", ours)
        report("ours, dense alone", scores(searcher, test, 1.0))
        report("ours, words alone", scores(searcher, test, 0.0))
        recall = [recall_100(searcher, claim, relevant) for claim, relevant in test.items()]
        print(f"  recall@100 {np.mean(recall):.3f}")
        rivals = {"bm25s": bm25_scores(corpus, test), "all-MiniLM-L6-v2": dense_scores(searcher, corpus, test, arguments.work)}
    for name, values in rivals.items():
        report(name, values)
        gain = paired_difference(ours, values)
        print(f"  ours − {name}: {gain.value:+.4f}, 95 % interval [{gain.low:+.4f}, {gain.high:+.4f}]")


def read_corpus(data: Path) -> dict[str, tuple[str, str]]:
    csv.field_size_limit(10**9)
    with (data / "corpus_train.csv").open(encoding="utf-8", newline="") as stream:
        return {row["doc_id"]: (row["title"], sentences(row["abstract"])) for row in csv.DictReader(stream)}


def sentences(cell: str) -> str:
    """The abstract of a cell that holds a printed array of sentences."""
    parts = re.findall(r"'((?:[^'\\]|\\.|'(?!\s*(?:\n|\]|$)))*)'|\"((?:[^\"\\]|\\.)*)\"", cell)
    return " ".join((single or double).replace("\\n", " ").strip() for single, double in parts)


def read_claims(file: Path) -> dict[str, set[str]]:
    claims: dict[str, set[str]] = {}
    with file.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            claims.setdefault(row["claim"], set()).update(re.findall(r"\d+", row["cited_doc_ids"]))
    return {claim: relevant for claim, relevant in claims.items() if relevant}


def open_searcher(work: Path, corpus: dict[str, tuple[str, str]]) -> Searcher:
    files = work / "files"
    files.mkdir(parents=True, exist_ok=True)
    for name, (title, abstract) in corpus.items():
        file = files / f"{name}.md"
        if not file.exists():
            file.write_text(f"# {title}\n\n{abstract}\n", encoding="utf-8")
    started = time.monotonic()
    report = build_index(work / "indexes" / "scifact", [RootRequest(files)], open_embedder=lambda _: embedder(work))
    print(f"index: {report.documents} documents, {report.passages} passages, {time.monotonic() - started:.0f} s")
    return Searcher([work / "indexes" / "scifact"], open_embedder=lambda _: embedder(work))


def embedder(work: Path):
    return load_embedder("all-MiniLM-L6-v2", work / "models")


VECTORS: dict[str, Vector] = {}


def ranking(searcher: Searcher, claim: str, weight: float, k: int) -> list[str]:
    if claim not in VECTORS:
        VECTORS[claim] = searcher.embed(claim)
    hits = searcher.search(claim, k=3 * k, vector=VECTORS[claim], dense_weight=weight)
    return list(dict.fromkeys(hit.source.removesuffix(".md") for hit in hits))[:k]


def scores(searcher: Searcher, claims: dict[str, set[str]], weight: float) -> list[float]:
    return [ndcg_at(ranking(searcher, claim, weight, 10), relevant, 10) for claim, relevant in claims.items()]


def recall_100(searcher: Searcher, claim: str, relevant: set[str]) -> float:
    return len(relevant & set(ranking(searcher, claim, 0.5, 100))) / len(relevant)


def bm25_scores(corpus: dict[str, tuple[str, str]], claims: dict[str, set[str]]) -> list[float]:
    stemmer, names = Stemmer.Stemmer("english"), list(corpus)
    index = bm25s.BM25()
    index.index(
        bm25s.tokenize([f"{t}. {a}" for t, a in corpus.values()], stemmer=stemmer, show_progress=False), show_progress=False
    )
    found, _ = index.retrieve(bm25s.tokenize(list(claims), stemmer=stemmer, show_progress=False), k=10, show_progress=False)
    return [ndcg_at([names[i] for i in row], relevant, 10) for row, relevant in zip(found, claims.values(), strict=True)]


def dense_scores(searcher: Searcher, corpus: dict[str, tuple[str, str]], claims: dict[str, set[str]], work: Path) -> list[float]:
    names, saved = list(corpus), work / "whole-abstracts.npy"
    if not saved.exists():
        np.save(saved, searcher.embedder.embed([f"{title}. {abstract}" for title, abstract in corpus.values()]))
    cosines = searcher.embedder.embed(list(claims)) @ np.load(saved).T  # (claims, abstracts)
    best = np.argsort(-cosines, axis=1)[:, :10]
    return [ndcg_at([names[i] for i in row], relevant, 10) for row, relevant in zip(best, claims.values(), strict=True)]


def report(name: str, values: list[float]) -> None:
    interval = bootstrap(values)
    print(f"{name}: nDCG@10 {interval.value:.4f} [{interval.low:.4f}, {interval.high:.4f}]")


if __name__ == "__main__":
    main()
