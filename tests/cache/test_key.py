"""What makes two answers belong together: every part of the scope, and nothing of the question's spacing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.cache.key import Scope, normal_question

SCOPE = Scope({"kind": "local", "weights": "a", "adapter": None}, "prompt", {"top_k": 10}, "embedder", ("handbook",), False)
OTHERS = {
    "model": {"kind": "local", "weights": "a", "adapter": "b"},
    "prompt": "prompt.",
    "retrieval": {"top_k": 11},
    "embedder": "other",
    "index": ("handbook", "notes"),
    "strict": True,
}


@pytest.mark.parametrize("part", OTHERS)
def test_another_part_is_another_scope(part: str) -> None:
    assert replace(SCOPE, **{part: OTHERS[part]}).key != SCOPE.key


def test_the_order_of_what_a_model_says_of_itself_is_none() -> None:
    turned = dict(reversed(SCOPE.model.items()))
    assert replace(SCOPE, model=turned).key == SCOPE.key


@given(st.text(), st.text())
def test_no_two_names_run_together(one: str, other: str) -> None:
    apart, joined = replace(SCOPE, index=(one, other)), replace(SCOPE, index=(one + other,))
    assert apart.key != joined.key


@given(st.text())
def test_a_normal_question_stays_as_it_is(question: str) -> None:
    assert normal_question(normal_question(question)) == normal_question(question)


@pytest.mark.parametrize("other", ["what costs  a bed?", "What costs a bed", "What costs 2 beds?", "What costs a bed ?"])
def test_case_digits_and_marks_count(other: str) -> None:
    assert normal_question("What  costs\na bed?") == "What costs a bed?" != normal_question(other)
