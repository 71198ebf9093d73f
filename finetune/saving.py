"""A trained model → an adapter folder that can be trusted: written, loaded again, compared, described, and only then called done.

The manifest is written last: a folder that has one is whole.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from assistant.adapters.config import settings_hash
from assistant.adapters.manifest import (
    CONFIG,
    HEAD,
    WEIGHTS,
    BaseFacts,
    Canary,
    Manifest,
    swap_profile,
    weights_hash,
)
from assistant.models.fingerprint import base_fingerprint, template_hash, tokenizer_hash
from assistant.models.hardware import dtype_name
from assistant.models.memory import read_shape
from assistant.prompt import PROMPT_FORMAT, SYSTEM, prompt_hash
from finetune.base_model import TARGETS
from finetune.data.rows import Conversation, Labelled, Preference, Prompted, Rated, Row
from finetune.errors import TrainingError
from finetune.evaluation import measuring, on_device
from finetune.recipe import Job, Recipe, Trained
from finetune.scoring import PAD

CANARY_TOKENS = 24
CANARY_TOP = 8
SAME = 1e-3
"""Logits of the adapter as trained and as loaded again may differ by so much: it is written in float32, and read back so."""
PACKAGES = ("torch", "transformers", "peft", "trl", "bitsandbytes")
HEAD_PARTS = (".score.", ".classifier.", ".pre_classifier.")
ADAPTER = "default"


def save(job: Job, trained: Trained, recipe: Recipe) -> Manifest:
    """Write the adapter folder and prove that it is what was trained.

    Raises:
        TrainingError: the disk is full, or what was loaded again computes something else.
    """
    folder = Path(job.config.out)
    try:
        written = _write(trained.model, folder, job)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"the adapter couldn't be written to {str(folder)!r}: {getattr(error, 'strerror', None) or error}",
            hint="free some disk, and go on with --resume: the last checkpoint is whole",
        ) from error
    canary = make_canary(trained.model, _probe(job), job)
    check_reload(trained.model, folder, canary, job)
    manifest = _describe(job, trained, recipe, folder, written, canary)
    manifest.write(folder)
    return manifest


def _write(model: Any, folder: Path, job: Job) -> dict[str, Any]:
    """What PEFT writes, without its card; a head in a file of its own; no dropout, which is for training alone."""
    model.save_pretrained(folder, selected_adapters=[ADAPTER], save_embedding_layers=False)  # trained rows go apart
    (folder / "README.md").unlink(missing_ok=True)
    config: dict[str, Any] = json.loads((folder / CONFIG).read_bytes())
    tensors = load_file(folder / WEIGHTS)
    head = {name: tensor for name, tensor in tensors.items() if any(part in name for part in HEAD_PARTS)}
    if head:
        save_file({name: tensor.contiguous() for name, tensor in head.items()}, folder / HEAD)
        save_file({name: tensor for name, tensor in tensors.items() if name not in head}, folder / WEIGHTS)
        config["modules_to_save"] = None
    config |= {"lora_dropout": 0.0, "inference_mode": True, "base_model_name_or_path": job.config.base}
    (folder / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if job.base.added or (head and job.base.formatter.tokenizer.pad_token == PAD):
        job.base.formatter.tokenizer.save_pretrained(folder)
    for file in folder.iterdir():
        if file.is_file():
            file.chmod(0o600)
    return config


def _probe(job: Job) -> list[int]:
    """A short prompt that any base understands: the beginning of a row."""
    features = (job.held_out.features or job.train.features)[0]
    ids = features.get("prompt_ids") or features.get("input_ids") or features["chosen_ids"]
    return [int(each) for each in ids[:CANARY_TOKENS]]


def make_canary(model: Any, ids: Sequence[int], job: Job) -> Canary:
    """The highest logits after a prompt, as the model computes them now."""
    loaded = job.base.loaded
    return Canary(
        tuple(ids), tuple(top_logits(model, ids)), loaded.hardware.device, dtype_name(loaded.dtype), loaded.quantization,
        {name: version(name) for name in PACKAGES[:3]},
    )  # fmt: skip


def top_logits(model: Any, ids: Sequence[int]) -> list[tuple[int, float]]:
    """The highest logits after a prompt, or all outputs of a scoring model, with their places."""
    last = last_logits(model, ids)
    values, places = last.topk(min(CANARY_TOP, len(last)))
    return [(int(place), float(value)) for place, value in zip(places, values, strict=True)]


def last_logits(model: Any, ids: Sequence[int]) -> torch.Tensor:
    """Logits after a prompt, or a scoring model's outputs: one dimension, float32."""
    with measuring(model):
        logits = model(input_ids=on_device(model, torch.tensor([list(ids)]))).logits.float()
    last: torch.Tensor = logits[0, -1] if logits.ndim == 3 else logits[0]
    return last


def check_reload(model: Any, folder: Path, canary: Canary, job: Job) -> None:
    """Load the written adapter beside the trained one and compare what both compute.

    Raises:
        TrainingError: they differ.
    """
    trained = last_logits(model, canary.ids)
    load_adapter(model, folder, "written")
    try:
        model.set_adapter("written")
        off = float((last_logits(model, canary.ids) - trained).abs().max())
    finally:
        model.set_adapter(ADAPTER)
        model.delete_adapter("written")
    if not off <= SAME:
        raise TrainingError(
            f"the adapter in {str(folder)!r}, loaded again, computes logits that are off by {off:.3g}",
            hint=f"don't use it; go on with finetune {job.config.method} … --resume writes it again from the last checkpoint",
        )


def load_adapter(model: Any, folder: Path, name: str) -> None:
    """Load an adapter folder into a PEFT model under a name, its head included.

    Raises:
        TrainingError: a tensor of it has no place in the model.
    """
    from peft import PeftConfig, set_peft_model_state_dict

    config = PeftConfig.from_pretrained(str(folder))
    tensors = load_file(folder / WEIGHTS)
    if (folder / HEAD).is_file():
        head = load_file(folder / HEAD)
        config.modules_to_save = sorted({part.strip(".") for name_ in head for part in HEAD_PARTS if part in name_})
        tensors |= head
    model.add_adapter(name, config)
    _like_trained(model, name)
    outcome: Any = set_peft_model_state_dict(model, tensors, adapter_name=name)
    if outcome.unexpected_keys:
        raise TrainingError(
            f"{outcome.unexpected_keys[0]!r} of the adapter has no place in this model",
            hint="name the base that it was trained on",
        )


def _like_trained(model: Any, name: str) -> None:
    """Keep a new adapter's numbers in the format of the one that is there: of a quantised base, TRL trains it in bf16."""
    own = dict(model.named_parameters())
    for full, parameter in own.items():
        other = own.get(full.replace(f".{name}.", f".{ADAPTER}."))
        if f".{name}." in full and other is not None:
            parameter.data = parameter.data.to(other.dtype)


def _describe(job: Job, trained: Trained, recipe: Recipe, folder: Path, written: Mapping[str, Any], canary: Canary) -> Manifest:
    base, config = job.base.loaded, job.config
    shape = read_shape(base.checkpoint.config)
    rows = [*job.train.rows, *job.held_out.rows]
    facts = BaseFacts(
        config.base, (base.checkpoint.config.get("architectures") or [type(base.model).__name__])[0],
        base_fingerprint(base.checkpoint), shape.hidden, shape.layers, shape.vocabulary,
    )  # fmt: skip
    result, grounded = trained.result, any(is_grounded(row) for row in rows)
    return Manifest(
        name=folder.resolve().name,
        method=config.method,
        role=recipe.role if recipe.role == "reward" else config.role,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        base=facts,
        tokenizer_hash=tokenizer_hash(base.checkpoint.folder),
        template_hash=template_hash(base.checkpoint.folder, name=config.base),
        prompt_format=PROMPT_FORMAT if grounded else None,
        prompt_hash=prompt_hash() if grounded else None,
        trained_on={"quantization": base.quantization, "dtype": dtype_name(base.dtype), "device": base.hardware.device},
        data={"hash": job.run.record["data"]["hash"], "rows": len(job.train.features), "documents": documents_of(rows)},
        seed=config.seed,
        versions={name: version(name) for name in PACKAGES},
        swap_profile=swap_profile(written, frozenset(TARGETS.get(job.model_type, ()))),
        weights_hash=weights_hash(folder),
        settings_hash=settings_hash(written),
        canary=canary,
        parents=job.parents,
        classes=job.base.classes,
        reward=trained.scale,
        metrics={"before": result.get("before", {}), "after": result.get("after", {})},
        generation={"max_tokens": base.family.decoding.max_tokens, "temperature": 0.0},
    )


def is_grounded(row: Row) -> bool:
    """Whether a row's prompt is the assistant's own, with passages."""
    match row:
        case (
            Conversation(messages=messages) | Preference(prompt=messages) | Labelled(prompt=messages) | Rated(prompt=messages)
            | Prompted(prompt=messages)
        ):  # fmt: skip
            return any(message.role == "system" and message.content == SYSTEM for message in messages)
        case _:
            return False


def documents_of(rows: Sequence[Row]) -> list[str]:
    """Ids of the documents that rows were made from, each once."""
    return sorted({document for row in rows for document in getattr(row, "documents", ())})
