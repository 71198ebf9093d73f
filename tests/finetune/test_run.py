"""The run folder: what is written down, what a resume insists on, what a kill or a full disk leaves behind; and its curves."""

import json
import math
import os
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import zlib
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import file_size_limit
from PIL import Image

from finetune.errors import TrainingError
from finetune.run_folder.curves import CHARTS, draw, smooth, write_curves
from finetune.run_folder.documents import differences, flatten, plain
from finetune.run_folder.metrics import HEADER, MetricRow, append_rows, read_rows
from finetune.run_folder.provenance import describe_machine, git_commit, package_versions
from finetune.run_folder.records import METRICS, RUN, RunFolder, Sample

CONFIG: dict[str, Any] = {"method": "orpo", "base": "models/small", "max_steps": 20, "lora": {"rank": 8, "targets": ("q", "v")}}
DATA: dict[str, Any] = {"hash": "ab" * 32, "rows": 12, "files": ["train.jsonl"]}


def begin(folder: Path) -> RunFolder:
    return RunFolder.create(folder, config=CONFIG, seed=7, data=DATA, command=["finetune", "orpo", "--data", "my rows.jsonl"])


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return begin(tmp_path / "out" / "run")


def test_what_is_needed_to_have_a_run_again_is_written_down(run: RunFolder) -> None:
    record = json.loads((run.folder / RUN).read_text())
    assert record == RunFolder.open(run.folder).record
    assert record["config"] == {**CONFIG, "lora": {"rank": 8, "targets": ["q", "v"]}}
    assert (record["seed"], record["data"], record["command"][-1]) == (7, DATA, "my rows.jsonl")
    assert set(record["versions"]) >= {"python", "assistant", "torch", "transformers", "peft", "trl", "bitsandbytes", "datasets"}
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record["machine"]["processor"]
    assert record["machine"]["cores"] >= 1
    assert record["machine"]["memory_bytes"] > 2**28


def test_writing_it_down_loads_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom finetune.run_folder.records import RunFolder\n"
        "run = RunFolder.create(Path(sys.argv[1]), config={}, seed=0, data={'hash': '0'})\nrun.log(1, {'loss': 1})\n"
        "from finetune.run_folder import curves, report\nprint(*sys.modules)\n"
        "report.write_report(run)\nprint('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "r")], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"torch", "transformers", "peft", "trl", "datasets", "matplotlib", "numpy", "pandas"}
    assert (done.stdout.splitlines()[-1], done.stderr) == ("True False", "")


def test_nobody_else_may_read_it(run: RunFolder) -> None:
    run.log(1, {"loss": 2.0})
    run.save_samples([Sample("p", "a", "b")])
    run.save_result({})
    write_curves(run)
    assert {stat.S_IMODE(path.stat().st_mode) for path in run.folder.iterdir()} == {0o600}
    assert stat.S_IMODE(run.folder.stat().st_mode) == 0o700
    assert not list(run.folder.glob("*.draft"))


def test_without_git_or_a_repository_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert git_commit(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(tmp_path) is None
    assert describe_machine()["gpus"] == []


def test_the_commit_of_a_repository_and_whether_it_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    (tmp_path / "a").write_text("1")
    for arguments in (["init", "-q"], ["add", "a"], ["commit", "-qm", "first"], ["tag", "v1"]):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    commit = git_commit(tmp_path)
    assert commit
    assert len(commit) == 40
    (tmp_path / "a").write_text("2")
    assert git_commit(tmp_path) == f"{commit}-dirty"


def test_a_program_that_fails_is_as_good_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, script in (
        ("git", "#!/bin/sh\necho no\nexit 1\n"),
        ("nvidia-smi", "#!/bin/sh\necho 'NVIDIA T4, 15360 MiB, 550'\n"),
    ):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert git_commit(tmp_path) is None
    assert describe_machine()["gpus"] == ["NVIDIA T4, 15360 MiB, 550"]


# resuming


def test_a_run_that_logged_something_is_not_begun_again(run: RunFolder) -> None:
    begin(run.folder)  # nothing has been lost
    run.log(1, {"loss": 2.0})
    with pytest.raises(TrainingError, match="holds a run already") as caught:
        begin(run.folder)
    assert "--resume" in caught.value.hint


def test_the_same_settings_and_data_go_on_wherever_the_data_lie_now(run: RunFolder) -> None:
    moved = {**DATA, "files": ["elsewhere/train.jsonl"]}
    config = {**CONFIG, "max_steps": 40, "lora": {"rank": 8, "targets": ["q", "v"]}}
    resumed = RunFolder.resume(run.folder, config=config, seed=7, data=moved, may_change={"max_steps"})
    record = json.loads((run.folder / RUN).read_text())
    assert record == plain(resumed.record)
    assert record["config"]["max_steps"] == 40
    assert record["data"] == DATA
    assert [(note["changed"], note["versions"]) for note in record["resumed"]] == [({"max_steps": [20, 40]}, {})]


def test_a_setting_that_is_newer_than_the_run_was_as_usual(run: RunFolder) -> None:
    newer = {**CONFIG, "role": "answer"}
    RunFolder.resume(run.folder, config=newer, seed=7, data=DATA, usual={"role": "answer"})
    with pytest.raises(TrainingError, match="role was 'answer' and is now 'judge'"):
        RunFolder.resume(run.folder, config=newer | {"role": "judge"}, seed=7, data=DATA, usual={"role": "answer"})


def test_changed_data_end_a_resume(run: RunFolder) -> None:
    before = (run.folder / RUN).read_bytes()
    data = {**DATA, "hash": "cd" * 32, "rows": 13}
    with pytest.raises(TrainingError) as caught:
        RunFolder.resume(run.folder, config=CONFIG, seed=7, data=data)
    assert caught.value.message == (
        "the data changed since this run began: hash was 'abababababab' and is now 'cdcdcdcdcdcd', rows was 12 and is now 13"
    )
    assert "another --out" in caught.value.hint
    assert (run.folder / RUN).read_bytes() == before


def test_all_that_differs_is_named_at_once(run: RunFolder) -> None:
    config = {**CONFIG, "max_steps": 30, "lora": {"rank": 16, "targets": ("q", "v")}, "beta": 0.1}
    with pytest.raises(TrainingError) as caught:
        RunFolder.resume(run.folder, config=config, seed=8, data={**DATA, "hash": "0"}, may_change=["max_steps"])
    assert caught.value.message.startswith("the data changed")
    for part in ("lora.rank was 8 and is now 16", "beta was None and is now 0.1", "seed was 7 and is now 8"):
        assert part in caught.value.message
    assert "max_steps" not in caught.value.message
    RunFolder.resume(run.folder, config=config, seed=7, data=DATA, may_change=["max_steps", "lora", "beta"])


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no run"), (b"{", "can't read"), (b"[]", "holds no object"), (b"\xff", "can't read"),
     (b'{"schema": 2}', "format 2")],
)  # fmt: skip
def test_what_is_no_run_is_not_opened(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / RUN).write_bytes(content)
    with pytest.raises(TrainingError, match=message):
        RunFolder.open(tmp_path)


# metrics


def test_figures_come_back_as_exact_as_they_were_logged(run: RunFolder) -> None:
    run.log(1, {"loss": 0.1 + 0.2, "rewards/margins": -1e-17})
    run.log(2, {"loss": math.inf, 'a name, with "comma"\nand line': 3})
    assert run.metrics() == {
        "loss": [(1, 0.1 + 0.2), (2, math.inf)], "rewards/margins": [(1, -1e-17)], 'a name, with "comma" and line': [(2, 3.0)],
    }  # fmt: skip
    assert (run.folder / METRICS).read_bytes().startswith(HEADER)


@given(st.lists(st.tuples(st.integers(0, 9), st.text(), st.floats()), min_size=1))
def test_any_name_and_number_survive(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str, float]]) -> None:
    file = tmp_path_factory.mktemp("m") / METRICS
    for step, name, value in rows:
        append_rows(file, [MetricRow(step, 0.5, name, value)])
    read = [(row.step, row.name, repr(row.value)) for row in read_rows(file)]
    assert read == [(step, " ".join(name.encode("utf-8", "replace").decode().split()), repr(value)) for step, name, value in rows]


def test_a_line_torn_at_any_place_is_never_read_and_spoils_no_other(run: RunFolder) -> None:
    run.log(1, {"loss": 2.25})
    whole = (run.folder / METRICS).read_bytes()
    run.log(2, {"loss": 1.125, "eval_loss": 3.5})
    torn = (run.folder / METRICS).read_bytes()
    for length in range(len(torn)):
        (run.folder / METRICS).write_bytes(torn[:length])
        known = run.metrics().get("loss", [])
        assert known in ([], [(1, 2.25)], [(1, 2.25), (2, 1.125)]), length
        assert bool(known) == (length >= len(whole))
        run.log(3, {"loss": 0.5})
        assert run.metrics()["loss"] == [*known, (3, 0.5)], length


def test_a_torn_line_that_is_longer_than_the_next_leaves_nothing_behind(run: RunFolder) -> None:
    (run.folder / METRICS).write_bytes(HEADER + b"1,0.100," + b"x" * 5_000)
    run.log(2, {"loss": 0.5})
    assert (run.folder / METRICS).read_bytes().count(b"x") == 0
    assert run.metrics() == {"loss": [(2, 0.5)]}


def test_a_resume_logs_the_steps_after_its_checkpoint_again(run: RunFolder) -> None:
    for step in range(1, 8):
        run.log(step, {"loss": 1 / step})
    straight = run.metrics()
    (run.folder / METRICS).write_bytes((run.folder / METRICS).read_bytes()[:-3])
    again = RunFolder.open(run.folder)
    again.rewind(4)
    assert again.metrics()["loss"][-1] == (4, 0.25)
    for step in range(5, 8):
        again.log(step, {"loss": 1 / step})
    assert again.metrics() == straight
    again.rewind(0)
    assert again.metrics() == {}


def test_the_clock_goes_on_where_it_was_interrupted(run: RunFolder) -> None:
    append_rows(run.folder / METRICS, [MetricRow(1, 100.0, "loss", 1.0), MetricRow(2, 900.0, "loss", 1.0)])
    again = RunFolder.open(run.folder)
    again.log(3, {"loss": 1.0})
    again.rewind(1)
    again.log(2, {"loss": 1.0})
    assert [round(row.seconds / 10) for row in read_rows(run.folder / METRICS)] == [10, 10]
    RunFolder.open(run.folder).log(3, {"loss": 1.0})
    assert 90 < read_rows(run.folder / METRICS)[-1].seconds < 110


WRITER = """
import sys
from pathlib import Path
from finetune.run_folder.records import RunFolder
run = RunFolder.open(Path(sys.argv[1]))
for step in range(1, 10**6):
    run.log(step, {f"metric {n}": step + n / 7 for n in range(200)})
    print(step, flush=True)
"""


def test_a_killed_run_keeps_every_figure_that_was_logged(run: RunFolder) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(run.folder)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        for _ in range(20):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        reported = 20 + len(writer.stdout.read().split())
    points = run.metrics()["metric 199"]
    assert reported <= len(points) + 1
    assert points == [(step, step + 199 / 7) for step, _ in points]
    RunFolder.open(run.folder).rewind(5)
    assert {name: len(series) for name, series in run.metrics().items()} == {f"metric {n}": 5 for n in range(200)}


def test_on_a_full_disk_logging_says_so_and_the_file_is_as_before(run: RunFolder) -> None:
    run.log(1, {"loss": 2.0})
    before = (run.folder / METRICS).read_bytes()
    with file_size_limit(len(before) + 10), pytest.raises(TrainingError) as caught:
        run.log(2, {"loss": 1.5, "eval_loss": 2.5})
    assert str(run.folder / METRICS) in caught.value.message
    assert "File too large" in caught.value.message
    assert "\n" not in caught.value.message + caught.value.hint
    assert "--resume" in caught.value.hint
    assert (run.folder / METRICS).read_bytes() == before


def test_on_a_full_disk_a_file_that_is_replaced_stays_as_it_was(run: RunFolder) -> None:
    run.save_result({"seconds": 1})
    run.log(1, {"loss": 2.0})
    before = {path.name: path.read_bytes() for path in run.folder.iterdir()}
    with file_size_limit(20):
        for write in (lambda: run.save_result({"seconds": "x" * 100}), lambda: run.rewind(1), lambda: write_curves(run)):
            with pytest.raises(TrainingError, match="can't write"):
                write()
    assert {path.name: path.read_bytes() for path in run.folder.iterdir()} == before


def test_a_folder_that_cant_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="can't make the folder") as caught:
        begin(tmp_path / "file" / "run")
    assert "--out" in caught.value.hint
    (tmp_path / "run" / METRICS).mkdir(parents=True)
    with pytest.raises(TrainingError, match=r"can't read .*metrics\.csv': Is a directory"):
        begin(tmp_path / "run")


def test_without_the_right_to_write_logging_says_so() -> None:
    with tempfile.TemporaryDirectory() as name:
        run = begin(Path(name))
        run.folder.chmod(0o555)
        is_root = os.geteuid() == 0
        try:
            if is_root:
                os.seteuid(65534)  # root may do everything
            with pytest.raises(TrainingError, match=r"can't write .*metrics\.csv': Permission denied"):
                run.log(1, {"loss": 1.0})
        finally:
            if is_root:
                os.seteuid(0)
            run.folder.chmod(0o700)


# samples and the result


def test_samples_and_the_result_come_back(run: RunFolder) -> None:
    samples = [Sample("தமிழ்\n\u2028?", "<b>", "\ud800 half", None), Sample("p", "", "b", "right")]
    assert (run.samples(), run.result()) == ([], None)
    run.save_samples(samples)
    assert run.samples() == samples
    assert "தமிழ்" in (run.folder / "samples.jsonl").read_text("utf-8")
    run.save_result({"before": {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6}}, "after": {"loss": math.nan}})
    assert run.result() == {"before": {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6}}, "after": {"loss": "nan"}}
    (run.folder / "samples.jsonl").write_text('{"other": 1}\n')
    with pytest.raises(TrainingError, match=r"can't read .*samples\.jsonl"):
        run.samples()


@dataclass(frozen=True, slots=True)
class Settings:
    rank: int
    path: Path


def test_settings_of_any_kind_become_plain() -> None:
    import torch

    value = {"s": Settings(8, Path("a/b")), "t": torch.float32, "n": torch.tensor(2.5), "x": (1, {8, 1}), "f": math.inf, 1: None}
    assert plain(value) == {
        "s": {"rank": 8, "path": "a/b"}, "t": "torch.float32", "n": 2.5, "x": [1, [1, 8]], "f": "inf", "1": None,
    }  # fmt: skip


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
INNER = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.text("abc", min_size=1), LEAVES, max_size=3)
DOCUMENTS = INNER | st.lists(INNER, max_size=3) | st.dictionaries(st.text("abc", min_size=1), INNER, max_size=3)


@given(st.dictionaries(st.text("abc", min_size=1), DOCUMENTS, max_size=4))
def test_what_was_written_differs_in_nothing_from_itself(document: dict[str, Any]) -> None:
    read = json.loads(json.dumps(plain(document), allow_nan=False))
    assert read == plain(document)
    assert differences(read, plain(document)) == {}
    assert all(not isinstance(value, dict) or not value for value in flatten(read).values())


def test_a_part_that_is_empty_differs_from_one_that_is_missing() -> None:
    assert differences({"a": {}, "b": {"c": 1}}, {"b": {"c": {"d": 1}}}) == {
        "a": ({}, None),
        "b.c": (1, None),
        "b.c.d": (None, 1),
    }


def test_versions_are_those_installed() -> None:
    import torch

    assert package_versions()["torch"] == torch.__version__


# curves


def logged(run: RunFolder) -> RunFolder:
    for step in range(1, 101):
        run.log(step, {"loss": 3 / step**0.5, "learning_rate": 1e-4 * (1 - step / 100), "grad_norm": 1.0})
        if step % 20 == 0:
            run.log(step, {"eval_loss": 3.1 / step**0.5, "eval_rewards/margins": step / 50, "eval_rewards/accuracies": 0.8,
                           "rewards/chosen": 0.5, "rewards/rejected": -0.5, "log_odds_ratio": 0.1 * step})  # fmt: skip
    return run


def read_png(content: bytes) -> Image.Image:
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert zlib.crc32(content[12:29]) == struct.unpack(">I", content[29:33])[0]
    image = Image.open(BytesIO(content))
    image.load()
    assert image.size == (width, height)
    return image


def test_every_group_that_was_logged_gets_a_picture(run: RunFolder) -> None:
    files = write_curves(logged(run))
    assert [file.name for file in files] == ["loss.png", "rewards.png", "accuracy.png", "log_odds.png", "learning_rate.png"]
    for file in files:
        colours = read_png(file.read_bytes()).convert("RGB").getcolors(maxcolors=2**20)
        assert colours
        assert (0, 0x72, 0xB2) in {colour for _, colour in colours}  # the first line is there
    first = files[0].read_bytes()
    assert write_curves(run)[0].read_bytes() == first


def test_only_what_exists_is_drawn(run: RunFolder) -> None:
    assert write_curves(run) == []
    run.log(1, {"grad_norm": 1.0, "loss": math.nan, "eval_loss": math.inf})
    assert write_curves(run) == []
    run.log(2, {"loss": 1.0})
    assert [file.name for file in write_curves(run)] == ["loss.png"]


def test_each_metric_is_drawn_in_its_own_picture_only(run: RunFolder) -> None:
    run.log(1, {"loss": 2.0, "rewards/margins": 3.0})
    loss, rewards = (file.read_bytes() for file in write_curves(run))
    run.log(1, {"train_loss": 9.0, "rewards/accuracies": 0.5, "grad_norm": 7.0})
    assert [file.read_bytes() for file in write_curves(run)][:2] == [loss, rewards]
    run.rewind(0)
    run.log(1, {"train_loss": 9.0})
    assert write_curves(run)[0].read_bytes() != loss


def test_a_schedule_is_drawn_as_it_was_and_what_scatters_is_smoothed() -> None:
    points = {"learning_rate": [(step, float(min(step, 10))) for step in range(100)]}
    schedule = CHARTS[-1]
    assert draw(schedule, points) == draw(replace(schedule, noisy=False), points) != draw(replace(schedule, noisy=True), points)
    held_out = {"eval_loss": points["learning_rate"]}
    assert draw(CHARTS[0], held_out) == draw(replace(CHARTS[0], noisy=False), held_out)


def test_names_with_signs_of_formulas_and_many_lines_are_drawn() -> None:
    series = {f"rewards/_$x_{{{n}}}^$தமிழ்\x00": [(1, float(n)), (2, -1e30 * n)] for n in range(12)}
    assert read_png(draw(CHARTS[1], series)).width > 500


def test_drawing_leaves_matplotlib_as_it_was_and_works_in_a_thread(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setitem(matplotlib.rcParams, "lines.linewidth", 42.0)
    before = dict(matplotlib.rcParams)
    thread = threading.Thread(target=write_curves, args=(logged(run),))
    thread.start()
    thread.join()
    assert dict(matplotlib.rcParams) == before
    assert (run.folder / "loss.png").exists()


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30), st.integers(0, 5))
def test_a_smoothed_value_is_the_mean_of_its_neighbours(values: list[float], half: int) -> None:
    smoothed = smooth(values, half)
    assert len(smoothed) == max(0, len(values) - 2 * half)
    for place, value in enumerate(smoothed):
        near = values[place : place + 2 * half + 1]
        assert value == pytest.approx(math.fsum(near) / len(near), abs=1e-12 * math.fsum(map(abs, values)))


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 40), st.integers(0, 9))
def test_smoothing_leaves_straight_lines_where_they_are(start: int, slope: int, length: int, half: int) -> None:
    line = [float(start + slope * n) for n in range(length)]
    assert smooth(line, half) == pytest.approx(line[half : max(half, length - half)])
