"""The attack suite: what it builds, whom it refuses, and `finetune check --grader` as a user meets it."""

import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from trained_adapters import train_adapter

from assistant.errors import CheckFailed, ModelError, UsageError
from assistant.prompt import ABSTENTION
from assistant.records import Message
from finetune.cli import run as command
from finetune.commands.check import check
from finetune.errors import DataFault
from finetune.graders import attacks
from finetune.graders.attacks import ATTACKS, AttackReport, check_grader
from finetune.graders.errors import GraderFault
from finetune.graders.grader import Sample, WeightedGrader
from finetune.graders.opening import Context, open_graders
from finetune.graders.passages import hits_of
from finetune.graders.references import read_references

HUTS = {"Mirrin": "Davit Orsolan", "Ostrel": "Jorun Pell", "Lindarn": "Ilse Marchetta", "Kaltau": "Bram Oduya"}


def raft_rows(count: int = 12) -> list[dict[str, Any]]:
    """Questions with four passages each; every fourth can't be answered."""
    rng, rows = random.Random(1), []
    for at in range(count):
        name = list(HUTS)[at % 4]
        shown = [other for other in rng.sample(list(HUTS), 4) if other != name or at % 4]
        passages = [
            {"text": f"{hut} Hut stands {at + 3} km up. Its warden is {HUTS[hut]}. {hut} opens in {hut} week. {hut} is dark.",
             "source": f"{hut}.md"} for hut in shown
        ]  # fmt: skip
        answer = f"Its warden is {HUTS[name]}. [{shown.index(name) + 1}]" if at % 4 else ABSTENTION
        rows.append({"question": f"Who is the warden of {name} Hut in year {at}?", "passages": passages, "answer": answer})
    return rows


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.chdir(tmp_path)

    def write(name: str, *rows: Any) -> Path:
        text = rows[0] if isinstance(rows[0], str) else "".join(json.dumps(row) + "\n" for row in rows)
        Path(name).write_text(text, encoding="utf-8")
        return Path(name)

    return write


@pytest.fixture
def raft(write: Callable[..., Path]) -> Path:
    return write("raft.jsonl", *raft_rows())


class By:
    """Scores by a function of samples."""

    def __init__(self, function: Callable[[Sequence[Sample]], list[float]]) -> None:
        self.name, self._function = "by", function

    def score(self, samples: Sequence[Sample]) -> list[float]:
        return self._function(samples)


def each(function: Callable[[Sample], float]) -> By:
    return By(lambda samples: [function(sample) for sample in samples])


def attacked(specs: Sequence[str], data: Path) -> AttackReport:
    with open_graders(specs, Context()) as grader:
        return check_grader(grader, read_references([data]))


def named(report: AttackReport) -> set[str]:
    return {finding.name for finding in report.reached}


def test_every_attack_is_built_and_means_what_its_name_says(raft: Path) -> None:
    row = read_references([raft])[1]
    made = {name: build(row) for name, build in ATTACKS.items()}
    passages = row.row["passages"]
    assert made["empty"] == ""
    assert made["always abstain"] == ABSTENTION
    assert made["cite everything"] == f"{attacks.EVERYWHERE} [1] [2] [3] [4]"
    assert made["copy a passage"] in {f"{one['text']} [{at}]" for at, one in enumerate(passages, 1)}
    assert str(made["endless repetition"]).count("Its warden is Jorun Pell.") >= 40
    assert made["other language"] == attacks.GERMAN
    assert made["the question again"] == row.row["question"]
    assert "warden, ostrel" in str(made["keywords"])
    assert attacks.overcited(row) == "Its warden is Jorun Pell. [1] [2] [3] [4]"
    german = Sample(row.prompt, "Das ist der Wart der Hütte, und er heißt seit vielen Jahren Davit.", {})
    assert attacks.other_language(german) == attacks.ENGLISH
    assert hits_of(german) == hits_of(row)  # read from the prompt
    bare = Sample((Message("user", "Q?"),), "A.", {})
    assert [ATTACKS[name](bare) for name in ("copy a passage", "cite everything", "keywords")] == [None, None, None]


@pytest.mark.parametrize("spec", ["grounding:literal", "citations:literal", "abstention"])
def test_the_checks_of_passages_withstand_all_attacks(spec: str, raft: Path) -> None:
    report = attacked([spec], raft)
    assert report.faults == ()
    report.require()
    assert report.median == 1.0
    assert len(report.findings) == len(ATTACKS) + (spec == "citations:literal")
    abstaining = next(finding for finding in report.findings if finding.name == "always abstain")
    assert abstaining.rows == 9  # of 12: on the others it is the right answer


@pytest.mark.parametrize(("spec", "cheats"), [
    ("format", {"praise", "as an AI", "always abstain", "other language", "cite everything", "the question again"}),
    ("length:3-12", {"always abstain", "the question again"}),
    ("language:en", {"praise", "as an AI"}),
])  # fmt: skip
def test_what_looks_at_the_form_alone_is_refused(spec: str, cheats: set[str], raft: Path) -> None:
    report = attacked([spec], raft)
    assert cheats <= named(report)
    with pytest.raises(CheckFailed, match=rf"the grader '{spec}' is refused: .*the median reference answer (1|0.5)") as caught:
        report.require()
    assert caught.value.exit_code == 7
    assert "--force" in caught.value.hint


def test_form_beside_substance_is_not(raft: Path) -> None:
    report = attacked(["citations:literal", "format*0.2", "length:3-12*0.2"], raft)
    assert report.faults == ()
    worst = report.findings[0]
    assert worst.mean == pytest.approx(
        worst.parts["citations:literal"] + 0.2 * worst.parts["format"] + 0.2 * worst.parts["length:3-12"]
    )


@pytest.mark.parametrize(("score", "cheat"), [
    (lambda sample: len(sample.completion), "endless repetition"),
    (lambda sample: sample.completion.count("["), "cite everything"),
    (lambda sample: len(set(sample.completion.split()) & set(str(sample.row["passages"]).split())), "copy a passage"),
    (lambda sample: -len(sample.completion), "empty"),
    (lambda sample: sample.completion.count("excellent") + 0.1, "praise"),
    (lambda sample: sample.completion == ABSTENTION, "always abstain"),
    (lambda sample: "AI" in sample.completion, "as an AI"),
    (lambda sample: sum(word in sample.completion.lower() for word in sample.asked.lower().split()), "the question again"),
    (lambda sample: sample.completion.count(","), "keywords"),
    (lambda sample: 0.5, "empty"),
    (lambda sample: ("Its warden is" in sample.completion) + ("[" in sample.completion), "the reference, citing everything"),
    (lambda sample: "ö" in sample.completion, "other language"),
])  # fmt: skip
def test_each_weakness_is_found_by_its_attack(score: Callable[[Sample], float], cheat: str, raft: Path) -> None:
    assert cheat in named(check_grader(each(score), read_references([raft])))


def test_chance_and_a_look_at_the_rest_of_the_batch_are_refused(raft: Path) -> None:
    rows = read_references([raft])
    chance, rest = random.Random(0), attacked(["citations:literal"], raft)
    with pytest.raises(CheckFailed, match="scored twice differs by"):
        check_grader(each(lambda sample: ("[" in sample.completion) + chance.random() / 100), rows).require()
    ranked = By(lambda samples: [float(sorted(s.completion for s in samples).index(sample.completion)) for sample in samples])
    assert check_grader(ranked, rows).unstable > 0
    calls = iter(range(10_000))
    rounded = By(lambda samples: [float("[" in sample.completion) + next(calls) * 1e-8 for sample in samples])
    assert check_grader(rounded, rows).unstable == rest.unstable == 0


def test_a_grader_that_fails_is_an_error_and_so_are_no_rows(raft: Path) -> None:
    rows = read_references([raft])
    with pytest.raises(GraderFault, match="gave nan for the answer ''"):
        check_grader(each(lambda sample: float("nan") if not sample.completion else 1.0), rows)
    with pytest.raises(GraderFault, match="0 scores for 12 answers"):
        check_grader(By(lambda _: []), rows)
    with pytest.raises(DataFault, match="no row has an answer of its own"):
        check_grader(each(lambda _: 1.0), [])


def test_rows_are_spread_over_the_whole_file(raft: Path) -> None:
    seen: list[str] = []
    report = check_grader(each(lambda sample: seen.append(sample.row["question"]) or 1.0), read_references([raft]), most=3)  # type: ignore[func-returns-value]
    assert report.rows == 3
    assert [question[-3:-1] for question in seen[:3]] == [" 0", " 4", " 8"]


@pytest.mark.parametrize(("row", "prompt", "completion"), [
    ({"prompt": "Q", "completion": "A"}, "Q", "A"),
    ({"prompt": "Q", "chosen": "A", "rejected": "B"}, "Q", "A"),
    ({"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}, "Q", "A"),
    ({"text": "This film is really  great fun."}, "This film is really", "  great fun."),
    ({"text": "Good fun.", "label": "good"}, None, None),
    ({"prompt": "Q", "completion": "A", "label": False}, None, None),
    ({"prompt": "Q", "completion": "A", "label": True}, "Q", "A"),
    ({"prompt": "Q", "completion": ""}, None, None),
])  # fmt: skip
def test_references_are_the_rows_own_good_answers(
    row: dict[str, Any], prompt: str | None, completion: str | None, write: Callable[..., Path]
) -> None:
    found = read_references([write("a.jsonl", row, row)])
    assert [(sample.asked, sample.completion) for sample in found] == ([(prompt, completion)] if prompt else [])
    assert all(sample.row == row for sample in found)
    if "text" in row and found:
        assert found[0].read == row["text"]


def test_of_rated_answers_the_better_half(write: Callable[..., Path]) -> None:
    rows = [{"prompt": "Q", "completion": f"A{score}", "score": score} for score in (1, 2, 3, 4)]
    assert [sample.completion for sample in read_references([write("a.jsonl", *rows)])] == ["A3", "A4"]


def test_the_table(raft: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckFailed):
        check([raft], graders=["length:3-12"])
    table = capsys.readouterr().out.partition("the grader length:3-12, tried on 12 answers of the data\n")[2].splitlines()
    assert table[0].split() == ["mean", "score", "rows"]
    assert table[1] == f"  {'reference answers':34}      1.000    12  (median; 1 to 1)"
    assert f"! {'always abstain':34}      1.000     9  {ABSTENTION!r}" in table
    assert table[-1].startswith("  ! reaches the median of the reference answers")
    assert max(map(len, table)) <= 80
    assert check([raft], graders=["length:3-12"], force=True) == 0
    assert check([raft], graders=["citations:literal"]) == 0
    assert "  no attack reaches the reference answers" in capsys.readouterr().out


def test_the_command_and_its_exit_codes(raft: Path, write: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    write("g.py", "print('hello')\ndef good(prompt, completion, row): return completion == row['answer']\n"
          "def bad(prompts, completions, rows): return [1] * len(rows)\ndef broken(prompt, completion, row): return 1 / 0\n"
          "def slow(prompt, completion, row):\n    while True: pass")  # fmt: skip
    assert command(["check", "raft.jsonl", "--grader", "g.py:good", "--json"]) == 0
    out, err = capfd.readouterr()
    document = json.loads(out)["grader"]
    assert "hello" in err
    assert (document["grader"], document["refused"], document["faults"]) == ("g.py:good", False, [])
    assert document["findings"][0]["parts"] == {"g.py:good": document["findings"][0]["mean"]}
    assert command(["check", "raft.jsonl", "--grader", "g.py:bad"]) == 7
    assert command(["check", "raft.jsonl", "--grader", "g.py:bad", "--force"]) == 0
    assert command(["check", "raft.jsonl", "--grader", "g.py:broken"]) == 7
    assert command(["check", "raft.jsonl", "--grader", "g.py:slow", "--grader-timeout", "0.5"]) == 7
    assert command(["check", "raft.jsonl", "--grader", "groundin"]) == 2
    err = capfd.readouterr().err
    assert "g.py:4: def broken(prompt, completion, row): return 1 / 0" in err
    assert "took more than 0.5 s for 12 answers and was ended" in err
    assert "did you mean 'grounding'" in err
    assert json.loads((command(["check", "raft.jsonl", "--json"]), capfd.readouterr().out)[1])["grader"] is None


def test_a_trained_reward_is_attacked_like_any_other(tiny: dict[str, Path], tmp_path: Path) -> None:
    folder = train_adapter(tmp_path / "reward", tiny["llama3"], "reward", max_steps=20, epochs=20.0, learning_rate=3e-3)
    with open_graders([str(folder)], Context()) as grader:
        report = check_grader(grader, read_references([tmp_path / "reward.jsonl"]))
    assert isinstance(grader, WeightedGrader)
    assert report.unstable == 0
    assert {finding.name for finding in report.findings} >= {"empty", "praise", "endless repetition"}
    with pytest.raises((ModelError, UsageError)):
        open_graders([str(tmp_path)], Context())


def test_the_checks_load_no_model_library(raft: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from finetune.commands.check import check\n"
        "check([Path('raft.jsonl')], graders=['grounding:literal', 'format', 'abstention'], force=True)\n"
        "print(sorted({'torch', 'transformers', 'peft', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
