"""An adapter's first load into a base: its files are read, and its canary is computed, before it may answer."""

from collections.abc import Callable
from pathlib import Path

from assistant.adapters.canary import run_canary
from assistant.adapters.manifest import FILE, read_manifest
from assistant.adapters.selection import Selection
from assistant.adapters.swapping import Adapters
from assistant.models.loading import Loaded


def admit(adapters: Adapters, selection: Selection, loaded: Loaded, announce: Callable[[str], None]) -> None:
    """Load what isn't in memory, and prove each adapter that hasn't been proven on this base.

    Raises:
        ModelError: it can't be loaded, or computes something else than when it was saved. What is active stays so.
    """
    for one in selection:
        if adapters.is_proven(one.fingerprint):
            continue
        alone = (one.at(1.0),)
        with adapters.using(alone):
            notice = _prove(one.name, one.folder, loaded)
        adapters.proven(one.fingerprint)
        if notice:
            announce(f"the adapter {one.name} {notice}")
    for one in selection:
        adapters.load(one)


def _prove(name: str, folder: Path, loaded: Loaded) -> str | None:
    """Compute a canary; a notice where the machine is another one. Without a manifest there is none."""
    if not (folder / FILE).is_file():
        return None
    manifest = read_manifest(folder)
    if manifest.role == "reward":  # its canary is a score, and needs its head
        return None
    return run_canary(name, manifest.canary, loaded).notice
