"""How far a build is and how long the rest will take. Counts; knows nothing of files or models."""

import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is.

    Attributes:
        files_done, files_total: of the files that need reading.
        passages_done: embedded or taken over so far.
        passages_per_s: since the build began to read.
        seconds_left: by bytes; None as long as there is nothing to go by.
        source: the file at hand.
    """

    files_done: int
    files_total: int
    passages_done: int
    passages_per_s: float
    seconds_left: float | None
    source: str


class Clock:
    """Counts what is done, and guesses how long the rest takes: from bytes read, and from passages embedded of those read."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.started = time.monotonic()
        self.files, self.files_total = 0, len(sizes)
        self.bytes, self.bytes_total = 0, sum(sizes)
        self.passages_read = self.passages_done = 0

    def progress(self, source: str) -> Progress:
        """Where the build is now."""
        spent = max(time.monotonic() - self.started, 1e-6)
        done = min(1.0, self.bytes / max(self.bytes_total, 1) * self.passages_done / max(self.passages_read, 1))
        left = spent * (1 - done) / done if done else None
        return Progress(self.files, self.files_total, self.passages_done, self.passages_done / spent, left, source)
