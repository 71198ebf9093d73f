"""What this machine is: processor features, memory, GPU, and the number format that follows from them. Never loads torch."""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16", "i8mm")
"""What decides which arithmetic is fast: x86's names, then ARM's."""
NATIVE_BF16 = ("avx512_bf16", "amx_bf16", "bf16")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine's facts.

    Attributes:
        processor: its name.
        processors: how many this process may use.
        features: those of ``FEATURES`` that it has; None where that can't be found out.
        memory_total, memory_available: bytes; None where that can't be found out.
        gpus: name, driver and memory of each, as ``nvidia-smi`` says; None when there is no such program to ask.
    """

    processor: str
    processors: int
    features: tuple[str, ...] | None
    memory_total: int | None
    memory_available: int | None
    gpus: tuple[str, ...] | None

    @property
    def model_dtype(self) -> tuple[str, str]:
        """The number format for a language model on this processor, and why. Without native bf16 it is emulated, far slower."""
        if self.features is None:
            return "float32", "the processor's features are unknown"
        native = [name for name in NATIVE_BF16 if name in self.features]
        if native:
            return "bfloat16", f"the processor multiplies bf16 itself ({', '.join(native)})"
        return "float32", "the processor has neither avx512_bf16 nor amx_bf16: bf16 would be emulated, many times slower"


def inspect_machine() -> Machine:
    """Find out what this machine is."""
    total, available = _memory()
    cpuinfo = _read(Path("/proc/cpuinfo"))
    return Machine(
        processor=_field(cpuinfo, "model name") or platform.processor() or platform.machine(),
        processors=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        features=features_in(cpuinfo),
        memory_total=total,
        memory_available=available,
        gpus=_gpus(),
    )


def features_in(cpuinfo: str) -> tuple[str, ...] | None:
    """The features that Linux's ``/proc/cpuinfo`` names (``flags`` on x86, ``Features`` on ARM)."""
    flags = _field(cpuinfo, "flags") or _field(cpuinfo, "Features")
    if not flags:
        return None
    present = set(flags.split())
    return tuple(name for name in FEATURES if name in present)


def _memory() -> tuple[int | None, int | None]:
    """Total and available bytes; a container's limit counts where it is lower than the machine's memory."""
    fields = {}
    for line in _read(Path("/proc/meminfo")).splitlines():
        name, _, value = line.partition(":")
        if value.strip().endswith("kB"):
            fields[name] = int(value.split()[0]) * 1024
    total, available = fields.get("MemTotal"), fields.get("MemAvailable")
    limit = _read(Path("/sys/fs/cgroup/memory.max")).strip()
    if limit.isdigit() and total and int(limit) < total:
        used = _read(Path("/sys/fs/cgroup/memory.current")).strip()
        total = int(limit)
        available = max(total - int(used), 0) if used.isdigit() else available
    return total, available


def _gpus() -> tuple[str, ...] | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - the driver's own program, without input
            [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip()) if done.returncode == 0 else ()


def _field(text: str, name: str) -> str:
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return value.strip()
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
