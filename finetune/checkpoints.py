"""The states that a training leaves on the way, and what to say where the disk has no room for one."""

import json
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open

from assistant.adapters.manifest import WEIGHTS
from finetune.config import TrainingConfig
from finetune.errors import TrainingError

FOLDER = "checkpoints"
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
        json.loads((checkpoint / "trainer_state.json").read_bytes())
        with safe_open(checkpoint / WEIGHTS, "pt") as weights:
            weights.keys()
    except (OSError, ValueError, SafetensorError):
        return False
    return all(zipfile.is_zipfile(checkpoint / name) for name in PICKLED)


def unwritten(config: TrainingConfig, why: str) -> TrainingError:
    """What to say where a state couldn't be written."""
    return TrainingError(
        f"a checkpoint couldn't be written: {why}",
        hint=f"free some disk, and go on with finetune {config.method} … --resume",
    )
