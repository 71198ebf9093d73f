"""RTF → Markdown: headings, paragraphs and tables, through striprtf."""

import codecs
import re

from striprtf.striprtf import rtf_to_text

from indexes.errors import UnreadableFile
from indexes.formats import Extracted
from indexes.formats.markdown import one_line, table

_CODE_PAGE = re.compile(rb"\\ansicpg(\d+)")
_OUTLINE = re.compile(r"\\outlinelevel([0-8])(?!\d) ?")
_TITLE = re.compile(r"\{\\title ([^{}]*)\}")


def extract(data: bytes) -> Extracted:
    """Read a rich text document."""
    if not data.lstrip().startswith(b"{\\rtf"):
        raise UnreadableFile("no RTF inside")
    page = _CODE_PAGE.search(data[:4096])
    code_page = f"cp{page[1].decode()}" if page else "cp1252"
    if not _is_known(code_page):
        code_page = "cp1252"
    # RTF is ASCII with escapes; some writers leave letters of the code page in it, on which llama-index's reader fails.
    markup = data.decode(code_page, errors="replace")
    title = _TITLE.search(markup)
    # striprtf drops the paragraph's outline level, so it is written into the paragraph as its heading's marks.
    markup = _OUTLINE.sub(lambda level: f"{level[0].rstrip()} {'#' * min(int(level[1]) + 1, 6)} ", markup)
    text = rtf_to_text(markup, encoding=code_page, errors="replace")
    heading = one_line(rtf_to_text(f"{{\\rtf1 {title[1]}}}", encoding=code_page, errors="replace")) if title else ""
    return Extracted((_with_tables(text.strip()),), heading)


def _is_known(encoding: str) -> bool:
    try:
        codecs.lookup(encoding)
    except LookupError:
        return False
    return True


def _with_tables(text: str) -> str:
    """Rows, which striprtf writes as ``a|b|``, become a table; every other line becomes a paragraph, as it is in RTF."""
    blocks: list[str] = []
    rows: list[list[str]] = []
    for line in [*text.split("\n"), ""]:
        if line.endswith("|"):
            rows.append(line[:-1].split("|"))
            continue
        if rows:
            blocks.append(table(rows))
            rows = []
        if line.strip():
            blocks.append(line.strip())
    return "\n\n".join(blocks)
