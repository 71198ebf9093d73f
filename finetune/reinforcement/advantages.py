"""Scores of answers → what each of their tokens is worth, and the losses that learn from it: the arithmetic of PPO (pure).

Shapes: everything is ``(b, t)``, a row an answer, a column a token of it; ``mask`` says which columns a row has. Nothing here
knows models or text.
"""

import torch
from torch import Tensor

SMALLEST = 1e-8
"""Added to a variance, so that a batch of equal values isn't divided by 0."""


def clipped_scores(scores: Tensor, most: float) -> Tensor:
    """Scores no further from 0 than ``most`` (0: as they are): one odd answer mustn't decide a step."""
    return scores.clamp(-most, most) if most else scores


def without_end(scores: Tensor, ended: Tensor, penalty: float) -> Tensor:
    """Scores ``(b,)`` less a penalty where an answer didn't end by itself.

    Source: Huang et al. 2024, "The N+ implementation details of RLHF with PPO", §3 (there a fixed score takes its place).
    """
    return scores - penalty * (~ended).to(scores.dtype)


def shaped_rewards(scores: Tensor, log_ratio: Tensor, mask: Tensor, coefficient: float) -> Tensor:
    """The reward of each token: what it strayed from the reference, and at the last one the answer's score.

    Args:
        scores: ``(b,)``.
        log_ratio: log of policy over reference, of each token written.
        mask: which columns a row has.
        coefficient: β, score per nat.

    Source: Ziegler et al. 2019, "Fine-tuning language models from human preferences", eq. 2, token by token as in Stiennon
    et al. 2020.
    """
    rewards = -coefficient * log_ratio * mask
    last = mask.sum(1, keepdim=True).long() - 1
    return rewards.scatter_add(1, last, scores[:, None])


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over the tokens that there are."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def whiten(values: Tensor, mask: Tensor, *, shift: bool = True) -> Tensor:
    """Values in standard deviations from their mean over all tokens of all answers; 0 beside them.

    Args:
        values: to be whitened.
        mask: padding counts neither for the mean nor for the spread.
        shift: False keeps the mean where it was: of rewards, whose sign means something.
    """
    mean = masked_mean(values, mask)
    variance = masked_mean((values - mean) ** 2, mask)
    whitened = (values - mean) * torch.rsqrt(variance + SMALLEST) + (0.0 if shift else mean)
    return whitened * mask


def estimate_advantages(rewards: Tensor, values: Tensor, mask: Tensor, *, discount: float, decay: float) -> Tensor:
    """How much better each token was than what was expected before it: generalised advantage estimation.

    ``δ_t = r_t + γ V_{t+1} − V_t`` and ``A_t = δ_t + γ λ A_{t+1}``; behind the last token nothing is expected.

    Args:
        rewards: of each token.
        values: expected before each token.
        mask: which columns a row has.
        discount: γ.
        decay: λ.

    Source: Schulman et al. 2016, "High-dimensional continuous control using generalized advantage estimation", eq. 16.
    """
    values, advantages = values * mask, torch.zeros_like(rewards)
    following, after = torch.zeros_like(rewards[:, 0]), torch.zeros_like(rewards[:, 0])
    for at in reversed(range(rewards.shape[1])):
        delta = rewards[:, at] + discount * after - values[:, at]
        following = (delta + discount * decay * following) * mask[:, at]
        advantages[:, at], after = following, values[:, at]
    return advantages


def policy_losses(new: Tensor, old: Tensor, advantages: Tensor, *, clip: float) -> Tensor:
    """Of each token: the better of keeping and changing its probability, no change beyond ``1 ± clip`` being rewarded.

    Source: Schulman et al. 2017, "Proximal policy optimization algorithms", eq. 7, with the sign of a loss.
    """
    ratio = (new - old).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)


def value_losses(new: Tensor, old: Tensor, returns: Tensor, *, clip: float) -> Tensor:
    """Of each token: half the squared error of what was expected, the worse of the free and the clipped guess.

    Source: Schulman et al. 2017's own code (``baselines``); Engstrom et al. 2020, "Implementation matters", §3.
    """
    near = old + (new - old).clamp(-clip, clip) if clip else new
    return 0.5 * torch.maximum((new - returns) ** 2, (near - returns) ** 2)


def clipped_share(new: Tensor, old: Tensor, *, clip: float) -> Tensor:
    """Of each token: 1 where the probability moved further than ``1 ± clip``."""
    return ((new - old).exp() - 1).abs().gt(clip).to(new.dtype)


def divergence(new: Tensor, old: Tensor) -> Tensor:
    """KL of the old policy to the new one, an unbiased guess for each token, never below 0.

    Source: Schulman 2020, "Approximating KL divergence", estimator k3.
    """
    log_ratio = new - old
    return log_ratio.exp() - 1 - log_ratio


def explained_variance(guessed: Tensor, returns: Tensor, mask: Tensor) -> float:
    """The share of the returns' variance that was expected: 1 at best, 0 for a constant guess; 0 where nothing varies."""
    error = returns - guessed
    spread = masked_mean((returns - masked_mean(returns, mask)) ** 2, mask)
    missed = masked_mean((error - masked_mean(error, mask)) ** 2, mask)
    return float(1 - missed / spread) if spread > SMALLEST else 0.0
