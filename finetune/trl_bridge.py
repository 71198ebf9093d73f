"""The only module that imports TRL: its trainers over rows that are token ids already.

TRL never renders or cuts a row here: it is given ids, so that training sees what serving sees. Of its trainers only the loss, the
reference policy and the loop are used; log-probabilities are computed by our head (``finetune.own_head``). ORPO isn't among them:
TRL calls its own experimental (``finetune.orpo`` has ours).
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from assistant.models.quiet import quiet
from finetune.own_head import NOT_COMPUTED, use_own_head
from finetune.watching import Watch, Watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datasets import Dataset

    from finetune.recipe import Job

Features = Mapping[str, Any]


def dataset_of(rows: Sequence[Features]) -> "Dataset":
    """Rows of ids as the trainers read them."""
    from datasets import Dataset

    return Dataset.from_list([dict(row) for row in rows])


@contextmanager
def _trl() -> "Iterator[Any]":
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    with quiet():
        import datasets
        import trl

        datasets.disable_progress_bars()
        yield trl


def sft_trainer(arguments: Mapping[str, Any], *, packing: bool, max_length: int, **given: Any) -> Any:
    """Supervised fine-tuning on ``input_ids`` and ``labels``.

    Args:
        arguments: of ``TrainingArguments``.
        packing: several rows in one sequence, apart by their positions.
        max_length: of such a sequence.
        given: model, datasets, tokenizer, adapter, callbacks, watch.
    """
    with _trl() as trl:
        unpacked = None if packing else {"skip_prepare_dataset": True}
        config = trl.SFTConfig(**arguments, packing=packing, max_length=max_length, dataset_kwargs=unpacked)
        return _build(_with_own_head(trl.SFTTrainer), config, given)


def dpo_trainer(arguments: Mapping[str, Any], *, beta: float, nll: float, max_length: int, **given: Any) -> Any:
    """Direct preference optimisation (Rafailov et al. 2023, eq. 7) on ``prompt_ids``, ``chosen_ids``, ``rejected_ids``.

    Args:
        arguments: of ``TrainingArguments``.
        beta: of the loss.
        nll: weight of the chosen answers' own loss beside it.
        max_length: the longest row.
        given: as for ``sft_trainer``.
    """
    with _trl() as trl:
        losses = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, nll]} if nll else {}
        return _build(
            _with_own_head(_as_given(trl.DPOTrainer)),
            trl.DPOConfig(**arguments, beta=beta, max_length=max_length, **losses),
            given,
        )


def kto_trainer(arguments: Mapping[str, Any], *, beta: float, weights: tuple[float, float], max_length: int, **given: Any) -> Any:
    """Kahneman-Tversky optimisation (Ethayarajh et al. 2024, eq. 8) on ``prompt_ids``, ``completion_ids``, ``label``.

    Args:
        arguments: of ``TrainingArguments``.
        beta: of the loss.
        weights: of good and bad answers.
        max_length: the longest row.
        given: as for ``sft_trainer``. Rows carry ``KL_completion_ids``: the answer of another row of their batch.
    """
    with _trl() as trl:
        config = trl.KTOConfig(
            **{**arguments, "train_sampling_strategy": "sequential"},
            beta=beta,
            desirable_weight=weights[0],
            undesirable_weight=weights[1],
            max_length=max_length,
        )
        return _build(_with_own_head(_as_given(trl.KTOTrainer)), config, given)


def reward_trainer(arguments: Mapping[str, Any], *, center: float, max_length: int, **given: Any) -> Any:
    """A reward model (Bradley-Terry, as in Ouyang et al. 2022, eq. 1) on ``chosen_ids``, ``rejected_ids``, ``margin``."""
    with _trl() as trl:
        config = trl.RewardConfig(**arguments, center_rewards_coefficient=center or None, max_length=max_length)
        return _build(trl.RewardTrainer, config, given)


def rloo_trainer(job: "Job", settings: Mapping[str, Any]) -> Any:
    """REINFORCE, leave one out (Ahmadian et al. 2024, eq. 8), a round of answers a step (``finetune.reinforcement.grouped``)."""
    from finetune.reinforcement.grouped import Grouped

    with _trl() as trl:
        return _in_groups(type("RLOO", (Grouped, trl.RLOOTrainer), {}), trl.RLOOConfig(**settings), job)


def grpo_trainer(job: "Job", settings: Mapping[str, Any]) -> Any:
    """Group-relative policy optimisation (Shao et al. 2024, eq. 3), a round of answers a step."""
    from finetune.reinforcement.grouped import GroupedWithLogProbs

    with _trl() as trl:
        return _in_groups(type("GRPO", (GroupedWithLogProbs, trl.GRPOTrainer), {}), trl.GRPOConfig(**settings), job)


def _in_groups(trainer: Any, config: Any, job: "Job") -> Any:
    """A trainer over a job's prompts, ready to train."""
    from finetune.lora import with_reference
    from finetune.reinforcement.grouped import by_siblings, prompts_of
    from finetune.reinforcement.policy import add_reference, without_dropout

    built = trainer(
        args=config, **with_reference(job), reward_funcs=by_siblings, train_dataset=dataset_of(prompts_of(job)),
        processing_class=job.base.formatter.padded_tokenizer(), callbacks=list(job.callbacks),
    )  # fmt: skip
    _train_in_full_precision(built.model)
    without_dropout(built.model)
    add_reference(built.model, job.config.init_adapter)  # in the place of TRL's own copy
    built.begin(job)
    return built


def _as_given(trainer: Any) -> Any:
    """A trainer that takes its rows as they are."""

    class AsGiven(trainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    return AsGiven


def _with_own_head(trainer: Any) -> Any:
    """A trainer whose model answers TRL's calls for log-probabilities by our head."""

    class OwnHead(trainer):  # type: ignore[misc]
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            use_own_head(self.model)

        def log(self, logs: dict[str, float], *rest: Any, **named: Any) -> None:
            for seen in self._metrics.values():
                for name in NOT_COMPUTED:
                    seen.pop(name, None)
            super().log(logs, *rest, **named)

    return OwnHead


def _build(trainer: Any, config: Any, given: Mapping[str, Any]) -> Any:
    options = dict(given)
    watch: Watch = options.pop("watch")

    class Watching(Watched, trainer):  # type: ignore[misc]
        """A trainer that tells after every batch what it has seen."""

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """A checkpoint is a state to go on from, and needs no card."""

    built = Watching(args=config, **options)
    _train_in_full_precision(built.model)
    built.watch = watch
    return built


def plain_trainer(arguments: Mapping[str, Any], **given: Any) -> Any:
    """Transformers' own trainer, watched, for what TRL has no part in."""
    from transformers import Trainer, TrainingArguments

    with quiet():
        return _build(Trainer, TrainingArguments(**arguments), given)


def _train_in_full_precision(model: Any) -> None:
    """Undo TRL's bf16 for adapters of quantised bases: small steps are lost in its 8 bits, and a T4 has no bf16."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
