"""The adapters of one loaded base: which of them shape what it computes now.

The base is never touched: an adapter's part is added to a layer's output by a forward hook, so that a swap moves no weights,
leaving an adapter is exact, and a quantised base is served like any other. What a hook can't compute exactly (DoRA, modules saved
whole, trained tokens) is left to PEFT, put in and taken out again at each swap (`slow`).

An adapter is known here by the hash of what it computes, never by its name: under an old name new weights are another adapter.

Ctrl-C may come anywhere. Hooks count only while theirs is the selection that is worn, which is one assignment; and a swap that
was cut off leaves a mark, so that the next one begins from the bare base.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from assistant.adapters.low_rank import LoraWeights, LowRank, attach
from assistant.adapters.resident import MOST, Copied, Resident
from assistant.adapters.selection import Chosen, Selection, scope
from assistant.adapters.slow import inject, restore
from assistant.errors import ModelError
from assistant.models.hardware import memory_available


@dataclass(slots=True, eq=False)
class _Worn:
    """A selection with the hooks that compute it."""

    selection: Selection = ()
    handles: list[Any] = field(default_factory=list)


class Adapters:
    """Switches between adapters of a base. For the thread that answers; only `prefetch` works in another.

    Args:
        model: the base, on its device; its weights stay as they are.
        most: adapters that stay in memory.
        available: tells the bytes that are free on a device, None where nobody knows.
    """

    def __init__(self, model: Any, *, most: int = MOST, available: Callable[[str], int | None] = memory_available) -> None:
        self._model = model
        self._modules = dict(model.named_modules())
        self._resident = Resident(model, most=most, available=available, needed=self._needed)
        self._loader: ThreadPoolExecutor | None = None
        self._worn = _Worn()
        self._left: list[_Worn] = []  # whose hooks may still be there
        self._settled, self._injected = True, False
        self._held: frozenset[str] = frozenset()  # active again soon
        self._proven: set[str] = set()

    @property
    def active(self) -> Selection:
        """What shapes the base's output now."""
        return self._worn.selection

    @property
    def resident(self) -> tuple[str, ...]:
        """Fingerprints of the adapters in memory, the one used last at the end."""
        return self._resident.fingerprints

    @property
    def size(self) -> int:
        """Bytes of all adapters in memory."""
        return self._resident.size

    def is_resident(self, selection: Selection) -> bool:
        """Whether a swap to a selection reads nothing."""
        return all(one.fingerprint in self.resident for one in selection)

    def is_proven(self, fingerprint: str) -> bool:
        """Whether an adapter computed its canary here."""
        return fingerprint in self._proven

    def proven(self, fingerprint: str) -> None:
        """Remember that an adapter computed its canary here."""
        self._proven.add(fingerprint)

    def load(self, chosen: Chosen) -> LoraWeights | Copied:
        """Bring an adapter into memory: see ``Resident.load``."""
        return self._resident.load(chosen)

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
        if self._settled and scope(selection) == scope(self.active):
            return
        before = self.active
        weights = [self.load(one) for one in selection]
        try:
            self._wear(selection, weights)
        except BaseException:
            self._wear(before, [self.load(one) for one in before])
            raise

    @contextmanager
    def using(self, selection: Selection) -> Iterator[None]:
        """A selection for a while, then what was active before."""
        before, held = self.active, self._held
        self._held = held | {one.fingerprint for one in before}
        try:
            self.activate(selection)
            yield
        finally:
            self.activate(before)
            self._held = held

    def unload(self, fingerprint: str) -> None:
        """Let an adapter's memory go; where it is active, the base answers afterwards."""
        if any(one.fingerprint == fingerprint for one in self.active):
            self.activate(())
        self._resident.drop(fingerprint)

    def close(self) -> None:
        """Leave the base as it was, and give all memory back."""
        self.activate(())
        if self._loader:
            self._loader.shutdown(wait=True, cancel_futures=True)
        self._resident.clear()

    def head(self, chosen: Chosen) -> torch.Tensor:
        """A reward adapter's head, ``(outputs, hidden)``.

        Raises:
            ModelError: it has none.
        """
        weights = self.load(chosen)
        head = (weights.head if isinstance(weights, LoraWeights) else None) or {}
        weight = next((tensor for name, tensor in head.items() if name.endswith("weight") and tensor.ndim == 2), None)
        if weight is None:
            raise ModelError(
                f"the adapter {chosen.name!r} has no head: it doesn't score", hint="finetune reward makes one that does"
            )
        return weight

    def _needed(self) -> frozenset[str]:
        return self._held | {one.fingerprint for one in self.active}

    def _load_all(self, selection: Selection) -> None:
        for one in selection:
            self.load(one)

    def _wear(self, selection: Selection, weights: Sequence[LoraWeights | Copied]) -> None:
        """Take off what is worn and put a selection on. Whatever was left of a swap that was cut off goes, too."""
        self._settled = False
        self._take_off()
        worn = _Worn(selection)
        self._left.append(worn)
        fast = [(each, one.scale) for each, one in zip(weights, selection, strict=True) if isinstance(each, LoraWeights)]
        slow = [each for each in weights if isinstance(each, Copied)]
        self._hook(worn, fast)
        for each in slow:
            self._injected = True
            inject(self._model, each.folder)
        self._worn = worn
        self._left.remove(worn)
        self._settled = True

    def _take_off(self) -> None:
        self._left.append(self._worn)
        self._worn = _Worn(self._worn.selection)  # its hooks do nothing from here on
        for worn in self._left:
            for handle in worn.handles:
                handle.remove()
        self._left.clear()
        if self._injected:
            restore(self._model, self._modules)
            self._injected = False

    def _hook(self, worn: _Worn, parts: Sequence[tuple[LoraWeights, float]]) -> None:
        by_layer: dict[str, list[LowRank]] = {}
        for weights, scale in parts:
            for name, pair in weights.layers.items():
                by_layer.setdefault(name, []).append(pair.scaled(scale))
        for name, pairs in by_layer.items():
            worn.handles.append(attach(self._modules[name], pairs, wanted=lambda: self._worn is worn))
