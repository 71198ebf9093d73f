"""What a model says in its own words: kept where a passage says the same, and taken apart where it doesn't."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from fakes import a_hit

from assistant.citations import Verified, verify
from indexes.embedding import OnnxEmbedder
from indexes.export import load_embedder

HUT = (
    "Mirrin Hut was opened in 1931 by Ada Brandt and sleeps 24 guests. The walk from Varenz takes 3 hours and climbs 850 metres. "
    'Dogs are not allowed in the dormitories. The warden said: "Whoever comes last shuts the door." '
    "A night costs members 21.50 euros."
)
BOAT = "The rowing boat may be borrowed by members from May to October. Runa Hestad keeps its key in the office at Dorn."
HITS = (a_hit(1, source="huts.md", text=HUT), a_hit(2, source="boats.md", text=BOAT))


@pytest.fixture(scope="module")
def embedder(exported_models: Path) -> OnnxEmbedder:
    return load_embedder("all-MiniLM-L6-v2", exported_models)


def checked(embedder: OnnxEmbedder, answer: str, *, strict: bool = False) -> Verified:
    return verify(answer, HITS, strict=strict, embed=embedder.embed)


def verdicts(verified: Verified) -> Sequence[str]:
    return [sentence.verdict for sentence in verified.sentences]


@pytest.mark.parametrize(
    "answer",
    [
        "Ada Brandt opened Mirrin Hut in 1931. [1]",
        "There is room for 24 guests at Mirrin Hut. [1]",
        "You need three hours to walk there from Varenz. [1]",
        "Members pay 21.50 euros for a night. [1]",
        "You may not take dogs into the dormitories. [1]",
        'The warden said that "whoever comes last shuts the door". [1]',
        "From May to October members can borrow the rowing boat. [2]",
        "The key of the boat is kept by Runa Hestad at the Dorn office. [2]",
    ],
)
def test_a_true_sentence_in_other_words_keeps_its_citation(embedder: OnnxEmbedder, answer: str) -> None:
    verified = checked(embedder, answer)
    assert verdicts(verified) == ["supported"]
    (citation,) = verified.citations
    assert citation.quote in (HUT if "[1]" in answer else BOAT)


@pytest.mark.parametrize(
    "answer",
    [
        "Ada Brandt opened Mirrin Hut in 1913. [1]",  # wrong number
        "Mirrin Hut sleeps 42 guests. [1]",
        "The walk from Varenz takes 3 days. [1]",  # wrong unit
        "The walk climbs 850 feet. [1]",
        "Olena Varga opened Mirrin Hut in 1931. [1]",  # wrong name
        "The key of the boat is kept by Ada Brandt at the Dorn office. [2]",
        "Dogs are allowed in the dormitories. [1]",  # negation
        'The warden said: "Whoever comes first opens the door." [1]',  # invented quote
        "Mirrin Hut has a sauna and a swimming pool. [1]",  # invented
    ],
)
def test_a_false_sentence_loses_its_marker(embedder: OnnxEmbedder, answer: str) -> None:
    verified = checked(embedder, answer)
    assert "supported" not in verdicts(verified)
    assert (verified.citations, "[" in verified.text) == ([], False)


def test_the_right_sentence_under_the_wrong_passage_is_misattributed(embedder: OnnxEmbedder) -> None:
    assert verdicts(checked(embedder, "Ada Brandt opened Mirrin Hut in 1931. [2]")) == ["misattributed"]


def test_a_sentence_without_a_marker_gets_the_one_it_lacks(embedder: OnnxEmbedder) -> None:
    verified = checked(embedder, "Ada Brandt opened Mirrin Hut in 1931.")
    assert verified.text == "Ada Brandt opened Mirrin Hut in 1931. [1]"


def test_strict_leaves_the_false_one_out_and_the_true_one_in(embedder: OnnxEmbedder) -> None:
    answer = "Members pay 21.50 euros for a night. [1] Guests pay 80 euros. [1]"
    assert checked(embedder, answer, strict=True).text == "Members pay 21.50 euros for a night. [1]"


def test_a_marker_that_points_nowhere_is_taken_off(embedder: OnnxEmbedder) -> None:
    verified = checked(embedder, "Members pay 21.50 euros for a night. [1] [9]")
    assert verified.text == "Members pay 21.50 euros for a night. [1]"


def test_words_that_stand_there_are_never_embedded() -> None:
    def embed(texts: Sequence[str]) -> object:
        raise AssertionError(f"embedded {texts}")

    verified = verify("A night costs members 21.50 euros. [1]", HITS, embed=embed)  # type: ignore[arg-type]
    assert verdicts(verified) == ["supported"]
