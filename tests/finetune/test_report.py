"""The page of a run: what it says, that it needs nothing from outside, and that no text of a model becomes markup."""

import base64
import json
import math
from collections import Counter
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from finetune.errors import TrainingError
from finetune.run_folder.page import page, picture, preformatted, table, text
from finetune.run_folder.records import RunFolder, Sample
from finetune.run_folder.report import SHOWN_SAMPLES, write_report
from finetune.run_folder.summary import compare, find_faults, number

EVIL = '</pre><script>alert(1)</script><img src="http://example.org/x" onerror=alert(1)>"\'&lt;\x00\u202e'
BEFORE = {"preference_accuracy": {"value": 0.52, "low": 0.45, "high": 0.59}, "eval_loss": {"value": 2.0, "low": 1.8, "high": 2.2}}
AFTER = {"preference_accuracy": {"value": 0.94, "low": 0.9, "high": 0.97}, "eval_loss": {"value": 1.9, "low": 1.7, "high": 2.1}}
CHANGE = {
    "preference_accuracy": {"value": 0.42, "low": 0.35, "high": 0.49},
    "eval_loss": {"value": -0.1, "low": -0.3, "high": 0.1},
}
RESULT = {"before": BEFORE, "after": AFTER, "change": CHANGE, "seconds": 90.4, "tokens_per_s": 5123.4,
          "peak_memory": 3 * 2**29, "stopped_because": "all steps were done", "warnings": []}  # fmt: skip
VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """A page as a browser sees it: tags with attributes, texts, and whether every tag was closed."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def said(self) -> str:
        return "\n".join(self.texts)

    def values(self, attribute: str) -> list[str]:
        return [values[attribute] or "" for _, values in self.tags if attribute in values]


def a_run(folder: Path, *, result: dict[str, Any] | None = None, **changes: Any) -> RunFolder:
    config = {"method": "orpo", "base": "models/small", "rank": 16, "rslora": False, "targets": [], **changes}
    run = RunFolder.create(
        folder, config=config, seed=7, data={"hash": "ab" * 32, "rows": 1200, "files": ["train.jsonl"]},
        command=["finetune", "orpo", "--data", "my rows.jsonl"],
    )  # fmt: skip
    for step in range(1, 6):
        run.log(step, {"loss": 3 / step, "eval_loss": 3.1 / step, "rewards/margins": step, "learning_rate": 1e-4})
    if result is not None:
        run.save_result(result)
    return run


def read(path: Path) -> Page:
    return Page(path.read_text("utf-8"))


def test_the_page_tells_the_whole_run(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", result=RESULT)
    run.save_samples([Sample("Who?", "It depends.", "Ada Brandt [1].", "Ada Brandt")])
    said = read(write_report(run, usage=["assistant ask --adapter out 'Who?'"])).said
    for part in (
        "ORPO on models/small", "models/small was trained by orpo on 1,200 rows from train.jsonl, with seed 7",
        "preference accuracy rose from 0.52 to 0.94: better, by more than chance (the change's 95 % interval, 0.35 to 0.49, ",
        "eval loss fell from 2 to 1.9: this could be chance (the change's 95 % interval, -0.3 to 0.1, contains 0)",
        "0.94 (0.9 to 0.97)", "all steps were done", "90 (1.5 minutes)", "5,123", "1.50 GiB", "Nothing was found", "It depends.",
        "Ada Brandt [1].", "assistant ask --adapter out 'Who?'", "finetune orpo --data 'my rows.jsonl'", "ab" * 32, "rslora\nno",
        "targets\nnone", run.record["versions"]["torch"], run.record["machine"]["processor"],
    ):  # fmt: skip
        assert part in said, part


def test_it_needs_nothing_but_itself(tmp_path: Path) -> None:
    file = write_report(a_run(tmp_path / "run", result=RESULT))
    found = read(file)
    sources = found.values("src")
    assert len(sources) == 3
    for source in sources:
        kind, _, data = source.partition(",")
        assert kind == "data:image/png;base64"
        assert Image.open(BytesIO(base64.b64decode(data, validate=True))).format == "PNG"
    assert all(found.values("alt"))
    assert not {"script", "link", "iframe", "a", "base", "object"} & {tag for tag, _ in found.tags}
    assert not any(found.values(name) for name in ("href", "action", "srcset", "onload", "onerror", "style"))
    assert "default-src 'none'" in "".join(found.values("content"))
    content = file.read_text("utf-8")
    assert "http" not in content.replace("http-equiv", "")
    assert "url(" not in content
    for part in ("@import", "url("):
        assert part not in content
    for part in ("@media print", "prefers-color-scheme: dark"):
        assert part in content
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_a_model_or_a_user_wrote_stays_text(tmp_path: Path) -> None:
    harmless = Counter(tag for tag, _ in read(write_report(filled(tmp_path / "a", "x"), usage=["x"])).tags)
    found = read(write_report(filled(tmp_path / "b", EVIL), usage=[EVIL]))
    assert Counter(tag for tag, _ in found.tags) == harmless
    assert found.said.count("<script>alert(1)</script>") >= 9
    assert not found.values("onerror")


def filled(folder: Path, words: str) -> RunFolder:
    """A run with these words in every place where somebody's words can stand."""
    run = a_run(folder, base=words, **{words: words})
    run.log(6, {f"{words}_loss": math.nan})
    run.save_samples([Sample(words, words, words, words)])
    run.save_result({"before": {words: 1}, "after": {words: 2}, "stopped_because": words, "warnings": [words]})
    return run


@given(st.text(st.characters(codec=None)))
def test_any_text_comes_back_from_the_page(said: str) -> None:
    unseen = {chr(n) for n in [*range(9), 11, *range(12, 32), *range(127, 160), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF]}
    expected = "".join("\ufffd" if letter in unseen else letter for letter in said.replace("\r\n", "\n"))
    content = page(said, [("", preformatted(said)), ("t", table([(said, said)]))]).decode("utf-8")
    assert "".join(Page(f"<p>{text(said)}</p>").texts) == expected
    assert Page(content).said.count(expected) >= 4


def test_attributes_and_first_line_breaks_are_kept_too() -> None:
    ((_, attributes),) = Page(picture(b"", said=EVIL)).tags[1:]
    assert attributes["alt"] == EVIL.replace("\x00", "\ufffd")
    assert set(attributes) == {"alt", "src"}
    assert preformatted("\nx") == '<pre dir="auto">\n\nx</pre>'  # a browser drops the first line break in it


def test_a_run_that_was_interrupted_has_a_page_too(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", config={}, seed=0, data={"hash": "0"})
    found = read(write_report(run))
    assert "This run has not ended" in found.said
    assert "begun from Python" in found.said
    assert not found.values("src")
    assert "What came of it" not in found.said
    assert "How to use it" not in found.said


def test_only_so_many_samples_are_shown_and_the_rest_is_counted(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    run.save_samples([Sample(f"prompt number {n}.", "a", "b") for n in range(SHOWN_SAMPLES + 3)])
    said = read(write_report(run)).said
    assert said.count("prompt number") == SHOWN_SAMPLES
    assert "3 more are in samples.jsonl" in said


def interval(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


@pytest.mark.parametrize(
    ("name", "before", "after", "change", "verdict"),
    [
        ("accuracy", interval(0.5, 0.4, 0.6), interval(0.7, 0.6, 0.8), interval(0.2, 0.1, 0.3), "better"),
        ("accuracy", interval(0.7, 0.6, 0.8), interval(0.5, 0.4, 0.6), interval(-0.2, -0.3, -0.1), "worse"),
        ("bits_per_character", 2.0, 1.0, interval(-1.0, -1.1, -0.9), "better"),
        ("eval_loss", 1.0, 2.0, interval(1.0, 0.5, 1.5), "worse"),
        ("words", 40, 12, interval(-28, -30, -26), "changed"),
        ("accuracy", 0.5, 0.7, interval(0.2, 0.0, 0.4), "could be chance"),
        ("accuracy", interval(0.5, 0.4, 0.6), interval(0.7, 0.61, 0.8), None, "better"),
        ("accuracy", interval(0.5, 0.4, 0.6), interval(0.7, 0.6, 0.8), None, "could be chance"),
        ("accuracy", 0.5, interval(0.7, 0.6, 0.8), None, "no interval"),
        ("eval_loss", 1.0, "nan", None, "diverged"),
        ("accuracy", None, 0.5, None, None),
        ("accuracy", 0.5, None, None, None),
    ],
)
def test_verdicts(name: str, before: Any, after: Any, change: Any, verdict: str | None) -> None:
    (found,) = compare({"before": {name: before}, "after": {name: after}, "change": {name: change}})
    assert found.verdict == verdict


def test_sentences_of_what_has_no_change() -> None:
    result = {"before": {"a": 1.0, "gone": 0.25}, "after": {"a": 1.0, "new": interval(0.5, 0.4, 0.6), "b": "nan"}}
    said = [one.sentence for one in compare({**result, "before": {**result["before"], "b": 2.0}})]
    assert said == [
        "a stayed at 1: without intervals nobody can say whether this is chance.",
        "gone was 0.25 before training, and not measured at the other time.",
        "b went from 2 to not a number: this is not a result.",
        "new was 0.5 (0.4 to 0.6) after training, and not measured at the other time.",
    ]


def test_faults_that_the_records_show() -> None:
    metrics = {"loss": [(1, 2.0), (2, math.nan), (3, math.inf)], "eval_loss": [(1, 2.0), (2, 1.0), (3, 1.5)]}
    record = {"resumed": [{"time": "T", "versions": {"torch": ["1", "2"]}}, {"time": "U", "versions": {}}],
              "data": {"warnings": ["12 rows are too long"]}}  # fmt: skip
    found = find_faults(metrics, {"warnings": ["an end token was never seen"]}, record)
    assert found == [
        "loss was not a number 2 times, first at step 2: training diverged there.",
        "The held-out loss was lowest at step 2 (1) and ended at 1.5: "
        "a sign that from there on the model learned its rows by heart.",
        "It was resumed at T with other versions: torch 1 → 2.",
        "12 rows are too long",
        "an end token was never seen",
    ]
    assert find_faults({"eval_loss": [(1, 2.0), (2, 1.0), (3, 1.01)]}, {}, {}) == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.12345678, "0.1235"), (3.0, "3"), (-2.5e-7, "-2.5e-07"), (12345.6, "12,346"), (math.nan, "not a number"),
     (math.inf, "inf"), (1e300, "1e+300")],
)  # fmt: skip
def test_numbers_for_people(value: float, shown: str) -> None:
    assert number(value) == shown


def test_answers_over_time_are_shown_as_text_with_step_and_score(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    lines = [{"step": step, "prompt": prompt, "answer": f"{EVIL} {step}", "reward": step / 8}
             for step in (0, 3) for prompt in ("Where?", EVIL, "Where?")]  # fmt: skip
    (run.folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    content = write_report(run).read_text()
    found = Page(content)
    assert "<script>alert" not in content
    assert content.count('<table><tr><th scope="col">step</th>') == 3  # a prompt that is there twice has two
    assert found.said.count("0.375") == 3
    assert f"{EVIL} 3".replace("\x00", "\ufffd") in found.texts


def test_attacks_and_two_graders_are_tables(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    interval = {"value": 1.0, "low": 0.5, "high": 1.5}
    middles = {"mean": 0.0, "median": 0.1}
    one = {"name": EVIL, "n": 200, "before": middles, "after": middles, "change": {"mean": interval, "median": interval}}
    run.save_result(RESULT | {"graders": [one | {"role": "learned from"}, one | {"role": "held out"}]})
    attack = {"name": "praise", "rows": 4, "mean": 2.0, "reached": True, "parts": {}, "example": EVIL}
    run.save_grader({"grader": EVIL, "rows": 4, "median": 1.0, "faults": ["praise wins"], "findings": [attack]})
    found = Page(write_report(run).read_text())
    assert found.texts.count("1 (0.5 to 1.5)") == 4
    assert "because it was told to (--force): praise wins." in found.said
    assert "reaches the references" in found.texts
    assert not any(tag == "script" for tag, _ in found.tags)


def test_answers_that_are_damaged_are_said(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    (run.folder / "answers.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(TrainingError, match=r"answers\.jsonl': a line of it is no answer"):
        write_report(run)
