"""A base model that is to be adapted: which of its layers are, and how many numbers train.

Loading itself is the assistant's own (``assistant.models.loading``), so that an adapter is trained on the very base it will be
served on. Here nothing is trained.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from assistant.models.loading import Loaded, Request, load
from finetune.config import TrainingConfig
from finetune.errors import TrainingError
from finetune.formatting import Formatter
from indexes.errors import UsageError

HEADS = ("lm_head", "score", "embed_out", "classifier")
"""Layers that are never adapted: PEFT on the head is bypassed by TRL's fused one, and a reward head is trained whole."""
TARGETS = {
    "llama": ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    "gemma2": ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    "gpt2": ("c_attn", "c_proj", "c_fc"),
}
"""The layers that an adapter of the swap profile changes, by the model's type: always the same, so that adapters can swap."""


@dataclass(frozen=True)
class Base:
    """A base model, ready to be given an adapter.

    Attributes:
        loaded: the model and all that is known of it.
        formatter: renders rows for it.
        targets: names of the layers to adapt.
        added: ids of tokens that were added, whose embeddings are trained too.
        classes: of a classifier, in the order of its outputs.
    """

    loaded: Loaded
    formatter: Formatter
    targets: tuple[str, ...]
    added: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()


def open_base(config: TrainingConfig, *, announce: Callable[[str], None] = lambda _: None) -> Base:
    """Load the base of a training.

    Raises:
        ModelError: it can't be found, read or fitted in.
        UsageError: there is no such layer to adapt.
    """
    dtype = "fp32" if config.dtype == "auto" and _is_cpu(config.device) else config.dtype
    request = Request(config.quantization, config.device, dtype, context=config.max_length)  # type: ignore[arg-type]
    loaded = load(config.base, request, announce=announce)
    if config.max_length > loaded.context:
        raise UsageError(
            f"max_length is {config.max_length!r}, and {config.base!r} reads {loaded.context:,} tokens",
            hint=f"--max-length {loaded.context}",
        )
    keep_unpacked(loaded.model)
    targets = choose_targets(loaded.model, config.targets)
    formatter = Formatter.of(loaded.tokenizer, loaded.family, loaded.model.generation_config)
    return Base(loaded, formatter, targets)


def keep_unpacked(model: Any) -> None:
    """Keep bitsandbytes from packing 4-bit weights for its AVX512 product when a model is measured.

    The packed form has no gradient, and what is multiplied in it isn't what was trained: on tiny models logits are off by 1.
    """
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False


def _is_cpu(device: str) -> bool:
    """Whether it will be a CPU: there, small steps are lost in bf16's 8 bits, and memory is seldom what is short."""
    return device == "cpu" or (device == "auto" and not torch.cuda.is_available() and not torch.backends.mps.is_available())


def choose_targets(model: Any, wanted: Sequence[str]) -> tuple[str, ...]:
    """Names of the layers to adapt.

    Raises:
        UsageError: the model has none of that name.
    """
    layers = linear_names(model)
    kind = str(model.config.model_type)
    if not wanted:
        usual = TARGETS.get(kind, tuple(sorted(layers)))
        return tuple(name for name in usual if name in layers)
    if unknown := [name for name in wanted if name not in layers]:
        raise UsageError(
            f"the model has no layer {unknown[0]!r} that could be adapted", hint=f"targets can be {', '.join(sorted(layers))}"
        )
    return tuple(wanted)


def linear_names(model: Any) -> set[str]:
    """Last parts of the names of all linear layers but heads (GPT-2's ``Conv1D`` counts)."""
    found = set()
    for name, layer in model.named_modules():
        last = name.rpartition(".")[2]
        if (isinstance(layer, torch.nn.Linear) or type(layer).__name__ == "Conv1D") and last not in HEADS:
            found.add(last)
    return found


def check_trainable(model: Any) -> tuple[int, int]:
    """Numbers that train, and all.

    Raises:
        TrainingError: none trains.
    """
    trains = sum(one.numel() for one in model.parameters() if one.requires_grad)
    if not trains:
        raise TrainingError("no parameter of the model would be trained", hint="give other layers with --targets")
    return trains, sum(one.numel() for one in model.parameters())
