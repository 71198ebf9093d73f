"""Reward models: a score for an answer, learned from pairs (which is better), ratings (how good) or classes (what it is).

Pairs go through TRL's trainer, whose loss is Bradley and Terry's with margins; ratings and classes are plain regression and
classification. Beside every accuracy stands that of a rule that only looks at length: a model that is no better has learned that.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, pstdev
from typing import Any

import torch
from torch import Tensor

from finetune.base_model import Base
from finetune.config import TrainingConfig
from finetune.data.rows import Classified, Rated, Row
from finetune.encoding import Encoding, encode_scored
from finetune.evaluation import Figures, calibration_error, groups, measuring, on_device
from finetune.log_probs import pad
from finetune.lora import adapted
from finetune.recipe import Job, Recipe
from finetune.scoring import open_scoring_base
from finetune.trl_bridge import dataset_of, plain_trainer, reward_trainer

RESAMPLES = 500
"""Of the calibration error's interval."""


def classes_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """Names of the classes of classified rows, sorted; none for other rows."""
    return tuple(sorted({row.label for row in rows if isinstance(row, Classified)}))


def make_trainer(job: Job) -> Any:
    """TRL's trainer for pairs, transformers' own for ratings and classes."""
    config, model = job.config, adapted(job, task="SEQ_CLS")
    given = {
        "model": model,
        "train_dataset": dataset_of(_targeted(job, job.train)),
        "eval_dataset": dataset_of(_targeted(job, job.held_out)) if job.held_out.features else None,
        "processing_class": job.base.formatter.padded_tokenizer(),
        "callbacks": list(job.callbacks),
        "watch": job.watch,
    }
    if "chosen_ids" in job.train.features[0]:
        return reward_trainer(job.arguments, center=config.center, max_length=config.max_length, **given)
    model.config.problem_type = "single_label_classification" if job.base.classes else "regression"
    padding = job.base.formatter.pad_id()
    return plain_trainer(job.arguments, data_collator=lambda rows: collate(rows, padding), **given)


def collate(rows: Sequence[Mapping[str, Any]], padding: int) -> dict[str, Tensor]:
    """Texts with their targets: ``(b, t)`` ids and mask, ``(b,)`` labels."""
    ids = [list(row["input_ids"]) for row in rows]
    return {
        "input_ids": pad(ids, padding),
        "attention_mask": pad([[1] * len(each) for each in ids], 0),
        "labels": torch.tensor([row["labels"] for row in rows]),
    }


def _targeted(job: Job, encoding: Encoding) -> list[dict[str, Any]]:
    """Rows with their targets as numbers: a class's place, a rating in standard deviations from the mean of those trained on."""
    if not encoding.features or "target" not in encoding.features[0]:
        return [dict(each) for each in encoding.features]
    if classes := job.base.classes:
        return [{**each, "target": None, "labels": classes.index(each["target"])} for each in encoding.features]
    mean, spread = rating_scale(job.train.rows)
    return [{**each, "labels": (each["target"] - mean) / spread} for each in encoding.features]


def rating_scale(rows: Sequence[Row]) -> tuple[float, float]:
    """Mean and standard deviation of ratings; a spread of 0 counts as 1."""
    scores = [row.score for row in rows if isinstance(row, Rated)]
    return (fmean(scores), pstdev(scores) or 1.0) if scores else (0.0, 1.0)


def scores_of(model: Any, texts: Sequence[Sequence[int]], padding: int) -> list[list[float]]:
    """The head's outputs for texts of ids, one list a text, in float32."""
    found: dict[int, list[float]] = {}
    features = [{"length": len(ids), "input_ids": list(ids), "at": at} for at, ids in enumerate(texts)]
    with measuring(model):
        for group in groups(sorted(features, key=lambda each: each["length"])):
            ids = on_device(model, pad([each["input_ids"] for each in group], padding))
            mask = on_device(model, pad([[1] * each["length"] for each in group], 0))
            outputs = model(input_ids=ids, attention_mask=mask).logits.float().tolist()
            found |= {each["at"]: output for each, output in zip(group, outputs, strict=True)}
    return [found[at] for at in range(len(texts))]


def measure_scores(model: Any, encoding: Encoding, padding: int) -> Figures:
    """Pairs: accuracy, margin, and what the length alone would say. Ratings: agreement in order. Classes: accuracy."""
    features = encoding.features
    if not features:
        return {}
    if "chosen_ids" in features[0]:
        scores = scores_of(
            model, [each["chosen_ids"] for each in features] + [each["rejected_ids"] for each in features], padding
        )
        margins = [good[0] - bad[0] for good, bad in zip(scores[: len(features)], scores[len(features) :], strict=True)]
        longer = [len(each["chosen_ids"]) - len(each["rejected_ids"]) for each in features]
        return {
            "accuracy": [float(margin > 0) for margin in margins],
            "margin": margins,
            "score": [output[0] for output in scores],
            "length_rule_accuracy": [0.5 if by == 0 else float(by > 0) for by in longer],
        }
    outputs = scores_of(model, [each["input_ids"] for each in features], padding)
    if isinstance(features[0]["target"], str):
        classes = [model.config.id2label[at] for at in range(len(model.config.id2label))]
        said = [max(range(len(output)), key=output.__getitem__) for output in outputs]
        return {"accuracy": [float(classes[at] == each["target"]) for at, each in zip(said, features, strict=True)]}
    scored = [output[0] for output in outputs]
    return {"order_accuracy": _order([each["target"] for each in features], scored), "score": scored}


def _order(targets: Sequence[float], scores: Sequence[float]) -> list[float]:
    """For each row: in how many of the pairs that it makes with the others the better rated one has the higher score."""
    figures = []
    for at, target in enumerate(targets):
        pairs = [(other, score) for other, score in zip(targets, scores, strict=True) if other != target]
        if pairs:
            figures.append(sum((scores[at] > score) == (target > other) for other, score in pairs) / len(pairs))
    return figures


def open_base(config: TrainingConfig, rows: Sequence[Row], announce: Callable[[str], None]) -> Base:
    """The base with a head for what the rows ask: one output, or one a class."""
    return open_scoring_base(config, classes_of(rows), announce=announce)


def score_scale(figures: Figures) -> dict[str, float] | None:
    """Mean and standard deviation of the scores of held-out answers, to compare rewards by; None for classes."""
    scores = figures.get("score")
    return {"mean": fmean(scores), "std": pstdev(scores) or 1.0} if scores else None


def calibration(figures: Figures) -> dict[str, dict[str, float]]:
    """How far the certainty of pairs, σ(margin), is from how often they are right; with its bootstrap interval."""
    margins = figures.get("margin", [])
    if not margins:
        return {}
    rng = random.Random(0)  # noqa: S311 - a bootstrap
    again = sorted(calibration_error(rng.choices(margins, k=len(margins))) for _ in range(RESAMPLES))
    low, high = again[int(0.025 * RESAMPLES)], again[int(0.975 * RESAMPLES)]
    return {"calibration_error": {"value": calibration_error(margins), "low": low, "high": high}}


RECIPE = Recipe(
    "reward",
    encode_scored,
    make_trainer,
    measure_scores,
    least_rows=2,
    scale=score_scale,
    overall=calibration,
    open_base=open_base,
)
