"""The answer without a language model: which sentences, in what order, cut how."""

import pytest

from assistant.citations import verify
from assistant.language.questions import read_question
from assistant.language.sentences import split_units
from assistant.models.extractive import MAX_WORDS, ExtractiveModel, trim
from assistant.records import Evidence, Prompt
from indexes.records import Hit, Passage


def hit(text, number=1, **kwargs):
    passage = Passage(f"p{number}", "d", number, text, ("Guide",), "", "text", 0, len(text), None, None)
    return Hit(passage, "guide.md", "/guide.md", "i", number, 1 / number, 0.5, 1.0)


def evidence(one, place, score):
    unit = split_units(one.passage)[place]
    return Evidence(one, unit.start, unit.end, unit.text, score)


def answer(question, hits, found):
    return "".join(ExtractiveModel().stream(Prompt(question, tuple(hits), tuple(found))))


def test_one_sentence_with_its_marker_is_the_rule():
    first, second = hit("Cats sleep."), hit("The sauna costs 9 euros. Dogs bark loudly here.", 2)
    found = [evidence(second, 0, 0.9), evidence(second, 1, 0.05), evidence(first, 0, 0.01)]
    assert answer("How much is the sauna?", [first, second], found) == "The sauna costs 9 euros. [2]"


def test_no_evidence_no_answer():
    assert answer("How much?", [hit("Cats sleep.")], []) == ""


def test_a_rival_is_given_too_and_in_reading_order():
    one = hit("The fee is 8 euros for guests. Members pay 5 euros instead.")
    found = [evidence(one, 1, 0.5), evidence(one, 0, 0.4)]
    assert answer("What is the fee?", [one], found) == "The fee is 8 euros for guests. [1] Members pay 5 euros instead. [1]"


def test_a_rival_that_says_the_same_is_left_out():
    one, other = hit("The fee is 8 euros."), hit("The fee is 8 euros.", 2)
    found = [evidence(one, 0, 0.5), evidence(other, 0, 0.49)]
    assert answer("What is the fee?", [one, other], found) == "The fee is 8 euros. [1]"


def test_a_leaning_sentence_brings_the_one_before_it():
    one = hit("The sauna is behind the house. It costs 9 euros.")
    found = [evidence(one, 1, 0.9), evidence(one, 0, 0.05)]
    assert answer("How much is it?", [one], found) == "The sauna is behind the house. [1] It costs 9 euros. [1]"


def test_a_procedure_goes_on_with_the_next_steps():
    one = hit("To close the hut:\n\n1. Drain the pipes.\n2. Lock the door.\n3. Take the key.\n4. Call us.")
    found = [evidence(one, 1, 0.9)]
    expected = "Drain the pipes. [1] Lock the door. [1] Take the key. [1]"
    assert answer("How do I close the hut?", [one], found) == expected


def test_a_row_is_told_with_its_column_names():
    text = "| Item | Fee |\n|---|---|\n| Axe | 6 |"
    one = hit(text)
    assert answer("What is the fee?", [one], [evidence(one, 0, 0.9)]) == "Axe: Fee 6 [1]"


def test_every_sentence_passes_the_check_of_citations():
    one = hit("| Item | Fee |\n|---|---|\n| Axe | 6 |\n\nThe *axe* is\nlent. " + LONG)
    for place in range(3):
        text = answer("What is the fee of the axe?", [one], [evidence(one, place, 0.9)])
        assert [sentence.verdict for sentence in verify(text, [one]).sentences] == ["supported"], text


LONG = (
    "In the long winter of that year, when the snow lay higher than the windows of the old house and nobody could get down to "
    "the village for eleven days, the warden, who had come from Dorn, counted 412 mule loads of timber, and after that the "
    "people of the valley decided that a road had to be built, whatever it might cost them."
)


def test_a_long_sentence_is_cut_to_the_clauses_that_answer():
    cut = trim(read_question("How many mule loads of timber did the warden count?", {}), LONG)
    assert "412 mule loads of timber" in cut
    assert len(cut.replace("…", "").split()) <= MAX_WORDS
    assert all(piece.strip() in LONG for piece in cut.split("…"))
    assert cut.startswith("…") or cut.endswith("…")


@pytest.mark.parametrize("text", ["word " * 100, "a, " * 90, "x" * 500])
def test_trimming_keeps_to_its_limit_without_clauses(text):
    assert len(trim(read_question("What is a word?", {}), text).replace("…", "").split()) <= MAX_WORDS
