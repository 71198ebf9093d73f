"""What a sentence claims: two wordings of one fact get the same keys."""

import pytest

from assistant.checking.claims import normal_quote, read_claim, without_attribution


def number(text: str) -> set[str]:
    (found,) = read_claim(text).numbers
    return {f"{key} {found.unit}".strip() for key in found.keys}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It has 1,200 beds.", "It has 1200 beds."),
        ("It has 12 beds.", "It has twelve beds."),
        ("It has 121 beds.", "It has a hundred and twenty-one beds, or one hundred and twenty-one beds."[23:]),
        ("It has 3.5 million beds.", "It has 3,500,000 beds."),
        ("30 % of them", "30 percent of them"),
        ("half of them are 300 km away"[16:], "300 kilometres away"),
        ("It opens at 9 pm.", "It opens at 21:00."),
        ("It opens at 5 in the afternoon.", "It opens at 5 p.m."),
        ("in the 11th century", "in the eleventh century"),
        ("It cost $5.", "It cost 5 dollars."),
        ("−5 °C outside", "-5 °C outside"),
        ("Richard II fled.", "Richard the Second fled."),
    ],
)
def test_numbers_have_one_normal_form(one: str, other: str) -> None:
    assert number(one) & number(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("300 km away", "300 miles away"),
        ("2 million", "2 billion"),
        ("9 am", "9 pm"),
        ("15 m high", "15 ft high"),
        ("-5 °C", "5 °C"),
    ],
)
def test_other_numbers_and_units_stay_apart(one: str, other: str) -> None:
    assert not number(one) & number(other)


def test_a_range_has_one_unit_and_a_date_three_facts() -> None:
    assert [(token.text, token.unit) for token in read_claim("It is 10 to 25 m high.").numbers] == [("10", "m"), ("25", "m")]
    written, iso = (read_claim(text).content for text in ("14 October 1066", "1066-10-14"))
    assert {key for token in written for key in token.keys} == {key for token in iso for key in token.keys}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("The warden met Anna in Dorn.", ["Anna", "Dorn"]),
        ("Run it with --fresh and foo_bar.", ["--fresh", "foo_bar"]),
        ("In May the King of France came.", ["May", "France"]),
        ("They may come.", []),
    ],
)
def test_names_and_identifiers_are_told_from_words(text: str, names: list[str]) -> None:
    assert [token.text for token in read_claim(text).content if token.kind == "name"] == names


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("Guests may not smoke in the hall.", ["smoke", "hall"]),
        ("Nobody smokes.", ["smokes"]),
        ("Not only guests smoke.", []),
        ("Entry costs nothing.", ["costs"]),
        ("They can't leave until dawn.", []),
    ],
)
def test_a_negation_reaches_the_words_after_it(text: str, denied: list[str]) -> None:
    assert [token.text for token in read_claim(text).content if token.negated] == denied


def test_bounds_are_read_before_numbers() -> None:
    bounds = [read_claim(text).numbers[0].bound for text in ("more than 5 beds", "fewer than 5 beds", "at least 5", "about 5")]
    assert bounds == [">", "<", ">", ""]


def test_quotes_are_taken_out_in_one_form() -> None:
    claim = read_claim("It says: “don’t  run,” and 'keep calm'.")
    assert claim.quotes == ("don't run", "keep calm")
    assert normal_quote("„Halt!“") == "Halt"


def test_what_only_leads_in_is_no_claim() -> None:
    assert without_attribution("According to the guide, in summary, it rains.") == "it rains."
    assert without_attribution("The guide says it rains.") == "it rains."
