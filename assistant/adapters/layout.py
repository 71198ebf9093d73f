"""Whether an adapter's tensors are what its config says, and whether the base has the layers that they change (pure)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from assistant.adapters.config import LORA, rank_of
from assistant.adapters.identity import BaseIdentity, Shapes, place
from assistant.errors import ModelError
from assistant.models.checkpoint import Tensor
from assistant.models.memory import FLOATS

AGAIN = "take a whole copy of the folder, or train it again"
_PAIR = re.compile(r"(?:base_model\.model\.)?(?P<layer>.+)\.lora_(?P<side>[AB])\.weight")
_PEFT = re.compile(r".+\.(lora_magnitude_vector(\.weight)?|lora_embedding_[AB]|lora_[AB]\.bias|trainable_tokens_delta)")
"""What PEFT writes beside the two matrices of a layer."""


def embeds(tensors: Sequence[Tensor]) -> bool:
    """Whether embeddings are adapted: they are looked up, not multiplied."""
    return any(".lora_embedding_" in tensor.name for tensor in tensors)


def check_layout(
    tensors: Sequence[Tensor], config: Mapping[str, Any], *, name: str, slow: bool, base: BaseIdentity | None
) -> None:
    """See that every tensor is a part of what the config describes, and has its place in the base.

    Raises:
        ModelError: one is not, named.
    """
    if not tensors:
        raise ModelError(f"the adapter {name!r} holds no weights: its file is empty", hint=AGAIN)
    if odd := next((tensor for tensor in tensors if tensor.dtype not in FLOATS), None):
        raise ModelError(f"{odd.name!r} of the adapter {name!r} holds {odd.dtype}, no floating-point numbers", hint=AGAIN)
    if config.get("peft_type") != LORA:
        return
    pairs: dict[str, dict[str, Tensor]] = {}
    for tensor in tensors:
        if found := _PAIR.fullmatch(tensor.name):
            pairs.setdefault(found["layer"], {})[found["side"]] = tensor
        elif ".base_layer." in tensor.name:
            raise ModelError(
                f"the adapter {name!r} brings a copy of the base's own {tensor.name!r}, which would take its place",
                hint="save it again with peft's save_pretrained(…, save_embedding_layers=False)",
            )
        elif not (slow and (_PEFT.fullmatch(tensor.name) or _is_whole_module(tensor.name, config))):
            raise ModelError(f"the adapter {name!r} holds {tensor.name!r}, which is no part of a LoRA", hint=_SAVE)
    for layer, pair in pairs.items():
        _check_pair(layer, pair, rank_of(config, layer), name)
        if base is not None:
            _check_place(layer, pair, base, name)


_SAVE = "save it again with peft's save_pretrained, which names its tensors *.lora_A.weight and *.lora_B.weight"


def _is_whole_module(name: str, config: Mapping[str, Any]) -> bool:
    saved = config.get("modules_to_save")
    return isinstance(saved, list) and not set(name.split(".")).isdisjoint(map(str, saved))


def _check_pair(layer: str, pair: Mapping[str, Tensor], rank: int, name: str) -> None:
    if len(pair) < 2:
        raise ModelError(f"the adapter {name!r} holds one half of {layer!r}: lora_{min(pair)} alone", hint=AGAIN)
    a, b = pair["A"].shape, pair["B"].shape
    if len(a) != 2 or len(b) != 2 or a[0] != rank or b[1] != rank:
        raise ModelError(
            f"{layer!r} of the adapter {name!r} has rank {rank} by its config, and matrices of {a} and {b}", hint=AGAIN
        )


def _check_place(layer: str, pair: Mapping[str, Tensor], base: BaseIdentity, name: str) -> None:
    shapes: Shapes | None = base.shapes.get(place(layer))
    if shapes is None:
        raise ModelError(f"the adapter {name!r} changes {layer!r}, which {base.name!r} doesn't have", hint=_OTHER)
    takes, gives = pair["A"].shape[1], pair["B"].shape[0]
    if shapes and not any(sorted(shape) == sorted((takes, gives)) for shape in shapes):  # GPT-2 keeps them the other way around
        wanted = " × ".join(map(str, min(shapes)))
        raise ModelError(
            f"{layer!r} of the adapter {name!r} is for a layer of {gives} × {takes}; that of {base.name!r} has {wanted}",
            hint=_OTHER,
        )


_OTHER = "give --model the base that it was trained on"
