"""What a model can do with held-out rows, before and after: figures a row, so that two models can be compared on the same rows.

It knows rows of ids and models; nothing is retrieved or trained. A preference counts as right where the better answer has the
higher log-probability *per token*: the sum would favour short answers.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from finetune.encoding import Encoding, Features
from finetune.log_probs import pad, pad_answers, row_sums, token_log_probs
from finetune.statistics import as_document, mean_interval, wilson
from indexes.evaluation import Interval

BATCH_TOKENS = 4096
"""Tokens measured at once, padding included."""

Figures = dict[str, list[float]]
"""A metric's name → its value for each held-out row."""
SHARES = ("accuracy",)
"""Metrics that are 0 or 1 a row: their intervals are Wilson's."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a model wrote for a prompt, and whether it ended by itself."""

    text: str
    stopped: bool


@contextmanager
def measuring(model: Any) -> Iterator[None]:
    """Without gradients or dropout, and as it was afterwards."""
    was = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was)


def measure_learned(model: Any, encoding: Encoding, padding: int) -> Figures:
    """SFT: nats per learned token, and bits per character of the learned text.

    The second compares models with different tokenizers, which the first can't.
    """
    figures: Figures = {"nll": [], "bits_per_character": []}
    with measuring(model):
        for group in groups(encoding.features):
            width = max(each["length"] for each in group)
            ids = on_device(model, pad([each["input_ids"] for each in group], padding))
            mask = on_device(model, torch.tensor([[1] * each["length"] + [0] * (width - each["length"]) for each in group]))
            learned = [[label >= 0 for label in each["labels"]] + [False] * (width - each["length"]) for each in group]
            at = on_device(model, torch.tensor(learned))
            at[:, 0] = False
            sums, counts = row_sums(token_log_probs(model, ids, mask, at), at)
            figures["nll"] += (-sums / counts).tolist()
            figures["bits_per_character"] += [
                -total / math.log(2) / max(each["characters"], 1.0) for total, each in zip(sums.tolist(), group, strict=True)
            ]
    return figures


def measure_pairs(model: Any, encoding: Encoding, padding: int) -> Figures:
    """Preferences: whether the better answer is likelier per token, and by how much; and whether the longer one is the better."""
    figures: Figures = {"accuracy": [], "margin": [], "length_rule_accuracy": []}
    with measuring(model):
        for group in groups(encoding.features, sides=2):
            prompts = [each["prompt_ids"] for each in group]
            chosen = _means(model, prompts, [each["chosen_ids"] for each in group], padding)
            rejected = _means(model, prompts, [each["rejected_ids"] for each in group], padding)
            figures["margin"] += (chosen - rejected).tolist()
            figures["accuracy"] += (chosen > rejected).float().tolist()
    figures["length_rule_accuracy"] = [
        0.5
        if len(each["chosen_ids"]) == len(each["rejected_ids"])
        else float(len(each["chosen_ids"]) > len(each["rejected_ids"]))
        for each in encoding.features
    ]
    return figures


def measure_judged(model: Any, encoding: Encoding, padding: int) -> Figures:
    """KTO: how often a good answer is likelier per token than a bad one (the area under the curve), a good row at a time."""
    means: list[float] = []
    with measuring(model):
        for group in groups(encoding.features):
            found = _means(model, [each["prompt_ids"] for each in group], [each["completion_ids"] for each in group], padding)
            means += found.tolist()
    good = [mean for mean, each in zip(means, encoding.features, strict=True) if each["label"]]
    bad = [mean for mean, each in zip(means, encoding.features, strict=True) if not each["label"]]
    if not good or not bad:
        return {}
    return {"auc": [sum((mean > other) + 0.5 * (mean == other) for other in bad) / len(bad) for mean in good]}


def summarise(figures: Figures) -> dict[str, dict[str, float]]:
    """Each metric's mean with its 95 % interval."""
    return {name: as_document(_interval(name, values)) for name, values in figures.items() if values}


def _interval(name: str, values: Sequence[float]) -> Interval:
    if name in SHARES and all(value in (0.0, 1.0) for value in values):
        return wilson(int(sum(values)), len(values))
    return mean_interval(values)


def answer_prompts(model: Any, prompts: Sequence[Sequence[int]], *, stop: int, padding: int, most: int) -> list[list[int]]:
    """Write an answer to each prompt, greedily: its ids, with the end if it came."""
    answers = []
    with measuring(model):
        for prompt in prompts:
            ids = on_device(model, torch.tensor([list(prompt)]))
            out = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=most, do_sample=False, eos_token_id=stop,
                pad_token_id=padding,
            )  # fmt: skip
            answers.append(out[0, len(prompt) :].tolist())
    return answers


def calibration_error(margins: Sequence[float], *, bins: int = 10) -> float:
    """How far a reward model's stated certainty σ(|margin|) is from how often it is right (expected calibration error).

    Args:
        margins: better − worse, one a pair.
        bins: of equal width over certainties from a half to 1.
    """
    if not margins:
        return math.nan
    grouped: dict[int, list[tuple[float, bool]]] = {}
    for margin in margins:
        certainty = 1 / (1 + math.exp(-min(abs(margin), 50.0)))
        grouped.setdefault(min(int((certainty - 0.5) * 2 * bins), bins - 1), []).append((certainty, margin > 0))
    gaps = (abs(sum(c for c, _ in each) - sum(right for _, right in each)) for each in grouped.values())
    return sum(gaps) / len(margins)


def _means(model: Any, prompts: list[list[int]], answers: list[list[int]], padding: int) -> Tensor:
    batch = {name: on_device(model, value) for name, value in pad_answers(prompts, answers, padding).items()}
    values = token_log_probs(model, batch["input_ids"], batch["attention_mask"], batch["learned"])
    sums, counts = row_sums(values, batch["learned"])
    means: Tensor = sums / counts
    return means.cpu()


def groups(features: Sequence[Features], *, sides: int = 1) -> Iterator[list[Mapping[str, Any]]]:
    """Rows in their order, as many at once as there is room for."""
    group: list[Mapping[str, Any]] = []
    for each in features:
        widest = max([each["length"], *(other["length"] for other in group)])
        if group and sides * widest * (len(group) + 1) > BATCH_TOKENS:
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def on_device(model: Any, tensor: Tensor) -> Tensor:
    """A tensor where the model is."""
    return tensor.to(next(model.parameters()).device)
