"""The JSON of an adapter's folder, as the standard has it: no NaN, no number and no file too large to be ours."""

import json
import math
from pathlib import Path
from typing import Any, NoReturn

MOST = 64_000_000
"""Bytes of a file that is parsed."""


class NoNumberError(ValueError):
    """A number that Python's json would take, and that nothing can be computed with."""


def load(path: Path) -> Any:
    """Read a file.

    Raises:
        OSError: it can't be read.
        ValueError: it is too large, or no JSON.
        RecursionError: it is nested too deeply.
    """
    if (size := path.stat().st_size) > MOST:
        raise ValueError(f"it has {size:,} bytes")
    return json.loads(path.read_bytes(), parse_constant=_refuse, parse_float=_finite, parse_int=_whole)


def _refuse(text: str) -> NoReturn:
    raise NoNumberError(f"{text[:20]} is no number")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _whole(text: str) -> int:
    try:
        number = int(text)
        float(number)
    except (OverflowError, ValueError):  # also of more digits than Python reads
        _refuse(text)
    return number
