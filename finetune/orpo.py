"""ORPO: odds ratio preference optimisation (Hong, Lee and Thorne 2024, arXiv 2403.07691). No reference model is needed.

The better answer is learned as in SFT, and the odds of writing it are raised over those of the worse one. The loss is ours,
because TRL calls its own experimental; a test holds it against TRL's. Only answers count, prompts never do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from transformers import Trainer, TrainingArguments

from finetune.encoding import encode_pairs
from finetune.evaluation import measure_pairs
from finetune.log_probs import pad_answers, row_sums, token_log_probs
from finetune.lora import adapted
from finetune.recipe import Job, Recipe
from finetune.trl_bridge import dataset_of
from finetune.watching import Watched


@dataclass(frozen=True, slots=True)
class OrpoLoss:
    """The loss of a batch and what it is made of, each a scalar tensor."""

    loss: Tensor
    nll: Tensor
    odds_ratio: Tensor
    log_odds: Tensor
    accuracy: Tensor


def orpo_loss(chosen: Tensor, rejected: Tensor, nll: Tensor, beta: float) -> OrpoLoss:
    """The loss: nll − β · mean log σ(log odds(chosen) − log odds(rejected)); eq. 6 and 7 of the paper, whose λ is β.

    Args:
        chosen: mean log-probability of the better answers' tokens, ``(b,)``.
        rejected: of the worse ones', ``(b,)``.
        nll: of the chosen answers' tokens, a scalar.
        beta: how hard the odds pull.
    """
    log_odds = (chosen - rejected) - (_log1mexp(chosen) - _log1mexp(rejected))  # (b,)
    ratio = -logsigmoid(log_odds)
    return OrpoLoss(nll + beta * ratio.mean(), nll, ratio.mean(), log_odds.mean(), (chosen > rejected).float().mean())


def _log1mexp(x: Tensor) -> Tensor:
    """log(1 − eˣ) for x ≤ 0, without cancellation (Mächler 2012); an answer that is certain counts as almost certain."""
    x = x.clamp(max=-1e-6)
    return torch.where(x > -0.6931, torch.log(-torch.expm1(x)), torch.log1p(-torch.exp(x)))


class OrpoTrainer(Watched, Trainer):
    """transformers' loop with ORPO's loss."""

    def __init__(self, *, beta: float, **given: Any) -> None:
        super().__init__(**given)
        self._beta = beta
        self._seen: dict[str, dict[str, list[float]]] = {"train": {}, "eval": {}}

    def compute_loss(
        self,
        model: Any,
        inputs: Mapping[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,  # noqa: ARG002 - of tokens; this mean is over rows
    ) -> Any:
        learned = inputs["learned"]
        values = token_log_probs(model, inputs["input_ids"], inputs["attention_mask"], learned)
        sums, counts = row_sums(values, learned)
        half = len(sums) // 2  # the chosen first, then the rejected
        means = sums / counts
        found = orpo_loss(means[:half], means[half:], -sums[:half].sum() / counts[:half].sum(), self._beta)
        seen = self._seen["train" if model.training else "eval"]
        for name in ("nll", "odds_ratio", "log_odds", "accuracy"):
            seen.setdefault(f"rewards/{name}" if name == "accuracy" else name, []).append(float(getattr(found, name).detach()))
        return (found.loss, {}) if return_outputs else found.loss

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> Any:  # noqa: ARG002 - transformers names it
        """Half precision where it is asked for: transformers has it in the model's forward, which our head goes round."""
        return self.accelerator.autocast()

    def prediction_step(self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None) -> Any:  # noqa: ARG002
        with torch.no_grad(), self.compute_loss_context_manager():
            loss = self.compute_loss(model, self._prepare_inputs(inputs))
        return loss.detach(), None, None

    def log(self, logs: dict[str, float], *rest: Any, **named: Any) -> None:
        mode = "eval" if any(name.startswith("eval_") for name in logs) else "train"
        prefix = "eval_" if mode == "eval" else ""
        logs |= {f"{prefix}{name}": sum(each) / len(each) for name, each in self._seen[mode].items()}
        self._seen[mode].clear()
        super().log(logs, *rest, **named)


def collate(rows: Sequence[Mapping[str, Any]], padding: int) -> dict[str, Tensor]:
    """Pairs → ``(2b, t)``: the chosen answers first, then the rejected ones."""
    prompts = [row["prompt_ids"] for row in rows]
    answers = [row["chosen_ids"] for row in rows] + [row["rejected_ids"] for row in rows]
    return pad_answers(prompts + prompts, answers, padding)


def make_trainer(job: Job) -> Any:
    """A trainer for pairs."""
    padding = job.base.formatter.pad_id()
    trainer = OrpoTrainer(
        beta=job.config.beta,
        model=adapted(job),
        args=TrainingArguments(**job.arguments, label_names=["learned"]),
        train_dataset=dataset_of(job.train.features),
        eval_dataset=dataset_of(job.held_out.features) if job.held_out.features else None,
        data_collator=lambda rows: collate(rows, padding),
        callbacks=list(job.callbacks),
    )
    trainer.watch = job.watch
    trainer.model_accepts_loss_kwargs = False  # the loss is a mean over rows: each of several batches of a step counts alike
    return trainer


RECIPE = Recipe("answer", encode_pairs, make_trainer, measure_pairs, least_rows=2)
