import html
import importlib.util
import json
import re
import sys
import zipfile
from collections import Counter
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest
from pypdf import PdfReader

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HANDBOOK = EXAMPLES / "handbook"
LINES = (EXAMPLES / "handbook-questions.jsonl").read_text("utf-8").splitlines()
QUESTIONS: list[dict[str, Any]] = [json.loads(line) for line in LINES]
ANSWERABLE = [question for question in QUESTIONS if not question["unanswerable"]]
UNANSWERABLE = [question for question in QUESTIONS if question["unanswerable"]]
ANSWERABLE_KINDS = {"fact", "table", "list", "procedure"}
WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def docx_text(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        body = ElementTree.fromstring(archive.read("word/document.xml"))
    return "\n".join("".join(run.text or "" for run in each.iter(f"{WORD}t")) for each in body.iter(f"{WORD}p"))


@cache
def text_of(path: Path) -> str:
    match path.suffix:
        case ".pdf":
            return plain("\n".join(page.extract_text() for page in PdfReader(path).pages))
        case ".docx":
            return plain(docx_text(path))
        case ".html":
            return plain(html.unescape(re.sub(r"<[^>]+>", " ", path.read_text("utf-8"))))
        case _:
            return plain(path.read_text("utf-8"))


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_handbook", EXAMPLES / "make_handbook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
        spec.loader.exec_module(module)
    return module


def files() -> set[str]:
    return {path.relative_to(HANDBOOK).as_posix() for path in HANDBOOK.rglob("*") if path.is_file()}


def test_there_are_enough_questions_of_each_sort() -> None:
    near_misses = sum(question["kind"] == "near_miss" for question in UNANSWERABLE)
    assert len(QUESTIONS) >= 120
    assert len(ANSWERABLE) >= 90
    assert len(UNANSWERABLE) >= 40
    assert abs(near_misses - len(UNANSWERABLE) / 2) <= 2


def test_kinds_agree_with_being_answerable() -> None:
    assert {question["kind"] for question in ANSWERABLE} == ANSWERABLE_KINDS
    assert {question["kind"] for question in UNANSWERABLE} == {"near_miss", "off_topic"}


def test_every_question_has_the_same_fields() -> None:
    names = ["id", "question", "sources", "answers", "unanswerable", "split", "kind"]
    assert all(list(question) == names for question in QUESTIONS)


def test_ids_and_questions_are_unique() -> None:
    assert len({question["id"] for question in QUESTIONS}) == len(QUESTIONS)
    assert len({plain(question["question"]) for question in QUESTIONS}) == len(QUESTIONS)


def test_each_kind_is_split_in_halves() -> None:
    counts = Counter((question["kind"], question["split"]) for question in QUESTIONS)
    assert {split for _, split in counts} == {"calibration", "test"}
    for kind in {kind for kind, _ in counts}:
        assert abs(counts[kind, "calibration"] - counts[kind, "test"]) <= 1


def test_each_file_is_asked_about_in_both_splits() -> None:
    asked = {(question["sources"][0], question["split"]) for question in ANSWERABLE}
    assert asked == {(source, split) for source in files() for split in ("calibration", "test")}


def test_unanswerable_questions_name_no_source_and_no_answer() -> None:
    assert not [question["id"] for question in UNANSWERABLE if question["sources"] or question["answers"]]


@pytest.mark.parametrize("question", ANSWERABLE, ids=lambda question: question["id"])
def test_every_answer_stands_in_a_source_and_every_source_holds_an_answer(question: dict[str, Any]) -> None:
    texts = [text_of(HANDBOOK / source) for source in question["sources"]]
    assert texts
    assert question["answers"]
    assert all(any(plain(answer) in text for text in texts) for answer in question["answers"])
    assert all(any(plain(answer) in text for answer in question["answers"]) for text in texts)


def test_no_question_copies_its_source() -> None:
    for question in ANSWERABLE:
        words = plain(question["question"]).strip("?.")
        assert not any(words in text_of(HANDBOOK / source) for source in question["sources"])


def test_the_handbook_has_every_format() -> None:
    counts = Counter(Path(name).suffix for name in files())
    assert all(counts[suffix] >= 2 for suffix in (".md", ".html", ".pdf", ".docx", ".csv", ".txt"))
    assert counts[".ini"] >= 1


def test_pdf_files_have_several_pages() -> None:
    assert all(len(PdfReader(path).pages) >= 2 for path in HANDBOOK.rglob("*.pdf"))


def test_generated_files_are_those_of_the_committed_handbook(tmp_path: Path) -> None:
    written = generator().write_handbook(tmp_path)
    expected = {name for name in files() if name.endswith((".pdf", ".docx"))}
    assert {path.relative_to(tmp_path).as_posix() for path in written} == expected
    for name in expected:
        assert text_of(tmp_path / name) == text_of(HANDBOOK / name)
        assert (tmp_path / name).read_bytes() == (HANDBOOK / name).read_bytes()
