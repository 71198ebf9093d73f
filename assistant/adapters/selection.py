"""Which adapters answer, and how strongly: a user's words → names and scales (pure).

    none · concise · concise*0.5 · concise*0.5+formal*0.5

A sum of adapters is exact: each adds its own low-rank product to a layer's output (Hu et al. 2021, arXiv 2106.09685, §4.1), and
the products are added.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assistant.errors import UsageError
from assistant.records import Step

NONE = "none"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
BASE = (NONE, "base")
"""What means no adapter at all, however it is capitalised."""
LEAST, MOST = 0.001, 8.0
"""The scales: below them an adapter is as good as none, beyond them a model writes noise."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An adapter as a user asks for it.

    Attributes:
        name: of an installed one, or a folder's path.
        scale: what its part of a layer's output is multiplied with, above 0.
    """

    name: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """An adapter that is known to belong to the base.

    Attributes:
        name: what users call it.
        folder: where its files lie.
        fingerprint: the hash of its weights: the same name with other weights is another adapter.
        scale: what its part of a layer's output is multiplied with.
        slow: it changes the model in a way that only PEFT itself computes exactly.
        stamp: of its weights and settings when they were checked; empty: not known.
    """

    name: str
    folder: Path
    fingerprint: str
    scale: float = 1.0
    slow: bool = False
    stamp: tuple[int, ...] = ()

    def at(self, scale: float) -> "Chosen":
        """The same, stronger or weaker."""
        return replace(self, scale=scale)


Selection = tuple[Chosen, ...]
"""The adapters of a step, added up; none: the base as it is."""


def parse_wanted(text: str) -> tuple[Wanted, ...]:
    """Read ``concise*0.5+formal*0.5`` (an index of adapters with their scales), ``concise 0.5`` or ``none``.

    Raises:
        UsageError: it isn't of that form.
    """
    if text.strip().lower() in BASE:
        return ()
    wanted = tuple(_one(part.strip(), text) for part in text.split("+"))
    names = [each.name for each in wanted]
    if base := next((name for name in names if name.lower() in BASE), None):
        raise UsageError(f"{text!r}: {base!r} is the base itself, which can be neither scaled nor added", hint="leave it out")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"{text!r} names the adapter {twice!r} twice", hint=f"add its scales: {twice}*2")
    return wanted


def _one(part: str, text: str) -> Wanted:
    name, star, scale = (piece.strip() for piece in part.rpartition("*"))
    if not star:
        name, _, scale = (piece.strip() for piece in part.rpartition(" "))
        if not name or not _is_number(scale):  # a path may hold spaces
            name, scale = part, "1"
    if not name:
        raise UsageError(f"{text!r} names no adapter", hint="NAME, NAME*0.5, or A*0.5+B*0.5; 'none' is the base")
    if not _is_number(scale) or not LEAST <= float(scale) <= MOST:
        raise UsageError(
            f"the scale {scale!r} of {name!r} is no number from {LEAST:g} to {MOST:g}",
            hint=f"e.g. {name}*0.5; 'none' is the base",
        )
    return Wanted(name, float(scale))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def label(selection: Sequence[Chosen | Wanted]) -> str | None:
    """How a selection is called, as it can be typed again; None for the base."""
    return "+".join(each.name if each.scale == 1 else f"{each.name}*{each.scale:g}" for each in selection) or None


def adapters_identity(selections: Mapping[Step, Selection]) -> dict[str, list[list[object]]] | None:
    """The adapters of all steps as JSON, by their weights alone: names don't shape an answer. None for the base.

    The order of a sum counts: it shapes the last bits.
    """
    return {step: [[one.fingerprint, one.scale] for one in chosen] for step, chosen in selections.items() if chosen} or None


def scope(selection: Selection) -> str:
    """A selection as a text that is equal where what is computed is."""
    return "+".join(f"{each.fingerprint}*{each.scale!r}" for each in selection)
