import pytest

from assistant.citations import find_quote, marked_sentences, nearest, verify
from indexes.records import Hit, Passage


def hit(text: str, *, rank: int = 1, header: str = "", lines: tuple[int, int] | None = (10, 13)) -> Hit:
    kind = "table" if header else "text"
    passage = Passage(f"p{rank}", "d", 0, text, ("Guide",), header, kind, 0, len(text), None, lines)
    return Hit(passage, f"guide{rank}.md", f"/docs/guide{rank}.md", "index", rank, 1.0, 0.5, 2.0)


HITS = [
    hit("The pump holds 40 litres.\nIt is filled at the\nnorth gate every morning. Nobody may smoke."),
    hit("A guest pays 12 euros. A member pays **8 euros** a night.", rank=2),
]


def test_a_literal_sentence_is_supported_and_cited_with_its_own_lines() -> None:
    verified = verify("It is filled at the north gate every morning. [1]", HITS)
    assert [s.verdict for s in verified.sentences] == ["supported"]
    (citation,) = verified.citations
    assert citation.quote == "It is filled at the\nnorth gate every morning."
    assert (citation.lines, citation.source, citation.passage_id) == ((11, 12), "guide1.md", "p1")


def test_markers_are_numbered_in_the_order_of_first_use() -> None:
    verified = verify("A guest pays 12 euros. [2] Nobody may smoke. [1]", HITS)
    assert verified.text == "A guest pays 12 euros. [1] Nobody may smoke. [2]"
    assert [(c.marker, c.source) for c in verified.citations] == [(1, "guide2.md"), (2, "guide1.md")]


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("The pump holds 50 litres. [1]", "not_found"),  # another number
        ("The pump holds 40 litres. [2]", "misattributed"),  # stands in the other passage
        ("The pump holds 40 litres. [7]", "misattributed"),  # points nowhere
        ("The moon is made of cheese. [1]", "not_found"),
        ("The pump holds 40 litres.", "supported"),  # cites nothing: it gets the marker it lacks
        ("pump [1]", "supported"),
        ("pum [1]", "not_found"),  # no whole word
    ],
)
def test_what_does_not_stand_in_its_passage_loses_its_marker(answer: str, verdict: str) -> None:
    verified = verify(answer, HITS)
    assert [s.verdict for s in verified.sentences] == [verdict]
    assert bool(verified.citations) == (verdict == "supported")
    assert ("[" in verified.text) == (verdict == "supported")


def test_strict_leaves_unsupported_sentences_out() -> None:
    text = "The pump holds 40 litres. [1] The pump is green. [1]"
    assert verify(text, HITS, strict=True).text == "The pump holds 40 litres. [1]"
    assert [s.verdict for s in verify(text, HITS).sentences] == ["supported", "not_found"]


def test_markup_and_cut_ends_may_differ_but_nothing_else() -> None:
    assert find_quote("A member pays 8 euros …", HITS[1])
    assert not find_quote("A member pays 8 euro", HITS[1])


def test_a_table_row_is_quoted_as_it_stands_in_the_file() -> None:
    from assistant.language.sentences import split_units

    table = hit("Dormitory,16.00,30.00\nRoom,26.00,44.00", header="kind,member,guest", lines=(2, 3))
    told = split_units(table.passage)[1].text
    assert "guest" in told
    (citation,) = verify(f"{told} [1]", [table]).citations
    assert (citation.quote, citation.lines) == ("Room,26.00,44.00", (3, 3))


def test_the_same_quote_is_cited_once() -> None:
    verified = verify("Nobody may smoke. [1] Nobody may smoke. [1]", HITS)
    assert [c.marker for c in verified.citations] == [1]
    assert verified.text == "Nobody may smoke. [1] Nobody may smoke. [1]"


def test_marked_sentences_takes_an_answer_apart() -> None:
    assert marked_sentences("One. [1][2] Two, three. [3]\nFour") == [("One.", [1, 2]), ("Two, three.", [3]), ("Four", [])]
    assert marked_sentences("  ") == []


def test_nearest_passages_are_cited_whole_and_say_whether_they_are_stale() -> None:
    found = nearest(HITS, is_stale=lambda h: h.source == "guide2.md")
    assert [(c.marker, c.stale, c.lines) for c in found] == [(1, False, (10, 12)), (2, True, (10, 10))]
