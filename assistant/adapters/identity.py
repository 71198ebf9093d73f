"""What a base model is, as far as an adapter must know it: its name, measures, hashes and layers. Reads files only."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from assistant.models.checkpoint import Checkpoint, Tensor
from assistant.models.fingerprint import base_fingerprint, template_hash, tokenizer_hash
from assistant.models.memory import FLOATS, Quantization, read_shape

Shapes = frozenset[tuple[int, ...]]
EMBEDDINGS = ("embed_tokens", "wte")
HEAD = "lm_head"
_CLASS = re.compile(r"(ForCausalLM|LMHeadModel|ForConditionalGeneration|ForSequenceClassification|Model)$")


class Known(Protocol):
    """A model as ``models.loading`` knows it, before or after its weights are loaded."""

    @property
    def checkpoint(self) -> Checkpoint:
        """Its files."""

    @property
    def quantization(self) -> Quantization:
        """The form that its weights are kept in."""


@dataclass(frozen=True, slots=True)
class BaseIdentity:
    """A base model.

    Attributes:
        name: as the user gave it.
        architecture: the model's class.
        model_type: its family's name in ``config.json``.
        fingerprint, tokenizer_hash, template_hash: see ``models.fingerprint``.
        hidden_size, layers, vocab_size: its measures.
        quantization: the form that it is served in.
        shapes: of its weights, by the place of the layer (`place`); none: kept in fewer bits, so that its shape isn't told.
    """

    name: str
    architecture: str
    model_type: str
    fingerprint: str
    tokenizer_hash: str
    template_hash: str
    hidden_size: int
    layers: int
    vocab_size: int
    quantization: Quantization
    shapes: Mapping[str, Shapes] = field(default_factory=dict, repr=False)


def identify_base(known: Known, models: Path | None) -> BaseIdentity:
    """Make the identity of a draft or of a loaded model.

    Args:
        known: the model.
        models: the folder that remembers hashes, ``$ASSISTANT_HOME/models``; None: nowhere.

    Raises:
        ModelError: its files can't be read.
    """
    return base_identity(known.checkpoint, known.quantization, models)


def base_identity(checkpoint: Checkpoint, quantization: Quantization, models: Path | None) -> BaseIdentity:
    """The same from a model's files and the form that it is to be served in.

    Raises:
        ModelError: its files can't be read.
    """
    shape = read_shape(checkpoint.config)
    model_type = str(checkpoint.config.get("model_type", ""))
    named = checkpoint.config.get("architectures") or [model_type]
    return BaseIdentity(
        name=checkpoint.name,
        architecture=str(named if isinstance(named, str) else named[0]),
        model_type=model_type,
        fingerprint=base_fingerprint(checkpoint, models),
        tokenizer_hash=tokenizer_hash(checkpoint.folder, models),
        template_hash=template_hash(checkpoint.folder, name=checkpoint.name),
        hidden_size=shape.hidden,
        layers=shape.layers,
        vocab_size=shape.vocabulary,
        quantization=quantization,
        shapes=_shapes(checkpoint.tensors),
    )


def described(architecture: str, layers: int, hidden_size: int) -> str:
    """A model's kind and size: ``Gemma 2 (42 layers of 3584)``."""
    kind = re.sub(r"(?<=[a-z])(?=\d)", " ", _CLASS.sub("", architecture))
    return f"{kind} ({layers} layers of {hidden_size})"


def place(name: str) -> str:
    """The end of a module's name that names it however models nest: ``layers.0.self_attn.q_proj``, ``lm_head``."""
    parts = name.split(".")
    first = next((at for at, part in enumerate(parts) if part.isdigit()), len(parts))
    return ".".join(parts[max(first - 1, 0) :])


def _shapes(tensors: Iterable[Tensor]) -> dict[str, Shapes]:
    found: dict[str, Shapes] = {}
    for tensor in tensors:
        if tensor.name.endswith(".weight"):
            module = place(tensor.name.removesuffix(".weight"))
            shapes = frozenset({tensor.shape}) if tensor.dtype in FLOATS else frozenset()
            found[module] = found.get(module, shapes) | shapes
    if HEAD not in found:  # tied: it is the embeddings' own matrix
        tied = next((found[name] for name in EMBEDDINGS if name in found), None)
        found |= {HEAD: tied} if tied is not None else {}
    return found
