"""What changes weights in PPO: the optimizer of adapter and value head, the schedule of its rates, the scaler of its losses."""

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from finetune.reinforcement.policy import trained_part
from finetune.reinforcement.value_head import ValueHead

if TYPE_CHECKING:
    from finetune.recipe import Job


@dataclass(frozen=True, slots=True)
class Learner:
    """What changes weights.

    Attributes:
        head: of the value.
        optimizer: of the adapter (its first group) and the head (its second).
        schedule: of their rates, a step a round.
        scaler: of the loss, where the base computes in 16 bits that don't reach far; else it does nothing.
    """

    head: ValueHead
    optimizer: Any
    schedule: Any
    scaler: Any

    def step(self, clip: float) -> float:
        """Use the gradients, cut to a length for adapter and head apart; returns the adapter's length before."""
        self.scaler.unscale_(self.optimizer)
        adapter, head = (group["params"] for group in self.optimizer.param_groups)
        norm = torch.nn.utils.clip_grad_norm_(adapter, clip)
        torch.nn.utils.clip_grad_norm_(head, clip)
        if torch.isfinite(norm) or self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return float(norm)


def make_learner(job: "Job", model: Any) -> Learner:
    """A fresh value head, and what changes it and the adapter: the adapter by the method's rate, the head by its own."""
    config = job.config
    device = model.get_base_model().get_output_embeddings().weight.device
    head = ValueHead(model.config.get_text_config().hidden_size, device)
    groups = [{"params": list(trained_part(model).values()), "lr": config.rate, "weight_decay": config.weight_decay},
              {"params": list(head.parameters()), "lr": config.value_rate, "weight_decay": 0.0}]  # fmt: skip
    if config.optimizer == "adamw_8bit":
        from bitsandbytes import optim

        eight_bit: Any = optim.adamw.AdamW8bit  # untyped
        optimizer: Any = eight_bit(groups)
    else:
        optimizer = torch.optim.AdamW(groups)
    share = partial(rate_share, of=job.steps, warmup=job.arguments["warmup_steps"], schedule=config.schedule)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    return Learner(head, optimizer, schedule, torch.amp.GradScaler("cuda", enabled=job.arguments["fp16"]))


def rate_share(step: int, *, of: int, warmup: int, schedule: str) -> float:
    """The share of the highest rate that a step learns with; never 0: its answers are dear.

    Args:
        step: 0 for the first.
        of: how many there are.
        warmup: in how many of them it rises.
        schedule: how it falls.
    """
    left = min(1.0, max(0.0, (of - step) / max(1, of - warmup)))
    falls = {"constant": 1.0, "linear": left, "cosine": 0.5 * (1 - math.cos(math.pi * left))}[schedule]
    return min((step + 1) / (warmup + 1), falls)
