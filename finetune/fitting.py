"""Whether a training fits a device, and the least change that makes it fit (pure)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from assistant.models.memory import QUANTIZATIONS, gigabytes
from finetune.planning import Settings, TrainingNeed, need_of

T4, RTX_4090 = "a T4 (15 GiB)", "an RTX 4090 (24 GB)"
CARDS: Mapping[str, int] = {T4: 15 * 2**30, RTX_4090: 24_000_000_000}
"""Bytes that a card offers."""
CAPABILITY: Mapping[str, tuple[int, int]] = {T4: (7, 5), RTX_4090: (8, 9)}
"""Of a card, by NVIDIA's count: whether it computes bf16 hangs on it."""
FEWEST = {"kto": 2}
"""Rows of a batch: KTO compares them with each other."""
SHORTEST, LOWEST_RANK = 256, 4
"""No change that is advised goes below."""
ABOUT = 1.05
"""Times the least that is as good as the least."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a training fits a device.

    Attributes:
        device: by name.
        offered: bytes; None: unknown.
        need: what it takes there.
        changes: settings to change so that it fits, by name; empty where it fits, or where nothing helps.
        changed: what it takes then.
    """

    device: str
    offered: int | None
    need: TrainingNeed
    changes: Mapping[str, Any]
    changed: TrainingNeed | None

    @property
    def fits(self) -> bool:
        """As it is."""
        return self.offered is None or self.need.total <= self.offered

    @property
    def text(self) -> str:
        """In words, e.g. ``fits a T4 (15 GiB): 8.6 GB of 16.1 GB``."""
        if self.offered is None:
            return f"needs {gigabytes(self.need.total)} on {self.device}, whose memory is unknown"
        figures = f"{gigabytes(self.need.total)} of {gigabytes(self.offered)}"
        if self.fits:
            return f"fits {self.device}: {figures}"
        if self.changed is None:
            return f"does not fit {self.device}: {figures}, whatever is changed; take a smaller base"
        return f"does not fit {self.device}: {figures}; {say_changes(self.changes)} would: {gigabytes(self.changed.total)}"


def judge(config: Mapping[str, Any], settings: Settings, *, device: str, offered: int | None) -> Verdict:
    """Whether a training fits, and else the first change that makes it fit.

    One setting alone is tried before two together: checkpointing where it is off (it costs time only), then batch, length, rank
    and quantisation, as little as helps of each; then all of them with the smallest quantisation.
    """
    need = need_of(config, settings)
    if offered is None or need.total <= offered:
        return Verdict(device, offered, need, {}, None)
    for other in _ways_out(settings):
        changed = need_of(config, other)
        if changed.total <= offered:
            return Verdict(device, offered, need, changes(settings, other), changed)
    return Verdict(device, offered, need, {}, None)


def relieve(config: Mapping[str, Any], settings: Settings, *, device: str, offered: int | None) -> Verdict:
    """What to change where a training ran out of memory: what `judge` says; where it sees no lack, what alone saves the most.

    Of changes that save about as much the mildest: fewer rows at once lose nothing, a shorter length loses rows.
    """
    verdict = judge(config, settings, device=device, offered=offered)
    if not verdict.fits:
        return verdict
    needs = [(other, need_of(config, other)) for other in _steps_down(settings)]
    least = min((need.total for _, need in needs), default=0)
    for other, need in needs:
        if need.total <= ABOUT * least:
            return Verdict(device, offered, verdict.need, changes(settings, other), need)
    return verdict


def changes(before: Settings, after: Settings) -> dict[str, Any]:
    """The settings that differ, with their new values."""
    names = ("checkpointing", "batch", "length", "rank", "quantization")
    return {name: getattr(after, name) for name in names if getattr(after, name) != getattr(before, name)}


def say_changes(changed: Mapping[str, Any]) -> str:
    """Changed settings in words, e.g. ``batch 2 and length 512``."""
    return " and ".join("checkpointing" if name == "checkpointing" else f"{name} {value}" for name, value in changed.items())


def _ways_out(settings: Settings) -> Iterator[Settings]:
    smaller = QUANTIZATIONS[QUANTIZATIONS.index(settings.quantization) + 1 :]
    fewest = FEWEST.get(settings.method, 1)
    if not settings.checkpointing:
        settings = replace(settings, checkpointing=True)
        yield settings
    yield from (replace(settings, batch=batch) for batch in _halves(settings.batch, fewest))
    yield from (replace(settings, length=length) for length in _halves(settings.length, SHORTEST))
    yield from (replace(settings, rank=rank) for rank in _halves(settings.rank, LOWEST_RANK))
    yield from (replace(settings, quantization=quantization) for quantization in smaller)
    least = replace(settings, quantization="nf4")
    for batch in (settings.batch, *_halves(settings.batch, fewest)):
        yield replace(least, batch=batch)
    for length in _halves(settings.length, SHORTEST):
        yield replace(least, batch=fewest, length=length)
    for rank in _halves(settings.rank, LOWEST_RANK):
        yield replace(least, batch=fewest, length=min(settings.length, SHORTEST), rank=rank)


def _steps_down(settings: Settings) -> Iterator[Settings]:
    """Each setting alone, a step down: half of a number, the smallest quantisation."""
    if not settings.checkpointing:
        yield replace(settings, checkpointing=True)
    for batch in islice(_halves(settings.batch, FEWEST.get(settings.method, 1)), 1):
        yield replace(settings, batch=batch)
    for length in islice(_halves(settings.length, SHORTEST), 1):
        yield replace(settings, length=length)
    for rank in islice(_halves(settings.rank, LOWEST_RANK), 1):
        yield replace(settings, rank=rank)
    if settings.quantization != "nf4":
        yield replace(settings, quantization="nf4")


def _halves(value: int, least: int) -> Iterator[int]:
    """Half of a value, half of that, …, and the least at last."""
    while value > least:
        value = max(value // 2, least)
        yield value
