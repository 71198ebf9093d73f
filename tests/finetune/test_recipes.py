"""Every method, end to end, on a tiny model of each family: rows in, a folder out that computes what was trained."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_rows import Run, rows_of

from assistant.adapters.manifest import CONFIG, HEAD, WEIGHTS, read_manifest, weights_hash
from assistant.errors import ModelError
from finetune.errors import DataFault, TrainingError
from finetune.reward_model import RewardModel

METHODS = ("sft", "orpo", "dpo", "kto", "reward")


@pytest.mark.parametrize("quantization", ["none", "nf4"])
@pytest.mark.parametrize("base", ["llama3", "gemma2", "gpt2"])
@pytest.mark.parametrize("method", METHODS)
def test_trains_saves_and_describes(method: str, base: str, quantization: str, run: Run, tmp_path: Path) -> None:
    trained, manifest = run(method, base, quantization=quantization)
    out = tmp_path / "out"
    assert manifest == read_manifest(out)
    assert manifest is not None
    assert manifest.weights_hash == weights_hash(out)
    assert manifest.swap_profile == "standard"
    assert (out / HEAD).exists() == (method == "reward")
    assert json.loads((out / CONFIG).read_bytes())["lora_dropout"] == 0.0
    moved = [name for name, value in load_file(out / WEIGHTS).items() if "lora_B" in name and value.abs().max() > 0]
    assert moved
    assert trained.result["steps"] == 3
    wanted = {"sft": {"nll", "bits_per_character"}, "kto": set()}.get(method, {"accuracy", "length_rule_accuracy"})
    assert set(trained.result["after"]) >= wanted
    assert (out / "run" / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("method", METHODS)
def test_only_the_adapter_moves(method: str, run: Run, tiny: dict[str, Path]) -> None:
    trained, _ = run(method)
    base = load_file(tiny["llama3"] / "model.safetensors")
    inside = {
        name.replace("base_model.model.", "").replace("base_layer.", ""): value
        for name, value in trained.model.state_dict().items()
    }
    compared = [name for name in base if name in inside]
    assert len(compared) >= len(base) - 1  # a scoring model has no language head
    assert all(torch.equal(base[name].float(), inside[name].float()) for name in compared)


@pytest.mark.parametrize(("method", "metric", "rises"), [
    ("sft", "nll", False), ("orpo", "margin", True), ("dpo", "margin", True), ("reward", "margin", True), ("kto", "auc", True),
])  # fmt: skip
def test_moves_its_own_metric_on_held_out_rows(method: str, metric: str, rises: bool, run: Run) -> None:
    trained, _ = run(method, max_steps=25, epochs=20.0, learning_rate=3e-3, eval_share=0.25)
    before, after = trained.result["before"][metric]["value"], trained.result["after"][metric]["value"]
    assert after >= before if rises else after < before
    assert method == "kto" or before != after


@pytest.mark.parametrize("method", ["orpo", "sft", "dpo"])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(method: str, run: Run, tmp_path: Path) -> None:
    run(method, max_steps=6, save_every=2, epochs=3.0, out=str(tmp_path / "straight"))
    run(method, max_steps=4, save_every=2, epochs=3.0, schedule="constant", warmup=0.0, out=str(tmp_path / "b"))
    run(method, max_steps=6, save_every=2, epochs=3.0, schedule="constant", warmup=0.0, out=str(tmp_path / "c"))
    (tmp_path / "b" / "adapter_config.json").unlink()
    run(method, max_steps=6, save_every=2, epochs=3.0, schedule="constant", warmup=0.0, out=str(tmp_path / "b"), resume=True)
    assert (tmp_path / "b" / WEIGHTS).read_bytes() == (tmp_path / "c" / WEIGHTS).read_bytes()
    assert (tmp_path / "straight" / WEIGHTS).read_bytes() != (tmp_path / "c" / WEIGHTS).read_bytes()


@pytest.mark.parametrize("method", ["sft", "orpo", "dpo"])
def test_8_rows_at_once_are_2_times_4(method: str, run: Run, tmp_path: Path) -> None:
    for name, batch, accumulate in (("whole", 8, 1), ("parts", 4, 2)):
        run(method, batch=batch, accumulate=accumulate, out=str(tmp_path / name), group_by_length=False, max_steps=2)
    whole, parts = (load_file(tmp_path / name / WEIGHTS) for name in ("whole", "parts"))
    assert all(torch.allclose(whole[name], parts[name], atol=2e-5) for name in whole)


def test_data_that_changed_are_refused(run: Run, rows: Callable[..., Path], tmp_path: Path) -> None:
    run("sft", max_steps=2, save_every=1)
    other = rows("sft", 20).rename(tmp_path / "other.jsonl")
    with pytest.raises(TrainingError, match="the data changed since this run began"):
        run("sft", max_steps=4, save_every=1, resume=True, data=(str(other),))


def test_a_folder_in_use_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(TrainingError, match="isn't empty"):
        run("sft")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_a_loss_that_is_no_number_ends_it_and_keeps_the_last_state(run: Run, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the loss (is nan|has grown)") as caught:
        run("sft", learning_rate=1e30, max_steps=60, epochs=60.0, save_every=1, warmup=0.0, clip=1e9)
    assert "--learning-rate" in caught.value.hint
    assert list((tmp_path / "out" / "run" / "checkpoints").glob("checkpoint-*/adapter_model.safetensors"))
    assert not (tmp_path / "out" / "assistant_adapter.json").exists()


def test_rows_that_are_too_long_are_counted_and_none_left_is_an_error(run: Run) -> None:
    with pytest.raises(DataFault, match=r"0 rows are left to train on.*longer than 16 tokens.*sft.jsonl:\d+"):
        run("sft", max_length=16)


def test_begins_with_an_adapter_and_names_its_parent(run: Run, tmp_path: Path) -> None:
    _, first = run("sft", out=str(tmp_path / "first"))
    assert first is not None
    _, second = run("dpo", init_adapter=str(tmp_path / "first"), out=str(tmp_path / "second"))
    assert second is not None
    assert second.parents == (first.weights_hash,)
    assert not (tmp_path / "second" / "ref").exists()
    with pytest.raises(ModelError, match="whose weights are not those of"):
        run("sft", "gemma2", init_adapter=str(tmp_path / "first"), out=str(tmp_path / "third"))


@pytest.mark.parametrize(("kind", "metric"), [("ratings", "accuracy"), ("classes", "accuracy")])
def test_rewards_from_ratings_and_classes(kind: str, metric: str, run: Run, tmp_path: Path) -> None:
    trained, manifest = run("reward", kind=kind, max_steps=20, epochs=10.0, learning_rate=3e-3, eval_share=0.25)
    assert trained.result["after"][metric]["value"] >= 0.8
    assert manifest is not None
    assert (manifest.reward is None) == (kind == "classes")
    if kind == "classes":
        model = RewardModel.load(tmp_path / "out")
        assert model.classify(["It is 40 km up. [1]", "Well, Well, Well, "]) == ["short", "rambling"]


@pytest.mark.parametrize("method", METHODS)
def test_in_half_precision_as_on_a_gpu(method: str, run: Run) -> None:
    trained, manifest = run(method, dtype="bf16", max_steps=2)
    assert manifest is not None
    assert all(math.isfinite(figure["value"]) for figure in trained.result["after"].values())


def test_a_reward_scores_the_same_in_another_process(run: Run, tmp_path: Path) -> None:
    _, manifest = run("reward", "gpt2", add_tokens=("<|user|>", "<|assistant|>"))
    assert manifest is not None
    code = (
        "import sys, json\nfrom pathlib import Path\nfrom finetune.reward_model import RewardModel\n"
        "model = RewardModel.load(Path(sys.argv[1]))\nprint(json.dumps(model.outputs([json.loads(sys.argv[2])])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out"), json.dumps(list(manifest.canary.ids))], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0][0] == pytest.approx(manifest.canary.top[0][1], abs=1e-5)


@pytest.mark.parametrize(
    ("method", "settings", "profile"),
    [
        ("sft", {"packing": True}, "standard"),
        ("sft", {"quantization": "int8"}, "standard"),
        ("sft", {"optimizer": "adamw_8bit", "dropout": 0.1}, "standard"),
        ("orpo", {"checkpointing": "on"}, "standard"),
        ("dpo", {"checkpointing": "on", "patience": 1, "eval_every": 1}, "standard"),
        ("sft", {"dora": True}, "slow"),
        ("orpo", {"rslora": True}, "slow"),
        ("dpo", {"targets": ("q_proj",)}, "slow"),
    ],
)
def test_options_train_and_show_in_the_swap_profile(method: str, settings: dict[str, Any], profile: str, run: Run) -> None:
    trained, manifest = run(method, **settings)
    assert manifest is not None
    assert manifest.swap_profile == profile
    assert trained.result["steps"] >= 1


def test_packed_rows_do_not_see_each_other(run: Run, tmp_path: Path) -> None:
    """One step over the same rows, apart and in one sequence: the same gradient, so the same weights."""
    (tmp_path / "six.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_of("sft", 6)))
    for name, packing in (("apart", False), ("packed", True)):
        settings = {"packing": packing, "batch": 1 if packing else 6, "max_length": 1024, "max_steps": 1, "eval_share": 0.0}
        run("sft", data=(str(tmp_path / "six.jsonl"),), out=str(tmp_path / name), warmup=0.0, **settings)
    apart, packed = (load_file(tmp_path / name / WEIGHTS) for name in ("apart", "packed"))
    assert all(torch.allclose(apart[name], packed[name], atol=1e-4) for name in apart)


def test_checkpointing_changes_nothing(run: Run, tmp_path: Path) -> None:
    for way in ("on", "off"):
        run("orpo", checkpointing=way, out=str(tmp_path / way))
    on, off = (load_file(tmp_path / way / WEIGHTS) for way in ("on", "off"))
    assert all(torch.allclose(on[name], off[name], atol=1e-6) for name in on)


def test_an_adapter_may_be_for_another_step(run: Run) -> None:
    """The assistant then uses it for that step alone."""
    assert run("sft", role="rewrite")[1].role == "rewrite"
