"""PPO: the policy writes answers, a grader scores them, and what was better than expected becomes likelier.

    write → score → log-probabilities of policy and reference, values → rewards → advantages → some epochs of clipped updates

One base plays all roles: the policy is its trained adapter, the reference the adapter that the training began with (or none),
the value a linear head on the policy's last hidden states, and a reward adapter may score on the same weights.

**The value's loss stops at the head**: it doesn't change the adapter, unless ``value_reaches_policy`` lets it. The adapter is
what will be served, and of low rank: what it spends on predicting scores it can't spend on writing; the head's errors are
largest at first, when they say nothing of the answers; and scores have no unit, so that the weight of a common loss would have
to be found anew for each grader. It costs nothing: on a toy (small base, answers scored by their length, 12 steps of 32
answers, two seeds, unclipped values from 0) the run's mean score was −0.96 and −0.92 with it stopped, −0.94 and −0.95 with it
let through (weight 0.1), −0.92 and −0.92 with weight 1, and the values were no better.

Everything that is drawn in a step is drawn from the run's seed and the step's number, so that a run that was interrupted goes on
as the straight one would have.
"""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerState

from finetune.checkpoints import FOLDER, step_of
from finetune.config import TrainingConfig
from finetune.lora import adapted
from finetune.recipe import Encode, Job, Recipe
from finetune.reinforcement.advantages import explained_variance, masked_mean
from finetune.reinforcement.experience import Experience, expected_at_first, gather, losses
from finetune.reinforcement.kl_control import next_coefficient
from finetune.reinforcement.learner import make_learner
from finetune.reinforcement.leash import diverged, ran_away, ran_away_at_last
from finetune.reinforcement.outcome import compare_graders, measure_answers, of_no_rows
from finetune.reinforcement.policy import add_reference, as_reference, read_answers, without_dropout
from finetune.reinforcement.ppo_state import Progressed, keep_newest, read_state, write_state
from finetune.reinforcement.rollouts import encode_prompts, lengths_of, step_seed
from finetune.reinforcement.scored import (
    SHOWN_TIMES,
    Counting,
    all_alike,
    append_answers,
    note_silence,
    open_scored,
    rewind_answers,
    write_round,
)


class PPOTrainer:
    """The loop of PPO over a job, with what a transformers trainer has that ``finetune.recipe`` uses.

    Attributes:
        model: the base with the policy's and the reference's adapters.
        state: steps done.
        stopped_because: why it ended before its steps were done; empty: it didn't.
    """

    def __init__(self, job: Job) -> None:
        self.model, self.stopped_because = adapted(job), ""
        add_reference(self.model, job.config.init_adapter)
        without_dropout(self.model)
        if job.arguments["gradient_checkpointing"]:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
            self.model.enable_input_require_grads()
        self.state = TrainerState(max_steps=job.steps)
        self._job, self._config = job, job.config
        self._learner = make_learner(job, self.model)
        self._head = self._learner.head
        self._progressed, self._counting = Progressed(coefficient=job.config.kl), Counting(job)

    def remove_callback(self, _kind: type) -> None:
        """There is none that prints."""

    def train(self, resume_from_checkpoint: str | None = None) -> None:
        """Step by step, to the end or to the first reason to stop.

        Raises:
            Diverged: a loss is no number.
            GraderFault: scores can't be had.
        """
        job = self._job
        if resume_from_checkpoint:
            self._load_from_checkpoint(resume_from_checkpoint)
        rewind_answers(job.run.folder, self.state.global_step)
        self._tell("on_train_begin")
        often, save_every = max(1, self.state.max_steps // SHOWN_TIMES), job.arguments["save_steps"]
        while self.state.global_step < self.state.max_steps:
            if self.state.global_step % often == 0:
                append_answers(job, self.model, self.state.global_step)
            figures = self._step()
            if figures is None:
                break
            self.state.global_step += 1
            self._tell("on_log", logs=figures)
            last = self.state.global_step == self.state.max_steps
            if last and self._look_back():  # nothing is saved: an interrupted run must come to this again
                break
            if last or job.interruptible.interrupted or self.state.global_step % save_every == 0:
                self._save()
            if job.interruptible.interrupted:
                return
        rewind_answers(job.run.folder, self.state.global_step)  # of a policy that ran away and was put back
        append_answers(job, self.model, self.state.global_step)

    def _look_back(self) -> bool:
        """Whether the policy has run away by the last step's learning; then it is put back."""
        step, good = self.state.global_step, self._progressed.good
        self.stopped_because = ran_away_at_last(self._job, self.model, step=step, good=good)
        return bool(self.stopped_because)

    def _step(self) -> dict[str, float] | None:
        """Write, score, learn: figures for the records; None: the policy has run away, and is back where it was before that."""
        config, progressed = self._config, self._progressed
        step = self.state.global_step
        rollouts, seed = write_round(self._job, self.model, step), step_seed(config.seed, step)
        self._job.watch.tokens += sum(len(each.prompt) + len(each.answer) for each in rollouts)
        graded = self._job.scored.grade(rollouts, self._job.train.rows)
        scores = torch.tensor(graded.totals, device=next(self._head.parameters()).device)
        counted = self._counting(scores, rollouts, step)
        if step == 0:
            self._head.begin_at(expected_at_first(config, rollouts, counted))
        reading: dict[str, Any] = {"padding": self._padding, "batch": config.batch, "temperature": config.temperature}
        old = read_answers(self.model, rollouts, head=self._head, **reading)
        with as_reference(self.model):
            reference = read_answers(self.model, rollouts, **reading)
        log_ratio = old.log_probs - reference.log_probs
        kl = float(log_ratio.sum(1).mean())
        self.stopped_because = ran_away(self._job, self.model, kl, step=step, good=progressed.good)
        if self.stopped_because:
            return None
        experience = gather(config, rollouts, old, counted, log_ratio, coefficient=progressed.coefficient)
        note_silence(self._job, rollouts, step)
        if experience.alike is not None:
            self._job.announce(f"step {step}: {all_alike(scores, counted)}: nothing to learn")
        figures = {"reward": float(scores.mean()), "reward_std": float(scores.std(correction=0))}
        if len(graded.parts) > 1:
            figures |= {f"reward/{name}": sum(each) / len(each) for name, each in graded.parts.items()}
        figures |= {"kl": kl, "kl_coefficient": progressed.coefficient, **lengths_of(rollouts),
                    "entropy": float(masked_mean(old.entropies, old.mask)),
                    "explained_variance": explained_variance(old.values, experience.returns, old.mask)}  # fmt: skip
        figures |= self._learn(experience, seed) | {"learning_rate": self._learner.schedule.get_last_lr()[0]}
        self._learner.schedule.step()
        progressed.coefficient = next_coefficient(progressed.coefficient, kl, target=config.target_kl, gain=config.kl_gain)
        return figures

    def _learn(self, experience: Experience, seed: int) -> dict[str, float]:
        """Some epochs over a step's answers, in batches; ended where the policy has moved far enough, and told if at once."""
        config, count = self._config, len(experience.rollouts)
        drawn, size = torch.Generator().manual_seed(seed), config.batch * config.accumulate
        seen: list[dict[str, float]] = []
        self.model.train()
        for _ in range(config.passes):
            order = torch.randperm(count, generator=drawn).tolist()
            for start in range(0, count, size):
                seen.append(self._update(experience, order[start : start + size]))
                if config.update_kl and seen[-1]["update_kl"] > config.update_kl:
                    if len(seen) == 1:
                        self._job.announce(
                            f"step {self.state.global_step}: nothing was learned: read again for its first update, the policy is "
                            f"{seen[0]['update_kl']:.3g} nats a token from itself, and update_kl is {config.update_kl:g}"
                        )
                    return _means(seen) | {"updates": len(seen) - 1}
        return _means(seen) | {"updates": len(seen)}

    def _update(self, experience: Experience, rows: Sequence[int]) -> dict[str, float]:
        """One step of the optimizer over some answers; none where the policy has moved too far for it.

        Raises:
            Diverged: a loss or a gradient is no number; the weights are as they were.
        """
        config, learner = self._config, self._learner
        total = float(experience.old.mask[list(rows)].sum())
        sums: dict[str, float] = {}
        for start in range(0, len(rows), config.batch):
            part = list(rows[start : start + config.batch])
            loss, figures = losses(self._job, self.model, self._head, experience, part, total)
            sums = {name: sums.get(name, 0.0) + value for name, value in figures.items()}
            if not math.isfinite(sums["loss"]):
                raise diverged(self._job, f"the loss is {sums['loss']!r}", step=self.state.global_step)
            learner.scaler.scale(loss).backward()
        if not config.update_kl or sums["update_kl"] <= config.update_kl:
            sums["grad_norm"] = learner.step(config.clip)
            if not math.isfinite(sums["grad_norm"]) and not learner.scaler.is_enabled():
                raise diverged(self._job, f"the gradient is {sums['grad_norm']!r}", step=self.state.global_step)
        learner.optimizer.zero_grad(set_to_none=True)
        return sums

    @property
    def _padding(self) -> int:
        return self._job.base.formatter.pad_id()

    def _save(self) -> None:
        folder = self._job.run.folder / FOLDER
        write_state(folder / f"checkpoint-{self.state.global_step}", self.model, self._learner, self._progressed, self.state)
        keep_newest(folder, self._job.arguments["save_total_limit"])
        self._tell("on_save")

    def _load_from_checkpoint(self, folder: str) -> None:
        read_state(Path(folder), self.model, self._learner, self._progressed)
        self.state.global_step = step_of(Path(folder))

    def _tell(self, event: str, **given: Any) -> None:
        for callback in self._job.callbacks:
            if callback is not self._job.interruptible:
                getattr(callback, event)(None, self.state, None, **given)


def _means(seen: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure over the updates that have it."""
    names = dict.fromkeys(name for each in seen for name in each)
    return {name: sum(found) / len(found) for name in names if (found := [each[name] for each in seen if name in each])}


def encode_by(config: TrainingConfig) -> Encode:
    """How a configuration's rows become prompts."""
    return partial(encode_prompts, tokens=config.prompt_range, seed=config.seed)


RECIPE = Recipe(
    "answer", encode_prompts, PPOTrainer, of_no_rows, encode_by=encode_by, measure_answers=measure_answers,
    open_scored=open_scored, compare=compare_graders,
)  # fmt: skip
