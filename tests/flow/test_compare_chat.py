"""Two adapters compared, and the best of several answers, as a person at a terminal meets them; then the rows to train on."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from random_adapters import random_adapter
from terminal import CTRL_C, Terminal
from test_commands import run
from trained_adapters import train_adapter

SMALL = Path(__file__).parents[2] / "examples" / "small-base"
SAID = "The club was founded in 1921 by Ada Brandt. [1]"


@pytest.fixture
def adapted(ready_home: Path, tmp_path: Path) -> Path:
    """A home with an index, an adapter that writes nonsense, and one that scores."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "club.md").write_text("# Club\n\nThe club was founded in 1921 by Ada Brandt.\n", encoding="utf-8")
    assert run("index", str(docs)).returncode == 0
    random_adapter(SMALL, tmp_path / "odd", seed=1, strength=3.0)
    train_adapter(tmp_path / "helpful", SMALL, "reward")
    for name in ("odd", "helpful"):
        assert run("adapters", "add", str(tmp_path / name), "--trust-base").returncode == 0
    return ready_home


@pytest.fixture
def chat(adapted: Path) -> Iterator[Terminal]:
    terminal = Terminal("chat", "--model", str(SMALL), columns=120, env={"ASSISTANT_MAX_TOKENS": "40"})
    terminal.wait("Ctrl-D leaves")
    yield terminal
    assert "Traceback" not in terminal.shown
    terminal.end()


def test_two_adapters_side_by_side_one_key_and_the_rows_to_train_on(chat: Terminal, adapted: Path, tmp_path: Path) -> None:
    chat.enter("Who founded the club?")
    chat.wait(r"club.md:3\n")
    chat.enter("/compare none odd")
    shown = chat.wait("Which is better")
    assert re.search(r"A  none \(\d+\.\d s\) +│ B  odd \(\d+\.\d s\)\n", shown)
    assert re.search(rf"{re.escape(SAID)} +│ Not in these documents\.\n", shown)
    chat.type("a")
    chat.wait("noted: none is better than odd here")
    chat.enter("/compare none odd --blind")
    shown = chat.wait("Which is better")
    assert not re.search(r"none|odd|\d s\)", shown.partition("/compare none odd --blind")[2].partition("odd asks the gate")[2])
    chat.type(CTRL_C)
    chat.wait(r"A was \w+ \(\d+\.\d s\), B was \w+ \(\d+\.\d s\)\s+nothing was chosen: nothing is recorded")
    chat.enter("/best 2")
    chat.wait(r"the best of 2, scored by helpful: -?\d+\.\d\d · -?\d+\.\d\d")
    chat.enter("/good")
    chat.wait("noted: good")
    assert chat.leave() == 0
    kinds = [json.loads(line)["kind"] for line in (adapted / "feedback.jsonl").read_text().splitlines()]
    assert kinds == ["compare", "good"]
    out = tmp_path / "pairs.jsonl"
    program = [sys.executable, "-m", "finetune", "data", "from-feedback", "--kind", "preference", "--out", str(out)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, env=dict(os.environ), check=False)
    assert done.returncode == 0, done.stderr
    (row,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert (row["chosen"], row["rejected"]) == (SAID, "Not in these documents.")


def test_a_pipe_compares_too(adapted: Path) -> None:
    lines = "/compare odd none Who founded the club?\nb\n/why\n"
    done = run("chat", "--model", str(SMALL), stdin=lines, env={"ASSISTANT_MAX_TOKENS": "40"})
    assert "\nB  none" in done.stdout
    assert "noted: none is better than odd here" in done.stderr
    assert "written by" in done.stdout
