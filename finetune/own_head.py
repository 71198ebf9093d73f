"""Our head in place of TRL's: log-probabilities of the learned tokens, in small pieces (``finetune.log_probs``).

TRL's trainers call their model with ``fused_lm_head=True`` and get log-probabilities instead of logits. Where there is no Triton,
as on every CPU, its own head computes those of prompts and padding too, 32,768 words at once for up to 4,096 tokens: gigabytes,
which are the most memory of a training. Losses stay TRL's; a test holds them against those with its own head.
"""

import functools
import types
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from finetune.formatting import UNLEARNED
from finetune.log_probs import token_log_probs

NOT_COMPUTED = ("entropy", "mean_token_accuracy", "logits/chosen", "logits/rejected")
"""What TRL's trainers would log and our head leaves out: each costs a pass over all logits."""


@dataclass(frozen=True, slots=True)
class HeadOutput:
    """What TRL asks of its head, each ``(b, t - 1)``; what isn't computed is 0.

    Attributes:
        log_probs: of the learned tokens, else 0.
        label_mask: which they are.
    """

    log_probs: Tensor
    label_mask: Tensor
    entropy: Tensor
    mean_logits: Tensor
    is_top1: Tensor


def use_own_head(model: Any) -> None:
    """Let a model answer calls with ``fused_lm_head=True`` by our head, and all others as before."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    before = causal.forward

    @functools.wraps(type(causal).forward)  # its signature too: generation looks at it
    def forward(_causal: Any, *rest: Any, fused_lm_head: bool = False, **given: Any) -> Any:
        return _head(causal, **given) if fused_lm_head else before(*rest, **given)

    causal.forward = types.MethodType(forward, causal)


def _head(causal: Any, input_ids: Tensor, labels: Tensor, attention_mask: Tensor | None = None, **packed: Any) -> HeadOutput:
    packed.pop("use_cache", None)  # never in training
    learned = labels != UNLEARNED
    values = token_log_probs(causal, input_ids, attention_mask, learned, **packed)
    at = learned[:, 1:]
    log_probs = values.new_zeros(at.shape).masked_scatter(at, values)  # (b, t - 1)
    nothing = torch.zeros_like(log_probs)
    return HeadOutput(log_probs, at, nothing, nothing, torch.zeros_like(at))
