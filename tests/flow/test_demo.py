"""The loop closed, in short: a real chat, real feedback, a real training, a real gate; and its walk-through."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

from person import held_out, read_questions
from steps import ADAPTER, CHAT, OTHER, QUESTIONS, Commands

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "loop" / "demo.py"
WALK = (ROOT / "docs" / "walkthrough.md").read_text(encoding="utf-8")
SHORT = ("--questions", "10", "--held-out", "2", "--max-steps", "2", "--only", "kind=list")


def all_of(commands: Commands) -> list[str]:
    return [*commands.before, CHAT, *commands.learning, commands.gate, commands.install, CHAT]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", WALK, re.DOTALL | re.MULTILINE)


def turns(talk: str) -> list[tuple[str, str]]:
    """What was typed into a chat, and what came below it."""
    parts = re.split(r"^> (.*)\n", talk, flags=re.MULTILINE)
    return [(line, " ".join(shown.split())) for line, shown in zip(parts[1::2], parts[2::2], strict=True)]


def test_from_feedback_to_another_answer(ready_home: Path, tmp_path: Path) -> None:
    out = tmp_path / "loop"
    program = [sys.executable, str(DEMO), "--out", str(out), "--home", str(ready_home), *SHORT]
    done = subprocess.run(program, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    record = json.loads((out / "loop.json").read_text("utf-8"))
    assert record["commands"] == all_of(Commands(str(out), " --max-steps 2", "kind=list"))
    assert sum(record["said"][verdict] for verdict in ("good", "better")) >= 4
    assert record["gate"]["verdict"] == "undecided"  # on nine questions
    assert {row["n"] for row in record["table"]} >= {9, 2}
    for row in record["table"]:
        assert 0 <= row["before"] <= 1
        assert 0 <= row["after"] <= 1
        assert row["low"] <= row["difference"] <= row["high"]
        assert math.isclose(row["after"] - row["before"], row["difference"], abs_tol=1e-9)
        assert row["name"] in done.stdout
    assert all(seconds > 0 for seconds in record["seconds"].values())
    for name in ("report.html", "screen.txt", "rows.jsonl", "mine/assistant_adapter.json", "mine/run/report.html"):
        assert (out / name).stat().st_size, name
    judged = [json.loads(line)["kind"] for line in (ready_home / "feedback.jsonl").read_text("utf-8").splitlines()]
    assert set(judged) >= {"good", "better", "compare"}
    assert "Traceback" not in done.stdout + done.stderr
    screen = turns((out / "screen.txt").read_text("utf-8"))
    first, _ = blocks("chat")
    told = [turn for turn in turns(first.split("$ ", 1)[1]) if not turn[0].startswith("/compare")]
    assert len(told) >= 4
    assert [turn for turn in told if turn not in screen] == []


def test_the_walk_through_types_what_the_demo_runs() -> None:
    typed = [
        line for language in ("console", "chat") for block in blocks(language) for line in re.findall(r"^\$ (.*)$", block, re.M)
    ]
    assert sorted(typed) == sorted([*all_of(Commands("build/loop"))])
    hers, others = read_questions(DEMO.parent / "person.jsonl"), held_out(ROOT / QUESTIONS)
    allowed = {
        "/good",
        "/sources",
        "/why prompt",
        f"/compare none {OTHER}",
        f"/adapter {ADAPTER}",
        *(one.text for one in (*hers, *others)),
    }
    allowed |= {f"/better {one.better}" for one in hers}
    said = [line for block in blocks("chat") for line, _ in turns(block)]
    assert len(said) >= 8
    assert [line for line in said if line not in allowed] == []


def test_it_never_deletes_what_it_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    done = subprocess.run(
        [sys.executable, str(DEMO), "--out", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "holds something else than an earlier run: name another folder with --out" in done.stderr
    assert (tmp_path / "letter.txt").exists()
