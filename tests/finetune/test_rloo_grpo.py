"""RLOO and GRPO end to end on tiny bases, beside what their formulas say."""

import signal
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
from finetune.errors import Diverged, TrainingError
from finetune.recipe import Job, prepare
from finetune.reinforcement.grouped import prompts_of
from finetune.reinforcement.policy import as_reference, read_answers
from finetune.train import recipe_of
from indexes.errors import UsageError

BOTH = pytest.mark.parametrize("method", ["rloo", "grpo"])
SMALL: dict[str, Any] = {"answer_tokens": "6-10", "rollouts": 8, "measured": 8, "write_batch": 8, "max_steps": 2}


@pytest.fixture
def group(run: Run, toy: Callable[[str], tuple[str, ...]], prompts: tuple[str, ...]) -> Run:
    def go(method: str, base: str = "llama3", *, scored: str = "vowels", **settings: Any) -> Any:
        return run(method, base, **{"data": prompts, "kind": "pairs", "grader": toy(scored)} | SMALL | settings)

    return go


@pytest.fixture
def job_of(
    tiny: dict[str, Path], tmp_path: Path, prompts: tuple[str, ...], toy: Callable[[str], tuple[str, ...]]
) -> Callable[..., Job]:
    def make(method: str, base: str = "llama3", *, scored: str = "vowels", **settings: Any) -> Job:
        given = SMALL | {"device": "cpu", "batch": 4, "max_length": 128, "learning_rate": 1e-3, "warmup": 0.0} | settings
        config = TrainingConfig(method, str(tiny[base]), prompts, str(tmp_path / "job"), grader=toy(scored), **given)  # type: ignore[arg-type]
        return prepare(config, recipe_of(method), resume=False, announce=lambda _: None)

    return make


def trainer_of(job: Job) -> Any:
    with quiet():  # as ``recipe.run`` does
        return recipe_of(job.config.method).make_trainer(job)


def scored_by(trainer: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    trainer._at = [row["at"] for row in rows]
    with quiet():
        return dict(trainer._generate_and_score_completions(rows))


def train(trainer: Any) -> None:
    with quiet():
        trainer.train()


def with_ears(job: Job) -> list[str]:
    said: list[str] = []
    object.__setattr__(job, "announce", said.append)
    return said


@BOTH
@pytest.mark.parametrize(("base", "quantization"), [("llama3", "none"), ("gemma2", "none"), ("gpt2", "none"), ("llama3", "nf4")])
def test_trains_saves_and_describes(method: str, base: str, quantization: str, group: Run, tmp_path: Path) -> None:
    steps = 1 if quantization == "nf4" else 2
    trained, manifest = group(method, base, quantization=quantization, checkpointing="on", max_steps=steps, warmup=0.0)
    assert manifest is not None
    assert manifest == read_manifest(tmp_path / "out")
    assert (manifest.method, manifest.role, manifest.swap_profile) == (method, "answer", "standard")
    assert any("lora_B" in name and value.abs().max() > 0 for name, value in load_file(tmp_path / "out" / WEIGHTS).items())
    assert trained.result["before"]["kl"]["value"] == pytest.approx(0, abs=1e-4)
    assert trained.result["steps"] == steps
    logged = trained.run.metrics()
    assert {"reward", "reward_std", "kl", "entropy", "length", "ended", "clip_fraction", "groups_alike", "grad_norm"} <= set(
        logged
    )
    assert all(len(logged[name]) == steps for name in ("reward", "kl", "entropy", "loss"))
    assert {file.name for file in trained.run.folder.glob("*.png")} >= {"reward.png", "kl.png", "entropy.png", "length.png"}
    assert not any("/" in name for name in logged)


@pytest.mark.parametrize(("method", "rate"), [("rloo", 3e-3), ("grpo", 4e-3)])
def test_the_score_rises_by_more_than_chance_and_the_policy_stays_near(method: str, rate: float, group: Run) -> None:
    trained, _ = group(method, scored="letters", max_steps=22, rollouts=32, write_batch=32, batch=16, learning_rate=rate,
                       answer_tokens="10", measured=40, eval_share=0.5, epochs=60.0)  # fmt: skip
    assert trained.result["change"]["reward"]["low"] > 0.3
    assert 0 < trained.result["after"]["kl"]["value"] < 25
    assert trained.result["after"]["distinct_2"]["value"] > 0.3


@BOTH
def test_the_same_seed_is_bit_identical_and_another_is_not(method: str, group: Run, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        group(method, out=str(tmp_path / name), seed=seed)
    a, b, c = ((tmp_path / name / WEIGHTS).read_bytes() for name in "abc")
    assert a == b != c


@BOTH
def test_resume_equals_the_straight_run_bit_for_bit(method: str, group: Run, tmp_path: Path) -> None:
    given: dict[str, Any] = {"save_every": 2, "schedule": "constant", "warmup": 0.0, "epochs": 20.0}
    straight, _ = group(method, max_steps=5, out=str(tmp_path / "straight"), **given)
    group(method, max_steps=3, out=str(tmp_path / "parts"), **given)
    (tmp_path / "parts" / "assistant_adapter.json").unlink()
    parts, _ = group(method, max_steps=5, out=str(tmp_path / "parts"), resume=True, **given)
    assert (tmp_path / "parts" / WEIGHTS).read_bytes() == (tmp_path / "straight" / WEIGHTS).read_bytes()
    for name in ("reward", "kl", "loss", "entropy", "clip_fraction"):
        assert parts.run.metrics()[name] == straight.run.metrics()[name]
    assert parts.result["after"] == straight.result["after"]
    answers = [(tmp_path / name / "run" / "answers.jsonl").read_bytes() for name in ("straight", "parts")]
    assert answers[0].splitlines()[-1] == answers[1].splitlines()[-1]


def test_a_run_that_ctrl_c_ended_goes_on_bit_for_bit(
    tiny: dict[str, Path], prompts: tuple[str, ...], toy: Callable[[str], tuple[str, ...]], tmp_path: Path,
    at_step: Callable[[int, Callable[[], object]], None],
) -> None:  # fmt: skip
    (scored,), small = toy("vowels"), "--rollouts 8 --num-generations 2 --answer-tokens 6 --max-steps 4 --epochs 20 --batch 4"
    command = ["rloo", "--base", str(tiny["llama3"]), "--data", prompts[0], "--grader", scored, *small.split(),
               "--max-length", "128", "--device", "cpu", "--config", str(tmp_path / "more.toml")]  # fmt: skip
    (tmp_path / "more.toml").write_text("save_every = 10\nmeasured = 2\nsamples = 1\nupdate_epochs = 1\n")
    assert run_line([*command, "--out", str(tmp_path / "whole")]) == 0
    at_step(2, lambda: signal.raise_signal(signal.SIGINT))
    assert run_line([*command, "--out", str(tmp_path / "cut")]) == 130
    last = last_checkpoint(tmp_path / "cut" / "run" / "checkpoints")
    assert last is not None
    assert step_of(last) in (2, 3)
    assert not (tmp_path / "cut" / "assistant_adapter.json").exists()
    assert run_line([*command, "--out", str(tmp_path / "cut"), "--resume"]) == 0
    assert (tmp_path / "cut" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


@BOTH
def test_the_reference_is_the_adapter_it_began_with(method: str, group: Run, run: Run, tmp_path: Path) -> None:
    _, first = run("sft", out=str(tmp_path / "sft"), max_steps=8, learning_rate=1e-2)
    assert first is not None
    trained, second = group(method, init_adapter=str(tmp_path / "sft"), warmup=0.5)  # the first step has a rate of 0
    assert second is not None
    assert second.parents == (first.weights_hash,)
    assert trained.run.metrics()["kl"][0][1] == pytest.approx(0, abs=1e-4)
    assert trained.result["before"]["kl"]["value"] == pytest.approx(0, abs=1e-4)
    assert trained.result["after"]["kl"]["value"] != 0
    frozen = {name: value for name, value in trained.model.named_parameters() if ".lora_" in name and ".default." not in name}
    assert not any(value.requires_grad for value in frozen.values())
    written = load_file(tmp_path / "sft" / WEIGHTS)
    assert len(frozen) == len(written), "one copy is enough"
    assert all(torch.equal(value, written[name.replace(".ref.", ".")]) for name, value in frozen.items())


@BOTH
@pytest.mark.parametrize("base", ["llama3", "gpt2"])
def test_what_trl_reads_are_the_log_probabilities_that_everything_else_reads(
    method: str, base: str, job_of: Callable[..., Job]
) -> None:
    """Prompts of several lengths are padded on their left for TRL, on their right for us: GPT-2 counts positions."""
    job = job_of(method, base)
    for at, each in enumerate(job.train.features):
        each["prompt_ids"] = each["prompt_ids"][: 4 + at % 5]
    trainer = trainer_of(job)
    for name, each in trainer.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(each, std=0.2, generator=torch.Generator().manual_seed(0))
    batch = scored_by(trainer, prompts_of(job)[:8])
    own, reference = trainer._old_and_reference(batch)
    reading = {"padding": job.base.formatter.pad_id(), "batch": 3, "temperature": 1.0}
    wanted = read_answers(trainer.model, trainer._rollouts, **reading)
    assert torch.allclose(own[0], wanted.log_probs, atol=1e-4)
    assert torch.allclose(own[1], wanted.entropies, atol=1e-4)
    with as_reference(trainer.model):
        assert torch.allclose(reference[0], read_answers(trainer.model, trainer._rollouts, **reading).log_probs, atol=1e-4)
    assert (own[0] - reference[0]).abs().max() > 0.01


@BOTH
def test_an_answer_is_worth_what_it_is_more_than_its_siblings(method: str, job_of: Callable[..., Job]) -> None:
    job = job_of(method, num_generations=4)
    trainer = trainer_of(job)
    rows = prompts_of(job)[:8]
    batch = scored_by(trainer, rows)
    scores = torch.tensor(job.scored.grade(trainer._rollouts, job.train.rows).totals).view(2, 4)
    assert [each.at for each in trainer._rollouts] == [rows[0]["at"]] * 4 + [rows[4]["at"]] * 4
    others = (scores.sum(1, keepdim=True) - scores) / 3
    worth = (
        scores - others if method == "rloo" else (scores - scores.mean(1, keepdim=True)) / (scores.std(1, keepdim=True) + 1e-4)
    )
    assert torch.allclose(batch["advantages"], worth.flatten(), atol=1e-4)


@BOTH
def test_4_answers_at_once_are_2_times_2(method: str, group: Run, tmp_path: Path) -> None:
    for name, batch, accumulate in (("whole", 4, 1), ("parts", 2, 2)):
        group(method, batch=batch, accumulate=accumulate, out=str(tmp_path / name), max_steps=1, update_epochs=1, warmup=0.0)
    whole, parts = (load_file(tmp_path / name / WEIGHTS) for name in ("whole", "parts"))
    assert all(torch.allclose(whole[name], parts[name], atol=5e-5) for name in whole)


@BOTH
@pytest.mark.parametrize(
    ("scored", "said"), [("same", "all 8 scores are 2.5"), ("by_prompt", "the answers to each prompt all score alike")]
)
def test_scores_that_are_all_alike_are_told_and_teach_nothing(
    method: str, scored: str, said: str, job_of: Callable[..., Job]
) -> None:
    job = job_of(method, scored=scored, kl=0.0, max_steps=1, score_clip=0.0)  # prompts are worth more than 10
    heard = with_ears(job)
    trainer = trainer_of(job)
    train(trainer)
    assert any(line.endswith("nothing to learn") and said in line for line in heard), heard
    assert not any(value.abs().max() > 0 for name, value in trainer.model.named_parameters() if "lora_B" in name)


@BOTH
def test_answers_that_did_not_end_can_be_left_out(method: str, job_of: Callable[..., Job]) -> None:
    job = job_of(method, mask_truncated=True, answer_tokens="1", kl=0.0, max_steps=1)
    heard = with_ears(job)
    trainer = trainer_of(job)
    train(trainer)
    assert any("no answer ended" in line for line in heard), heard
    assert not any(value.abs().max() > 0 for name, value in trainer.model.named_parameters() if "lora_B" in name)


@BOTH
def test_a_policy_that_runs_away_is_put_back_and_the_run_says_so(method: str, group: Run) -> None:
    trained, manifest = group(method, max_steps=12, epochs=40.0, learning_rate=0.05, kl=0.0, max_kl=2.0, warmup=0.0)
    assert manifest is not None
    assert "ran away from its reference" in trained.result["stopped_because"]
    assert trained.result["steps"] < 12
    assert trained.result["after"]["kl"]["value"] < 4.0


@BOTH
def test_a_loss_that_is_no_number_ends_it(method: str, group: Run, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"is nan|is inf|KL to the reference is") as caught:
        group(method, learning_rate=1e30, max_steps=6, epochs=40.0, warmup=0.0, save_every=1, max_kl=0.0)
    assert "--learning-rate" in caught.value.hint
    assert not (tmp_path / "out" / "assistant_adapter.json").exists()


@BOTH
def test_a_grader_that_gives_no_numbers_ends_it_before_anything_is_trained(method: str, group: Run, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nan"):
        group(method, scored="broken")
    assert not list((tmp_path / "out").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_generations": 1}, "2 answers or more"),
        ({"num_generations": 3}, "num_generations is 3 and rollouts 64"),
        ({"target_kl": 6.0}, "target_kl is for ppo"),
    ],
)
def test_settings_that_can_not_be_are_named(given: dict[str, Any], message: str) -> None:
    flags = {"base": "b", "data": ("d",), "out": "o", "grader": ("length:1-2",)} | given
    with pytest.raises(UsageError, match=message):
        read_config("grpo", None, flags)


def test_masking_is_for_groups_alone() -> None:
    with pytest.raises(UsageError, match="mask_truncated is for rloo, grpo, not for ppo"):
        read_config("ppo", None, {"base": "b", "data": ("d",), "out": "o", "grader": ("length:1-2",), "mask_truncated": True})
