"""`finetune self-reward` on a tiny base with planted judges in a process of their own: real answers, real rounds, real brakes."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from assistant.adapters.manifest import FILE, WEIGHTS, read_manifest
from finetune import cli
from finetune.commands import self_reward as command
from finetune.config import TrainingConfig
from finetune.data.faults import load_dataset, rows_for
from finetune.errors import DataFault, TrainingError
from finetune.graders.errors import GraderFault
from finetune.self_rewarding import session
from finetune.self_rewarding.judge import rubric
from finetune.self_rewarding.rounds import Ended, run_rounds
from finetune.self_rewarding.settings import read_rounds
from finetune.side_by_side.overlap import trained_rows
from finetune.train import train
from indexes.errors import UserError

JUDGES = """
import hashlib, random, re, time
def letters(prompt, completion, row):
    return len(re.findall("[a-z]", completion)) / (len(completion) + 1)
def longer(prompt, completion, row):
    return float(len(completion))
def contrary(prompt, completion, row):
    return -letters(prompt, completion, row)
def chance(prompt, completion, row):
    return float(hashlib.sha256((prompt + completion).encode()).digest()[0])
def same(prompt, completion, row):
    return 1.0
def alike(prompt, completion, row):
    return float(bool(re.fullmatch("[a-z ]+", completion)))
def first(prompts, completions, rows):
    return [letters(p, c, r) - at / 40 for at, (p, c, r) in enumerate(zip(prompts, completions, rows))]
def dice(prompt, completion, row):
    return letters(prompt, completion, row) + random.random() / 100
def broken(prompt, completion, row):
    return float("nan")
def raising(prompt, completion, row):
    raise ValueError(completion[:0] + "no")
def hanging(prompt, completion, row):
    time.sleep(60)
"""
SETTINGS: dict[str, Any] = {
    "data": "prompts.jsonl", "pairs": "pairs.jsonl", "device": "cpu", "samples": 0, "eval_share": 0.0, "max_length": 256,
    "batch": 16, "cut_may_win": True, "save_every": 1,
}  # fmt: skip
PLANTED: dict[str, Any] = {"candidates": 6, "answer_tokens": 12, "learning_rate": 7e-3, "epochs": 4, "rounds": 2, "save_every": 0}
SMALL: dict[str, Any] = {
    "candidates": 2, "answer_tokens": 6, "learning_rate": 1e-3, "max_steps": 2, "rounds": 2, "measured": 8, "min_distinct": 0.1,
}  # fmt: skip
Go = Callable[..., Ended]


def rows_to(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def people(count: int = 40) -> list[dict[str, str]]:
    """Pairs of letters against capitals, of which either may be the longer one."""
    drawn = random.Random(0)

    def text(letters: str) -> str:
        return "".join(drawn.choice(letters) for _ in range(drawn.randint(4, 20)))

    return [{"prompt": f"Which way to lake {at}?", "chosen": text("abcdef "), "rejected": text("ABCDEF ")} for at in range(count)]


def settings_in(folder: Path, base: Path, judge: str = "letters", **changes: Any) -> dict[str, Any]:
    """Settings with their files in a folder; the judge is a function of ours, a path, or the model itself."""
    folder.mkdir(exist_ok=True)
    if not (folder / "pairs.jsonl").exists():
        rows_to(folder / "prompts.jsonl", [{"prompt": f"Where is hut {at}?"} for at in range(40)])
        rows_to(folder / "pairs.jsonl", people())
        (folder / "judges.py").write_text(JUDGES)
    given = SETTINGS | {"base": str(base), "out": "out"} | changes
    given |= {name: str(folder / given[name]) for name in ("data", "pairs", "out")}
    named = judge if "/" in judge else f"{folder / 'judges.py'}:{judge}"
    return given | ({"judge": named} if judge else {})


def weights(out: Path) -> list[bytes]:
    return [(folder / WEIGHTS).read_bytes() for folder in (out, out / "rounds" / "1", out / "rounds" / "2")]


@pytest.fixture
def go(tmp_path: Path, tiny: dict[str, Path]) -> Go:
    def run(judge: str = "letters", *, resume: bool = False, **changes: Any) -> Ended:
        given = settings_in(tmp_path, tiny["llama3"], judge, **SMALL | changes)
        return run_rounds(read_rounds(None, given), resume=resume)

    return run


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, tiny: dict[str, Path]) -> tuple[Path, Ended]:
    folder = tmp_path_factory.mktemp("planted") / "p"
    return folder / "out", run_rounds(read_rounds(None, settings_in(folder, tiny["llama3"], **PLANTED)))


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, tiny: dict[str, Path]) -> Path:
    folder = tmp_path_factory.mktemp("straight") / "p"
    assert run_rounds(read_rounds(None, settings_in(folder, tiny["llama3"], **SMALL))).kept == 2
    return folder / "out"


# a planted judge


def test_the_planted_preference_rises_over_the_rounds(planted: tuple[Path, Ended]) -> None:
    _, ended = planted
    scores = [line["score"] for line in ended.document["rounds"]]
    assert ended.document["why"] == "all rounds were done"
    assert scores[0]["value"] < scores[1]["value"] < scores[2]["value"]
    assert scores[2]["low"] > scores[0]["high"]
    assert ended.document["rounds"][2]["win"]["win_rate"]["value"] > 0.5
    judge = ended.document["rounds"][0]["judge"]
    assert (judge["agreement"]["value"], judge["place"]["changed"], judge["unread"]) == (1.0, 0, 0)
    assert abs(judge["gap"]["value"]) == 0
    made = ended.document["rounds"][0]["made"]
    assert (made["pairs"] + sum(made["left"].values()), made["candidates"]) == (40, 240)


def test_each_round_is_a_child_of_the_one_before_and_the_last_is_kept(planted: tuple[Path, Ended]) -> None:
    out, _ = planted
    kept, one, two = (read_manifest(folder) for folder in (out, out / "rounds" / "1", out / "rounds" / "2"))
    assert (one.method, one.parents, two.parents) == ("dpo", (), (one.weights_hash,))
    assert (kept.method, kept.name, kept.parents, kept.weights_hash) == ("self-reward", "out", two.parents, two.weights_hash)
    assert kept.metrics["after"]["score"]["value"] > kept.metrics["before"]["score"]["value"]
    assert weights(out)[0] == weights(out)[2] != weights(out)[1]
    config = json.loads((out / "rounds" / "2" / "run" / "run.json").read_text())["config"]
    assert (config["init_adapter"], config["seed"]) == (str(out / "rounds" / "1"), 1)
    assert len(trained_rows(out / "run")) == 40  # whoever compares it is told which prompts it learned from
    pairs = rows_for(load_dataset([out / "written" / "0" / "pairs.jsonl"]), "dpo")
    assert all(row.margin and row.margin > 0 for row in pairs)  # type: ignore[union-attr]


def test_a_page_shows_each_round_and_why_it_ended(planted: tuple[Path, Ended]) -> None:
    out, ended = planted
    shown = (out / "run" / "report.html").read_text()
    assert "<script" not in shown
    assert "://" not in shown
    assert "all rounds were done: round 2 of 2 is kept" in shown
    for number in (1, 2):
        assert f'href="../rounds/{number}/run/report.html"' in shown
        assert (out / "rounds" / str(number) / "run" / "report.html").is_file()
    assert json.loads((out / "run" / "rounds.json").read_text()) == json.loads(json.dumps(ended.document))
    assert json.loads((out / "run" / "result.json").read_text())["stopped_because"] == "all rounds were done"


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ("longer", "the judge pays for length: it is right more often where the better answer is the longer one, by 100.0 %"),
        (
            "contrary",
            "people disagree with the judge: it prefers the answer that they do in 0.0 % [0.0, 0.0] of 40 held-out pairs",
        ),
        ("chance", "people disagree with the judge: it prefers the answer that they do in "),
        ("same", "people disagree with the judge: it prefers the answer that they do in 50.0 % [50.0, 50.0]"),
        ("dice", "the judge's scores hold chance, or the order in which answers are given to it: the answer "),
        ("first", "the judge pays for the place: the answer that stands first wins "),
    ],
)
def test_a_bad_judge_stops_it_before_anything_is_trained(go: Go, tmp_path: Path, judge: str, said: str) -> None:
    ended = go(judge)
    assert ended.kept == 0
    assert said in ended.document["why"]
    assert not (tmp_path / "out" / "rounds").exists()
    assert not (tmp_path / "out" / FILE).exists()
    assert "no round is kept, and there is no adapter" in (tmp_path / "out" / "run" / "report.html").read_text()


def test_it_can_begin_with_an_adapter_and_learn_by_orpo(go: Go, planted: tuple[Path, Ended], tmp_path: Path) -> None:
    first, _ = planted
    ended = go(method="orpo", rounds=1, init_adapter=str(first))
    known = read_manifest(first).weights_hash
    assert (ended.kept, ended.document["rounds"][0]["weights_hash"]) == (1, known)
    kept, one = read_manifest(tmp_path / "out"), read_manifest(tmp_path / "out" / "rounds" / "1")
    assert (one.method, one.parents, kept.parents) == ("orpo", (known,), (known,))


def test_nothing_to_learn_from_is_said(go: Go, tmp_path: Path) -> None:
    why = go("alike").document["why"]
    assert why == "there is nothing to learn from: 0 pairs were made (of 40 prompts all answers score alike)"
    shutil.rmtree(tmp_path / "out")
    assert "prompts no answer that scores above another ended by itself" in go(answer_tokens=1, cut_may_win=False).document["why"]


def test_a_round_that_is_worse_is_not_kept(straight: Path, tmp_path: Path, tiny: dict[str, Path]) -> None:
    shutil.copytree(straight.parent, tmp_path / "p")
    brakes = tmp_path / "p" / "out" / "written" / "2" / "brakes.json"
    brakes.write_text(json.dumps(json.loads(brakes.read_text()) | {"stops": ["the round lost"]}))
    given = settings_in(tmp_path / "p", tiny["llama3"], **SMALL) | {
        "judge": json.loads((straight / "run" / "run.json").read_text())["config"]["judge"]
    }
    ended = run_rounds(read_rounds(None, given), resume=True)
    assert (ended.kept, ended.document["why"], ended.document["stopped"]) == (1, "the round lost", True)
    kept, one, _ = weights(tmp_path / "p" / "out")
    assert kept == one
    assert read_manifest(tmp_path / "p" / "out").parents == ()


# the model's own judgement


def test_a_model_that_cant_judge_is_stopped_in_plain_words(
    tmp_path: Path, tiny: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given = settings_in(tmp_path, tiny["llama3"], "", **SMALL)
    (tmp_path / "c.toml").write_text("judgement_tokens = 8\nsamples = 0\n")
    line = ["self-reward", "--config", str(tmp_path / "c.toml"), "--judgements", "2", "--answer-tokens", "6", "--device", "cpu"]
    line += [part for name in ("base", "data", "pairs", "out") for part in (f"--{name}", given[name])]
    assert cli.run(line) == 7
    said = capsys.readouterr()
    assert "the judge doesn't answer as it is asked: 160 of its 160 judgements hold no score from 0 to 5" in said.err
    assert "people disagree with the judge: it prefers the answer that they do in 50.0 %" in said.err
    assert said.out.splitlines()[0].startswith("stopped: the judge doesn't answer")
    assert (
        "judges each answer alone, so that the order of two can&#x27;t matter"
        in (tmp_path / "out" / "run" / "report.html").read_text()
    )
    assert cli.run(line) == 6
    assert "isn't empty" in capsys.readouterr().err


@pytest.fixture(scope="module")
def scoring(tmp_path_factory: pytest.TempPathFactory, tiny: dict[str, Path]) -> Path:
    """An adapter that has learned to write scores, whatever the answer."""
    folder = tmp_path_factory.mktemp("scoring")
    texts = [row[side] for row in people(6) for side in ("chosen", "rejected")]
    asked = [rubric("Which way to lake 1?", text) for text in texts]
    rows_to(folder / "sft.jsonl", [{"prompt": each, "completion": f"Score: {2 + 2 * (at % 2)}"} for at, each in enumerate(asked)])
    config = TrainingConfig(
        "sft", str(tiny["llama3"]), (str(folder / "sft.jsonl"),), str(folder / "judge"), device="cpu", samples=0,
        eval_share=0.0, learning_rate=2e-2, epochs=6, batch=4, max_length=2048,
    )  # fmt: skip
    train(config)
    return folder / "judge"


def test_another_adapter_judges_by_the_rubric(go: Go, scoring: Path) -> None:
    ended = go(str(scoring), judgements=1, judgement_tokens=8, max_length=2048)
    judge = ended.document["rounds"][0]["judge"]
    assert (judge["name"], judge["asked"], judge["alone"], judge["place"]) == (str(scoring), 80, True, None)
    assert judge["unread"] < 40
    assert judge["agreement"]["low"] <= 0.5 <= judge["agreement"]["high"]
    assert ended.document["why"].startswith("people disagree with the judge")


def test_a_round_by_the_models_own_judgement(go: Go, scoring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a judge would be stopped; without that brake each round's model judges, and the one before judges the round."""
    rows_to(tmp_path / "pairs.jsonl", people(10))
    rows_to(tmp_path / "prompts.jsonl", [{"prompt": f"Where is hut {at}?"} for at in range(10)])
    monkeypatch.setattr(session, "judge_stops", lambda *_: iter(()))
    ended = go("", init_adapter=str(scoring), rounds=1, judgements=2, judgement_tokens=8, max_length=2048, learning_rate=1e-5)
    first, second = ended.document["rounds"]
    assert first["made"]["asked"] + sum(not text.strip() for text in candidates_of(tmp_path)) * 2 == 40
    assert 1 < first["made"]["pairs"] <= 10
    scores = [pair["scores"] for pair in first["made"]["shown"]]
    assert all(0 <= low < high <= 5 for high, low in scores)
    assert second["judge"]["measured"] == 1  # by the new model itself
    assert second["judge"]["unread"] < 20
    assert second["win"]["pairs"] == 8
    assert ended.kept == 1


def candidates_of(folder: Path) -> list[str]:
    lines = (folder / "out" / "written" / "0" / "candidates.jsonl").read_text().splitlines()
    return [text for line in lines for text in json.loads(line)["answers"]]


# gone on with


def test_interrupted_within_and_between_rounds_it_ends_as_the_straight_one(
    straight: Path, tmp_path: Path, tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = settings_in(tmp_path, tiny["llama3"], **SMALL)
    own = {name: value for name, value in given.items() if name not in ("judge", "base", "data", "pairs", "out")}
    (tmp_path / "c.toml").write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in own.items()))
    flags = [part for name in ("judge", "base", "data", "pairs", "out") for part in (f"--{name}", given[name])]
    whole = ["self-reward", "--config", str(tmp_path / "c.toml"), *flags]
    for line, said in (
        ("before: 40 prompts are answered 2 times each", "stopped; go on with the same command and --resume"),
        ("round 1: step 1 of 2", "stopped in round 1 at step"),
        ("after round 1: loading", "stopped; go on with"),
        ("no line", ""),
    ):
        monkeypatch.setattr(
            command, "announce", lambda each, at=line: os.kill(os.getpid(), signal.SIGINT) if at in each else None
        )
        assert cli.run(whole) == (130 if said else 0)
        heard = capsys.readouterr()
        assert said in heard.err
        whole = [*whole, *["--resume"][: "--resume" not in whole]]
    assert weights(tmp_path / "out") == weights(straight)
    assert "round 2 (kept)" in heard.out


def test_a_kill_is_gone_on_from_within_a_round(straight: Path, tmp_path: Path, tiny: dict[str, Path]) -> None:
    given = settings_in(tmp_path, tiny["llama3"], **SMALL)
    program = (
        "import json, os, sys\nfrom finetune.self_rewarding.rounds import run_rounds\n"
        "from finetune.self_rewarding.settings import read_rounds\nfrom finetune.self_rewarding import candidates\n"
        "real, parts = candidates.write_answers, []\n"
        "def killed(*given, **named):\n    parts.append(1)\n    len(parts) == 3 and os.kill(os.getpid(), 9)\n"
        "    return real(*given, **named)\n"
        "candidates.write_answers = killed\n"  # the second part of the candidates
        "run_rounds(read_rounds(None, json.loads(sys.argv[1])))"
    )
    killed = subprocess.run([sys.executable, "-c", program, json.dumps(given)], capture_output=True)
    assert killed.returncode == -9, killed.stderr
    lines = (tmp_path / "out" / "written" / "0" / "candidates.jsonl").read_bytes().splitlines()
    assert len(lines) == 32
    (tmp_path / "out" / "run" / "metrics.csv").write_text("step,seconds,name,value\n0,1000.0,rounds,0\n")  # what it took
    record = json.loads((tmp_path / "out" / "run" / "run.json").read_text())
    ((name, hashed),) = record["config"]["inputs"].items()
    record["config"]["inputs"] = {"grader judges.py": hashed}  # as an older version named it
    (tmp_path / "out" / "run" / "run.json").write_text(json.dumps(record))
    assert name == f"grader {given['judge']}"
    assert run_rounds(read_rounds(None, given), resume=True).kept == 2
    assert weights(tmp_path / "out") == weights(straight)
    took, alone = (json.loads((out / "run" / "result.json").read_text())["seconds"] for out in (tmp_path / "out", straight))
    assert 0 < alone < 1000 < took < 2000


def test_what_it_was_begun_with_must_be_the_same(straight: Path, tmp_path: Path, tiny: dict[str, Path]) -> None:
    shutil.copytree(straight.parent, tmp_path / "p")
    given = settings_in(tmp_path / "p", tiny["llama3"], **SMALL)
    judge = json.loads((straight / "run" / "run.json").read_text())["config"]["judge"]
    for changes, said in (
        ({"min_agreement": 0.9}, r"min_agreement was 0\.55 and is now 0\.9"),
        ({"learning_rate": 0.5}, r"training\.learning_rate was 0\.001 and is now 0\.5"),
        ({"judge": f"{tmp_path / 'p' / 'judges.py'}:longer"}, "judge was "),
    ):
        with pytest.raises(TrainingError, match=said):
            run_rounds(read_rounds(None, given | {"judge": judge} | changes), resume=True)
    with FileLock(tmp_path / "p" / "out" / ".lock"), pytest.raises(TrainingError, match="another process trains"):
        run_rounds(read_rounds(None, given | {"judge": judge}), resume=True)


# bad input


@pytest.mark.parametrize(
    ("judge", "changes", "error", "said"),
    [
        ("broken", {}, GraderFault, "gave nan for the answer"),
        ("raising", {}, GraderFault, "raised ValueError"),
        ("hanging", {"grader_timeout": 1}, GraderFault, "took more than 1 s for 32 answers and was ended"),
        ("letters", {"pairs": "none.jsonl"}, DataFault, "none.jsonl"),
        ("letters", {"pairs": "prompts.jsonl"}, DataFault, "prompt"),
        ("letters", {"pairs": "texts.jsonl"}, DataFault, "without a better and a worse answer, the first at"),
        ("letters", {"data": "pairs.jsonl"}, DataFault, "all 40 prompts are among the held-out pairs"),
        ("letters", {"data": "texts.jsonl"}, DataFault, "holds a plain text"),
        ("letters", {"data": "long.jsonl"}, DataFault, "are longer than 250 tokens"),
        ("letters", {"init_adapter": "none"}, UserError, "none"),
        ("letters", {"max_length": 9999}, UserError, "max_length is 9999"),
    ],
)
def test_what_cant_be_used_is_named(
    go: Go, tmp_path: Path, judge: str, changes: dict[str, Any], error: type[UserError], said: str
) -> None:
    rows_to(tmp_path / "texts.jsonl", [{"text": "Once upon a time."}])
    rows_to(tmp_path / "long.jsonl", [{"prompt": "word " * 300}])
    with pytest.raises(error) as caught:
        go(judge, **changes)
    assert said in caught.value.message
    assert caught.value.hint
    begun = judge != "letters"
    assert (tmp_path / "out").exists() == begun


def test_prompts_of_the_pairs_and_long_ones_are_left_out_and_told(tmp_path: Path, tiny: dict[str, Path]) -> None:
    rows_to(tmp_path / "mixed.jsonl", [*people(3), {"prompt": "word " * 300}, {"prompt": "Where?"}])
    given = settings_in(tmp_path, tiny["llama3"], "same", **SMALL) | {"data": str(tmp_path / "mixed.jsonl")}
    lines: list[str] = []
    run_rounds(read_rounds(None, given), announce=lines.append)
    assert "3 prompts are among the held-out pairs, and are not learned from" in lines
    assert any(line.startswith("1 prompts are longer than 250 tokens and left out, e.g.") for line in lines)
    assert json.loads((tmp_path / "out" / "run" / "run.json").read_text())["data"]["rows"] == 1
