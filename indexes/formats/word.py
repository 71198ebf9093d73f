"""DOCX → Markdown, by way of mammoth's HTML.

mammoth follows content controls, tracked insertions, text boxes, footnotes and numbering. python-docx's paragraphs and tables
leave out the first three.
"""

import io
import zipfile

import mammoth
from lxml import etree

from indexes.formats import Extracted
from indexes.formats.archive import core_title, open_archive, parse_xml
from indexes.formats.webpage import extract_markup

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def extract(data: bytes) -> Extracted:
    """Read a Word document."""
    archive = open_archive(data)
    page = mammoth.convert_to_html(
        io.BytesIO(data),
        style_map="\n".join(["p[style-name='Title'] => h1:fresh", *_heading_styles(archive)]),
        convert_image=mammoth.images.img_element(lambda _image: {}),  # the alternative text stays
    )
    return Extracted(extract_markup(page.value).parts, core_title(archive))


def _heading_styles(archive: zipfile.ZipFile) -> list[str]:
    """The mapping for mammoth of every paragraph style with an outline level, its own or inherited.

    mammoth knows the built-in names alone; templates and translated Words define others, based on them.
    """
    if "word/styles.xml" not in archive.namelist():
        return []
    root = parse_xml(archive.read("word/styles.xml"))
    styles = {style.get(f"{_W}styleId", ""): style for style in root.iterchildren(f"{_W}style")}
    lines = []
    for name, style in styles.items():
        level = _outline_level(style, styles)
        if level is not None and style.get(f"{_W}type") == "paragraph" and name.isalnum():
            lines.append(f"p.{name} => h{min(level + 1, 6)}:fresh")
    return lines


def _outline_level(style: etree._Element | None, styles: dict[str, etree._Element]) -> int | None:
    for _ in range(20):  # a chain of styles may be a ring in a damaged file
        if style is None:
            return None
        level = style.find(f"{_W}pPr/{_W}outlineLvl")
        if level is not None:
            value = level.get(f"{_W}val", "9")
            return int(value) if value in "012345678" else None
        parent = style.find(f"{_W}basedOn")
        style = styles.get(parent.get(f"{_W}val", "")) if parent is not None else None
    return None
