import pytest

from assistant.language import detection as language
from assistant.language.detection import language_notice


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Wie viel kostet eine Nacht in Ostrel?", "German"),
        ("Quel est le prix de la nuit ?", "French"),
        ("Hoeveel kost een nacht?", "Dutch"),
        ("Сколько стоит ночь?", "Russian"),
        ("宿泊料金はいくらですか", "Japanese"),
    ],
)
def test_a_foreign_question_is_noticed(question: str, name: str) -> None:
    notice = language_notice(question, "all-MiniLM-L6-v2")
    assert f"in {name}" in notice
    assert "English only" in notice


@pytest.mark.parametrize(
    "question", ["huts prices", "opening hours gear store", "RTK drone check", "Corvessa 5 sauna", "radio channel"]
)
def test_keywords_are_not_taken_for_a_language(question: str) -> None:
    assert language_notice(question, "all-MiniLM-L6-v2") == ""


def test_a_plainly_english_question_loads_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "identify", lambda _: pytest.fail("identified needlessly"))
    assert language_notice("How much is a night at Ostrel?", "all-MiniLM-L6-v2") == ""


def test_an_embedder_of_unknown_languages_is_never_warned_about() -> None:
    assert language_notice("Wie viel kostet eine Nacht?", "some/multilingual-model") == ""
