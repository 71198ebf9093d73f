"""A cold process to a cited answer, beside a cold process that retrieves the same question with llama-index.

Both indexes hold the same documents and lie on disk; each round starts a new process for each side. Ours writes the answer with
its citations; theirs only retrieves.

    python benchmarks/cold_ask.py --data examples/handbook --work /tmp/cold --question "How much is a night at Lindarn?"
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import describe

from indexes.embedding import model_folder

ROUNDS = 5
BUILD = """
import sys
from llama_index.core import Settings, SimpleDirectoryReader, StorageContext, VectorStoreIndex
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.embeddings import BaseEmbedding
{embedding}
documents = SimpleDirectoryReader({data!r}, recursive=True, required_exts=[".md", ".txt", ".rst", ".csv", ".html"]).load_data()
nodes = SentenceSplitter(chunk_size=256, chunk_overlap=20, tokenizer=str.split).get_nodes_from_documents(documents)
VectorStoreIndex(nodes, embed_model=Embedding()).storage_context.persist({store!r})
print(len(nodes))
"""
QUERY = """
from llama_index.core import StorageContext, load_index_from_storage
from llama_index.core.embeddings import BaseEmbedding
{embedding}
index = load_index_from_storage(StorageContext.from_defaults(persist_dir={store!r}), embed_model=Embedding())
print(len(index.as_retriever(similarity_top_k=10).retrieve({question!r})))
"""
EMBEDDING = """
from sentence_transformers import SentenceTransformer
MODEL = SentenceTransformer({model!r}, device="cpu")
class Embedding(BaseEmbedding):
    def _get_query_embedding(self, query):
        return MODEL.encode(query).tolist()
    def _get_text_embedding(self, text):
        return MODEL.encode(text).tolist()
    def _get_text_embeddings(self, texts):
        return MODEL.encode(texts).tolist()
    async def _aget_query_embedding(self, query):
        return self._get_query_embedding(query)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--question", required=True)
    arguments = parser.parse_args()
    print(describe("llama-index-core", "sentence-transformers", "onnxruntime"))
    environment = {**os.environ, "ASSISTANT_HOME": str(arguments.work / "home"), "HF_HUB_OFFLINE": "1"}
    script = {
        "embedding": EMBEDDING.format(model=str(model_folder("all-MiniLM-L6-v2"))),
        "data": str(arguments.data),
        "store": str(arguments.work / "llama"),
        "question": arguments.question,
    }
    run([sys.executable, "-m", "assistant", "index", str(arguments.data)], environment)
    run([sys.executable, "-c", BUILD.format(**script)], environment)
    ask = [sys.executable, "-m", "assistant", "ask", arguments.question, "--fresh", "--json"]
    sides = {"ours (cited answer)": ask, "llama-index (retrieval)": [sys.executable, "-c", QUERY.format(**script)]}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, command in sides.items():
            seconds[name].append(run(command, environment)[0])
    answer = json.loads(run(ask, environment)[1])
    print(f"{answer['status']}: {answer['answer']!r} from {[c['source'] for c in answer['citations']]}")
    for name, values in seconds.items():
        print(f"{name}: median {statistics.median(values):.2f} s (rounds: {', '.join(f'{value:.2f}' for value in values)})")
    ours, theirs = seconds.values()
    print(f"ratio: {statistics.median(b / a for a, b in zip(ours, theirs, strict=True)):.1f}")
    helps = [run([sys.executable, "-m", "assistant", "--help"], environment)[0] for _ in range(ROUNDS)]
    print(f"assistant --help: median {statistics.median(helps):.2f} s (rounds: {', '.join(f'{value:.2f}' for value in helps)})")


def run(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[:3]} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - started, done.stdout


if __name__ == "__main__":
    main()
