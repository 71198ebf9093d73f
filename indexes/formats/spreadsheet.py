"""XLSX → Markdown: a section with a table per sheet, holding what the cells show."""

import datetime
import io
from collections.abc import Iterator
from typing import Any

from openpyxl import load_workbook

from indexes.errors import UnreadableFile
from indexes.formats import Extracted
from indexes.formats.archive import core_title, open_archive
from indexes.formats.markdown import heading, join_blocks, table

MAX_CELLS = 2_000_000  # some 40 MB of text: beyond it is a database, and openpyxl takes minutes
_MAX_BLANK_ROWS = 50_000  # a column that is formatted to its end has a million; nothing follows them


def extract(data: bytes) -> Extracted:
    """Read a workbook; of formulas the values that were last computed."""
    title = core_title(open_archive(data))
    book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    sections = []
    cells = 0
    for sheet in book.worksheets:
        rows = list(_rows(sheet, MAX_CELLS - cells))
        cells += sum(map(len, rows))
        if rows:
            sections.append(join_blocks([heading(2, sheet.title), *_tables(rows)]))
    return Extracted((join_blocks(sections),), title)


def _rows(sheet: Any, cells_left: int) -> Iterator[list[str]]:
    """The rows that show something."""
    sheet.reset_dimensions()  # some writers declare a wrong extent, and the rest would be left out
    blank = 0
    for row in sheet.iter_rows():
        shown = [_shown(cell) for cell in row]
        blank = 0 if any(shown) else blank + 1
        if blank > _MAX_BLANK_ROWS:
            return
        if not blank:
            cells_left -= len(shown)
            yield shown
        if cells_left < 0:
            raise UnreadableFile(f"holds more than {MAX_CELLS:,} cells", hint="export the sheets that matter as CSV")


def _tables(rows: list[list[str]]) -> Iterator[str]:
    """Lines of a single cell above the first wider row are titles; the wider row is the table's header."""
    wide = next((place for place, row in enumerate(rows) if len([cell for cell in row if cell]) > 1), 0)
    yield from (next(filter(None, row)) for row in rows[:wide])
    yield table(rows[wide:])


def _shown(cell: Any) -> str:
    """A cell's value about as Excel shows it: whole numbers without a point, percentages as such, dates in ISO form."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        if "%" in (cell.number_format or ""):
            return f"{value * 100:.10g}%"
        return f"{value:.15g}"  # Excel keeps 15 digits; more are noise of the binary form
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "seconds").removesuffix(" 00:00:00")
    return str(value)
