"""What a run with scored answers says and does where it can't learn, or has strayed: cut scores, the leash, the first values."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from assistant.models.quiet import quiet
from finetune.config import TrainingConfig, read_config
from finetune.recipe import Job, prepare
from finetune.reinforcement.advantages import whiten
from finetune.reinforcement.experience import expected_at_first
from finetune.reinforcement.leash import distance
from finetune.reinforcement.rollouts import Rollout
from finetune.reinforcement.scored import Counting
from finetune.train import recipe_of
from indexes.errors import UsageError

ALL = pytest.mark.parametrize("method", ["ppo", "rloo", "grpo"])
SMALL: dict[str, Any] = {"answer_tokens": "4", "rollouts": 8, "measured": 2, "write_batch": 8, "max_steps": 1, "samples": 1}
PERCENT = "def percent(prompt, completion, row):\n    return 50 + 3.0 * len(set(completion))\n"


@pytest.fixture
def trainer_of(
    tiny: dict[str, Path], tmp_path: Path, prompts: tuple[str, ...], toy: Callable[[str], tuple[str, ...]]
) -> Callable[..., tuple[Any, Job, list[str]]]:
    """A trainer with its job, and all that it will have said."""

    def make(method: str, scored: str = "varied", **settings: Any) -> tuple[Any, Job, list[str]]:
        (tmp_path / "percent.py").write_text(PERCENT)
        grader = (f"{tmp_path / 'percent.py'}:percent",) if scored == "percent" else toy(scored)
        given = {
            "out": str(tmp_path / "job"),
            "device": "cpu",
            "batch": 4,
            "max_length": 128,
            "learning_rate": 1e-3,
            "warmup": 0.0,
        }
        config = TrainingConfig(method=method, base=str(tiny["llama3"]), data=prompts, grader=grader, **SMALL | given | settings)  # type: ignore[arg-type]
        said: list[str] = []
        job = prepare(config, recipe_of(config.method), resume=False, announce=said.append)
        with quiet():
            return recipe_of(config.method).make_trainer(job), job, said

    return make


def train(trainer: Any) -> None:
    with quiet():
        trainer.train()


def config_of(**settings: Any) -> TrainingConfig:
    return TrainingConfig("ppo", "b", ("d",), "o", **settings)


def answers(*ended: bool) -> list[Rollout]:
    return [Rollout(at, [1], [2] * (at + 1), each) for at, each in enumerate(ended)]


@ALL
def test_scores_that_are_all_cut_are_told_with_what_mends_it(method: str, trainer_of: Callable[..., Any]) -> None:
    trainer, job, said = trainer_of(method, "percent", max_steps=2, epochs=9.0)
    train(trainer)
    (told,) = (line for line in said if "score_clip" in line)
    assert told.startswith("step 0: score_clip 10 cuts 8 of 8 scores (5")
    assert told.endswith("): raise score_clip, or set it to 0")
    assert sum("all 8 scores count as 10: nothing to learn" in line for line in said) == 2
    if method != "ppo":
        assert [value for _, value in job.run.metrics()["groups_alike"]] == [1.0, 1.0]


def test_cut_scores_are_told_from_a_tenth_on_and_again_where_it_gets_worse() -> None:
    said: list[str] = []
    job: Any = SimpleNamespace(config=config_of(score_clip=10.0, missing_end_penalty=5.0), announce=said.append)
    counting = Counting(job)
    written = answers(*[True] * 9, False)
    for step, cut in enumerate((1, 2, 3, 5, 6, 10, 10)):
        scores = torch.tensor([20.0] * cut + [1.0] * (10 - cut))
        assert counting(scores, written, step).tolist() == [10.0] * cut + [1.0] * (9 - cut) + ([-4.0] if cut < 10 else [])
    assert [line.partition(":")[0] for line in said] == ["step 1", "step 3", "step 5"]
    assert said[0] == "step 1: score_clip 10 cuts 2 of 10 scores (20 to 20): raise score_clip, or set it to 0"
    assert "cuts 10 of 10 scores (15 to 20)" in said[2]


def test_the_value_begins_at_what_answers_count_for(trainer_of: Callable[..., Any]) -> None:
    scores = torch.tensor([-10.0, 1.0, 10.0])
    assert expected_at_first(config_of(), answers(True, True, True), scores) == pytest.approx(1 / 3)
    rewards, mask = torch.tensor([[-10.0, 0, 0], [0, 1.0, 0], [0, 0, 10.0]]), torch.ones(3, 3).tril()
    whitened = float(whiten(rewards, mask, shift=False).sum(1).mean())
    assert expected_at_first(config_of(whiten_rewards=True), answers(True, True, True), scores) == pytest.approx(whitened)
    trainer, job, _ = trainer_of("ppo", "same", missing_end_penalty=20.0, score_clip=12.0)
    train(trainer)
    unended = 1 - job.run.metrics()["ended"][0][1]
    assert unended > 0
    assert float(trainer._head.out.bias.detach()) == pytest.approx(2.5 - unended * 14.5, abs=0.1)  # 2.5 − 20 is cut to −12


@ALL
def test_what_the_last_step_learned_is_looked_at_too(method: str, trainer_of: Callable[..., Any]) -> None:
    away = {"learning_rate": 0.5, "update_kl": 0.0, "clip_ratio": 9.0, "update_epochs": 4, "max_kl": 1.0}
    trainer, job, said = trainer_of(method, **away)
    train(trainer)
    assert "ran away from its reference at step 1" in trainer.stopped_because
    assert trainer.stopped_because in said
    assert not any(value.abs().max() > 0 for name, value in trainer.model.named_parameters() if "lora_B" in name)
    assert not list(job.run.folder.rglob("checkpoint-1"))
    lines = (job.run.folder / "answers.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1]


def test_the_leash_holds_answers_that_nothing_is_learned_from(trainer_of: Callable[..., Any], tmp_path: Path) -> None:
    found = []
    for masked in (True, False):
        trainer, job, _ = trainer_of("rloo", mask_truncated=masked, max_kl=0.0, out=str(tmp_path / f"masked-{masked}"))
        for name, each in trainer.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(each, std=0.2, generator=torch.Generator().manual_seed(0))
        train(trainer)
        found.append(job.run.metrics()["kl"][0][1])
        assert job.run.metrics()["ended"][0][1] < 1
    assert found[0] == pytest.approx(found[1], abs=1e-3)
    assert found[0] > 0.05
    assert distance(job, trainer.model, trainer._rollouts) > 0


def test_a_step_without_an_update_is_told(trainer_of: Callable[..., Any]) -> None:
    trainer, job, said = trainer_of("ppo", update_kl=1e-4)
    for layer in trainer.model.modules():
        if hasattr(layer, "attention_dropout"):
            layer.attention_dropout = 0.5
    train(trainer)
    assert job.run.metrics()["updates"][0][1] == 0
    assert any("step 0: nothing was learned" in line and "update_kl is 0.0001" in line for line in said), said


def test_a_coefficient_that_could_not_be_steered_is_a_fault() -> None:
    given = {"base": "b", "data": ["d"], "out": "o", "grader": ["format"], "target_kl": 6.0}
    with pytest.raises(UsageError) as caught:
        read_config("ppo", None, given | {"kl": 0.0, "kl_gain": 5.0})
    assert "target_kl is 6.0 and kl 0" in caught.value.message
    assert "kl_gain is 5.0: it must be below 5" in caught.value.message
    assert read_config("ppo", None, given | {"kl_gain": 4.9}).kl_gain == 4.9
