import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.grounding.evidence import list_candidates
from assistant.grounding.gates import capitalised, closed_gates, holds_year, read_named
from assistant.language.questions import read_question
from indexes.records import Hit, Passage

PRICES = "item,hut,price\nSauna,Mirrin,9.00\nDormitory,Lindarn,16.00"
PROSE = "The drone may fly up to 120 metres high, not in wind above 40 kilometres per hour. It is kept in Varenz."


def gates(question: str, text: str, *, unit: int = 0, header: str = "", heading: tuple[str, ...] = ()) -> list[str]:
    passage = Passage("p", "d", 0, text, heading, header, "table" if header else "text", 0, len(text), None, None)
    candidate = list_candidates([Hit(passage, "docs/a.md", "/docs/a.md", "index", 1, 1.0, 0.5, 2.0)])[unit]
    return closed_gates(read_question(question, {}), read_named(question, {}), candidate)


def test_a_row_about_another_name_is_closed() -> None:
    header, _, rows = PRICES.partition("\n")
    assert gates("What does the sauna at Lindarn cost?", rows, header=header) == ["lindarn isn't named there"]
    assert gates("What does the sauna at Mirrin cost?", rows, header=header) == []


def test_what_replaces_a_sentence_about_another_must_speak_of_the_same_thing() -> None:
    from assistant.grounding.gates import subject

    question = read_question("What does the sauna at Lindarn cost?", {})
    text = "The sauna is at Mirrin. The camp at Lindarn costs 210 euros."
    sauna, camp = (Passage(f"p{n}", "d", n, t, (), "", "text", 0, len(t), None, None) for n, t in enumerate(text.split(". ")))
    found = list_candidates([Hit(p, "a.md", "/a.md", "i", n, 1.0, 0.5, 2.0) for n, p in enumerate((sauna, camp), 1)])
    assert [subject(question, candidate) for candidate in found] == [frozenset({"sauna"}), frozenset()]


def test_a_name_may_stand_in_the_heading_or_the_rest_of_the_paragraph() -> None:
    assert gates("How many places has Mirrin got?", "There are 26 places.", heading=("Mirrin Hut",)) == []
    assert gates("How many places has Mirrin got?", "There are 26 places. Mirrin lies by the lake.") == []
    assert gates("How many places has Ostrel got?", "There are 26 places.") == ["ostrel isn't named there"]


def test_a_numbered_name_needs_its_number() -> None:
    text = "Corvessa 2 has five seats and a winch, 5 in all."
    assert gates("How many seats does Corvessa 5 have?", text) == ["Corvessa 5 isn't named there"]
    assert gates("How many seats does Corvessa 2 have?", text) == []


@pytest.mark.parametrize(
    ("question", "closed"),
    [
        ("How long can the drone fly?", True),  # "per hour" is no length of time
        ("How high may the drone fly?", False),
        ("How much does the drone cost?", True),
        ("What is the phone number for the drone?", True),
        ("Where is the drone kept?", False),
    ],
)
def test_the_kind_that_is_asked_for_must_be_there(question: str, closed: bool) -> None:
    assert bool(gates(question, PROSE)) is closed


@pytest.mark.parametrize(
    ("text", "year", "holds"),
    [
        ("In office 1958–1979", 1965, True),
        ("In office 1958–79", 1980, False),
        ("2022 to 2025: 60, from 2026: 68", 2019, False),
        ("2022 to 2025: 60, from 2026: 68", 2027, True),
        ("in office since 2017", 2020, True),
        ("in office since 2017", 2010, False),
        ("until 30 April 2025 seven days", 2024, True),
        ("the 2019 fee", 2019, True),
        ("built 1931–today", 2026, True),
        ("nothing of the kind", 2019, False),
    ],
)
def test_a_year_is_held_by_itself_or_by_a_span(text: str, year: int, holds: bool) -> None:
    assert holds_year(text, year) is holds


@given(st.integers(1000, 2099), st.integers(0, 80), st.integers(1000, 2099))
def test_a_span_holds_exactly_its_years(first: int, length: int, year: int) -> None:
    last = min(first + length, 2099)
    assert holds_year(f"{first}–{last}", year) is (first <= year <= last)


def test_names_are_capitalised_words_that_are_neither_first_nor_acronyms_nor_dates() -> None:
    assert capitalised("Does the UV lamp at Mirrin work in October for Ada Brandt?") == ["mirrin", "ada", "brandt"]
    assert capitalised("Mirrin opening hours") == []


def test_a_name_that_most_passages_hold_is_not_asked_for() -> None:
    named = read_named("Who leads the board of Corvessa in 2026?", {"corvessa": 0.5})
    assert (named.names, named.years, named.numbered) == ((), ("2026",), ())
    assert read_named("Who leads Corvessa?", {"corvessa": 0.01}).names == ("corvessa",)
