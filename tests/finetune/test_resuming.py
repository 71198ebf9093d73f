"""A run is gone on with as it was begun: with the same graders and first adapter, from a whole checkpoint, to the same end."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy_graders import GRADERS
from training_rows import Run

from assistant.adapters.manifest import FILE, WEIGHTS
from finetune.checkpoints import last_checkpoint
from finetune.cli import run as run_line
from finetune.config import TrainingConfig
from finetune.errors import TrainingError
from finetune.reinforcement.ppo_state import CONTROL, GOOD, VALUE_HEAD
from finetune.resuming import in_names_of, other_hashes

SMALL: dict[str, Any] = {"answer_tokens": "6", "rollouts": 4, "measured": 2, "write_batch": 4, "max_steps": 2, "epochs": 9.0,
                         "update_epochs": 1, "save_every": 1, "samples": 1, "schedule": "constant", "warmup": 0.0}  # fmt: skip
Command = Callable[..., list[str]]


@pytest.fixture
def ppo(run: Run, toy: Callable[[str], tuple[str, ...]], prompts: tuple[str, ...]) -> Run:
    def go(**settings: Any) -> Any:
        return run("ppo", **{"data": prompts, "kind": "pairs", "grader": toy("vowels")} | SMALL | settings)

    return go


@pytest.fixture
def command(tiny: dict[str, Path], prompts: tuple[str, ...], toy: Callable[[str], tuple[str, ...]], tmp_path: Path) -> Command:
    settings = SMALL | {"max_length": 128, "batch": 4, "samples": 2}
    (tmp_path / "c.toml").write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))

    def line(method: str, out: str, *more: str) -> list[str]:
        given = {"base": tiny["llama3"], "data": prompts[0], "grader": toy("vowels")[0], "device": "cpu"}
        given |= {"config": tmp_path / "c.toml", "out": tmp_path / out}
        return [method, *(part for name, value in given.items() for part in (f"--{name}", str(value))), *more]

    return line


def begun_again(out: Path) -> None:
    """As if it had been stopped."""
    (out / "assistant_adapter.json").unlink()


def test_another_grader_or_first_adapter_of_the_same_name_is_refused(ppo: Run, run: Run, tmp_path: Path) -> None:
    run("sft", out=str(tmp_path / "sft"), max_steps=1)
    (tmp_path / "held.py").write_text("def f(prompt, completion, row):\n    return len(completion) / 2\n")
    given: dict[str, Any] = {"init_adapter": str(tmp_path / "sft"), "eval_grader": (f"{tmp_path / 'held.py'}:f",)}
    trained, _ = ppo(**given)
    assert set(trained.run.record["made_of"]) == {"init_adapter", *(f"grader {tmp_path / name}" for name in
                                                  ("graders.py:vowels", "held.py:f"))}  # fmt: skip
    begun_again(tmp_path / "out")
    described = (tmp_path / "sft" / FILE).read_text()
    weights = str(json.loads(described)["weights_hash"])
    (tmp_path / "sft" / FILE).write_text(described.replace(weights, weights[::-1]))  # as another training would have said
    with pytest.raises(TrainingError, match=r"^the inputs changed since this run began: init_adapter was '\w{12}' and is now"):
        ppo(resume=True, max_steps=3, **given)
    (tmp_path / "sft" / FILE).write_text(described)
    for name, text in (("graders.py:vowels", GRADERS), ("held.py:f", (tmp_path / "held.py").read_text())):
        file = tmp_path / name.partition(":")[0]
        file.write_text(text + "# changed\n")
        with pytest.raises(TrainingError, match=f"^the inputs changed since this run began: grader {tmp_path / name} was '"):
            ppo(resume=True, max_steps=3, **given)
        file.write_text(text)
    record = tmp_path / "out" / "run" / "run.json"
    older = json.loads(record.read_text())
    del older["made_of"]
    record.write_text(json.dumps(older))
    (tmp_path / "graders.py").write_text(GRADERS + "# changed\n")
    resumed, _ = ppo(resume=True, max_steps=3, **given)
    assert resumed.result["steps"] == 3
    assert len(resumed.run.record["made_of"]) == 3


def test_a_state_with_any_damaged_file_is_passed_over(ppo: Run, tmp_path: Path) -> None:
    straight, _ = ppo()
    rewards, weights = straight.run.metrics()["reward"], (tmp_path / "out" / WEIGHTS).read_bytes()
    begun_again(tmp_path / "out")
    checkpoints = tmp_path / "out" / "run" / "checkpoints"
    for name in (CONTROL, VALUE_HEAD, GOOD):
        whole = (checkpoints / "checkpoint-2" / name).read_bytes()
        for cut in (0, 5, len(whole) - 1):
            (checkpoints / "checkpoint-2" / name).write_bytes(whole[:cut])
            last = last_checkpoint(checkpoints)
            assert last is not None
            assert last.name == "checkpoint-1", (name, cut)
        if name != GOOD:
            (checkpoints / "checkpoint-2" / name).write_bytes(whole)
    resumed, _ = ppo(resume=True)
    assert resumed.run.metrics()["reward"] == rewards
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == weights


@pytest.mark.parametrize("method", ["ppo", "grpo"])
def test_answers_are_those_of_the_straight_run_though_it_was_stopped_in_its_last_step(
    method: str, command: Command, tmp_path: Path, at_step: Callable[[int, Callable[[], object]], None]
) -> None:
    more = () if method == "ppo" else ("--num-generations", "2")
    assert run_line(command(method, "whole", *more)) == 0
    at_step(2, lambda: signal.raise_signal(signal.SIGINT))
    assert run_line(command(method, "cut", *more)) == 130
    assert run_line(command(method, "cut", *more, "--resume")) == 0
    whole, cut = ((tmp_path / name / "run" / "answers.jsonl").read_bytes() for name in ("whole", "cut"))
    assert cut == whole
    assert [json.loads(line)["step"] for line in whole.splitlines()] == [0, 0, 1, 1, 2, 2]


def test_each_grader_has_a_hash_of_its_own(run: Run, rows: Callable[..., Path], tiny: dict[str, Path], tmp_path: Path) -> None:
    run("reward", kind="classes", out=str(tmp_path / "good"), data=(str(rows("classes")),), max_steps=1)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "g.py").write_text(f"def f(prompt, completion, row):\n    return {ord(name)}\n")
    adapter, files = f"classifier:{tmp_path / 'good'}:good", [f"{tmp_path / name / 'g.py'}:f" for name in ("a", "b")]
    plain = f"probability:{tiny['llama3']}:good"
    config = TrainingConfig(
        "ppo", str(tiny["llama3"]), ("d",), "o", grader=(adapter, f"{files[0]}*0.5"), eval_grader=(files[1], plain, "length:1-5")
    )
    faults: list[str] = []
    found = other_hashes(config, (), faults)
    assert (set(found), faults) == ({f"grader {each}" for each in (adapter, *files, plain)}, [])
    assert len(set(found.values())) == 4
    assert set(other_hashes(config, [str(tmp_path / "good")], faults)) == {f"grader {each}" for each in (*files, plain)}


def test_records_of_older_versions_are_compared_by_the_names_that_they_have() -> None:
    now = {"init_adapter": "1", "grader a/g.py:f": "2", "grader classifier:m:good": "3"}
    assert in_names_of({"init_adapter": "1", "grader g.py": "2"}, now) == {"init_adapter": "1", "grader g.py": "2"}
    assert in_names_of({"grader g.py": "9"}, now) == {"init_adapter": "1"}
    assert in_names_of(now, now) == now
