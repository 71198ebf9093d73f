"""How far a policy may be from its reference: beyond it, it is put back to where it last was near, and the run ends.

Shared by all methods with rollouts, with what they say of a loss that is no number.
"""

import math
from typing import TYPE_CHECKING, Any

from torch import Tensor

from finetune.errors import Diverged
from finetune.reinforcement.policy import trained_part

if TYPE_CHECKING:
    from finetune.recipe import Job


def ran_away(job: "Job", model: Any, kl: float, *, step: int, good: dict[str, Tensor]) -> str:
    """Whether the policy is too far away for a KL to say something; then it is put back.

    Args:
        job: what is trained.
        model: the policy.
        kl: nats of an answer to the reference, measured before this step's learning.
        step: its number.
        good: the adapter when it was last near; it becomes the adapter of now where that is near.

    Returns:
        Why the run ends; empty: it is near.

    Raises:
        Diverged: it is too far away, and no state is known in which it wasn't.
    """
    most, config = job.config.max_kl, job.config
    if math.isfinite(kl) and (not most or kl <= most):
        good.update({name: tensor.detach().clone() for name, tensor in trained_part(model).items()})
        return ""
    advice = f"raise --kl (it was {config.kl:g}) or lower --learning-rate (it was {config.rate:g})"
    if not math.isfinite(kl) or not good:
        raise Diverged(f"the KL to the reference is {kl:.4g} nats at step {step}", hint=advice)
    for name, tensor in trained_part(model).items():
        tensor.data.copy_(good[name])
    why = (
        f"the policy ran away from its reference at step {step}: {kl:.3g} nats an answer, and max_kl is "
        f"{most:g}; the adapter is that of the step before. {advice[0].upper()}{advice[1:]}"
    )
    job.announce(why)
    return why


def diverged(job: "Job", what: str, *, step: int) -> Diverged:
    """The error of a step whose loss or gradient is no number."""
    return Diverged(
        f"{what} at step {step}",
        hint=f"begin again in another --out with a lower --learning-rate (it was {job.config.rate:g})",
    )
