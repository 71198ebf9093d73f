"""Pipelines: every fault before anything runs, three real stages, and going on after stops as if there had been none."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from training_rows import rows_of

from assistant.adapters.manifest import FILE, WEIGHTS, read_manifest
from finetune import cli
from finetune.commands import pipeline as command
from finetune.config import DEFAULTS
from finetune.errors import TrainingError
from finetune.stages.pipeline import plan, run_pipeline
from finetune.stages.stages import read_pipeline
from indexes.embedding import INSTALLED
from indexes.errors import UsageError

SHARED: dict[str, Any] = {
    "out": "out",
    "device": "cpu",
    "batch": 4,
    "max_length": 256,
    "samples": 0,
    "max_steps": 3,
    "learning_rate": 1e-3,
    "save_every": 1,
}
SFT: dict[str, Any] = {"method": "sft", "data": "sft.jsonl"}
REWARD: dict[str, Any] = {"method": "reward", "data": "pairs.jsonl"}
PPO: dict[str, Any] = {"method": "ppo", "data": "prompts.jsonl", "answer_tokens": "6", "rollouts": 8, "measured": 4}
MORE: dict[str, Any] = {"method": "sft", "name": "more", "data": "sft.jsonl"}
ORPO: dict[str, Any] = {"method": "orpo", "data": "pairs.jsonl"}
NAMES = ("sft", "reward", "ppo")

Write = Callable[..., Path]


def write_recipe(folder: Path, base: Path, *stages: Mapping[str, Any], **shared: Any) -> Path:
    """A recipe beside its rows, with relative paths."""
    folder.mkdir(exist_ok=True)
    if not (folder / "sft.jsonl").exists():
        for kind in ("sft", "pairs", "classes"):
            (folder / f"{kind}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_of(kind)))
        prompts = "".join(json.dumps({"prompt": f"How high is hut {at}?"}) + "\n" for at in range(24))
        (folder / "prompts.jsonl").write_text(prompts)
    lines = ["[pipeline]", *_lines({"base": str(base)} | SHARED | shared)]
    for stage in stages:
        lines += ["[[stage]]", *_lines(stage)]
    (folder / "recipe.toml").write_text("\n".join(lines) + "\n")
    return folder / "recipe.toml"


def _lines(table: Mapping[str, Any]) -> list[str]:
    return [f"{name} = {json.dumps(value)}" for name, value in table.items()]


def weights(out: Path, names: tuple[str, ...] = NAMES) -> list[bytes]:
    return [(out / name / WEIGHTS).read_bytes() for name in names]


@pytest.fixture
def write(tmp_path: Path, tiny: dict[str, Path]) -> Write:
    return lambda *stages, **shared: write_recipe(tmp_path, tiny["llama3"], *stages, **shared)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, tiny: dict[str, Path]) -> Path:
    """A folder with a recipe of three stages, and what came of it."""
    file = write_recipe(tmp_path_factory.mktemp("straight") / "p", tiny["llama3"], SFT, REWARD, PPO)
    assert run_pipeline(read_pipeline(file)).stopped is None
    return file.parent


# running


def test_each_stage_is_made_of_those_before_it(straight: Path) -> None:
    out = straight / "out"
    sft, reward, ppo = (read_manifest(out / name) for name in NAMES)
    assert (sft.method, reward.role, ppo.method, ppo.parents) == ("sft", "reward", "ppo", (sft.weights_hash,))
    config = json.loads((out / "ppo" / "run" / "run.json").read_text())["config"]
    assert (config["init_adapter"], config["grader"]) == (str(out / "sft"), [str(out / "reward")])
    document = json.loads((out / "pipeline.json").read_text())
    assert [(stage["name"], stage["state"]) for stage in document["stages"]] == [(name, "done") for name in NAMES]
    last = document["stages"][-1]
    assert last["parents"] == {"sft": sft.weights_hash, "reward": reward.weights_hash}
    assert last["weights_hash"] == ppo.weights_hash
    page = (out / "report.html").read_text()
    assert "<script" not in page
    for name in NAMES:
        assert f'href="{name}/run/report.html"' in page
        assert (out / name / "run" / "report.html").is_file()


def test_a_second_run_trains_nothing_and_says_the_same(straight: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in (straight / "out").rglob(f"*/{FILE}")}
    assert cli.run(["pipeline", str(straight / "recipe.toml")]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    said = capsys.readouterr()
    assert [line.split()[:3] for line in said.out.splitlines()[1:4]] == [[name, name, "3"] for name in NAMES]
    assert f"--adapter {straight / 'out' / 'ppo'} --baseline {straight / 'out' / 'sft'}" in said.out
    assert said.err.splitlines() == [f"{name}: it is done" for name in NAMES]


def test_a_moved_folder_is_still_done(straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight, tmp_path / "moved")
    assert set(plan(read_pipeline(tmp_path / "moved" / "recipe.toml")).values()) == {"done"}


def test_stopped_between_and_within_stages_it_ends_as_the_straight_one(
    straight: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = write(SFT, REWARD, PPO), tmp_path / "out"

    def stop_at(line: str) -> None:
        monkeypatch.setattr(command, "announce", lambda said: os.kill(os.getpid(), signal.SIGINT) if line in said else None)

    stop_at("sft: step 1 of 3, held-out")  # heard after the step that follows, with a checkpoint
    assert cli.run(["pipeline", str(file)]) == 130
    assert f"stopped in stage 'sft' at step 2; go on with: finetune pipeline {file}" in capsys.readouterr().err
    assert not (out / "sft" / FILE).exists()
    stop_at("reward: reward")  # between two
    assert cli.run(["pipeline", str(file)]) == 130
    assert f"stopped; go on with: finetune pipeline {file}" in capsys.readouterr().err
    assert plan(read_pipeline(file)) == {"sft": "done", "reward": "new", "ppo": "new"}
    (out / "reward" / "run").mkdir(parents=True, exist_ok=True)  # killed as it began
    stop_at("no line")
    assert cli.run(["pipeline", str(file)]) == 0
    assert weights(out) == weights(straight / "out")


def test_a_kill_at_any_place_can_be_gone_on_from(straight: Path, write: Write, tmp_path: Path) -> None:
    file, out = write(SFT, REWARD), tmp_path / "out"
    shutil.copytree(straight / "out" / "sft", out / "sft")  # what is known of it was lost
    with pytest.raises(TrainingError, match=r"holds something that pipeline\.json doesn't know") as caught:
        run_pipeline(read_pipeline(file))
    assert caught.value.hint.endswith(f"finetune pipeline {file} --from sft")
    shutil.copy(straight / "out" / "pipeline.json", out)
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom finetune.stages.pipeline import run_pipeline\n"
        "from finetune.stages.stages import read_pipeline\n"
        "file, last = Path(sys.argv[1]), sys.argv[2]\n"
        "run_pipeline(read_pipeline(file), announce=lambda line: os.kill(os.getpid(), 9) if last in line else None)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(file), "reward: step 2 of 3, held-out"], capture_output=True)
    assert killed.returncode == -9, killed.stderr
    assert plan(read_pipeline(file)) == {"sft": "done", "reward": "begun"}
    (out / "reward" / "run" / ".run.json.draft").write_text("{")
    run_pipeline(read_pipeline(file))
    assert weights(out, NAMES[:2]) == weights(straight / "out", NAMES[:2])


def test_a_kill_before_the_last_page_is_gone_on_from(straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight, tmp_path / "p")
    out, file = tmp_path / "p" / "out", tmp_path / "p" / "recipe.toml"
    shutil.rmtree(out / "reward")
    shutil.rmtree(out / "ppo")
    write_recipe(tmp_path / "p", Path(read_pipeline(file).stages[0].config.base), SFT)
    (out / "sft" / "run" / "result.json").unlink()
    assert plan(read_pipeline(file)) == {"sft": "begun"}
    run_pipeline(read_pipeline(file))
    assert weights(out, ("sft",)) == weights(straight / "out", ("sft",))
    document = json.loads((out / "pipeline.json").read_text())
    assert [[stage["name"] for stage in document[part]] for part in ("stages", "others")] == [["sft"], ["reward", "ppo"]]


# what has changed


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        (
            (SFT | {"rank": 4}, REWARD, PPO),
            "'sft' changed since it was trained: rank was 16 and is now 4; stage 'ppo' changed.*'sft'",
        ),
        (
            (SFT, REWARD | {"seed": 3}, PPO),
            "'reward' changed since it was trained: seed was 0 and is now 3; stage 'ppo'.*'reward'",
        ),
        ((SFT, REWARD, PPO | {"grader": "@reward*2"}), r"^stage 'ppo' changed since it was trained: grader was \[\"@reward\"\]"),
        ((SFT, REWARD, PPO | {"init_adapter": ""}), "^stage 'ppo' changed since it was trained: init_adapter was \"@sft\""),
        ((SFT | {"data": "sft2.jsonl"}, REWARD, PPO), "^stage 'sft' changed since it was trained: data changed"),
    ],
)
def test_what_changed_and_what_is_made_of_it_is_refused(
    straight: Path, tmp_path: Path, stages: tuple[dict[str, Any], ...], said: str
) -> None:
    shutil.copytree(straight, tmp_path / "p")
    (tmp_path / "p" / "sft2.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_of("sft", 20)))
    base = Path(read_pipeline(straight / "recipe.toml").stages[0].config.base)
    file = write_recipe(tmp_path / "p", base, *stages)
    with pytest.raises(TrainingError, match=said) as caught:
        plan(read_pipeline(file))
    first = caught.value.hint.rpartition("--from ")[2]
    states = plan(read_pipeline(file), start=first)
    assert states[first] == states["ppo"] == "again"
    assert states["reward" if first == "sft" else "sft"] == "done"


def test_settings_that_change_no_weights_may_be_others(straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight, tmp_path / "p")
    base = Path(read_pipeline(straight / "recipe.toml").stages[0].config.base)
    file = write_recipe(tmp_path / "p", base, SFT, REWARD, PPO, log_every=1, samples=2)
    assert set(plan(read_pipeline(file)).values()) == {"done"}
    records = json.loads((tmp_path / "p" / "out" / "pipeline.json").read_text())
    del records["stages"][0]["settings"]["rslora"]  # an older version's
    (tmp_path / "p" / "out" / "pipeline.json").write_text(json.dumps(records))
    assert set(plan(read_pipeline(file)).values()) == {"done"}
    file = write_recipe(tmp_path / "p", base, SFT, REWARD, PPO | {"grader_timeout": 60.0, "force": True})
    assert set(plan(read_pipeline(file)).values()) == {"done"}
    file = write_recipe(tmp_path / "p", base, SFT, REWARD, PPO | {"write_batch": 3})  # by which answers are drawn
    with pytest.raises(TrainingError, match=r"^stage 'ppo' changed since it was trained: write_batch was 32 and is now 3$"):
        plan(read_pipeline(file))
    (tmp_path / "p" / "out" / "ppo" / FILE).unlink()
    every = {name: DEFAULTS[name] for name in ("track", "device")} | {"grader_timeout": 9.0, "force": True, "max_steps": 4}
    assert plan(read_pipeline(write_recipe(tmp_path / "p", base, SFT, REWARD, PPO | every)))["ppo"] == "begun"
    file = write_recipe(tmp_path / "p", base, SFT, REWARD, PPO, kl=0.2)  # for those with rollouts
    with pytest.raises(TrainingError, match=r"^stage 'ppo' changed since it was trained: kl was 0\.05 and is now 0\.2$"):
        plan(read_pipeline(file))


def test_from_trains_again_and_keeps_what_was_there(write: Write, tmp_path: Path) -> None:
    small = {"max_steps": 1, "eval_share": 0.0}
    out = tmp_path / "out"
    run_pipeline(read_pipeline(write(SFT, MORE, **small)))
    before = weights(out, ("sft", "more"))
    file = write(SFT | {"seed": 5}, MORE, **small)
    lines: list[str] = []

    def interrupted(line: str) -> None:
        lines.append(line)
        if line == "more: sft":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(read_pipeline(file), start="sft", announce=interrupted)
    assert plan(read_pipeline(file)) == {"sft": "done", "more": "new"}  # and goes on without --from
    run_pipeline(read_pipeline(file))
    assert weights(out / "earlier", ("sft-1", "more-1")) == before
    assert all(old != new for old, new in zip(before, weights(out, ("sft", "more")), strict=True))
    with pytest.raises(UsageError, match="there is no stage 'dpo'"):
        plan(read_pipeline(file), start="dpo")


def test_weights_that_were_tampered_with_are_noticed(straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight, tmp_path / "p")
    with (tmp_path / "p" / "out" / "reward" / WEIGHTS).open("ab") as stream:
        stream.write(b"0")
    with pytest.raises(TrainingError, match=r"'reward' changed.*its weights are no longer those that were saved; stage 'ppo'"):
        plan(read_pipeline(tmp_path / "p" / "recipe.toml"))


def test_damaged_records_and_a_second_process_are_refused(straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight, tmp_path / "p")
    pipeline = read_pipeline(tmp_path / "p" / "recipe.toml")
    with FileLock(tmp_path / "p" / "out" / ".lock"), pytest.raises(TrainingError, match="another process trains"):
        run_pipeline(pipeline)
    for content in ("{", "[]", '{"schema": 9}', '{"schema": 1, "stages": [{"name": "sft"}], "others": []}'):
        (tmp_path / "p" / "out" / "pipeline.json").write_text(content)
        with pytest.raises(TrainingError, match=r"can't read '.*pipeline\.json'"):
            run_pipeline(pipeline)


def test_a_stage_that_fails_is_named(write: Write, tmp_path: Path) -> None:
    file = write(PPO | {"grader": "g.py:f"})
    (tmp_path / "g.py").write_text("def f(prompt, completion, row):\n    return float('nan')\n")
    with pytest.raises(TrainingError, match=r"^stage 'ppo': .*nan") as caught:
        run_pipeline(read_pipeline(file))
    assert caught.value.hint.endswith(f"finetune pipeline {file}")  # it was refused before anything was made
    (tmp_path / "g.py").write_text("def f(prompt, completion, row):\n    return 1.0 if 'an AI' in completion else float('nan')\n")
    with pytest.raises(TrainingError, match=r"^stage 'ppo': .*nan") as caught:
        run_pipeline(read_pipeline(file))
    assert caught.value.hint.endswith(f"finetune pipeline {file} (with other settings of it: --from ppo)")


# faults


def faults_of(file: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_pipeline(file)
    return caught.value.message


def test_all_faults_of_all_stages_are_said_at_once(write: Write, tmp_path: Path) -> None:
    stages = (
        SFT | {"data": "gone.jsonl", "lerning_rate": 1.0, "rank": 0},
        {"method": "rewrad", "name": "a/b"},
        REWARD | {"name": "SFT", "out": "elsewhere", "batch": "many"},
        PPO | {"init_adapter": "@sfft", "grader": ["@later", "no.py:f"], "top_p": 2.0},
        ORPO | {"name": "later", "init_adapter": "@reward", "data": "sft.jsonl"},
    )
    said = faults_of(write(*stages, bse="x", name="y"))
    for part in (
        "[pipeline]: there is no setting 'bse' (did you mean 'base'?)",
        "[pipeline]: name is for a [[stage]] to say",
        "stage 1 ('sft'): there is no setting 'lerning_rate' (did you mean 'learning_rate'?)",
        "rank is 0: it must be above 0",
        "gone.jsonl:1: is not there",
        "stage 2 ('a/b'): name is 'a/b'",
        "method is 'rewrad': it must be one of sft, orpo, dpo, kto, reward",
        "(did you mean 'reward'?)",
        "stage 3 ('SFT'): an earlier stage is called 'SFT' too",
        "stage 3 ('SFT'): out is the pipeline's to say",
        "batch is 'many': it must be a whole number",
        "init_adapter is '@sfft', and there is no stage 'sfft' (did you mean '@sft'?)",
        "grader is '@later', and that stage isn't trained before this one",
        f"there is no '{tmp_path / 'no.py'}', which a grader names",
        "orpo can't learn from 24 rows of the kind conversation",
    ):
        assert part in said, part
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ((), "there is no [[stage]]"),
        ((PPO,), "grader is missing"),
        ((SFT, PPO | {"grader": "@sft"}), "that stage writes (sft); a grader is a reward stage"),
        ((REWARD, SFT | {"init_adapter": "@reward"}), "that stage scores, and what writes begins with a writer"),
        ((SFT, REWARD | {"init_adapter": "@previous"}), "reward begins with the base"),
        ((SFT | {"init_adapter": "@previous"},), "no earlier stage writes on this base"),
        ((SFT | {"init_adapter": "nowhere"},), "there is no folder"),
        ((SFT | {"name": ""},), "name is ''"),
        ((SFT | {"max_length": 4096}, ORPO | {"max_length": 2049}), "reads 2,048 tokens; stage 2 ('orpo'): max_length is 2049"),
        ((SFT | {"base": "./nowhere", "rank": 0},), "rank is 0: it must be above 0; stage 1 ('sft'): there is no folder './now"),
        ((REWARD | {"data": "classes.jsonl"}, PPO), "so say which is good: 'classifier:@reward:rambling' or 'classifier:@rew"),
        ((REWARD | {"data": "classes.jsonl"}, PPO | {"grader": "classifier:@reward:long"}), "say which is good"),
        ((REWARD, PPO | {"grader": "classifier:@reward:long"}), "the rows of that stage name no classes"),
        ((SFT | {"eval_data": "sft.jsonl"},), "24 of 24 prompts to measure on are in its own data (the first at"),
        ((SFT | {"eval_data": "sft.jsonl", "data": []},), "data is missing"),
        ((SFT, ORPO | {"data": "x.jsonl", "eval_data": "pairs.jsonl"}), "are in the data of stage 'sft', which it is made of"),
        ((REWARD, PPO | {"eval_data": "prompts.jsonl"}), "24 of 24 prompts to measure on are in its own data"),
        ((PPO | {"grader": 3, "data": 4},), "data is 4: it must be a text, or a list of them; grader is 3: it must be"),
    ],
)  # fmt: skip
def test_each_fault(stages: tuple[dict[str, Any], ...], said: str, write: Write, tmp_path: Path) -> None:
    file = write(*stages)
    fresh = [{"prompt": f"fresh {at}", "chosen": "yes", "rejected": "no"} for at in range(9)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in fresh))
    assert said in faults_of(file)


@pytest.mark.parametrize("text", ["", "stage = 3", "pipeline = 3\nstage = [1]", "[pipeline", "[piepline]\n[[stage]]\n"])
def test_what_is_no_recipe_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.toml").write_text(text)
    assert cli.run(["pipeline", str(tmp_path / "r.toml")]) == 2
    assert "r.toml" in capsys.readouterr().err
    assert cli.run(["pipeline", str(tmp_path / "none.toml")]) == 2


# references


def test_what_goes_without_saying(write: Write, tmp_path: Path) -> None:
    labelled = REWARD | {"name": "taste", "data": "classes.jsonl"}
    fresh = PPO | {"name": "fresh", "init_adapter": "", "grader": ["classifier:@taste:short*2", "length:3-9"]}
    back = PPO | {"name": "back", "init_adapter": "@sft", "eval_grader": "@reward*0.5"}
    file = write(SFT, labelled, REWARD, ORPO, PPO, fresh, back, grader="format")
    stages = {stage.name: stage for stage in read_pipeline(file).stages}
    out = tmp_path / "out"
    begun = {name: stage.config.init_adapter for name, stage in stages.items() if stage.config.init_adapter}
    assert begun == {"orpo": str(out / "sft"), "ppo": str(out / "orpo"), "back": str(out / "sft")}
    assert stages["ppo"].config.grader == ("format",)
    assert stages["fresh"].config.grader == (f"classifier:{out / 'taste'}:short*2", "length:3-9")
    assert stages["back"].config.eval_grader == (f"{out / 'reward'}*0.5",)
    assert (stages["fresh"].parents, stages["back"].parents) == (("taste",), ("sft", "reward"))


def test_another_base_is_begun_afresh(write: Write, tiny: dict[str, Path]) -> None:
    other = ORPO | {"base": str(tiny["gpt2"])}
    sft, orpo = read_pipeline(write(SFT, other)).stages
    assert orpo.config.init_adapter == ""
    assert sft.inputs["base"] != orpo.inputs["base"]
    assert "that stage's base is" in faults_of(write(SFT, other | {"init_adapter": "@sft"}))


def test_the_installed_encoder_can_score(write: Write) -> None:
    reward = REWARD | {"base": INSTALLED, "data": "classes.jsonl", "name": "taste"}
    sft, scores, ppo = read_pipeline(write(SFT, reward, PPO | {"grader": "classifier:@taste:short"})).stages
    assert scores.inputs["base"] != ppo.inputs["base"] == sft.inputs["base"]
    assert ppo.parents == ("sft", "taste")
    assert "reads 512 tokens" in faults_of(write(reward | {"max_length": 513}))


def test_a_changed_grading_function_is_another_stage(write: Write, tmp_path: Path) -> None:
    (tmp_path / "g.py").write_text("def f(prompt, completion, row):\n    return len(completion)\n")
    file = write(PPO | {"grader": "g.py:f*0.5"})
    (first,) = read_pipeline(file).stages
    (tmp_path / "g.py").write_text("def f(prompt, completion, row):\n    return -len(completion)\n")
    (second,) = read_pipeline(file).stages
    assert first.config.grader == (f"{tmp_path / 'g.py'}:f*0.5",)
    assert first.inputs["grader g.py:f"] != second.inputs["grader g.py:f"]


def test_held_out_prompts_that_an_earlier_stage_learned_are_told(write: Write) -> None:
    (notice,) = read_pipeline(write(SFT, ORPO | {"seed": 9})).notices
    assert notice.startswith("stage 'orpo': ")
    assert notice.endswith("give eval_data that no stage learns from")
    assert not read_pipeline(write(SFT, ORPO)).notices  # the same prompts are held out


def test_a_check_trains_nothing_and_loads_no_torch(write: Write, tmp_path: Path) -> None:
    file = write(SFT, REWARD, PPO)
    program = "import sys\nfrom finetune.cli import run\ncode = run(sys.argv[1:])\nprint(code, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, "pipeline", str(file), "--check"], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "sft: sft: it would be trained",
        "reward: reward: it would be trained",
        "ppo: ppo, made of sft and reward: it would be trained",
        "0 False",
    ]
    assert not (tmp_path / "out").exists()
