"""Bytes → text: encodings, control characters, and what is not text."""

import codecs
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.decoding import clean, decode, is_text
from indexes.errors import UnreadableFile

_PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]), min_size=1)
_MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("encoding", _MARKS)
@given(text=_PRINTABLE)
def test_a_marked_text_is_read_back(encoding: str, text: str) -> None:
    assert decode(_MARKS[encoding] + text.encode(encoding)) == text


@given(text=_PRINTABLE)
def test_unmarked_utf8_is_read_back(text: str) -> None:
    assert decode(("x" + text).encode()) == "x" + text  # a text may itself begin with a mark


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ["hello world", "שלום עולם, זה מסמך", "这是一个文档 ok, 第二", "Привет, мир\n"])
def test_unmarked_wide_text_is_recognised(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Der Bär läuft über die Straße."),
        ("cp1252", "El niño comió piñas en “mañana” – 5 €"),
        ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy."),
        ("cp1250", "Árvíztűrő tükörfúrógép, ő is jó"),
        ("cp1251", "Съешь же ещё этих мягких французских булок."),
        ("cp1251", "просто текст на русском языке"),
        ("koi8_r", "Съешь же ещё этих мягких французских булок."),
        ("cp1253", "Καλημέρα κόσμε, αυτό είναι ένα έγγραφο."),
        ("iso8859_8", 'דו"ח שנתי 2020: שלום עולם'),
        ("cp932", "これは日本語の文書です。東京は日本の首都です。"),
        ("gb18030", "这是一个中文文档，北京是中国的首都。"),
    ],
)
def test_old_code_pages_are_told_apart(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding)) == text


def test_a_long_text_is_judged_by_its_lines_that_are_not_ascii() -> None:
    data = b"plain line\n" * 50_000 + "Straße über Brücken\n".encode("cp1252")
    assert decode(data).endswith("Straße über Brücken\n")


def test_utf8_with_one_bad_byte_stays_utf8() -> None:
    data = ("Größe, Maß, schön – " * 20).encode() + b"\xff!"
    assert decode(data) == "Größe, Maß, schön – " * 20 + "\ufffd!"


def test_a_declaration_decides_between_code_pages_but_not_against_utf8() -> None:
    assert decode("дом".encode("cp1251"), declared="windows-1251") == "дом"
    assert decode("дом".encode(), declared="windows-1251") == "дом"
    assert decode(b"5 \x80", declared="iso-8859-1") == "5 €"  # as browsers read that label
    assert decode("日本".encode("iso2022_jp"), declared="iso-2022-jp") == "日本"


@pytest.mark.parametrize("declared", ["nonsense", "zip", "rot13", "utf-16", ""])
def test_a_false_declaration_is_not_believed(declared: str) -> None:
    assert decode("Bär über Straße".encode("cp1252"), declared=declared) == "Bär über Straße"


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF\x02\x01\x01\0\0\0\0\0",
        b"text\0with a zero",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        bytes(random.Random(7).randbytes(4096)),
    ],
)
def test_binary_is_not_text(data: bytes) -> None:
    assert not is_text(data)
    with pytest.raises(UnreadableFile, match="binary, not text"):
        decode(data)


def test_text_that_is_cut_within_a_character_is_text() -> None:
    assert is_text("שלום".encode()[:-1])
    assert is_text("hello wörld".encode("utf-16-le")[:-1])
    assert is_text(b"\x1b[31mred\x1b[0m")


def test_newlines_become_one_kind_and_lines_stay() -> None:
    assert clean("a\r\nb\rc\nd\x0be\x0cf\x85g\u2028h") == "a\nb\nc\nd e f g h"


def test_no_terminal_sequence_gets_through() -> None:
    assert clean("\x1b[2J\x1b]0;owned\x07red\x1b[31;1m!\x9b5m\x1b]8;;http://x\x1b\\link") == "red!link"
    assert clean("a\0b\x08c\x1bd\x7fe\x9df") == "abcdef"


def test_what_shows_text_in_another_order_or_not_at_all_is_removed() -> None:
    assert clean("a\u202eb\u2066c\u2069d in\u00adfor\ufeffmation") == "abcd information"


def test_joiners_of_scripts_and_emoji_stay() -> None:
    assert clean("க்‌ஷ 👩‍🚀 שלום\u200f\t") == "க்‌ஷ 👩‍🚀 שלום\u200f\t"


@given(text=st.text())
def test_clean_text_is_printable_and_keeps_its_lines(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert cleaned.count("\n") == text.replace("\r\n", "\n").replace("\r", "\n").count("\n")
    assert not any((ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 for c in cleaned)
    assert clean(cleaned) == cleaned
