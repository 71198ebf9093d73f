"""A training that goes wrong or is ended from outside: noticed at once, said in words, gone on with from a whole checkpoint."""

import math
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assistant.adapters.manifest import WEIGHTS, read_manifest, weights_hash
from finetune.checkpoints import last_checkpoint
from finetune.cli import run as run_line
from finetune.errors import Diverged, TrainingError
from finetune.run_folder.metrics import read_rows
from finetune.run_folder.records import METRICS, RunFolder
from finetune.watching import SECONDS, TOKENS, Interruptible, Progress, Watch, Watched

ADVICE = "lower --learning-rate"


def watch_of(losses: list[float], tokens: int = 10) -> Watch:
    watch = Watch(advice=ADVICE)
    for loss in losses:
        watch(loss, tokens)
    return watch


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_ends_it_at_once(loss: float) -> None:
    with pytest.raises(Diverged, match=f"the loss is {loss} at batch 3") as caught:
        watch_of([2.0, 1.9, loss])
    assert caught.value.hint == ADVICE
    assert isinstance(caught.value, TrainingError)


@pytest.mark.parametrize(("begun", "limit"), [(2.0, 6.0), (0.1, 1.1), (0.0, 1.0)])
def test_a_running_mean_far_above_the_beginning_ends_it(begun: float, limit: float) -> None:
    watch_of([begun] * 5 + [limit - 0.01] * 400)
    watch_of([begun] * 5 + [limit * 20] * 15)  # it may be high for a while: batches 1 to 20 are forgiven
    with pytest.raises(Diverged, match=r"the loss has grown from \d\.\d\d to \d+\.\d\d"):
        watch_of([begun] * 5 + [limit * 20] * 16)
    with pytest.raises(Diverged):
        watch_of([begun] * 5 + [limit + 0.01] * 400)


@given(st.floats(0.01, 20), st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_noise_ends_nothing(low: float, noise: list[float]) -> None:
    assert watch_of([low * (1 + 2 * each) for each in noise]).batches == len(noise)  # never more than three times the least


def test_one_wild_batch_among_many_ends_nothing() -> None:
    watch_of(([2.0] * 30 + [20.0]) * 10)


def test_what_was_read_is_counted() -> None:
    watch = watch_of([1.0] * 4, tokens=25)
    watch.started = time.monotonic() - 2
    assert (watch.tokens, watch.batches) == (100, 4)
    assert watch.speed == pytest.approx(50, rel=0.01)
    watch.go_on({"tokens": 500.0, "train_seconds": 8.0, "loss": 1.0})
    assert (watch.tokens, watch.seconds) == (500, pytest.approx(10, rel=0.01))
    watch.go_on({})
    assert (watch.tokens, watch.before_s) == (0, 0.0)


@pytest.mark.parametrize(
    ("inputs", "tokens"),
    [
        ({"input_ids": torch.ones(2, 4), "attention_mask": torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]])}, 4),
        ({"chosen_attention_mask": torch.ones(1, 3), "rejected_attention_mask": torch.ones(1, 2)}, 5),
        ({"completion_attention_mask": torch.ones(1, 3), "KL_completion_attention_mask": torch.ones(1, 9)}, 3),
        ({"input_ids": torch.ones(1, 7), "position_ids": torch.arange(7)}, 7),
    ],
)
@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_batch_is_seen_with_its_own_loss_and_without_padding(inputs: dict[str, Any], tokens: int, accumulate: int) -> None:
    class Trainer:
        current_gradient_accumulation_steps = accumulate

        def training_step(self, model: Any, inputs: Any) -> torch.Tensor:
            return torch.tensor(6.0, requires_grad=True) / accumulate  # as transformers returns it

    class Both(Watched, Trainer):
        pass

    class Noting(Watch):
        def __call__(self, loss: float, tokens: int) -> None:
            seen.append((loss, tokens))

    seen: list[tuple[float, int]] = []
    both = Both()
    both.watch = Noting(advice="")
    both.training_step(torch.nn.Linear(1, 1), inputs)
    assert seen == [(6.0, tokens)]


# what is said


@pytest.fixture
def said(tmp_path: Path) -> tuple[Progress, list[str], RunFolder]:
    run = RunFolder.create(tmp_path / "run", config={}, seed=0, data={"hash": "0"}, command=[])
    watch, lines = Watch(advice=ADVICE), list[str]()
    watch.tokens = 5_000
    return Progress(run, watch, lines.append), lines, run


def state(step: int, of: int = 100) -> Any:
    return SimpleNamespace(global_step=step, max_steps=of)


def test_a_line_a_second_with_the_loss_the_speed_and_the_time_left(
    said: tuple[Progress, list[str], RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    progress, lines, run = said
    now = [1_000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    progress.on_train_begin(None, state(20), None)  # gone on with after step 20
    for step, loss in ((21, 2.5), (22, 2.25), (40, 2.0), (100, 1.0)):
        now[0] = 1_000.0 + (step - 20) / 2 if step < 40 else 1_010.0
        progress.on_log(None, state(step), None, {"loss": loss, "epoch": 1.0})
    progress.on_log(None, state(100), None, {"eval_loss": 1.5})
    assert lines == [
        "step 21 of 100, loss 2.500, 10,000 tokens/s, 0:39 left",
        "step 40 of 100, loss 2.000, 500 tokens/s, 0:30 left",
        "step 100 of 100, loss 1.000, 500 tokens/s, 0:00 left",
        "step 100 of 100, held-out loss 1.500, 500 tokens/s, 0:00 left",
    ]
    assert [(row.step, row.name, row.value) for row in read_rows(run.folder / METRICS) if row.name == "loss"] == [
        (21, "loss", 2.5), (22, "loss", 2.25), (40, "loss", 2.0), (100, "loss", 1.0),
    ]  # fmt: skip


def test_what_is_no_number_is_not_written_down(said: tuple[Progress, list[str], RunFolder]) -> None:
    progress, _, run = said
    progress.on_log(None, state(1), None, {"loss": 2.0, "grad_norm": math.nan, "note": "x"})
    progress.on_log(None, state(1), None, None)
    assert {row.name for row in read_rows(run.folder / METRICS)} == {"loss", "tokens_per_s"}


# Ctrl-C


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wish_to_stop_is_heard_after_the_step_and_a_second_one_at_once(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    interruptible = Interruptible()
    control = SimpleNamespace(should_training_stop=False, should_save=False, should_evaluate=True)
    with pytest.raises(KeyboardInterrupt), interruptible.listening():  # noqa: PT012 - one wish after the other
        interruptible.on_step_end(None, None, control)
        assert (control.should_training_stop, control.should_save, control.should_evaluate) == (False, False, True)
        signal.raise_signal(number)
        interruptible.on_step_end(None, None, control)
        assert (control.should_training_stop, control.should_save, control.should_evaluate) == (True, True, False)
        signal.raise_signal(number)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_outside_the_main_thread_nothing_is_listened_to() -> None:
    heard: list[Any] = []

    def work() -> None:
        with Interruptible().listening():
            heard.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [signal.getsignal(signal.SIGINT)]


# the whole command, ended from outside


@pytest.fixture
def line(tmp_path: Path, tiny: dict[str, Path], rows: Callable[..., Path]) -> Iterator[Callable[..., list[str]]]:
    """A command line that saves after every second step."""
    settings = tmp_path / "settings.toml"
    settings.write_text("save_every = 2\nlog_every = 1\neval_share = 0\nsamples = 0\nrank = 4\nbatch = 4\nepochs = 1000\n")
    umask = os.umask(0)
    os.umask(umask)

    def make(*more: str, steps: int = 500) -> list[str]:
        given = {"base": tiny["llama3"], "data": rows("sft"), "out": tmp_path / "out", "config": settings, "device": "cpu"}
        flags = [part for name, value in given.items() for part in (f"--{name}", str(value))]
        return ["sft", *flags, "--max-steps", str(steps), *more]

    yield make
    os.umask(umask)  # what runs in this process sets it


def until(process: "subprocess.Popen[str]", reached: Callable[[str], bool]) -> None:
    assert process.stderr
    assert any(reached(each) for each in process.stderr), "it ended first"


def start(arguments: list[str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "finetune", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def assert_whole(out: Path, *, steps: int) -> None:
    """A finished adapter, and every step logged once."""
    manifest = read_manifest(out)
    assert manifest.weights_hash == weights_hash(out)
    logged = [row.step for row in read_rows(out / "run" / METRICS) if row.name == "loss"]
    assert logged == list(range(1, steps + 1))


def result_of(out: Path) -> dict[str, Any]:
    result = RunFolder.open(out / "run").result()
    assert result
    return result


def test_ctrl_c_leaves_a_whole_checkpoint_and_resume_ends_the_work(line: Callable[..., list[str]], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with start(line()) as process:
        until(process, lambda said: said.startswith("step "))
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    stopped = re.search(r"^stopped at step (\d+); go on with the same command and --resume$", stderr, re.MULTILINE)
    assert stopped
    step = int(stopped[1])
    checkpoint = last_checkpoint(out / "run" / "checkpoints")
    assert checkpoint is not None
    assert checkpoint.name == f"checkpoint-{step}"
    assert not (out / "assistant_adapter.json").exists()
    assert run_line(line(steps=step + 3)) == 6  # it isn't begun again by mistake
    assert run_line(line("--resume", steps=step + 3)) == 0
    assert_whole(out, steps=step + 3)


def test_a_killed_run_goes_on_from_its_last_whole_checkpoint(line: Callable[..., list[str]], tmp_path: Path) -> None:
    checkpoints = tmp_path / "out" / "run" / "checkpoints"
    with start(line()) as process:
        until(process, lambda said: said.startswith("step "))
        while process.poll() is None and not (checkpoints / "checkpoint-6").exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)  # as the third one is being written
        process.communicate(timeout=60)
    last = last_checkpoint(checkpoints)
    assert last is not None
    step = int(last.name.rpartition("-")[2])
    assert run_line(line("--resume", steps=step + 3)) == 0
    assert_whole(tmp_path / "out", steps=step + 3)
    assert run_line(line("--out", str(tmp_path / "straight"), steps=step + 3)) == 0
    assert result_of(tmp_path / "out")["tokens"] == result_of(tmp_path / "straight")["tokens"]


def test_time_and_tokens_are_those_of_all_parts(line: Any, at_step: Any, tmp_path: Path) -> None:
    at_step(3, lambda: signal.raise_signal(signal.SIGINT))
    assert run_line(line()) == 130
    (_, tokens), (_, seconds) = (RunFolder.open(tmp_path / "out" / "run").metrics()[name][-1] for name in (TOKENS, SECONDS))
    assert run_line(line("--resume", steps=7)) == 0
    assert run_line(line("--out", str(tmp_path / "straight"), steps=7)) == 0
    found, straight = result_of(tmp_path / "out"), result_of(tmp_path / "straight")
    assert 0 < tokens < found["tokens"] == straight["tokens"]
    assert found["seconds"] > seconds > 0
    assert found["tokens_per_s"] == pytest.approx(found["tokens"] / found["seconds"])


@pytest.fixture
def limit_files() -> Iterator[Callable[[int], None]]:
    """As on a full disk no file of this process can grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [
    pytest.param(3_000, id="tokenizer"), pytest.param(30_000, id="adapter"),
    pytest.param(60_000, id="optimizer"),
])  # fmt: skip
def test_a_full_disk_at_a_checkpoint_is_said_and_the_one_before_is_whole(
    size: int, line: Any, at_step: Any, limit_files: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at_step(3, lambda: limit_files(size))
    code = run_line(line())
    limit_files(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    *_, error, hint = capsys.readouterr().err.splitlines()
    last = last_checkpoint(tmp_path / "out" / "run" / "checkpoints")
    assert last is not None
    assert last.name == "checkpoint-2"
    assert run_line(line("--resume", steps=5)) == 0
    assert_whole(tmp_path / "out", steps=5)
    assert error.startswith("error: a checkpoint couldn't be written")
    assert hint.startswith("hint: free some disk")
    assert code == TrainingError.exit_code


def test_a_run_that_ended_before_its_first_checkpoint_is_begun_again(line: Any, at_step: Any, tmp_path: Path) -> None:
    at_step(1, lambda: 1 / 0)
    assert run_line(line()) == 1
    assert last_checkpoint(tmp_path / "out" / "run" / "checkpoints") is None
    assert run_line(line("--resume", steps=3)) == 0
    assert_whole(tmp_path / "out", steps=3)


def passed_over(checkpoints: Path, file: str, kept: float) -> bool:
    """Whether the newest checkpoint is passed over once so much of a file of it is left."""
    broken = checkpoints / "checkpoint-4" / file
    content = broken.read_bytes()
    broken.unlink()
    if kept:
        broken.write_bytes(content[: int(len(content) * kept)])
    last = last_checkpoint(checkpoints)
    broken.write_bytes(content)
    return last is not None and last.name == "checkpoint-2"


def test_a_checkpoint_that_was_not_written_to_its_end_is_passed_over(line: Any, tmp_path: Path) -> None:
    assert run_line(line(steps=4)) == 0
    checkpoints = tmp_path / "out" / "run" / "checkpoints"
    last = last_checkpoint(checkpoints)
    assert last is not None
    assert last.name == "checkpoint-4"
    assert [passed_over(checkpoints, file, 0) for file in ("trainer_state.json", "rng_state.pth")] == [True, True]


def test_a_checkpoint_of_which_a_file_was_cut_is_passed_over(line: Any, tmp_path: Path) -> None:
    assert run_line(line(steps=4)) == 0
    files = ("trainer_state.json", "rng_state.pth", "optimizer.pt", "adapter_model.safetensors")
    assert [file for file in files if not passed_over(tmp_path / "out" / "run" / "checkpoints", file, 0.7)] == []


def test_a_run_that_was_killed_as_it_saved_its_adapter_is_finished_by_resume(line: Any, tmp_path: Path) -> None:
    assert run_line(line(steps=4)) == 0
    weights = (tmp_path / "out" / WEIGHTS).read_bytes()
    (tmp_path / "out" / "assistant_adapter.json").unlink()
    (tmp_path / "out" / WEIGHTS).write_bytes(weights[:100])
    assert run_line(line(steps=4)) == 6
    assert run_line(line("--resume", steps=4)) == 0
    assert_whole(tmp_path / "out", steps=4)
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == weights
