import re
import time
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
    assert found[-1].heading == ("inner",)


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


@pytest.mark.parametrize("max_tokens", [62, 126])
def test_title_and_header_leave_half_of_a_small_limit_to_the_text(max_tokens: int) -> None:
    table = "|" + " c |" * 60 + "\n|" + "-|" * 60 + "\n" + ("|" + " v |" * 60 + "\n") * 4
    found = passages("# " + "title " * 60 + "\n\n" + table, max_tokens=max_tokens)
    assert sum(p.text.count("v") for p in found) == 240
    assert all(len(word_spans(p.embedded_text)) <= max_tokens for p in found)


def test_tokens_at_the_same_place_do_not_stop_the_cutting() -> None:
    def byte_spans(text: str) -> list[tuple[int, int]]:
        return [(at, at + 1) for at, sign in enumerate(text) for _ in sign.encode()]

    found = split(Document("a.txt", "😀" * 9, "plain"), "doc", byte_spans, SplitSettings(max_tokens=8, target_tokens=6))
    assert [p.text for p in found] == ["😀"] * 9
    found = split(Document("a.txt", "😀" * 3, "plain"), "doc", byte_spans, SplitSettings(max_tokens=5, target_tokens=3))
    assert [p.text for p in found] == ["😀"] * 3


@pytest.mark.parametrize(
    "text",
    [
        "#" + " " * 50_000 + "x" + " " * 50_000 + "y",
        "a|b\n" + " " * 50_000 + "x|-",
        "a|b\n|" + "- " * 50_000 + "x",
    ],
)
def test_an_odd_line_takes_no_quadratic_time(text: str) -> None:
    begin = time.process_time()
    assert passages(text)
    assert time.process_time() - begin < 1  # was minutes


@pytest.mark.parametrize(
    ("line", "heading"),
    [("# a #b # ##", "a #b #"), ("## C#", "C#"), ("### #", ""), ("#", ""), ("   ###### a\t##", "a")],
)
def test_closing_hashes_are_no_part_of_a_heading(line: str, heading: str) -> None:
    assert passages(line + "\n\nbody")[0].heading == (heading,)


@pytest.mark.parametrize("line", ["####### a", "#a", "    # a"])
def test_what_is_no_heading(line: str) -> None:
    assert passages(line + "\n\nbody")[0].heading == ()


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("## a very long name of an option\n\nyes\n\n" * 40, "markdown"),
        ("a,b\n" + ("1,x\n" + ",,,\n" * 30) * 20, "csv"),
        ("| a | b |\n|---|---|\n| 1 | r |\n\n" * 40, "markdown"),
    ],
)
def test_what_lies_between_two_blocks_is_never_swallowed(text: str, markup: Markup) -> None:
    found = passages(text, markup, max_tokens=60, target_tokens=40)
    assert max(len(word_spans(p.embedded_text)) for p in found) <= 60


@pytest.mark.parametrize(
    "text", ["the key is " + "0123456789abcdef" * 4000, "ก" * 90 + (" " + "ก" * 90) * 400, "a" + " " * 60_000 + "b"]
)
def test_a_run_that_the_tokenizer_takes_for_one_word_makes_no_giant_passage(text: str) -> None:
    found = passages(text, "plain")
    assert max(len(p.text) for p in found) <= 2000
    assert "".join("".join(p.text for p in found).split()) == "".join(text.split())


def test_signs_that_are_no_tokens_make_no_giant_passage() -> None:
    text = "\u200b" * 20_000 + " b"
    found = split(Document("a.txt", text, "plain"), "doc", lambda text: [], SplitSettings())
    assert max(len(p.text) for p in found) <= 2000


@pytest.mark.parametrize("markup", ["plain", "code", "csv"])
def test_words_of_many_tokens_stay_whole(markup: Markup) -> None:
    def syllables(text: str) -> list[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\w{1,3}", text)]

    text = "pharmacokinetic immunoglobulin electroencephalography " * 40
    found = split(Document("a", text, markup), "doc", syllables, SplitSettings(max_tokens=50, target_tokens=40))
    assert len(found) > 5
    assert {word for p in found for word in p.text.split()} == set(text.split())


@pytest.mark.parametrize("markup", ["markdown", "rst"])
def test_nothing_of_a_long_heading_is_lost(markup: Markup) -> None:
    title = "word " * 400 + "tailmarker"
    found = passages(f"# {title}\n\nbody\n" if markup == "markdown" else f"{title}\n{'=' * 2100}\n\nbody\n", markup)
    assert found[-2].text.endswith("tailmarker")
    assert (found[-1].text, len(found[-1].title_line.split())) == ("body", 48)


def test_nothing_of_a_wide_table_header_is_lost() -> None:
    names = "| " + " | ".join(f"column{n}" for n in range(100)) + " |"
    table = names + "\n|" + "---|" * 100 + "\n" + ("|" + " v |" * 100 + "\n") * 2
    found = passages("# T\n\n" + table)
    own = [p for p in found if not p.header]
    assert " ".join(p.text for p in own) == names.removesuffix(" |")
    assert {(p.kind, p.heading) for p in own} == {("table", ("T",))}
    assert not [p for p in passages("| a | b |\n|" + "---|" * 40 + "\n| 1 | 2 |\n") if not p.header]  # only the rule is cut


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_cell_of_many_lines_stays_whole_with_any_delimiter(delimiter: str) -> None:
    text = '"id, no";note;x\n1;"first\nsecond";y\n2;"a\nb";z\n'.replace(";", delimiter)
    rows = [p.text for p in passages(text, "csv", target_tokens=1)]
    assert rows == [row.replace(";", delimiter) for row in ('1;"first\nsecond";y', '2;"a\nb";z')]


def test_a_cut_piece_of_code_keeps_its_indentation() -> None:
    code = "def f():\n" + "".join(f"    x{n} = compute({n})\n" for n in range(60))
    found = passages(code, "code", target_tokens=50)
    assert "\n".join(p.text for p in found) == code.rstrip()


def test_a_table_directly_below_a_paragraph() -> None:
    found = passages("Prices:\n| a | b |\n|---|:-:|\n| 1 | 2 |\n")
    assert [(p.kind, p.header, p.text) for p in found] == [
        ("text", "", "Prices:"),
        ("table", "| a | b |\n|---|:-:|", "| 1 | 2 |"),
    ]


def test_a_hash_inside_a_comment_is_no_heading() -> None:
    assert {p.heading for p in passages("# A\n\ntext\n<!--\n# hidden\n\n# too\n-->\nmore\n")} == {("A",)}


def test_a_setext_heading_may_have_many_lines_and_its_body_follow_at_once() -> None:
    found = passages("One\ntwo\n---\nbody\n\n---\n\n- item\n---\nend\n")
    assert [(p.heading, p.text) for p in found] == [(("One two",), "body\n\n---\n\n- item\n---\nend")]


@pytest.mark.parametrize("markup", MARKUPS)
@given(text=st.text(alphabet=st.sampled_from('ab .!?\n\t#=-|`,;"*1é漢'), max_size=400), size=st.integers(4, 30))
def test_passages_are_literal_in_order_and_lose_no_letter(markup: Markup, text: str, size: int) -> None:
    found = passages(text, markup, max_tokens=size + 12, target_tokens=size, title_tokens=4, header_tokens=4)
    assert all(text[p.start : p.end] == p.text and p.text.strip() for p in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert all(len(word_spans(p.embedded_text)) <= size + 12 for p in found if p.heading == () or p.kind != "text")
    if markup in ("plain", "code"):
        assert re.sub(r"\s", "", "".join(p.text for p in found)) == re.sub(r"\s", "", text)
