"""A document → its passages. Pure: the same text, title and limits give the same passages with the same ids.

Blocks (``structure``) under the same heading are packed together up to ``target_tokens``; a block that is too long is cut at
the best boundary there is: list item, sentence, line, word. No passage is over the embedder's limit together with the title
line and table header that are embedded with it, so nothing is silently lost (the model would drop the rest).
"""

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from indexes.records import Document, Passage
from indexes.structure import LIST_ITEM, Block, blocks

TokenSpans = Callable[[str], list[tuple[int, int]]]

SPLITTER = 2
"""Version of the splitting: a change of it re-splits every document (and embeds only texts that are new)."""
WINDOW = 20_000
"""Characters tokenised at once: a line of many megabytes must not become one tokenisation."""
LONG_TOKEN, LONG_GAP, STRIDE = 24, 200, 8
"""Characters. A tokenizer makes one "unknown" token of a run of any length, and drops some signs: such are counted by stride."""
SENTENCE_END = re.compile(r"(?<=[.!?…:;])[\"'”’)\]]*\s+")


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """How long passages may be, in the embedder's tokens.

    Attributes:
        max_tokens: never more, title line and table header included.
        target_tokens: small blocks are packed together up to this.
        title_tokens: the longest title line (at most a quarter of ``max_tokens``); outer headings are dropped first.
        header_tokens: the longest table header (with the title line at most half of ``max_tokens``).
    """

    max_tokens: int = 254
    target_tokens: int = 200
    title_tokens: int = 48
    header_tokens: int = 96


@dataclass(frozen=True, slots=True)
class _Piece:
    """A span with its length in tokens; what is packed."""

    block: Block
    tokens: int


def split(document: Document, document_id: str, token_spans: TokenSpans, settings: SplitSettings) -> list[Passage]:
    """Split a document into passages, in reading order.

    Args:
        document: its text and structure.
        document_id: goes into each passage and its id.
        token_spans: the embedder's tokenizer.
        settings: the limits.
    """
    limits = _Limits(token_spans, settings)
    newlines = [m.start() for m in re.finditer("\n", document.text)] if document.has_lines else []
    seen: Counter[str] = Counter()
    passages: list[Passage] = []
    for block in _pack(document.text, blocks(document), limits):
        text = document.text[block.start : block.end]
        twin = seen[text]
        seen[text] += 1
        passages.append(
            Passage(
                passage_id=passage_id(document_id, text, twin),
                document_id=document_id,
                ordinal=len(passages),
                text=text,
                heading=block.heading,
                header=block.header,
                kind=block.kind,
                start=block.start,
                end=block.end,
                page=block.page,
                lines=_line_range(newlines, block) if document.has_lines else None,
            )
        )
    return passages


def passage_id(document_id: str, text: str, twin: int) -> str:
    """A passage's id: 16 hexadecimal digits of sha256 over its document, its text, and how many equal texts precede it."""
    return hashlib.sha256(f"{document_id}\0{text}\0{twin}".encode()).hexdigest()[:16]


def rehome(passages: Sequence[Passage], document_id: str) -> list[Passage]:
    """The same passages in a document of another name."""
    seen: Counter[str] = Counter()
    moved = []
    for passage in passages:
        new_id = passage_id(document_id, passage.text, seen[passage.text])
        seen[passage.text] += 1
        moved.append(replace(passage, document_id=document_id, passage_id=new_id))
    return moved


def _line_range(newlines: list[int], block: Block) -> tuple[int, int]:
    return bisect_right(newlines, block.start - 1) + 1, bisect_right(newlines, block.end - 2) + 1


class _Limits:
    """Counts tokens, and remembers what the title lines and headers cost."""

    def __init__(self, token_spans: TokenSpans, settings: SplitSettings) -> None:
        self.settings = settings
        self._spans = token_spans
        self._context: dict[tuple[tuple[str, ...], str], tuple[tuple[str, ...], str, int]] = {}

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Spans of a text's tokens, by windows cut at white space where there is any; none is much longer than a word."""
        spans: list[tuple[int, int]] = []
        start = 0
        while start < len(text):
            end = min(start + WINDOW, len(text))
            if end < len(text):
                end = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end)) + 1 or end
            spans += [(start + a, start + b) for a, b in self._spans(text[start:end])]
            start = end
        return list(_evened(spans, len(text)))

    def fitted(self, block: Block) -> Block:
        """The block with heading and header cut to their limits."""
        heading, header, _ = self._cost(block)
        return replace(block, heading=heading, header=header)

    def room(self, block: Block) -> int:
        """Tokens left for a passage's text beside its title line and header."""
        # Two to spare: tokenizers that look across a line break may count one more than the sum of the parts.
        return max(1, self.settings.max_tokens - self._cost(block)[2] - 2)

    def _cost(self, block: Block) -> tuple[tuple[str, ...], str, int]:
        key = (block.heading, block.header)
        if key not in self._context:
            half = self.settings.max_tokens // 2  # the other half is the text's
            heading = self._fit_heading(block.heading, min(self.settings.title_tokens, half // 2))
            tokens = len(self.spans(" > ".join(heading)))
            header = self._cut(block.header, min(self.settings.header_tokens, half - tokens))
            self._context[key] = (heading, header, tokens + len(self.spans(header)))
        return self._context[key]

    def _fit_heading(self, heading: tuple[str, ...], limit: int) -> tuple[str, ...]:
        """Drop outer headings until the line fits; cut the innermost one if it alone doesn't."""
        while len(heading) > 1 and len(self.spans(" > ".join(heading))) > limit:
            heading = heading[1:]
        return tuple(self._cut(title, limit) for title in heading)

    def _cut(self, text: str, limit: int) -> str:
        spans = self.spans(text)
        return text if len(spans) <= limit else text[: spans[max(limit, 1) - 1][1]]


def _evened(spans: list[tuple[int, int]], length: int) -> Iterator[tuple[int, int]]:
    """Cut what is too long for a token, or for a gap between two, into strides."""
    if length > LONG_GAP and (not spans or spans[0][0] > LONG_GAP):
        spans = [(0, 0), *spans]
    for (start, end), (following, _) in pairwise([*spans, (length, length)]):
        reach = following if following - end > LONG_GAP else end
        if reach - start <= LONG_TOKEN:
            yield start, end
        else:
            yield from ((at, min(at + STRIDE, reach)) for at in range(start, reach, STRIDE))


def _pack(text: str, found: Iterator[Block], limits: _Limits) -> Iterator[Block]:
    """Join small neighbours of one nature and heading, cut long ones."""
    open_block: Block | None = None
    open_tokens = 0
    for piece in _pieces(text, found, limits):
        block = piece.block
        target = min(limits.settings.target_tokens, limits.room(block))
        if open_block and _adjoin(text, open_block, block) and open_tokens + piece.tokens <= target:
            open_block = replace(open_block, end=block.end)
            open_tokens += piece.tokens
            continue
        if open_block:
            yield limits.fitted(open_block)
        open_block, open_tokens = block, piece.tokens
    if open_block:
        yield limits.fitted(open_block)


def _adjoin(text: str, a: Block, b: Block) -> bool:
    """Whether two blocks are alike with only a blank between: a heading or an empty row there is text that nobody counted."""
    alike = (a.kind, a.heading, a.header, a.page) == (b.kind, b.heading, b.header, b.page)
    return alike and b.start - a.end <= LONG_GAP and not text[a.end : b.start].strip()


def _pieces(text: str, found: Iterator[Block], limits: _Limits) -> Iterator[_Piece]:
    """Each block with its length; one that is too long in pieces that fit."""
    for block in _with_long_headers(text, found, limits):
        body = text[block.start : block.end]
        spans = limits.spans(body)
        room = limits.room(block)
        if len(spans) <= room:
            yield _Piece(block, len(spans))
            continue
        for start, end, tokens in _cut_long(body, spans, min(limits.settings.target_tokens, room), block.kind):
            yield _Piece(replace(block, start=block.start + start, end=block.start + end), tokens)


def _with_long_headers(text: str, found: Iterator[Block], limits: _Limits) -> Iterator[Block]:
    """The blocks, with each table header that loses names to its limit as a block before its rows."""
    last = ""
    for block in found:
        header = block.header
        if header != last and any(map(str.isalnum, header[len(limits.fitted(block).header) :])):
            start = text.rindex(header, 0, block.start)
            yield replace(block, start=start, end=start + len(header.rstrip("|:- \t\n")), header="")
        last = header
        yield block


def _cut_long(body: str, spans: list[tuple[int, int]], size: int, kind: str) -> Iterator[tuple[int, int, int]]:
    """Cut a text into spans of at most ``size`` tokens at the best boundaries: ``(start, end, tokens)``."""
    cuts = _boundaries(body, kind)
    starts = [start for start, _ in spans]
    first = 0
    while first < len(spans):
        last = min(first + size, len(spans))
        if last < len(spans):
            last = _best_cut(cuts, starts, first, last)
        start, end = _trimmed(body, starts[first] if first else 0, starts[last] if last < len(spans) else len(body), kind)
        if start < end:
            yield start, end, last - first
        first = last


def _trimmed(body: str, start: int, end: int, kind: str) -> tuple[int, int]:
    """A span without blank edges; code keeps its first line's indentation, which tokens don't hold."""
    piece = body[start:end]
    end, start = start + len(piece.rstrip()), start + len(piece) - len(piece.lstrip())
    indentation = body[max(0, start - LONG_GAP) : start].rpartition("\n")[2]
    return (start - len(indentation) if kind == "code" and not indentation.strip() else start), end


def _boundaries(body: str, kind: str) -> tuple[list[int], ...]:
    """Offsets at which a text may be cut, the best kind of boundary first."""
    line_starts = [m.end() for m in re.finditer(r"\n+", body)]
    blanks = [m.end() for m in re.finditer(r"\s+", body)]
    if kind != "text":
        return line_starts, blanks
    items = [start for start in line_starts if LIST_ITEM.match(body, start)]
    return items, [m.end() for m in SENTENCE_END.finditer(body)], line_starts, blanks


def _best_cut(cuts: tuple[list[int], ...], starts: list[int], first: int, last: int) -> int:
    """The token at which to end a piece: the latest boundary in its second half, else the limit itself.

    Always after ``first``, though one sign may be several tokens at the same place (then the piece may be over the limit).
    """
    half = starts[first + max(1, (last - first) // 2)]
    for offsets in cuts:
        place = bisect_right(offsets, starts[last])
        if place and offsets[place - 1] >= half and offsets[place - 1] > starts[first]:
            return bisect_left(starts, offsets[place - 1])
    last = bisect_left(starts, starts[last])
    return last if last > first else bisect_right(starts, starts[first])
