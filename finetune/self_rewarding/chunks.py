"""Long work in parts, each written down when it is done: what a kill leaves is gone on with, and comes out the same.

Every part has a seed of its own, told by what it is for, so that no part depends on those before it.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from finetune.run_folder.files import append_lines, make_folder, whole_lines, write_file

PART = 32
"""Items of a part: prompts, or answers to be judged."""
Line = dict[str, Any]


def in_parts(file: Path, count: int, work: Callable[[range], Sequence[Line]]) -> list[Line]:
    """Do a work on so many items.

    Args:
        file: where it is written down, a line an item.
        count: items.
        work: does a part of them.

    Returns:
        A line for each item, in their order.

    Raises:
        TrainingError: the disk is full.
    """
    make_folder(file.parent)
    found = [json.loads(line) for line in whole_lines(file)]
    if len(found) < count and len(found) % PART:  # killed amid a part
        found = found[: len(found) // PART * PART]
        write_file(file, b"".join(map(_encoded, found)))
    for start in range(len(found), count, PART):
        made = work(range(start, min(start + PART, count)))
        append_lines(file, b"".join(map(_encoded, made)))
        found += made
    return found


def _encoded(line: Line) -> bytes:
    return json.dumps(line, allow_nan=False).encode() + b"\n"


def seed_for(seed: int, *what: object) -> int:
    """A seed of its own for a part of the work, the same on every machine."""
    digest = hashlib.sha256(json.dumps([seed, *map(str, what)]).encode()).digest()
    return int.from_bytes(digest[:4], "big")
