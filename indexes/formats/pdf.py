"""PDF → text, page by page, through pypdf."""

import io
import re

from pypdf import PasswordType, PdfReader

from indexes.errors import UnreadableFile
from indexes.formats import Extracted

MAX_PAGES = 20_000  # some minutes of reading: more is no document
_HYPHENATED = re.compile(r"(?<![^\W\d_])([^\W\d_]{2,})-\n([^\W\d_]{2,})(\S*) ?")
_WORD = re.compile(r"[^\W\d_]{4,}")
# Typeset as one sign, they hide "floating" from everyone who types it.
_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
# What programs write where nobody gave a title: the name of the file they saved.
_NO_TITLE = re.compile(
    r"(?i)untitled.*|microsoft (?:word|powerpoint) - .*|.*\.(?:docx?|pptx?|xlsx?|odt|tex|dvi|indd|qxd|pdf|rtf|html?)"
)


def extract(data: bytes) -> Extracted:
    """Read a PDF; a page that is damaged is left empty as long as another can be read."""
    if b"%PDF-" not in data[:1024]:
        raise UnreadableFile("no PDF inside")
    reader = PdfReader(io.BytesIO(data))
    # Many a locked-looking file is encrypted with the empty password, to forbid printing.
    if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
        raise UnreadableFile("locked with a password", hint="save a copy without the password")
    if len(reader.pages) > MAX_PAGES:
        raise UnreadableFile(f"has {len(reader.pages):,} pages; {MAX_PAGES:,} are the limit")
    pages = _page_texts(reader)
    if not any(map(str.strip, pages)):
        raise UnreadableFile("no text in it: a scanned PDF needs OCR first", hint="run OCR on it, e.g. ocrmypdf")
    return Extracted(tuple(_join_hyphenated(pages)), _title(reader), paged=True)


def _page_texts(reader: PdfReader) -> list[str]:
    pages = []
    failure = None
    for page in reader.pages:
        try:
            pages.append("\n".join(map(str.rstrip, page.extract_text().translate(_LIGATURES).strip("\n").split("\n"))))
        except Exception as error:  # noqa: BLE001  pypdf raises whatever a damaged font or stream leads to
            failure = error
            pages.append("")
    if failure is not None and not any(pages):
        raise failure
    return pages


def _join_hyphenated(pages: list[str]) -> list[str]:
    """Join a word that was parted at a line's end, where the document has it unparted elsewhere.

    Otherwise the hyphen may be the word's own ("well-known"), and stays.
    """
    words = {word.lower() for page in pages for word in _WORD.findall(page)}

    def joined(parts: re.Match[str]) -> str:
        word = parts[1] + parts[2]
        return f"{word}{parts[3]}\n" if word.lower() in words else parts[0]

    return [_HYPHENATED.sub(joined, page) for page in pages]


def _title(reader: PdfReader) -> str:
    try:
        title = (reader.metadata.title if reader.metadata else None) or ""
    except Exception:  # noqa: BLE001  a title that can't be read is no reason to leave out the text
        return ""
    return "" if _NO_TITLE.fullmatch(title.strip()) else title
