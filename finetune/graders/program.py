"""The program that runs a user's grading function, in a process of its own. Imports the standard library alone.

It reads a request a line from standard input and writes replies to what standard output was when it began; whatever the function
prints goes to standard error. It ends when its input does, or when the process that started it has gone: a thread sees to that
while the function runs.

    {"open": {"file", "function"}}             → {"ready": {"vectorised": bool}} | {"fault": {…}}
    {"score": [[prompt, completion, row], …]}  → {"at": n} for each answer begun, then {"scores": […]} | {"fault": {…}}
"""

import importlib.util
import inspect
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TextIO

PLURAL = ("prompts", "completions", "rows")
"""Names of the parameters of a function that scores a whole batch."""
MODULE = "_users_grader"
"""What the file is called as a module: a name that hides no other."""
LOOK_S = 0.5
Function = Callable[..., Any]


def main() -> None:
    """Serve requests until there are no more."""
    replies, requests = _own_streams()
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, lines), daemon=True).start()
    threading.Thread(target=_outlive_no_parent, args=(os.getppid(),), daemon=True).start()
    served = Served(replies)
    while True:
        served.answer(json.loads(lines.get()))


def _own_streams() -> tuple[TextIO, TextIO]:
    """Keep the pipes for requests and replies; the function's own input is empty, and its output is standard error."""
    requests, replies = os.dup(0), os.dup(1)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.dup2(2, 1)
    return os.fdopen(replies, "w", encoding="utf-8"), os.fdopen(requests, encoding="utf-8")


def _read(requests: TextIO, lines: "queue.SimpleQueue[str]") -> None:
    for line in requests:
        lines.put(line)
    _end()


def _outlive_no_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    _end()


def _end() -> None:
    """End at once, with all processes that the function has started."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(0)


class Served:
    """The function, and where replies go.

    Args:
        replies: one JSON document a line.
    """

    def __init__(self, replies: TextIO) -> None:
        self._replies = replies
        self._function: Function = lambda *_: None
        self._file, self._vectorised = "", False

    def answer(self, request: dict[str, Any]) -> None:
        """Do what a request asks for."""
        try:
            if "open" in request:
                self._open(**request["open"])
                self._reply({"ready": {"vectorised": self._vectorised}})
            else:
                self._reply({"scores": self._score(request["score"])})
        except Wrong as wrong:
            self._reply({"fault": {"what": str(wrong)}})
        except BaseException as error:  # noqa: BLE001 - whatever a user's function raises, sys.exit() too
            self._reply({"fault": described(error, self._file)})

    def _reply(self, document: dict[str, Any]) -> None:
        self._replies.write(json.dumps(document) + "\n")
        self._replies.flush()

    def _open(self, file: str, function: str) -> None:
        self._file = file
        sys.path.insert(0, str(Path(file).parent))
        spec = importlib.util.spec_from_file_location(MODULE, file)
        if spec is None or spec.loader is None:
            raise Wrong("is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        known = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        found = getattr(module, function, None)
        if found is None:
            near = get_close_matches(function, known, 1) or known[:1]
            raise Wrong(f"has no function {function!r}" + (f"; it has {near[0]!r}" if near else ""))
        if not callable(found):
            raise Wrong(f"has {function!r}, which is {type(found).__name__} and no function")
        self._function, self._vectorised = found, is_vectorised(found)

    def _score(self, samples: Sequence[tuple[str, str, dict[str, Any]]]) -> list[float]:
        if self._vectorised:
            prompts, completions, rows = ([sample[at] for sample in samples] for at in range(3))
            found = self._function(prompts, completions, rows)
            if not hasattr(found, "__iter__") or isinstance(found, str | dict):
                raise Wrong(f"gave {found!r:.60} for {len(samples)} answers, and no list of numbers")
            return [as_number(score) for score in found]
        scores = []
        for at, sample in enumerate(samples):
            self._reply({"at": at})
            scores.append(as_number(self._function(*sample)))
        return scores


class Wrong(Exception):
    """What is wrong with a function, in words that follow its name."""


def is_vectorised(function: Function) -> bool:
    """Whether a function scores a whole batch: told by the names of its parameters.

    Raises:
        Wrong: it can't be called with three values.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:  # of a builtin
        return False
    try:
        signature.bind(*PLURAL)
    except TypeError as error:
        raise Wrong(f"takes {signature}, and a grader takes (prompt, completion, row): {error}") from None
    return tuple(signature.parameters)[:3] == PLURAL


def as_number(value: Any) -> float:
    """A score as a float: of a number, a truth value, or anything with one value, such as a tensor's.

    Raises:
        Wrong: it is none of those.
    """
    if not isinstance(value, str | bytes | None) and hasattr(value, "__float__"):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise Wrong(f"gave {value!r:.60}, which is no number: {error}") from None
    raise Wrong(f"gave {value!r:.60}, which is {type(value).__name__} and no number")


def described(error: BaseException, file: str) -> dict[str, Any]:
    """An exception, with the last line of the user's file that it came through."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return {"what": f"raised {type(error).__name__}: {error.msg}", "line": error.lineno, "code": (error.text or "").strip()}
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    said = f": {error}" if str(error) else ""
    place = {"line": own[-1].lineno, "code": own[-1].line or ""} if own else {}
    return {"what": f"raised {type(error).__name__}{said:.300}", **place}


if __name__ == "__main__":
    main()
