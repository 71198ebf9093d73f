"""Write the PDF and DOCX files of the sample handbook from the Markdown beside this script.

Run it from anywhere: ``python examples/make_handbook.py`` writes into ``examples/handbook``, and
``python examples/make_handbook.py FOLDER`` into another folder. It needs nothing but Python's standard library, and what it
writes is the same byte for byte each time: no dates, no random identifiers, no compression.

The Markdown in ``handbook-sources`` knows headings (``#``, ``##``), paragraphs on one line, ``-`` and ``1.`` lists, and tables.
"""

import argparse
import re
import textwrap
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "handbook-sources"
TARGETS = {
    "statutes.md": "about/statutes.pdf",
    "avalanche.md": "rescue/avalanche.pdf",
    "warden-manual.md": "huts/warden-manual.docx",
    "equipment-checks.md": "rescue/equipment-checks.docx",
}


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, a paragraph, one item of a list, or a whole table."""

    kind: Literal["title", "heading", "paragraph", "bullet", "number", "table"]
    text: str = ""
    number: int = 0
    rows: list[list[str]] = field(default_factory=list)


def parse(markdown: str) -> list[Block]:
    blocks: list[Block] = []
    for line in markdown.splitlines():
        if line.startswith("|"):
            add_row(blocks, [cell.strip() for cell in line.strip("|").split("|")])
        elif numbered := re.match(r"(\d+)\. (.*)", line):
            blocks.append(Block("number", numbered[2], int(numbered[1])))
        elif line.startswith("# "):
            blocks.append(Block("title", line[2:]))
        elif line.startswith("## "):
            blocks.append(Block("heading", line[3:]))
        elif line.startswith("- "):
            blocks.append(Block("bullet", line[2:]))
        elif line:
            blocks.append(Block("paragraph", line))
    return blocks


def add_row(blocks: list[Block], cells: list[str]) -> None:
    if set("".join(cells)) == {"-"}:
        return  # the line under the header
    if blocks[-1].kind != "table":
        blocks.append(Block("table"))
    blocks[-1].rows.append(cells)


# PDF ------------------------------------------------------------------------------------------------------------------

PAGE_WIDTH, PAGE_HEIGHT, MARGIN = 595, 842, 62
TEXT_WIDTH = PAGE_WIDTH - 2 * MARGIN


@dataclass(frozen=True, slots=True)
class Line:
    """Pieces of text on one height, each with its distance from the left margin."""

    pieces: list[tuple[float, str]]
    size: float = 10.5
    bold: bool = False
    before: float = 0.0


def pdf_lines(blocks: list[Block]) -> Iterator[Line]:
    for block in blocks:
        match block.kind:
            case "title":
                yield from wrapped(block.text, 60, size=17, bold=True)
            case "heading":
                yield from wrapped(block.text, 70, size=12.5, bold=True, before=12)
            case "paragraph":
                yield from wrapped(block.text, 88, before=6)
            case "bullet":
                yield from wrapped(block.text, 82, before=3, indent=18, mark="•")
            case "number":
                yield from wrapped(block.text, 82, before=3, indent=18, mark=f"{block.number}.")
            case "table":
                yield from table_lines(block.rows)


def wrapped(
    text: str,
    characters: int,
    *,
    size: float = 10.5,
    bold: bool = False,
    before: float = 0.0,
    indent: float = 0.0,
    mark: str = "",
) -> Iterator[Line]:
    for count, line in enumerate(textwrap.wrap(text, characters, break_on_hyphens=False)):
        pieces = [(0.0, mark), (indent, line)] if mark and not count else [(indent, line)]
        yield Line(pieces, size, bold, 0.0 if count else before)


def table_lines(rows: list[list[str]]) -> Iterator[Line]:
    longest = [max(len(cell) for cell in column) + 2 for column in zip(*rows, strict=True)]
    starts = [sum(longest[:place]) * TEXT_WIDTH / sum(longest) for place in range(len(longest))]
    for count, row in enumerate(rows):
        yield Line(list(zip(starts, row, strict=True)), 8.5, bold=not count, before=3 if count else 8)


def paginate(lines: Iterator[Line]) -> list[list[tuple[float, Line]]]:
    pages: list[list[tuple[float, Line]]] = [[]]
    height = float(PAGE_HEIGHT - MARGIN)
    for line in lines:
        height -= line.before + 1.35 * line.size
        if height < MARGIN:
            pages.append([])
            height = PAGE_HEIGHT - MARGIN - 1.35 * line.size
        pages[-1].append((height, line))
    return pages


def content(page: list[tuple[float, Line]], footer: str) -> bytes:
    shown = [*page, (MARGIN / 2, Line([(0.0, footer)], 8))]
    commands = ["BT"]
    for height, line in shown:
        commands.append(f"/{'B' if line.bold else 'R'} {line.size:g} Tf")
        for start, text in line.pieces:
            quoted = re.sub(r"([\\()])", r"\\\1", text)
            commands.append(f"1 0 0 1 {MARGIN + start:.1f} {height:.1f} Tm ({quoted}) Tj")
    return "\n".join([*commands, "ET"]).encode("cp1252")


def pdf(blocks: list[Block]) -> bytes:
    title = blocks[0].text
    pages = paginate(pdf_lines(blocks))
    first_page = 6
    kids = " ".join(f"{first_page + 2 * count} 0 R" for count in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /Lang (en) >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
        f"<< /Title ({title}) >>".encode("ascii"),
    ]
    for count, page in enumerate(pages, start=1):
        stream = content(page, f"{title}, page {count} of {len(pages)}")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {PAGE_WIDTH} {PAGE_HEIGHT}] "
            f"/Resources << /Font << /R 3 0 R /B 4 0 R >> >> /Contents {len(objects) + 2} 0 R >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    return with_cross_references(objects)


def with_cross_references(objects: list[bytes]) -> bytes:
    data = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    entries = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    end = f"trailer\n<< /Size {size} /Root 1 0 R /Info 5 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + f"xref\n0 {size}\n0000000000 65535 f \n{entries}{end}".encode("ascii")


# DOCX -----------------------------------------------------------------------------------------------------------------

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml"
STYLE_OF = {"title": "Heading1", "heading": "Heading2", "paragraph": "Normal", "bullet": "ListBullet"}
STYLES = {
    "Normal": ("Normal", '<w:pPr><w:spacing w:after="120"/></w:pPr><w:rPr><w:sz w:val="22"/></w:rPr>'),
    "Heading1": ("heading 1", '<w:pPr><w:outlineLvl w:val="0"/></w:pPr><w:rPr><w:b/><w:sz w:val="36"/></w:rPr>'),
    "Heading2": ("heading 2", '<w:pPr><w:outlineLvl w:val="1"/></w:pPr><w:rPr><w:b/><w:sz w:val="27"/></w:rPr>'),
    "ListBullet": ("List Bullet", '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr>'),
    "ListNumber": ("List Number", '<w:pPr><w:numPr><w:numId w:val="2"/></w:numPr></w:pPr>'),
}


def docx_body(blocks: list[Block]) -> tuple[str, int]:
    """The body's XML, and how many numbered lists it has: each counts on its own, from numbering 2 on."""
    parts: list[str] = []
    lists = 0
    for block in blocks:
        if block.kind == "table":
            parts.append(docx_table(block.rows))
        elif block.kind == "number":
            lists += block.number == 1
            numbering = f'<w:numPr><w:ilvl w:val="0"/><w:numId w:val="{lists + 1}"/></w:numPr>'
            parts.append(docx_paragraph(block.text, "ListNumber", numbering))
        else:
            parts.append(docx_paragraph(block.text, STYLE_OF[block.kind]))
    return "".join(parts), lists


def docx_paragraph(text: str, style: str, extra: str = "") -> str:
    return (
        f'<w:p><w:pPr><w:pStyle w:val="{style}"/>{extra}</w:pPr><w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'
    )


def docx_table(rows: list[list[str]]) -> str:
    sides = "".join(f'<w:{side} w:val="single" w:sz="4"/>' for side in ("top", "bottom", "insideH", "insideV"))
    grid = f'<w:gridCol w:w="{9000 // len(rows[0])}"/>' * len(rows[0])
    body = ""
    for count, row in enumerate(rows):
        cells = "".join(f"<w:tc>{docx_paragraph(cell, 'Normal')}</w:tc>" for cell in row)
        body += f"<w:tr>{'' if count else '<w:trPr><w:tblHeader/></w:trPr>'}{cells}</w:tr>"
    table = f"<w:tbl><w:tblPr><w:tblBorders>{sides}</w:tblBorders></w:tblPr><w:tblGrid>{grid}</w:tblGrid>{body}</w:tbl>"
    return table + docx_paragraph("", "Normal")


def docx_numbering(lists: int) -> str:
    levels = [("bullet", "•"), ("decimal", "%1.")]
    abstract = "".join(
        f'<w:abstractNum w:abstractNumId="{place}"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="{shape}"/>'
        f'<w:lvlText w:val="{text}"/><w:pPr><w:ind w:left="540" w:hanging="360"/></w:pPr></w:lvl></w:abstractNum>'
        for place, (shape, text) in enumerate(levels)
    )
    again = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride>'
    numbers = '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>' + "".join(
        f'<w:num w:numId="{count + 2}"><w:abstractNumId w:val="1"/>{again}</w:num>' for count in range(max(lists, 1))
    )
    return f'{DECLARATION}<w:numbering xmlns:w="{WORD}">{abstract}{numbers}</w:numbering>'


def docx_styles() -> str:
    styles = "".join(
        f'<w:style w:type="paragraph"{default} w:styleId="{key}"><w:name w:val="{name}"/>{format_}</w:style>'
        for key, (name, format_) in STYLES.items()
        for default in (' w:default="1"' if key == "Normal" else "",)
    )
    return f'{DECLARATION}<w:styles xmlns:w="{WORD}">{styles}</w:styles>'


def relationships(targets: list[tuple[str, str]]) -> str:
    each = "".join(
        f'<Relationship Id="rId{count}" Type="{kind}" Target="{target}"/>'
        for count, (kind, target) in enumerate(targets, start=1)
    )
    return f'{DECLARATION}<Relationships xmlns="{PACKAGE}/relationships">{each}</Relationships>'


def docx_parts(blocks: list[Block]) -> dict[str, str]:
    body, lists = docx_body(blocks)
    overrides = "".join(
        f'<Override PartName="/word/{name}.xml" ContentType="{CONTENT_TYPE}.{kind}+xml"/>'
        for name, kind in (("document", "document.main"), ("styles", "styles"), ("numbering", "numbering"))
    )
    return {
        "[Content_Types].xml": (
            f'{DECLARATION}<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/docProps/core.xml" '
            f'ContentType="application/vnd.openxmlformats-package.core-properties+xml"/>{overrides}</Types>'
        ),
        "_rels/.rels": relationships(
            [
                (f"{OFFICE}/officeDocument", "word/document.xml"),
                (f"{PACKAGE}/relationships/metadata/core-properties", "docProps/core.xml"),
            ]
        ),
        "docProps/core.xml": (
            f'{DECLARATION}<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties" '
            f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{escape(blocks[0].text)}</dc:title>'
            "</cp:coreProperties>"
        ),
        "word/document.xml": (
            f'{DECLARATION}<w:document xmlns:w="{WORD}"><w:body>{body}'
            '<w:sectPr><w:pgSz w:w="11906" w:h="16838"/></w:sectPr></w:body></w:document>'
        ),
        "word/styles.xml": docx_styles(),
        "word/numbering.xml": docx_numbering(lists),
        "word/_rels/document.xml.rels": relationships(
            [(f"{OFFICE}/styles", "styles.xml"), (f"{OFFICE}/numbering", "numbering.xml")]
        ),
    }


def write_docx(path: Path, blocks: list[Block]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, text in docx_parts(blocks).items():
            entry = zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0))
            entry.create_system = 0  # the same bytes on every system
            archive.writestr(entry, text.encode())


def write_handbook(folder: Path) -> list[Path]:
    """Write all generated files under a folder and return their paths."""
    written = []
    for source, target in TARGETS.items():
        blocks = parse((SOURCES / source).read_text("utf-8"))
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".pdf":
            path.write_bytes(pdf(blocks))
        else:
            write_docx(path, blocks)
        written.append(path)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the PDF and DOCX files of the sample handbook.")
    parser.add_argument("folder", nargs="?", type=Path, default=HERE / "handbook")
    for path in write_handbook(parser.parse_args().folder):
        print(path)


if __name__ == "__main__":
    main()
