"""The states that a training leaves on the way, and what to say where the disk has no room for one."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import TrainerCallback

from assistant.adapters.manifest import WEIGHTS
from finetune.config import TrainingConfig
from finetune.errors import TrainingError

FOLDER = "checkpoints"
STATE = "trainer_state.json"
PICKLED = ("optimizer.pt", "scheduler.pt", "rng_state.pth")
"""What torch writes of a state: zip files."""


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; None: there is none."""
    return max((each for each in folder.glob("checkpoint-*") if is_whole(each)), key=step_of, default=None)


def step_of(checkpoint: Path | None) -> int:
    """The step at which a checkpoint was written; 0 for none."""
    return int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0


def is_whole(checkpoint: Path) -> bool:
    """Whether every file of a checkpoint is there and can be opened: a power failure may leave names without contents."""
    try:
        for file in {checkpoint / STATE, *checkpoint.glob("*.json")}:
            json.loads(file.read_bytes())
        for file in {checkpoint / WEIGHTS, *checkpoint.glob("*.safetensors")}:
            with safe_open(file, "pt") as tensors:
                tensors.keys()
    except (OSError, ValueError, SafetensorError):
        return False
    return all(zipfile.is_zipfile(checkpoint / name) for name in PICKLED)


class Durable(TrainerCallback):
    """Has the disk keep a checkpoint before the training goes on: the one before may be deleted at the next.

    Args:
        folder: of all checkpoints.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - transformers names them
        checkpoint = self._folder / f"checkpoint-{state.global_step}"
        for path in (*checkpoint.rglob("*"), checkpoint, self._folder):
            if path.is_file() or os.name == "posix":  # elsewhere a folder can't be opened
                _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritten(config: TrainingConfig, why: str) -> TrainingError:
    """What to say where a state couldn't be written."""
    return TrainingError(
        f"a checkpoint couldn't be written: {why}",
        hint=f"free some disk, and go on with finetune {config.method} … --resume",
    )
