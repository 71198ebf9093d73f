"""A passage's text → the units that an answer is made of: sentences, list items, table rows, code (pure).

Every unit is an exact span of the passage, so that its quote stands literally in the document, and carries how it reads in an
answer: white space collapsed, markup taken off, a table row told with its column names. This module knows nothing of questions.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from assistant.language.english import ABBREVIATIONS, FINAL_ABBREVIATIONS, SENTENCE_OPENERS
from indexes.records import Passage

UnitKind = Literal["sentence", "item", "row", "code", "heading"]

ITEM_WORDS = 40
"""A list item of at most so many words stays whole: it was written as one thing."""
RAGGED = 3
"""Characters by which a line may fall short of the widest one and still count as filled."""
CODE_LINES = 6
"""A code block of at most so many lines inside prose stays whole."""

_FENCE = re.compile(r"^\s*(```|~~~)")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+\S")
_UNDERLINE = re.compile(r"^\s*([=\-~^\"'`#*+.:_])\1{2,}\s*$")
_RULE = re.compile(r"^[\s|+:=_*~\-]+$")
_ITEM = re.compile(r"^(\s*)([-*+•‣–]|\(?\d{1,3}[.)]|\(?[a-zA-Z][)]|#\.)\s+(?=\S)")
_QUOTE_MARK = re.compile(r"^\s*(?:>\s?)+")
_PIPE_ROW = re.compile(r"^\s*\|.*\|\s*$")
_SETTING = re.compile(r"^\s*[\w.\-]+\s*[=:]\s*\S")
_END = re.compile(r"([.!?…]+|[。！？])([\"'”’»)\]*_`]*)(\s+|(?<=[。！？])|$)")
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘]*$")
_STARTS = re.compile(r"[\"'“‘«(\[*_`¿¡<]*(\w|$)")

_MARKUP = [
    (re.compile(r"!?\[([^\]]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)"), r"\1"),  # [text](url), ![alt](url)
    (re.compile(r"\[([^\]]+)\]\[[^\]]*\]"), r"\1"),  # [text][reference]
    (re.compile(r"\[\^[^\]]+\]|\[#?\w*\]_"), ""),  # footnote marks of Markdown and reStructuredText
    (re.compile(r":(?:pep|rfc):`~?([^`<]+)`"), r"\1"),
    (re.compile(r":[\w:+.-]+:`~?([^`<]+?)(?:\s*<[^>`]*>)?`"), r"\1"),  # :role:`text <target>`
    (re.compile(r"`([^`<]+?)\s*<[^>`]*>`__?"), r"\1"),  # `text <url>`_
    (re.compile(r"(`+)(.+?)\1_{0,2}(?!\w)"), r"\2"),
    (re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*"), r"\1"),
    (re.compile(r"(?<!\w)__(?=\S)(.+?)(?<=\S)__(?!\w|\.\w|\()"), r"\1"),
    (re.compile(r"(?<![\w*])\*(?=[^\s*])([^*]+?)(?<=\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<![\w_])_(?=[^\s_])([^_]+?)(?<=\S)_(?![\w_])"), r"\1"),
    (re.compile(r"<(https?://[^>\s]+|[^>\s@]+@[^>\s]+)>"), r"\1"),
    (re.compile(r"<br\s*/?>"), " "),
]


@dataclass(frozen=True, slots=True)
class Unit:
    """A span of a passage that can be said by itself.

    Attributes:
        start, end: its span in ``passage.text``.
        text: how it reads in an answer.
        kind: what it is; a heading is never an answer, but what follows it stands under it.
        block: number of the paragraph, list or table it belongs to; neighbours in a block belong together.
        lead: what it stands under inside the passage: a heading, a term that is defined, the line before a list.
    """

    start: int
    end: int
    text: str
    kind: UnitKind
    block: int
    lead: str = ""


def split_units(passage: Passage) -> list[Unit]:
    """Split a passage into units, in order and disjoint; together they hold every word of it."""
    if passage.kind == "table":
        return list(_rows(passage.text, passage.header))
    if passage.kind == "code":
        return list(_code_lines(passage.text))
    return list(_prose(passage.text, is_laid_out=passage.page is not None))


def plain_text(text: str) -> str:
    """Collapse white space and take off Markdown's and reStructuredText's inline markup."""
    text = " ".join(_QUOTE_MARK.sub("", line) for line in text.splitlines()) if "\n" in text else text
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Spans of the sentences in running text; line breaks inside a sentence don't end it."""
    end = len(text) if end is None else end
    spans, first = [], start
    for match in _END.finditer(text, start, end):
        if match.end() < end and not _ends_sentence(text, first, match, end):
            continue
        spans.append((first, match.end(2)))
        first = match.end()
    if text[first:end].strip():
        spans.append((first, end))
    return [(a, b) for a, b in (_trim(text, a, b) for a, b in spans) if a < b]


def render_row(header: list[str], cells: list[str]) -> str:
    """Tell a table row with its column names: ``Sauna: price 12 EUR, duration 2 h``. The first column names the row."""
    cells = [plain_text(cell) for cell in cells]
    names = [plain_text(name) for name in header]
    if not cells:
        return ""
    if len(names) != len(cells):
        return ", ".join(cell for cell in cells if cell)
    parts = [f"{name} {cell}" if name else cell for name, cell in zip(names[1:], cells[1:], strict=True) if cell]
    head = cells[0]
    return f"{head}: {', '.join(parts)}" if head and parts else head or ", ".join(parts)


def row_cells(line: str, delimiter: str) -> list[str]:
    """The cells of one record, quoted ones and escaped pipes read as such."""
    if delimiter == "|":
        inner = line.strip().strip("|").replace(r"\|", "\0")
        return [cell.replace("\0", "|").strip() for cell in inner.split("|")]
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:  # a stray quotation mark, or a cell over csv's limit
        return [cell.strip() for cell in line.split(delimiter)]


def find_delimiter(line: str) -> str:
    """The character that parts a table line's cells."""
    if line.lstrip().startswith("|"):
        return "|"
    bare = re.sub(r'"[^"]*"', "", line)
    return max("\t;,|", key=lambda mark: (bare.count(mark), mark == "\t"))


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _ends_sentence(text: str, first: int, match: re.Match[str], end: int) -> bool:
    """Whether a full stop, with what stands on both sides of it, ends a sentence."""
    mark = match.group(1)
    if mark in "。！？":
        return True
    following = _STARTS.match(text, match.end(), end)
    nxt = following.group(1) if following else ""
    if not nxt or nxt.islower():
        return False
    if mark != ".":
        return True
    found = _LAST_WORD.search(text, first, match.start())
    word = found.group() if found else ""
    if word.lower() in ABBREVIATIONS:
        after = re.compile(r"\w+").search(text, match.end(), end)
        opens = after is not None and after.group().lower() in SENTENCE_OPENERS and after.group()[0].isupper()
        return word.lower() in FINAL_ABBREVIATIONS and opens
    # One capital letter is a name's initial ("J. Smith"), one number at the very start a list's ("1. Open the lid").
    if len(word) == 1 and word.isupper() and word != "I":
        return False
    return not (word.isdigit() and not text[first : match.start() - len(word)].strip())


@dataclass(slots=True)
class _Block:
    """Lines of one paragraph or list item, not yet cut into sentences."""

    start: int
    end: int
    kind: UnitKind
    lead: str = ""


def _lines(text: str) -> list[tuple[int, int]]:
    """Spans of the lines, without their line feeds."""
    spans, start = [], 0
    for line in text.split("\n"):
        spans.append((start, start + len(line)))
        start += len(line) + 1
    return spans


def _prose(text: str, *, is_laid_out: bool) -> Iterator[Unit]:
    """Units of running text; of a laid-out page a line that isn't filled ends one, because nothing else tells a table's row."""
    number, width = 0, max(map(len, text.split("\n")))
    for block in _blocks(text):
        number += 1
        if block.kind in ("code", "heading", "row"):
            shown = block.lead if block.kind == "row" else text[block.start : block.end]
            shown = shown if block.kind == "row" else plain_text(shown.strip().lstrip("#").strip())
            yield Unit(block.start, block.end, shown, block.kind, number, "" if block.kind == "row" else block.lead)
            continue
        whole = block.kind == "item" and len(text[block.start : block.end].split()) <= ITEM_WORDS
        parts = _filled_runs(text, block, width) if is_laid_out and not whole else [(block.start, block.end)]
        spans = parts if whole else [span for part in parts for span in sentence_spans(text, *part)]
        for start, end in spans:
            yield Unit(start, end, _said(text[start:end], block.lead), block.kind, number, block.lead)


def _filled_runs(text: str, block: "_Block", width: int) -> list[tuple[int, int]]:
    """Cut a paragraph after each line on which the next one's first word would have had room: its author ended it there."""
    runs, first = [], block.start
    lines = [(block.start + a, block.start + b) for a, b in _lines(text[block.start : block.end])]
    for (start, end), (following, last) in pairwise(lines):
        word = text[following:last].split(maxsplit=1)
        if word and end - start + 1 + len(word[0]) <= width - RAGGED:
            runs.append((first, end))
            first = following
    return [*runs, (first, block.end)]


def _said(quote: str, lead: str) -> str:
    """How a sentence reads; where it opens with the term it defines on a line of its own, a colon parts the two."""
    first, _, rest = quote.partition("\n")
    is_term = bool(rest) and rest[:2].isspace() and plain_text(first) == lead
    return f"{lead}: {plain_text(rest)}" if is_term else plain_text(quote)


def _blocks(text: str) -> Iterator[_Block]:
    """Cut text into blocks by its lines: headings, items, code, table rows, paragraphs."""
    lines = _lines(text)
    lead, opener, at = "", "", 0
    while at < len(lines):
        line = text[slice(*lines[at])]
        if not line.strip() or (_RULE.match(line) and not _PIPE_ROW.match(line)):
            at += 1
            continue
        used, blocks = _next_block(text, lines, at)
        for block in blocks:
            if block.kind == "heading":
                lead, opener = plain_text(text[block.start : block.end].strip().strip("#")), ""
            elif block.kind == "sentence":
                said = plain_text(text[block.start : block.end])
                opener = said if said.endswith(":") else ""
            if block.kind != "row":
                block.lead = block.lead or (opener if block.kind in ("item", "code") and opener else lead)
            yield block
        at += used


def _next_block(text: str, lines: list[tuple[int, int]], at: int) -> tuple[int, list[_Block]]:
    """The blocks that begin at a line, and how many lines they take."""
    start, end = lines[at]
    line = text[start:end]
    after = text[slice(*lines[at + 1])] if at + 1 < len(lines) else ""
    if _FENCE.match(line):
        return _fenced(text, lines, at)
    if _PIPE_ROW.match(line):
        return _pipe_table(text, lines, at)
    if _is_heading(line, after, last=at + 1 >= len(lines)):
        return 1, [_Block(*_trim(text, start, end), "heading")]
    item = _ITEM.match(line)
    used = 1
    while at + used < len(lines) and _continues(text, lines, at + used, item=item is not None):
        used += 1
    span = _trim(text, start + (item.end() if item else 0), lines[at + used - 1][1])
    term = _defined_term(text, lines, at, used) if item is None else ""
    return used, [_Block(*span, "item" if item else "sentence", term)]


def _continues(text: str, lines: list[tuple[int, int]], at: int, *, item: bool) -> bool:
    """Whether a line goes on with the block before it."""
    line = text[slice(*lines[at])]
    if not line.strip() or _ITEM.match(line) or _FENCE.match(line) or _HEADING.match(line) or _PIPE_ROW.match(line):
        return False
    if _RULE.match(line):
        return False
    before = text[slice(*lines[at - 1])]
    # Lines of "key = value" or "Key: value" are one thing each, not one sentence wrapped over lines.
    return item or not (_SETTING.match(line) and _SETTING.match(before) and len(before) < 60)


def _is_heading(line: str, after: str, *, last: bool) -> bool:
    if _HEADING.match(line) or (after and _UNDERLINE.match(after) and not _ITEM.match(line)):
        return True
    bare = line.strip()
    return bare.isupper() and len(bare) > 3 and len(bare.split()) <= 8 and bare[-1] not in ".!?:;," and not last


def _defined_term(text: str, lines: list[tuple[int, int]], at: int, used: int) -> str:
    """The term of a glossary entry: an unindented short line with indented lines under it."""
    first = text[slice(*lines[at])]
    rest = [text[slice(*lines[at + i])] for i in range(1, used)]
    indented = bool(rest) and all(line[:2].isspace() for line in rest) and not first[:1].isspace()
    return plain_text(first) if indented and len(first.split()) <= 6 and first.strip()[-1] not in ".!?" else ""


def _fenced(text: str, lines: list[tuple[int, int]], at: int) -> tuple[int, list[_Block]]:
    used = 1
    while at + used < len(lines) and not _FENCE.match(text[slice(*lines[at + used])]):
        used += 1
    inside = [lines[at + i] for i in range(1, used) if text[slice(*lines[at + i])].strip()]
    if inside and len(inside) <= CODE_LINES:
        inside = [(inside[0][0], inside[-1][1])]
    return used + 1, [_Block(*_trim(text, *span), "code") for span in inside]


def _pipe_table(text: str, lines: list[tuple[int, int]], at: int) -> tuple[int, list[_Block]]:
    used = 1
    while at + used < len(lines) and _PIPE_ROW.match(text[slice(*lines[at + used])]):
        used += 1
    rows = [lines[at + i] for i in range(used)]
    ruled = used > 1 and bool(_RULE.match(text[slice(*rows[1])]))
    header = text[slice(*rows[0])] if ruled else ""
    block = slice(rows[0][0], rows[-1][1])
    units = _rows(text[block], "") if not ruled else _rows(text[block], header)
    return used, [_Block(unit.start + block.start, unit.end + block.start, "row", unit.text) for unit in units]


def _rows(text: str, header: str) -> Iterator[Unit]:
    """The records of a table, each with its cells named; a quoted cell may hold line feeds."""
    head_line = next((line for line in header.splitlines() if line.strip() and not _RULE.match(line)), "")
    delimiter = find_delimiter(head_line or text.lstrip("\n").split("\n", 1)[0])
    names = row_cells(head_line, delimiter) if head_line else []
    held = None
    for start, end in _lines(text):
        begin = start if held is None else held
        if delimiter != "|" and text.count('"', begin, end) % 2:
            held = begin
            continue
        held = None
        begin, end = _trim(text, begin, end)
        line = text[begin:end]
        if line and not _RULE.match(line) and line.strip() != head_line.strip():
            yield Unit(begin, end, render_row(names, row_cells(line, delimiter)), "row", 1)
    if held is not None:
        begin, end = _trim(text, held, len(text))
        yield Unit(begin, end, plain_text(text[begin:end]), "row", 1)


def _code_lines(text: str) -> Iterator[Unit]:
    """Lines of code; a line that opens a section ([name], class, def) leads the ones under it."""
    lead = ""
    for start, end in _lines(text):
        begin, end = _trim(text, start, end)
        line = text[begin:end]
        if not re.search(r"\w", line):
            continue
        opens = re.match(r"\[+([^\]]+)\]+$|(?:class|def|fn|func|function|interface|struct|async def)\s+([\w.]+)", line)
        if opens:
            lead = opens.group(1) or opens.group(2)
        yield Unit(begin, end, " ".join(line.split()), "heading" if line[0] == "[" and opens else "code", 1, lead)
