"""Splitting passages into units: exact spans, readable texts."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.language.sentences import plain_text, render_row, sentence_spans, split_units
from indexes.records import Passage


def passage(text, *, kind="text", header="", heading=("Guide",)):
    return Passage("p", "d", 0, text, heading, header, kind, 0, len(text), None, None)


def texts(text, **kwargs):
    return [unit.text for unit in split_units(passage(text, **kwargs)) if unit.kind != "heading"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Smith met J. Doe at 5 p.m. They left.", ["Dr. Smith met J. Doe at 5 p.m.", "They left."]),
        ("See e.g. Fig. 3 for this. It costs 3.50 euros.", ["See e.g. Fig. 3 for this.", "It costs 3.50 euros."]),
        ('What?! "Yes." He left.', ["What?!", '"Yes."', "He left."]),
        ("The rope is long\nand red. It is\nchecked in May.", ["The rope is long and red.", "It is checked in May."]),
        ("Use v1.2.3 of config.py here. Then stop.", ["Use v1.2.3 of config.py here.", "Then stop."]),
        ("(The lamp is off.) Nobody drinks.", ["(The lamp is off.)", "Nobody drinks."]),
        ("水は高い。山は低い。", ["水は高い。", "山は低い。"]),
        ("no full stop at all", ["no full stop at all"]),
    ],
)
def test_prose_is_cut_where_sentences_end(text, sentences):
    assert texts(text) == sentences


def test_headings_are_no_sentences_and_lead_what_follows():
    units = split_units(passage("# Setup\n\nRun it.\n\nPAYING\nPut money in."))
    assert [(unit.kind, unit.text, unit.lead) for unit in units] == [
        ("heading", "Setup", "Setup"),
        ("sentence", "Run it.", "Setup"),
        ("heading", "PAYING", "PAYING"),
        ("sentence", "Put money in.", "PAYING"),
    ]


def test_list_items_stay_whole_and_know_the_line_before_them():
    units = split_units(passage("Bring these:\n\n- a rope. It is red.\n- two\n  axes\n1. last"))
    assert [unit.text for unit in units] == ["Bring these:", "a rope. It is red.", "two axes", "last"]
    assert [unit.lead for unit in units[1:]] == ["Bring these:"] * 3


def test_a_glossary_entry_reads_term_first():
    units = split_units(passage("Lamp oil\n    A small fund. It is monthly.\n"))
    assert [unit.text for unit in units] == ["Lamp oil: A small fund.", "It is monthly."]
    assert units[0].lead == "Lamp oil"


def test_markup_is_taken_off_the_text_and_kept_in_the_quote():
    text = "Pay **5 euros** at [the office](https://x.example), see `make chat` and *now*."
    (unit,) = split_units(passage(text))
    assert unit.text == "Pay 5 euros at the office, see make chat and now."
    assert text[unit.start : unit.end] == text


def test_names_with_underscores_and_stars_survive():
    assert plain_text("set keep_full_days and 2 * 3 * 4 in __init__.py") == "set keep_full_days and 2 * 3 * 4 in __init__.py"


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("item,price,time", "Sauna,12 EUR,2 h"),
        ("item;price;time", "Sauna;12 EUR;2 h"),
        ("item\tprice\ttime", "Sauna\t12 EUR\t2 h"),
        ("| item | price | time |\n|---|---|---|", "| Sauna | 12 EUR | 2 h |"),
    ],
)
def test_a_row_is_told_with_its_column_names(header, row):
    assert texts(row, kind="table", header=header) == ["Sauna: price 12 EUR, time 2 h"]


def test_empty_cells_are_left_out_and_odd_rows_still_read():
    assert render_row(["item", "price", "note"], ["Sauna", "", "warm"]) == "Sauna: note warm"
    assert render_row(["item"], ["Sauna", "12"]) == "Sauna, 12"


def test_a_quoted_cell_may_hold_a_line_feed():
    text = 'Sauna,"warm,\nnice"\nPool,cold'
    assert texts(text, kind="table", header="item,note") == ["Sauna: note warm, nice", "Pool: note cold"]


def test_a_table_inside_prose_is_cut_into_rows():
    text = "Prices:\n\n| Item | Fee |\n|---|---|\n| Axe | 6 |\n| Tent | 12 |\n\nThat is all."
    assert texts(text) == ["Prices:", "Axe: Fee 6", "Tent: Fee 12", "That is all."]


def test_settings_are_units_under_their_section():
    units = split_units(passage("[hut]\nheight = 3\n\n; note\nlink = cable", kind="code"))
    assert [(unit.text, unit.lead) for unit in units if unit.kind == "code"] == [
        ("height = 3", "hut"),
        ("; note", "hut"),
        ("link = cable", "hut"),
    ]


prose = st.text(st.sampled_from("ab AB.!?\n,;:()\"'*_`#-|1é。 "), max_size=200)


@settings(max_examples=300, deadline=None)
@given(prose)
def test_sentences_are_ordered_disjoint_and_lose_nothing(text):
    spans = sentence_spans(text)
    assert all(a < b for a, b in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    covered = set().union(*[range(a, b) for a, b in spans], set())
    assert all(text[i].isspace() for i in range(len(text)) if i not in covered)


@settings(max_examples=300, deadline=None)
@given(prose, st.sampled_from(["text", "code", "table"]))
def test_units_are_ordered_disjoint_and_hold_every_word(text, kind):
    units = split_units(passage(text, kind=kind))
    assert all(0 <= unit.start < unit.end <= len(text) for unit in units)
    assert all(a.end <= b.start for a, b in pairwise(units))
    if kind != "table":
        covered = set().union(*[range(unit.start, unit.end) for unit in units], set())
        lost = "".join(text[i] if i not in covered else " " for i in range(len(text)))
        # What a unit leaves out is a list's mark: a bullet, "1." or "a)".
        assert all(len(word) <= 4 or not any(c.isalnum() for c in word) for word in lost.split())


def test_on_a_laid_out_page_a_line_that_is_not_filled_ends_a_unit():
    page = (
        "The table is binding for courses. On missions the incident leader may go beyond\n"
        "it, with a reason.\n"
        "Level Steepest slope\n"
        "1 low 40 degrees\n"
        "3 considerable 30 degrees\n"
        "The steepness that counts is that of the steepest part within 40 metres of the\n"
        "track."
    )
    passage = Passage("p", "d", 0, page, (), "", "text", 0, len(page), 1, None)
    assert [unit.text for unit in split_units(passage)] == [
        "The table is binding for courses.",
        "On missions the incident leader may go beyond it, with a reason.",
        "Level Steepest slope",
        "1 low 40 degrees",
        "3 considerable 30 degrees",
        "The steepness that counts is that of the steepest part within 40 metres of the track.",
    ]
