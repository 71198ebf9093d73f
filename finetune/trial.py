"""A few measured steps of a training, in a folder that is thrown away: what `finetune plan --measure` goes by."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from assistant.models.hardware import peak_memory
from finetune.config import TrainingConfig
from finetune.planning import StepMeasurement
from finetune.recipe import Recipe, prepare, run


class _Clock(TrainerCallback):
    """When each step began and ended."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - transformers names them
        self._began = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - transformers names them
        self.seconds.append(time.monotonic() - self._began)


def measure_steps(config: TrainingConfig, recipe: Recipe, steps: int) -> StepMeasurement:
    """Train so many steps and one before them, and say what they took. Nothing is kept.

    Raises:
        DataFault, ModelError, UsageError, TrainingError: as the training itself would.
    """
    with tempfile.TemporaryDirectory() as scratch:
        short = replace(config, out=str(Path(scratch) / "trial"), max_steps=steps + 1, samples=0, eval_share=0.0, eval_data=(),
                        patience=0, save_every=steps + 2, track="none", force=True)  # fmt: skip
        clock = _Clock()
        job = prepare(short, recipe, resume=False, announce=lambda _: None)
        run(replace(job, callbacks=(*job.callbacks, clock)), recipe, resume=False)
    tokens = round(job.watch.tokens * steps / max(len(clock.seconds), 1))
    return StepMeasurement(tuple(clock.seconds[1:]), tokens, peak_memory())
