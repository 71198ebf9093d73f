"""The adapters of one loaded base: those in memory, and which of them shape what it computes now.

The base is never touched: an adapter's part is added to a layer's output by a forward hook, so that a swap moves no weights,
leaving an adapter is exact, and a quantised base is served like any other. What a hook can't compute exactly (DoRA, modules saved
whole, trained tokens) is left to PEFT, put in and taken out again at each swap (`slow`).

An adapter is known here by the hash of its weights, never by its name: under an old name new weights are another adapter.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from assistant.adapters.low_rank import LoraWeights, LowRank, add_low_rank, read_lora
from assistant.adapters.manifest import WEIGHTS
from assistant.adapters.selection import Chosen, Selection, scope
from assistant.adapters.slow import Injected, inject
from assistant.errors import ModelError
from assistant.models.fingerprint import file_stamp
from assistant.models.hardware import memory_available
from assistant.models.memory import gigabytes

MOST_RESIDENT = 8
SPARE = 0.5
"""The share of the memory that is free which resident adapters may take together."""
QUANTISED = ("Linear4bit", "Linear8bitLt")


class Adapters:
    """Holds adapters beside a base and switches between them. `activate` is for the thread that answers, `load` for any.

    Args:
        model: the base, on its device; its weights stay as they are.
        most: adapters that stay in memory.
        available: tells the bytes that are free on a device, None where nobody knows.
    """

    def __init__(
        self, model: Any, *, most: int = MOST_RESIDENT, available: Callable[[str], int | None] = memory_available
    ) -> None:
        self._model, self._most, self._available = model, most, available
        self._resident: OrderedDict[str, LoraWeights] = OrderedDict()  # the one used last at the end
        self._lock = threading.Lock()
        self._loader: ThreadPoolExecutor | None = None
        self._handles: list[Any] = []
        self._injected: Injected | None = None
        self._active: Selection = ()
        self._held: frozenset[str] = frozenset()  # active again soon
        self._proven: set[str] = set()

    @property
    def active(self) -> Selection:
        """What shapes the base's output now."""
        return self._active

    @property
    def resident(self) -> tuple[str, ...]:
        """Fingerprints of the adapters in memory, the one used last at the end."""
        with self._lock:
            return tuple(self._resident)

    @property
    def size(self) -> int:
        """Bytes of all adapters in memory."""
        with self._lock:
            return sum(weights.size for weights in self._resident.values())

    def is_resident(self, selection: Selection) -> bool:
        """Whether a swap to a selection reads nothing."""
        with self._lock:
            return all(one.slow or one.fingerprint in self._resident for one in selection)

    def is_proven(self, fingerprint: str) -> bool:
        """Whether an adapter computed its canary here."""
        return fingerprint in self._proven

    def proven(self, fingerprint: str) -> None:
        """Remember that an adapter computed its canary here."""
        self._proven.add(fingerprint)

    def load(self, chosen: Chosen) -> LoraWeights:
        """Bring an adapter into memory, and let those go that were used longest ago where there is no room.

        Raises:
            ModelError: it can't be read, doesn't fit this base, or is larger than what is free.
        """
        with self._lock:
            if known := self._resident.get(chosen.fingerprint):
                self._resident.move_to_end(chosen.fingerprint)
                return known
        self._make_room(chosen)
        weights = read_lora(chosen.folder, self._model.device)
        if chosen.stamp and tuple(file_stamp(chosen.folder / WEIGHTS)) != chosen.stamp:
            raise ModelError(f"the adapter {chosen.name!r} was replaced while it was read", hint="ask for it again")
        self._check_fits(weights, chosen)
        with self._lock:
            return self._resident.setdefault(chosen.fingerprint, weights)

    def prefetch(self, selection: Selection) -> "Future[None]":
        """Begin to load a selection in another thread; what is active goes on answering."""
        if self._loader is None:
            self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="adapters")
        return self._loader.submit(self._load_all, selection)

    def activate(self, selection: Selection) -> None:
        """Let a selection shape what the base computes, from now on.

        Raises:
            ModelError: as for ``load``; what was active stays so.
        """
        if scope(selection) == scope(self._active):
            return
        weights = [] if any(one.slow for one in selection) else [self.load(one) for one in selection]
        before, self._active = self._active, selection
        self._clear()
        try:
            if weights:
                self._hook([(each, one.scale) for each, one in zip(weights, selection, strict=True)])
            elif selection:
                self._injected = inject(self._model, selection[0].folder)
        except BaseException:
            self._clear()
            self._active = ()
            self.activate(before)
            raise

    @contextmanager
    def using(self, selection: Selection) -> Iterator[None]:
        """A selection for a while, then what was active before."""
        before, held = self._active, self._held
        self._held = held | {one.fingerprint for one in before}
        try:
            self.activate(selection)
            yield
        finally:
            self.activate(before)
            self._held = held

    def unload(self, fingerprint: str) -> None:
        """Let an adapter's memory go; where it is active, the base answers afterwards."""
        if any(one.fingerprint == fingerprint for one in self._active):
            self.activate(())
        with self._lock:
            self._resident.pop(fingerprint, None)

    def close(self) -> None:
        """Leave the base as it was, and give all memory back."""
        self.activate(())
        if self._loader:
            self._loader.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            self._resident.clear()

    def head(self, chosen: Chosen) -> torch.Tensor:
        """A reward adapter's head, ``(outputs, hidden)``.

        Raises:
            ModelError: it has none.
        """
        head = self.load(chosen).head
        weight = next((tensor for name, tensor in (head or {}).items() if name.endswith("weight") and tensor.ndim == 2), None)
        if weight is None:
            raise ModelError(
                f"the adapter {chosen.name!r} has no head: it doesn't score", hint="finetune reward makes one that does"
            )
        return weight

    def _load_all(self, selection: Selection) -> None:
        for one in selection:
            if not one.slow:
                self.load(one)

    def _hook(self, parts: Sequence[tuple[LoraWeights, float]]) -> None:
        by_layer: dict[str, list[LowRank]] = {}
        for weights, scale in parts:
            for name, pair in weights.layers.items():
                by_layer.setdefault(name, []).append(pair.scaled(scale))
        for name, pairs in by_layer.items():
            module = self._model.get_submodule(name)
            self._handles.append(module.register_forward_hook(_adding(tuple(pairs), type(module).__name__ in QUANTISED)))

    def _clear(self) -> None:
        while self._handles:
            self._handles.pop().remove()
        if self._injected:
            self._injected.take_out()
            self._injected = None

    def _make_room(self, chosen: Chosen) -> None:
        """Drop what was used longest ago while there are too many adapters, or too little memory for one more."""
        needed = sum(file.stat().st_size for file in chosen.folder.glob("*.safetensors"))
        active = {one.fingerprint for one in self._active} | self._held
        device = self._model.device.type
        while True:
            known = self._available(device)
            free = math.inf if known is None else known
            with self._lock:
                idle = [each for each in self._resident if each not in active]
                full = len(self._resident) >= self._most or needed > SPARE * free
                if not full or not idle:
                    break
                self._resident.pop(idle[0])
        if needed > free:
            raise ModelError(
                f"the adapter {chosen.name!r} takes {gigabytes(needed)}, and {gigabytes(free)} are free on {device}",
                hint="free some memory, or load the base with --quantization nf4",
            )

    def _check_fits(self, weights: LoraWeights, chosen: Chosen) -> None:
        for name, pair in weights.layers.items():
            try:
                module = self._model.get_submodule(name)
            except AttributeError:
                raise ModelError(
                    f"the adapter {chosen.name!r} changes {name!r}, which this model doesn't have",
                    hint="use the base it was trained on",
                ) from None
            wanted = _sides(module)
            if wanted is not None and wanted != (pair.a.shape[1], pair.b.shape[0]):
                raise ModelError(
                    f"{name!r} of the adapter {chosen.name!r} takes {pair.a.shape[1]} numbers and gives {pair.b.shape[0]}; "
                    f"this model's takes {wanted[0]} and gives {wanted[1]}",
                    hint="use the base it was trained on",
                )


def _adding(parts: tuple[LowRank, ...], quantised: bool) -> Callable[[Any, tuple[Any, ...], torch.Tensor], torch.Tensor]:
    def add(_module: Any, given: tuple[Any, ...], result: torch.Tensor) -> torch.Tensor:
        return add_low_rank(given[0], result, parts, quantised=quantised)

    return add


def _sides(module: Any) -> tuple[int, int] | None:
    """What a linear layer takes and gives; GPT-2's keeps its weights the other way around."""
    if hasattr(module, "in_features"):
        return int(module.in_features), int(module.out_features)
    if type(module).__name__ == "Conv1D":
        return int(module.nx), int(module.nf)
    return None
