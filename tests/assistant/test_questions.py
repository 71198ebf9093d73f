"""Reading questions: what kind of answer, which words matter."""

import pytest

from assistant.language.questions import answer_kind, content_words, phrases, read_question, words_of


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Who is the warden?", "who"),
        ("When does the store open?", "when"),
        ("In which year was it built?", "when"),
        ("Where is the key?", "where"),
        ("How many beds are there?", "number"),
        ("How much does the sauna cost?", "money"),
        ("What is the deposit for a tent?", "money"),
        ("How long may I stay?", "duration"),
        ("How high is the pass?", "measure"),
        ("Why did it burn down?", "why"),
        ("What is the phone number of the office?", "contact"),
        ("How do I reset it?", "how"),
        ("May I bring a dog?", "yesno"),
        ("Which channel is free?", "which"),
    ],
)
def test_the_wording_says_what_kind_of_answer_is_expected(question, kind):
    assert answer_kind(question) == kind


def test_words_lose_case_hyphens_and_possessives():
    assert words_of("The warden's half-board, isn't it?") == ["the", "warden", "half", "board", "isn't", "it"]


def test_content_words_come_once_and_in_order():
    assert content_words("What does the hut charge for a hut night?") == ["hut", "charge", "night"]


def test_phrases_end_at_function_words_and_punctuation():
    assert phrases("What is the minimum age for the night course, Dorn?") == [["minimum", "age"], ["night", "course"], ["dorn"]]


def test_terms_know_names_numbers_and_what_is_asked():
    question = read_question("Which year did Dorn fix keep_full_days in 2019?", {"dorn": 0.5})
    terms = {term.word: term for term in question.terms}
    assert {word for word, term in terms.items() if term.particular} == {"dorn", "keep", "full", "days", "2019"}
    assert [word for word, term in terms.items() if term.asked] == ["year"]
    assert terms["dorn"].weight == 0.5
    assert terms["fix"].weight == 1.0


def test_a_question_without_content_has_no_terms():
    assert read_question("What is it?", {}).terms == ()
    assert read_question("", {}).weight == 0
