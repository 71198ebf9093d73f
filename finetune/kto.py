"""KTO: learning from answers that were called good or bad, one at a time: what thumbs give.

Rows are shuffled once, because each is compared with its neighbours in the batch, and those are fixed before the training begins.
"""

import random
from collections.abc import Sequence
from typing import Any

from finetune.encoding import Features, encode_judged, with_mismatched
from finetune.evaluation import measure_judged
from finetune.lora import with_reference
from finetune.recipe import Job, Recipe
from finetune.trl_bridge import dataset_of, kto_trainer

MOST_WEIGHT = 10.0
"""Of the rarer label: beyond it a handful of rows would decide all."""


def make_trainer(job: Job) -> Any:
    """TRL's trainer over our judged ids."""
    config, features = job.config, list(job.train.features)
    random.Random(config.seed).shuffle(features)  # noqa: S311 - an order, not a secret
    rows = with_mismatched(features, config.batch)
    measured = with_mismatched(job.held_out.features, config.batch)
    return kto_trainer(
        job.arguments,
        beta=config.beta,
        weights=label_weights(features),
        max_length=config.max_length,
        **with_reference(job),
        train_dataset=dataset_of(rows),
        eval_dataset=dataset_of(measured) if measured else None,
        processing_class=job.base.formatter.padded_tokenizer(),
        callbacks=list(job.callbacks),
        watch=job.watch,
    )


def label_weights(features: Sequence[Features]) -> tuple[float, float]:
    """Weights of good and bad answers that let both count alike, as eq. 8 of the paper asks."""
    good = sum(bool(each["label"]) for each in features)
    bad = len(features) - good
    if not good or not bad:
        return 1.0, 1.0
    return (min(bad / good, MOST_WEIGHT), 1.0) if good < bad else (1.0, min(good / bad, MOST_WEIGHT))


RECIPE = Recipe("answer", encode_judged, make_trainer, measure_judged, least_rows=2)
