"""HTML → Markdown: headings, paragraphs, lists, tables and code in reading order, without what a reader doesn't see.

lxml parses, since it closes what old pages leave open; the tree is walked without recursion, since pages nest deeply.
"""

import re
from collections.abc import Iterator

from lxml import etree, html

from indexes.decoding import clean, decode
from indexes.errors import UnreadableFile
from indexes.formats import Extracted
from indexes.formats.markdown import fence, heading, join_blocks, one_line, table

_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""")
_DECLARED_WITHIN = 4096  # bytes; the standard says 1024, pages put long scripts before it

_UNSEEN = (
    *("script", "style", "noscript", "template", "svg", "canvas", "iframe", "object", "embed", "audio", "video", "map"),
    *("nav", "button", "input", "select", "textarea", "dialog"),
)
_HIDDEN = etree.XPath(
    "//*[not(self::body or self::html)][@hidden or @aria-hidden='true' or @role='navigation'"
    " or contains(translate(@style, ' ', ''), 'display:none') or contains(translate(@style, ' ', ''), 'visibility:hidden')]"
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCK_TAGS = (
    "address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure footer form header hr "
    "legend li main ol p section summary table tbody td tfoot th thead tr ul"
)
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_LISTS = ("ul", "ol")
_BREAK = "\v"  # stands for <br> until white space is collapsed


def extract(data: bytes) -> Extracted:
    """Read a web page."""
    declared = _DECLARED.search(data[:_DECLARED_WITHIN])
    return extract_markup(decode(data, declared=declared[1].decode("ascii") if declared else None))


def extract_markup(markup: str) -> Extracted:
    """Read HTML that is decoded already: a web page, a chapter, a mail's body."""
    # As bytes, since lxml refuses a string that names its own encoding. Controls out first: a NUL would end the page.
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    content = clean(markup).encode()
    root = html.document_fromstring(content, parser=parser) if content.strip() else None
    if root is None:
        return Extracted(("",))
    if any(fault.type_name == "ERR_RESOURCE_LIMIT" for fault in parser.error_log):
        raise UnreadableFile("nested too deeply")  # lxml leaves out what lies deeper than 2,048 elements
    title = one_line(root.findtext(".//title") or "")
    for element in _HIDDEN(root):
        if element.getparent() is not None:
            element.drop_tree()
    etree.strip_elements(root, *_UNSEEN, "head", with_tail=False)
    return Extracted((_Page().read(root),), title)


class _Page:
    """The Markdown written so far, and the line being written."""

    def __init__(self) -> None:
        self._written: list[str] = []
        self._line: list[str] = []
        self._lists: list[int | None] = []  # per open list: the next number, or None for bullets
        self._lead = ""  # what the next block begins with: a heading's marks or an item's bullet
        self._tight = False  # whether the next block follows the last without an empty line

    def read(self, root: etree._Element) -> str:
        walker = etree.iterwalk(root, events=("start", "end"))
        for event, element in walker:
            if event == "start":
                self._start(element, walker)
            else:
                self._end(element)
        self._flush()
        return "".join(self._written)

    def _start(self, element: etree._Element, walker: etree.iterwalk) -> None:
        tag = element.tag
        whole = self._whole(element)
        if whole is not None:
            self._flush()
            self._add_block(whole)
            element.clear(keep_tail=True)
            walker.skip_subtree()
            return
        if tag in _BLOCKS or tag in _HEADINGS:
            self._flush()
        if tag in _LISTS:
            self._tight = bool(self._lists)
            start = element.get("start", "1")
            self._lists.append((int(start) if start.isdecimal() else 1) if tag == "ol" else None)
        elif tag == "li":
            self._lead = self._bullet()
        elif tag == "br":
            self._line.append(_BREAK)
        elif tag == "img":
            self._line.append(f" {element.get('alt') or ''} ")
        self._line.append(element.text or "")

    def _end(self, element: etree._Element) -> None:
        tag = element.tag
        if tag in _HEADINGS:
            self._add_block(heading(_HEADINGS[tag], self._take().rstrip("¶ ")))
        elif tag in _BLOCKS:
            self._flush()
        if tag in _LISTS and self._lists:
            self._lists.pop()
            self._tight = bool(self._lists)
        if tag in ("li", "dt", "dd"):
            self._lead = ""
            self._tight = True
        self._line.append(element.tail or "")

    def _whole(self, element: etree._Element) -> str | None:
        """A block that is written at once: code, or a table of data."""
        if element.tag == "pre":
            return fence("".join(_text_with_breaks(element, "\n")), _language(element))
        if element.tag == "table" and not _is_layout(element):
            caption = "".join(text for found in element.iterchildren("caption") for text in _text_with_breaks(found, " "))
            return join_blocks([one_line(caption), table(list(_rows(element)))])
        return None

    def _bullet(self) -> str:
        if not self._lists or self._lists[-1] is None:
            return "- "
        number = self._lists[-1]
        self._lists[-1] = number + 1
        return f"{number}. "

    def _take(self) -> str:
        lines = "".join(self._line).split(_BREAK)
        self._line.clear()
        return "\n".join(filter(None, map(one_line, lines)))

    def _flush(self) -> None:
        text = self._take()
        if text:
            indent = "  " * (len(self._lists) - 1 if self._lead else len(self._lists))
            lead, self._lead = indent + self._lead, ""
            self._add_block(lead + text.replace("\n", "\n" + " " * len(lead)), tight=self._tight)

    def _add_block(self, block: str, *, tight: bool = False) -> None:
        if block:
            parting = ("\n" if tight else "\n\n") if self._written else ""
            self._written += [parting, block]
        self._tight = False


def _is_layout(element: etree._Element) -> bool:
    """Whether a table only places things on the page: it holds tables, headings or code."""
    inner = next(element.iterdescendants("table", "pre", *_HEADINGS), None)
    return inner is not None or element.get("role") in ("presentation", "none")


def _rows(element: etree._Element) -> Iterator[list[str]]:
    """The cells' texts; a cell over several columns is followed by empty ones, so that columns stay in line."""
    for row in element.iterdescendants("tr"):
        cells: list[str] = []
        for cell in row.iterchildren("td", "th"):
            span = cell.get("colspan", "1")
            cells += ["".join(_text_with_breaks(cell, " ")), *[""] * (min(int(span), 50) - 1 if span.isdecimal() else 0)]
        yield cells


def _text_with_breaks(element: etree._Element, mark: str) -> Iterator[str]:
    """All text inside, with ``mark`` for line breaks and between blocks."""
    for event, inner in etree.iterwalk(element, events=("start", "end")):
        if inner.tag == "br" or (inner.tag in _BLOCKS and inner is not element):
            yield mark if event == "start" or mark == " " else ""
        if event == "start":
            yield inner.get("alt", "") if inner.tag == "img" else inner.text or ""
        elif inner is not element:
            yield inner.tail or ""


def _language(element: etree._Element) -> str:
    """The language that a highlighter's class names, on the ``pre`` or the ``code`` inside."""
    for candidate in (element, *element.iterchildren("code")):
        named = re.search(r"(?:language|lang|highlight-source)-(\w+)", candidate.get("class", ""))
        if named:
            return named[1]
    return ""
