"""The gate's statistics and its verdict: on figures made up for the purpose, and on a scripted model over a real index."""

import json
import math
import random
import stat
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedModel, an_abstention, an_answer
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.adapters.folder import read_gate
from assistant.adapters.gate import Gate, Side, decide, power, side
from assistant.adapters.selection import Chosen
from assistant.answering import Assistant
from assistant.commands.evaluate import _answering, _keep
from assistant.errors import CheckFailed, StorageFull, UsageError
from assistant.gating import METRICS, citations_of, hold, judge
from assistant.paired import LEAST_DIFFERING, Difference, Tally, difference, median_ratio
from assistant.records import Sentence, Trace
from assistant.rendering.evaluation import render_gate
from assistant.rendering.screen import Screen
from assistant.settings import load_settings
from indexes.build import RootRequest, build_index
from indexes.evaluation import paired_difference
from indexes.export import load_embedder
from indexes.questions_file import LabelledQuestion
from indexes.search import Searcher

A = Chosen("concise", Path("concise"), f"{'a' * 64}-{'0' * 16}")
B = Chosen("formal", Path("formal"), f"{'b' * 64}-{'0' * 16}")
QUESTION = "How many litres does the pump hold?"
RIGHT, WRONG = "The pump holds 40 litres of water. [1]", "The pump holds 90 litres. [1]"

QUICK = settings(deadline=None, max_examples=25)  # each draws 2,000 samples


def scores(*values: float) -> list[Tally]:
    return [Tally(value, 1) for value in values]


def compared(ours: Sequence[Tally], theirs: Sequence[Tally]) -> Difference:
    found = difference(ours, theirs)
    assert found is not None
    return found


@QUICK
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=30))
def test_of_means_the_difference_is_the_paired_one(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = zip(*pairs, strict=True)
    found, plain = compared(scores(*ours), scores(*theirs)), paired_difference(ours, theirs)
    assert (found.difference, found.low, found.high) == pytest.approx((plain.value, plain.low, plain.high), abs=1e-9)


def test_visible_is_2_8_standard_errors_of_the_paired_differences() -> None:
    draw = random.Random(1)
    ours, theirs = ([draw.random() for _ in range(90)] for _ in range(2))
    sd = statistics.stdev(a - b for a, b in zip(ours, theirs, strict=True))
    assert compared(scores(*ours), scores(*theirs)).visible == pytest.approx(2.8 * sd / math.sqrt(90))


def test_a_regression_of_the_visible_size_is_found_in_about_four_of_five_runs() -> None:
    draw, runs = random.Random(2), []
    for _ in range(80):
        base = [draw.random() < 0.6 for _ in range(100)]
        worse = [draw.random() < (0.78 if right else 0.055) for right in base]  # 11 points fewer on average
        runs.append(compared(scores(*map(float, worse)), scores(*map(float, base))))
    assert statistics.mean(run.visible for run in runs) == pytest.approx(0.11, abs=0.01)
    assert 0.7 < statistics.mean(run.regressed for run in runs) < 0.92


def test_a_precision_counts_what_each_side_cited_or_refused() -> None:
    ours = [Tally(1, 2), Tally(), Tally(0, 1), Tally(1, 1)]
    found = compared(ours, [Tally(2, 2), Tally(1, 1), Tally(), Tally()])
    assert (found.adapter, found.baseline, found.n, found.differing) == (0.5, 1.0, 4, 4)
    assert found.low <= found.difference == -0.5 <= found.high
    assert difference(ours, [Tally()] * 4) is None


@QUICK
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=20))
def test_a_side_against_itself_is_equal_and_says_what_it_could_not_have_seen(pairs: list[tuple[int, int]]) -> None:
    tallies = [Tally(min(pair), max(pair)) for pair in pairs]
    if (found := difference(tallies, tallies)) is not None:
        assert (found.difference, found.low, found.high, found.differing) == (0, 0, 0, 0)
        assert found.visible >= min(1, 8 / len(pairs))


@pytest.mark.parametrize("worse", [LEAST_DIFFERING - 1, LEAST_DIFFERING])
def test_fewer_than_six_questions_that_differ_are_no_regression(worse: int) -> None:
    found = compared(scores(*[0.0] * worse, *[1.0] * 10), scores(*[1.0] * (worse + 10)))
    assert found.high < 0
    assert found.regressed == (worse == LEAST_DIFFERING)


def test_medians_are_compared_as_a_ratio() -> None:
    found = median_ratio([2.0, 4.0, 6.0] * 9, [1.0, 2.0, 3.0] * 9)
    assert found.value == 2 == found.low == found.high


def a_difference(value: float, low: float, high: float) -> Difference:
    return Difference(0.6 + value, 0.6, value, low, high, visible=0.07, n=90, differing=20)


def test_the_verdict_follows_the_intervals_and_says_how_much_was_asked() -> None:
    equal, worse = a_difference(0.01, -0.05, 0.07), a_difference(-0.12, -0.2, -0.04)
    assert decide({"token_f1": equal}, 90) == ("passed", "no metric is worse")
    assert decide({"token_f1": equal, "answered": worse}, 90) == ("failed", "answered fell by 12 points, from 0.600 to 0.480")
    assert decide({"answered": worse}, 12)[0] == "failed"
    assert decide({"token_f1": equal}, 12)[0] == decide({}, 90)[0] == "undecided"
    assert power({"token_f1": equal}) == (
        "with 90 questions a difference of about 7 points in token_f1 would have been seen in 4 of 5 such runs"
    )


def test_sides_are_named_and_known_by_their_weights() -> None:
    assert side((A, replace(B, name="/elsewhere/formal", scale=0.5))) == Side(
        "concise+formal*0.5", f"{'a' * 64}+{'b' * 64}", f"{'0' * 16}+{'0' * 16}"
    )
    assert side(()) == Side(None, None)


@pytest.mark.parametrize(
    ("written", "verdicts", "expected"),
    [
        (f"{RIGHT} It is blue. [1]", ["supported", "not_found"], Tally(1, 2)),
        (f"It is blue. {RIGHT}", ["not_found", "supported"], Tally(1, 1)),
        (f"{RIGHT} {RIGHT}", ["supported"], Tally(2, 2)),
        ("It is blue.", ["not_found"], Tally(0, 0)),
        ("", [], Tally(0, 0)),
    ],
)
def test_citation_precision_counts_the_markers_that_the_model_wrote(written: str, verdicts: list[Any], expected: Tally) -> None:
    sentences = tuple(Sentence("…", verdict, ()) for verdict in verdicts)
    answer = an_answer(sentences=sentences, trace=Trace("q", (), 0, None, written=written))
    assert citations_of(answer) == expected
    refused = an_abstention(trace=Trace("q", (), 0, None, written=written))
    assert citations_of(refused) == Tally(0, expected.of)


class Adapted(ScriptedModel):
    """Says one thing with each adapter, and something else without."""

    identity: Mapping[str, object] = {"kind": "scripted", "weights": "w", "dtype": "torch.float32"}

    def __init__(self, says: Mapping[str | None, str]) -> None:
        super().__init__()
        self.says, self.swaps = says, [None]

    def use_adapters(self, selections: Mapping[Any, Any], announce: Any = None) -> None:
        self.swaps.append(selections["answer"][0].name if selections else None)

    @property
    def adapter(self) -> str | None:  # type: ignore[override]
        return self.swaps[-1]

    def stream(self, prompt: Any) -> Iterator[str]:
        self.prompts.append(prompt)
        yield self.says[self.swaps[-1]]


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory, exported_models: Path) -> Iterator[Searcher]:
    folder, embedder = tmp_path_factory.mktemp("gating"), load_embedder("all-MiniLM-L6-v2", exported_models)
    (folder / "docs").mkdir()
    (folder / "docs" / "pump.md").write_text("# The pump\n\nThe pump holds 40 litres of water. It is filled at the north gate.\n")
    build_index(folder / "index", [RootRequest(folder / "docs")], open_embedder=lambda _: embedder)
    with Searcher([folder / "index"], open_embedder=lambda _: embedder) as opened:
        yield opened


def asked(count: int) -> list[LabelledQuestion]:
    known = [LabelledQuestion(str(at), QUESTION, ("pump.md",), ("40 litres",), False) for at in range(count)]
    return [*known, LabelledQuestion("x", "Who won the football World Cup in 2014?", (), (), True)]


def gate_of(searcher: Searcher, count: int, says: Mapping[str | None, str]) -> tuple[Gate, Adapted]:
    model = Adapted(says)
    assistant = Assistant(searcher=searcher, model=model)
    sides: dict[str, Any] = {"ours": {"answer": (A,)}, "theirs": {}}
    contest = hold(assistant, asked(count), **sides)
    return judge(assistant, contest, **sides, file={"file": "q.jsonl", "hash": "h"}), model


def test_both_sides_answer_from_the_same_passages_with_two_swaps(searcher: Searcher) -> None:
    gate, model = gate_of(searcher, 7, {"concise": WRONG, None: RIGHT})
    assert model.swaps == [None, "concise", None]
    assert model.prompts[:7] == model.prompts[7:]  # the unanswerable one reached neither
    assert gate.verdict == "failed"
    found = gate.metrics
    assert [found[name].difference for name in ("answer_contained", "right_source", "citation_precision", "answered")] == [-1] * 4
    assert (found["abstention_recall"].difference, found["abstention_precision"].adapter) == (0, 1 / 8)
    assert list(found) == [name for name in METRICS if name in found]
    assert gate.latency is not None


def test_an_adapter_like_the_base_passes_and_a_few_questions_decide_nothing(searcher: Searcher) -> None:
    for count, verdict in ((29, "passed"), (5, "undecided")):
        gate, _ = gate_of(searcher, count, {"concise": RIGHT, None: RIGHT})
        assert gate.verdict == verdict
        assert {found.difference for found in gate.metrics.values()} == {0}


def test_ctrl_c_while_an_answer_is_written_ends_the_gate(searcher: Searcher) -> None:
    class Stopped(Adapted):
        def stream(self, prompt: Any) -> Iterator[str]:
            yield "The pump"
            raise KeyboardInterrupt

    steps: list[tuple[int, int]] = []
    with pytest.raises(KeyboardInterrupt):
        hold(
            Assistant(searcher=searcher, model=Stopped({})),
            asked(2),
            ours={},
            theirs={},
            on_progress=lambda *at: steps.append(at),
        )
    assert steps == [(1, 9), (2, 9), (3, 9)]


@pytest.fixture(scope="module")
def failed(searcher: Searcher) -> Gate:
    return gate_of(searcher, 7, {"concise": WRONG, None: RIGHT})[0]


def test_gate_json_is_read_back_for_the_weights_it_speaks_of(failed: Gate, tmp_path: Path) -> None:
    path = failed.write(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["gate.json"]
    said = read_gate(tmp_path, "a" * 64, "0" * 16)
    assert said == json.loads(path.read_text()) == failed.document
    assert (said["verdict"], said["questions"]) == ("failed", {"file": "q.jsonl", "hash": "h", "n": 8})
    assert said["settings_hash"] == "0" * 16
    assert read_gate(tmp_path, "b" * 64, "0" * 16) is None
    assert read_gate(tmp_path, "a" * 64, "1" * 16) is None


def test_a_verdict_belongs_to_one_adapter_at_full_strength_on_a_base_that_is_known(failed: Gate) -> None:
    assert failed.place((A,)) == A.folder
    assert [failed.place(each) for each in ((), (A, B), (A.at(0.5),))] == [None] * 3
    assert replace(failed, setting={"base": None}).place((A,)) is None


def test_the_table_shows_both_sides_and_marks_what_is_worse(failed: Gate) -> None:
    lines = [line.plain for line in render_gate(failed)]
    assert lines[0] == "8 questions, concise against the base, from the same passages"
    (row,) = [line for line in lines if line.strip().startswith("answered ")]
    assert row.split() == ["answered", "0.000", "1.000", "-1.000", "[-1.000,", "-1.000]", "1.000", "worse"]
    assert any(line.startswith("failed: token_f1 fell by") for line in lines)


def test_a_folder_that_cannot_be_written_is_told_after_the_verdict(
    failed: Gate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = {"answer": (replace(A, folder=tmp_path / "gone"),)}
    with pytest.raises(CheckFailed, match="concise is worse than the base in token_f1, answer_contained"):
        _keep(failed, missing, Screen(load_settings({})))
    assert "gone/gate.json" in capsys.readouterr().err
    with pytest.raises(StorageFull, match=r"gone/gate\.json"):
        _keep(replace(failed, verdict="passed"), missing, Screen(load_settings({})))


def test_an_adapter_for_another_step_is_refused() -> None:
    assert _answering("none", {}) == {}
    with pytest.raises(UsageError, match="is for rewrite"):
        _answering("formal", {"rewrite": (B,)})
