"""The state of a PPO training on disk: all that a run needs to go on as if it had never stopped.

A checkpoint is a folder like that of every other method (``finetune.checkpoints``): the policy's adapter, the optimizer's
moments, the schedule, the random generators; and beside them the value head, which is no part of an adapter, the KL coefficient,
and the last state that was near the reference. It is written beside its place and moved there whole.
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import TrainerState

from assistant.adapters.manifest import WEIGHTS
from finetune.checkpoints import step_of
from finetune.reinforcement.learner import Learner
from finetune.reinforcement.policy import trained_part

VALUE_HEAD, GOOD, CONTROL = "value_head.safetensors", "last_good.safetensors", "ppo.json"


@dataclass(slots=True)
class Progressed:
    """What changes from step to step beside the weights.

    Attributes:
        coefficient: of the KL.
        good: the adapter when it was last near its reference.
    """

    coefficient: float
    good: dict[str, Tensor] = field(default_factory=dict)


def write_state(folder: Path, model: Any, learner: Learner, progressed: Progressed, state: TrainerState) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OSError, SafetensorError: the disk is full.
    """
    draft = folder.with_name(".draft")  # one name, so that a killed run leaves at most one behind
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    _save_tensors(trained_part(model), draft / WEIGHTS)
    _save_tensors(learner.head.state_dict(), draft / VALUE_HEAD)
    _save_tensors(progressed.good, draft / GOOD)
    torch.save(learner.optimizer.state_dict(), draft / "optimizer.pt")
    torch.save({"schedule": learner.schedule.state_dict(), "scaler": learner.scaler.state_dict()}, draft / "scheduler.pt")
    torch.save(_generators(), draft / "rng_state.pth")
    (draft / CONTROL).write_text(json.dumps({"coefficient": progressed.coefficient}), encoding="utf-8")
    state.save_to_json(str(draft / "trainer_state.json"))
    shutil.rmtree(folder, ignore_errors=True)
    draft.replace(folder)


def read_state(folder: Path, model: Any, learner: Learner, progressed: Progressed) -> None:
    """Put everything where a checkpoint says it was.

    Raises:
        OSError, SafetensorError: it can't be read.
    """
    saved = load_file(folder / WEIGHTS)
    with torch.no_grad():
        for name, tensor in trained_part(model).items():
            tensor.copy_(saved[name])
    learner.head.load_state_dict(load_file(folder / VALUE_HEAD))
    device = next(learner.head.parameters()).device
    progressed.good = {name: tensor.to(device) for name, tensor in load_file(folder / GOOD).items()}
    progressed.coefficient = float(json.loads((folder / CONTROL).read_bytes())["coefficient"])
    learner.optimizer.load_state_dict(torch.load(folder / "optimizer.pt", map_location=device, weights_only=True))
    kept = torch.load(folder / "scheduler.pt", weights_only=True)
    learner.schedule.load_state_dict(kept["schedule"])
    learner.scaler.load_state_dict(kept["scaler"])
    generators = torch.load(folder / "rng_state.pth", weights_only=True)
    torch.set_rng_state(generators["cpu"])
    if "cuda" in generators and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(generators["cuda"])


def keep_newest(folder: Path, count: int) -> None:
    """Delete all checkpoints but the newest."""
    for old in sorted(folder.glob("checkpoint-*"), key=step_of)[:-count]:
        shutil.rmtree(old, ignore_errors=True)


def _save_tensors(tensors: dict[str, Tensor], file: Path) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, file)


def _generators() -> dict[str, Any]:
    found: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state_all()
    return found
