import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.records import Document, Markup, Passage
from indexes.splitting import SplitSettings, passage_id, rehome, split

MARKUPS: list[Markup] = ["markdown", "rst", "plain", "code", "csv"]


def word_spans(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


def passages(text: str, markup: Markup = "markdown", title: str = "", **limits: int) -> list[Passage]:
    document = Document("a.md", text, markup, title=title, has_lines=True)
    return split(document, "doc", word_spans, SplitSettings(**limits))


def test_a_passage_carries_the_headings_above_it() -> None:
    found = passages("# Setup\n\nIntro.\n\n## Linux\n\nRun make.\n\n## Mac\n\nRun brew.\n")
    assert [(p.heading, p.text) for p in found] == [
        (("Setup",), "Intro."),
        (("Setup", "Linux"), "Run make."),
        (("Setup", "Mac"), "Run brew."),
    ]


def test_a_heading_with_nothing_below_is_still_found() -> None:
    assert [(p.heading, p.text) for p in passages("# A\n\n## B\n\ntext\n\n# C\n")] == [(("A", "B"), "text"), ((), "# C")]


def test_a_hash_inside_a_code_block_is_no_heading() -> None:
    found = passages("# Run\n\n```sh\n# not a heading\nmake\n```\n\nDone.")
    assert [(p.kind, p.heading) for p in found] == [("code", ("Run",)), ("text", ("Run",))]


def test_setext_and_front_matter() -> None:
    found = passages("---\ntitle: x\n---\nBig\n===\n\nbody\n")
    assert [(p.heading, p.text, p.lines) for p in found] == [(("Big",), "body", (7, 7))]


def test_rst_levels_follow_the_order_of_the_adornments() -> None:
    found = passages("Top\n===\n\nSub\n---\n\nbody::\n\n    code\n    more\n\nAgain\n-----\n\nend\n", "rst")
    assert [(p.heading, p.kind, p.text) for p in found] == [
        (("Top", "Sub"), "text", "body::"),
        (("Top", "Sub"), "code", "    code\n    more"),
        (("Top", "Again"), "text", "end"),
    ]


def test_table_rows_carry_their_header() -> None:
    rows = "".join(f"| item{n} | {n} |\n" for n in range(40))
    found = passages("# Prices\n\n| name | price |\n|---|---|\n" + rows, max_tokens=80, target_tokens=60)
    assert len(found) > 3
    assert {p.header for p in found} == {"| name | price |\n|---|---|"}
    assert {p.kind for p in found} == {"table"}


def test_a_csv_row_with_a_line_break_in_a_cell_stays_whole() -> None:
    found = passages('name,note\nAnna,"two\nlines"\nBen,x\n', "csv", target_tokens=6)
    assert [(p.header, p.text, p.lines) for p in found] == [
        ("name,note", 'Anna,"two\nlines"', (2, 3)),
        ("name,note", "Ben,x", (4, 4)),
    ]


def test_lines_are_those_of_the_file() -> None:
    found = passages("# T\n\none\ntwo\n\n\n# U\n\nthree\n")
    assert [p.lines for p in found] == [(3, 4), (9, 9)]


def test_a_passage_never_crosses_a_page() -> None:
    document = Document("a.pdf", "first page\n\nsecond page", "plain", page_starts=(0, 12))
    found = split(document, "doc", word_spans, SplitSettings())
    assert [(p.page, p.text, p.lines) for p in found] == [(1, "first page", None), (2, "second page", None)]


def test_long_prose_is_cut_at_sentence_ends() -> None:
    text = " ".join(f"Sentence number {n} ends here." for n in range(60))
    found = passages(text, "plain", target_tokens=50)
    assert len(found) > 5
    assert all(p.text.endswith(".") and p.text.startswith("Sentence") for p in found)


def test_small_neighbours_are_packed_together() -> None:
    text = "\n\n".join(f"Paragraph {n}." for n in range(10))
    assert len(passages(text, target_tokens=200)) == 1
    assert len(passages(text, target_tokens=9)) == 4  # three tokens each, three in a passage


def test_a_long_title_line_loses_its_outer_headings_first() -> None:
    found = passages("# " + "outer " * 30 + "\n\n## inner\n\nbody\n", title_tokens=20)
    assert found[0].heading == ("inner",)


def test_one_endless_word_line_is_split_and_complete() -> None:
    text = "x" * 500 + " " + "word " * 3000
    found = passages(text, "plain", max_tokens=50, target_tokens=40)
    assert "".join("".join(p.text for p in found).split()) == "".join(text.split())


def test_equal_paragraphs_have_different_ids_and_a_rename_changes_only_ids() -> None:
    found = passages("same\n\n" * 3, target_tokens=1)
    assert len({p.passage_id for p in found}) == 3
    moved = rehome(found, "other")
    assert [p.text for p in moved] == [p.text for p in found]
    assert moved[1].passage_id == passage_id("other", "same", 1) != found[1].passage_id


@pytest.mark.parametrize("markup", MARKUPS)
@given(text=st.text(alphabet=st.sampled_from('ab .!?\n\t#=-|`,;"*1é漢'), max_size=400), size=st.integers(4, 30))
def test_passages_are_literal_in_order_and_lose_no_letter(markup: Markup, text: str, size: int) -> None:
    found = passages(text, markup, max_tokens=size + 12, target_tokens=size, title_tokens=4, header_tokens=4)
    assert all(text[p.start : p.end] == p.text and p.text.strip() for p in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert all(len(word_spans(p.embedded_text)) <= size + 12 for p in found if p.heading == () or p.kind != "text")
    if markup in ("plain", "code"):
        assert re.sub(r"\s", "", "".join(p.text for p in found)) == re.sub(r"\s", "", text)
