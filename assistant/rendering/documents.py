"""Values → the exact JSON documents that other tools read (pure; DESIGN §4). Keys are only ever added.

Loads nothing but the standard library: ``ask --json`` is the fast path.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from assistant.records import Answer, Citation
from indexes.records import Hit

if TYPE_CHECKING:
    from assistant.grounding.probes import ProbeReport
    from indexes.build import BuildReport
    from indexes.catalog import IndexInfo

SCHEMA = 1
Document = Mapping[str, object]

# Characters that json leaves as they are and a terminal would obey, and lone surrogates, which UTF-8 can't hold.
_UNSAFE = re.compile(
    "[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def dump(document: Document, *, ascii_only: bool = False) -> str:
    """Write a document on one line; what a terminal would obey is escaped, so that it is the same text for whoever parses it.

    Args:
        document: the value.
        ascii_only: for an output whose encoding isn't UTF-8.
    """
    text = json.dumps(document, ensure_ascii=ascii_only, allow_nan=False)
    return _UNSAFE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\u{code:04x}" if code < 0x10000 else json.dumps(match[0])[1:-1]


def answer_document(answer: Answer) -> Document:
    """`ask --json`."""
    timings = answer.timings
    return {
        "schema": SCHEMA,
        "question": answer.question,
        "rewritten": answer.rewritten,
        "answer": answer.text,
        "status": answer.status,
        "index": list(answer.index),
        "model": answer.model,
        "adapter": answer.adapter,
        "citations": [_citation(citation) for citation in answer.citations],
        "nearest": [_citation(citation) for citation in answer.nearest],
        "sentences": [
            {"text": sentence.text, "verdict": sentence.verdict, "markers": list(sentence.markers)}
            for sentence in answer.sentences
        ],
        "cached": answer.cached,
        "cached_question": answer.cached_question,
        "similarity": answer.similarity,
        "timings_ms": {
            "start": round(timings.start, 1),
            "cache": round(timings.cache, 1),
            "search": round(timings.search, 1),
            "first_token": None if timings.first_token is None else round(timings.first_token, 1),
            "total": round(timings.total, 1),
        },
    }


def _citation(citation: Citation) -> Document:
    return {
        "marker": citation.marker,
        "source": citation.source,
        "page": citation.page,
        "lines": _lines(citation.lines),
        "quote": citation.quote,
        "passage_id": citation.passage_id,
        "stale": citation.stale,
    }


def search_document(query: str, index: Sequence[str], hits: Sequence[Hit]) -> Document:
    """`search --json`."""
    return {
        "schema": SCHEMA,
        "query": query,
        "index": list(index),
        "hits": [
            {
                "rank": hit.rank,
                "score": round(hit.score, 6),
                "index": hit.index,
                "passage_id": hit.passage.passage_id,
                "document_id": hit.passage.document_id,
                "source": hit.source,
                "page": hit.passage.page,
                "lines": _lines(hit.passage.lines),
                "text": hit.passage.text,
            }
            for hit in hits
        ],
    }


def build_document(report: "BuildReport") -> Document:
    """`index --json`. ``renamed``, ``skipped``, ``embedded`` and ``interrupted`` are additions to the contract."""
    return {
        "schema": SCHEMA,
        "index": report.index,
        "documents": report.documents,
        "passages": report.passages,
        "added": report.added,
        "changed": report.changed,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "failed": [{"source": source, "reason": reason} for source, reason in report.failed],
        "seconds": round(report.seconds, 3),
        "renamed": report.renamed,
        "skipped": dict(report.skipped),
        "embedded": report.embedded,
        "interrupted": report.interrupted,
    }


def indexes_document(infos: Sequence["IndexInfo"]) -> Document:
    """`indexes list --json`."""
    return {"schema": SCHEMA, "indexes": [_index(info) for info in infos]}


def index_document(info: "IndexInfo") -> Document:
    """`indexes show N --json`."""
    return {"schema": SCHEMA, **_index(info)}


def _index(info: "IndexInfo") -> Document:
    return {
        "name": info.name,
        "documents": info.documents,
        "passages": info.passages,
        "generation": info.generation,
        "embedder": info.embedder,
        "weights_hash": info.weights_hash,
        "dimension": info.dimension,
        "roots": [str(root.path) for root in info.roots],
        "built": info.built,
        "bytes": info.bytes,
        "folder": str(info.folder),
        "problem": info.problem or None,
    }


def check_document(name: str, problems: Sequence[str], probes: "ProbeReport | None" = None) -> Document:
    """`indexes check N --json`."""
    found = asdict(probes) if probes else None
    return {"schema": SCHEMA, "index": name, "sound": not problems, "problems": list(problems), "probes": found}


def deleted_document(name: str) -> Document:
    """`indexes delete N --json`."""
    return {"schema": SCHEMA, "deleted": name}


def _lines(lines: tuple[int, int] | None) -> list[int] | None:
    return None if lines is None else list(lines)
