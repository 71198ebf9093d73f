"""What a run may be gone on with: the settings that may be others, and hashes of what it is made of beside its rows.

Shared by single trainings, pipelines and self-rewarding; it loads no model and no torch.
"""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from assistant.adapters.manifest import FILE, read_manifest
from assistant.models.checkpoint import Checkpoint
from assistant.models.fingerprint import base_fingerprint
from finetune.config import TrainingConfig
from finetune.errors import TrainingError
from indexes.errors import UserError

MAY_CHANGE = (
    *("max_steps", "epochs", "save_every", "eval_every", "log_every", "samples", "patience", "track", "device"),
    *("data", "eval_data", "out", "force", "grader_timeout"),  # the rows themselves are compared by their hash
)
"""Settings that may be others when a run is gone on with."""
CHANGES_NOTHING = ("log_every", "save_every", "samples", "track", "device", "force", "grader_timeout")
"""Of these the ones by which another adapter wouldn't come out of the whole run, but for roundings."""
LABELS = ("classifier", "probability")
GRADER = "grader "
"""How the hash of a grader is named: with its spec behind it."""
AS_SAID: Mapping[str, str] = MappingProxyType({})


def other_hashes(
    config: TrainingConfig, parents: Collection[str], faults: list[str], *, written: Mapping[str, str] = AS_SAID
) -> dict[str, str]:
    """Hashes of adapters, models and grading functions that a training is made of, as far as they lie on this machine.

    Args:
        config: names them.
        parents: folders that are left out: they may not be there yet.
        faults: takes what can't be read.
        written: a grader as it was written, where the settings hold it otherwise.

    Returns:
        By name: ``init_adapter``, and ``grader SPEC`` without its weight.
    """
    try:
        return _hashes(config, parents, written)
    except UserError as error:
        faults.append(error.message)
    except OSError as error:
        faults.append(f"can't read a grader: {error}")
    return {}


def made_of(config: TrainingConfig) -> dict[str, str]:
    """The same for one training: gone on with, it must be the same.

    Raises:
        ModelError, TrainingError: something of it can't be read.
    """
    try:
        return _hashes(config, (), AS_SAID)
    except OSError as error:
        raise TrainingError(f"can't read a grader: {error}", hint="name another with --grader") from error


def in_names_of(was: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Hashes of now by the names of a record: older versions named a grader by its file alone, and didn't hash all of them."""
    found = {name: value for name, value in now.items() if name in was or not name.startswith(GRADER)}
    known = set(now.values())
    old = {name: value for name, value in was.items() if name.startswith(GRADER) and name not in now and value in known}
    return found | old


def _hashes(config: TrainingConfig, parents: Collection[str], written: Mapping[str, str]) -> dict[str, str]:
    found = {}
    if config.init_adapter and config.init_adapter not in parents and not config.init_adapter.startswith("@"):
        found["init_adapter"] = read_manifest(Path(config.init_adapter)).weights_hash
    for spec in (*config.grader, *config.eval_grader):
        if hashed := _grader_hash(_without_weight(spec), parents):
            found[f"{GRADER}{_without_weight(written.get(spec, spec))}"] = hashed
    return found


def _without_weight(spec: str) -> str:
    return spec.rpartition("*")[0] if "*" in spec else spec


def _grader_hash(spec: str, parents: Collection[str]) -> str:
    """Of a file with a function, an adapter or a model's folder; empty: it is none of these, or a parent."""
    kind, _, rest = spec.partition(":")
    named = rest.rpartition(":")[0] if kind in LABELS else spec
    file, folder = Path(spec.rpartition(":")[0]), Path(named).expanduser()
    if file.suffix == ".py" and file.is_file():
        return hashlib.sha256(file.read_bytes()).hexdigest()
    if not named or named in parents or not folder.is_dir():
        return ""
    if (folder / FILE).is_file():
        return read_manifest(folder).weights_hash
    return base_fingerprint(Checkpoint(named, folder)) if any(folder.glob("*.safetensors")) else ""
