"""Win rates: symmetric in the two sides, tie where they are the same, sure of a planted difference and of no other."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from finetune.side_by_side.side_by_side import TIE, A, B, Judged, leaning, sign_test, summarise, verdict_of

VERDICT = st.sampled_from([A, TIE, B, None])
PAIRS = st.lists(st.builds(Judged, st.integers(0, 9), VERDICT, VERDICT, st.just(1.0), st.floats(-5, 5)), min_size=1, max_size=40)


def drawn(rate: float, prompts: int, *, seed: int, each: int = 1) -> list[Judged]:
    """Pairs that A wins so often, and B else."""
    rng = random.Random(seed)
    wins = [A if rng.random() < rate else B for _ in range(prompts * each)]
    return [Judged(at // each, win, win, float(win), 0.0) for at, win in enumerate(wins)]


@given(PAIRS)
def test_exchanging_the_sides_turns_everything_around(judged: list[Judged]) -> None:
    one, other = summarise(judged), summarise([each.swapped for each in judged])
    assert (one.wins, one.ties, one.losses) == (other.losses, other.ties, other.wins)
    assert one.win_rate.value == pytest.approx(1 - other.win_rate.value)
    assert one.win_rate.low == pytest.approx(1 - other.win_rate.high)
    assert one.win_rate.high == pytest.approx(1 - other.win_rate.low)
    assert one.sign_p == other.sign_p
    assert one.better == -other.better
    assert one.mean_difference is not None
    assert other.mean_difference is not None
    assert one.mean_difference.value == pytest.approx(-other.mean_difference.value)
    assert (one.place.first, one.place.second, one.place.p) == (other.place.first, other.place.second, other.place.p)


@given(PAIRS)
def test_counts_add_up_and_intervals_hold_their_value(judged: list[Judged]) -> None:
    found = summarise(judged)
    assert found.wins + found.ties + found.losses == found.pairs == len(judged)
    assert 0 <= found.win_rate.low <= found.win_rate.value + 1e-9
    assert found.win_rate.value <= found.win_rate.high + 1e-9 <= 1 + 2e-9
    assert 0 < found.sign_p <= 1
    assert (found.decided is None) == (found.ties == found.pairs)


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_sign_test_is_the_binomial_one(above: int, below: int) -> None:
    wanted = binomtest(above, above + below, 0.5).pvalue if above + below else 1.0
    assert sign_test(above, below) == pytest.approx(wanted, rel=1e-9)


def test_the_same_model_twice_is_all_ties() -> None:
    found = summarise([Judged(at, TIE, TIE, 1.5, 1.5, same=True) for at in range(30)])
    assert (found.ties, found.win_rate.value, found.win_rate.low, found.win_rate.high) == (30, 0.5, 0.5, 0.5)
    assert (found.sign_p, found.better, found.decided, found.same) == (1.0, TIE, None, 30)
    assert found.mean_difference is not None
    assert found.mean_difference.value == 0


def test_a_planted_better_side_wins_and_its_interval_holds_the_truth() -> None:
    holds = 0
    for seed in range(40):
        found = summarise(drawn(0.7, 200, seed=seed), seed=seed)
        assert found.better == A
        holds += found.win_rate.low <= 0.7 <= found.win_rate.high
    assert holds >= 34  # 38 of 40 are expected


def test_equal_models_are_seldom_told_apart() -> None:
    assert sum(summarise(drawn(0.5, 100, seed=seed)).better != TIE for seed in range(60)) <= 7  # 3 of 60 are expected


def test_several_answers_to_a_prompt_are_no_further_prompts() -> None:
    once = summarise(drawn(0.65, 60, seed=3))
    eightfold = [each for pair in drawn(0.65, 60, seed=3) for each in [pair] * 8]
    again = summarise(eightfold)
    assert (again.pairs, again.prompts) == (480, 60)
    assert (again.win_rate, again.sign_p) == (once.win_rate, once.sign_p)
    assert again.decided is not None
    assert once.decided is not None
    assert again.decided.high - again.decided.low == pytest.approx(once.decided.high - once.decided.low, rel=0.25)


def test_a_win_in_one_order_alone_is_a_tie_and_the_judge_leans() -> None:
    found = summarise([Judged(at, A, B) for at in range(20)])  # the first answer, whichever it is
    assert (found.wins, found.ties, found.losses) == (0, 20, 0)
    assert (found.place.first, found.place.second, found.place.changed) == (40, 0, 20)
    assert found.place.leans
    assert Judged(0, A, TIE).verdict == TIE
    assert not leaning([Judged(at, A, A) for at in range(20)]).leans


def test_a_person_who_sees_each_pair_once_is_believed() -> None:
    found = summarise([Judged(at, A if at % 2 else None, None if at % 2 else A) for at in range(20)])
    assert (found.wins, found.place.first, found.place.second) == (20, 10, 10)
    assert not found.place.leans
    assert found.place.both == 0


@pytest.mark.parametrize(
    ("difference", "margin", "wins"), [(0.2, 0.1, A), (-0.2, 0.1, B), (0.1, 0.1, TIE), (0.0, 0.0, TIE), (1e-9, 0.0, A)]
)
def test_a_margin_makes_ties(difference: float, margin: float, wins: int) -> None:
    assert verdict_of(difference, margin) == wins


def test_no_verdict_is_no_result() -> None:
    with pytest.raises(ValueError, match="no pair was judged"):
        summarise([])
