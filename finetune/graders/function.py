"""A user's own grading function, ``file.py:function``, run in a process of its own with a time limit for each batch.

Whatever it does — print, raise, hang, end the process — reaches the training as an error that names it, or not at all. The
process is ended when the grader is closed, on Ctrl-C, at the end of the program, and by itself when this one dies.
"""

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune.graders import program
from finetune.graders.errors import GraderFault
from finetune.graders.grader import Sample, checked, shown

TIMEOUT_S = 30.0
"""Seconds that a batch may take, unless somebody says otherwise."""
BATCH = 32
"""Answers of a batch, by which time is counted: whoever asks for more scores waits for several."""
START_S = 120.0
"""Seconds that the file may take to be imported: it may well import torch."""
ENDED: dict[str, Any] = {}
"""Stands for the end of the process among its replies."""


class FunctionGrader:
    """Scores by a function of the user's.

    Args:
        file: the Python file.
        function: its name there: ``f(prompt, completion, row) -> float``, or ``f(prompts, completions, rows) -> list[float]``.
        timeout_s: seconds that ``BATCH`` answers may take.

    Raises:
        GraderFault: the file can't be imported, or has no such function.
    """

    def __init__(self, file: Path, function: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.name = f"{file}:{function}"
        self._file, self._timeout_s = file, timeout_s
        self._replies: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._process = subprocess.Popen(  # noqa: S603 - Python, with our own program
            [sys.executable, "-P", program.__file__],  # -P: what lies beside our program is not for the user's imports
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is this process's to handle
        )
        self._stop = weakref.finalize(self, _stop, self._process)
        threading.Thread(target=_listen, args=(self._process, self._replies), daemon=True).start()
        opened = self._ask({"open": {"file": str(file.resolve()), "function": function}}, (), range(0), START_S)
        self._vectorised = bool(opened["ready"]["vectorised"])

    def score(self, samples: Sequence[Sample]) -> list[float]:
        scores: list[float] = []
        size = len(samples) if self._vectorised else BATCH  # a function that sees many at once may compare them
        for start in range(0, len(samples), size or 1):
            part = range(start, min(start + size, len(samples)))
            asked = [(samples[at].asked, samples[at].completion, dict(samples[at].row)) for at in part]
            scores += self._ask({"score": asked}, samples, part, self._timeout_s * math.ceil(len(part) / BATCH))["scores"]
        return checked(self.name, scores, samples)

    def close(self) -> None:
        """End the process."""
        self._stop()

    def _ask(self, request: Mapping[str, Any], samples: Sequence[Sample], part: range, timeout_s: float) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Args:
            request: for the process.
            samples: all that are to be scored.
            part: the places of those that this request is about.
            timeout_s: seconds that it may take.

        Raises:
            GraderFault: there is none in time, or it tells of a fault; the process is ended where it can't go on.
        """
        if not self._stop.alive:
            raise self._gone(samples, None)
        line = json.dumps(request, default=str) + "\n"
        threading.Thread(target=self._send, args=(line,), daemon=True).start()  # a pipe that nobody reads would block for good
        until, at = time.monotonic() + min(timeout_s, threading.TIMEOUT_MAX), None
        try:
            while True:
                reply = self._replies.get(timeout=max(0.0, until - time.monotonic()))
                if "at" not in reply:
                    break
                at = part.start + reply["at"]
        except queue.Empty:
            self.close()
            raise self._too_slow(samples, part, at, timeout_s) from None
        except BaseException:  # Ctrl-C
            self.close()
            raise
        if reply is ENDED:
            raise self._gone(samples, at)
        if "fault" in reply:
            raise self._fault(reply["fault"], samples, at)
        return reply

    def _send(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # it has ended: the reader of its replies says so
            stdin = self._process.stdin
            if stdin is not None:
                stdin.write(line)
                stdin.flush()

    def _fault(self, fault: Mapping[str, Any], samples: Sequence[Sample], at: int | None) -> GraderFault:
        place = f", at {self._file}:{fault['line']}: {fault['code']}" if "line" in fault else ""
        what = f"the grader {self.name!r} {fault['what']}{place}{_of(samples, at)}"
        return GraderFault(what, hint=f"mend {str(self._file)!r}: a grader gives a finite number for any answer")

    def _too_slow(self, samples: Sequence[Sample], part: range, at: int | None, timeout_s: float) -> GraderFault:
        doing = f"for {len(part)} answers" if samples else "to be imported"
        return GraderFault(
            f"the grader {self.name!r} took more than {timeout_s:g} s {doing} and was ended{_of(samples, at)}",
            hint="make it faster, or give it more time with --grader-timeout",
        )

    def _gone(self, samples: Sequence[Sample], at: int | None) -> GraderFault:
        self.close()
        code = self._process.returncode
        why = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return GraderFault(
            f"the process of the grader {self.name!r} ended {why}{_of(samples, at)}",
            hint=f"mend {str(self._file)!r}: what it printed before stands above",
        )


def _of(samples: Sequence[Sample], at: int | None) -> str:
    """Which answer a fault is about."""
    return "" if at is None else f" (answer {at + 1} of {len(samples)}: {shown(samples[at].completion)})"


def _listen(process: "subprocess.Popen[str]", replies: "queue.SimpleQueue[dict[str, Any]]") -> None:
    stdout = process.stdout
    if stdout is not None:
        with contextlib.suppress(OSError, ValueError), stdout:
            for line in stdout:
                replies.put(json.loads(line))
    replies.put(ENDED)


def _stop(process: "subprocess.Popen[str]") -> None:
    """End the process and all that it has started."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError, ValueError):
            process.stdin.close()
