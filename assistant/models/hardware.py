"""Where a model runs and in which number format, found by trying, with the reason in plain words.

Fast is measured, not looked up: on a CPU without native bf16 a matrix product in it takes tens of times as long as in fp32.
"""

import ctypes
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch

from assistant.errors import ModelError
from assistant.models.machine import inspect_machine

DeviceName = Literal["auto", "cuda", "mps", "cpu"]
DtypeName = Literal["auto", "fp32", "fp16", "bf16"]
NAMED = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
BF16_CAPABILITY = (8, 0)
"""CUDA compute capability (Ampere) from which bf16 is computed by the hardware."""
PROBE = (64, 1024)
"""Rows and width of the trial product: a small model's layer, a piece of a prompt."""
WORTH_IT = 1.2
"""bf16 on a CPU may take so many times what fp32 takes: it halves the memory, and writing is bound by memory."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """Where a model runs, and how it computes.

    Attributes:
        device: ``cuda``, ``mps`` or ``cpu``.
        dtype: of weights and arithmetic.
        reason: why, in plain words.
    """

    device: str
    dtype: torch.dtype
    reason: str

    @property
    def label(self) -> str:
        """E.g. ``cpu, fp32: bf16 matmul is 30 × slower on this CPU``."""
        return f"{self.device}, {dtype_name(self.dtype)}: {self.reason}"


def choose_hardware(device: DeviceName = "auto", dtype: DtypeName = "auto", *, float16: bool = True) -> Hardware:
    """Choose device and number format.

    Args:
        device: ``auto``: the first there is of CUDA, Apple's GPU and the CPU.
        dtype: ``auto``: what is fast there.
        float16: whether the model's activations stay within fp16's range.

    Raises:
        ModelError: the device asked for isn't there.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    chosen = next(name for name, there in present.items() if there) if device == "auto" else device
    if not present.get(chosen):
        there = ", ".join(name for name, is_there in present.items() if is_there)
        raise ModelError(f"this machine has no device {device!r} that torch can use", hint=f"use one that is there: {there}")
    if dtype != "auto":
        return Hardware(chosen, NAMED[dtype], "asked for")
    if chosen == "cuda":
        return Hardware(chosen, *cuda_dtype(torch.cuda.get_device_capability(), torch.cuda.get_device_name(), float16=float16))
    if chosen == "mps":
        return Hardware(chosen, *((torch.float16, "Apple's GPU") if float16 else (torch.float32, "this model overflows fp16")))
    return Hardware(chosen, *_cpu_dtype())


def cuda_dtype(capability: tuple[int, int], name: str, *, float16: bool) -> tuple[torch.dtype, str]:
    """The number format for an NVIDIA GPU of some compute capability, and why."""
    if capability >= BF16_CAPABILITY:
        return torch.bfloat16, f"{name} computes bf16 itself"
    if float16:
        return torch.float16, f"{name} has no bf16 (capability {capability[0]}.{capability[1]}, bf16 needs 8.0)"
    return torch.bfloat16, f"{name} emulates bf16, slowly, but this model overflows fp16"


def memory_available(device: str) -> int | None:
    """Bytes that a model may take on a device now; None where that can't be found out."""
    if device == "cuda":
        free, _ = torch.cuda.mem_get_info()
        return int(free)
    if device == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return inspect_machine().memory_available


def give_back_freed() -> None:
    """Have the C library give freed memory back to the system, where it can (glibc).

    Quantising on a CPU frees a buffer for each matrix, and glibc keeps those under 32 MB: measured, 740 MB beside a model of 160.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def peak_memory() -> int:
    """The most bytes taken so far: on a GPU by tensors, else by the whole process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def dtype_name(dtype: torch.dtype) -> str:
    """``fp32``, ``fp16`` or ``bf16``."""
    return next((name for name, named in NAMED.items() if named == dtype), str(dtype).removeprefix("torch."))


def _cpu_dtype() -> tuple[torch.dtype, str]:
    slower = bf16_slowdown()
    if slower > WORTH_IT:
        times = f"{slower:.0f}" if slower >= 2 else f"{slower:.1f}"
        return torch.float32, f"bf16 matmul is {times} × slower on this CPU"
    return torch.bfloat16, f"bf16 matmul takes {slower:.1f} × what fp32 takes on this CPU, and half the memory"


@cache
def bf16_slowdown() -> float:
    """How many times as long as in fp32 a matrix product takes in bf16 on this CPU. Cost: 10 to 50 ms, once per process."""
    return _product_s(torch.bfloat16) / _product_s(torch.float32)


def _product_s(dtype: torch.dtype, repeats: int = 3) -> float:
    rows, width = PROBE
    left, right = torch.ones(rows, width, dtype=dtype), torch.ones(width, width, dtype=dtype)
    left @ right.T  # the first product sets up the library
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        left @ right.T
        times.append(time.perf_counter() - started)
    return min(times)
