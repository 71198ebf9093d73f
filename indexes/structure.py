"""A document's text → its blocks: paragraphs, code, table rows, each under its headings. Pure, one scan over the lines.

Knows markup, not tokens: ``splitting`` packs the blocks into passages. A block is a span; nothing is rewritten, so that every
quote stays literal. Headings are not blocks (they become the title line of what stands below them) unless long or childless.
"""

import csv
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise

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


ATX = re.compile(r" {0,3}(#{1,6})(?![^ \t])")
SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
RULE_CELL = re.compile(r":?-+:?")
COMMENT = re.compile(r" {0,3}<!--")
ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*$")
LIST_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\S")
LONG_HEADING_BYTES = 140  # a longer heading is a block too: a title line is cut at 48 tokens, about so much in any script


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
    """Give each run the headings above it; a heading that is long or has nothing below becomes a block of its own."""
    path: list[tuple[int, str]] = [(0, document.title)] if document.title else []
    pending: _Run | None = None
    for run in runs:
        if run.nature == "heading":
            if pending and run.level <= pending.level:
                yield _block(document, pending, path[:-1])
            path = [step for step in path if step[0] < run.level]
            pending = run if len(run.title.encode()) <= LONG_HEADING_BYTES else None
            if not pending:
                yield _block(document, run, path)
            if not (path and path[-1] == (0, run.title)):  # a title that the metadata gave already
                path.append((run.level, run.title))
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
    return Block(run.lines[0].start, run.lines[-1].end, "code" if run.nature == "code" else "text", heading)


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
        if lines[i].blank:
            i += 1
        else:
            run, i = _markdown_run(lines, i)
            yield run


def _markdown_run(lines: list[_Line], i: int) -> tuple[_Run, int]:
    """The run that begins at a line, and the line after it."""
    line = lines[i]
    if fence := FENCE.match(line.text):
        end = _fence_end(lines, i, fence[1])
        return _Run("code", lines[i:end]), end
    if heading := ATX.match(line.text):
        return _Run("heading", [line], title=_atx_title(line.text[heading.end() :]), level=len(heading[1])), i + 1
    if COMMENT.match(line.text):
        end = _while(lines, i, lambda row: "-->" not in row.text) + 1
        return _Run("text", lines[i:end]), end
    if _starts_table(lines, i):
        end = _while(lines, i + 2, lambda row: "|" in row.text)
        return _Run("table" if end > i + 2 else "text", lines[i:end]), end
    end = _paragraph_end(lines, i)
    if end > i + 1 and SETEXT.match(lines[end - 1].text) and not LIST_ITEM.match(line.text):
        title = " ".join(part.text.strip() for part in lines[i : end - 1])
        return _Run("heading", lines[i : end - 1], title=title, level=1 if "=" in lines[end - 1].text else 2), end
    return _Run("text", lines[i:end]), end


def _after_front_matter(lines: list[_Line]) -> int:
    """The first line after a YAML block at the head of a Markdown file, which is metadata, not text."""
    if lines and lines[0].text.rstrip() == "---":
        for i, line in enumerate(lines[1:], 1):
            if line.text.rstrip() in ("---", "..."):
                return i + 1
    return 0


def _atx_title(text: str) -> str:
    """What follows the hashes of a heading, without a closing run of them."""
    title = text.strip()
    bare = title.rstrip("#")
    return title if bare and bare[-1] not in " \t" else bare.rstrip()


def _paragraph_end(lines: list[_Line], start: int) -> int:
    """The line after a paragraph's last one; a setext underline (or a rule) belongs to it."""
    for i in range(start, len(lines)):
        text = lines[i].text
        if SETEXT.match(text):
            return i + 1
        interrupted = FENCE.match(text) or ATX.match(text) or COMMENT.match(text) or _starts_table(lines, i)
        if i > start and (lines[i].blank or interrupted):
            return i
    return len(lines)


def _fence_end(lines: list[_Line], start: int, fence: str) -> int:
    for i in range(start + 1, len(lines)):
        closing = FENCE.match(lines[i].text)
        if closing and closing[1].startswith(fence) and not lines[i].text.strip().strip(fence[0]):
            return i + 1
    return len(lines)


def _starts_table(lines: list[_Line], i: int) -> bool:
    if "|" not in lines[i].text or i + 1 >= len(lines):
        return False
    rule = lines[i + 1].text.strip()
    cells = rule.removeprefix("|").removesuffix("|").split("|")
    return ("|" in rule or ":" in rule) and all(RULE_CELL.fullmatch(cell.strip()) for cell in cells)


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
    for blank, group in groupby(lines, key=lambda line: line.blank):
        if not blank:
            yield _Run("text", list(group))


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
    lines, first = _lines(text), 0
    # The reader is only asked how many lines each row takes. It must know the delimiter: a quote opens a cell only after one.
    names = re.sub('"[^"]*"', "", text.lstrip().partition("\n")[0])
    reader = csv.reader((line.text + "\n" for line in lines), delimiter=max(",;\t|", key=names.count))
    try:
        for _ in reader:
            yield from _trimmed(text, lines[first].start, lines[reader.line_num - 1].end)
            first = reader.line_num
    except csv.Error:  # a cell over the module's limit, or a stray quote: the rest line by line
        for line in lines[first:]:
            yield from _trimmed(text, line.start, line.end)


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    if text[start:end].strip(" \t\n,;|"):
        yield start, end
