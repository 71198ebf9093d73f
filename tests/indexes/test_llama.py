from pathlib import Path

from fakes import CountingEmbedder

from indexes.build import RootRequest, build_index
from indexes.llama import PassageRetriever
from indexes.search import Searcher


def test_an_index_is_a_llama_index_retriever(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Apples\n\nApples are red.\n")
    (docs / "b.md").write_text("# Pears\n\nPears are green.\n")
    build_index(tmp_path / "index", [RootRequest(docs)], open_embedder=lambda _: CountingEmbedder())
    with Searcher([tmp_path / "index"], open_embedder=lambda _: CountingEmbedder()) as searcher:
        nodes = PassageRetriever(searcher, top_k=1).retrieve("are apples red?")
    assert [node.text for node in nodes] == ["Apples are red."]
    assert nodes[0].metadata["source"] == "a.md"
    assert (nodes[0].metadata["first_line"], nodes[0].metadata["heading"]) == (3, "Apples")
