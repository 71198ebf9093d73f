"""A user's grading function in its own process: what it may do wrong, and that nothing of it is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assistant.records import Message
from finetune.graders.errors import GraderFault
from finetune.graders.function import FunctionGrader
from finetune.graders.grader import Sample

Make = Callable[..., FunctionGrader]
SAMPLES = [Sample((Message("system", "Be short."), Message("user", "Q?")), text, {"id": text}) for text in ("a", "bb", "")]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    opened: list[FunctionGrader] = []

    def make(code: str, function: str = "f", **given: float) -> FunctionGrader:
        (tmp_path / "g.py").write_text(code, encoding="utf-8")
        opened.append(FunctionGrader(tmp_path / "g.py", function, **given))
        return opened[-1]

    yield make
    for grader in opened:
        grader.close()


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def gone(pid: int, within_s: float = 10) -> bool:
    until = time.monotonic() + within_s
    while runs(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not runs(pid)


@pytest.mark.parametrize("code", [
    "def f(prompt, completion, row): return len(completion) + (row['id'] == completion)",
    "def f(a, b, c): return len(b) + 1",
    "def f(prompts, completions, rows): return (len(each) + 1 for each in completions)",
    "import numpy\ndef f(prompts, completions, rows): return numpy.array([len(each) + 1 for each in completions])",
    "class F:\n    def __call__(self, prompt, completion, row): return len(completion) + 1.0\nf = F()",
])  # fmt: skip
def test_scores_one_by_one_or_all_at_once(code: str, make: Make) -> None:
    grader = make(code)
    assert grader.score(SAMPLES) == [2.0, 3.0, 1.0]
    assert grader.score(SAMPLES[::-1]) == [1.0, 3.0, 2.0]
    assert grader.score([]) == []


def test_sees_the_prompt_as_one_text_and_may_say_yes_or_no(make: Make) -> None:
    assert make("def f(prompt, completion, row): return prompt == 'Be short.\\n\\nQ?'").score(SAMPLES) == [1.0, 1.0, 1.0]


def test_imports_what_lies_beside_its_file_and_not_what_lies_beside_ours(make: Make, tmp_path: Path) -> None:
    (tmp_path / "grader.py").write_text("TWO = 2")
    assert make("from grader import TWO\ndef f(prompt, completion, row): return TWO").score(SAMPLES[:1]) == [2.0]


@pytest.mark.parametrize(("body", "said"), [
    ("raise ValueError('no such word')", r"raised ValueError: no such word, at .*g\.py:2: raise ValueError"),
    ("return float('nan')", "gave nan for the answer 'a'"),
    ("return float('inf')", "gave inf for the answer 'a'"),
    ("return None", "gave None, which is NoneType and no number"),
    ("return 'good'", "gave 'good', which is str and no number"),
    ("return [1.0]", "which is list and no number"),
    ("return 1j", "which is complex and no number"),
    ("import sys; sys.exit(3)", "raised SystemExit: 3"),
    ("import os; os._exit(3)", r"ended with exit code 3 \(answer 1 of 3: 'a'\)"),
    ("import os; os.kill(os.getpid(), 11)", "ended by signal 11"),
    ("return f(prompt, completion, row)", "raised RecursionError"),
    ("return len(input())", "raised EOFError"),
])  # fmt: skip
def test_what_is_wrong_with_a_score_is_told(body: str, said: str, make: Make) -> None:
    grader = make(f"def f(prompt, completion, row):\n    {body}")
    with pytest.raises(GraderFault, match=said):
        grader.score(SAMPLES)


@pytest.mark.parametrize(("returned", "said"), [
    ("[1.0, 2.0]", "gave 2 scores for 3 answers"),
    ("[1.0, 2.0, 'x']", "gave 'x'"),
    ("1.0", "gave 1.0 for 3 answers, and no list of numbers"),
    ("'abc'", "no list of numbers"),
    ("{'a': 1}", "no list of numbers"),
])  # fmt: skip
def test_what_is_wrong_with_a_batch_is_told(returned: str, said: str, make: Make) -> None:
    with pytest.raises(GraderFault, match=said):
        make(f"def f(prompts, completions, rows): return {returned}").score(SAMPLES)


@pytest.mark.parametrize(("code", "said"), [
    ("def f(:", r"raised SyntaxError: .*g\.py:1"),
    ("import nothing_of_this_name", r"raised ModuleNotFoundError: .*g\.py:1: import nothing"),
    ("def score(prompt, completion, row): return 1", "has no function 'f'; it has 'score'"),
    ("f = 3", "has 'f', which is int and no function"),
    ("def f(prompt): return 1", r"takes \(prompt\), and a grader takes \(prompt, completion, row\)"),
    ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
])  # fmt: skip
def test_a_file_that_is_no_grader_is_refused_when_it_is_opened(code: str, said: str, make: Make) -> None:
    with pytest.raises(GraderFault, match=said):
        make(code)


def test_a_file_that_hangs_when_it_is_imported_is_ended(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.graders.function.START_S", 1.0)
    with pytest.raises(GraderFault, match="took more than 1 s to be imported and was ended"):
        make("import time\ntime.sleep(60)")


def test_a_function_that_hangs_is_ended_with_what_it_has_started(make: Make, tmp_path: Path) -> None:
    started = tmp_path / "pid"
    grader = make(
        "import subprocess, pathlib\ndef f(prompt, completion, row):\n    if completion != 'bb': return 1\n"
        f"    pathlib.Path({str(started)!r}).write_text(str(subprocess.Popen(['sleep', '60']).pid))\n    while True: pass",
        timeout_s=1.5,
    )
    pid = grader._process.pid
    with pytest.raises(GraderFault, match=r"took more than 1\.5 s for 3 answers and was ended \(answer 2 of 3: 'bb'\)") as caught:
        grader.score(SAMPLES)
    assert "--grader-timeout" in caught.value.hint
    assert gone(pid)
    assert gone(int(started.read_text()))
    with pytest.raises(GraderFault, match="ended by signal 9"):
        grader.score(SAMPLES)


def test_time_is_counted_by_32_answers_and_scores_are_those_of_all_at_once(make: Make) -> None:
    many = [Sample((Message("user", "Q?"),), str(at), {}) for at in range(80)]
    slow = "import time\ndef f(prompt, completion, row):\n    time.sleep(0.02)\n    return float(completion)\n"
    assert make(slow, timeout_s=1.2).score(many) == list(range(80))  # 1.6 s in all
    late = make("import time\ndef f(prompt, completion, row):\n    completion == '70' and time.sleep(9)\n    return 1\n",
                timeout_s=0.5)  # fmt: skip
    with pytest.raises(GraderFault, match=r"took more than 0\.5 s for 16 answers and was ended \(answer 71 of 80: '70'\)"):
        late.score(many)
    ranks = "import time\ndef f(prompts, completions, rows):\n    time.sleep(0.9)\n    return range(len(prompts))\n"
    assert make(ranks, timeout_s=0.5).score(many) == list(range(80))  # it sees all of them, and has the time of 3 batches


def test_what_it_prints_goes_to_standard_error(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    code = "import os, sys\nprint('at import')\ndef f(prompt, completion, row):\n    print('{\"scores\": [9]}')\n"
    grader = make(code + "    sys.stdout.flush(); os.write(1, b'raw\\n'); os.system('echo shell')\n    return 1")
    assert grader.score(SAMPLES) == [1.0, 1.0, 1.0]
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("raw") == err.count("shell") == 3
    assert "at import" in err


def test_any_text_and_any_row_reach_it_whole(make: Make) -> None:
    odd = Sample((Message("user", "a\u2028b\n\ud800"),), "x" * 2_000_000, {"when": Path("p"), "nan": float("nan")})
    code = "def f(prompt, completion, row): return len(completion) + (prompt == 'a\\u2028b\\n\\ud800')"
    assert make(code).score([odd]) == [2_000_001.0]


def test_it_ends_when_it_is_closed_or_forgotten(make: Make, tmp_path: Path) -> None:
    grader = make("def f(prompt, completion, row): return 1")
    pid = grader._process.pid
    grader.close()
    grader.close()
    assert gone(pid)
    forgotten = FunctionGrader(tmp_path / "g.py", "f")
    pid = forgotten._process.pid
    del forgotten
    assert gone(pid)


PARENT = """
import sys, time
from pathlib import Path
from finetune.graders.function import FunctionGrader
from finetune.graders.grader import Sample
grader = FunctionGrader(Path(sys.argv[1]), "f", timeout_s=60)
print(grader._process.pid, flush=True)
grader.score([Sample((), "a", {})])
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, -15), (signal.SIGINT, -2)])
def test_it_ends_with_the_process_that_started_it(number: int, code: int, tmp_path: Path) -> None:
    """Even in the midst of a function that never returns."""
    (tmp_path / "g.py").write_text("def f(prompt, completion, row):\n    while True: pass")
    arguments = [sys.executable, "-c", PARENT, str(tmp_path / "g.py")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.3)
        parent.send_signal(number)
        assert parent.wait(20) == code
    assert gone(pid)
