"""Intervals: known values, what must always hold, and how often they miss when the truth is known."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.statistics import as_document, excludes_zero, mean_interval, paired_change, wilson
from indexes.evaluation import Interval

FIGURES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("successes", "of", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 20, 0.0, 0.1611), (20, 20, 0.8389, 1.0), (50, 100, 0.4038, 0.5962), (1, 1, 0.2065, 1.0)],
)
def test_wilson_of_a_table(successes: int, of: int, low: float, high: float) -> None:
    found = wilson(successes, of)
    assert (found.value, found.low, found.high) == pytest.approx((successes / of, low, high), abs=5e-5)


@given(st.integers(1, 5_000), st.data())
def test_wilsons_ends_are_the_rates_that_are_just_not_refuted(of: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, of))
    found = wilson(successes, of)
    assert 0 <= found.low <= found.value <= found.high <= 1
    for rate in {found.low, found.high} - {0.0, 1.0}:
        if abs(rate - found.value) > 1e-9:
            assert abs(found.value - rate) / math.sqrt(rate * (1 - rate) / of) == pytest.approx(1.95996, abs=1e-3)


@given(st.integers(0, 300), st.integers(0, 300))
def test_wilson_of_the_failures_is_its_mirror_and_more_trials_narrow_it(right: int, wrong: int) -> None:
    if right + wrong:
        one, other = wilson(right, right + wrong), wilson(wrong, right + wrong)
        assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-12)
        twice = wilson(2 * right, 2 * (right + wrong))
        assert twice.high - twice.low < one.high - one.low


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_wilson_covers_the_truth_as_often_as_it_says(rate: float) -> None:
    covered = 0
    for seed in range(1_000):
        rng = random.Random(seed)
        found = wilson(sum(rng.random() < rate for _ in range(80)), 80)
        covered += found.low <= rate <= found.high
    assert covered >= 930


@pytest.mark.parametrize(("successes", "of"), [(0, 0), (-1, 5), (6, 5)])
def test_what_is_no_share_has_no_interval(successes: int, of: int) -> None:
    with pytest.raises(ValueError, match=f"{successes} of {of} is no share"):
        wilson(successes, of)


@given(FIGURES)
def test_a_mean_lies_in_its_interval_and_that_among_the_values(values: list[float]) -> None:
    found, slack = mean_interval(values), 1e-9 * max(map(abs, values)) + 1e-12
    assert min(values) - slack <= found.low <= found.high <= max(values) + slack
    assert found.value == pytest.approx(math.fsum(values) / len(values), abs=slack)
    assert mean_interval(values) == found


def test_pairs_find_a_change_that_two_intervals_hide() -> None:
    rng = random.Random(1)
    before = [rng.gauss(0, 10) for _ in range(60)]
    after = [value + 0.5 + rng.gauss(0, 0.2) for value in before]
    change = paired_change(before, after)
    assert change.low < 0.5 < change.high
    assert excludes_zero(change)
    assert mean_interval(before).high > mean_interval(after).low
    back = paired_change(after, before)
    assert (back.low, back.value, back.high) == pytest.approx((-change.high, -change.value, -change.low), abs=0.01)
    assert excludes_zero(back)


def test_no_change_is_mostly_not_found() -> None:
    found = 0
    for seed in range(60):
        rng = random.Random(seed)
        found += excludes_zero(paired_change([rng.random() for _ in range(30)], [rng.random() for _ in range(30)]))
    assert found <= 60 * 0.05 + 3 * math.sqrt(60 * 0.05 * 0.95)


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [math.inf]])
def test_no_interval_is_made_up(values: list[float]) -> None:
    for call in (lambda: mean_interval(values), lambda: paired_change(values, values)):
        with pytest.raises(ValueError, match="no interval"):
            call()
    with pytest.raises(ValueError, match="zip"):
        paired_change([1.0], [1.0, 2.0])


def test_an_interval_that_touches_zero_does_not_exclude_it() -> None:
    assert [excludes_zero(Interval(0.0, low, high)) for low, high in ((0, 1), (-1, 0), (-1, 1))] == [False] * 3
    assert as_document(Interval(0.5, 0.4, 0.6)) == {"value": 0.5, "low": 0.4, "high": 0.6}
