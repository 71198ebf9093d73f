"""The states that a training leaves on the way, and what to do where one can't be had: too little memory, too little disk."""

from pathlib import Path

from finetune.config import TrainingConfig

FOLDER = "checkpoints"


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; None: there is none."""
    whole = [
        each
        for each in folder.glob("checkpoint-*")
        if (each / "trainer_state.json").is_file() and (each / "rng_state.pth").is_file()
    ]
    return max(whole, key=lambda each: int(each.name.rpartition("-")[2]), default=None)


def lower(config: TrainingConfig) -> str:
    """What to change where memory isn't enough, the mildest first."""
    if config.batch > 1:
        return f"--batch {max(1, config.batch // 2)} --accumulate {config.accumulate * 2} takes half of it for activations"
    if config.checkpointing != "on":
        return "--checkpointing on keeps fewer activations"
    if config.quantization == "none":
        return "--quantization nf4 keeps the base in a quarter"
    return f"--max-length {config.max_length // 2}, or --rank {max(1, config.rank // 2)}"
