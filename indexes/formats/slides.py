"""PPTX → Markdown: a section per slide with its texts, tables, chart data and notes."""

import io
from collections.abc import Iterator
from typing import Any

from pptx import Presentation

from indexes.formats import Extracted
from indexes.formats.archive import core_title, open_archive
from indexes.formats.markdown import heading, join_blocks, one_line, table


def extract(data: bytes) -> Extracted:
    """Read a presentation, slide by slide."""
    archive = open_archive(data)
    slides = Presentation(io.BytesIO(data)).slides
    sections = [_section(number, slide) for number, slide in enumerate(slides, start=1)]
    return Extracted((join_blocks(sections) if any(map(str.strip, sections)) else "",), core_title(archive))


def _section(number: int, slide: Any) -> str:
    title = slide.shapes.title
    name = one_line(title.text_frame.text) if title is not None else ""
    shapes = (shape for shape in slide.shapes if title is None or shape.shape_id != title.shape_id)
    blocks = [block for shape in _in_reading_order(shapes) for block in _blocks(shape)]
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = slide.notes_slide.notes_text_frame.text.strip()
        blocks += [f"Notes: {notes}"] if notes else []
    if not name and not any(block.strip() for block in blocks):
        return ""  # a slide of pictures alone has nothing to be found by
    return join_blocks([heading(2, f"Slide {number}: {name}" if name else f"Slide {number}"), *blocks])


def _in_reading_order(shapes: Any) -> list[Any]:
    """From top to bottom, then left to right: a file keeps its shapes in the order they were drawn."""
    return sorted(shapes, key=lambda shape: (shape.top or 0, shape.left or 0))


def _blocks(shape: Any) -> Iterator[str]:
    if hasattr(shape, "shapes"):  # a group
        for inner in _in_reading_order(shape.shapes):
            yield from _blocks(inner)
    elif getattr(shape, "has_table", False):
        yield table([[cell.text for cell in row.cells] for row in shape.table.rows])
    elif getattr(shape, "has_chart", False):
        yield _chart(shape.chart)
    elif shape.has_text_frame:
        yield "\n".join(_paragraphs(shape))


def _paragraphs(shape: Any) -> Iterator[str]:
    """A body's paragraphs are list items, indented by level; a text box has one paragraph after the other."""
    paragraphs = [p for p in shape.text_frame.paragraphs if p.text.strip()]
    is_list = shape.is_placeholder and len(paragraphs) > 1
    for paragraph in paragraphs:
        bullet = "  " * paragraph.level + "- " if is_list or paragraph.level else ""
        yield bullet + one_line(paragraph.text)


def _chart(chart: Any) -> str:
    title = chart.chart_title.text_frame.text if chart.has_title and chart.chart_title.has_text_frame else ""
    plot = chart.plots[0]
    series = list(plot.series)
    rows = [["", *(one.name for one in series)]]
    for place, category in enumerate(plot.categories):
        rows.append([str(category), *(str(one.values[place]) if place < len(one.values) else "" for one in series)])
    return join_blocks([one_line(title), table(rows)])
