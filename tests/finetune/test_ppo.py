"""PPO end to end on tiny bases: it learns what is scored, stays near its reference, and goes on where it was stopped."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_rows import Run

from assistant.adapters.manifest import WEIGHTS, read_manifest
from assistant.models.quiet import quiet
from finetune.checkpoints import last_checkpoint, step_of
from finetune.cli import run as run_line
from finetune.config import TrainingConfig, read_config
from finetune.data.faults import load_dataset, rows_for
from finetune.errors import DataFault, Diverged, TrainingError
from finetune.ppo import RECIPE, PPOTrainer
from finetune.recipe import Job, prepare
from finetune.reinforcement.learner import rate_share
from finetune.reinforcement.ppo_state import VALUE_HEAD
from indexes.errors import UsageError

SMALL: dict[str, Any] = {"answer_tokens": "6-10", "rollouts": 8, "measured": 8, "write_batch": 8, "max_steps": 2}


@pytest.fixture
def ppo(run: Run, toy: Callable[[str], tuple[str, ...]], prompts: tuple[str, ...]) -> Run:
    def go(base: str = "llama3", *, scored: str = "vowels", **settings: Any) -> Any:
        return run("ppo", base, **{"data": prompts, "kind": "pairs", "grader": toy(scored)} | SMALL | settings)

    return go


def job_of(tiny: dict[str, Path], out: Path, data: tuple[str, ...], grader: tuple[str, ...], **settings: Any) -> Job:
    given = SMALL | {"device": "cpu", "batch": 4, "max_length": 128, "learning_rate": 1e-3} | settings
    config = TrainingConfig("ppo", str(tiny["llama3"]), data, str(out), grader=grader, **given)
    return prepare(config, RECIPE, resume=False, announce=lambda _: None)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
@pytest.mark.parametrize("base", ["llama3", "gemma2", "gpt2"])
def test_trains_saves_and_describes(base: str, quantization: str, ppo: Run, tmp_path: Path) -> None:
    trained, manifest = ppo(base, scored="varied", quantization=quantization, checkpointing="on")
    assert manifest == read_manifest(tmp_path / "out")
    assert manifest is not None
    assert (manifest.method, manifest.role, manifest.swap_profile) == ("ppo", "answer", "standard")
    assert any("lora_B" in name and value.abs().max() > 0 for name, value in load_file(tmp_path / "out" / WEIGHTS).items())
    after = {"reward", "kl", "reference_nll", "length", "ended", "median_reward", "reference_perplexity", "distinct_2"}
    assert set(trained.result["after"]) == set(trained.result["before"]) == after
    assert trained.result["before"]["kl"]["value"] == pytest.approx(0, abs=1e-4)
    logged = trained.run.metrics()
    assert {"reward", "kl", "entropy", "length", "value_loss", "clip_fraction", "explained_variance"} <= set(logged)
    assert all(len(logged[name]) == 2 for name in ("reward", "kl", "entropy"))
    assert {file.name for file in trained.run.folder.glob("*.png")} >= {"reward.png", "kl.png", "entropy.png", "length.png"}
    assert not list((tmp_path / "out").glob("*value*"))


def test_the_score_rises_by_more_than_chance_and_the_policy_stays_near(ppo: Run) -> None:
    trained, _ = ppo(
        max_steps=16,
        rollouts=32,
        write_batch=32,
        batch=16,
        learning_rate=3e-3,
        answer_tokens="10",
        measured=40,
        eval_share=0.5,
        epochs=30.0,
    )
    assert trained.result["change"]["reward"]["low"] > 0
    assert 0 < trained.result["after"]["kl"]["value"] < 15
    assert trained.result["after"]["distinct_2"]["value"] > 0.3


def test_the_same_seed_is_bit_identical_and_another_is_not(ppo: Run, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        ppo(out=str(tmp_path / name), seed=seed, target_kl=3.0)
    a, b, c = ((tmp_path / name / WEIGHTS).read_bytes() for name in "abc")
    assert a == b != c


def test_resume_equals_the_straight_run_bit_for_bit(ppo: Run, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "save_every": 2,
        "schedule": "constant",
        "warmup": 0.0,
        "epochs": 20.0,
        "target_kl": 3.0,
        "kl_gain": 1.0,
    }
    straight, _ = ppo(max_steps=5, out=str(tmp_path / "straight"), **given)
    ppo(max_steps=3, out=str(tmp_path / "parts"), **given)
    (tmp_path / "parts" / "assistant_adapter.json").unlink()
    parts, _ = ppo(max_steps=5, out=str(tmp_path / "parts"), resume=True, **given)
    assert (tmp_path / "parts" / WEIGHTS).read_bytes() == (tmp_path / "straight" / WEIGHTS).read_bytes()
    for name in ("reward", "kl", "kl_coefficient", "value_loss", "entropy"):
        assert parts.run.metrics()[name] == straight.run.metrics()[name]
    heads = [load_file(tmp_path / name / "run" / "checkpoints" / "checkpoint-5" / VALUE_HEAD) for name in ("straight", "parts")]
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[0])
    assert parts.result["after"] == straight.result["after"]
    answers = [(tmp_path / name / "run" / "answers.jsonl").read_bytes() for name in ("straight", "parts")]
    assert answers[0].splitlines()[-1] == answers[1].splitlines()[-1]


def test_a_run_that_is_killed_and_interrupted_ends_as_the_straight_one(
    ppo: Run, tiny: dict[str, Path], prompts: tuple[str, ...], toy: Callable[[str], tuple[str, ...]], tmp_path: Path,
    at_step: Callable[[int, Callable[[], object]], None],
) -> None:  # fmt: skip
    given = SMALL | {"rollouts": 4, "answer_tokens": "6", "max_steps": 12, "epochs": 20.0, "batch": 4, "max_length": 128,
                     "update_epochs": 1, "save_every": 1, "measured": 2, "samples": 1}  # fmt: skip
    straight, _ = ppo(out=str(tmp_path / "straight"), **given)
    settings = "".join(f"{name} = {json.dumps(value)}\n" for name, value in (given | {"learning_rate": 1e-3}).items())
    (tmp_path / "run.toml").write_text(settings)
    command = ["ppo", "--base", str(tiny["llama3"]), "--data", prompts[0], "--device", "cpu", "--grader", *toy("vowels"),
               "--config", str(tmp_path / "run.toml"), "--out", str(tmp_path / "cut")]  # fmt: skip
    checkpoints = tmp_path / "cut" / "run" / "checkpoints"
    process = subprocess.Popen([sys.executable, "-m", "finetune", *command], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and step_of(last_checkpoint(checkpoints)) < 2:
        time.sleep(0.002)
    process.kill()
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    begun = step_of(last_checkpoint(checkpoints))
    at_step(begun + 2, lambda: signal.raise_signal(signal.SIGINT))
    assert run_line([*command, "--resume"]) == 130
    assert step_of(last_checkpoint(checkpoints)) == begun + 2
    assert not (tmp_path / "cut" / "assistant_adapter.json").exists()
    ended, _ = ppo(out=str(tmp_path / "cut"), resume=True, **given)
    assert (tmp_path / "cut" / WEIGHTS).read_bytes() == (tmp_path / "straight" / WEIGHTS).read_bytes()
    assert ended.run.metrics()["reward"] == straight.run.metrics()["reward"]


def test_the_reference_is_the_adapter_it_began_with(ppo: Run, run: Run, tmp_path: Path) -> None:
    _, first = run("sft", out=str(tmp_path / "sft"), max_steps=8, learning_rate=1e-2)
    assert first is not None
    trained, second = ppo(init_adapter=str(tmp_path / "sft"))
    assert second is not None
    assert second.parents == (first.weights_hash,)
    assert trained.run.metrics()["kl"][0][1] == pytest.approx(0, abs=1e-4)
    assert trained.result["before"]["kl"]["value"] == pytest.approx(0, abs=1e-4)
    reference = {name: value for name, value in trained.model.named_parameters() if ".ref." in name}
    written = load_file(tmp_path / "sft" / WEIGHTS)
    assert len(reference) == len(written)
    assert all(torch.equal(value, written[name.replace(".ref.", ".")]) for name, value in reference.items())
    assert not any(value.requires_grad for value in reference.values())


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_every_step_learns_and_the_rate_rises_and_falls(schedule: str) -> None:
    rates = [rate_share(step, of=10, warmup=3, schedule=schedule) for step in range(10)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4:] == [1.0] * 6 if schedule == "constant" else rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[-1] > 0


@pytest.mark.parametrize("reaches", [False, True])
def test_the_values_loss_stops_at_the_head_unless_it_is_let(
    reaches: bool, tiny: dict[str, Path], tmp_path: Path, prompts: tuple[str, ...], toy: Callable[[str], tuple[str, ...]]
) -> None:
    """All scores are equal, so that there is nothing else to learn from: only the value's loss is left."""
    job = job_of(tiny, tmp_path / "out", prompts, toy("same"), value_reaches_policy=reaches, update_epochs=2, warmup=0.0)
    said: list[str] = []
    object.__setattr__(job, "announce", said.append)
    with quiet():
        trainer = PPOTrainer(job)
        trainer.state.global_step = 1  # the head stays at 0, and is wrong: at a run's beginning it would expect these very scores
        trainer.train()
    moved = [value.abs().max() > 0 for name, value in trainer.model.named_parameters() if "lora_B" in name]
    assert any(moved) == reaches
    assert "all 8 scores are 2.5: nothing to learn" in said[0]
    assert trainer._head.out.weight.abs().max() > 0


def test_4_answers_at_once_are_2_times_2(ppo: Run, tmp_path: Path) -> None:
    for name, batch, accumulate in (("whole", 4, 1), ("parts", 2, 2)):
        ppo(batch=batch, accumulate=accumulate, out=str(tmp_path / name), max_steps=1, update_epochs=1, warmup=0.0)
    whole, parts = (load_file(tmp_path / name / WEIGHTS) for name in ("whole", "parts"))
    assert all(torch.allclose(whole[name], parts[name], atol=5e-5) for name in whole)


def test_a_policy_that_runs_away_is_put_back_and_the_run_says_so(ppo: Run, tmp_path: Path) -> None:
    trained, manifest = ppo(max_steps=12, epochs=20.0, learning_rate=0.05, kl=0.0, max_kl=2.0, update_kl=0.0, warmup=0.0)
    assert manifest is not None
    assert "ran away from its reference" in trained.result["stopped_because"]
    assert trained.result["steps"] < 12
    last_near = trained.run.metrics()["kl"][-1][1]
    assert last_near <= 2.0
    assert trained.result["after"]["kl"]["value"] < 4.0
    steps = [json.loads(line)["step"] for line in (tmp_path / "out" / "run" / "answers.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)), "answers of a step are there once"


def test_an_update_ends_where_the_policy_has_moved_far_enough(ppo: Run) -> None:
    trained, _ = ppo(learning_rate=0.03, update_kl=0.01, warmup=0.0, max_kl=0.0, update_epochs=8)
    assert trained.run.metrics()["updates"][0][1] < 16
    assert trained.run.metrics()["update_kl"][0][1] > 0


def test_a_loss_that_is_no_number_ends_it(ppo: Run, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"is nan|is inf|KL to the reference is") as caught:
        ppo(learning_rate=1e30, max_steps=6, epochs=20.0, update_kl=0.0, warmup=0.0, save_every=1, max_kl=0.0)
    assert "--learning-rate" in caught.value.hint
    assert not (tmp_path / "out" / "assistant_adapter.json").exists()


def test_a_grader_that_gives_no_numbers_ends_it_before_anything_is_trained(ppo: Run, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nan"):
        ppo(scored="broken")
    assert not (tmp_path / "out" / "run" / "checkpoints").exists()


def test_a_grader_sees_prompt_answer_and_the_whole_record(ppo: Run) -> None:
    trained, _ = ppo(scored="expects", max_steps=1)
    assert trained.result["after"]["reward"]["value"] > 0


def test_prompts_come_from_rows_of_any_kind(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "chosen": "b", "rejected": "c"}, {"prompt": "a", "completion": "b"}, {"text": "a b c"},
            {"prompt": "a"}, {"text": "a", "label": "x"}, {"prompt": "a", "responses": ["b", "c", "d"], "ratings": [1, 2, 3]},
            {"question": "q", "passages": [{"source": "a.md", "text": "p"}]}]  # fmt: skip
    for at, row in enumerate(rows):
        (tmp_path / f"{at}.jsonl").write_text(json.dumps(row) + "\n")
        (found,) = rows_for(load_dataset([tmp_path / f"{at}.jsonl"], as_prompts=True), "ppo")
        assert dict(found.fields) == row  # type: ignore[union-attr]
        assert bool(found.text) == ("text" in row)  # type: ignore[union-attr]
    with pytest.raises(DataFault, match="prompt"):
        rows_for(load_dataset([tmp_path / "3.jsonl"]), "sft")


def test_prompts_that_are_measured_on_are_not_learned_from(ppo: Run, tmp_path: Path) -> None:
    (tmp_path / "held.jsonl").write_text("".join(json.dumps({"prompt": f"Where is hut {at}?"}) + "\n" for at in range(35, 45)))
    _, manifest = ppo(eval_data=(str(tmp_path / "held.jsonl"),), max_steps=1)
    assert manifest is not None
    assert manifest.data["rows"] == 35


def test_prompts_that_leave_no_room_are_counted_and_none_left_is_an_error(ppo: Run) -> None:
    with pytest.raises(DataFault, match=r"0 rows are left.*longer than 20 tokens.*prompts\.jsonl:\d+"):
        ppo(max_length=30, answer_tokens="10")


def test_texts_are_gone_on_with(ppo: Run, tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text(
        "".join(json.dumps({"text": f"Number {at} is a hut on a hill."}) + "\n" for at in range(30))
    )
    _, manifest = ppo("gpt2", data=(str(tmp_path / "texts.jsonl"),), prompt_tokens="2-4", max_steps=1, force=True)
    assert manifest is not None
    assert manifest.prompt_format is None
    assert len(json.loads((tmp_path / "out" / "run" / "answers.jsonl").read_text().splitlines()[0])["prompt"]) in (2, 3, 4)


def test_settings_that_can_not_be_are_named_together(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_config(
            "ppo",
            None,
            {
                "base": "m",
                "data": ["d"],
                "out": "o",
                "rollouts": 0,
                "answer_tokens": "9-3",
                "top_p": 2.0,
                "dropout": 0.1,
                "grader": ["format"],
            },
        )
    for said in ("rollouts is 0", "answer_tokens is '9-3'", "top_p is 2.0", "dropout is 0.1"):
        assert said in caught.value.message
    with pytest.raises(UsageError, match="grader is missing"):
        read_config("ppo", None, {"base": "m", "data": ["d"], "out": "o"})
    with pytest.raises(UsageError, match="grader is for ppo, rloo, grpo, not for sft"):
        read_config("sft", None, {"base": "m", "data": ["d"], "out": "o", "grader": ["length:3-4"]})
