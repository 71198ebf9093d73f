"""The bounds: known values, and how often they fail when the truth is known."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.cache.threshold import Node, Preset, learn_then_test, running_bound, shipped, upper_bound


@pytest.mark.parametrize(("errors_free", "rate"), [(299, 0.01), (149, 0.02), (59, 0.05)])
def test_so_many_hits_without_an_error_prove_a_rate(errors_free: int, rate: float) -> None:
    assert upper_bound(0, errors_free) == pytest.approx(rate, rel=0.02)
    assert upper_bound(0, errors_free - 1) > rate


def test_clopper_and_pearson_of_a_table() -> None:
    assert upper_bound(3, 50) == pytest.approx(0.1478, abs=2e-4)  # one-sided 95 %
    assert upper_bound(7, 7) == 1.0


@given(st.integers(0, 40), st.integers(1, 60))
def test_more_errors_never_bound_lower(wrong: int, right: int) -> None:
    of = wrong + right
    assert wrong / of <= upper_bound(wrong, of) <= upper_bound(min(wrong + 1, of), of)


def test_the_threshold_is_the_loosest_that_is_proved() -> None:
    scores = [0.9] * 300 + [0.6] * 300
    right = [True] * 300 + [True, False] * 150
    found = learn_then_test(scores, right, requests=600, per_hit=0.05, per_request=0.05)
    assert found is not None
    assert (found.hits, found.wrong) == (300, 0)
    assert 0.6 < found.threshold <= 0.9
    assert learn_then_test(scores[300:], right[300:], requests=600, per_hit=0.05, per_request=0.05) is None


def test_what_was_proved_seldom_fails() -> None:
    failed = 0
    for seed in range(200):
        rng = random.Random(seed)
        scores = [rng.random() for _ in range(400)]
        right = [rng.random() < 0.80 + 0.2 * score for score in scores]
        found = learn_then_test(scores, right, requests=400, per_hit=0.08, per_request=1.0, least_hits=60)
        true_rate = 0.0 if found is None else 0.2 * (1 - (1 + found.threshold) / 2)
        failed += true_rate > 0.08
    assert failed <= 0.05 * 200 + 3 * math.sqrt(200 * 0.05 * 0.95)


def test_the_running_bound_holds_however_often_one_looks() -> None:
    broken = 0
    for seed in range(200):
        rng, wrong, is_broken = random.Random(seed), 0, False
        for audited in range(1, 300):
            wrong += rng.random() < 0.05
            is_broken |= (running_bound(wrong, audited) or 1.0) < 0.05
        broken += is_broken
    assert running_bound(0, 0) is None
    assert broken <= 0.05 * 200 + 3 * math.sqrt(200 * 0.05 * 0.95)
    assert running_bound(0, 1000) < 0.02 < running_bound(0, 20)  # type: ignore[operator]


def test_an_unknown_embedder_has_no_preset() -> None:
    assert shipped("0" * 64) is None


TREE = [Node("cosine", 0.8, 1, 2, 0.0), Node("", 0.0, -1, -1, -2.0), Node("margin", 0.1, 3, 4, 0.0), Node("", 0.0, -1, -1, 0.5),
        Node("", 0.0, -1, -1, 2.0)]  # fmt: skip


@pytest.mark.parametrize(("cosine", "margin", "log_odds"), [(0.7, 0.9, -2.0), (0.8, 0.9, -2.0), (0.9, 0.1, 0.5), (0.9, 0.2, 2.0)])
def test_a_score_is_the_sum_of_the_leaves(cosine: float, margin: float, log_odds: float) -> None:
    preset = Preset(0.5, [TREE, TREE], 0.5, 0.5, {})
    assert preset.score({"cosine": cosine, "margin": margin}) == pytest.approx(1 / (1 + math.exp(-0.5 - 2 * log_odds)))
    assert Preset.read(json.loads(json.dumps(preset.write()))) == preset
