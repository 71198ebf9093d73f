"""Embedding passages: our embedder beside sentence-transformers at its defaults, tokens a second, same texts, same run.

The texts are the passages of 60 fixed files. Rounds alternate between the two, so that a noisy machine harms both.

    python benchmarks/embedding.py --data ../shared/data/docs_peps --work /tmp/embedding
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from machine import describe
from sentence_transformers import SentenceTransformer

from indexes.embedding import OnnxEmbedder, model_folder
from indexes.export import load_embedder
from indexes.reading import read_document
from indexes.splitting import SplitSettings, split

FILES, ROUNDS = 60, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for the exported model")
    arguments = parser.parse_args()
    print(describe("onnxruntime", "sentence-transformers", "torch"))
    ours = load_embedder("all-MiniLM-L6-v2", arguments.work / "models")
    theirs = SentenceTransformer(str(model_folder("all-MiniLM-L6-v2")), device="cpu")
    texts = passages(arguments.data, ours)
    tokens = sum(min(len(ours.token_spans(text)) + 2, 256) for text in texts)
    print(f"{FILES} files, {len(texts)} passages, {tokens} tokens")
    ours.embed(texts[:64]), theirs.encode(texts[:64])
    speeds: dict[str, list[float]] = {"ours": [], "sentence-transformers": []}
    for _ in range(ROUNDS):
        speeds["ours"].append(tokens / timed(lambda: ours.embed(texts)))
        speeds["sentence-transformers"].append(tokens / timed(lambda: theirs.encode(texts, show_progress_bar=False)))
    for name, values in speeds.items():
        print(f"{name}: {statistics.median(values):,.0f} tokens/s (rounds: {', '.join(f'{value:,.0f}' for value in values)})")
    ratios = [a / b for a, b in zip(speeds["ours"], speeds["sentence-transformers"], strict=True)]
    print(f"ratio: {statistics.median(ratios):.2f} (rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)})")


def passages(data: Path, embedder: OnnxEmbedder) -> list[str]:
    files = sorted(data.rglob("*.rst"))[:FILES]
    limits = SplitSettings(max_tokens=embedder.max_tokens)
    documents = [read_document(file, file.name) for file in files]
    return [p.embedded_text for document in documents for p in split(document, "d", embedder.token_spans, limits)]


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
