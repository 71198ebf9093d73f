"""The adapters that are in memory beside a base: read whole, checked, and let go when there is no room. For any thread.

What only PEFT computes is kept as a private copy of its files, because PEFT reads them at every swap: a folder that is changed or
deleted meanwhile changes no answer.
"""

import math
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.adapters.folder import stamp_of
from assistant.adapters.low_rank import LoraWeights, read_lora, read_tensors
from assistant.adapters.manifest import CONFIG, WEIGHTS
from assistant.adapters.selection import Chosen
from assistant.errors import ModelError
from assistant.models.memory import gigabytes

MOST = 8
"""Adapters that stay in memory unless told otherwise."""
SPARE = 0.5
"""The share of the memory that is free which one more adapter may take before others go."""


@dataclass(frozen=True)
class Copied:
    """An adapter for PEFT.

    Attributes:
        folder: where PEFT reads it; deleted with this.
        size: bytes of its weights.
    """

    folder: Path
    size: int = 0

    def __post_init__(self) -> None:
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)


class Resident:
    """Holds adapters.

    Args:
        model: their base.
        most: how many stay.
        available: tells the bytes that are free on a device, None where nobody knows.
        needed: fingerprints of those that may not go now.
    """

    def __init__(
        self, model: Any, *, most: int, available: Callable[[str], int | None], needed: Callable[[], frozenset[str]]
    ) -> None:
        self._model, self._most, self._available, self._needed = model, most, available, needed
        self._held: OrderedDict[str, LoraWeights | Copied] = OrderedDict()  # the one used last at the end
        self._lock = threading.Lock()

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The one used last at the end."""
        with self._lock:
            return tuple(self._held)

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        with self._lock:
            return sum(weights.size for weights in self._held.values())

    def load(self, chosen: Chosen) -> LoraWeights | Copied:
        """Bring an adapter into memory, and let those go that were used longest ago where there is no room.

        Raises:
            ModelError: it can't be read, doesn't fit this base, or is larger than what is free.
        """
        with self._lock:
            if known := self._held.get(chosen.fingerprint):
                self._held.move_to_end(chosen.fingerprint)
                return known
        self._make_room(chosen)
        weights = _copy(chosen) if chosen.slow else read_lora(chosen.folder, self._model.device)
        if chosen.stamp and stamp_of(chosen.folder) != chosen.stamp:
            raise ModelError(f"the adapter {chosen.name!r} was replaced while it was read", hint="ask for it again")
        if isinstance(weights, LoraWeights):
            check_fits(self._model, weights, chosen.name)
        with self._lock:
            return self._held.setdefault(chosen.fingerprint, weights)

    def drop(self, fingerprint: str) -> None:
        """Let one go."""
        with self._lock:
            self._held.pop(fingerprint, None)

    def clear(self) -> None:
        """Let all go."""
        with self._lock:
            self._held.clear()

    def _make_room(self, chosen: Chosen) -> None:
        """Drop what was used longest ago while there are too many adapters, or too little memory for one more."""
        needed = sum(file.stat().st_size for file in chosen.folder.glob("*.safetensors"))
        stay, device = self._needed(), self._model.device.type
        while True:
            known = self._available(device)
            free = math.inf if known is None else known
            with self._lock:
                idle = [each for each in self._held if each not in stay]
                full = len(self._held) >= self._most or needed > SPARE * free
                if not full or not idle:
                    break
                self._held.pop(idle[0])
        if needed > free:
            raise ModelError(
                f"the adapter {chosen.name!r} takes {gigabytes(needed)}, and {gigabytes(free)} are free on {device}",
                hint="free some memory, or load the base with --quantization nf4",
            )


def _copy(chosen: Chosen) -> Copied:
    """A private copy of an adapter's files, whose numbers are numbers."""
    copied = Copied(Path(tempfile.mkdtemp(prefix="assistant-adapter-")), (chosen.folder / WEIGHTS).stat().st_size)
    try:
        for name in (CONFIG, WEIGHTS):
            shutil.copyfile(chosen.folder / name, copied.folder / name)
    except OSError as error:
        raise ModelError(
            f"can't copy {str(chosen.folder)!r}: {error.strerror or error}",
            hint="take a whole copy of the folder, or free some disk",
        ) from error
    read_tensors(copied.folder, WEIGHTS, "cpu", called=str(chosen.folder))
    return copied


def check_fits(model: Any, weights: LoraWeights, name: str) -> None:
    """See that a base has the layers that an adapter changes, in their shapes.

    Raises:
        ModelError: it hasn't.
    """
    for layer, pair in sorted(weights.layers.items()):
        try:
            module = model.get_submodule(layer)
        except AttributeError:
            raise ModelError(
                f"the adapter {name!r} changes {layer!r}, which this model doesn't have", hint="use the base it was trained on"
            ) from None
        wanted = _sides(module)
        if wanted is not None and wanted != (pair.a.shape[1], pair.b.shape[0]):
            raise ModelError(
                f"{layer!r} of the adapter {name!r} takes {pair.a.shape[1]} numbers and gives {pair.b.shape[0]}; "
                f"this model's takes {wanted[0]} and gives {wanted[1]}",
                hint="use the base it was trained on",
            )


def _sides(module: Any) -> tuple[int, int] | None:
    """What a linear layer takes and gives; GPT-2's keeps its weights the other way around."""
    if hasattr(module, "in_features"):
        return int(module.in_features), int(module.out_features)
    if type(module).__name__ == "Conv1D":
        return int(module.nx), int(module.nf)
    return None
