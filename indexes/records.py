"""The values that travel between the modules: a file's text, a piece of it, and a piece that was found.

Frozen, and made of the standard library alone, so that every module may import them at no cost.
"""

from dataclasses import dataclass
from typing import Literal

Markup = Literal["markdown", "rst", "plain", "code", "csv"]
"""How a document's text is structured: decides where it may be split.

``markdown`` also for what is converted to it (HTML, DOCX, PPTX, XLSX, ODT, EPUB, notebooks); ``csv`` for delimited rows whose
first line is their header; ``plain`` for text whose only structure is blank lines.
"""

PassageKind = Literal["text", "code", "table"]


@dataclass(frozen=True, slots=True)
class Document:
    r"""One file as text. All character spans refer to ``text``.

    Attributes:
        source: path relative to the root that was indexed, with forward slashes.
        text: the whole text, newlines normalised to ``\n``, never with a NUL or an escape character.
        markup: how the text is structured.
        title: the document's own title (metadata), or ``""``. Never derived from the path: a rename must embed nothing.
        page_starts: offset in ``text`` of the first character of page 1, 2, …; empty when there are no pages.
        has_lines: whether line n of ``text`` is line n of the file, so that a citation may name lines.
    """

    source: str
    text: str
    markup: Markup
    title: str = ""
    page_starts: tuple[int, ...] = ()
    has_lines: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document that is embedded, found and cited as one.

    Attributes:
        passage_id: stable while its document, its place among equal texts and its text are.
        document_id: stable while root and path are.
        ordinal: its place in the document, from 0.
        text: exactly ``document.text[start:end]``.
        heading: titles from the document's down to the section's, e.g. ``("Setup", "Linux")``.
        header: the header row(s) of the table that the rows in ``text`` belong to, as written in the document, or ``""``.
        kind: prose, code, or table rows.
        start, end: character span in the document's text.
        page: page on which it starts, from 1, or None.
        lines: first and last line in the file, from 1, or None where the text has no lines of its own.
    """

    passage_id: str
    document_id: str
    ordinal: int
    text: str
    heading: tuple[str, ...]
    header: str
    kind: PassageKind
    start: int
    end: int
    page: int | None
    lines: tuple[int, int] | None

    @property
    def title_line(self) -> str:
        """The line embedded before the text: where in the document it stands."""
        return " > ".join(self.heading)

    @property
    def embedded_text(self) -> str:
        """What the embedder reads: title line, table header, text."""
        return "\n".join(part for part in (self.title_line, self.header, self.text) if part)


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found for a query.

    Attributes:
        passage: what was found.
        source: the path to show: relative to its root, with the root's name in front where two roots hold the same path.
        path: absolute path of the file.
        index: name of the index it came from.
        rank: from 1.
        score: fused score in [0, 1]; comparable within one query only.
        dense: cosine to the query, in [-1, 1].
        lexical: BM25 score, 0 where no word is shared.
    """

    passage: Passage
    source: str
    path: str
    index: str
    rank: int
    score: float
    dense: float
    lexical: float
