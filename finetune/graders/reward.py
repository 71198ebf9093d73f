"""Reward models as graders: a folder made by ``finetune reward`` on a base of its own, or on the base that is being trained.

Scores are told in standard deviations from the mean of held-out answers (``manifest.reward``). An answer is given as text and
encoded by the reward model's own tokenizer, whatever tokens it was written in.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from assistant.adapters.canary import judge
from assistant.adapters.low_rank import LoraWeights, attach, read_lora
from assistant.adapters.manifest import CONFIG, Manifest, read_manifest
from assistant.errors import ModelError
from assistant.models.fingerprint import template_hash, tokenizer_hash
from assistant.models.loading import Loaded
from assistant.models.quiet import quiet
from finetune.base_model import Base
from finetune.evaluation import groups, measuring, on_device
from finetune.formatting import Formatter
from finetune.graders.grader import Sample, checked
from finetune.log_probs import pad
from finetune.reward_model import RewardModel
from indexes.errors import UsageError

Announce = Callable[[str], None]


class Limit:
    """The tokens that a model reads: of longer texts the beginning is left out, and that is said once.

    What is scored, the answer and its end, stands at the end. A token that begins every text stays.

    Args:
        name: of the model.
        tokens: the most that it reads.
        tokenizer: the model's.
        announce: told the first time that a text is longer.
    """

    def __init__(self, name: str, tokens: int, tokenizer: Any, announce: Announce) -> None:
        self._name, self._tokens, self._announce = name, tokens, announce
        self._begins = {tokenizer.bos_token_id, tokenizer.cls_token_id} - {None}
        self._said = False

    def __call__(self, texts: Sequence[list[int]]) -> list[list[int]]:
        longer = sum(len(ids) > self._tokens for ids in texts)
        if longer and not self._said:
            self._said = True
            self._announce(
                f"{longer} of {len(texts)} texts are longer than the {self._tokens:,} tokens that {self._name} reads: "
                "the beginning of their prompts is left out"
            )
        return [[ids[at] for at in self.kept(ids)] for ids in texts]

    def kept(self, ids: Sequence[int]) -> list[int]:
        """The places of a text's ids that are read."""
        over = len(ids) - self._tokens
        if over <= 0:
            return list(range(len(ids)))
        return [0, *range(over + 1, len(ids))] if ids[0] in self._begins else list(range(over, len(ids)))


def open_reward(folder: Path, *, base: Base | None, announce: Announce) -> "RewardGrader | SharedRewardGrader":
    """Open a reward adapter: on a loaded base where it belongs to that, else on one that is loaded for it.

    Raises:
        ModelError: it is no reward model, or damaged.
        UsageError: it names classes.
    """
    manifest = read_manifest(folder)
    if manifest.classes:
        raise UsageError(
            f"{str(folder)!r} names classes ({', '.join(manifest.classes)}), and a grader needs one of them",
            hint=f"--grader classifier:{folder}:{manifest.classes[-1]}",
        )
    name = folder.resolve().name
    if base is not None and manifest.role == "reward":
        if manifest.base.fingerprint == base.loaded.fingerprint and not (why := _not_shared(folder)):
            announce(f"{name} scores on the base that is being trained: no second model is loaded")
            return SharedRewardGrader(folder, base, announce=announce)
        other = manifest.base.fingerprint != base.loaded.fingerprint
        announce(f"{name} scores on a model of its own: {'its base is another' if other else why}")
        if _reads_otherwise(manifest, base.loaded):
            announce(f"{name} has another tokenizer or template: it reads what is written as text, and encodes it again")
    return RewardGrader(folder, announce=announce)


def _not_shared(folder: Path) -> str:
    """Why an adapter can't be computed beside another by hooks; ``""``: it can."""
    config = json.loads((folder / CONFIG).read_bytes())
    if config.get("use_dora"):
        return "it is DoRA, and no plain LoRA"
    return "it has tokens that its base lacks" if config.get("trainable_token_indices") else ""


def _reads_otherwise(manifest: Manifest, loaded: Loaded) -> bool:
    folder = loaded.checkpoint.folder
    hashes = (tokenizer_hash(folder), template_hash(folder, name=loaded.name))
    return (manifest.tokenizer_hash, manifest.template_hash) != hashes


class RewardGrader:
    """A reward model on a base of its own.

    Args:
        folder: made by ``finetune reward``.
        announce: told what goes on.

    Raises:
        ModelError: it is no reward model, or its base is another or gone.
    """

    def __init__(self, folder: Path, *, announce: Announce = lambda _: None) -> None:
        self.name = folder.resolve().name
        with quiet():
            self._model = RewardModel.load(folder, announce=announce)
        self._limit = Limit(self.name, self._model.context, self._model.formatter.tokenizer, announce)

    def score(self, samples: Sequence[Sample]) -> list[float]:
        formatter = self._model.formatter
        texts = [formatter.prompt(sample.prompt) + formatter.answer(sample.completion) for sample in samples]
        outputs = self._model.outputs(self._limit(texts))
        return checked(self.name, normalised([output[0] for output in outputs], self._model.manifest), samples)


class SharedRewardGrader:
    """A reward adapter on the base that is being trained: its low-rank parts are added by hooks while it scores, all else is off.

    The policy's own adapters are as they were afterwards, down to which of their numbers train.

    Args:
        folder: made by ``finetune reward`` on this base.
        base: the loaded base, with or without PEFT's layers in it.
        announce: told what goes on.

    Raises:
        ModelError: it belongs to another base, or is damaged.
    """

    def __init__(self, folder: Path, base: Base, *, announce: Announce = lambda _: None) -> None:
        self.name = folder.resolve().name
        self.manifest, self._loaded = read_manifest(folder), base.loaded
        if self.manifest.base.fingerprint != base.loaded.fingerprint:
            raise ModelError(
                f"{str(folder)!r} was trained on {self.manifest.base.id!r}, whose weights are not those of {base.loaded.name!r}",
                hint="give it as a grader without sharing: finetune loads its own base",
            )
        self._weights = read_lora(folder, base.loaded.model.device)
        self._head = _one_output(self._weights, folder)
        self._formatter = Formatter.of(base.loaded.tokenizer, base.loaded.family)
        self._limit = Limit(self.name, base.loaded.context, base.loaded.tokenizer, announce)
        self._prove(announce)

    def _prove(self, announce: Announce) -> None:
        """Compute the score that was written down when the adapter was saved."""
        canary = self.manifest.canary
        off = abs(self.outputs([canary.ids])[0] - canary.top[0][1])
        divergence = judge(f"the reward adapter {self.name!r}", off, canary, self._loaded, what="score")
        if divergence.notice:
            announce(f"the reward adapter {self.name} {divergence.notice}")

    def score(self, samples: Sequence[Sample]) -> list[float]:
        texts = [self._formatter.prompt(each.prompt) + self._formatter.answer(each.completion) for each in samples]
        return checked(self.name, normalised(self.outputs(self._limit(texts)), self.manifest), samples)

    def outputs(self, texts: Sequence[Sequence[int]]) -> list[float]:
        """What the head says at the last id of each text, in float32."""
        model, found = self._loaded.model, [0.0] * len(texts)
        features = [{"length": len(ids), "input_ids": list(ids), "at": at} for at, ids in enumerate(texts)]
        with measuring(model), self._alone():
            for group in groups(sorted(features, key=lambda each: each["length"])):
                ids = on_device(model, pad([each["input_ids"] for each in group], self._formatter.pad_id()))
                mask = on_device(model, pad([[1] * each["length"] for each in group], 0))
                hidden = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state  # (b, t, h)
                last = hidden[torch.arange(len(group)), [each["length"] - 1 for each in group]]  # (b, h)
                values = linear(last.to(self._head.dtype), self._head)[:, 0].float().tolist()
                for each, value in zip(group, values, strict=True):
                    found[each["at"]] = value
        return found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The base with this adapter's parts and no others."""
        handles = []
        with without_adapters(self._loaded.model):
            try:
                for name, part in self._weights.layers.items():
                    layer = self._loaded.model.get_submodule(name)
                    own = getattr(layer, "base_layer", layer)  # PEFT puts its layer around the base's
                    handles.append(attach(own, (part,)))
                yield
            finally:
                for handle in handles:
                    handle.remove()


@contextmanager
def without_adapters(model: Any) -> Iterator[None]:
    """Leave out what PEFT's adapters add. PEFT's own switch would also change which of their numbers train."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]
    before = [layer._disable_adapters for layer in layers]
    try:
        for layer in layers:
            layer._disable_adapters = True
        yield
    finally:
        for layer, was in zip(layers, before, strict=True):
            layer._disable_adapters = was


def _one_output(weights: LoraWeights, folder: Path) -> Tensor:
    """The head of one output, ``(1, hidden)``."""
    for tensor in (weights.head or {}).values():
        if tensor.ndim == 2 and tensor.shape[0] == 1:
            return tensor
    raise ModelError(f"{str(folder)!r} has no head of one score", hint="finetune reward --help makes one that has")


def normalised(values: Sequence[float], manifest: Manifest) -> list[float]:
    """A head's outputs in standard deviations from the mean of held-out answers."""
    scale = manifest.reward or {"mean": 0.0, "std": 1.0}
    return [(value - scale["mean"]) / scale["std"] for value in values]
