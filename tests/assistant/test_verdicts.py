"""Is a sentence in other words supported? Each case is one that word overlap alone would get wrong."""

from collections.abc import Sequence

import pytest
from fakes import CountingEmbedder

from assistant.checking.verdicts import FEATURES, Sources, judge, load_fitted
from indexes.records import Hit, Passage


def hit(text: str, rank: int = 1, heading: str = "Guide") -> Hit:
    passage = Passage(f"p{rank}", "d", 0, text, (heading,), "", "text", 0, len(text), None, None)
    return Hit(passage, f"guide{rank}.md", "/guide.md", "i", rank, 1.0, 0.5, 2.0)


HITS = [
    hit(
        "Captain Anna Berg lent Bert Olsen the boat in 1998. He brought it back after 12 days. "
        "The harbour lies 300 km north of Dorn and opens before sunrise. Guests may not enter the boathouse."
    ),
    hit("The Dorn mill was built by Carl Lund in 1871. It holds more than 40 tonnes of grain.", 2),
    hit("The chapel, which has 90 seats, was painted white by Eva Holt in 1902.", 3),
]


def verdict(sentence: str, cited: Sequence[int] = (0,)) -> str:
    return judge(sentence, cited, Sources(HITS), CountingEmbedder().embed, is_cited=bool(cited)).verdict


@pytest.mark.parametrize(
    "sentence",
    [
        "In 1998 Bert Olsen was lent the boat by Anna Berg.",
        "Bert Olsen got the boat from Anna Berg, who lent it in 1998.",
        "The boat was brought back after twelve days.",
        "The harbour opens before sunrise and lies 300 kilometres to the north of Dorn.",
        "Guests are not permitted to enter the boathouse.",
        'The guide says: "Guests may not enter the boathouse."',
    ],
)
def test_other_words_for_the_same_fact_are_supported(sentence: str) -> None:
    assert verdict(sentence) == "supported"


@pytest.mark.parametrize(
    "sentence",
    [
        "In 1997 Bert Olsen was lent the boat by Anna Berg.",  # number
        "The boat was brought back after twelve weeks.",  # unit
        "The harbour lies 300 miles north of Dorn.",  # unit
        "In 1998 Bert Olsen was lent the boat by Carl Lund.",  # name, of another passage
        "Captain Anna Olsen lent Bert Berg the boat in 1998.",  # names of the same sentence, in each other's place
        "Bert Olsen lent Captain Anna Berg the boat in 1998.",  # roles
        "Guests may enter the boathouse.",  # negation left out
        "The harbour does not open before sunrise.",  # negation put in
        "The harbour opens after sunrise.",  # direction
        "The harbour lies 300 km south of Dorn.",
        'The guide says: "Guests must never enter the boathouse."',  # quote
        "The harbour lies north of Dorn because of the old railway line.",  # half of it is nowhere
    ],
)
def test_one_wrong_fact_is_enough(sentence: str) -> None:
    assert verdict(sentence) != "supported"


def test_a_number_may_not_be_borrowed_from_the_sentence_beside() -> None:
    assert verdict("The harbour opened in 1998 before sunrise.") != "supported"


def test_a_bound_is_part_of_a_number() -> None:
    assert verdict("The mill holds over 40 tonnes of grain.", [1]) == "supported"
    assert verdict("The mill holds fewer than 40 tonnes of grain.", [1]) != "supported"


def test_the_right_sentence_with_the_wrong_passage_is_misattributed() -> None:
    assert verdict("Carl Lund built the Dorn mill in 1871.", [0]) == "misattributed"
    assert verdict("Carl Lund built the Dorn mill in 1871.", []) == "supported"


def test_parts_that_stand_apart_are_stitched() -> None:
    assert verdict("The Dorn mill was painted white by Eva Holt.", [1]) == "stitched"


def test_what_stands_nowhere_is_not_found() -> None:
    assert verdict("Penguins sleep on warm stones.", [1]) == "not_found"


def test_two_statements_may_come_from_the_two_passages_they_cite() -> None:
    sentence = "Carl Lund built the Dorn mill in 1871, and the chapel has 90 seats."
    assert verdict(sentence, [1, 2]) == "supported"
    assert verdict(sentence, [1]) != "supported"


def test_the_ground_is_as_narrow_as_it_can_be() -> None:
    found = judge("Anna Berg lent Bert Olsen the boat in 1998.", [0], Sources(HITS), CountingEmbedder().embed, is_cited=True)
    (ground,) = found.grounds
    assert HITS[0].passage.text[slice(*ground.span)] == "Captain Anna Berg lent Bert Olsen the boat in 1998."


def test_a_fault_says_what_is_wrong() -> None:
    found = judge("The boat was lent in 1997.", [0], Sources(HITS), CountingEmbedder().embed, is_cited=True)
    assert "number '1997'" in found.faults


def test_nothing_is_embedded_where_words_decide() -> None:
    embedder = CountingEmbedder()
    judge("In 1998 Bert Olsen was lent the boat by Anna Berg.", [0], Sources(HITS), embedder.embed, is_cited=True)
    judge("In 1997 Bert Olsen was lent the boat by Anna Berg.", [0], Sources(HITS), embedder.embed, is_cited=True)
    assert embedder.texts == []


def test_the_fitted_numbers_fit_the_features() -> None:
    assert load_fitted().supported.names == FEATURES


@pytest.mark.parametrize("sentence", ["", "…", "?!", "x" * 5000, "1 " * 300, "\u0000 \ud7ff", "“”"])
def test_odd_sentences_get_a_verdict(sentence: str) -> None:
    assert verdict(sentence) in ("supported", "not_found", "stitched", "misattributed")
