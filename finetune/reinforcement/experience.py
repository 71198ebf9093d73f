"""What a PPO step learns from: answers with what each of their tokens was worth, and the losses of some of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from finetune.log_probs import answer_states, log_probs_of
from finetune.reinforcement import advantages as ppo
from finetune.reinforcement.policy import Reading, read_batch
from finetune.reinforcement.rollouts import Rollout
from finetune.reinforcement.value_head import ValueHead
from finetune.watching import recompute

if TYPE_CHECKING:
    from finetune.config import TrainingConfig
    from finetune.recipe import Job


@dataclass(frozen=True, slots=True)
class Experience:
    """What a step learns from.

    Attributes:
        rollouts: answers of the policy.
        old: what the policy made of them when it wrote them.
        advantages, returns: of each token, ``(b, t)``.
        alike: the score that all answers have, so that there is nothing to learn; None: they differ.
    """

    rollouts: Sequence[Rollout]
    old: Reading
    advantages: Tensor
    returns: Tensor
    alike: float | None


def gather(
    config: "TrainingConfig", rollouts: Sequence[Rollout], old: Reading, scores: Tensor, log_ratio: Tensor, *, coefficient: float
) -> Experience:
    """Scores → what each token was worth.

    Args:
        config: how rewards are shaped and advantages estimated.
        rollouts: answers.
        old: what the policy made of them when it wrote them.
        scores: ``(b,)``, as they count.
        log_ratio: log of policy over reference, of each token written, ``(b, t)``.
        coefficient: what a nat of that costs.
    """
    rewards = _rewards(config, scores, log_ratio, old.mask, coefficient)
    found = ppo.estimate_advantages(rewards, old.values, old.mask, discount=config.discount, decay=config.decay)
    returns = found + old.values
    if float(scores.max() - scores.min()) == 0:
        return Experience(rollouts, old, torch.zeros_like(found), returns, float(scores[0]))
    return Experience(rollouts, old, ppo.whiten(found, old.mask), returns, None)


def expected_at_first(config: "TrainingConfig", rollouts: Sequence[Rollout], scores: Tensor) -> float:
    """What an answer is worth on average, before the policy has strayed from its reference: where a value head should begin.

    Args:
        config: how rewards are shaped.
        rollouts: answers.
        scores: ``(b,)``, as they count.
    """
    lengths = torch.tensor([len(each.answer) for each in rollouts], device=scores.device)
    mask = (torch.arange(int(lengths.max()), device=scores.device) < lengths[:, None]).to(scores.dtype)
    return float(_rewards(config, scores, torch.zeros_like(mask), mask, 0.0).sum(1).mean())


def _rewards(config: "TrainingConfig", scores: Tensor, log_ratio: Tensor, mask: Tensor, coefficient: float) -> Tensor:
    rewards = ppo.shaped_rewards(scores, log_ratio, mask, coefficient)
    return ppo.whiten(rewards, mask, shift=False) if config.whiten_rewards else rewards


def losses(
    job: "Job", model: Any, head: ValueHead, experience: Experience, rows: list[int], total: float
) -> tuple[Tensor, dict[str, float]]:
    """The loss of some answers as their part of a batch of ``total`` tokens, and figures of the same kind."""
    config = job.config
    batch = read_batch(model, [experience.rollouts[at] for at in rows], job.base.formatter.pad_id())
    recompute(model, batch["input_ids"].numel() > job.watch.recompute_above)
    states, wanted = answer_states(model, **batch)
    doubts = bool(config.entropy_weight)
    found = log_probs_of(model, states, wanted, temperature=config.temperature, entropy=doubts)
    new, entropies = (found[0], found[1]) if doubts else (found, torch.zeros_like(found))
    values = head(states if config.value_reaches_policy else states.detach())
    at = experience.old.mask[rows].bool()
    old, worth = experience.old.log_probs[rows][at], experience.advantages[rows][at]
    expected, returns = experience.old.values[rows][at], experience.returns[rows][at]
    policy_loss = ppo.policy_losses(new, old, worth, clip=config.clip_ratio).sum() / total
    value_loss = ppo.value_losses(values, expected, returns, clip=config.clip_value).sum() / total
    loss = policy_loss + config.value_weight * value_loss - config.entropy_weight * entropies.sum() / total
    seen = {"loss": loss, "policy_loss": policy_loss, "value_loss": value_loss,
            "clip_fraction": ppo.clipped_share(new, old, clip=config.clip_ratio).sum() / total,
            "update_kl": ppo.divergence(new, old).sum() / total}  # fmt: skip
    return loss, {name: float(value.detach()) for name, value in seen.items()}
