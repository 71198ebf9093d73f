"""The model of a round, loaded once: it writes and judges, wearing whichever adapter is asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.adapters.admitting import admit
from assistant.adapters.identity import identify_base
from assistant.adapters.preflight import check_adapter
from assistant.adapters.selection import Chosen, Selection
from assistant.adapters.swapping import Adapters
from assistant.errors import ModelError
from assistant.models.hardware import give_back_freed
from assistant.models.quiet import quiet
from finetune.base_model import Base, open_base
from finetune.config import TrainingConfig

if TYPE_CHECKING:
    from finetune.side_by_side.judges import Announce


@dataclass
class Policy:
    """A base with the adapters that it has worn.

    Attributes:
        base: the model, as it is trained.
        announce: told what goes on.
    """

    base: Base
    announce: "Announce"
    _adapters: Adapters
    _known: dict[Path, Selection] = field(default_factory=dict)

    @contextmanager
    def wearing(self, adapter: Path | None) -> Iterator[Base]:
        """The base with an adapter for a while; None: alone.

        Raises:
            ModelError: the adapter isn't of this base, is damaged, or writes nothing.
        """
        selection: Selection = ()
        if adapter is not None:
            if adapter not in self._known:
                self._known[adapter] = self._checked(adapter)
            selection = self._known[adapter]
            admit(self._adapters, selection, self.base.loaded, self.announce)
        with self._adapters.using(selection), quiet():
            yield self.base

    def _checked(self, adapter: Path) -> Selection:
        found = check_adapter(adapter, identify_base(self.base.loaded, None), models=None)
        if found.role == "reward":
            raise ModelError(f"{str(adapter)!r} scores answers and writes none", hint=f"give it as a judge: --judge {adapter}")
        for warning in found.warnings:
            self.announce(f"the adapter {found.name}: {warning}")
        return (Chosen(found.name, found.folder, found.fingerprint, slow=found.slow),)


@contextmanager
def open_policy(training: TrainingConfig, announce: "Announce") -> Iterator[Policy]:
    """Load the base as a training loads it, and give its memory back afterwards: the next training loads its own.

    Raises:
        ModelError, UsageError: it can't be loaded.
    """
    import gc

    base = open_base(training, announce=announce)
    adapters = Adapters(base.loaded.model)
    try:
        yield Policy(base, announce, adapters)
    finally:
        adapters.close()
        del base, adapters
        gc.collect()
        give_back_freed()
