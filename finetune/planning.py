"""What a training will take, by its settings and the base's ``config.json`` alone: numbers that train, memory by part, time.

The memory of activations is a formula (`layer_bytes`) that a test holds against what autograd really keeps, family by family.
Nothing is loaded and nothing is trained here; a measurement is made by whoever calls.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from assistant.models.memory import OVERHEAD, Plan, Quantization, estimate
from finetune.shapes import ENCODERS, adapted, linears, norms, shape_of, tensors

SIDES = {"sft": 1, "orpo": 2, "dpo": 2, "kto": 1, "reward": 2, "ppo": 1, "rloo": 1, "grpo": 1}
"""Sequences of a row: pairs have two."""
REFERENCED = ("dpo", "kto", "ppo", "rloo", "grpo")
"""Methods that also compute what the base alone would say: the adapter is switched off, so there is no second model."""
ADAPTER_BYTES = 4
"""Of a number of an adapter: PEFT keeps it in float32 whatever the base is in. Its gradient is the same."""
STATE_BYTES = {"adamw": 8, "adamw_8bit": 2}
"""Of a number that trains: AdamW keeps two moments of it, in float32 or in 8 bits."""
NORM_BYTES = 4
"""Normalisations keep their input in float32."""
SCORE_BYTES = 8
"""Of an attention score where attention is eager: the capped score and its softmax."""
DROPPED_BYTES = 12
"""Of an attention score where some are left out (GPT-2, encoders) on a CPU, whose fast attention can't do that."""
MLP_KEPT = {"gpt2": 4.0, "encoder": 1.0, "gated": 3.0}
"""Numbers that an MLP keeps, in its inner sizes: GPT-2's GELU is written out in five operations, a gate needs both sides."""
HEAD_PIECE = 1 << 24
"""Logits that the head computes at once (``finetune.log_probs``)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides the memory of a training.

    Attributes:
        method: of `SIDES`.
        batch: rows on the device at once.
        length: tokens of a row.
        learned: tokens of a row that are learned from; None: all.
        element: bytes of a number of the base that isn't quantised.
    """

    method: str
    rank: int
    targets: tuple[str, ...]
    quantization: Quantization
    batch: int
    length: int
    checkpointing: bool
    optimizer: str
    element: int
    device: str
    learned: int | None = None


@dataclass(frozen=True, slots=True)
class TrainingNeed:
    """Bytes that a training takes, by part.

    Attributes:
        weights: of the base, as they are kept.
        adapter, gradients, optimizer: of what trains.
        activations: what is kept of the way there for the way back.
        layer: what one layer takes while it is computed again; 0 without checkpointing.
        logits: what the head takes. Never at the same time as ``layer``.
        overhead: torch's libraries and their work space.
        trainable, parameters: how many numbers, of the adapter and of the base.
    """

    weights: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    layer: int
    logits: int
    overhead: int
    trainable: int
    parameters: int

    @property
    def total(self) -> int:
        """At the highest point."""
        lasting = self.weights + self.adapter + self.gradients + self.optimizer + self.activations + self.overhead
        return lasting + max(self.layer, self.logits)


@dataclass(frozen=True, slots=True)
class StepMeasurement:
    """What was measured in a few steps.

    Attributes:
        seconds: of each step, without the first, which sets things up.
        tokens: read in these steps together.
        peak: the most bytes held at once; None where that can't be found out.
    """

    seconds: tuple[float, ...]
    tokens: int
    peak: int | None = None


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds that a training takes, and between which it will lie; None: not measured, so nobody can say."""

    seconds: float
    low: float | None = None
    high: float | None = None


def estimate_training(
    config: Mapping[str, Any],
    *,
    method: str,
    rank: int,
    targets: Sequence[str],
    quantization: Quantization,
    batch: int,
    length: int,
    checkpointing: bool,
    optimizer: str,
    element: int,
    device: str,
    learned: int | None = None,
) -> TrainingNeed:
    """What a training takes.

    Raises:
        ModelError: the config doesn't say the model's sizes.
        UsageError: a target names no layer.
    """
    settings = Settings(
        method, rank, tuple(targets), quantization, batch, length, checkpointing, optimizer, element, device, learned
    )
    return need_of(config, settings)


def need_of(config: Mapping[str, Any], settings: Settings) -> TrainingNeed:
    """What a training with these settings takes. Raises as `estimate_training`."""
    shape, chosen = shape_of(config), adapted(config, settings.targets)
    base = tensors(config, head=settings.method != "reward")
    trainable = sum(one.adapter(settings.rank) for one in chosen) + (shape.hidden if settings.method == "reward" else 0)
    tokens = SIDES[settings.method] * settings.batch * settings.length
    one_layer = tokens * layer_bytes(config, settings)
    kept = shape.layers * (tokens * shape.hidden * settings.element if settings.checkpointing else one_layer)
    widest = max(one.inputs * one.outputs for one in linears(config)) * settings.element
    unpacked = widest if settings.quantization != "none" else 0
    plan = Plan(base, config, 1, settings.element, settings.device, settings.quantization)
    return TrainingNeed(
        weights=estimate(plan).weights,
        adapter=trainable * ADAPTER_BYTES,
        gradients=trainable * ADAPTER_BYTES,
        optimizer=trainable * STATE_BYTES[settings.optimizer],
        activations=int(kept),
        layer=int(one_layer if settings.checkpointing else 0) + _passing(config, tokens, settings) + unpacked,
        logits=_logits(shape.vocabulary, settings),
        overhead=OVERHEAD[settings.device],
        trainable=trainable,
        parameters=sum(tensor.elements for tensor in base),
    )


def layer_bytes(config: Mapping[str, Any], settings: Settings) -> float:
    """Bytes that one layer keeps of one token for the way back.

    norms × 4·hidden + element × (4·queries + c·inner + inputs of the adapted matrices) + 4·rank × adapted matrices
    + the attention's scores or its mask. Queries, keys, values (repeated to as many heads) and the attention's result are kept;
    c is `MLP_KEPT`. In fp32 matrices of one group share their input, and the attention's result is there already; in half
    precision each has a copy of its own.
    """
    shape, kind = shape_of(config), str(config.get("model_type"))
    family = kind if kind in MLP_KEPT else "encoder" if kind in ENCODERS else "gated"
    inside = [one for one in adapted(config, settings.targets) if one.times == shape.layers]
    if settings.element == 4:
        inputs = sum({one.group: one.inputs for one in inside if one.group != "output"}.values())
    else:
        inputs = sum(one.inputs for one in inside)
    numbers = 4 * shape.heads * shape.head_size + MLP_KEPT[family] * shape.intermediate + inputs
    lasting = norms(config) * NORM_BYTES * shape.hidden + settings.element * numbers + 4 * settings.rank * len(inside)
    return lasting + _attention_bytes(config, settings)


def _attention_bytes(config: Mapping[str, Any], settings: Settings) -> int:
    """What attention keeps of one token: its scores, where they are written out at all, or its row of the mask."""
    shape, drops = shape_of(config), config.get("model_type") in ("gpt2", *ENCODERS)
    left_out = config.get("attn_pdrop", config.get("attention_probs_dropout_prob", 0.1 if drops else 0.0))
    hidden = config.get("resid_pdrop", config.get("hidden_dropout_prob", 0.1 if drops else 0.0))
    masks = 2 * ADAPTER_BYTES * shape.hidden if hidden else 0
    if shape.eager:
        return masks + SCORE_BYTES * shape.heads * settings.length
    if left_out and settings.device == "cpu":
        return masks + DROPPED_BYTES * shape.heads * settings.length
    return masks + settings.element * settings.length


def _passing(config: Mapping[str, Any], tokens: int, settings: Settings) -> int:
    """Gradients that are on their way through a layer: of the MLP's inner side, of the hidden state, of eager scores."""
    shape = shape_of(config)
    scores = 4 * shape.heads * settings.length if shape.eager else 0
    return tokens * (2 * shape.intermediate * settings.element + 2 * shape.hidden * settings.element + scores)


def _logits(vocabulary: int, settings: Settings) -> int:
    """What the head takes: it is computed in pieces, each in the base's numbers, in float32, and with its gradient."""
    if settings.method == "reward":
        return 0
    learned = min(settings.learned or settings.length, settings.length)
    tokens = SIDES[settings.method] * settings.batch * learned
    return min(tokens * vocabulary, max(HEAD_PIECE, vocabulary)) * (12 + settings.element)


def steps_of(rows: int, *, batch: int, accumulate: int, epochs: float, max_steps: int) -> int:
    """Steps of a training."""
    whole = math.ceil(math.ceil(math.ceil(rows / batch) / accumulate) * epochs)
    return min(whole or max_steps, max_steps or whole)


def duration(steps: int, measured: StepMeasurement) -> Duration:
    """How long so many steps take: the mean of those measured, ± two of their standard deviations."""
    mean = fmean(measured.seconds)
    spread = 2 * stdev(measured.seconds) if len(measured.seconds) > 1 else mean
    return Duration(steps * mean, steps * max(mean - spread, 0.0), steps * (mean + spread))
