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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerState

from finetune.checkpoints import FOLDER, step_of
from finetune.config import TrainingConfig
from finetune.errors import Diverged
from finetune.log_probs import answer_states, log_probs_of
from finetune.lora import adapted
from finetune.recipe import Encode, Job, Recipe
from finetune.reinforcement import advantages as ppo
from finetune.reinforcement.kl_control import next_coefficient
from finetune.reinforcement.policy import (
    Reading,
    add_reference,
    as_reference,
    read_answers,
    read_batch,
    trained_part,
    without_dropout,
)
from finetune.reinforcement.ppo_state import Learner, Progressed, keep_newest, read_state, write_state
from finetune.reinforcement.rollouts import Rollout, draw_lengths, draw_rows, encode_prompts, lengths_of, write_answers
from finetune.reinforcement.scored import append_answers, measure_answers, of_no_rows, rewind_answers, sampling_of
from finetune.reinforcement.value_head import ValueHead
from finetune.watching import recompute

SEEDS = 1_000_003
"""Steps of a run that have seeds of their own before those of the next run's begin."""
SHOWN_TIMES = 5
"""Answers are written down so many times a run."""


@dataclass(frozen=True, slots=True)
class Experience:
    """What a step learns from.

    Attributes:
        rollouts: answers of the policy.
        old: what the policy made of them when it wrote them.
        advantages, returns: of each token, ``(b, t)``.
    """

    rollouts: Sequence[Rollout]
    old: Reading
    advantages: Tensor
    returns: Tensor


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
        hidden = self.model.get_base_model().get_output_embeddings().weight
        head = ValueHead(self.model.config.get_text_config().hidden_size, hidden.device)
        self._learner = _learner(job, self.model, head)
        self._head = head
        self._progressed = Progressed(coefficient=job.config.kl)

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
            if last or job.interruptible.interrupted or self.state.global_step % save_every == 0:
                self._save()
            if job.interruptible.interrupted:
                return
        append_answers(job, self.model, self.state.global_step)

    def _step(self) -> dict[str, float] | None:
        """Write, score, learn: figures for the records; None: the policy has run away, and is back where it was before that."""
        rollouts, seed = self._write()
        graded = self._job.scored.grade(rollouts, self._job.train.rows)
        reading: dict[str, Any] = {"padding": self._padding, "batch": self._config.batch, "temperature": self._config.temperature}
        if self.state.global_step == 0:
            self._head.begin_at(sum(graded.totals) / len(graded.totals))
        old = read_answers(self.model, rollouts, head=self._head, **reading)
        with as_reference(self.model):
            reference = read_answers(self.model, rollouts, **reading)
        log_ratio = old.log_probs - reference.log_probs
        kl = float(log_ratio.sum(1).mean())
        if not self._is_near(kl):
            return None
        scores = torch.tensor(graded.totals, device=log_ratio.device)
        experience = self._experience(rollouts, old, scores, log_ratio)
        figures = {"reward": float(scores.mean()), "reward_std": float(scores.std(correction=0))}
        if len(graded.parts) > 1:
            figures |= {f"reward/{name}": sum(each) / len(each) for name, each in graded.parts.items()}
        figures |= {"kl": kl, "kl_coefficient": self._progressed.coefficient, **lengths_of(rollouts),
                    "entropy": float(ppo.masked_mean(old.entropies, old.mask)),
                    "explained_variance": ppo.explained_variance(old.values, experience.returns, old.mask)}  # fmt: skip
        figures |= self._learn(experience, seed) | {"learning_rate": self._learner.schedule.get_last_lr()[0]}
        self._learner.schedule.step()
        config = self._config
        self._progressed.coefficient = next_coefficient(
            self._progressed.coefficient, kl, target=config.target_kl, gain=config.kl_gain
        )
        return figures

    def _write(self) -> tuple[list[Rollout], int]:
        """This step's answers, and its seed."""
        job, config, step = self._job, self._config, self.state.global_step
        seed = config.seed * SEEDS + step + 1
        at = draw_rows(config.rollouts, of=len(job.train.features), start=step * config.rollouts, seed=config.seed)
        prompts = [job.train.features[place]["prompt_ids"] for place in at]
        lengths = draw_lengths(len(at), config.answer_range, seed=seed)
        rollouts = write_answers(self.model, prompts, lengths, sampling_of(job), seed=seed, at=at)
        job.watch.tokens += sum(len(each.prompt) + len(each.answer) for each in rollouts)
        return rollouts, seed

    def _is_near(self, kl: float) -> bool:
        """Whether the policy is still where a KL says something; else it is put back to the last state that was.

        Raises:
            Diverged: it isn't, and no such state is known.
        """
        most = self._config.max_kl
        if math.isfinite(kl) and (not most or kl <= most):
            self._progressed.good = {name: tensor.detach().clone() for name, tensor in trained_part(self.model).items()}
            return True
        advice = f"raise --kl (it was {self._config.kl:g}) or lower --learning-rate (it was {self._config.rate:g})"
        if not math.isfinite(kl) or not self._progressed.good:
            raise Diverged(f"the KL to the reference is {kl:.4g} nats at step {self.state.global_step}", hint=advice)
        for name, tensor in trained_part(self.model).items():
            tensor.data.copy_(self._progressed.good[name])
        self.stopped_because = (
            f"the policy ran away from its reference at step {self.state.global_step}: {kl:.3g} nats an answer, and max_kl is "
            f"{most:g}; the adapter is that of the step before. {advice[0].upper()}{advice[1:]}"
        )
        self._job.announce(self.stopped_because)
        return False

    def _experience(self, rollouts: Sequence[Rollout], old: Reading, scores: Tensor, log_ratio: Tensor) -> Experience:
        """Scores → what each token was worth."""
        config = self._config
        ended = torch.tensor([each.ended for each in rollouts], device=scores.device)
        scores = ppo.clipped_scores(ppo.without_end(scores, ended, config.missing_end_penalty), config.score_clip)
        rewards = ppo.shaped_rewards(scores, log_ratio, old.mask, self._progressed.coefficient)
        if config.whiten_rewards:
            rewards = ppo.whiten(rewards, old.mask, shift=False)
        found = ppo.estimate_advantages(rewards, old.values, old.mask, discount=config.discount, decay=config.decay)
        returns = found + old.values
        if float(scores.max() - scores.min()) == 0:
            self._job.announce(
                f"step {self.state.global_step}: all {len(scores)} scores are {float(scores[0]):.4g}: nothing to learn"
            )
            return Experience(rollouts, old, torch.zeros_like(found), returns)
        return Experience(rollouts, old, ppo.whiten(found, old.mask), returns)

    def _learn(self, experience: Experience, seed: int) -> dict[str, float]:
        """Some epochs over a step's answers, in batches; ended where the policy has moved far enough."""
        config, count = self._config, len(experience.rollouts)
        drawn, size = torch.Generator().manual_seed(seed), config.batch * config.accumulate
        seen: list[dict[str, float]] = []
        self.model.train()
        for _ in range(config.update_epochs):
            order = torch.randperm(count, generator=drawn).tolist()
            for start in range(0, count, size):
                seen.append(self._update(experience, order[start : start + size]))
                if config.update_kl and seen[-1]["update_kl"] > config.update_kl:
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
            loss, figures = self._losses(experience, list(rows[start : start + config.batch]), total)
            sums = {name: sums.get(name, 0.0) + value for name, value in figures.items()}
            if not math.isfinite(sums["loss"]):
                raise self._diverged(sums["loss"])
            learner.scaler.scale(loss).backward()
        if not config.update_kl or sums["update_kl"] <= config.update_kl:
            sums["grad_norm"] = learner.step(config.clip)
            if not math.isfinite(sums["grad_norm"]) and not learner.scaler.is_enabled():
                raise self._diverged(sums["grad_norm"])
        learner.optimizer.zero_grad(set_to_none=True)
        return sums

    def _losses(self, experience: Experience, rows: list[int], total: float) -> tuple[Tensor, dict[str, float]]:
        """The loss of some answers as their part of a batch of ``total`` tokens, and figures of the same kind."""
        config = self._config
        group = [experience.rollouts[at] for at in rows]
        batch = read_batch(self.model, group, self._padding)
        recompute(self.model, batch["input_ids"].numel() > self._job.watch.recompute_above)
        states, wanted = answer_states(self.model, **batch)
        doubts = bool(config.entropy_weight)
        found = log_probs_of(self.model, states, wanted, temperature=config.temperature, entropy=doubts)
        new, entropies = (found[0], found[1]) if doubts else (found, torch.zeros_like(found))
        values = self._head(states if config.value_reaches_policy else states.detach())
        at = experience.old.mask[rows].bool()
        old, worth = experience.old.log_probs[rows][at], experience.advantages[rows][at]
        policy_loss = ppo.policy_losses(new, old, worth, clip=config.clip_ratio).sum() / total
        value_loss = (
            ppo.value_losses(values, experience.old.values[rows][at], experience.returns[rows][at], clip=config.clip_value).sum()
            / total
        )
        loss = policy_loss + config.value_weight * value_loss - config.entropy_weight * entropies.sum() / total
        seen = {"loss": loss, "policy_loss": policy_loss, "value_loss": value_loss,
                "clip_fraction": ppo.clipped_share(new, old, clip=config.clip_ratio).sum() / total,
                "update_kl": ppo.divergence(new, old).sum() / total}  # fmt: skip
        return loss, {name: float(value.detach()) for name, value in seen.items()}

    def _diverged(self, value: float) -> Diverged:
        return Diverged(
            f"the loss is {value!r} at step {self.state.global_step}",
            hint=f"begin again in another --out with a lower --learning-rate (it was {self._config.rate:g})",
        )

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


def _learner(job: Job, model: Any, head: ValueHead) -> Learner:
    """What changes weights, and how much: the adapter by the method's rate, the head by its own."""
    config = job.config
    groups = [{"params": list(trained_part(model).values()), "lr": config.rate, "weight_decay": config.weight_decay},
              {"params": list(head.parameters()), "lr": config.value_rate, "weight_decay": 0.0}]  # fmt: skip
    if config.optimizer == "adamw_8bit":
        from bitsandbytes import optim

        eight_bit: Any = optim.adamw.AdamW8bit  # untyped
        optimizer: Any = eight_bit(groups)
    else:
        optimizer = torch.optim.AdamW(groups)
    share = partial(rate_share, of=job.steps, warmup=job.arguments["warmup_steps"], schedule=config.schedule)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    return Learner(head, optimizer, schedule, torch.amp.GradScaler("cuda", enabled=job.arguments["fp16"]))


def rate_share(step: int, *, of: int, warmup: int, schedule: str) -> float:
    """The share of the highest rate that a step learns with; never 0: its answers are dear.

    Args:
        step: 0 for the first.
        of: how many there are.
        warmup: in how many of them it rises.
        schedule: how it falls.
    """
    left = min(1.0, max(0.0, (of - step) / max(1, of - warmup)))
    falls = {"constant": 1.0, "linear": left, "cosine": 0.5 * (1 - math.cos(math.pi * left))}[schedule]
    return min((step + 1) / (warmup + 1), falls)


def _means(seen: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure over the updates that have it."""
    names = dict.fromkeys(name for each in seen for name in each)
    return {name: sum(found) / len(found) for name in names if (found := [each[name] for each in seen if name in each])}


def encode_by(config: TrainingConfig) -> Encode:
    """How a configuration's rows become prompts."""
    return partial(encode_prompts, tokens=config.prompt_range, seed=config.seed)


RECIPE = Recipe("answer", encode_prompts, PPOTrainer, of_no_rows, encode_by=encode_by, measure_answers=measure_answers)
