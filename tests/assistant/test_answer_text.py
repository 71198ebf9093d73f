"""An answer's text → its sentences with their markers and layout."""

import pytest

from assistant.checking.answer_text import marked_sentences, split_answer


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("It is red. [1] It is big. [2]", [("It is red.", (1,)), ("It is big.", (2,))]),
        ("It is red [1]. It is big [2][3].", [("It is red.", (1,)), ("It is big.", (2, 3))]),
        ("It is red [1, 2].", [("It is red.", (1, 2))]),
        ("It is red [1] and it is big [2].", [("It is red and it is big.", (1, 2))]),
        ("Dr. Smith is red [1].", [("Dr. Smith is red.", (1,))]),
        ("- red one [1]\n2. big one\n[2]", [("red one", (1,)), ("big one", (2,))]),
        ("| a | b | [1]\n|---|---|", [("| a | b |", (1,))]),
        ("", []),
    ],
)
def test_sentences_keep_their_own_markers(answer: str, expected: list[tuple[str, tuple[int, ...]]]) -> None:
    assert [(said.text, said.cited) for said in split_answer(answer)] == expected


def test_a_marker_after_several_sentences_may_be_meant_for_all_of_them() -> None:
    first, second, third = split_answer("The hut is red. The roof is flat. [2] The door is blue.")
    assert (first.cited, first.inherited, second.cited, third.inherited) == ((), (2,), (2,), ())


def test_layout_and_sentences_make_up_the_whole_answer() -> None:
    answer = "# Rules\n\nThere are two:\n\n- Be kind.\n  - Be on time. Always be early.\n\n```\nrun --fast\n```"
    said = split_answer(answer)
    assert "".join(one.before + one.text for one in said) in answer
    assert [one.text for one in said if one.is_lead] == ["Rules", "There are two:"]
    assert said[-1].text == "run --fast"


def test_the_full_stop_after_a_marker_belongs_to_its_sentence() -> None:
    assert marked_sentences("It is red [1]. It is big [2].") == [("It is red.", [1]), ("It is big.", [2])]
