"""ODT → Markdown: headings, paragraphs, lists, tables and notes, in order.

Read as what it is, XML in a zip archive: odfpy loses the spaces, tabs and notes inside a paragraph, and rests since 2020.
"""

import re
from collections.abc import Iterator

from lxml import etree

from indexes.errors import UnreadableFile
from indexes.formats import Extracted
from indexes.formats.archive import open_archive, parse_xml
from indexes.formats.markdown import heading, join_blocks, one_line, table

_OASIS = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
_TEXT, _TABLE, _OFFICE, _DRAW = (_OASIS % name for name in ("text", "table", "office", "drawing"))
_DC = "{http://purl.org/dc/elements/1.1/}"
_UNSEEN = (f"{_TEXT}tracked-changes", f"{_OFFICE}annotation", f"{_OFFICE}forms", f"{_TEXT}sequence-decls")
_WITHIN = {f"{_TEXT}s": " ", f"{_TEXT}tab": "\t", f"{_TEXT}line-break": "\n", f"{_TEXT}note-body": " ("}
_PARAGRAPHS = (f"{_TEXT}p", f"{_TEXT}h")


def extract(data: bytes) -> Extracted:
    """Read an OpenDocument text."""
    archive = open_archive(data)
    names = archive.namelist()
    if "META-INF/manifest.xml" in names and b"encryption-data" in archive.read("META-INF/manifest.xml"):
        raise UnreadableFile("locked with a password")
    body = parse_xml(archive.read("content.xml")).find(f"{_OFFICE}body/{_OFFICE}text")
    meta = parse_xml(archive.read("meta.xml")) if "meta.xml" in names else None
    title = meta.findtext(f".//{_DC}title") or "" if meta is not None else ""
    return Extracted((join_blocks(list(_blocks(body))),), title.strip())


def _blocks(parent: etree._Element) -> Iterator[str]:
    for child in parent:
        if child.tag == f"{_TEXT}h":
            level = child.get(f"{_TEXT}outline-level", "1")
            yield heading(int(level) if level.isdecimal() else 1, _inner_text(child))
        elif child.tag == f"{_TEXT}p":
            yield _inner_text(child).strip()
        elif child.tag == f"{_TEXT}list":
            yield "\n".join(_items(child, ""))
        elif child.tag == f"{_TABLE}table":
            yield table(list(_rows(child)))
        elif child.tag not in _UNSEEN:  # sections, indexes, frames
            yield from _blocks(child)


def _items(items: etree._Element, indent: str) -> Iterator[str]:
    for item in items.iterchildren(f"{_TEXT}list-item", f"{_TEXT}list-header"):
        bullet = "- "
        for child in item:
            if child.tag == f"{_TEXT}list":
                yield from _items(child, indent + "  ")
            elif text := one_line(_inner_text(child)):
                yield indent + bullet + text
                bullet = "  "


def _rows(element: etree._Element) -> Iterator[list[str]]:
    for row in element.iterdescendants(f"{_TABLE}table-row"):
        cells: list[str] = []
        for cell in row.iterchildren(f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
            # Repeats stand for hundreds of empty cells up to a sheet's edge.
            repeats = cell.get(f"{_TABLE}number-columns-repeated", "1")
            text = " ".join(_inner_text(part) for part in cell.iterdescendants(*_PARAGRAPHS))
            cells += [text] * (min(int(repeats), 50) if repeats.isdecimal() else 1)
        yield cells


def _inner_text(element: etree._Element) -> str:
    """The text of one paragraph, with its notes in brackets where they are called."""
    written: list[str] = []
    walker = etree.iterwalk(element, events=("start", "end"))
    for event, inner in walker:
        if event == "start" and inner.tag in (*_UNSEEN, f"{_TEXT}note-citation"):
            walker.skip_subtree()
        elif event == "start":
            repeats = inner.get(f"{_TEXT}c", "1") if inner.tag == f"{_TEXT}s" else "1"
            written.append(_WITHIN.get(inner.tag, "") * (min(int(repeats), 50) if repeats.isdecimal() else 1))
            written.append(_collapsed(inner.text))
        if event == "end":
            written.append(")" if inner.tag == f"{_TEXT}note-body" else "")
            written.append(_collapsed(inner.tail) if inner is not element else "")
    return "".join(written)


def _collapsed(text: str | None) -> str:
    """Line ends and runs of spaces mean one space; the spaces, tabs and line breaks that are meant are elements."""
    return re.sub(r"\s+", " ", text or "")
