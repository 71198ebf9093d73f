"""Which reward adapter scores a base's answers. Loads no torch: an adapter is known here by its files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assistant.adapters.identity import BaseIdentity
from assistant.adapters.manifest import Manifest
from assistant.adapters.preflight import Preflight, check_adapter
from assistant.adapters.registry import REWARD, find, installed
from assistant.adapters.selection import Chosen
from assistant.errors import ModelError

MAKE = "finetune reward --base {base} makes one, assistant adapters add PATH installs it"


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward adapter that belongs to a base.

    Attributes:
        chosen: the adapter.
        mean, std: of its scores of held-out answers, by which scores are told.
        manifest: what it says of itself.
        warnings: what a user should know.
    """

    chosen: Chosen
    mean: float
    std: float
    manifest: Manifest
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What users call it."""
        return self.chosen.name


def choose_reward(home: Path, base: BaseIdentity, name: str | None = None, *, models: Path | None = None) -> Reward:
    """Find the adapter that is to score a base's answers.

    Args:
        home: ``$ASSISTANT_HOME``.
        base: the model that answers.
        name: of an installed adapter, or a folder; None: the only one that belongs to the base.
        models: the folder that remembers hashes.

    Raises:
        ModelError: there is none, or several, or it can't score answers of this base.
    """
    if name is not None:
        known = find(home, name)
        return _reward(check_adapter(known.folder, base, models=models, trust_base=known.trusted, name=name))
    found = list(_fitting(home, base, models))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(one.name for one in found)
        raise ModelError(f"several reward adapters score answers of {base.name!r}", hint=f"name one of: {names}")
    raise ModelError(f"no reward adapter for {base.name!r} is installed", hint=MAKE.format(base=base.name))


def _fitting(home: Path, base: BaseIdentity, models: Path | None) -> Iterator[Reward]:
    """All installed ones that score answers of a base; what is wrong with the others matters only to who names them."""
    for one in installed(home):
        if one.role == REWARD and not one.problem:
            try:
                yield _reward(check_adapter(one.folder, base, models=models, trust_base=one.trusted, name=one.name))
            except ModelError:
                continue


def _reward(found: Preflight) -> Reward:
    manifest = found.manifest
    if manifest is None or manifest.role != REWARD:
        raise ModelError(f"the adapter {found.name!r} writes answers and can't score them", hint=MAKE.format(base="MODEL"))
    if manifest.classes:
        raise ModelError(
            f"the adapter {found.name!r} names classes ({', '.join(manifest.classes)}) and gives no scores",
            hint="train one on pairs or ratings: finetune reward --help",
        )
    if found.slow_because:
        raise ModelError(
            f"the reward adapter {found.name!r} can't score beside the model that answers: {found.slow_because}",
            hint="train it as a plain LoRA, without added tokens: finetune reward --help",
        )
    scale = manifest.reward or {"mean": 0.0, "std": 1.0}
    chosen = Chosen(found.name, found.folder, found.computes)
    return Reward(chosen, scale["mean"], scale["std"], manifest, found.warnings)
