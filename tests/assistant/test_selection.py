"""How adapters are named: names, scales, sums, the base."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.adapters.selection import LEAST, MOST, NAME, Wanted, label, parse_wanted
from assistant.errors import UsageError

NAMES = st.from_regex(NAME, fullmatch=True).filter(lambda name: name.lower() not in ("none", "base"))
WANTED = st.lists(st.builds(Wanted, NAMES, st.floats(LEAST, MOST)), min_size=1, max_size=3, unique_by=lambda one: one.name)


@pytest.mark.parametrize("text", ["none", " None ", "base", "BASE"])
def test_the_base(text: str) -> None:
    assert parse_wanted(text) == ()
    assert label(()) is None


@given(WANTED)
def test_what_is_shown_can_be_typed(wanted: list[Wanted]) -> None:
    shown = label(wanted)
    assert shown
    again = parse_wanted(shown)
    assert [one.name for one in again] == [one.name for one in wanted]
    assert [one.scale for one in again] == [pytest.approx(one.scale, rel=1e-5) for one in wanted]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no adapter"), ("a++b", "names no adapter"), ("a*x", "scale 'x' of 'a'"), ("a*0", "no number from"),
        ("a*9", "no number from"), ("a*1e-320", "no number from"), ("a*nan", "no number from"), ("a+a*2", "'a' twice"),
        ("none*2", "'none' is the base itself"), ("none+a", "'none' is the base itself"), ("a+Base", "'Base' is the base itself"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        parse_wanted(text)


def test_a_scale_behind_a_blank() -> None:
    assert parse_wanted("concise 0.5") == (Wanted("concise", 0.5),)
    assert parse_wanted("a folder/with blanks") == (Wanted("a folder/with blanks"),)
