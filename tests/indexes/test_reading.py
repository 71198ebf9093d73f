"""A file → a Document: what each format keeps, and why a file can't be read."""

import datetime
import io
import json
import logging
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import docx
import openpyxl  # type: ignore[import-untyped]  # ships no types
import pptx
import pypdf
import pytest
from docx.oxml import parse_xml
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Pt

from indexes.errors import UnreadableFile
from indexes.reading import READERS, is_readable, read_document
from indexes.records import Document


def read(folder: Path, name: str, content: str | bytes) -> Document:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_document(path, name)


def zipped(**files: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)
    return target.getvalue()


def saved(thing: Any) -> bytes:
    target = io.BytesIO()
    thing.save(target)
    return target.getvalue()


def pdf_of(*pages: str, title: str = "") -> bytes:
    """A PDF with a line of text per line, set in Helvetica."""
    fonts = "/Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", f"<< /Title ({title}) >>"]
    for page in pages:
        lines = "".join(f"({line}) Tj T* " for line in page.split("\n"))
        stream = f"BT /F 12 Tf 14 TL 50 700 Td {lines}ET"
        objects += [f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream"]
        objects += [f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] {fonts} /Contents {len(objects)} 0 R >>"]
    kids = " ".join(f"{number} 0 R" for number in range(5, len(objects) + 1, 2))
    objects[1] = f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>"
    body = "".join(f"{number} 0 obj\n{content}\nendobj\n" for number, content in enumerate(objects, start=1))
    return f"%PDF-1.4\n{body}trailer << /Root 1 0 R /Info 3 0 R /Size {len(objects) + 1} >>\nstartxref\n0\n%%EOF".encode()


# --- text as it is ---


@pytest.mark.parametrize(
    ("name", "markup"),
    [
        *(("a.md", "markdown"), ("a.RST", "rst"), ("a.tsv", "csv"), ("a.psv", "csv"), ("a.py", "code"), ("a.yaml", "code")),
        *(("Makefile", "code"), ("CMakeLists.txt", "code"), ("LICENSE", "plain"), ("a.log", "plain"), ("a.unheard", "plain")),
    ],
)
def test_text_stays_line_by_line(tmp_path: Path, name: str, markup: str) -> None:
    document = read(tmp_path, name, '# a|"b"\r\n\r\n\tc  d\x1b[31m\n')
    assert document == Document(source=name, text='# a|"b"\n\n\tc  d\n', markup=markup, has_lines=True)  # type: ignore[arg-type]


def test_xml_is_decoded_as_it_declares(tmp_path: Path) -> None:
    assert "дом" in read(tmp_path, "a.xml", '<?xml version="1.0" encoding="windows-1251"?><a>дом</a>'.encode("cp1251")).text


# --- HTML ---


def test_a_page_keeps_structure_and_drops_what_is_not_read(tmp_path: Path) -> None:
    page = """<html><head><title>The  Title</title><style>x</style></head><body><nav>menu</nav><script>alert()</script>
    <h1>Top <em>news</em></h1><p>One<br>two &amp; <code>three</code></p><div style="display: none">x</div><span hidden>s</span>
    <ul><li>a<ul><li>b</li></ul></li><li>c</ul><ol start=3><li><p>x</p><p>y</p><li>z</ol>
    <img src="data:image/png;base64,AAAA" alt="a chart"><pre><code class="language-py">if x:
    y()</code></pre>tail<h2>End<a href="#end">¶</a></h2></body></html>"""
    document = read(tmp_path, "a.html", page)
    assert document.title == "The Title"
    assert document.text == (
        "# Top news\n\nOne\ntwo & three\n\n- a\n  - b\n- c\n\n3. x\n\n  y\n4. z\n\na chart\n\n"
        "```py\nif x:\n    y()\n```\n\ntail\n\n## End"
    )


def test_a_table_of_a_page_keeps_its_columns(tmp_path: Path) -> None:
    page = "<table><caption>Cap</caption><tr><th>a<th>b<th>c<tr><td>1|2<td colspan=2>3<br>4<tr><td><ul><li>x<li>y</ul><td><td>z"
    text = read(tmp_path, "a.htm", page + "</table>after").text
    assert text == "Cap\n\n| a | b | c |\n| --- | --- | --- |\n| 1\\|2 | 3 4 |  |\n| x y |  | z |\n\nafter"


def test_a_table_that_only_places_things_is_no_table(tmp_path: Path) -> None:
    page = "<table><tr><td><h1>Head</h1><td><table><tr><td>a<td>b<tr><td>1<td>2</table><tr><td>text</table>"
    assert read(tmp_path, "a.html", page).text == "# Head\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\ntext"


def test_a_page_is_decoded_as_it_declares(tmp_path: Path) -> None:
    page = '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251"><p>дом'.encode("cp1251")
    assert read(tmp_path, "a.html", page).text == "дом"


@pytest.mark.parametrize("opening", ["<div>", "<b>", "<table><tr><td>", "<ul><li>", "<blockquote>"])
def test_a_page_that_nests_deeply_is_read_whole_or_refused(tmp_path: Path, opening: str) -> None:
    assert "deep" in read(tmp_path, "a.html", opening * 500 + "deep").text
    with pytest.raises(UnreadableFile, match="nested too deeply"):
        read(tmp_path, "b.html", opening * 5_000 + "deep")


def test_a_page_of_nothing_visible_is_empty(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"^empty$"):
        read(tmp_path, "a.html", "<script>x()</script><!-- words -->")


# --- Office ---


def test_a_word_document_keeps_its_order_and_structure(tmp_path: Path) -> None:
    word = docx.Document()
    word.core_properties.title = "Handbook"
    word.add_heading("First", 1)
    word.add_paragraph("Before")
    table = word.add_table(rows=2, cols=2)
    for cell, text in zip([*table.rows[0].cells, *table.rows[1].cells], ["k", "v", "a", "1"], strict=True):
        cell.text = text
    word.add_paragraph("one", style="List Bullet")
    word.add_heading("Second", 2)
    document = read(tmp_path, "a.docx", saved(word))
    assert document.text == "# First\n\nBefore\n\n| k | v |\n| --- | --- |\n| a | 1 |\n\n- one\n\n## Second"
    assert (document.title, document.markup) == ("Handbook", "markdown")


def test_headings_by_a_style_of_ones_own_are_headings(tmp_path: Path) -> None:
    word = docx.Document()
    style = word.styles.add_style("Kapitel", 1)
    style.base_style = word.styles["Heading 2"]
    word.add_paragraph("Überblick", style="Kapitel")
    word.add_paragraph("Text")
    assert read(tmp_path, "a.docx", saved(word)).text == "## Überblick\n\nText"


def test_inserted_words_and_content_controls_are_read_and_deleted_ones_are_not(tmp_path: Path) -> None:
    word = docx.Document()
    run = "<w:r><w:{0}>{1}</w:{0}></w:r>"
    body = f"<w:p><w:ins w:id='1'>{run.format('t', 'new')}</w:ins><w:del w:id='2'>{run.format('delText', 'old')}</w:del></w:p>"
    body = f"<w:sdt><w:sdtContent>{body}</w:sdtContent></w:sdt>"
    xml = f'<w:x xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">{body}</w:x>'
    word.element.body.insert(0, parse_xml(xml)[0])
    assert read(tmp_path, "a.docx", saved(word)).text == "new"


def test_a_workbook_shows_what_its_cells_show(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Sales"
    for row in (
        ["Report 2024"],
        [],
        ["when", "what", None, "share"],
        [datetime.date(2024, 5, 1), "a|b", None, 0.125],
        [3.0, True],
    ):
        sheet.append(row)
    sheet["D4"].number_format = "0.0%"
    book.create_sheet("Nothing")
    book.create_sheet("More").append(["x", "y"])
    assert read(tmp_path, "a.xlsx", saved(book)).text == (
        "## Sales\n\nReport 2024\n\n"
        "| when | what | share |\n| --- | --- | --- |\n| 2024-05-01 | a\\|b | 12.5% |\n| 3 | TRUE |  |\n\n"
        "## More\n\n| x | y |\n| --- | --- |"
    )


def test_slides_are_read_from_top_to_bottom_with_tables_and_notes(tmp_path: Path) -> None:
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[5])
    for text, top in (("low", 400), ("high", 300)):
        slide.shapes.add_textbox(0, Pt(top), 99, 99).text_frame.text = text
    table = slide.shapes.add_table(2, 2, 0, Pt(350), 99, 99).table
    for number in range(4):
        table.cell(number // 2, number % 2).text = str(number)
    slide.shapes.title.text = "Plan"
    slide.notes_slide.notes_text_frame.text = "Say this"
    text = read(tmp_path, "a.pptx", saved(show)).text
    assert text == "## Slide 1: Plan\n\nhigh\n\n| 0 | 1 |\n| --- | --- |\n| 2 | 3 |\n\nlow\n\nNotes: Say this"


def test_bullets_and_charts_of_slides_are_read(tmp_path: Path) -> None:
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text = "T"
    slide.placeholders[1].text_frame.text = "one"
    slide.placeholders[1].text_frame.add_paragraph().text = "two"
    data = CategoryChartData()
    data.categories = ["Q1", "Q2"]
    data.add_series("Income", (5, 7))
    slide.shapes.add_chart(XL_CHART_TYPE.PIE, 0, Pt(500), 99, 99, data)
    text = read(tmp_path, "a.pptx", saved(show)).text
    assert text.startswith("## Slide 1: T\n\n- one\n- two\n\n")
    assert "| Q2 | 7.0 |" in text


ODT = """<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0">
<office:body><office:text><text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>
<text:h text:outline-level="2">Head<text:s text:c="2"/>line</text:h>
<text:section><text:p>See<text:note><text:note-citation>1</text:note-citation><text:note-body
><text:p>note</text:p></text:note-body></text:note>
 <text:span>this</text:span></text:p></text:section>
<text:list><text:list-item><text:p>a</text:p><text:list><text:list-item><text:p>b</text:p></text:list-item></text:list>
</text:list-item></text:list>
<table:table><table:table-row><table:table-cell><text:p>k</text:p></table:table-cell>
<table:table-cell table:number-columns-repeated="2"><text:p>v</text:p></table:table-cell></table:table-row></table:table>
</office:text></office:body></office:document-content>"""


def test_an_odt_keeps_headings_lists_tables_and_notes(tmp_path: Path) -> None:
    meta = '<m xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Its title</dc:title></m>'
    document = read(tmp_path, "a.odt", zipped(**{"content.xml": ODT, "meta.xml": meta}))
    assert document.text == "## Head line\n\nSee (note) this\n\n- a\n  - b\n\n| k | v | v |\n| --- | --- | --- |"
    assert document.title == "Its title"


def test_a_book_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    container = '<c><rootfiles><rootfile full-path="OPS/p.opf"/></rootfiles></c>'
    items = "".join(f'<item id="{i}" href="{i}%20x.xhtml" media-type="application/xhtml+xml"/>' for i in "abc")
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<metadata><dc:title>Book</dc:title></metadata><manifest>{items}</manifest>"
        '<spine><itemref idref="c"/><itemref idref="a"/><itemref idref="gone"/></spine></package>'
    )
    chapters = {
        f"OPS__{i} x.xhtml": f'<?xml version="1.0" encoding="utf-8"?><html><body><h1>{i} ü</h1></body></html>' for i in "abc"
    }
    document = read(tmp_path, "a.epub", zipped(**{"META-INF__container.xml": container, "OPS__p.opf": package}, **chapters))
    assert (document.text, document.title) == ("# c ü\n\n# a ü", "Book")


def test_rtf_keeps_headings_tables_and_letters(tmp_path: Path) -> None:
    rtf = rb"{\rtf1\ansi\ansicpg1252{\info{\title My \'fcber}}{\stylesheet{\s1\outlinelevel0 heading 1;}}"
    rtf += rb"\pard\s1\outlinelevel1 Caf\'e9 \u1513?\par\pard Text " + "ä".encode("cp1252")
    rtf += rb"\par\trowd a\cell b\cell\row\trowd 1\cell 2\cell\row\pard end\par}"
    document = read(tmp_path, "a.rtf", rtf)
    assert document.text == "## Café ש\n\nText ä\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nend"
    assert document.title == "My über"


# --- PDF ---


def test_pages_begin_where_page_starts_say(tmp_path: Path) -> None:
    document = read(tmp_path, "a.pdf", pdf_of("first page", "", "third page", title="A title"))
    assert document.text == "first page\n\n\n\nthird page"
    assert [document.text[start : start + 5] for start in document.page_starts] == ["first", "\n\nthi", "third"]
    assert (document.title, document.has_lines) == ("A title", False)


def test_a_parted_word_is_joined_where_the_document_knows_it_whole(tmp_path: Path) -> None:
    document = read(tmp_path, "a.pdf", pdf_of("the infor-\nmation, is well-\nknown", "Information"))
    assert document.text.startswith("the information,\nis well-\nknown")


@pytest.mark.parametrize("title", ["Microsoft Word - x.doc", "untitled", "thesis.dvi"])
def test_a_title_that_is_a_file_name_is_none(tmp_path: Path, title: str) -> None:
    assert read(tmp_path, "a.pdf", pdf_of("text", title=title)).title == ""


@pytest.mark.parametrize(("password", "readable"), [("", True), ("secret", False)])
def test_a_pdf_with_the_empty_password_is_not_locked(tmp_path: Path, password: str, readable: bool) -> None:
    writer = pypdf.PdfWriter(io.BytesIO(pdf_of("hello")))
    writer.encrypt(password, "owner", algorithm="AES-256")
    target = io.BytesIO()
    writer.write(target)
    if readable:
        assert read(tmp_path, "a.pdf", target.getvalue()).text == "hello"
    else:
        with pytest.raises(UnreadableFile, match="locked with a password"):
            read(tmp_path, "a.pdf", target.getvalue())


def test_a_scanned_pdf_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no text in it: a scanned PDF needs OCR first"):
        read(tmp_path, "a.pdf", pdf_of("", ""))


def test_a_damaged_page_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extract = pypdf.PageObject.extract_text

    def fail_on_first(page: pypdf.PageObject) -> str:
        if page.page_number == 0:
            raise KeyError("/Font")
        return extract(page)

    monkeypatch.setattr(pypdf.PageObject, "extract_text", fail_on_first)
    assert read(tmp_path, "a.pdf", pdf_of("one", "two")).text == "\n\ntwo"


# --- notebooks, JSON, mail ---


def test_a_notebook_keeps_prose_code_and_short_outputs(tmp_path: Path) -> None:
    outputs = [
        {"output_type": "stream", "text": ["\x1b[1mx\x1b[0m" * 2000]},
        {"output_type": "error", "ename": "E", "evalue": "no"},
    ]
    picture = {"output_type": "display_data", "data": {"image/png": "AAAA", "text/plain": ["<Figure>"]}}
    cells = [
        {"cell_type": "markdown", "source": ["# Head\n", "prose ![p](data:image/png;base64,AAAA)"]},
        {"cell_type": "code", "source": "print(1)", "outputs": outputs},
        {"cell_type": "code", "source": "plot()", "outputs": [picture]},
    ]
    text = read(tmp_path, "a.ipynb", json.dumps({"cells": cells, "metadata": {"kernelspec": {"language": "julia"}}})).text
    assert text.startswith("# Head\nprose ![p]()\n\n```julia\nprint(1)\n```\n\n```output\nxxx")
    assert text.endswith("…\n```\n\n```julia\nplot()\n```\n\n```output\n<Figure>\n```")
    assert len(text) < 2_500


def test_nested_json_becomes_paths_and_values(tmp_path: Path) -> None:
    value = {"a": {"b": [{"c": 1.50, "d": "two\nlines"}, {"c": None}]}, "e": [True, "\u05e9"]}
    document = read(tmp_path, "a.json", json.dumps(value, separators=(",", ":")))
    assert document.text == "a.b[0].c: 1.5\na.b[0].d: two lines\n\na.b[1].c: null\ne[0]: true\ne[1]: ש"


def test_a_list_of_records_is_a_line_each(tmp_path: Path) -> None:
    rows = [{"id": 12345678901234567890123, "x": {"y": "z"}}, {"id": 2, "tags": ["a", "b"]}]
    assert read(tmp_path, "a.json", json.dumps(rows)).text == "id: 12345678901234567890123; x.y: z\nid: 2; tags[0]: a; tags[1]: b"


def test_json_lines_keep_their_line_numbers(tmp_path: Path) -> None:
    document = read(tmp_path, "a.jsonl", '{"a": "x\\u2028y"}\r\n\r\nnot json\n{"b": 2}\n')
    assert (document.text, document.has_lines) == ("a: x y\n\nnot json\nb: 2\n", True)


@pytest.mark.parametrize("text", ['{"a": 1, // why\n}', "[" * 100_000, '{"a": 1}\n{"a": 2}'])
def test_what_is_not_quite_json_is_read_line_by_line(tmp_path: Path, text: str) -> None:
    document = read(tmp_path, "a.json", text)
    assert (document.has_lines, document.text.count("\n")) == (True, text.count("\n"))


def test_a_mail_prefers_plain_text_and_names_attachments(tmp_path: Path) -> None:
    mail = (
        "Subject: =?utf-8?B?R3LDvMOfZQ==?=\nFrom: A <a@x.org>\nTo: b@x.org\nDate: Mon, 1 Jan 2024 10:00:00 +0000\n"
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: multipart/alternative; boundary=C\n\n"
        "--C\nContent-Type: text/html\n\n<p>rich</p>\n--C\nContent-Type: text/plain; charset=iso-8859-1\n"
        "Content-Transfer-Encoding: quoted-printable\n\nsch=F6n\n--C--\n"
        '--B\nContent-Disposition: attachment; filename="plan.pdf"\nContent-Transfer-Encoding: base64\n\nAAAA\n--B--\n'
    )
    document = read(tmp_path, "a.eml", mail)
    assert document.title == "Grüße"
    assert document.text.startswith("Subject: Grüße\nFrom: A <a@x.org>\nTo: b@x.org\nDate: Mon, 01 Jan 2024")
    assert document.text.endswith("\n\nschön\n\nAttachments: plan.pdf")


def test_a_mail_of_html_alone_is_converted(tmp_path: Path) -> None:
    mail = "Subject: s\nContent-Type: text/html; charset=utf-8\n\n<h2>Hi</h2><script>x</script><ul><li>é"
    assert read(tmp_path, "a.eml", mail).text == "Subject: s\n\n## Hi\n\n- é"


# --- what can't be read ---


@pytest.mark.parametrize("suffix", sorted(READERS))
def test_every_format_says_why_it_can_not_read_noise(tmp_path: Path, suffix: str) -> None:
    for noise in (b"\x00\x01\x02\xff\xfe" * 50, b"PK\x03\x04" + bytes(range(256)), b"%PDF-1.7\n" + bytes(range(256)) * 3):
        with pytest.raises(UnreadableFile) as caught:
            read(tmp_path, f"a{suffix}", noise)
        assert 0 < len(caught.value.message) < 80
        assert "Error" not in caught.value.message


@pytest.mark.parametrize("suffix", [".md", ".html", ".json", ".jsonl", ".eml", ".ipynb", ".pdf", ".docx", ".rtf"])
@pytest.mark.parametrize("content", [b"", b" \n\t\r\n"])
def test_an_empty_file_is_called_empty(tmp_path: Path, suffix: str, content: bytes) -> None:
    with pytest.raises(UnreadableFile, match=r"^empty$"):
        read(tmp_path, f"a{suffix}", content)


def test_a_library_s_failure_is_chained_and_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    level = logging.getLogger("pypdf").level
    with pytest.raises(UnreadableFile, match="damaged, or not a PDF") as caught:
        read(tmp_path, "a.pdf", b"%PDF-1.4\n1 0 obj <<>> trailer nonsense startxref 99999 %%EOF")
    assert isinstance(caught.value.__cause__, Exception)
    assert capsys.readouterr() == ("", "")
    assert logging.getLogger("pypdf").level == level


def test_a_file_over_the_limit_names_both_sizes(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"x" * 3 * 2**20)
    with pytest.raises(UnreadableFile, match=r"3\.0 MiB, and the limit is 2\.0 MiB"):
        read_document(tmp_path / "a.md", "a.md", max_bytes=2 * 2**20)
    assert read_document(tmp_path / "a.md", "a.md", max_bytes=3 * 2**20).text


@pytest.mark.parametrize("name", ["a.docx", "a.xlsx", "a.pptx", "a.odt", "a.epub"])
def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableFile, match="would unpack to 64 MiB"):
        read(tmp_path, name, zipped(**{"content.xml": "0" * 2**26}))


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    entities = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    content = entities + ODT.replace("Head", "&f;Head")
    assert "root:" not in read(tmp_path, "a.odt", zipped(**{"content.xml": content})).text


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    with pytest.raises(UnreadableFile, match="not a regular file"):
        read_document(tmp_path / "pipe.md", "pipe.md")
    assert not is_readable(tmp_path / "pipe.unheard")


def test_a_file_that_went_away_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="it is gone"):
        read_document(tmp_path / "gone.md", "gone.md")


def test_a_file_that_grows_meanwhile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.md"
    path.write_text("one")
    fstat = os.fstat

    def grow_after(descriptor: int) -> os.stat_result:
        status = fstat(descriptor)
        with path.open("a") as file:
            file.write("two")
        return status

    monkeypatch.setattr(os, "fstat", grow_after)
    with pytest.raises(UnreadableFile, match="it changed while it was being read"):
        read_document(path, "a.md")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a.doc", "before 2007: save it as .docx"), ("a.pages", "export it as PDF"), ("a.unheard", "binary, not text")],
)
def test_formats_that_are_not_read_say_what_to_do(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(UnreadableFile, match=reason):
        read(tmp_path, name, b"\xd0\xcf\x11\xe0" + bytes(range(32)))
    assert not is_readable(tmp_path / name)


def test_a_locked_office_document_is_called_so(tmp_path: Path) -> None:
    ole = bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 99
    with pytest.raises(UnreadableFile, match="locked with a password"):
        read(tmp_path, "a.xlsx", ole + "EncryptedPackage".encode("utf-16-le"))
    with pytest.raises(UnreadableFile, match="Office format before 2007"):
        read(tmp_path, "b.docx", ole)


def test_reading_text_imports_no_library() -> None:
    code = (
        "import sys; from pathlib import Path; from indexes.reading import read_document; read_document(Path(sys.argv[1]), 'x');"
        "print([m for m in ('llama_index', 'lxml', 'pypdf', 'mammoth', 'openpyxl', 'pptx', 'pandas') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, __file__]
    assert subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]).stdout == "[]\n"
