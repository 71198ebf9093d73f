"""An index as a llama-index retriever, for programs that are built on llama-index (extra ``llama``).

    from indexes.llama import PassageRetriever
    nodes = PassageRetriever(searcher, top_k=5).retrieve("How do I reset it?")

Nothing else in this project imports this module, so nothing else pays for llama-index.
"""

from llama_index.core import QueryBundle
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode

from indexes.records import Hit
from indexes.search import Searcher


class PassageRetriever(BaseRetriever):
    """Retrieves passages as nodes.

    Args:
        searcher: the open indexes.
        top_k: how many passages.
    """

    def __init__(self, searcher: Searcher, *, top_k: int = 10) -> None:
        self._searcher, self._top_k = searcher, top_k
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [as_node(hit) for hit in self._searcher.search(query_bundle.query_str, k=self._top_k)]


def as_node(hit: Hit) -> NodeWithScore:
    """A hit as a node: its text, its id, and in the metadata where it stands."""
    passage = hit.passage
    metadata = {
        "source": hit.source,
        "file_path": hit.path,
        "page": passage.page,
        "first_line": passage.lines[0] if passage.lines else None,
        "last_line": passage.lines[1] if passage.lines else None,
        "heading": passage.title_line,
        "index": hit.index,
    }
    node = TextNode(
        id_=passage.passage_id,
        text=passage.text,
        metadata=metadata,
        start_char_idx=passage.start,
        end_char_idx=passage.end,
    )
    return NodeWithScore(node=node, score=hit.score)
