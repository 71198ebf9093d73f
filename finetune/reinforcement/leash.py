"""How far a policy may be from its reference: beyond it, it is put back to where it last was near, and the run ends.

Shared by all methods with rollouts, with what they say of a loss that is no number.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from finetune.errors import Diverged
from finetune.reinforcement.policy import as_reference, read_answers, trained_part
from finetune.reinforcement.rollouts import Rollout
from finetune.reinforcement.scored import write_round

if TYPE_CHECKING:
    from finetune.recipe import Job


def ran_away(job: "Job", model: Any, kl: float, *, step: int, good: dict[str, Tensor]) -> str:
    """Whether the policy is too far away for a KL to say something; then it is put back.

    Args:
        job: what is trained.
        model: the policy.
        kl: nats of an answer to the reference, measured before this step's learning.
        step: its number; behind the last step's, that of the next one.
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


def ran_away_at_last(job: "Job", model: Any, *, step: int, good: dict[str, Tensor]) -> str:
    """The same of a finished policy, which no step looks at any more: by answers such as the next step would have written.

    Args:
        job: what is trained.
        model: the policy.
        step: steps done.
        good: as in ``ran_away``.

    Raises:
        Diverged: it is so far away that nothing can be said.
    """
    rollouts = write_round(job, model, step)
    return ran_away(job, model, distance(job, model, rollouts), step=step, good=good)


def distance(job: "Job", model: Any, rollouts: Sequence[Rollout]) -> float:
    """Nats of an answer from the policy to the reference, over all tokens that were written."""
    config = job.config
    reading: Mapping[str, Any] = {
        "padding": job.base.formatter.pad_id(), "batch": config.batch, "temperature": config.temperature
    }  # fmt: skip
    own = read_answers(model, rollouts, **reading)
    with as_reference(model):
        reference = read_answers(model, rollouts, **reading)
    return float((own.log_probs - reference.log_probs).sum(1).mean())


def diverged(job: "Job", what: str, *, step: int) -> Diverged:
    """The error of a step whose loss or gradient is no number."""
    return Diverged(
        f"{what} at step {step}",
        hint=f"begin again in another --out with a lower --learning-rate (it was {job.config.rate:g})",
    )
