"""`finetune plan`: what a training will take, before anything is loaded: what trains, memory by part, time, and where it fits."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assistant.models.checkpoint import CONFIG
from assistant.models.memory import Quantization, gigabytes
from finetune.config import METHODS, TrainingConfig, read_config
from finetune.data.faults import load_dataset, rows_for
from finetune.fitting import CAPABILITY, CARDS, Verdict, judge
from finetune.model_files import find_files
from finetune.planning import REFERENCED, Duration, Settings, StepMeasurement, TrainingNeed, duration, steps_of
from finetune.shapes import adapted
from indexes.errors import UsageError

Measure = Callable[[int], StepMeasurement]
MEASURED_STEPS = 3
HALF = 2
"""Bytes of a number on a GPU: fp16 on a T4, bf16 on later ones."""
HERE = "this machine"


@dataclass(frozen=True, slots=True)
class Planned:
    """All that is known of a training before it.

    Attributes:
        training: its settings.
        targets: names of the layers that are adapted.
        computes: in which number format, and why, for each verdict.
        verdicts: for this machine first, then for the cards.
        steps: of the whole training; None: nobody said how many rows there are.
        time: None: unknown.
        basis: of the time, in words.
        measured: what was measured here, if anything.
    """

    training: TrainingConfig
    targets: tuple[str, ...]
    computes: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    steps: int | None
    time: Duration | None
    basis: str
    measured: StepMeasurement | None

    @property
    def need(self) -> TrainingNeed:
        """What it takes on this machine."""
        return self.verdicts[0].need


def plan(
    training: TrainingConfig,
    *,
    rows: int | None = None,
    learned: int | None = None,
    tokens_per_s: float | None = None,
    measure: Measure | None = None,
    as_json: bool = False,
) -> int:
    """Plan a training and print what was found. Nothing is loaded but ``config.json``, unless something is measured.

    Args:
        training: its settings; data and out may be empty.
        rows: how many there are to train on; None: unknown, and with it the time.
        learned: tokens of a row that are learned from; None: all.
        tokens_per_s: a throughput that is known from elsewhere.
        measure: runs so many steps of the training and says what they took.
        as_json: print one JSON document instead of text.

    Raises:
        ModelError: there is no such base, or its config doesn't say its sizes.
        UsageError: a target names no layer.
    """
    found = make_plan(training, rows=rows, learned=learned, tokens_per_s=tokens_per_s, measure=measure)
    if as_json:
        sys.stdout.write(json.dumps(document(found)) + "\n")
    else:
        sys.stdout.write("\n".join(render(found)) + "\n")
    return 0


def make_plan(
    training: TrainingConfig, *, rows: int | None, learned: int | None, tokens_per_s: float | None, measure: Measure | None
) -> Planned:
    """Plan a training."""
    config = read_base(training.base)
    targets = tuple(dict.fromkeys(one.name.rpartition(".")[2] for one in adapted(config, training.targets)))
    float16 = _is_float16_enough(config)
    device, element, computes, available = _hardware(training, float16=float16)
    here = _settings(training, config, device=device, element=element, learned=learned)
    card = _settings(training, config, device="cuda", element=HALF, learned=learned)
    verdicts = [judge(config, here, device=HERE, offered=available)]
    verdicts += [judge(config, card, device=name, offered=offered) for name, offered in CARDS.items()]
    measured = measure(MEASURED_STEPS) if measure else None
    steps = None if rows is None and not training.max_steps else _steps(training, rows)
    time, basis = _time(training, steps, tokens_per_s, measured)
    formats = (computes, *(_card_format(name, float16=float16) for name in CARDS))
    return Planned(training, targets, formats, tuple(verdicts), steps, time, basis, measured)


def read_base(base: str) -> Mapping[str, Any]:
    """A base's ``config.json``; of a model of several parts, that of the part that writes."""
    config = find_files(base, (CONFIG,)).config
    inner = config.get("text_config")
    return {**config, **inner} if isinstance(inner, dict) else config


def _settings(training: TrainingConfig, config: Mapping[str, Any], *, device: str, element: int, learned: int | None) -> Settings:
    return Settings(
        method=training.method,
        rank=training.rank,
        targets=training.targets,
        quantization=_quantization(training, config),
        batch=training.batch,
        length=training.max_length,
        checkpointing=training.checkpointing != "off",
        optimizer=training.optimizer,
        element=element,
        device=device,
        learned=learned,
    )


def _quantization(training: TrainingConfig, config: Mapping[str, Any]) -> Quantization:
    """As asked for, or as bitsandbytes saved the base."""
    stored = config.get("quantization_config")
    if training.quantization != "none" or not isinstance(stored, dict):
        return training.quantization
    return "nf4" if stored.get("load_in_4bit") else "int8" if stored.get("load_in_8bit") else "none"


def _is_float16_enough(config: Mapping[str, Any]) -> bool:
    from assistant.models.families import choose_family

    return choose_family(str(config.get("model_type")), (), None).float16


def _card_format(name: str, *, float16: bool) -> str:
    from assistant.models.hardware import cuda_dtype, dtype_name

    dtype, reason = cuda_dtype(CAPABILITY[name], name.partition(" (")[0], float16=float16)
    return f"{dtype_name(dtype)}: {reason}"


def _hardware(training: TrainingConfig, *, float16: bool) -> tuple[str, int, str, int | None]:
    """Device, bytes of a number, both in words with the reason, and the memory that is free."""
    from assistant.models.hardware import Hardware, choose_hardware, memory_available

    chosen = choose_hardware(training.device, training.dtype, float16=float16)  # type: ignore[arg-type]
    if chosen.device == "cpu" and training.dtype == "auto":
        import torch

        chosen = Hardware("cpu", torch.float32, "on a CPU small steps are lost in bf16's 8 bits")
    return chosen.device, chosen.dtype.itemsize, chosen.label, memory_available(chosen.device)


def _steps(training: TrainingConfig, rows: int | None) -> int:
    if rows is None:
        return training.max_steps
    if training.writes:
        return steps_of(rows, batch=training.prompts, accumulate=1, epochs=training.epochs, max_steps=training.max_steps)
    return steps_of(
        rows, batch=training.batch, accumulate=training.accumulate, epochs=training.epochs, max_steps=training.max_steps
    )


def _rows_of_step(training: TrainingConfig) -> int:
    """Rows that a step reads, or answers that it writes."""
    return training.rollouts if training.writes else training.batch * training.accumulate


def _time(
    training: TrainingConfig, steps: int | None, tokens_per_s: float | None, measured: StepMeasurement | None
) -> tuple[Duration | None, str]:
    if steps is None:
        return None, "unknown: give the data with --data"
    if measured:
        basis = f"{len(measured.seconds)} steps measured here, without evaluations; ± two standard deviations"
        return duration(steps, measured), basis
    if tokens_per_s:
        seconds = steps * _rows_of_step(training) * training.max_length / tokens_per_s
        basis = f"at most, if every row has {training.max_length:,} tokens, at {tokens_per_s:,.0f} tokens/s"
        return Duration(seconds), basis
    return None, "unknown without --measure"


def document(found: Planned) -> dict[str, Any]:
    """A plan as JSON."""
    training = found.training
    return {
        "schema": 1,
        "method": training.method,
        "base": training.base,
        "rank": training.rank,
        "targets": list(found.targets),
        "trainable": found.need.trainable,
        "parameters": found.need.parameters,
        "memory": _parts(found.need),
        "steps": found.steps,
        "time_s": asdict(found.time) if found.time else None,
        "time_basis": found.basis,
        "measured": asdict(found.measured) if found.measured else None,
        "verdicts": [
            {
                "device": one.device,
                "computes": computes,
                "fits": one.fits,
                "needs": one.need.total,
                "offered": one.offered,
                "changes": dict(one.changes),
                "needs_then": one.changed.total if one.changed else None,
            }
            for one, computes in zip(found.verdicts, found.computes, strict=True)
        ],
    }


def _parts(need: TrainingNeed) -> dict[str, int]:
    names = ("weights", "adapter", "gradients", "optimizer", "activations", "layer", "logits", "overhead", "total")
    return {name: getattr(need, name) for name in names}


def render(found: Planned) -> Iterator[str]:
    """A plan as text."""
    training, need = found.training, found.need
    yield f"{training.method} on {repr(training.base)[1:-1]}"
    share = need.trainable / need.parameters
    yield f"  trains    {need.trainable:,} numbers, {share:.2%} of the base's {need.parameters:,}"
    yield f"            rank {training.rank} on {', '.join(found.targets)}"
    yield f"  computes  {found.computes[0]}"
    if training.method in REFERENCED:
        yield "            and once more with the adapter switched off: there is no second model"
    yield f"  memory    {gigabytes(need.total)} on this machine"
    yield from (f"            {size:>9}  {name}" for name, size in describe(need))
    if found.measured and found.measured.peak:
        yield f"            measured: {gigabytes(found.measured.peak)}"
    yield f"  time      {_said(found.time)}{found.basis}"
    if found.steps is not None:
        yield f"            {found.steps:,} steps of {_rows_of_step(training)} {'answers' if training.writes else 'rows'}"
    for verdict, computes in zip(found.verdicts, found.computes, strict=True):
        yield f"  {verdict.text}"
        if verdict.device != HERE:
            yield f"            in {computes}"


def _said(time: Duration | None) -> str:
    if time is None:
        return ""
    if time.low is None or time.high is None:
        return f"{clock(time.seconds)} "
    return f"{clock(time.seconds)}, between {clock(time.low)} and {clock(time.high)}: "


def clock(seconds: float) -> str:
    """E.g. ``2 h 05 min``, ``12 min``, ``40 s``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def describe(need: TrainingNeed) -> list[tuple[str, str]]:
    """The parts of a need, named."""
    return [
        ("weights of the base", gigabytes(need.weights)),
        ("adapter and its gradients", gigabytes(need.adapter + need.gradients)),
        ("optimiser", gigabytes(need.optimizer)),
        ("activations kept", gigabytes(need.activations)),
        ("one layer at work, or the head", gigabytes(max(need.layer, need.logits))),
        ("torch itself", gigabytes(need.overhead)),
    ]


def plan_training(method: str, config: Path | None, flags: Mapping[str, Any], *, measure: bool, as_json: bool) -> int:
    """Plan a training by its flags: count its rows, and measure some steps where that is asked for.

    Raises:
        UsageError: the settings are wrong, or there is nothing to measure with.
        DataFault, ModelError, TrainingError: as the training itself would.
    """
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r}", hint=f"--method takes {', '.join(METHODS)}")
    training = read_config(method, config, flags, required=("base",))
    if measure and not training.data:
        raise UsageError("--measure needs rows to train on", hint="give them with --data")
    rows = None
    if training.data:
        rows = len(rows_for(load_dataset([Path(each) for each in training.data], as_prompts=training.writes), method))

    def measured(steps: int) -> StepMeasurement:
        from assistant.models.quiet import quiet

        with quiet():
            from finetune.train import recipe_of
            from finetune.trial import measure_steps

        return measure_steps(training, recipe_of(method), steps)

    return plan(training, rows=rows, measure=measured if measure else None, as_json=as_json)
