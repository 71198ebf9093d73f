"""Where a run was made: versions of packages, the machine, the commit. Loads none of the packages, and never fails."""

import platform
import shutil
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from assistant.models.machine import inspect_machine

PACKAGES = ("assistant", "torch", "transformers", "peft", "trl", "bitsandbytes", "datasets", "accelerate", "tokenizers",
            "safetensors", "numpy")  # fmt: skip
"""Those whose version can change what is trained."""
TIMEOUT_S = 10.0
"""How long git or the GPU's driver may take to answer."""


def package_versions() -> dict[str, str]:
    """Python's version and the packages', without importing any; one that isn't installed is left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def describe_machine() -> dict[str, Any]:
    """What computes: ``system``, ``processor``, ``cores`` that may be used, ``memory_bytes`` (None: unknown) and ``gpus``."""
    machine = inspect_machine()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": machine.processor,
        "cores": machine.processors,
        "memory_bytes": machine.memory_total,
        "gpus": list(machine.gpus or ()),
    }


def git_commit(folder: Path) -> str | None:
    """The commit that a folder is at, with ``-dirty`` where tracked files differ from it; None: no repository, or no git."""
    said = _output(
        "git", "--no-optional-locks", "-C", str(folder), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"
    )
    return (said or "").strip() or None


def _output(program: str, *arguments: str) -> str | None:
    """What a program prints; None where there is no such program or it fails."""
    path = shutil.which(program)
    if path is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [path, *arguments], capture_output=True, encoding="utf-8", errors="replace", timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
