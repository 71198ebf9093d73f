"""Bytes → text: finds the encoding, and takes out what has no place in text.

Knows nothing of files and formats. Every text that enters an index passes ``clean`` last, so no escape sequence of a
document reaches a terminal.
"""

import codecs
import re

from indexes.errors import UnreadableFile

# The longer marks first: UTF-32's little-endian mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# What people's files are written in. Left free, the detector also answers with EBCDIC and DOS code pages for a short text.
_PLAUSIBLE = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("iso8859_2", "iso8859_5", "iso8859_7", "iso8859_8", "koi8_r", "koi8_u", "mac_roman", "cp874"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
# Browsers read these labels as their Windows superset, which is what their writers meant (WHATWG Encoding, 4.2).
_SUPERSETS = {"iso8859-1": "cp1252", "ascii": "cp1252", "iso8859-9": "cp1254", "gb2312": "gb18030", "gbk": "gb18030"}

_LATIN = ("cp1250", "cp1254", "cp1257", "cp1258", "iso8859_2", "mac_roman")
_WESTERN = frozenset("àáâãäåæçèéêëìíîïñòóôõöøùúûüÿœßšž¿¡«»“”„‘’‚‹›–—…€£§°©®™·•ªº\u00a0")
_HEBREW_WORD = re.compile(rb"[\xe0-\xfa]+")
_HEBREW_FINAL_WITHIN = re.compile(rb"[\xea\xed\xef\xf3\xf5](?=[\xe0-\xfa])")
_HIGH = re.compile(rb"[\x80-\xff]")

_SAMPLE_BYTES = 64 * 1024  # of lines that aren't ASCII: the others say nothing about the encoding
_MAX_CONTROLS = 0.02  # share of control characters: prose has none, random bytes have a tenth

_PRINTABLE_ASCII = bytes(range(0x20, 0x7F))
_BINARY_CONTROLS = bytes({*range(0x20), 0x7F} - set(b"\t\n\r\f\v\b\x1a\x1b"))
_TERMINAL_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]P^_X]|\x9d)[^\x07\x1b\x9c\x9d\n]*(?:\x07|\x1b\\|\x9c)"
)
_REMOVED = dict.fromkeys(
    (
        *(*range(0x09), *range(0x0E, 0x20), *range(0x7F, 0xA0)),  # controls
        *(*range(0x202A, 0x202F), *range(0x2066, 0x206A)),  # bidirectional overrides: they show text in another order
        *(0xAD, 0xFEFF),  # soft hyphens and stray marks: they would keep a word from being found
    )
)
# They part words, and some readers take them for line ends, which would shift every line number after them.
_SPACED = dict.fromkeys([0x0B, 0x0C, 0x85, 0x2028, 0x2029], " ")
_UNPRINTABLE = {**_REMOVED, **_SPACED, **dict.fromkeys(range(0xD800, 0xE000), "\ufffd")}
_HAS_UNPRINTABLE = re.compile("[" + "".join(re.escape(chr(code)) for code in _UNPRINTABLE) + "]")


def decode(data: bytes, *, declared: str | None = None) -> str:
    """Decode a text file by its byte order mark, as UTF-8, by its declaration, or by what its bytes look like.

    Args:
        data: the whole file.
        declared: the encoding that the document names itself (HTML, XML, mail), believed where it fits.

    Raises:
        UnreadableFile: these bytes aren't text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark) and (text := _try(data[len(mark) :], encoding)) is not None and "\0" not in text:
            return text
    if b"\0" in data:
        return _decode_wide(data)
    if not is_text(data):
        raise UnreadableFile("binary, not text")
    # ISO-2022-JP is ASCII with escapes, so it would pass for UTF-8.
    if declared and b"\x1b$" in data and (text := _try(data, declared)) is not None:
        return text
    text = _try(data, "utf-8")
    return text if text is not None else _decode_legacy(data, declared)


def clean(text: str) -> str:
    r"""Normalise newlines to ``\n`` and remove control characters other than ``\n`` and ``\t``.

    Whole terminal sequences, C1 controls and bidirectional overrides go; lone surrogates become U+FFFD, so that the result can
    always be written as UTF-8. No ``\n`` is added or removed.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _HAS_UNPRINTABLE.search(text) is None:
        return text
    return _TERMINAL_SEQUENCES.sub("", text).translate(_UNPRINTABLE)


def is_text(head: bytes) -> bool:
    """Whether a file that begins with these bytes is text, in any encoding."""
    if head.startswith(tuple(mark for mark, _ in _MARKS)):
        return True
    if b"\0" in head:
        return _wide_encoding(head) is not None
    controls = len(head) - len(head.translate(None, _BINARY_CONTROLS))
    return controls <= _MAX_CONTROLS * len(head)


def _try(data: bytes, encoding: str) -> str | None:
    """Decode strictly, or None. A name that is no text encoding (``zip``, ``nonsense``) decodes nothing either."""
    try:
        name = codecs.lookup(encoding).name
        return data.decode(_SUPERSETS.get(name, name))
    except (UnicodeError, LookupError, ValueError):
        return None


def _decode_wide(data: bytes) -> str:
    encoding = _wide_encoding(data)
    text = _try(data, encoding) if encoding else None
    if text is None:
        raise UnreadableFile("binary, not text")
    return text


def _wide_encoding(data: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: its zero bytes are halves of ASCII characters, at least of its spaces and line ends."""
    for encoding, width in (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le", 2), ("utf-16-be", 2)):
        sample = data[: min(len(data), 8192) // width * width]
        # Incremental, since the sample may end between the halves of a surrogate pair.
        text = codecs.getincrementaldecoder(encoding)("replace").decode(sample)
        # In the wrong byte order, or where a zero is only a zero, it stands for a character such as U+6100.
        is_aligned = width == 4 or sum(character < "\u0100" for character in text) >= 0.3 * sample.count(0)
        is_narrow = len(sample) - len(sample.translate(None, _PRINTABLE_ASCII)) > 0.75 * len(sample)
        if text and is_aligned and not is_narrow and "\0" not in text and "\ufffd" not in text and _is_printable(text):
            return encoding
    return None


def _is_printable(text: str) -> bool:
    return sum(character.isprintable() or character in "\t\n\r\f" for character in text) >= 0.98 * len(text)


def _decode_legacy(data: bytes, declared: str | None) -> str:
    """Decode what is not UTF-8, by its declaration or by its looks."""
    if declared and (text := _try(data, declared)) is not None:
        return text
    text = data.decode("utf-8", errors="replace")
    damaged = text.count("\ufffd")
    sound = len(text) - damaged - sum(map(str.isascii, text))
    if damaged <= sound // 10:  # UTF-8 with a few bad bytes: a cut, or a paste from elsewhere
        return text
    return data.decode(_guess(data), errors="replace")


def _guess(data: bytes) -> str:
    """The likeliest encoding of text in an old code page."""
    from charset_normalizer import from_bytes  # here, since few files need it

    lines = [line for line in data.splitlines(keepends=True) if not line.isascii()]
    sample = b"".join(lines)[:_SAMPLE_BYTES]
    if _is_hebrew(sample):
        return "cp1255"
    best = from_bytes(sample, cp_isolation=list(_PLAUSIBLE)).best()
    return "cp1252" if best is None or (best.encoding in _LATIN and _is_western(sample)) else best.encoding


def _is_hebrew(sample: bytes) -> bool:
    """Whether the letters are Hebrew, which the detector takes for Cyrillic: a final form never stands within a word."""
    words = _HEBREW_WORD.findall(sample)
    letters = sum(map(len, words))
    is_only_script = letters >= 0.95 * len(_HIGH.findall(sample)) and letters >= max(4, 2 * len(words))
    return is_only_script and len(_HEBREW_FINAL_WITHIN.findall(sample)) <= 0.01 * letters


def _is_western(sample: bytes) -> bool:
    """Whether all letters are of western Europe, which the detector often takes for Polish or Baltic ones (ñ for ń)."""
    text = _try(sample, "cp1252")
    if text is None:
        return False
    letters = {letter for letter in text.lower() if not letter.isascii()}
    # Hungarian has two letters where these lie, and none of those that go with them in Portuguese and French.
    is_hungarian = bool(letters & set("õû")) and not letters & set("ãçèêà")
    return letters <= _WESTERN and not is_hungarian
