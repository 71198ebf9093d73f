"""PPO's arithmetic, against values worked by hand and the definitions written out."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from finetune.reinforcement.advantages import (
    clipped_scores,
    clipped_share,
    divergence,
    estimate_advantages,
    explained_variance,
    masked_mean,
    policy_losses,
    shaped_rewards,
    value_losses,
    whiten,
    without_end,
)
from finetune.reinforcement.kl_control import next_coefficient

MASK = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])


def near(found: Tensor, wanted: object) -> bool:
    return torch.allclose(found, torch.tensor(wanted), atol=1e-6)


def test_the_score_stands_at_the_last_token_and_each_token_pays_for_its_distance() -> None:
    log_ratio = torch.tensor([[0.5, -1.0, 2.0], [1.0, 3.0, 9.0]])
    rewards = shaped_rewards(torch.tensor([4.0, -1.0]), log_ratio, MASK, 0.1)
    assert near(rewards, [[-0.05, 0.1, 3.8], [-0.1, -1.3, 0.0]])


def test_scores_are_clipped_and_answers_without_an_end_pay() -> None:
    assert clipped_scores(torch.tensor([-30.0, 3.0, 12.0]), 10).tolist() == [-10.0, 3.0, 10.0]
    assert clipped_scores(torch.tensor([-30.0, 12.0]), 0).tolist() == [-30.0, 12.0]
    assert without_end(torch.tensor([1.0, 1.0]), torch.tensor([True, False]), 1.5).tolist() == [1.0, -0.5]


def test_advantages_worked_by_hand() -> None:
    """γ = 0.5, λ = 0.5: δ = (1 + 0.5·2 − 1, 0 + 0.5·3 − 2, 4 − 3) = (1, −0.5, 1); A₃ = 1, A₂ = −0.5 + ¼, A₁ = 1 + ¼·(−¼)."""
    rewards, values = torch.tensor([[1.0, 0.0, 4.0], [1.0, 2.0, 7.0]]), torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 7.0]])
    found = estimate_advantages(rewards, values, MASK, discount=0.5, decay=0.5)
    assert near(found, [[0.9375, -0.25, 1.0], [0.5 + 0.25, 1.0, 0.0]])


@given(st.lists(st.tuples(*[st.floats(-5, 5)] * 2), min_size=1, max_size=7), st.floats(0.1, 1), st.floats(0.1, 1))
def test_advantages_are_the_sum_that_defines_them(steps: list[tuple[float, float]], discount: float, decay: float) -> None:
    """Schulman et al. 2016, eq. 16: Â_t = Σ (γλ)^l δ_{t+l}."""
    rewards, values = ([step[part] for step in steps] for part in (0, 1))
    ahead = [*values[1:], 0.0]
    deltas = [reward + discount * after - value for reward, value, after in zip(rewards, values, ahead, strict=True)]
    wanted = [
        sum((discount * decay) ** (at - start) * deltas[at] for at in range(start, len(deltas))) for start in range(len(deltas))
    ]
    given_rows = (torch.tensor([each], dtype=torch.float64) for each in (rewards, values))
    found = estimate_advantages(*given_rows, torch.ones(1, len(steps)), discount=discount, decay=decay)
    assert found[0].tolist() == pytest.approx(wanted, abs=1e-6)


def test_with_nothing_discounted_an_advantage_is_the_return_less_the_value() -> None:
    rewards, values = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.5, 1.0, 1.5]])
    found = estimate_advantages(rewards, values, torch.ones(1, 3), discount=1.0, decay=1.0)
    assert near(found + values, [[6.0, 5.0, 3.0]])


def test_what_stands_behind_an_answer_changes_nothing() -> None:
    rewards, values = torch.randn(2, 3), torch.randn(2, 3)
    once = estimate_advantages(rewards, values, MASK, discount=0.9, decay=0.9)
    rewards[1, 2], values[1, 2] = 100.0, -100.0
    again = estimate_advantages(rewards, values, MASK, discount=0.9, decay=0.9)
    assert torch.equal(once, again)
    assert torch.equal(whiten(once, MASK), whiten(once + 50 * (1 - MASK), MASK))


def test_whitened_values_have_mean_0_and_spread_1_over_tokens_alone() -> None:
    values = torch.tensor([[2.0, 4.0, 6.0], [8.0, 10.0, 999.0]])
    found = whiten(values, MASK)
    assert near(found, [[-math.sqrt(2), -math.sqrt(0.5), 0.0], [math.sqrt(0.5), math.sqrt(2), 0.0]])
    assert float(masked_mean(whiten(values, MASK, shift=False), MASK)) == pytest.approx(6.0)
    assert whiten(torch.full((2, 3), 5.0), MASK).abs().max() == 0


@pytest.mark.parametrize(("ratio", "advantage", "wanted"), [
    (1.1, 2.0, -2.2), (1.5, 2.0, -2.4), (0.5, 2.0, -1.0), (1.5, -2.0, 3.0), (0.5, -2.0, 1.6), (0.9, -2.0, 1.8),
])  # fmt: skip
def test_a_change_beyond_the_clip_earns_nothing_more(ratio: float, advantage: float, wanted: float) -> None:
    """Schulman et al. 2017, figure 1."""
    new, old = torch.tensor([math.log(ratio) - 3]), torch.tensor([-3.0])
    assert policy_losses(new, old, torch.tensor([advantage]), clip=0.2).item() == pytest.approx(wanted, abs=1e-5)
    assert clipped_share(new, old, clip=0.2).item() == float(abs(ratio - 1) > 0.2)


def test_the_gradient_ends_where_the_clip_begins() -> None:
    new = torch.tensor([math.log(1.5), math.log(1.1)], requires_grad=True)
    policy_losses(new, torch.zeros(2), torch.ones(2), clip=0.2).sum().backward()
    assert new.grad is not None
    assert new.grad.tolist() == pytest.approx([0.0, -1.1])


def test_a_value_is_held_near_the_old_one() -> None:
    new, old, returns = torch.tensor([1.0, 0.1, 1.0]), torch.zeros(3), torch.tensor([1.0, 1.0, -1.0])
    assert near(value_losses(new, old, returns, clip=0.2), [0.32, 0.405, 2.0])  # (0.2 − 1)², (0.1 − 1)², (1 + 1)², halved
    assert near(value_losses(new, old, returns, clip=0), [0.0, 0.405, 2.0])


def test_the_divergence_is_never_negative_and_right_on_average() -> None:
    old, new = torch.log_softmax(torch.tensor([0.0, 1.0, 2.0]), 0), torch.log_softmax(torch.tensor([1.0, 1.0, 0.0]), 0)
    each = divergence(new, old)
    assert each.min() >= 0
    assert float((old.exp() * each).sum()) == pytest.approx(float((old.exp() * (old - new)).sum()), abs=1e-6)


def test_explained_variance() -> None:
    returns = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 99.0]])
    assert explained_variance(returns + 3, returns, MASK) == pytest.approx(1.0)  # a constant error is no variance missed
    assert explained_variance(torch.zeros(2, 3), returns, MASK) == pytest.approx(0.0)
    assert explained_variance(-returns, returns, MASK) == pytest.approx(-3.0)
    assert explained_variance(torch.randn(2, 3), torch.ones(2, 3), MASK) == 0.0


@pytest.mark.parametrize(("kl", "wanted"), [(6.0, 0.2), (6.6, 0.202), (60.0, 0.204), (5.4, 0.198), (0.0, 0.196)])
def test_the_coefficient_is_steered_as_in_the_paper(kl: float, wanted: float) -> None:
    """Ziegler et al. 2019, §2.2: e = clip(KL/6 − 1, ±0.2), β ← β (1 + 0.1 e)."""
    assert next_coefficient(0.2, kl, target=6.0, gain=0.1) == pytest.approx(wanted)
    assert next_coefficient(0.2, kl, target=0.0, gain=0.1) == 0.2
