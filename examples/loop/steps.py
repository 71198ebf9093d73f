"""The commands of the loop, in their order, and how they are run: shown, timed, written down."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ADAPTER = "mine"
OTHER = "detailed"
CHAT = "assistant chat --index handbook --model examples/small-base --no-cache"
QUESTIONS = "examples/handbook-questions.jsonl"
GATE_FAILED = 7


@dataclass(frozen=True, slots=True)
class Commands:
    """What is typed into the shell, from the project's folder.

    Args:
        out: folder of everything that is made, as it is typed.
        training: more flags of the training.
        asked: which questions the gate asks.
    """

    out: str
    training: str = ""
    asked: str = "split=test"

    @property
    def before(self) -> tuple[str, ...]:
        """Up to the first chat."""
        return (
            "assistant index examples/handbook --name handbook",
            f"assistant adapters add examples/adapters/{OTHER}",
        )

    @property
    def learning(self) -> tuple[str, ...]:
        """From what was said to an adapter."""
        rows = f"{self.out}/rows.jsonl"
        return (
            f"finetune data from-feedback --kind preference --index handbook --out {rows}",
            f"finetune check {rows} --base examples/small-base",
            f"finetune orpo --base examples/small-base --data {rows} --out {self.out}/{ADAPTER} "
            f"--epochs 4 --batch 4 --rank 8 --learning-rate 1e-3 --beta 0.5{self.training}",
        )

    @property
    def gate(self) -> str:
        """The adapter against the base, on questions that nothing was learned from."""
        return (
            f"assistant eval {QUESTIONS} --only {self.asked} --index handbook --model examples/small-base "
            f"--adapter {self.out}/{ADAPTER} --baseline none"
        )

    @property
    def install(self) -> str:
        """Give it a name in the chat."""
        return f"assistant adapters add {self.out}/{ADAPTER}"


@dataclass
class Steps:
    """What was done, and what each step took.

    Attributes:
        show: takes each line that is printed.
        seconds: by step, in order.
        commands: that were run, as a person types them.
    """

    show: Callable[[str], object]
    seconds: dict[str, float] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)

    def run(self, command: str, *, step: str, may_fail: bool = False) -> int:
        """Run a command and show what it prints as it comes; returns its exit code.

        Raises:
            SystemExit: it failed, and nothing can come after it.
        """
        self.commands.append(command)
        self.show(f"$ {command}")
        started = time.monotonic()
        program, *arguments = shlex.split(command)
        with subprocess.Popen(
            [sys.executable, "-m", program, *arguments],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        ) as process:  # fmt: skip
            for line in process.stdout or ():
                self.show(line.rstrip())
        self.took(step, time.monotonic() - started)
        if process.returncode and not may_fail:
            raise SystemExit(f"{command}\nended with {process.returncode}")
        self.show("")
        return process.returncode

    def took(self, step: str, seconds: float) -> None:
        """Add to what a step took."""
        self.seconds[step] = self.seconds.get(step, 0.0) + seconds


def surround(home: Path) -> None:
    """Set what every command of the loop is run with: a home of its own, one passage a question, no network."""
    os.environ.update(ASSISTANT_HOME=str(home), ASSISTANT_TOP_K="1", HF_HUB_OFFLINE="1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # many threads on a model of this size only wait for each other
    os.environ.setdefault("TERM", "xterm")
    os.environ["NO_COLOR"] = "1"
