"""SFT: supervised fine-tuning. The assistant's turns are learned, token by token, and nothing else."""

from typing import Any

from finetune.encoding import encode_learned
from finetune.evaluation import measure_learned
from finetune.lora import adapted
from finetune.recipe import Job, Recipe
from finetune.trl_bridge import dataset_of, sft_trainer


def make_trainer(job: Job) -> Any:
    """TRL's trainer over our ids and labels."""
    config = job.config
    return sft_trainer(
        job.arguments,
        packing=config.packing,
        max_length=config.max_length,
        model=adapted(job),
        train_dataset=dataset_of(job.train.features),
        eval_dataset=dataset_of(job.held_out.features) if job.held_out.features else None,
        processing_class=job.base.formatter.padded_tokenizer(),
        callbacks=list(job.callbacks),
        watch=job.watch,
    )


RECIPE = Recipe("answer", encode_learned, make_trainer, measure_learned)
