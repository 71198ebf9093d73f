"""One base in four roles: who writes, what it is held to, what is expected of it, and who scores where a reward adapter does.

Adapters are switched, never weights copied. The policy is PEFT's "default" adapter, as in every method, so that saving finds it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.dropout import _DropoutNd
from transformers import PreTrainedConfig

from finetune.evaluation import measuring, on_device
from finetune.log_probs import answer_states, log_probs_of, pad_answers
from finetune.reinforcement.rollouts import Rollout
from finetune.reinforcement.value_head import ValueHead
from finetune.saving import ADAPTER, load_adapter

REFERENCE = "ref"
"""As TRL calls it, so that its trainers use the same copy."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model makes of answers, each ``(b, t)``, 0 behind an answer's end.

    Attributes:
        log_probs: of the tokens that were written.
        entropies: of what might have been, in nats.
        values: expected before each token; 0 without a value head.
        mask: 1 where there is a token.
    """

    log_probs: Tensor
    entropies: Tensor
    values: Tensor
    mask: Tensor


def add_reference(model: Any, folder: str) -> None:
    """Lay a frozen copy of the adapter that a training begins with beside the one that is trained; none: the base is it.

    A copy that TRL has made is replaced: of a quantised base it would be rounded to 16 bits.
    """
    if folder:
        if REFERENCE in model.peft_config:
            model.delete_adapter(REFERENCE)
        load_adapter(model, Path(folder), REFERENCE)
        switch(model, ADAPTER)


def switch(model: Any, name: str) -> None:
    """Let an adapter act; of all there are only the policy's is ever trained."""
    model.set_adapter(name)
    for full, parameter in model.named_parameters():
        if ".lora_" in full:
            parameter.requires_grad_(f".{ADAPTER}." in full and name == ADAPTER)


@contextmanager
def as_reference(model: Any) -> Iterator[None]:
    """The model as it was before: with the frozen adapter, or none."""
    if REFERENCE in model.peft_config:
        switch(model, REFERENCE)
        try:
            yield
        finally:
            switch(model, ADAPTER)
    else:
        with model.disable_adapter():
            yield


def without_dropout(model: Any) -> None:
    """Leave nothing out in training: a policy is compared with itself, and the difference must be what it learned.

    Some families have no layer of torch's for it: the share is a number of the layer that uses it (``dropout`` in OPT,
    ``hidden_dropout`` in BLOOM, ``attn_dropout_p`` in MPT, ``layerdrop``), or is read from the configuration each time (Falcon).
    """
    for layer in model.modules():
        if isinstance(layer, _DropoutNd):
            layer.p = 0.0
        config = vars(layer).get("config")
        for owner in (layer, config) if isinstance(config, PreTrainedConfig) else (layer,):
            for name, value in vars(owner).items():
                if "drop" in name and isinstance(value, float):
                    setattr(owner, name, 0.0)


def read_batch(model: Any, rollouts: Sequence[Rollout], padding: int) -> dict[str, Tensor]:
    """Rollouts as a model reads them: ``input_ids``, ``attention_mask`` and ``learned``, each ``(b, t)``, padded on the right."""
    batch = pad_answers([each.prompt for each in rollouts], [each.answer for each in rollouts], padding)
    return {name: on_device(model, tensor) for name, tensor in batch.items()}


def read_answers(
    model: Any, rollouts: Sequence[Rollout], *, padding: int, batch: int, temperature: float, head: ValueHead | None = None
) -> Reading:
    """What a model makes of answers: in one pass, without a gradient, ``batch`` of them at once."""
    states, parts = [], []
    with measuring(model):
        for start in range(0, len(rollouts), batch):
            group = rollouts[start : start + batch]
            hidden, wanted = answer_states(model, **read_batch(model, group, padding))
            parts.append(log_probs_of(model, hidden, wanted, temperature=temperature, entropy=True))
            states.append(head(hidden) if head else torch.zeros_like(parts[-1][0]))
    log_probs, entropies = torch.cat(parts, -1).clone()  # out of inference mode: gradients may pass beside them
    lengths = [len(each.answer) for each in rollouts]
    values = torch.cat(states).clone()
    return Reading(*(to_rows(each, lengths, max(lengths)) for each in (log_probs, entropies, values, torch.ones_like(values))))


def to_rows(values: Tensor, lengths: Sequence[int], width: int) -> Tensor:
    """Values of all tokens in reading order, ``(n,)`` → a row an answer, ``(b, width)``, 0 behind its end."""
    at = torch.arange(width, device=values.device)[None] < torch.tensor(list(lengths), device=values.device)[:, None]
    return values.new_zeros(at.shape).masked_scatter(at, values)


def trained_part(model: Any) -> dict[str, Tensor]:
    """The numbers of the policy's adapter, by their names."""
    return {name: each for name, each in model.named_parameters() if f".{ADAPTER}." in name or name.endswith(f".{ADAPTER}")}
