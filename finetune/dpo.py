"""DPO: direct preference optimisation. The reference is the base itself, with the adapter switched off: no second model.

Beside it the better answers are learned a little as in SFT (``nll``): plain DPO is content when both answers become unlikely, as
long as the worse one does so faster.
"""

from typing import Any

from finetune.encoding import encode_pairs
from finetune.evaluation import measure_pairs
from finetune.lora import with_reference
from finetune.recipe import Job, Recipe
from finetune.trl_bridge import dataset_of, dpo_trainer


def make_trainer(job: Job) -> Any:
    """TRL's trainer over our pairs of ids."""
    return dpo_trainer(
        job.arguments,
        beta=job.config.beta,
        nll=job.config.nll,
        max_length=job.config.max_length,
        **with_reference(job),
        train_dataset=dataset_of(job.train.features),
        eval_dataset=dataset_of(job.held_out.features) if job.held_out.features else None,
        processing_class=job.base.formatter.padded_tokenizer(),
        callbacks=list(job.callbacks),
        watch=job.watch,
    )


RECIPE = Recipe("answer", encode_pairs, make_trainer, measure_pairs, least_rows=2)
