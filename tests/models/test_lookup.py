"""Guesses from what was said before."""

from hypothesis import given
from hypothesis import strategies as st

from assistant.models.lookup import LONGEST, SHORTEST, Lookup


def test_what_followed_the_same_ending_is_guessed() -> None:
    assert Lookup([1, 2, 3, 4, 5, 6, 9, 1, 2]).draft(3) == [3, 4, 5]


def test_a_longer_ending_is_trusted_before_a_newer_one() -> None:
    assert Lookup([7, 1, 2, 3, 8, 1, 2, 4, 7, 1, 2]).draft(1) == [3]


def test_of_equal_endings_the_newest_is_taken() -> None:
    assert Lookup([1, 2, 3, 9, 1, 2, 4, 9, 5, 1, 2]).draft(1) == [4]


def test_nothing_new_is_guessed_about_what_never_occurred() -> None:
    assert Lookup([1, 2, 3, 4]).draft(8) == []
    assert Lookup([]).draft(8) == []


def test_no_more_is_guessed_than_there_is_room_for() -> None:
    assert Lookup([1, 2, 3, 4, 1, 2]).draft(0) == []
    assert len(Lookup([1, 2, 3, 4, 1, 2]).draft(1)) == 1


def test_guesses_grow_while_they_are_right_and_shrink_when_all_is_wrong() -> None:
    lookup = Lookup([*range(100), 0, 1])
    for _ in range(5):
        lookup.learn(4, 4)
    assert len(lookup.draft(100)) == LONGEST
    for _ in range(9):
        lookup.learn(4, 0)
    assert len(lookup.draft(100)) == SHORTEST


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(0, 20))
def test_a_guess_stands_in_the_sequence_after_the_same_two_tokens(tokens: list[int], most: int) -> None:
    draft = Lookup(tokens).draft(most)
    assert len(draft) <= most
    if draft:
        wanted = [*tokens[-2:], *draft]
        assert any(tokens[at : at + len(wanted)] == wanted for at in range(len(tokens)))
