"""How much memory a model will take, from its files alone, and a refusal with a way out where that isn't there.

An estimate is of three parts: the weights in the form they are kept in, the cache of keys and values for the context, and what
a prompt's piece needs while it is computed. It loads nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from assistant.errors import ModelError
from assistant.models.checkpoint import Tensor

Quantization = Literal["none", "int8", "nf4"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)

NF4_BYTES = 0.5 + 4 / 64
"""Bytes of a parameter: 4 bits, and a float32 scale for each block of 64 (bitsandbytes' default, no double quantisation)."""
INT8_BYTES = 1.0
"""Bytes of a parameter; its scales, one float32 a row, are counted apart."""
PREFILL = {"cuda": 2048, "mps": 512, "cpu": 512}
"""Prompt tokens computed in one go: bounds the memory of activations and the time until Ctrl-C is heard."""
OVERHEAD = {"cuda": 600_000_000, "mps": 300_000_000, "cpu": 500_000_000}
"""Bytes beside the model: torch's libraries and their work space, on a CPU also freed buffers that the C library keeps."""
FLOATS = ("F64", "F32", "F16", "BF16")
PACKING = 16
"""Bytes for each number of the widest matrix while bitsandbytes packs 4-bit weights on a CPU (int32 twice, and more)."""
UNQUANTISED = ("embed", "wte", "wpe", "lm_head", "embed_out", "score")
"""Parts of tensor names that bitsandbytes leaves as they are: embeddings and heads."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a config says of a model's size."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    eager: bool


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes a model takes, by part."""

    weights: int
    cache: int
    work: int

    @property
    def total(self) -> int:
        """Altogether."""
        return self.weights + self.cache + self.work


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be loaded, and how.

    Attributes:
        tensors: of the checkpoint.
        config: ``config.json``.
        context: tokens to make room for.
        element: bytes of a number that isn't quantised.
        device: where to.
    """

    tensors: Sequence[Tensor]
    config: Mapping[str, Any]
    context: int
    element: int
    device: str
    quantization: Quantization = "none"


def estimate(plan: Plan) -> Need:
    """The bytes that a model takes once it is loaded and reads a prompt as long as its context."""
    shape = read_shape(plan.config)
    return Need(_weights(plan), _cache(shape, plan), _work(shape, plan))


def check_fits(name: str, plan: Plan, available: int | None) -> Need:
    """Estimate what a model needs and refuse it where there is less.

    Raises:
        ModelError: with the figures, and the least change that would fit.
    """
    need = estimate(plan)
    if available is None or need.total <= available:
        return need
    raise ModelError(
        f"{name!r} needs about {gigabytes(need.total)} on {plan.device} ({_form(plan)} weights {gigabytes(need.weights)}, "
        f"{plan.context:,} tokens of context {gigabytes(need.cache)}, work space {gigabytes(need.work)}); "
        f"{gigabytes(available)} are free",
        hint=_way_out(plan, available),
    )


def gigabytes(count: float) -> str:
    """E.g. ``16.1 GB``; small ones in MB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{math.ceil(count / 1e6)} MB"


def read_shape(config: Mapping[str, Any]) -> Shape:
    """A model's measures; families name them differently."""

    def first(*names: str, default: int = 0) -> int:
        return next((int(config[name]) for name in names if isinstance(config.get(name), int | float)), default)

    hidden = first("hidden_size", "n_embd", "d_model", "dim")
    heads = first("num_attention_heads", "n_head", "n_heads", default=1)
    return Shape(
        layers=first("num_hidden_layers", "n_layer", "n_layers", default=1),
        hidden=hidden,
        intermediate=first("intermediate_size", "n_inner", "ffn_dim", default=4 * hidden),
        heads=heads,
        kv_heads=first("num_key_value_heads", default=heads),
        head_size=first("head_dim", default=hidden // max(heads, 1)),
        vocabulary=first("vocab_size"),
        eager=bool(config.get("attn_logit_softcapping", 50.0 if config.get("model_type") == "gemma2" else None)),
    )


def is_quantised(tensor: Tensor, vocabulary: int) -> bool:
    """Whether bitsandbytes keeps a tensor in fewer bits: the matrices of linear layers, not embeddings and heads."""
    plain = len(tensor.shape) != 2 or vocabulary in tensor.shape or any(part in tensor.name for part in UNQUANTISED)
    return not plain


def _weights(plan: Plan) -> int:
    vocabulary = read_shape(plan.config).vocabulary
    total = 0.0
    for tensor in plan.tensors:
        if tensor.dtype not in FLOATS:  # saved by bitsandbytes as it is kept
            total += tensor.end - tensor.start
        elif plan.quantization == "none" or not is_quantised(tensor, vocabulary):
            total += tensor.elements * plan.element
        elif plan.quantization == "int8":
            total += tensor.elements * INT8_BYTES + 4 * tensor.shape[0]
        else:
            total += tensor.elements * NF4_BYTES
    return int(total)


def _cache(shape: Shape, plan: Plan) -> int:
    return 2 * shape.kv_heads * shape.head_size * shape.layers * plan.context * plan.element


def _work(shape: Shape, plan: Plan) -> int:
    """What a piece of a prompt needs while it is computed.

    Its hidden states, the logits of its last token, scores where attention is eager, and one matrix in full where the weights
    are quantised: they are unpacked to be multiplied.
    """
    piece = min(plan.context, PREFILL[plan.device])
    hidden = piece * (6 * shape.hidden + 3 * shape.intermediate) * plan.element
    scores = shape.heads * piece * plan.context * (4 + 2 * plan.element) if shape.eager else 0
    widest = max((one.elements for one in plan.tensors if is_quantised(one, shape.vocabulary)), default=0)
    each = {"none": 0, "int8": plan.element, "nf4": PACKING if plan.device == "cpu" else plan.element}[plan.quantization]
    return hidden + scores + 8 * shape.vocabulary + each * widest + OVERHEAD[plan.device]


def _form(plan: Plan) -> str:
    return plan.quantization if plan.quantization != "none" else f"{8 * plan.element}-bit"


def _way_out(plan: Plan, available: int) -> str:
    for quantization in QUANTIZATIONS[QUANTIZATIONS.index(plan.quantization) + 1 :]:
        smaller = estimate(replace(plan, quantization=quantization))
        if smaller.total <= available:
            return f"--quantization {quantization} needs about {gigabytes(smaller.total)} and fits"
    parameters = sum(tensor.elements for tensor in plan.tensors)
    least = estimate(replace(plan, quantization="nf4"))
    room = max(available - least.cache - least.work, 0)
    fitting = parameters * room / max(least.weights, 1)
    if fitting < 1e8:
        return "use a server (--server URL), or free some memory"
    return f"use a model of at most {fitting / 1e9:.1f} billion parameters with --quantization nf4, or a server (--server URL)"
