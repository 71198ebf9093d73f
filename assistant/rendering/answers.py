"""Answers, citations, hits and errors → terminal text (pure). Where they are printed is `screen`'s business.

Every string from a document, a file name, a model or the user passes ``sanitize`` on its way, so no one of them can send the
terminal a command.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from rich.style import Style
from rich.text import Text

from assistant.records import Answer, Citation
from assistant.rendering.terminal import Terminal, sanitize
from indexes.errors import UserError
from indexes.records import Hit

ABSTAINED = "Not in these documents."
SNIPPET = 240
"""Characters shown of a passage where it is only one of several."""
QUIET = Style(dim=True)
MARKER = Style(color="cyan")


def render_answer(answer: Answer, terminal: Terminal) -> Iterator[Text]:
    """An answer with its citations, or the abstention with the nearest passages."""
    if answer.status == "abstained":
        yield Text(sanitize(answer.text).strip() or ABSTAINED)
        yield from _render_nearest(answer.nearest, terminal)
        return
    text = sanitize(answer.text).strip()
    if text:
        yield _with_markers(text)
    if answer.status == "interrupted":
        yield Text("(interrupted)", style=QUIET)
    if answer.citations:
        yield Text("")
    for citation in answer.citations:
        yield render_citation(citation, terminal)


def cached_note(answer: Answer) -> str | None:
    """What to say of an answer that was given before; None of one that wasn't."""
    if not answer.cached:
        return None
    if answer.similarity is not None and answer.similarity < 1:
        return f'cached from "{sanitize(answer.cached_question or "", one_line=True)}" ({answer.similarity:.2f})'
    return "cached: the same question was answered before"


def _render_nearest(nearest: Sequence[Citation], terminal: Terminal) -> Iterator[Text]:
    if nearest:
        yield Text("\nNearest passages:", style=QUIET)
    for citation in nearest:
        yield render_citation(citation, terminal)
        yield _indented(snippet(citation.quote))


def render_sources(answer: Answer, terminal: Terminal) -> Iterator[Text]:
    """The citations of an answer, or what came nearest, each with its whole quote."""
    for citation in answer.citations or answer.nearest:
        yield render_citation(citation, terminal)
        yield _indented(sanitize(citation.quote).strip())


def render_citation(citation: Citation, terminal: Terminal) -> Text:
    """`[1] guide/setup.md:12-14`, clickable where the terminal can."""
    text = Text(f"[{citation.marker}] ", style=MARKER)
    text.append(location(citation), style=_link(citation.path, citation.lines, citation.page, terminal))
    if citation.stale:
        text.append(" (changed since indexing)", style=Style(color="yellow"))
    return text


def location(citation: Citation) -> str:
    """Where a quote stands: source and lines, page, or section, whichever the file has."""
    return _place(citation.source, citation.page, citation.lines, citation.heading)


def render_hits(hits: Sequence[Hit], terminal: Terminal) -> Iterator[Text]:
    """What a search found: place, score, section and the beginning of the passage."""
    if not hits:
        yield Text("Nothing found.")
    several = len({hit.index for hit in hits}) > 1
    for hit in hits:
        passage = hit.passage
        line = Text(f"{hit.rank:>2} ", style=MARKER)
        place = _place(hit.source, passage.page, passage.lines, ())
        line.append(place, style=_link(hit.path, passage.lines, passage.page, terminal))
        line.append(f"  {hit.score:.2f}", style=QUIET)
        if several:
            line.append(f"  in {sanitize(hit.index, one_line=True)}", style=QUIET)
        yield line
        if passage.title_line:
            yield _indented(sanitize(passage.title_line, one_line=True))
        yield _indented(snippet(passage.text))


def render_error(error: UserError) -> str:
    """Two lines: what failed, then what mends it."""
    return f"error: {_one_line(error.message)}\nhint: {_one_line(error.hint)}"


def file_uri(path: str, lines: tuple[int, int] | None = None, page: int | None = None) -> str:
    """A link to a file, with the line or page as its fragment."""
    fragment = f"#L{lines[0]}" if lines else f"#page={page}" if page else ""
    return f"file://{quote(Path(path).absolute().as_posix(), errors='surrogateescape')}{fragment}"


def snippet(text: str, limit: int = SNIPPET) -> str:
    """The beginning of a text on one line, cut at a word."""
    flat = " ".join(sanitize(text).split())
    if len(flat) <= limit:
        return flat
    cut = flat[:limit].rpartition(" ")[0] or flat[:limit]  # scripts without spaces are cut at the limit
    return f"{cut} …"


def _place(source: str, page: int | None, lines: tuple[int, int] | None, heading: tuple[str, ...]) -> str:
    name = sanitize(source, one_line=True)
    if lines:
        return f"{name}:{lines[0]}" if lines[0] == lines[1] else f"{name}:{lines[0]}-{lines[1]}"
    if page:
        return f"{name} p.{page}"
    return f"{name} § {sanitize(heading[-1], one_line=True)}" if heading else name


def _link(path: str, lines: tuple[int, int] | None, page: int | None, terminal: Terminal) -> Style:
    return Style(link=file_uri(path, lines, page)) if terminal.links else Style()


def _with_markers(text: str) -> Text:
    styled = Text(text)
    styled.highlight_regex(r"\[\d+\]", MARKER)
    return styled


def _indented(text: str) -> Text:
    """Under a citation; ``screen`` keeps the indent of a paragraph that starts with spaces when it wraps."""
    return Text("\n".join(f"    {line}" for line in text.splitlines()), style=QUIET)


def _one_line(text: str) -> str:
    """Errors may quote names with newlines; there are two lines all the same."""
    return sanitize(" ".join(part.strip() for part in text.splitlines() if part.strip()), one_line=True)
