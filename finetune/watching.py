"""What goes on in a training, step by step: counted, written down, shown, and stopped when it goes wrong.

A loss that isn't a number ends it before it reaches the weights; so does one that has grown far beyond where it began. Ctrl-C
ends it after the step. The last saved state is kept in every case.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from transformers import TrainerCallback

from assistant.models.hardware import give_back_freed
from finetune.errors import Diverged
from finetune.run_folder.records import RunFolder

SMOOTH = 0.9
"""Share of the old in the running mean of the loss."""
PATIENCE_STEPS = 20
"""Batches after which a loss may be called diverged."""
DIVERGED = 3.0
"""A running mean of so many times that of the first batches, and one nat above it, has diverged."""
EVERY_S = 1.0
TOKENS, SECONDS = "tokens", "train_seconds"
"""What is written down with every checkpoint, to be counted on from there."""


class Watch:
    """Counts what a training reads and looks at every loss.

    Attributes:
        tokens: read so far, without padding, by all parts of a run that was interrupted.
        before_s: seconds of its parts before this one.
        started: when this one was, on the monotonic clock.
        recompute_above: tokens of a batch, padding included, above which its activations are computed again rather than kept.
        width: tokens of the last batch, padding included.
    """

    def __init__(self, *, advice: str, recompute_above: float = math.inf) -> None:
        self.recompute_above, self.width = recompute_above, 0
        self.tokens, self.batches, self.before_s, self.started = 0, 0, 0.0, time.monotonic()
        self._advice = advice
        self._first: list[float] = []
        self._mean = math.nan

    def __call__(self, loss: float, tokens: int) -> None:
        """Look at a batch.

        Raises:
            Diverged: nothing good comes of it.
        """
        self.tokens += tokens
        self.batches += 1
        if not math.isfinite(loss):
            raise Diverged(f"the loss is {loss!r} at batch {self.batches}", hint=self._advice)
        self._first = [*self._first, loss][:5]
        self._mean = loss if math.isnan(self._mean) else SMOOTH * self._mean + (1 - SMOOTH) * loss
        begun = sum(self._first) / len(self._first)
        if self.batches > PATIENCE_STEPS and self._mean > max(DIVERGED * abs(begun), abs(begun) + 1):
            raise Diverged(f"the loss has grown from {begun:.2f} to {self._mean:.2f}", hint=self._advice)

    def go_on(self, figures: Mapping[str, float]) -> None:
        """Count on from what a checkpoint's figures say."""
        self.tokens, self.before_s = int(figures.get(TOKENS, 0)), figures.get(SECONDS, 0.0)

    @property
    def seconds(self) -> float:
        """Time spent training."""
        return self.before_s + time.monotonic() - self.started

    @property
    def speed(self) -> float:
        """Tokens a second."""
        return self.tokens / max(self.seconds, 1e-9)


class Watched:
    """Mixed into a trainer: every batch's loss goes to ``watch`` before its gradient is used."""

    watch: Watch

    def training_step(self, model: Any, inputs: Mapping[str, Any], *rest: Any, **named: Any) -> Any:
        read = sum(int(value.sum()) for name, value in inputs.items() if name.endswith("attention_mask") and "KL" not in name)
        if not read:  # packed rows have positions instead
            read = int(inputs["input_ids"].numel()) if "input_ids" in inputs else 0
        widest = max((int(value.numel()) for name, value in inputs.items() if name.endswith("input_ids")), default=0)
        recompute(model, widest > self.watch.recompute_above)
        if widest > self.watch.width:  # what a narrower batch freed rarely fits a wider one
            give_back_freed()
        self.watch.width = widest
        loss = super().training_step(model, inputs, *rest, **named)  # type: ignore[misc]
        self.watch(float(loss.detach()) * getattr(self, "current_gradient_accumulation_steps", 1), read)
        return loss


def recompute(model: Any, wanted: bool) -> None:
    """Whether a model's layers compute their activations again for the gradient: set where it was made ready for that."""
    for layer in model.modules():
        if hasattr(layer, "gradient_checkpointing") and hasattr(layer, "_gradient_checkpointing_func"):
            layer.gradient_checkpointing = wanted


class Progress(TrainerCallback):
    """Writes metrics to the run folder and a line about once a second to whoever listens."""

    def __init__(self, run: RunFolder, watch: Watch, announce: Callable[[str], None]) -> None:
        self._run, self._watch, self._announce = run, watch, announce
        self._said = 0.0
        self._began_at = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - transformers names them
        self._watch.started, self._began_at = time.monotonic(), state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **kwargs: Any) -> None:  # noqa: ARG002 - transformers names them
        values = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, int | float)}
        if "loss" in values:
            values["tokens_per_s"] = self._watch.speed
        self._run.log(state.global_step, {name: value for name, value in values.items() if math.isfinite(value)})
        if "loss" in values or "eval_loss" in values:
            self._say(state, values)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - transformers names them
        self._run.log(state.global_step, {TOKENS: self._watch.tokens, SECONDS: self._watch.seconds})

    def _say(self, state: Any, values: Mapping[str, float]) -> None:
        name = "eval_loss" if "eval_loss" in values else "loss"
        if name == "loss" and time.monotonic() - self._said < EVERY_S and state.global_step < state.max_steps:
            return
        self._said = time.monotonic()
        done = state.global_step - self._began_at
        left = (time.monotonic() - self._watch.started) / max(done, 1) * (state.max_steps - state.global_step)
        label = "held-out loss" if name == "eval_loss" else "loss"
        figure = f"{label} {values[name]:.3f}"
        if "reward" in values:  # what is learned from scores has a loss that says little
            figure = f"reward {values['reward']:.3f}, KL {values.get('kl', 0.0):.2f}"
        self._announce(
            f"step {state.global_step} of {state.max_steps}, {figure}, {self._watch.speed:,.0f} tokens/s, "
            f"{int(left) // 60}:{int(left) % 60:02d} left"
        )


class Interruptible(TrainerCallback):
    """Ends a training after the step in which Ctrl-C came, with a checkpoint.

    Attributes:
        interrupted: whether it came.
    """

    def __init__(self) -> None:
        self.interrupted = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take Ctrl-C and SIGTERM for a wish to stop; a second one stops at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(_number: int, _frame: FrameType | None) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - transformers names them
        if self.interrupted:
            control.should_training_stop = control.should_save = True
            control.should_evaluate = False
