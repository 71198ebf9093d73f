"""`make chat` without a terminal indexes the sample handbook, answers three questions and leaves."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_make_chat_answers_the_sample_questions_and_does_no_work_twice(ready_home: Path) -> None:
    # Where the suite runs in an environment of its own, that one is used: setting up another is what CI did before.
    command = ["make", "--no-print-directory", "chat", "setup-done=1", f"VENV={sys.prefix}"]
    first, second = (
        subprocess.run(
            command, cwd=ROOT, env={**os.environ}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
        )
        for _ in range(2)
    )
    assert first.returncode == 0, first.stderr
    assert "44.00" in first.stdout
    assert "Not in these documents." in first.stdout
    assert "huts/prices-2026.csv" in first.stdout
    assert "nothing changed" in second.stdout
