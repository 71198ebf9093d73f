"""Files → records: every layout of bytes, and every way in which it can be broken, with its line."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.data import json_text
from finetune.data.reading import Fault, Record, find_files, read_records
from finetune.data.rows import Place

ROWS = [{"text": "one"}, {"text": "two\nlines"}, {"text": "drei – 三"}]


def records(file: Path) -> list[tuple[int, dict[str, Any]]]:
    found = list(read_records(file))
    assert all(isinstance(one, Record) for one in found), found
    return [(one.place.line, one.value) for one in found if isinstance(one, Record)]


def faults(file: Path) -> list[tuple[int, str]]:
    return [(one.place.line, one.what) for one in read_records(file) if isinstance(one, Fault) and one.place]


def write(file: Path, content: str | bytes) -> Path:
    raw = content.encode() if isinstance(content, str) else content
    file.write_bytes(gzip.compress(raw) if file.suffix == ".gz" else raw)
    return file


LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
ARRAY = json.dumps(ROWS, indent=2, ensure_ascii=False)
CSV = 'text,n\none,1\n"two\nlines",2\n\n"drei, ""三""",3\n'


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.jsonl.gz", "a.json", "A.JSONL"])
def test_json_lines_under_any_name(tmp_path: Path, name: str) -> None:
    assert records(write(tmp_path / name, LINES)) == list(enumerate(ROWS, 1))


def test_blank_lines_and_a_byte_order_mark_count_as_nothing(tmp_path: Path) -> None:
    assert [line for line, _ in records(write(tmp_path / "a.jsonl", "\ufeff" + LINES.replace("\n", "\n\n", 1)))] == [1, 3, 4]


def test_an_array_under_the_name_of_lines_is_read(tmp_path: Path) -> None:
    assert records(write(tmp_path / "a.jsonl", ARRAY)) == [(2, ROWS[0]), (5, ROWS[1]), (8, ROWS[2])]


@pytest.mark.parametrize("text", [ARRAY, f'{{"version": 1, "tags": {{}}, "data": {ARRAY}\n}}', "\ufeff" + ARRAY])
def test_an_array_gives_the_line_where_each_element_begins(tmp_path: Path, text: str) -> None:
    assert records(write(tmp_path / "a.json.gz", text)) == [(2, ROWS[0]), (5, ROWS[1]), (8, ROWS[2])]


def test_an_object_may_be_a_record_itself(tmp_path: Path) -> None:
    for record in ({"messages": [{"role": "user", "content": "Hi"}]}, {"text": "x", "documents": []}):
        assert records(write(tmp_path / "a.json", json.dumps(record, indent=1))) == [(1, record)]


def test_elements_of_one_long_line_are_numbered(tmp_path: Path) -> None:
    found = [one for one in read_records(write(tmp_path / "a.json", json.dumps(ROWS))) if isinstance(one, Record)]
    assert [(one.place.line, one.number) for one in found] == [(1, 1), (1, 2), (1, 3)]


@pytest.mark.parametrize(
    ("name", "text"), [("a.csv", CSV), ("a.csv", "\ufeff" + CSV), ("a.csv.gz", CSV), ("a.csv", CSV.replace("\n", "\r\n"))]
)
def test_a_record_of_a_csv_begins_where_its_first_cell_does(tmp_path: Path, name: str, text: str) -> None:
    found = [(line, row["text"].replace("\r\n", "\n"), row["n"]) for line, row in records(write(tmp_path / name, text))]
    assert found == [(2, "one", "1"), (3, "two\nlines", "2"), (6, 'drei, "三"', "3")]


@pytest.mark.parametrize(("name", "delimiter"), [("a.tsv", "\t"), ("a.csv", ";"), ("a.csv", "\t")])
def test_other_delimiters(tmp_path: Path, name: str, delimiter: str) -> None:
    assert records(write(tmp_path / name, f"text{delimiter}label\na, b{delimiter}1\n")) == [(2, {"text": "a, b", "label": "1"})]


def test_parquet(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    rows = [{"messages": [{"role": "user", "content": "Hi"}], "label": True}, {"messages": [], "label": None}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert records(tmp_path / "a.parquet") == [(1, rows[0]), (2, rows[1])]
    raw = (tmp_path / "a.parquet").read_bytes()
    write(tmp_path / "b.parquet", raw[:-20])
    assert "is not a whole Parquet file" in faults(tmp_path / "b.parquet")[0][1]


def test_a_text_is_one_record(tmp_path: Path) -> None:
    assert records(write(tmp_path / "a.md", "# A\r\n\r\nText.\r\n")) == [(1, {"text": "# A\n\nText.\n"})]


@pytest.mark.parametrize(
    ("name", "content", "line", "what"),
    [
        ("a.jsonl", LINES + "{oops}\n", 4, "is not JSON: Expecting property name enclosed in double quotes at column 2"),
        ("a.jsonl", LINES + '{"text": "half', 4, "breaks off: the file ends inside a row"),
        ("a.jsonl", LINES + "[1, 2]\n", 4, "is a list, not an object"),
        ("a.jsonl", LINES + '"x"\n', 4, "is a text, not an object"),
        ("a.jsonl", LINES + "null\n", 4, "is null, not an object"),
        ("a.jsonl", LINES + "[" * 100_000 + "\n", 4, "is nested too deeply"),
        ("a.jsonl", "[" * 100_000, 1, "is nested too deeply"),
        ("a.jsonl", LINES.encode() + b'{"text": "caf\xe9"}\n', 4, "is not UTF-8: byte 0xe9 at position 14 of the line"),
        ("a.jsonl", "", 1, "holds no rows"),
        ("a.jsonl", LINES.encode("utf-16"), 1, "is UTF-16, not UTF-8"),
        ("a.json", '[\n{"text": "a"},\n{"text": "b",}\n]', 3, "is not JSON: "),
        ("a.json", '[\n{"text": "a"},\n{"text": "b"', 3, "breaks off: the file ends inside a row"),
        ("a.json", '[\n{"text": "a"},\n7\n]', 3, "is a number, not an object"),
        ("a.json", '[{"text": "a"}, 7]', 1, "row 2 is a number, not an object"),
        ("a.json", '[{"text": "a"}]\n[]', 2, "is not JSON: more after the end"),
        ("a.json", '{"data": [\n{"text": "a"}, oops]}', 2, "is not JSON: "),
        ("a.json", b'[\n{"text": "caf\xe9"}]', 2, "is not UTF-8: byte 0xe9"),
        ("a.json", "[]", 1, "holds no rows"),
        ("a.json", '{"train": [{"text": "a"}], "test": [{"text": "b"}]}', 1, "holds several lists of rows: 'train', 'test'"),
        ("a.json", '{"text": ["a", "b"], "label": [0, 1]}', 1, "holds columns, not rows: 'text', 'label'"),
        ("a.csv", "text,n\na,1\nb,2,3\n", 3, "has 3 cells, and the header has 2"),
        ("a.csv", 'text,n\n"a\nb",1\n"c,2\n', 4, "is not CSV: unexpected end of data"),
        ("a.csv", "text,text\na,b\n", 1, "has a header with empty or repeated names: ['text', 'text']"),
        ("a.csv", b'text,n\na,1\n"b\n\xe9",2\n', 4, "is not UTF-8: byte 0xe9"),
        ("a.csv", "text,n\ra,1\r", 1, "has a header that is not CSV: new-line character seen"),
        ("a.csv", 'text,"n\na,1\n', 1, "has a header that is not CSV: unexpected end of data"),
        ("a.csv", "text,n\n", 1, "holds no rows"),
        ("a.csv", "", 1, "holds no rows"),
        ("a.txt", " \n", 1, "holds no rows"),
        ("a.txt", b"a\n\xff\xff", 2, "is not UTF-8"),
    ],
)
def test_what_is_broken_is_named_with_its_line(tmp_path: Path, name: str, content: str | bytes, line: int, what: str) -> None:
    found = faults(write(tmp_path / name, content))
    assert len(found) == 1
    assert found[0][0] == line
    assert found[0][1].startswith(what)


def test_reading_goes_on_after_a_fault(tmp_path: Path) -> None:
    found = list(read_records(write(tmp_path / "a.jsonl", b'{"text": "a"}\n\xff\n{\n{"text": "b"}\n')))
    assert [type(one) for one in found] == [Record, Fault, Fault, Record]
    found = list(read_records(write(tmp_path / "a.csv", 'text,n\na\n"b"x,1\nc,3\n')))
    assert [type(one) for one in found] == [Fault, Fault, Record]
    assert [one.place.line for one in found if one.place] == [2, 3, 4]


def test_a_gzip_file_that_is_cut_short_or_none(tmp_path: Path) -> None:
    many = "".join(json.dumps({"text": f"{number} {'x' * (number % 97)}"}) + "\n" for number in range(20_000))
    whole = write(tmp_path / "a.jsonl.gz", many).read_bytes()
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    found = list(read_records(tmp_path / "a.jsonl.gz"))
    last = found[-1]
    assert isinstance(last, Fault)
    assert "the gzip file is cut short" in last.what
    assert last.place == Place(tmp_path / "a.jsonl.gz", len(found) - 1)
    (tmp_path / "a.jsonl.gz").write_bytes(b"plain text")
    assert "can't be unpacked" in faults(tmp_path / "a.jsonl.gz")[0][1]
    (tmp_path / "a.jsonl.gz").write_bytes(whole[:50] + b"\0" * 50 + whole[100:])
    assert "can't be unpacked" in faults(tmp_path / "a.jsonl.gz")[-1][1]


def test_a_folder_gives_its_data_in_order_and_leaves_notes_out(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("b.jsonl", "a.csv", "deep/c.json.gz", "README.md", "LICENSE", ".git/x.jsonl"):
        write(tmp_path / name, "x")
    found, wrong = find_files([tmp_path, tmp_path / "b.jsonl"])
    assert [str(file.relative_to(tmp_path)) for file in found] == ["a.csv", "b.jsonl", "deep/c.json.gz"]
    assert [(str(fault), fault.is_error) for fault in wrong] == [
        (f"{tmp_path}/README.md:1: is left out: beside data, a text is taken for a note", False)
    ]
    write(tmp_path / "deep" / "d.txt", "x")
    (tmp_path / "deep" / "c.json.gz").unlink()
    assert find_files([tmp_path / "deep"]) == ([tmp_path / "deep" / "d.txt"], [])


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("x" * 300, "can't be read: File name too long"),
        ("none", "no such file or folder"),
        ("empty", "holds no file that can be read"),
        ("a.xlsx", "no kind that is read here: '.xlsx'"),
    ],
)
def test_paths_that_give_nothing(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "a.xlsx", "x")
    found, wrong = find_files([tmp_path / name])
    assert not found
    assert [what in fault.what and fault.is_error for fault in wrong] == [True]


def test_a_folder_that_may_not_be_read_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    file = write(tmp_path / "a.jsonl", LINES)
    monkeypatch.setattr(Path, "open", refuse)
    assert faults(file) == [(1, "can't be read: Permission denied")]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)
VALUES = st.dictionaries(TEXTS, TEXTS | st.integers() | st.lists(TEXTS, max_size=2), max_size=3)


@given(st.lists(VALUES, max_size=5), st.sampled_from([None, 0, 1, 4]), st.booleans())
def test_elements_are_what_was_written_where_it_was_written(rows: list[Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
    found = list(json_text.elements(text))
    assert [value for value, _ in found] == rows
    lines = text.split("\n")
    assert all(lines[line - 1].lstrip(" [").startswith(("{", "}")) for _, line in found)
    assert indent is None or len({line for _, line in found}) == len(rows)


@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6))
def test_cells_are_what_was_written_where_it_was_written(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    expected = []
    for row in [("left", "right"), *rows]:
        expected.append((stream.getvalue().count("\n") + 1, {"left": row[0], "right": row[1]}))
        writer.writerow(row)
    file = write(tmp_path_factory.mktemp("csv") / "a.csv", stream.getvalue())
    assert records(file) == expected[1:]
