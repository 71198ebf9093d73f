"""A document's text → its blocks: paragraphs, code, table rows, each under its headings. Pure, one scan over the lines.

Knows markup, not tokens: ``splitting`` packs the blocks into passages. A block is a span; nothing is rewritten, so that every
quote stays literal. Headings are not blocks (they become the title line of what stands below them) unless nothing does.
"""

import csv
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from indexes.records import Document, PassageKind


@dataclass(frozen=True, slots=True)
class Block:
    """A span of a document that belongs together.

    Attributes:
        start, end: character span in the document's text, without blank edges.
        kind: prose, code, or table rows.
        heading: titles from the document's down to the section's.
        header: the header row(s) of the table, or ``""``.
        page: the page on which all of it stands, from 1, or None.
    """

    start: int
    end: int
    kind: PassageKind
    heading: tuple[str, ...]
    header: str = ""
    page: int | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    text: str  # without the newline

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def blank(self) -> bool:
        return not self.text.strip()


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive lines of one nature: what a markup's scanner yields."""

    nature: str  # "heading" | "text" | "code" | "table"
    lines: list[_Line]
    title: str = ""
    level: int = 0


ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*$")
SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
TABLE_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*$")
LIST_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\S")


def blocks(document: Document) -> Iterator[Block]:
    """Yield a document's blocks in reading order, none of them empty or across a page's end."""
    if document.markup == "csv":
        yield from _csv_blocks(document)
        return
    scan = {"markdown": _scan_markdown, "rst": _scan_rst, "plain": _scan_plain, "code": _scan_code}[document.markup]
    for block in _under_headings(document, scan(_lines(document.text))):
        yield from _cut_at_pages(document, block)


def _lines(text: str) -> list[_Line]:
    lines, start = [], 0
    for line in text.split("\n"):
        lines.append(_Line(start, line))
        start += len(line) + 1
    return lines


def _under_headings(document: Document, runs: Iterator[_Run]) -> Iterator[Block]:
    """Give each run the headings above it; a heading with nothing below becomes a block of its own."""
    path: list[tuple[int, str]] = [(0, document.title)] if document.title else []
    pending: _Run | None = None
    for run in runs:
        if run.nature == "heading":
            if pending and run.level <= pending.level:
                yield _block(document, pending, path[:-1])
            path = [step for step in path if step[0] < run.level]
            if not (path and path[-1] == (0, run.title)):  # a title that the metadata gave already
                path.append((run.level, run.title))
            pending = run
        else:
            pending = None
            yield _block(document, run, path)
    if pending:
        yield _block(document, pending, path[:-1])


def _block(document: Document, run: _Run, path: list[tuple[int, str]]) -> Block:
    heading = tuple(title for _, title in path)
    if run.nature == "table":
        header = document.text[run.lines[0].start : run.lines[1].end]
        return Block(run.lines[2].start, run.lines[-1].end, "table", heading, header)
    kind: PassageKind = "code" if run.nature == "code" else "text"
    return Block(run.lines[0].start, run.lines[-1].end, kind, heading)


def _cut_at_pages(document: Document, block: Block) -> Iterator[Block]:
    """Cut a block where a page begins, and trim blank edges."""
    edges = [block.start, *(p for p in document.page_starts if block.start < p < block.end), block.end]
    for start, end in pairwise(edges):
        piece = document.text[start:end]
        lead = len(piece) - len(piece.lstrip("\n")) if block.kind == "code" else len(piece) - len(piece.lstrip())
        start, end = start + lead, start + len(piece.rstrip())
        if start < end:
            page = bisect_right(document.page_starts, start) or None
            yield Block(start, end, block.kind, block.heading, block.header, page)


def _scan_markdown(lines: list[_Line]) -> Iterator[_Run]:
    i = _after_front_matter(lines)
    while i < len(lines):
        line = lines[i]
        if line.blank:
            i += 1
        elif FENCE.match(line.text):
            end = _fence_end(lines, i)
            yield _Run("code", lines[i:end])
            i = end
        elif heading := ATX.match(line.text):
            yield _Run("heading", [line], title=(heading[2] or "").strip(), level=len(heading[1]))
            i += 1
        elif _starts_table(lines, i):
            end = _while(lines, i + 2, lambda row: "|" in row.text)
            yield _Run("table" if end > i + 2 else "text", lines[i:end])
            i = end
        else:
            end = _while(lines, i + 1, lambda row: not row.blank and not _interrupts_paragraph(row.text))
            if end == i + 2 and SETEXT.match(lines[i + 1].text):
                yield _Run("heading", [line], title=line.text.strip(), level=1 if "=" in lines[i + 1].text else 2)
            else:
                yield _Run("text", lines[i:end])
            i = end


def _after_front_matter(lines: list[_Line]) -> int:
    """The first line after a YAML block at the head of a Markdown file, which is metadata, not text."""
    if lines and lines[0].text.rstrip() == "---":
        for i, line in enumerate(lines[1:], 1):
            if line.text.rstrip() in ("---", "..."):
                return i + 1
    return 0


def _interrupts_paragraph(text: str) -> bool:
    return bool(FENCE.match(text) or ATX.match(text))


def _fence_end(lines: list[_Line], start: int) -> int:
    opening = FENCE.match(lines[start].text)
    fence = opening[1] if opening else ""
    for i in range(start + 1, len(lines)):
        closing = FENCE.match(lines[i].text)
        if closing and closing[1].startswith(fence) and not lines[i].text.strip().strip(fence[0]):
            return i + 1
    return len(lines)


def _starts_table(lines: list[_Line], i: int) -> bool:
    if "|" not in lines[i].text or i + 1 >= len(lines):
        return False
    rule = lines[i + 1].text
    return "-" in rule and ("|" in rule or ":" in rule) and bool(TABLE_RULE.match(rule))


def _while(lines: list[_Line], start: int, belongs: Callable[[_Line], bool]) -> int:
    i = start
    while i < len(lines) and belongs(lines[i]):
        i += 1
    return i


def _scan_rst(lines: list[_Line]) -> Iterator[_Run]:
    levels: list[str] = []  # adornment styles, in the order in which they first appear: that order is their level
    i = 0
    literal = False  # the last paragraph ended with "::": what is indented next is code
    while i < len(lines):
        line = lines[i]
        if line.blank:
            i += 1
            continue
        overlined = ADORNMENT.match(line.text) and i + 2 < len(lines) and ADORNMENT.match(lines[i + 2].text)
        title_at = i + 1 if overlined else i
        if _underlined(lines, title_at) and not (overlined and lines[title_at].blank):
            style = lines[title_at + 1].text[0] + ("^" if overlined else "")
            if style not in levels:
                levels.append(style)
            yield _Run("heading", [lines[title_at]], title=lines[title_at].text.strip(), level=levels.index(style) + 1)
            i, literal = title_at + 2, False
        elif literal and line.text[0] in " \t":
            end = _while(lines, i, lambda row: row.blank or row.text[0] in " \t")
            yield _Run("code", lines[i:end])
            i, literal = end, False
        else:
            end = _while(lines, i + 1, lambda row: not row.blank)
            yield _Run("text", lines[i:end])
            literal = lines[end - 1].text.rstrip().endswith("::")
            i = end


def _underlined(lines: list[_Line], i: int) -> bool:
    if i + 1 >= len(lines) or lines[i].blank or ADORNMENT.match(lines[i].text):
        return False
    rule = lines[i + 1].text.rstrip()
    return (
        bool(ADORNMENT.match(rule))
        and len(rule) >= len(lines[i].text.strip())
        and (i == 0 or lines[i - 1].blank or bool(ADORNMENT.match(lines[i - 1].text)))
    )


def _scan_plain(lines: list[_Line]) -> Iterator[_Run]:
    i = 0
    while i < len(lines):
        if lines[i].blank:
            i += 1
            continue
        end = _while(lines, i, lambda row: not row.blank)
        yield _Run("text", lines[i:end])
        i = end


def _scan_code(lines: list[_Line]) -> Iterator[_Run]:
    """Cut source code where a blank line is followed by one without indentation: between top-level definitions."""
    start = 0
    for i in range(1, len(lines)):
        if lines[i - 1].blank and not lines[i].blank and lines[i].text[0] not in " \t})]":
            if any(not line.blank for line in lines[start:i]):
                yield _Run("code", lines[start:i])
            start = i
    if any(not line.blank for line in lines[start:]):
        yield _Run("code", lines[start:])


def _csv_blocks(document: Document) -> Iterator[Block]:
    """One block a row, with the first row as its header. A quoted cell may span lines."""
    heading = (document.title,) if document.title else ()
    spans = list(csv_row_spans(document.text))
    if not spans:
        return
    header = document.text[spans[0][0] : spans[0][1]]
    if len(spans) == 1:
        yield Block(*spans[0], "table", heading)
    for start, end in spans[1:]:
        yield Block(start, end, "table", heading, header)


def csv_row_spans(text: str) -> Iterator[tuple[int, int]]:
    """Spans of the rows of delimited text that aren't blank; a quoted cell may hold newlines."""
    lines = text.split("\n")
    starts, offset = [], 0
    for line in lines:
        starts.append(offset)
        offset += len(line) + 1
    # The reader is only asked how many lines each row takes; which delimiter separates the cells doesn't matter for that.
    reader = csv.reader(line + "\n" for line in lines)
    first = 0
    try:
        for _ in reader:
            last = reader.line_num
            yield from _trimmed(text, starts[first], starts[last - 1] + len(lines[last - 1]))
            first = last
    except csv.Error:  # a cell over the module's limit, or a stray quote: the rest line by line
        for start, line in zip(starts[first:], lines[first:], strict=True):
            yield from _trimmed(text, start, start + len(line))


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    if text[start:end].strip(" \t\n,;|"):
        yield start, end
