"""The JSON of an adapter's folder, as the standard has it: no NaN, no number and no file too large to be ours."""

import json
import math
import os
import tempfile
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


def write(path: Path, document: Any) -> None:
    """Write a file, whole or not at all, for its owner alone.

    Raises:
        OSError: it can't be written; what was there before stays.
    """
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


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
