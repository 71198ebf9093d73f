"""The command line: every verb once, and what is said when something is wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_models
from training_rows import KIND

from assistant.adapters.manifest import read_manifest
from finetune import cli
from finetune.run_folder.records import RunFolder

VERBS = (
    "check",
    "plan",
    "merge",
    "tokenizer",
    "sft",
    "orpo",
    "dpo",
    "kto",
    "reward",
    "ppo",
    "rloo",
    "grpo",
    "self-reward",
    "compare",
    "data",
)


def test_alone_it_shows_its_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {verb} " in shown for verb in VERBS)


@pytest.mark.parametrize("method", KIND)
def test_each_training_verb(
    method: str, tiny: dict[str, Path], rows: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "adapter"
    flags = ["--base", str(tiny["llama3"]), "--data", str(rows(KIND[method])), "--out", str(out), "--max-steps", "2"]
    assert cli.run([method, *flags, "--batch", "4", "--max-length", "256", "--device", "cpu", "--seed", "7"]) == 0
    said = capsys.readouterr()
    assert "report: " in said.out
    assert "step 2 of 2" in said.err
    manifest = read_manifest(out)
    assert (manifest.method, manifest.seed, manifest.name) == (method, 7, "adapter")
    assert json.loads((out / "run" / "run.json").read_text())["command"][0] == "finetune"


def test_a_config_file_and_flags(tiny: dict[str, Path], rows: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(f'base = "{tiny["gpt2"]}"\nmax_steps = 9\nbatch = 4\nmax_length = 256\nsamples = 0\nrank = 4\n')
    assert (
        cli.run(["sft", "--config", str(file), "--data", str(rows("sft")), "--out", str(tmp_path / "o"), "--max-steps", "1"]) == 0
    )
    config = json.loads((tmp_path / "o" / "run" / "run.json").read_text())["config"]
    assert (config["rank"], config["max_steps"]) == (4, 1)


def test_flags_of_several_values_and_what_is_measured_when(
    tiny: dict[str, Path], rows: Callable[..., Path], tmp_path: Path
) -> None:
    flags = ["--base", str(tiny["gpt2"]), "--batch", "4", "--max-length", "256", "--max-steps", "4", "--device", "cpu"]
    flags += ["--targets", "c_attn", "--targets", "c_fc", "--eval-every", "2", "--samples", "2", "--rank", "4"]
    out = tmp_path / "reward"
    tokens = ["--add-tokens", "<|user|>", "--add-tokens", "<|assistant|>"]
    assert cli.run(["reward", *flags, *tokens, "--data", str(rows("pairs")), "--out", str(out)]) == 0
    config = json.loads((out / "run" / "run.json").read_text())["config"]
    assert config["add_tokens"] == ["<|user|>", "<|assistant|>"]
    adapter = json.loads((out / "adapter_config.json").read_text())
    assert set(adapter["target_modules"]) == {"c_attn", "c_fc"}
    assert cli.run(["sft", *flags, "--out", str(tmp_path / "sft"), "--data", str(rows("sft"))]) == 0
    run = RunFolder.open(tmp_path / "sft" / "run")
    assert [step for step, _ in run.metrics()["eval_loss"]] == [2, 4]
    assert len(run.samples()) == 2


def test_merge_gives_a_model_that_computes_the_same(
    tiny: dict[str, Path], rows: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--base", str(tiny["llama3"]), "--data", str(rows("sft")), "--out", str(tmp_path / "a"), "--max-steps", "3"]
    assert cli.run(["sft", *flags, "--max-length", "256", "--learning-rate", "0.01"]) == 0
    assert cli.run(["merge", str(tmp_path / "a"), "--out", str(tmp_path / "whole")]) == 0
    assert "logits are off by" in capsys.readouterr().out
    assert (tmp_path / "whole" / "model.safetensors").stat().st_size > 100_000
    other = tiny_models.tiny_llama3(tmp_path / "other", seed=5)
    assert cli.run(["merge", str(tmp_path / "a"), "--base", str(other), "--out", str(tmp_path / "w2")]) == 5
    assert "are others" in capsys.readouterr().err


def test_plan_measures_and_leaves_nothing(
    tiny: dict[str, Path], rows: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = rows("pairs")
    before = sorted(tmp_path.rglob("*"))
    flags = ["--method", "dpo", "--base", str(tiny["llama3"]), "--data", str(data), "--batch", "4", "--max-length", "256"]
    assert cli.run(["plan", *flags, "--measure", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == 6
    assert found["time_s"]["seconds"] > 0
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (["sft"], 2, "base is missing; data is missing; out is missing"),
        (["self-rewarding"], 2, "no such command 'self-rewarding'"),
        (["self-reward"], 2, "base is missing; data is missing; pairs is missing; out is missing"),
        (["plan", "--base", "x", "--method", "self-reward"], 2, "there is no method 'self-reward'"),
        (["merge", "nowhere", "--out", "x"], 5, "there is no folder 'nowhere'"),
        (["check", "nowhere.jsonl"], 7, None),
    ],
)
def test_faults_are_two_lines(line: list[str], code: int, said: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(line) == code
    error = capsys.readouterr().err
    if said:
        assert said in error.lower()
        assert len(error.splitlines()) == 2
