"""`finetune compare` on tiny bases with adapters of random weights: real answers, real judges."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from random_adapters import random_adapter
from training_rows import Run

from finetune import cli
from finetune.data.faults import load_dataset, rows_for
from finetune.graders.grader import Sample
from finetune.merging import merge
from finetune.side_by_side.comparing import Comparing, compare
from finetune.side_by_side.comparison_page import document, refuse_other_folder, report
from finetune.side_by_side.judges import GraderJudge, Judged, Pair, read_key, read_verdict, rubric
from finetune.side_by_side.overlap import overlap
from finetune.side_by_side.side_by_side import TIE, A, B

VOWELS = """
import re
def vowels(prompt, completion, row):
    return float(len(re.findall("[aeiou]", completion)))
"""
Cli = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"Where is hut {at}?"}) + "\n" for at in range(12)))
    return file


@pytest.fixture
def vowels(tmp_path: Path) -> str:
    (tmp_path / "graders.py").write_text(VOWELS)
    return f"{tmp_path / 'graders.py'}:vowels"


@pytest.fixture(scope="session")
def adapters(tiny: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("adapters")
    for seed, name in enumerate(("one", "two")):
        random_adapter(tiny["llama3"], folder / name, seed=seed)
    return str(folder / "one"), str(folder / "two")


@pytest.fixture
def command(tiny: dict[str, Path], prompts: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    def go(a: str, b: str, *flags: str, base: str = "llama3") -> tuple[int, dict[str, Any], str]:
        line = ["compare", a, b, "--prompts", str(prompts), "--base", str(tiny[base]), "--answer-tokens", "12", "--device", "cpu"]
        code = cli.run([*line, "--trust-base", "--json", *flags])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else {}, said.err

    return go


def test_two_adapters_by_a_grader(command: Cli, adapters: tuple[str, str], vowels: str, tmp_path: Path) -> None:
    code, said, heard = command(*adapters, "--judge", vowels, "--judge", "length:1-5", "--out", str(tmp_path / "out"))
    assert code == 0
    assert (said["schema"], said["a"]["name"], said["b"]["name"]) == (1, "one", "two")
    whole = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert {name: whole[name] for name in whole if name != "pairs"} == {name: said[name] for name in said if name != "report"}
    assert len(whole["pairs"]) == 12
    for pair in whole["pairs"]:
        counted = {side: sum(letter in "aeiou" for letter in pair[side]) for side in "ab"}
        told = pair["judges"][vowels]
        assert (told["a"], told["b"]) == (counted["a"], counted["b"])
        assert told["verdict"] == ("tie" if counted["a"] == counted["b"] else max("ab", key=counted.__getitem__))
    result = said["judges"][vowels]
    assert (result["pairs"], result["wins"] + result["ties"] + result["losses"], result["place"]["changed"]) == (12, 12, 0)
    assert result["mean_difference"]["low"] <= result["mean_difference"]["value"] <= result["mean_difference"]["high"]
    assert "one answers 12 prompts" in heard
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Where is hut 3?" in page
    assert "<script" not in page
    assert "://" not in page


def test_exchanging_the_adapters_turns_the_result_around(command: Cli, adapters: tuple[str, str], vowels: str) -> None:
    a, b = adapters
    one, other = (command(*pair, "--judge", vowels)[1]["judges"][vowels] for pair in ((a, b), (b, a)))
    assert (one["wins"], one["losses"]) == (other["losses"], other["wins"])
    assert one["win_rate"]["value"] == pytest.approx(1 - other["win_rate"]["value"])


@pytest.mark.parametrize("samples", ["1", "3"])
def test_an_adapter_against_itself_is_all_ties(command: Cli, adapters: tuple[str, str], vowels: str, samples: str) -> None:
    _, said, heard = command(adapters[0], adapters[0], "--judge", vowels, "--samples", samples)
    result = said["judges"][vowels]
    assert (result["ties"], result["same"], result["pairs"]) == (12 * int(samples), 12 * int(samples), 12 * int(samples))
    assert result["better"] is None
    assert "the same weights" in heard


def test_none_is_the_base_and_samples_are_drawn_by_the_seed(
    command: Cli, adapters: tuple[str, str], vowels: str, tmp_path: Path
) -> None:
    for name, seed in (("x", "1"), ("y", "1"), ("z", "2")):
        command("none", adapters[0], "--judge", vowels, "--samples", "2", "--seed", seed, "--out", str(tmp_path / name))
    x, y, z = (json.loads((tmp_path / name / "comparison.json").read_text())["pairs"] for name in "xyz")
    assert x == y != z
    assert len(x) == 24
    assert x[0]["a"] != x[1]["a"]


def test_the_base_is_as_it_was_and_answers_are_those_of_one_alone(
    tiny: dict[str, Path], adapters: tuple[str, str], prompts: Path, vowels: str
) -> None:
    def answers(a: str, b: str) -> list[tuple[str, str]]:
        given = Comparing(
            a=a,
            b=b,
            prompts=(prompts,),
            judges=(vowels,),
            base=str(tiny["llama3"]),
            answer_tokens=12,
            device="cpu",
            trust_base=True,
        )
        found = compare(given, read=lambda: "", write=lambda _: None, announce=lambda _: None)
        return [(pair.a.completion, pair.b.completion) for pair in found.pairs]

    first = answers(adapters[0], "none")
    assert [(b, a) for a, b in answers("none", adapters[0])] == first
    assert any(a != b for a, b in first)


@pytest.mark.parametrize("base", ["gemma2", "gpt2"])
def test_other_families_and_plain_texts(command: Cli, tiny: dict[str, Path], tmp_path: Path, vowels: str, base: str) -> None:
    targets = ["c_attn"] if base == "gpt2" else ["q_proj"]
    random_adapter(tiny[base], tmp_path / "own", seed=5, target_modules=targets)
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": f"Hut {at} stands on a hill."}) + "\n" for at in range(4)))
    code, said, _ = command(
        "none", str(tmp_path / "own"), "--judge", vowels, "--prompts", str(tmp_path / "texts.jsonl"), "--most", "14", base=base
    )
    assert code == 0
    assert said["judges"][vowels]["prompts"] == 14


def test_a_chat_model_that_knows_no_answer_is_counted(command: Cli, tiny: dict[str, Path], adapters: tuple[str, str]) -> None:
    judge = f"llm:{tiny['llama3']}"
    _, said, heard = command(*adapters, "--judge", judge)
    result = said["judges"][judge]
    assert result["unread"] > 12  # of 24
    assert result["better"] is None
    assert result["pairs"] == 12
    assert heard.count("loading") == 1  # the base judges with the weights that are there


def test_a_chat_model_that_always_likes_the_first_is_shown_for_what_it_is(
    command: Cli, run: Run, tiny: dict[str, Path], adapters: tuple[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "judge.jsonl"
    asked = [rubric(f"Where is hut {at}?", "x" * (at % 7), "y" * (at % 5)) for at in range(8)]
    file.write_text("".join(json.dumps({"prompt": each, "completion": "A"}) + "\n" for each in asked))
    run(
        "sft",
        data=(str(file),),
        max_steps=25,
        learning_rate=2e-2,
        max_length=1500,
        samples=0,
        eval_share=0.0,
        out=str(tmp_path / "biased"),
    )
    merge(tmp_path / "biased", tmp_path / "merged")
    judge = f"llm:{tmp_path / 'merged'}"
    _, said, _ = command(*adapters, "--judge", judge, "--out", str(tmp_path / "out"))
    result = said["judges"][judge]
    assert result["ties"] == 12
    assert result["place"]["leans"]
    assert result["place"]["first"] == 2 * (12 - result["same"])
    assert "leans to the answer that stands first" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("A", A), ("**B**", B), ("Answer A", A), ("B\n\nbecause A is long", B), ("B.", B), ("tie", TIE), ("T", TIE),
     ("A better answer is B", None), ("neither", None), ("", None), ("Apples", None), ("A and B", None)],
)  # fmt: skip
def test_a_verdict_is_read_only_where_it_is_clear(text: str, verdict: int | None) -> None:
    assert read_verdict(text) == verdict


def test_the_rubric_holds_texts_as_they_are() -> None:
    said = rubric("Say {first}.", "{second}", "none")
    assert "Say {first}." in said
    assert "=== Answer A ===\n{second}\n" in said


def test_a_person_is_blind_and_goes_on_another_day(
    tiny: dict[str, Path], adapters: tuple[str, str], prompts: Path, tmp_path: Path
) -> None:
    given = Comparing(a=adapters[0], b=adapters[1], prompts=(prompts,), judges=("human",), base=str(tiny["llama3"]),
                      answer_tokens=12, device="cpu", trust_base=True, out=tmp_path)  # fmt: skip
    shown: list[str] = []

    def judged(keys: str) -> Any:
        left = iter(keys)
        return compare(given, read=lambda: next(left, ""), write=shown.append, announce=lambda _: None)

    first = judged("1x2q")  # x is no answer
    assert len(first.judged["human"]) == 2
    assert len((tmp_path / "human.jsonl").read_text().splitlines()) == 2
    assert "only 2 of 12 pairs were judged" in report(first).decode()
    whole = judged("1" * 12)
    assert len(whole.judged["human"]) == 12
    assert whole.judged["human"][:2] == first.judged["human"]
    result = whole.results()["human"]
    assert (result.place.first, result.place.second) == (11, 1)
    assert 0 < result.wins < 12  # the order is drawn: who always takes the first takes either
    assert not any(name in text for text in shown for name in ("one", "two", str(tmp_path)))
    assert document(whole)["pairs"][0]["judges"]["human"]["verdict"] in ("a", "b")
    again = judged("")
    assert again.judged == whole.judged


def test_keys_come_one_by_one_and_end() -> None:
    source = io.StringIO("1\n second\n\n")
    assert [read_key(source) for _ in range(4)] == ["1", "s", " ", ""]


def test_a_grader_that_scores_otherwise_the_second_time_makes_ties() -> None:
    class Falling:
        name = "falling"

        def score(self, samples: list[Sample]) -> list[float]:
            return [-float(at) for at in range(len(samples))]

    pairs = [Pair(at, Sample((), f"a{at}", {}), Sample((), f"b{at}", {})) for at in range(6)]
    found = GraderJudge("falling", Falling()).judge(pairs)
    assert [(each.forward, each.backward, each.verdict) for each in found] == [(A, B, TIE)] * 6
    assert GraderJudge("falling", Falling(), margin=100.0).judge(pairs)[0] == Judged(0, TIE, TIE, -3.0, -3.0)


def test_prompts_that_an_adapter_was_trained_on_are_told(
    run: Run, rows: Callable[..., Path], tiny: dict[str, Path], vowels: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained, manifest = run("sft", out=str(tmp_path / "seen"), eval_share=0.5)
    assert manifest is not None
    line = [
        "compare",
        str(tmp_path / "seen"),
        "none",
        "--prompts",
        str(rows("sft")),
        "--judge",
        vowels,
        "--answer-tokens",
        "4",
        "--device",
        "cpu",
    ]
    assert cli.run(line) == 0
    said = capsys.readouterr()
    assert f"seen was trained on {manifest.data['rows']} of these 24 prompts" in said.err
    assert "win rate" in said.out or "better than" in said.out
    held = trained.run.record["data"]["held_out"]
    assert manifest.data["rows"] == 24 - held < 24
    (tmp_path / "seen" / "run" / "run.json").rename(tmp_path / "gone.json")
    run("sft", out=str(tmp_path / "usual"))
    (tmp_path / "usual" / "run" / "run.json").unlink()
    assert cli.run(["compare", str(tmp_path / "usual"), *line[2:]]) == 0
    assert "usual was trained on these very files" in capsys.readouterr().err
    (tmp_path / "gone.json").rename(tmp_path / "seen" / "run" / "run.json")
    rows("sft").unlink()
    (tmp_path / "others.jsonl").write_text(json.dumps({"prompt": "Who?"}) + "\n")
    assert cli.run([*line[:4], str(tmp_path / "others.jsonl"), *line[5:]]) == 0
    assert "can't be read again" in capsys.readouterr().err


def test_prompts_that_were_held_out_or_left_out_are_none_that_were_learned(
    run: Run, prompts: Path, vowels: str, tmp_path: Path
) -> None:
    held_out = tmp_path / "held_out.jsonl"
    held_out.write_text("".join(prompts.read_text().splitlines(keepends=True)[:5]))
    small = {"rollouts": 4, "answer_tokens": "4", "measured": 2, "max_steps": 1, "update_epochs": 1}
    out = tmp_path / "out"
    _, manifest = run(
        "ppo", kind="pairs", data=(str(prompts),), eval_data=(str(held_out),), grader=(vowels,), force=True, **small
    )
    assert manifest is not None
    seen, fresh = (rows_for(load_dataset([file], as_prompts=True), "ppo") for file in (prompts, held_out))
    assert overlap("x", out, manifest, fresh, [held_out]) == []
    (told,) = overlap("x", out, manifest, seen, [prompts])
    assert told.startswith("x was trained on 7 of these 12 prompts")
    held_out.unlink()
    (told,) = overlap("x", out, manifest, seen, [prompts])
    assert "can't be read again" in told


@pytest.mark.parametrize("name", ["run.json", "report.html"])
def test_a_report_of_something_else_is_not_overwritten(
    name: str, command: Cli, adapters: tuple[str, str], vowels: str, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("of a training")
    code, _, heard = command(*adapters, "--judge", vowels, "--out", str(tmp_path / "run"))
    assert (code, [file.name for file in (tmp_path / "run").iterdir()]) == (2, [name])
    assert f"holds the {name} of something else" in heard
    assert (tmp_path / "run" / name).read_text() == "of a training"
    (tmp_path / "run" / name).rename(tmp_path / "run" / "human.jsonl")
    refuse_other_folder(tmp_path / "run")


def test_a_slow_grader_can_be_given_more_time(command: Cli, adapters: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import time\ndef f(prompts, completions, rows):\n    time.sleep(0.4)\n    return [1] * len(rows)\n"
    )
    code, _, heard = command(*adapters, "--judge", f"{tmp_path / 'slow.py'}:f", "--grader-timeout", "0.1")
    assert code != 0
    assert "took more than 0.1 s for 24 answers" in heard
    assert command(*adapters, "--judge", f"{tmp_path / 'slow.py'}:f", "--grader-timeout", "20")[0] == 0


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        ([], 2, "no judge is given"),
        (["--judge", "human"], 2, "no folder for them (--out)"),
        (["--judge", "length:1-5", "--grader-timeout", "0"], 2, "grader_timeout is 0.0: it must be above 0"),
        (["--judge", "length:1-5", "--samples", "0"], 2, "samples is 0: it must be above 0"),
        (["--judge", "length:1-5", "--quantization", "nf5"], 2, "quantization is 'nf5'"),
        (["--judge", "length:1-5", "--prompt-tokens", "8-2"], 2, "'8-2'"),
        (["--judge", "lenght"], 2, "there is no grader 'lenght'"),
        (["--judge", "llm:"], 2, "names no model"),
    ],
)
def test_what_can_not_be_is_told_in_two_lines(
    command: Cli, adapters: tuple[str, str], flags: list[str], code: int, said: str
) -> None:
    found, _, heard = command(*adapters, *flags)
    assert found == code
    assert said in heard


def test_an_adapter_that_is_none_of_this_base(
    command: Cli, tiny: dict[str, Path], adapters: tuple[str, str], run: Run, tmp_path: Path
) -> None:
    run("sft", "gpt2", out=str(tmp_path / "other"))
    run("reward", out=str(tmp_path / "scores"))
    for folder, said in (
        (tmp_path / "other", "was trained for"),
        (tmp_path / "scores", "scores answers and writes none"),
        (tmp_path, ""),
    ):
        code, _, heard = command(str(folder), adapters[0], "--judge", "length:1-5")
        assert code == 5
        assert said in heard
