"""An adapter's weights in memory, and what they add to a layer's output.

    y = W x + s · B (A x),   A (r, in), B (out, r), s = alpha / r

Source: Hu et al. 2021 (arXiv 2106.09685, eq. 3); with rsLoRA s = alpha / √r (Kalajdzievski 2023, arXiv 2312.03732). The file is
read whole: nothing of it is used any more once an adapter is resident, so it may be replaced or deleted meanwhile.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor
from torch.nn.functional import linear

from assistant.adapters.manifest import CONFIG, HEAD, WEIGHTS
from assistant.errors import ModelError

QUANTISED = ("Linear4bit", "Linear8bitLt")
"""bitsandbytes' layers, which round what an adapter adds."""
PREFIX = "base_model.model."
"""Of PEFT's names."""
_NAME = re.compile(r"(?P<layer>.+)\.lora_(?P<side>[AB])\.weight")


@dataclass(frozen=True, slots=True)
class LowRank:
    """One layer's two matrices.

    Attributes:
        a: ``(r, in)``.
        b: ``(out, r)``.
        scale: what their product is multiplied with.
    """

    a: Tensor
    b: Tensor
    scale: float

    def scaled(self, by: float) -> "LowRank":
        """The same, stronger or weaker."""
        return self if by == 1 else LowRank(self.a, self.b, self.scale * by)


@dataclass(frozen=True, slots=True)
class LoraWeights:
    """An adapter's weights.

    Attributes:
        layers: by the name of the module that they change.
        head: a reward model's, by name; None for what writes.
        size: bytes of all tensors.
    """

    layers: Mapping[str, LowRank]
    head: Mapping[str, Tensor] | None = None
    size: int = field(default=0)


def read_lora(folder: Path, device: torch.device | str) -> LoraWeights:
    """Read an adapter into memory.

    Args:
        folder: what PEFT wrote.
        device: where the base lies.

    Raises:
        ModelError: a file is missing or damaged, or a weight is not a number.
    """
    tensors = read_tensors(folder, WEIGHTS, device)
    head = read_tensors(folder, HEAD, device) if (folder / HEAD).is_file() else None
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"can't read {str(folder / CONFIG)!r}: {error}", hint="take a whole copy of the folder") from error
    size = sum(tensor.nbytes for tensor in [*tensors.values(), *(head or {}).values()])
    return LoraWeights(_paired(tensors, config, folder), head, size)


def read_tensors(folder: Path, name: str, device: torch.device | str, *, called: str = "") -> dict[str, Tensor]:
    """Read one file of an adapter. Half precision becomes float32, in which PEFT computes adapters, too.

    Args:
        folder: where it lies.
        name: the file's.
        device: where the base lies.
        called: what to call the folder.

    Raises:
        ModelError: it is damaged, or a number is none.
    """
    path = folder / name
    try:
        tensors = load(path.read_bytes())
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(
            f"can't read {str(path)!r}: {getattr(error, 'strerror', None) or error}", hint="take a whole copy of the folder"
        ) from error
    for name_, tensor in tensors.items():
        if not math.isfinite(float(tensor.sum())) and not bool(torch.isfinite(tensor).all()):  # a sum alone may overflow
            raise ModelError(
                f"the adapter {called or str(folder)!r} holds NaN or infinity in {name_!r}",
                hint="its training diverged, or the file is damaged: train it again, with a lower --learning-rate",
            )
    return {name_: _widened(tensor).to(device) for name_, tensor in tensors.items()}


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _paired(tensors: Mapping[str, Tensor], config: Mapping[str, Any], folder: Path) -> dict[str, LowRank]:
    sides: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        found = _NAME.fullmatch(name.removeprefix(PREFIX))
        if found is None:
            raise ModelError(f"{str(folder)!r} holds {name!r}, which is no part of a LoRA", hint="save it again with peft")
        sides.setdefault(found["layer"], {})[found["side"]] = tensor
    for layer, pair in sides.items():
        if len(pair) < 2 or pair["A"].ndim != 2 or pair["B"].ndim != 2 or pair["A"].shape[0] != pair["B"].shape[1]:
            raise ModelError(f"the matrices of {layer!r} in {str(folder)!r} don't fit each other", hint="save it again with peft")
    return {layer: LowRank(pair["A"], pair["B"], _scale(layer, pair["A"], config)) for layer, pair in sides.items()}


def _scale(layer: str, a: Tensor, config: Mapping[str, Any]) -> float:
    """How strong PEFT makes a layer's part; a pattern names the end of a layer's name."""
    patterns: Mapping[str, float] = config.get("alpha_pattern") or {}
    alpha = next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", layer)), config["lora_alpha"])
    rank = a.shape[0]
    return float(alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank)


def add_low_rank(x: Tensor, result: Tensor, parts: Sequence[LowRank], *, quantised: bool) -> Tensor:
    """A layer's output with what adapters add to it, rounded exactly as PEFT does in training.

    Args:
        x: the layer's input, ``(…, in)``.
        result: its output, ``(…, out)``.
        parts: in the order in which they are added.
        quantised: the layer is bitsandbytes': each part is rounded to the output's format before it is added.
    """
    total = result
    for part in parts:
        x = x.to(part.a.dtype)
        added = linear(linear(x, part.a), part.b) * part.scale
        total = total + (added.to(result.dtype) if quantised else added)
    return total.to(result.dtype)


def attach(layer: Any, parts: Sequence[LowRank], *, wanted: Callable[[], bool] = lambda: True) -> Any:
    """Have a layer add adapters to its output from now on.

    Args:
        layer: of the base; it stays as it is.
        parts: in the order in which they are added.
        wanted: asked each time whether they count now.

    Returns:
        a handle whose ``remove`` ends it.
    """
    quantised = type(layer).__name__ in QUANTISED

    def add(_layer: Any, given: tuple[Any, ...], result: Tensor) -> Tensor | None:
        return add_low_rank(given[0], result, parts, quantised=quantised) if wanted() else None

    return layer.register_forward_hook(add)
