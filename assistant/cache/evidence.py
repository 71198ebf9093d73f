"""What ties an answer to the documents: the passages it cites, as they were, against the documents as they are now.

An entry dies when a passage that it cites has changed or gone, and for nothing else that happens to the documents. It is passed
over, for one question, where that question doesn't find what the answer cites, or finds something newer that is better.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from assistant.cache.key import digest
from assistant.cache.tables import Bound, Entry, Role
from assistant.citations import Quote, citation
from assistant.records import Answer, Citation
from indexes.records import Hit, Passage
from indexes.search import Searcher


def passage_hash(passage: Passage) -> str:
    """The hash of what a model is shown of a passage, but for the path that it stands in."""
    return digest(passage.embedded_text)


def bind(answer: Answer, hits: Sequence[Hit]) -> tuple[Bound, ...]:
    """The passages that an answer to these hits depends on: those it cites, then all, best first."""
    cited = {citation.passage_id for citation in answer.citations}
    return (*(_bound("cited", hit) for hit in hits if hit.passage.passage_id in cited), *(_bound("found", hit) for hit in hits))


def _bound(role: Role, hit: Hit) -> Bound:
    passage = hit.passage
    return Bound(role, hit.index, passage.document_id, passage.passage_id, passage_hash(passage), hit.source)


class LivePassages:
    """The documents as they are now: what was just found, and of other documents all passages, read once.

    Args:
        searcher: the indexes.
        hits: what a search found a moment ago.
    """

    def __init__(self, searcher: Searcher, hits: Sequence[Hit] = ()) -> None:
        self._searcher = searcher
        self._found = {(hit.index, hit.passage.document_id, hit.passage.passage_id): hit for hit in hits}
        self._known: dict[tuple[str, str], Mapping[str, Hit]] = {}

    def find(self, bound: Bound) -> Hit | None:
        """The passage as it is now, unless it has changed or gone."""
        key = (bound.index, bound.document)
        hit = self._found.get((*key, bound.passage))
        if not hit:
            if key not in self._known:
                self._known[key] = {each.passage.passage_id: each for each in self._searcher.document(*key)}
            hit = self._known[key].get(bound.passage)
        return hit if hit and passage_hash(hit.passage) == bound.hash else None


def cited_now(entry: Entry, live: LivePassages) -> dict[str, Hit] | None:
    """The cited passages as they are now, by id; None if one has changed or gone."""
    found = {bound.passage: live.find(bound) for bound in entry.cited}
    return None if None in found.values() else {key: hit for key, hit in found.items() if hit}


def weakest_rank(entry: Entry, hits: Sequence[Hit]) -> int | None:
    """The rank of the worst found of the cited passages among these hits; None if one isn't found."""
    ranks = {hit.passage.passage_id: hit.rank for hit in hits}
    found = [ranks.get(bound.passage) for bound in entry.cited]
    known = [rank for rank in found if rank is not None]
    return max(known) if known and len(known) == len(found) else None


def newer_and_better(entry: Entry, hits: Sequence[Hit], rank: int, searcher: Searcher) -> Hit | None:
    """A passage above a rank that wasn't there when the answer was written."""
    before = {bound.passage for bound in entry.found}
    for hit in hits:
        if hit.rank >= rank:
            return None
        if hit.passage.passage_id not in before and searcher.is_newer(hit, entry.generations.get(hit.index, "")):
            return hit
    return None


def same_passages(entry: Entry, hits: Sequence[Hit]) -> bool:
    """Whether a question finds the very passages that the entry's did, in whatever order."""
    return {bound.hash for bound in entry.found} == {passage_hash(hit.passage) for hit in hits}


def marked_stale(citations: Iterable[Citation], entry: Entry, searcher: Searcher) -> tuple[Citation, ...]:
    """Citations of passages that are as they were, with whether their files have changed since they were indexed."""
    place = {bound.passage: bound for bound in entry.cited}
    return tuple(
        replace(old, stale=searcher.is_stale_file(place[old.passage_id].index, place[old.passage_id].document, old.path))
        for old in citations
    )


def refreshed(citations: Iterable[Citation], now: Mapping[str, Hit], searcher: Searcher) -> tuple[Citation, ...]:
    """Citations with the lines and pages that their passages have now, and whether their files have changed since."""
    return tuple(_refreshed(old, now[old.passage_id], searcher) for old in citations)


def _refreshed(old: Citation, hit: Hit, searcher: Searcher) -> Citation:
    at = max(0, hit.passage.text.find(old.quote))  # the passage's text is the same, and the quote stands literally in it
    return citation(Quote(hit, at, at + len(old.quote)), old.marker, stale=searcher.is_stale(hit))
