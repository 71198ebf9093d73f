"""Text classifiers as graders: the log-odds or the probability of a label, or the one number of a model that scores.

Read is what ``Sample.read`` says: the answer, or the whole of a text that was gone on with. A model of one output that has a chat
template reads prompt and answer as the template writes them; one without reads both as two texts.
"""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from assistant.adapters.manifest import FILE, read_manifest
from assistant.errors import ModelError
from assistant.models.checkpoint import Checkpoint
from assistant.models.families import attention, context_length
from assistant.models.hardware import choose_hardware
from assistant.models.hub import find_model, first_line
from assistant.models.pretrained import read_tokenizer
from assistant.models.quiet import quiet
from assistant.models.rendering import own_template
from finetune.evaluation import groups, measuring, on_device
from finetune.graders.grader import Sample, checked
from finetune.graders.reward import Announce, Limit
from finetune.log_probs import pad
from finetune.reward_model import RewardModel
from finetune.scoring import scoring_formatter
from indexes.errors import UsageError

Measure = Literal["log-odds", "probability"]
Outputs = Callable[[Sequence[str]], list[list[float]]]
Encoded = dict[str, list[int]]
"""A text as a tokenizer returns it."""


class LabelGrader:
    """Scores by how surely a text is of a class.

        log-odds      z_label − log Σ exp z_other  (any real number; 0 is as likely as not)
        probability   1 / (1 + exp(−log-odds)), in [0, 1]

    Args:
        model: a folder or a Hugging Face id; or an adapter that ``finetune reward`` trained on texts with labels.
        label: the name of a class, or its number.
        measure: which of the two.
        announce: told what goes on.

    Raises:
        ModelError: it is no classifier, or has no trained head.
        UsageError: it knows no such class.
    """

    def __init__(self, model: str, label: str, *, measure: Measure = "log-odds", announce: Announce = lambda _: None) -> None:
        self.name = f"{'classifier' if measure == 'log-odds' else 'probability'}:{Path(model).name}:{label}"
        self._measure = measure
        classes, self._outputs, self._apart = _open(model, self.name, announce)
        self._at = _place(model, label, classes)

    def score(self, samples: Sequence[Sample]) -> list[float]:
        odds = [log_odds(output, self._at, apart=self._apart) for output in self._outputs([each.read for each in samples])]
        if self._measure == "probability":
            odds = torch.tensor(odds, dtype=torch.float64).sigmoid().tolist()
        return checked(self.name, odds, samples)


class ScoreGrader:
    """Scores by the one output of a sequence classifier, as it is.

    Args:
        model: a folder or a Hugging Face id.
        announce: told what goes on.

    Raises:
        ModelError: it has no trained head.
        UsageError: it has several outputs.
    """

    def __init__(self, model: str, *, announce: Announce = lambda _: None) -> None:
        self.name = Path(model).name
        self._model, self._tokenizer = load_classifier(find_model(model), announce)
        if (outputs := int(self._model.config.num_labels)) != 1:
            named = list(self._model.config.id2label.values())
            raise UsageError(
                f"{model!r} has {outputs} outputs ({', '.join(map(str, named))}), and a grader needs one of them",
                hint=f"--grader classifier:{model}:{named[-1]}",
            )
        self._formatter = scoring_formatter(self._model, self._tokenizer, name=model)
        self._limit = Limit(self.name, context_length(self._model.config, self._tokenizer), self._tokenizer, announce)

    def score(self, samples: Sequence[Sample]) -> list[float]:
        outputs = outputs_of(self._model, [self._encode(sample) for sample in samples], self._limit, self._formatter.pad_id())
        return checked(self.name, [output[0] for output in outputs], samples)

    def _encode(self, sample: Sample) -> Encoded:
        if own_template(self._tokenizer) is not None or self._tokenizer.sep_token is None:
            return {"input_ids": self._formatter.prompt(sample.prompt) + self._formatter.answer(sample.completion)}
        typed = int(getattr(self._model.config, "type_vocab_size", 0) or 0) > 1
        return dict(self._tokenizer(sample.asked, sample.completion, return_token_type_ids=typed))


def outputs_of(model: Any, texts: Sequence[Encoded], limit: Limit, padding: int) -> list[list[float]]:
    """A head's outputs for encoded texts, one list a text, in float32."""
    texts = [text if text["input_ids"] else {"input_ids": [padding]} for text in texts]  # nothing was written
    features = [
        {"length": len(ids), "at": at, "input_ids": ids, "token_type_ids": [0] * len(ids)} | _types(text, limit)
        for at, (text, ids) in enumerate(zip(texts, limit([text["input_ids"] for text in texts]), strict=True))
    ]
    typed = any("token_type_ids" in text for text in texts)
    found: list[list[float]] = [[] for _ in texts]
    with measuring(model):
        for group in groups(sorted(features, key=lambda each: each["length"])):
            given = {
                "input_ids": pad([each["input_ids"] for each in group], padding),
                "attention_mask": pad([[1] * each["length"] for each in group], 0),
            } | ({"token_type_ids": pad([each["token_type_ids"] for each in group], 0)} if typed else {})
            outputs = model(**{name: on_device(model, value) for name, value in given.items()}).logits.float().tolist()
            for each, output in zip(group, outputs, strict=True):
                found[each["at"]] = output
    return found


def _types(text: Encoded, limit: Limit) -> dict[str, list[int]]:
    """Which of two texts each token that is read belongs to, where that is told."""
    types = text.get("token_type_ids")
    return {"token_type_ids": [types[at] for at in limit.kept(text["input_ids"])]} if types else {}


def _open(model: str, name: str, announce: Announce) -> tuple[tuple[str, ...], Outputs, bool]:
    """Class names, what the head says to texts, and whether classes are independent of each other."""
    folder = Path(model).expanduser()
    if (folder / FILE).is_file():
        classes = read_manifest(folder).classes
        if not classes:
            raise UsageError(f"{model!r} gives scores and knows no classes", hint=f"--grader {model}")
        own = RewardModel.load(folder, announce=announce)
        limit = Limit(name, own.context, own.formatter.tokenizer, announce)
        return classes, lambda texts: own.outputs(limit([own.formatter.text(text).ids for text in texts])), False
    loaded, tokenizer = load_classifier(find_model(model), announce)
    limit = Limit(name, context_length(loaded.config, tokenizer), tokenizer, announce)
    named = loaded.config.id2label
    classes = tuple(str(named[at]) for at in range(len(named)))
    padding = int(tokenizer.pad_token_id)
    apart = loaded.config.problem_type == "multi_label_classification" or len(classes) == 1
    return classes, lambda texts: outputs_of(loaded, [dict(tokenizer(text)) for text in texts], limit, padding), apart


def load_classifier(checkpoint: Checkpoint, announce: Announce) -> tuple[Any, Any]:
    """A sequence classifier with its tokenizer. A head that would be made up is refused.

    Raises:
        ModelError: it is none.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    checkpoint.check()
    hardware = choose_hardware("auto", "fp32")
    announce(f"loading {checkpoint.name} to score texts with, encoded by its own tokenizer: {hardware.label}")
    auto: Any = AutoModelForSequenceClassification
    tokenizer = read_tokenizer(checkpoint)
    try:
        with quiet():
            config = AutoConfig.from_pretrained(checkpoint.folder, trust_remote_code=False, local_files_only=True)
            model, info = auto.from_pretrained(
                checkpoint.folder, config=config, dtype=hardware.dtype, device_map={"": hardware.device},
                attn_implementation=attention(config), use_safetensors=True, trust_remote_code=False, local_files_only=True,
                output_loading_info=True,
            )  # fmt: skip
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise ModelError(
            f"{checkpoint.name!r} can't be read as a classifier: {first_line(error)}",
            hint="name a sequence classifier, or an adapter of finetune reward",
        ) from error
    if missing := sorted(info["missing_keys"]):
        raise ModelError(
            f"{checkpoint.name!r} has no trained head ({missing[0]} is missing): it would score at random",
            hint="name a sequence classifier, or train one: finetune reward --help",
        )
    _padded(model, tokenizer)
    return model.requires_grad_(False).eval(), tokenizer


def _padded(model: Any, tokenizer: Any) -> None:
    """See that texts can be padded: a decoder reads its score at the last token that is no padding."""
    if model.config.pad_token_id is not None:
        tokenizer.pad_token_id = model.config.pad_token_id
    elif tokenizer.pad_token_id is None:
        tokenizer.pad_token_id = tokenizer.unk_token_id if tokenizer.unk_token_id is not None else tokenizer.eos_token_id
    model.config.pad_token_id = tokenizer.pad_token_id


def _place(model: str, label: str, classes: Sequence[str]) -> int:
    """The place of a class by its name, whatever its case, or by its number."""
    lower = [name.lower() for name in classes]
    if label.lower() in lower:
        return lower.index(label.lower())
    if label.isdecimal() and int(label) < len(classes):
        return int(label)
    near = get_close_matches(label.lower(), lower, 1)
    meant = classes[lower.index(near[0])] if near else classes[-1]
    raise UsageError(
        f"{model!r} knows no class {label!r}: it knows {', '.join(classes)}", hint=f"--grader classifier:{model}:{meant}"
    )


def log_odds(outputs: Sequence[float], at: int, *, apart: bool = False) -> float:
    """How much likelier a class is than all others together, in natural logarithms.

    Args:
        outputs: of the head, one a class.
        at: which class.
        apart: each class is decided for itself: its output is its log-odds.
    """
    if apart:
        return outputs[at]
    values: Tensor = torch.tensor(outputs, dtype=torch.float64)
    others = torch.cat([values[:at], values[at + 1 :]])
    return float(values[at] - others.logsumexp(0))
