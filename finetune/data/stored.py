"""What indexes hold now, by the names that answers showed: document ids by source, and passages by id and hash.

Feedback and files of questions know a document by its source; an adapter's manifest knows it by its id.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assistant.feedback import JudgedPassage
from indexes.records import Hit
from indexes.store import Found, Store


@dataclass(slots=True)
class _Document:
    """A document of an index; its passages are read when first asked for."""

    folder: Path
    document_id: str
    passages: list[Found] = field(default_factory=list)


class StoredDocuments:
    """The living documents of indexes.

    Args:
        folders: the indexes' folders.

    Raises:
        IndexFault: one of them is missing or can't be read.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._by_source: dict[str, list[_Document]] = {}
        for folder in dict.fromkeys(folders):
            for source, document_id in _shown_sources(folder):
                self._by_source.setdefault(source, []).append(_Document(folder, document_id))

    def __contains__(self, source: object) -> bool:
        return source in self._by_source

    def document_ids(self, source: str) -> tuple[str, ...]:
        """Ids of the documents that are shown by this name; more than one only where indexes share it."""
        return tuple(dict.fromkeys(document.document_id for document in self._by_source.get(source, ())))

    def find(self, wanted: JudgedPassage) -> Hit | None:
        """The passage that stood behind an answer; None where it is gone or its text is another one now."""
        for document in self._by_source.get(wanted.source, ()):
            for found in _passages(document):
                if found.passage.passage_id == wanted.passage_id and text_hash(found.passage.text) == wanted.hash:
                    return Hit(found.passage, wanted.source, found.path, document.folder.name, 1, wanted.score, 0.0, 0.0)
        return None


def text_hash(text: str) -> str:
    """A passage's text as feedback knows it: sha256, hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _shown_sources(folder: Path) -> list[tuple[str, str]]:
    """Source and id of each document; the root's name in front where two roots hold the same path, as `search` shows it."""
    store = Store(folder)
    try:
        documents, roots = store.documents(), {root.id: root.name for root in store.roots()}
    finally:
        store.close()
    twins = Counter(document.source for document in documents)
    return [(f"{roots[one.root]}/{one.source}" if twins[one.source] > 1 else one.source, one.document_id) for one in documents]


def _passages(document: _Document) -> list[Found]:
    if not document.passages:
        store = Store(document.folder)
        try:
            document.passages = store.document_passages(document.document_id)
        finally:
            store.close()
    return document.passages
