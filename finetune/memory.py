"""The memory of a training that is prepared or under way: when activations are computed again, and what to change where it ends.

Both go by the plan (``finetune.planning``), which knows nothing of this machine; nothing is measured here.
"""

import bisect
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from assistant.errors import ModelError
from assistant.models.hardware import memory_available, peak_memory
from assistant.models.memory import gigabytes
from finetune.base_model import Base
from finetune.config import TrainingConfig
from finetune.encoding import Encoding
from finetune.errors import TrainingError
from finetune.fitting import Verdict, relieve
from finetune.planning import SIDES, Settings, need_of
from indexes.errors import UsageError

SMALL = 1 << 28
"""Bytes that nobody misses: half of what torch itself takes on a CPU."""


def settings_of(config: TrainingConfig, base: Base, train: Encoding) -> Settings:
    """What the plan needs to know of a training whose rows are known."""
    loaded = base.loaded
    written = config.answer_range[1] if config.writes else 0
    return Settings(
        method=config.method, rank=config.rank, targets=base.targets, quantization=loaded.quantization, batch=config.batch,
        length=max(each["length"] for each in train.features) + written, checkpointing=config.checkpointing != "off",
        optimizer=config.optimizer, element=loaded.dtype.itemsize, device=loaded.hardware.device,
    )  # fmt: skip


def recompute_above(config: TrainingConfig, base: Base, train: Encoding) -> float:
    """Tokens of a batch above which activations are computed again.

    On a GPU, where memory is what is short, always. On a CPU where keeping them would take more memory than the longest batch
    does in any case: short ones needn't pay for it. Of a small model they are kept. What scores always does: it has no large head
    beside which they would go unnoticed (measured: 3.07 GB instead of 2.75, for 3 % of the time).
    """
    if config.checkpointing != "auto" or base.loaded.hardware.device != "cpu":
        return 0 if config.checkpointing != "off" else math.inf
    if config.method == "reward":
        return 0
    return keep_up_to(shape_config(base), settings_of(config, base, train))


def keep_up_to(config: Mapping[str, Any], settings: Settings) -> float:
    """Tokens of the widest batch that takes no more memory with its activations kept than the longest with them computed again.

    Where the longest itself would keep no more than `SMALL` bytes, there is no such bound.

    Args:
        config: the base's.
        settings: of the training; its length is that of the longest row.
    """
    try:
        if need_of(config, replace(settings, checkpointing=False)).activations <= SMALL:
            return math.inf
        most = need_of(config, replace(settings, checkpointing=True)).total
        lengths = range(1, settings.length + 1)
        fitting = bisect.bisect_right(
            lengths, most, key=lambda length: need_of(config, replace(settings, checkpointing=False, length=length)).total
        )
    except (ModelError, UsageError):  # a base that can't be planned
        return 0
    return SIDES[settings.method] * settings.batch * fitting


def shape_config(base: Base) -> dict[str, Any]:
    """What the plan reads a base's sizes from."""
    found: dict[str, Any] = base.loaded.model.config.get_text_config().to_dict()
    return found


def out_of_memory(config: TrainingConfig, base: Base, train: Encoding, *, step: int) -> TrainingError:
    """What to say where memory was not enough: at which step, and what to change."""

    def plan() -> Verdict:
        device = base.loaded.hardware.device
        free = memory_available(device)
        offered = None if free is None else free + peak_memory()
        return relieve(shape_config(base), settings_of(config, base, train), device=device, offered=offered)

    return TrainingError(f"out of memory at step {step}", hint=advise(config, plan))


def advise(config: TrainingConfig, plan: Callable[[], Verdict]) -> str:
    """What to change where memory was not enough, by the plan; where there is none, the mildest change."""
    try:
        verdict = plan()
    except Exception:  # noqa: BLE001 - whatever goes wrong here, the lack of memory is what is to be told
        return _mildest(config)
    if not verdict.changes or verdict.changed is None:
        return f"by the plan it takes {gigabytes(verdict.need.total)}, and no setting helps: take a smaller base"
    takes, then = gigabytes(verdict.need.total), gigabytes(verdict.changed.total)
    return f"{_flags(config, verdict.changes)}: by the plan {then} instead of {takes}"


def _flags(config: TrainingConfig, changes: Mapping[str, Any]) -> str:
    said = {"checkpointing": "--checkpointing on"}
    said |= {
        name: f"--{'max-length' if name == 'length' else name} {value}" for name, value in changes.items() if name not in said
    }
    if "batch" in changes:
        said["batch"] += f" --accumulate {math.ceil(config.batch * config.accumulate / changes['batch'])}"
    return " ".join(said[name] for name in changes)


def _mildest(config: TrainingConfig) -> str:
    if config.batch > 1:
        return f"--batch {max(1, config.batch // 2)} --accumulate {config.accumulate * 2} takes half of it for activations"
    if config.checkpointing != "on":
        return "--checkpointing on keeps fewer activations"
    if config.quantization == "none":
        return "--quantization nf4 keeps the base in a quarter"
    return f"--max-length {config.max_length // 2}, or --rank {max(1, config.rank // 2)}"
