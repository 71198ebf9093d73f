"""Writes the Markdown that documents are converted to: headings, tables, fenced code."""

import re
from collections.abc import Sequence


def one_line(text: str) -> str:
    """Collapse all white space, line ends too, to single spaces."""
    return " ".join(text.split())


def heading(level: int, text: str) -> str:
    """A heading line; levels beyond Markdown's six become six."""
    text = one_line(text)
    return f"{'#' * min(max(level, 1), 6)} {text}" if text else ""


def table(rows: Sequence[Sequence[str]]) -> str:
    """A pipe table whose first row is its header, without empty rows and columns; a single column becomes lines."""
    cells = [[one_line(cell).replace("|", r"\|") for cell in row] for row in rows]
    cells = [row for row in cells if any(row)]
    width = max(map(len, cells), default=0)
    used = [column for column in range(width) if any(column < len(row) and row[column] for row in cells)]
    cells = [[row[column] if column < len(row) else "" for column in used] for row in cells]
    if len(used) < 2:
        return "\n".join(row[0] for row in cells)
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|" + " --- |" * len(used), *lines[1:]])


def fence(code: str, language: str = "") -> str:
    """A fenced block; the fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall("`{3,}", code)), default=2)
    marks = "`" * (longest + 1)
    code = code.strip("\n")
    return f"{marks}{language}\n{code}\n{marks}" if code.strip() else ""


def join_blocks(blocks: Sequence[str]) -> str:
    """Blocks with one empty line between them, without the empty ones."""
    return "\n\n".join(block for block in blocks if block.strip())
