"""What RLOO and GRPO have in common: several answers to each prompt, each of them held to its siblings; no value head.

    write a group to each prompt → score → TRL's advantages within the group → some epochs of TRL's clipped loss

TRL's trainers bring the advantages, the losses, the reference policy and the loop. Whatever touches tokens is ours, and the same
as for PPO: prompts' ids, how answers are drawn, their log-probabilities (``finetune.log_probs``), their scores, what is logged. A
step is a round of answers with all the updates that are made from them, so that it ends, is saved and goes on as a whole.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import TrainerCallback

from finetune.checkpoints import FOLDER
from finetune.config import TrainingConfig
from finetune.log_probs import answer_states, log_probs_of
from finetune.reinforcement import advantages, scored
from finetune.reinforcement.learner import rate_share
from finetune.reinforcement.leash import distance, diverged, ran_away, ran_away_at_last
from finetune.reinforcement.ppo_state import GOOD
from finetune.reinforcement.rollouts import Rollout, draw_lengths, lengths_of, step_seed, write_answers
from finetune.watching import recompute

if TYPE_CHECKING:
    from finetune.recipe import Job

Batch = dict[str, Any]
NO_PULL = 1e-30
"""TRL looks at the reference only where the KL counts: so little that it changes nothing, and the distance is still known."""


def prompts_of(job: "Job") -> list[dict[str, Any]]:
    """The prompts of all steps in their order, each as often as it is answered: ``prompt`` ids, and ``at``, its row's number."""
    at = [place for step in range(job.steps) for place in scored.places_of(job, step)]
    return [{"prompt": job.train.features[place]["prompt_ids"], "at": place} for place in at]


def group_settings(job: "Job") -> dict[str, Any]:
    """What both of TRL's trainers need to be told beside ``job.arguments``; its own defaults are for other machines."""
    config = job.config
    return {
        **job.arguments,
        "per_device_train_batch_size": config.rollouts, "gradient_accumulation_steps": 1,  # a step is a round
        "eval_strategy": "no", "logging_steps": 1, "num_train_epochs": 1, "train_sampling_strategy": "sequential",
        "num_generations": config.num_generations, "beta": config.kl or NO_PULL, "epsilon": config.clip_ratio,
        "temperature": config.temperature, "top_k": config.top_k, "top_p": config.top_p,
        "max_completion_length": config.answer_range[1], "mask_truncated_completions": config.mask_truncated,
    }  # fmt: skip


def by_siblings(**_given: Any) -> list[float]:
    """What TRL is given for a reward function: scores come by ``Grouped._calculate_rewards``."""
    raise TypeError("scores are asked for elsewhere")


class Grouped:
    """Mixed into TRL's trainers: a training step is a whole round.

    Attributes:
        job: what is trained; set by ``begin``.
        stopped_because: why it ended before its steps were done; empty: it didn't.
    """

    job: "Job"
    model: Any
    stopped_because = ""

    def begin(self, job: "Job") -> None:
        """Take the job on, after TRL's own beginning."""
        self.job, self._sampling, self._counting = job, scored.sampling_of(job), scored.Counting(job)
        self.eos_token_ids = list(self._sampling.stops)
        self._figures: dict[str, float] = {}
        self._readings: list[Tensor] = []
        self._rollouts: list[Rollout] = []
        self._at: list[int] = []
        self._good: dict[str, Tensor] = {}
        self.add_callback(Answering(job, self))  # type: ignore[attr-defined]

    def training_step(self, model: Any, inputs: Sequence[Mapping[str, Any]], *_: Any, **__: Any) -> Tensor:
        """Write, score, learn; the last update of the round is the loop's.

        Raises:
            Diverged: a loss is no number, or the policy has run away at once.
            GraderFault: scores can't be had.
        """
        model.train()
        self._at, self._readings = [each["at"] for each in inputs], []
        batch: Batch = self._generate_and_score_completions(inputs)  # type: ignore[attr-defined]
        own, reference = self._old_and_reference(batch)
        mask = batch["completion_mask"]
        kl = float(((own[0] - reference[0]) * mask).sum(1).mean())
        if int(mask.sum()) < sum(len(each.answer) for each in self._rollouts):  # mask_truncated: TRL doesn't read those at all
            kl = distance(self.job, self.model, self._rollouts)
        self._figures |= {"kl": kl, "entropy": float(advantages.masked_mean(own[1], mask))}
        self.job.watch.tokens += sum(len(each.prompt) + len(each.answer) for each in self._rollouts)
        if not mask.any():
            self.job.announce(f"step {self._step_number}: no answer ended, and mask_truncated leaves out those: nothing to learn")
        self.stopped_because = ran_away(self.job, self.model, kl, step=self._step_number, good=self._good)
        if not self.stopped_because:
            return self._learn(model, batch)
        self.control.should_training_stop = True  # type: ignore[attr-defined]
        return own.new_zeros(())

    def look_back(self) -> bool:
        """Whether the policy has run away by the last step's learning; then it is put back, and ``stopped_because`` says so.

        Raises:
            Diverged: it is so far away that nothing can be said.
        """
        self.stopped_because = ran_away_at_last(self.job, self.model, step=self._step_number, good=self._good)
        return bool(self.stopped_because)

    def _old_and_reference(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies, ``(2, b, t)``, by the policy that wrote and by the reference."""
        if "old_logps" in batch:  # RLOO reads the policy first
            return self._readings[0], self._readings[1]
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
        with torch.no_grad():  # GRPO leaves it out where it would learn only once from each answer
            found = self._get_per_token_logps_and_entropies(self.model, ids, mask, batch["completion_ids"].shape[1])
        batch["old_per_token_logps"] = found[0]
        return self._readings[1], self._readings[0]

    def _learn(self, model: Any, batch: Batch) -> Tensor:
        """Some epochs over a round's answers, in batches; the gradients of the last are left to be used."""
        config, count = self.job.config, len(batch["advantages"])
        drawn, size = torch.Generator().manual_seed(self._seed), config.batch * config.accumulate
        orders = [torch.randperm(count, generator=drawn).tolist() for _ in range(config.passes)]
        updates = [order[start : start + size] for order in orders for start in range(0, count, size)]
        losses = []
        for number, rows in enumerate(updates):
            if number:
                self._clip_grad_norm(model)
                self.optimizer.step()  # type: ignore[attr-defined]
                model.zero_grad()
            losses.append(self._backward(model, batch, rows))
            if not math.isfinite(losses[-1]):
                raise diverged(self.job, f"the loss is {losses[-1]!r}", step=self._step_number)
        self._figures["updates"] = len(updates)
        return torch.tensor(sum(losses) / len(losses), device=batch["advantages"].device)

    def _backward(self, model: Any, batch: Batch, rows: Sequence[int]) -> float:
        """Gradients of the loss of some answers, ``batch`` of them at once; returns the loss."""
        total, by_tokens = 0.0, "num_items_in_batch" in batch  # GRPO's loss is a mean over tokens, RLOO's over answers
        for start in range(0, len(rows), self.job.config.batch):
            at = list(rows[start : start + self.job.config.batch])
            part = {name: each[at] for name, each in batch.items() if isinstance(each, Tensor) and each.ndim}
            if by_tokens:
                part["num_items_in_batch"] = batch["completion_mask"][list(rows)].sum()
            with self.compute_loss_context_manager():  # type: ignore[attr-defined]
                loss = self.compute_loss(model, part)  # type: ignore[attr-defined]
            loss = loss if by_tokens else loss * (len(at) / len(rows))
            self.accelerator.backward(loss)  # type: ignore[attr-defined]
            total += float(loss.detach())
        return total

    def _tokenize_prompts(self, prompts: list[list[int]]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return prompts, None, {}

    def _generate_single_turn(self, prompt_ids: list[list[int]], *_: Any, **__: Any) -> Any:
        each = self.job.config.num_generations
        drawn = draw_lengths(len(prompt_ids) // each, self.job.config.answer_range, seed=self._seed)
        lengths = [length for length in drawn for _ in range(each)]  # siblings differ by what they say alone
        self._rollouts = write_answers(self.model, prompt_ids, lengths, self._sampling, seed=self._seed, at=self._at)
        return [rollout.answer for rollout in self._rollouts]

    def _calculate_rewards(self, *_: Any, **__: Any) -> Tensor:
        config, graded = self.job.config, self.job.scored.grade(self._rollouts, self.job.train.rows)
        scores = torch.tensor(graded.totals, device=next(self.model.parameters()).device)
        self._figures = {"reward": float(scores.mean()), "reward_std": float(scores.std(correction=0))}
        if len(graded.parts) > 1:
            self._figures |= {f"reward/{name}": sum(part) / len(part) for name, part in graded.parts.items()}
        counted = self._counting(scores, self._rollouts, self._step_number)
        groups = counted.view(-1, config.num_generations)
        alike = groups.max(1).values == groups.min(1).values
        self._figures |= {"groups_alike": float(alike.float().mean()), **lengths_of(self._rollouts)}
        scored.note_silence(self.job, self._rollouts, self._step_number)
        if alike.all():
            one = bool(counted.max() == counted.min())
            said = scored.all_alike(scores, counted) if one else "the answers to each prompt all score alike"
            self.job.announce(f"step {self._step_number}: {said}: nothing to learn")
        return counted[:, None]

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor, None]:
        """By our head: log-probabilities of the answers' tokens, ``(b, t)``, and entropies where no gradient is wanted."""
        learns = torch.is_grad_enabled()
        size = len(input_ids) if learns else self.job.config.batch
        parts = [
            self._read(model, input_ids[start : start + size], attention_mask[start : start + size], logits_to_keep)
            for start in range(0, len(input_ids), size)
        ]
        found = torch.cat(parts, 1)
        if not learns:
            self._readings.append(found)
        return found[0], found[-1].detach(), None

    def _read(self, model: Any, input_ids: Tensor, attention_mask: Tensor, width: int) -> Tensor:
        learns = torch.is_grad_enabled()
        recompute(model, learns and input_ids.numel() > self.job.watch.recompute_above)
        learned = attention_mask.bool().clone()
        learned[:, :-width] = False
        positions = (attention_mask.cumsum(1) - 1).clamp(min=0)  # prompts are padded on their left, and GPT-2 counts from there
        with self.accelerator.autocast():  # type: ignore[attr-defined]
            states, wanted = answer_states(model, input_ids, attention_mask, learned, position_ids=positions)
            values = log_probs_of(model, states, wanted, temperature=self.job.config.temperature, entropy=not learns)
        values = values if values.ndim == 2 else values[None]  # (1 or 2, n)
        at = learned[:, -width:].expand(len(values), -1, -1)
        return values.new_zeros(at.shape).masked_scatter(at, values)

    def log(self, logs: dict[str, float], *rest: Any, **named: Any) -> None:
        """What is logged has the names that it has in every method."""
        seen: Mapping[str, list[float]] = self._metrics["train"]  # type: ignore[attr-defined]
        if "loss" in logs:
            clipped = seen.get("clip_ratio/region_mean") or [0.0]
            logs |= {**self._figures, "clip_fraction": sum(clipped) / len(clipped)}
        for each in self._metrics.values():  # type: ignore[attr-defined]
            each.clear()
        super().log(logs, *rest, **named)  # type: ignore[misc]

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Rates as in PPO: a rate of 0 would waste a round of answers."""
        config: TrainingConfig = self.job.config
        if self.lr_scheduler is None:  # type: ignore[has-type]
            warmup = self.job.arguments["warmup_steps"]
            share = partial(rate_share, of=num_training_steps, warmup=warmup, schedule=config.schedule)
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, share)  # type: ignore[attr-defined]
        return self.lr_scheduler

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """A checkpoint is a state to go on from, and needs no card."""

    def _clip_grad_norm(self, model: Any) -> Any:
        norm = super()._clip_grad_norm(model)  # type: ignore[misc]
        if not math.isfinite(float(norm)) and not self.job.arguments["fp16"]:  # there the scaler leaves such a step out
            raise diverged(self.job, f"the gradient is {float(norm)!r}", step=self._step_number)
        return norm

    def _save_checkpoint(self, *given: Any) -> None:
        super()._save_checkpoint(*given)  # type: ignore[misc]
        folder = self.job.run.folder / FOLDER / f"checkpoint-{self._step_number}"
        save_file({name: tensor.cpu().contiguous() for name, tensor in self._good.items()}, folder / GOOD)

    def _load_from_checkpoint(self, folder: str, *rest: Any) -> None:
        super()._load_from_checkpoint(folder, *rest)  # type: ignore[misc]
        if (Path(folder) / GOOD).is_file():
            device = next(self.model.parameters()).device
            self._good = {name: tensor.to(device) for name, tensor in load_file(Path(folder) / GOOD).items()}

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        """The prompts are in their order already: an order that is drawn while it is read couldn't be gone on with."""
        return torch.utils.data.SequentialSampler(self.train_dataset if dataset is None else dataset)  # type: ignore[attr-defined]

    @property
    def _step_number(self) -> int:
        return int(self.state.global_step)  # type: ignore[attr-defined]

    @property
    def _seed(self) -> int:
        return step_seed(self.job.config.seed, self._step_number)


class GroupedWithLogProbs(Grouped):
    """The same for a trainer that also asks for the log-probabilities of writing: it has none to correct for."""

    def _generate_single_turn(self, prompt_ids: list[list[int]], *rest: Any, **named: Any) -> Any:
        return super()._generate_single_turn(prompt_ids, *rest, **named), None


class Answering(TrainerCallback):
    """Writes answers to the first held-out prompts down, some times a run; behind the last step it has the policy looked at."""

    def __init__(self, job: "Job", trainer: Grouped) -> None:
        self._job, self._trainer, self._often = job, trainer, max(1, job.steps // scored.SHOWN_TIMES)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - transformers names them
        scored.rewind_answers(self._job.run.folder, state.global_step)

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:  # noqa: ARG002 - transformers names them
        if state.global_step % self._often == 0:
            scored.append_answers(self._job, model, state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - transformers names them
        last = state.global_step >= state.max_steps
        if self._trainer.stopped_because or (last and self._trainer.look_back()):
            control.should_save = False  # an interrupted run must come to this again

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:  # noqa: ARG002 - transformers names them
        if not self._job.interruptible.interrupted:
            scored.append_answers(self._job, model, state.global_step)
