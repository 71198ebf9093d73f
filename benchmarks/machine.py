"""What every benchmark prints first: the machine, the commit and the versions, so that a figure can be placed."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


def describe(*packages: str) -> str:
    """One line for the machine, one for the commit and the versions of the packages that are measured."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        fields = {key.strip(): value.strip() for key, value in lines.items()}
        flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16") if flag in fields.get("flags", "").split()]
        cpu = f"{fields.get('model name', cpu)} ({', '.join(flags)})"
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"machine: {cpu}, {len(os.sched_getaffinity(0))} processors, Python {platform.python_version()}\n"
        f"commit: {commit or 'unknown'}; {versions}"
    )
