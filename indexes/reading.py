"""A file → a Document: opens it safely, has its format's reader extract the text, cleans it.

``READERS`` is the one place that says which format is read by what. llama-index's own readers read none of them: each loses what
the table names, and importing any one of them imports pandas and sets the root logger to INFO for the whole process
(``logging.basicConfig`` in its slides module). A format's module, and with it its library, is imported when a file needs it.
"""

import contextlib
import importlib
import logging
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Protocol, cast

from indexes.decoding import clean, is_text
from indexes.errors import UnreadableFile
from indexes.formats import Extracted
from indexes.records import Document, Markup

MAX_FILE_BYTES = 64 * 1024 * 1024  # the longest PDFs of books and laws stay below; a file is held in memory some ten times over
SNIFFED_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class Reader:
    """How a format is read.

    Attributes:
        name: the format, as a message calls it.
        module: the module in ``indexes.formats`` whose ``extract`` reads it.
        markup: how its text is structured.
        why: which library reads it, and what llama-index's reader for it loses.
    """

    name: str
    module: str
    markup: Markup
    why: str


_MARKDOWN = Reader("Markdown", "plain", "markdown", "as it is: MarkdownReader drops links, indents and line numbers")
_RST = Reader("reStructuredText", "plain", "rst", "as it is: llama-index has no reader for it")
_ROWS = Reader("delimited rows", "plain", "csv", "as it is: CSVReader drops the quotes, so that cells run together")
_TEXT = Reader("text", "plain", "plain", "as it is: FlatReader knows UTF-8 only")
_CODE = Reader("source code", "plain", "code", "as it is: FlatReader knows UTF-8 only")
_JSON = Reader("JSON", "json_values", "plain", "json: JSONReader keeps the braces and quotes, and loses what a value belongs to")
_JSON_LINES = Reader("JSON lines", "json_lines", "plain", "json: JSONReader keeps the braces and quotes, and loses the lines")
_HTML = Reader("web page", "webpage", "markdown", "lxml: HTMLTagReader keeps the text of <section> alone, without structure")
_PDF = Reader(
    "PDF",
    "pdf",
    "plain",
    "pypdf, as PDFReader does and with the same text; that one gives up on a file for one bad page, "
    "reads a bad file three times, and can't tell locked from damaged",
)
_WORD = Reader("Word document", "word", "markdown", "mammoth: DocxReader loses headings, lists and tables")
_SLIDES = Reader(
    "presentation", "slides", "markdown", "python-pptx: PptxReader writes tables as prose, in drawing order, each title twice"
)
_SHEET = Reader(
    "workbook", "spreadsheet", "markdown", "openpyxl: PandasExcelReader drops sheets' names, takes a title for the header"
)
_ODT = Reader("OpenDocument text", "opendocument", "markdown", "lxml: llama-index has no reader for it")
_BOOK = Reader("book", "book", "markdown", "lxml: EpubReader needs EbookLib (AGPL) and mixes up the order of chapters")
_NOTEBOOK = Reader(
    "notebook", "notebook", "markdown", "json: IPYNBReader needs nbconvert, loses prose before the first cell and all outputs"
)
_RICH = Reader(
    "RTF document", "richtext", "markdown", "striprtf, as RTFReader does; that one fails on 8-bit letters, and loses headings"
)
_MAIL = Reader("mail", "mail", "markdown", "email: llama-index has no reader for it")

_BY_SUFFIXES: tuple[tuple[Reader, str], ...] = (
    (_MARKDOWN, "md markdown mdown mkd mkdn mdx qmd rmd"),
    (_RST, "rst rest"),
    (_ROWS, "csv tsv tab psv"),
    (
        _TEXT,
        "txt text log org adoc asciidoc asc tex ltx bib srt vtt sbv textile wiki mediawiki creole pod me 1st nfo man diff "
        "patch po pot",
    ),
    (_JSON, "json geojson jsonld webmanifest"),
    (_JSON_LINES, "jsonl ndjson jsonlines"),
    (_HTML, "html htm xhtml xht"),
    (_PDF, "pdf"),
    (_WORD, "docx docm dotx"),
    (_SLIDES, "pptx pptm"),
    (_SHEET, "xlsx xlsm"),
    (_ODT, "odt ott"),
    (_BOOK, "epub"),
    (_NOTEBOOK, "ipynb"),
    (_RICH, "rtf"),
    (_MAIL, "eml"),
    (
        _CODE,
        "py pyi pyx pxd ipy rb erb rake gemspec pl pm t php phtml lua tcl r jl m mm swift kt kts java groovy gradle scala "
        "sbt clj cljs cljc edn c h cc cpp cxx hh hpp hxx inl ino cu cuh cs fs fsi fsx vb go rs zig nim d v sv svh vhd "
        "vhdl ada adb ads pas pp f f90 f95 for cob cbl js mjs cjs jsx ts mts cts tsx vue svelte astro css scss sass less "
        "styl coffee elm dart hs lhs ml mli erl hrl ex exs lisp lsp el scm ss rkt sh bash zsh fish ksh csh bat cmd ps1 "
        "psm1 awk sed asm s nasm ll sql ddl cypher graphql gql proto thrift avsc prisma sol tf tfvars hcl nix bzl bazel "
        "cmake mk mak ninja dockerfile j2 jinja jinja2 tmpl mustache hbs liquid pug haml yaml yml toml ini cfg conf "
        "config properties editorconfig desktop service plist reg xml xsd xsl xslt dtd rss atom opml kml gpx svg rdf owl "
        "ttl nt n3 sparql wsdl xaml resx csproj fsproj vbproj sln props targets pom json5 jsonc hjson ron kdl cue dhall",
    ),
)

READERS: MappingProxyType[str, Reader] = MappingProxyType(
    {f".{suffix}": reader for reader, suffixes in _BY_SUFFIXES for suffix in suffixes.split()}
)
"""Which suffix (lower case, with its dot) is read how."""

_BY_NAMES: tuple[tuple[Reader, str], ...] = (
    (_TEXT, "readme license licence copying authors contributors changelog changes news notice todo install version"),
    (
        _CODE,
        "makefile gnumakefile dockerfile containerfile vagrantfile jenkinsfile procfile rakefile gemfile brewfile justfile "
        "cmakelists.txt build workspace",
    ),
)

NAMES: MappingProxyType[str, Reader] = MappingProxyType({name: reader for reader, names in _BY_NAMES for name in names.split()})
"""Which whole file name (lower case) is read how; asked before the suffix."""


_OLD_OFFICE = "in the Office format before 2007: save it as .docx, .xlsx or .pptx"
UNREAD = dict.fromkeys((".doc", ".dot", ".xls", ".xlt", ".ppt", ".pps"), _OLD_OFFICE) | dict.fromkeys(
    (
        ".ods",
        ".odp",
        ".odg",
        ".pages",
        ".numbers",
        ".mobi",
        ".azw",
        ".azw3",
        ".djvu",
        ".msg",
        ".pst",
        ".xlsb",
        ".one",
        ".wpd",
        ".hwp",
    ),
    "this format isn't read: export it as PDF, or as text",
)
"""Documents in formats that no kept library reads: what to do about each."""


class _Format(Protocol):
    def extract(self, data: bytes) -> Extracted: ...


def reader_for(path: Path) -> Reader | None:
    """The reader that a file's name asks for, or None where the name says nothing."""
    return NAMES.get(path.name.lower()) or READERS.get(path.suffix.lower())


def is_readable(path: Path) -> bool:
    """Whether there is a reader for the file: by its name, else because its content is text."""
    if reader_for(path) is not None:
        return True
    try:
        return path.suffix.lower() not in UNREAD and is_text(read_head(path))
    except UnreadableFile:
        return False


def read_head(path: Path) -> bytes:
    """The first bytes of a file, enough to tell text from binary."""
    with _open_regular(path) as (file, _):
        return file.read(SNIFFED_BYTES)


def read_document(path: Path, source: str, *, max_bytes: int = MAX_FILE_BYTES) -> Document:
    """Read one file as text.

    Args:
        path: the file; only a regular file is ever opened.
        source: what the document is called, relative to its root.
        max_bytes: a larger file is refused.

    Raises:
        UnreadableFile: it can't be read, for the reason that the error's message names.
    """
    data = _read_bytes(path, max_bytes)
    if not data.strip():
        raise UnreadableFile("empty")
    if path.suffix.lower() in UNREAD:
        raise UnreadableFile(UNREAD[path.suffix.lower()])
    reader = reader_for(path) or _TEXT
    module = cast("_Format", importlib.import_module(f"indexes.formats.{reader.module}"))
    with _quiet():
        extracted = _extract(module, data, reader)
    return _document(extracted, source, reader)


def _document(extracted: Extracted, source: str, reader: Reader) -> Document:
    # Cleaned before it is joined, since the pages' offsets are those of the clean text.
    parts = [clean(part) for part in extracted.parts]
    if not any(map(str.strip, parts)):
        raise UnreadableFile("empty")
    starts = [0]
    for part in parts[:-1]:
        starts.append(starts[-1] + len(part) + len("\n\n"))
    return Document(
        source=source,
        text="\n\n".join(parts),
        markup=reader.markup,
        title=" ".join(clean(extracted.title).split()),
        page_starts=tuple(starts) if extracted.paged else (),
        has_lines=extracted.has_lines,
    )


def _extract(module: _Format, data: bytes, reader: Reader) -> Extracted:
    """The one place where a library's failure becomes a reason."""
    try:
        return module.extract(data)
    except UnreadableFile:
        raise
    except MemoryError as error:
        raise UnreadableFile("too large to read into memory") from error
    except RecursionError as error:
        raise UnreadableFile("nested too deeply") from error
    except Exception as error:
        if type(error).__name__ in _LOCKED:
            raise UnreadableFile("locked with a password") from error
        article = "an" if reader.name[0] in "AEIOR" and reader.name != "RTF" else "a"
        raise UnreadableFile(f"damaged, or not {article} {reader.name}") from error


_LOCKED = ("FileNotDecryptedError", "WrongPasswordError")  # pypdf's, by name: it isn't imported here


def _read_bytes(path: Path, max_bytes: int) -> bytes:
    with _open_regular(path) as (file, size):
        if size > max_bytes:
            raise UnreadableFile(f"too large: {size / 2**20:,.1f} MiB, and the limit is {max_bytes / 2**20:,.1f} MiB")
        before = os.fstat(file.fileno()).st_mtime_ns
        data = file.read(max_bytes + 1)
        if len(data) != size or os.fstat(file.fileno()).st_mtime_ns != before:
            raise UnreadableFile("it changed while it was being read")
    return data


@contextlib.contextmanager
def _open_regular(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file that is one, and nothing else; yields it and its size.

    Raises:
        UnreadableFile: it is a pipe or a device, is gone, or may not be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableFile("not a regular file")  # to open a pipe waits for ever, to open a device does things
        # A pipe put in its place since then doesn't block, and is recognised below.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableFile("not a regular file")
            yield file, status.st_size
    except OSError as error:
        raise UnreadableFile(os_reason(error)) from error


def os_reason(error: OSError) -> str:
    """Why the system refused a file or folder, in a few words."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "it is gone"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    return (error.strerror or "can't be read").lower()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' warnings and log lines about a damaged file off the terminal: the reason is named in the summary."""
    logger = logging.getLogger("pypdf")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
