"""Trainings that learn from scores, given bad graders, bad bases and bad rows: said in two lines, and nothing is lost."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_graders import write_prompts
from training_rows import Run
from transformers import AutoModelForCausalLM

from assistant.errors import CheckFailed
from assistant.models.quiet import quiet
from finetune.cli import run as run_line
from finetune.config import read_config
from indexes.errors import UsageError

SMALL = "--rollouts 8 --answer-tokens 6 --batch 4 --max-length 128 --device cpu --samples 1 --max-steps 1"
Told = tuple[int, str]
Line = Callable[..., Told]


@pytest.fixture
def line(tiny: dict[str, Path], prompts: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Line:
    """Run a command line in this process: its exit code, and what it said on standard error."""

    def go(method: str, grader: str, *more: str, base: str = "llama3", data: str = prompts[0]) -> Told:
        given = ["--base", str(tiny.get(base, base)), "--data", data, "--grader", grader, "--out", str(tmp_path / "out")]
        code = run_line([method, *given, *SMALL.split(), *more])
        return code, capsys.readouterr().err

    return go


@pytest.fixture
def answered(tmp_path: Path) -> str:
    return str(write_prompts(tmp_path, answered=True))


@pytest.mark.parametrize("method", ["ppo", "rloo", "grpo"])
def test_a_grader_that_an_attack_beats_is_refused_before_anything_is_made(
    method: str, line: Line, toy: Callable[[str], tuple[str, ...]], answered: str, tmp_path: Path
) -> None:
    code, said = line(method, *toy("letters"), data=answered)
    *_, error, hint = said.splitlines()
    assert code == CheckFailed.exit_code
    assert "is refused: endless repetition scores " in error
    assert "and the median reference answer" in error
    assert hint.endswith("train on it all the same with --force")
    assert not (tmp_path / "out").exists()


def test_with_force_it_is_learned_from_and_the_records_and_the_report_say_so(
    line: Line, toy: Callable[[str], tuple[str, ...]], answered: str, tmp_path: Path
) -> None:
    code, said = line("ppo", *toy("letters"), "--force", data=answered)
    assert code == 0
    assert "trained on all the same (--force), though the grader" in said
    found = json.loads((tmp_path / "out" / "run" / "grader.json").read_bytes())
    assert (found["refused"], found["forced"], found["rows"]) == (True, True, 40)
    assert {"empty", "praise", "endless repetition"} <= {each["name"] for each in found["findings"]}
    page = (tmp_path / "out" / "run" / "report.html").read_text()
    assert "It learned from a grader that can&#x27;t be trusted" in page
    assert "reaches the references" in page


def test_a_grader_that_stands_is_told_and_a_resumed_run_does_not_try_it_again(
    line: Line, toy: Callable[[str], tuple[str, ...]], answered: str, tmp_path: Path
) -> None:
    code, said = line("rloo", *toy("like_the_reference"), data=answered)
    assert (code, "no attack on the grader reaches the median of 40 reference answers" in said) == (0, True)
    found = (tmp_path / "out" / "run" / "grader.json").read_bytes()
    assert not json.loads(found)["refused"]
    (tmp_path / "out" / "assistant_adapter.json").unlink()
    code, said = line("rloo", *toy("like_the_reference"), "--resume", data=answered)
    assert (code, "attack" in said) == (0, False)
    assert (tmp_path / "out" / "run" / "grader.json").read_bytes() == found


def test_data_without_answers_is_told_in_one_line(line: Line, toy: Callable[[str], tuple[str, ...]], tmp_path: Path) -> None:
    code, said = line("ppo", *toy("letters"))
    assert code == 0
    assert said.count("the data has no answers of its own") == 1
    assert json.loads((tmp_path / "out" / "run" / "grader.json").read_bytes())["rows"] == 0


@pytest.mark.parametrize("method", ["ppo", "grpo"])
@pytest.mark.parametrize(
    ("grader", "code", "message", "advice"),
    [
        ("raising", 6, "raised ValueError: no such word", "a grader gives a finite number for any answer"),
        ("broken", 6, "gave nan for the answer", "give a finite number"),
        ("hanging", 6, "took more than 1 s for", "--grader-timeout"),
        ("drawn", 7, "scored twice differs by", "with no chance in it"),
    ],
)
def test_bad_graders_end_it_in_two_lines_and_leave_nothing(
    method: str, grader: str, code: int, message: str, advice: str, line: Line, toy: Callable[[str], tuple[str, ...]],
    tmp_path: Path,
) -> None:  # fmt: skip
    found, said = line(method, *toy(grader), "--grader-timeout", "1")
    *_, error, hint = said.splitlines()
    assert (found, error.startswith("error: "), hint.startswith("hint: ")) == (code, True, True)
    assert message in error
    assert advice in hint
    assert not (tmp_path / "out").exists()


def test_two_graders_stand_side_by_side_in_the_result_and_the_report(
    run: Run, toy: Callable[[str], tuple[str, ...]], prompts: tuple[str, ...], tmp_path: Path
) -> None:
    trained, _ = run("ppo", kind="pairs", data=prompts, grader=toy("letters"), eval_grader=(*toy("varied"), "format*2"),
                     answer_tokens="6", rollouts=16, eval_share=0.3, max_steps=2, learning_rate=5e-3)  # fmt: skip
    learned, held_out = trained.result["graders"]
    assert [each["role"] for each in (learned, held_out)] == ["learned from", "held out"]
    assert held_out["name"].endswith("graders.py:varied + 2 × format")
    for each, figure in ((learned, "reward"), (held_out, "eval_reward")):
        assert each["n"] == 12
        assert each["before"]["mean"] == pytest.approx(trained.result["before"][figure]["value"])
        assert each["after"]["median"] == pytest.approx(trained.result["after"][f"median_{figure}"]["value"])
        assert each["change"]["mean"] == trained.result["change"][figure]
        gap = each["after"]["median"] - each["before"]["median"]
        assert each["change"]["median"]["low"] <= each["change"]["median"]["value"] == pytest.approx(gap)
    assert {"distinct_2", "kl", "length", "reference_perplexity"} <= set(trained.result["after"])
    page = (tmp_path / "out" / "run" / "report.html").read_text()
    assert "graders.py:letters (learned from)" in page
    assert "varied + 2 × format (held out)" in page


@pytest.mark.parametrize("method", ["ppo", "rloo"])
def test_a_policy_that_says_nothing_is_noticed(
    method: str, tiny: dict[str, Path], line: Line, toy: Callable[[str], tuple[str, ...]], tmp_path: Path
) -> None:
    base = shutil.copytree(tiny["llama3"], tmp_path / "mute")
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(base)
        with torch.no_grad():  # all hidden states are alike, and after them the end is certain
            model.model.embed_tokens.weight[:, 0] = 10.0
            for layer in model.model.layers:
                layer.self_attn.o_proj.weight.zero_()
                layer.mlp.down_proj.weight.zero_()
            model.lm_head.weight[model.config.eos_token_id] = torch.eye(64)[0] * 50
        model.save_pretrained(base)
    code, said = line(method, *toy("letters"), base=str(base))
    assert code == 0
    assert "step 0: all 8 answers are empty: the policy ends before its first word" in said
    assert "all 8 scores are 0: nothing to learn" in said
    page = (tmp_path / "out" / "run" / "report.html").read_text()
    assert "In 1 of 1 steps all answers scored alike" in page
    assert "In the last step 100% of the answers were empty." in page


def test_a_reward_model_of_another_tokenizer_reads_text(
    line: Line, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run("reward", "gpt2", out=str(tmp_path / "scores"), max_steps=1)
    code, said = line("ppo", str(tmp_path / "scores"))
    assert code == 0
    assert "scores has another tokenizer or template: it reads what is written as text, and encodes it again" in said


def test_prompts_that_are_all_measured_on_leave_nothing_to_learn_from(
    line: Line, prompts: tuple[str, ...], toy: Callable[[str], tuple[str, ...]], tmp_path: Path
) -> None:
    code, said = line("ppo", *toy("letters"), "--eval-data", prompts[0])
    assert code == 6
    assert "40 prompts are among those to measure on, and are not learned from" in said
    assert "error: 0 rows are left to train on" in said


@pytest.mark.parametrize("given", [{}, {"grader": ()}, {"grader": []}, {"grader": ""}])
@pytest.mark.parametrize("method", ["ppo", "rloo", "grpo"])
def test_a_method_that_learns_from_scores_needs_a_grader(method: Any, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="grader is missing"):
        read_config(method, None, {"base": "m", "data": ["d"], "out": "o"} | given)


@pytest.mark.parametrize(("more", "told"), [((), "unknown: give the data with --data"), (("--data",), "1 steps of 64 answers")])
def test_a_plan_needs_neither_data_nor_grader(
    more: tuple[str, ...], told: str, tiny: dict[str, Path], prompts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(["plan", "--base", str(tiny["llama3"]), "--method", "ppo", *more, *(prompts if more else ())]) == 0
    assert told in capsys.readouterr().out
