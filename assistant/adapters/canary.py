"""Whether an adapter computes here what it computed when it was saved: its canary, run at the first load.

Hashes tell that the files are the same; only a forward pass tells that they mean the same to these libraries on this machine.
"""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import torch

from assistant.adapters.manifest import Canary
from assistant.errors import ModelError
from assistant.models.families import context_length
from assistant.models.hardware import dtype_name

if TYPE_CHECKING:
    from assistant.models.loading import Loaded

SAME = 1e-3
"""Logits may differ by so much where everything is as it was when they were written down."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """How far logits are from those written down.

    Attributes:
        most: the greatest difference.
        otherwise: what is not as it was then, in words; empty: nothing.
        what: is computed: logits, or a score.
    """

    most: float
    otherwise: tuple[str, ...] = ()
    what: str = "logits"

    @property
    def notice(self) -> str | None:
        """What a user should know of it."""
        if self.most <= SAME:
            return None
        computed = "other logits" if self.what == "logits" else f"another {self.what}"
        return f"computes {computed} than when it was trained (off by {self.most:.2g}): {'; '.join(self.otherwise)}"


def run_canary(name: str, canary: Canary, loaded: "Loaded") -> Divergence:
    """Compute an adapter's canary; it is the active one.

    Raises:
        ModelError: logits differ under the same device, number format, quantisation and versions, or it is too long.
    """
    check_length(name, canary, loaded)
    last = _last_logits(loaded.model, canary.ids)
    places = torch.tensor([place for place, _ in canary.top], device=last.device)
    wanted = torch.tensor([value for _, value in canary.top], device=last.device)
    if int(places.max()) >= len(last):
        raise ModelError(f"the canary of the adapter {name!r} names token {int(places.max())}, of {len(last)}", hint=_AGAIN)
    most = float((last[places] - wanted).abs().max())
    return judge(f"the adapter {name!r}", most, canary, loaded)


def judge(who: str, most: float, canary: Canary, loaded: "Loaded", *, what: str = "logits") -> Divergence:
    """Whether what was computed may be called the same.

    Args:
        who: computed it, as an error names it.
        most: the greatest difference from what was written down.
        canary: what was.
        loaded: the base.
        what: is computed: logits, or a score.

    Raises:
        ModelError: it differs under the same device, number format, quantisation and versions.
    """
    divergence = Divergence(most, tuple(differences(canary, loaded)), what)
    if not most <= SAME and not divergence.otherwise:
        those = "logits that are" if what == "logits" else f"a {what} that is"
        raise ModelError(f"{who} computes {those} off by {most:.3g}, on the same device, number format and versions", hint=_AGAIN)
    return divergence


def check_length(name: str, canary: Canary, loaded: "Loaded") -> None:
    """See that a base can read a canary.

    Raises:
        ModelError: it is longer than what the base reads.
    """
    limit = context_length(loaded.model.config)
    if len(canary.ids) > limit:
        raise ModelError(
            f"the canary of the adapter {name!r} has {len(canary.ids):,} tokens, and its base reads {limit:,}", hint=_AGAIN
        )


_AGAIN = "its files or its base are damaged: take a whole copy, or train it again"


def differences(canary: Canary, loaded: "Loaded") -> list[str]:
    """What is not as it was when a canary was written down, in words."""
    now = {
        "device": loaded.hardware.device,
        "number format": dtype_name(loaded.dtype),
        "quantization": loaded.quantization,
        **{name: _version(name) for name in canary.versions},
    }
    then = {"device": canary.device, "number format": canary.dtype, "quantization": canary.quantization, **canary.versions}
    found = [f"{what} {then[what]}, now {now[what]}" for what in now if now[what] != then[what]]
    if packs(loaded.model):
        found.append("4-bit products unpacked, now packed for this CPU")
    return found


def packs(model: Any) -> bool:
    """Whether bitsandbytes multiplies 4-bit weights in another form than in training (``finetune.base_model.keep_unpacked``)."""
    return any(getattr(layer, "support_avx512bf16_for_cpu", False) for layer in model.modules())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


@torch.inference_mode()
def _last_logits(model: Any, ids: tuple[int, ...]) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=torch.tensor([list(ids)], device=model.device), use_cache=False).logits
    return logits[0, -1].float()
