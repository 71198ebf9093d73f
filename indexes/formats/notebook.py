"""Jupyter notebook → Markdown: its prose, its code in fences, and what the code printed, up to a limit."""

import json
import re
from collections.abc import Iterator
from typing import Any

from indexes.decoding import decode
from indexes.formats import Extracted
from indexes.formats.markdown import fence, join_blocks

MAX_OUTPUT_CHARS = 2_000  # per cell: enough for a result; a training log would drown the prose


def extract(data: bytes) -> Extracted:
    """Read a notebook of format 3, 4 or 5."""
    book: dict[str, Any] = json.loads(decode(data))
    metadata = book.get("metadata", {})
    language = metadata.get("language_info", {}).get("name") or metadata.get("kernelspec", {}).get("language") or "python"
    cells = book["cells"] if "cells" in book else [cell for sheet in book["worksheets"] for cell in sheet["cells"]]
    title = metadata.get("title", "")
    return Extracted(
        (join_blocks([block for cell in cells for block in _blocks(cell, language)]),),
        title if isinstance(title, str) else "",
    )


def _blocks(cell: dict[str, Any], language: str) -> Iterator[str]:
    source = _text(cell.get("source", cell.get("input", "")))
    kind = cell.get("cell_type")
    if kind == "heading":  # format 3
        yield f"{'#' * int(cell.get('level', 1))} {source}"
    elif kind != "code":
        # A picture that was pasted into the notebook is a line of base64.
        yield re.sub(r"\(data:[^()\s]*\)", "()", source)
    else:
        yield fence(source, language)
        printed = "\n".join(filter(None, map(_printed, cell.get("outputs", []))))
        cut = printed[:MAX_OUTPUT_CHARS]
        yield fence(cut if len(printed) == len(cut) else cut + "\n…", "output")


def _printed(output: dict[str, Any]) -> str:
    """An output's text; pictures and widgets have none."""
    if output.get("output_type") in ("error", "pyerr"):
        return f"{output.get('ename', '')}: {output.get('evalue', '')}"
    bundle = output.get("data", output)
    return _text(bundle.get("text/markdown") or bundle.get("text/plain") or output.get("text") or "").rstrip()


def _text(value: str | list[str]) -> str:
    """A notebook keeps a text as one string or as a list of lines."""
    return value if isinstance(value, str) else "".join(value)
