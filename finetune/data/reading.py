"""Files and folders → raw records, each with the line where it begins. Nothing here knows what a record means.

JSON lines, JSON, CSV, TSV, Parquet, and plain text, all but Parquet also gzipped. Whatever can't be read is a fault with its
place and a mend; reading goes on with the next line, or where that makes no sense, with the next file.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from finetune.data import json_text
from finetune.data.rows import Place

NOTES = (".txt", ".md")
"""Plain text: a file is a record. In a folder that also holds other data they are taken for notes about it, and left out."""
ENCODINGS = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))
"""What files in another encoding begin with."""
BOM = "\ufeff"
AN_OBJECT = 'a row is an object, e.g. {"prompt": "…", "completion": "…"}'
LONGEST_CELL = 2**31 - 1
"""Characters in a cell of a CSV file; csv's own limit, 131,072, is less than a long document."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it stands in a file.

    Attributes:
        value: its keys and values.
        place: where it begins.
        number: from 1, where it shares its line with all others; otherwise 0.
    """

    value: dict[str, Any]
    place: Place
    number: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with the data.

    Attributes:
        place: where; None: of the data as a whole.
        what: what is wrong, with the value seen.
        hint: what mends it.
        is_error: whether nothing should be trained before it is mended; otherwise a warning.
    """

    place: Place | None
    what: str
    hint: str
    is_error: bool = True

    def __str__(self) -> str:
        return f"{self.place}: {self.what}" if self.place else self.what


Found = Iterator[Record | Fault]


def find_files(paths: Sequence[Path]) -> tuple[list[Path], list[Fault]]:
    """The files that paths name, each once, those of a folder in the order of their names."""
    files: dict[Path, Path] = {}
    faults = []
    for path in paths:
        try:
            found, wrong = _in_folder(path) if path.is_dir() else _single(path)
        except OSError as error:  # a name that is too long, a folder that may not be looked into
            found, wrong = [], [Fault(Place(path, 1), f"can't be read: {error.strerror or error}", "check the path")]
        faults += wrong
        for file in found:
            files.setdefault(file.resolve(), file)
    return list(files.values()), faults


def read_records(file: Path) -> Found:
    """Read a file record by record; JSON lines and CSV as a stream."""
    any_record = False
    for found in _guarded(file):
        any_record = True
        yield found
    if not any_record:
        yield Fault(Place(file, 1), "holds no rows", "leave the file out, or fill it")


def _in_folder(folder: Path) -> tuple[list[Path], list[Fault]]:
    inside = [path for path in sorted(folder.rglob("*")) if not any(part[0] == "." for part in path.relative_to(folder).parts)]
    known = [path for path in inside if path.is_file() and _ending(path) in READERS]
    data = [path for path in known if _ending(path) not in NOTES]
    left = [path for path in known if _ending(path) in NOTES] if data else []
    why, mend = "is left out: beside data, a text is taken for a note", "name the file itself to have it read"
    faults = [Fault(Place(path, 1), why, mend, is_error=False) for path in left]
    if not known:
        faults.append(Fault(Place(folder, 1), "holds no file that can be read", f"give a folder with files of {_allowed()}"))
    return data or known, faults


def _single(path: Path) -> tuple[list[Path], list[Fault]]:
    if not path.exists():
        return [], [Fault(Place(path, 1), "is not there: no such file or folder", "check the path")]
    if _ending(path) not in READERS:
        what = f"is of no kind that is read here: {path.suffix!r}"
        return [], [Fault(Place(path, 1), what, f"give files of {_allowed()}")]
    return [path], []


def _ending(path: Path) -> str:
    """What decides how a file is read: ``.jsonl`` of ``a.jsonl.gz``. There is no gzipped Parquet."""
    name = path.name.lower()
    inner = Path(name.removesuffix(".gz")).suffix
    return "" if name.endswith(".parquet.gz") else inner


def _allowed() -> str:
    return ", ".join(READERS)


def _guarded(file: Path) -> Found:
    """A file's records; what the system or the compression has against it is a fault at the line that was reached."""
    reached = 1
    try:
        with file.open("rb") as stream:
            head = stream.read(2)
        for start, encoding in ENCODINGS:
            if head == start:
                yield Fault(Place(file, 1), f"is {encoding}, not UTF-8", f"iconv -f {encoding} -t UTF-8 {file} > new-{file.name}")
                return
        for found in READERS[_ending(file)](file):
            reached = found.place.line if found.place else reached
            yield found
    except EOFError:
        yield Fault(Place(file, reached), "breaks off after this: the gzip file is cut short", "copy or download the file again")
    except (gzip.BadGzipFile, zlib.error) as error:
        yield Fault(Place(file, reached), f"can't be unpacked: {error}", "copy the file again, or take .gz off its name")
    except OSError as error:
        yield Fault(Place(file, reached), f"can't be read: {error.strerror or error}", "check the file's rights and its disk")


def _lines(file: Path, faults: list[Fault]) -> Iterator[tuple[int, str]]:
    """Numbered lines, their ends kept; of one that isn't UTF-8 a fault is added before it comes."""
    with gzip.open(file, "rb") if file.suffix.lower() == ".gz" else file.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                what = f"is not UTF-8: byte 0x{raw[error.start]:02x} at position {error.start + 1} of the line"
                hint = f"save the file as UTF-8, e.g. iconv -f WINDOWS-1252 -t UTF-8 {file}"
                faults.append(Fault(Place(file, number), what, hint))
                line = raw.decode("utf-8", "replace")
            yield number, line.removeprefix(BOM) if number == 1 else line


def _read_lines(file: Path) -> Found:
    """JSON lines; or an array under the wrong name."""
    faults: list[Fault] = []
    for number, line in _lines(file, faults):
        if number == 1 and line.lstrip()[:1] == "[":
            yield from _read_json(file)
            return
        if faults:
            yield from faults
            faults.clear()
            continue
        if line.isspace() or not line:
            continue
        place = Place(file, number)
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield _not_json(place, error, torn=not line.endswith("\n"))
            continue
        yield _record(value, place)


def _read_json(file: Path) -> Found:
    """A JSON array of records, an object that holds one, a single record; or JSON lines under the wrong name."""
    faults: list[Fault] = []
    text = "".join(line for _, line in _lines(file, faults))
    if faults:
        yield from faults
        return
    if json_text.is_lines(text):
        yield from _read_lines(file)
        return
    is_one_line = "\n" not in text.strip()
    try:
        for number, (value, line) in enumerate(json_text.elements(text), 1):
            why = json_text.explain_object(value) if number == 1 and isinstance(value, dict) and text.lstrip()[0] == "{" else ""
            if why:
                yield Fault(Place(file, line), why, "write a list of rows: [{…}, {…}], or a row a line into a .jsonl file")
            else:
                yield _record(value, Place(file, line), number if is_one_line else 0)
    except json.JSONDecodeError as error:
        yield _not_json(Place(file, error.lineno), error, torn=error.pos >= len(text.rstrip()))
    except (ValueError, RecursionError) as error:
        yield _not_json(Place(file, 1), error)


def _record(value: object, place: Place, number: int = 0) -> Record | Fault:
    if isinstance(value, dict):
        return Record(value, place, number)
    return Fault(place, f"{f'row {number} ' if number else ''}is {_named(value)}, not an object", AN_OBJECT)


def _named(value: object) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _not_json(place: Place, error: Exception, *, torn: bool = False) -> Fault:
    if isinstance(error, RecursionError):
        return Fault(place, "is nested too deeply", 'a row is an object, e.g. {"prompt": "…", "completion": "…"}')
    if torn:
        return Fault(place, "breaks off: the file ends inside a row", "write the file again, or delete its last line")
    why = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
    return Fault(place, f"is not JSON: {why}", "mend the line; a program that writes JSON quotes and escapes by itself")


def _read_cells(file: Path) -> Found:
    """CSV or TSV with a header; a record may take several lines, where a quoted cell holds line ends."""
    csv.field_size_limit(LONGEST_CELL)
    faults: list[Fault] = []
    lines = (line for _, line in _lines(file, faults))
    first = next(lines, "")
    yield from faults
    faults.clear()
    try:
        header = next(csv.reader([first], delimiter=_delimiter(file, first), strict=True), [])
    except csv.Error as error:
        yield Fault(
            Place(file, 1), f"has a header that is not CSV: {error}", "end every line with a line feed, and close every quote"
        )
        return
    names = [name.strip() for name in header]
    if first and (len(set(names)) < len(names) or not all(names)):
        yield Fault(
            Place(file, 1), f"has a header with empty or repeated names: {names!r}", "give every column a name of its own"
        )
        return
    reader = csv.reader(lines, delimiter=_delimiter(file, first), strict=True)
    while True:
        place = Place(file, 2 + reader.line_num)
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield Fault(place, f"is not CSV: {error}", 'close every quote, and double those inside a cell: ""')
            continue
        yield from faults or _row(names, cells, place)
        faults.clear()
    yield from faults


def _row(names: Sequence[str], cells: Sequence[str], place: Place) -> Found:
    if len(cells) == len(names):
        yield Record(dict(zip(names, cells, strict=True)), place)
    elif cells:
        what = f"has {len(cells)} cells, and the header has {len(names)}"
        yield Fault(place, what, "put cells that hold commas or line ends into double quotes")


def _delimiter(file: Path, header: str) -> str:
    if _ending(file) == ".tsv":
        return "\t"
    return max(",;\t", key=header.count)


def _read_parquet(file: Path) -> Found:
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")  # it ships no types
    except ImportError:
        yield Fault(Place(file, 1), "is Parquet, which needs a package", "pip install pyarrow")
        return
    number = 0
    try:
        with parquet.ParquetFile(file) as opened:
            for batch in opened.iter_batches(1000):
                for value in batch.to_pylist():
                    number += 1
                    yield Record(value, Place(file, number))
    except pyarrow.ArrowException as error:
        why = str(error).splitlines()[0]
        yield Fault(Place(file, number + 1), f"is not a whole Parquet file: {why}", "copy or write the file again")


def _read_text(file: Path) -> Found:
    faults: list[Fault] = []
    text = "".join(line for _, line in _lines(file, faults))
    if faults:
        yield from faults
    elif text.strip():
        yield Record({"text": text.replace("\r\n", "\n")}, Place(file, 1))


READERS: dict[str, Callable[[Path], Found]] = {
    ".jsonl": _read_lines,
    ".ndjson": _read_lines,
    ".json": _read_json,
    ".csv": _read_cells,
    ".tsv": _read_cells,
    ".parquet": _read_parquet,
    ".txt": _read_text,
    ".md": _read_text,
}
"""Which function reads which files. All but Parquet may end in ``.gz`` besides."""
