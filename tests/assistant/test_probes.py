"""Questions made from an index, and the threshold that follows from how they are answered."""

from pathlib import Path

import pytest
from fakes import a_hit
from hypothesis import given
from hypothesis import strategies as st

from assistant.grounding.probes import MOST_LOST, MOST_WRONG, adopt, make_probes, probe_index, probe_of, report_on, threshold_of
from assistant.language.sentences import split_units
from indexes.build import build_index
from indexes.embedding import OnnxEmbedder
from indexes.export import load_embedder
from indexes.roots import RootRequest
from indexes.search import Searcher
from indexes.store import Store

PROBABILITY = st.lists(st.floats(0, 1), max_size=40)


@pytest.fixture(scope="module")
def embedder(exported_models: Path) -> OnnxEmbedder:
    return load_embedder("all-MiniLM-L6-v2", exported_models)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, embedder: OnnxEmbedder) -> Path:
    folder = tmp_path_factory.mktemp("probes")
    docs = folder / "docs"
    docs.mkdir()
    for thing, litres in (("pump", 40), ("tank", 900), ("kettle", 3)):
        (docs / f"{thing}.md").write_text(
            f"# The {thing}\n\nThe big {thing} behind the old house holds {litres} litres of clean water.\n"
        )
    build_index(folder / "index", [RootRequest(docs)], open_embedder=lambda _: embedder)
    return folder / "index"


def made(text: str) -> tuple[str, str] | None:
    passage = a_hit(text=text).passage
    probe = probe_of(passage, split_units(passage)[0])
    return (probe.question, probe.answer) if probe else None


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        ("A full backup of the server is made every night at 02:40.", "backup of the server", "02:40"),
        ("A lost membership card is replaced at the office for 8.50 euros.", "replaced at the office", "8.50"),
        ("The turbine in the Lindarn stream supplies up to 11.5 kilowatts.", "Lindarn stream supplies", "11.5"),
    ],
)
def test_what_is_asked_for_is_taken_out_whole(text: str, question: str, answer: str) -> None:
    probe = made(text)
    assert probe
    assert (question in probe[0], answer in probe[1], answer in probe[0]) == (True, True, False)


@pytest.mark.parametrize(
    "text", ["It costs 12 euros at the door of the house there.", "Twelve euros.", "The door is blue and old."]
)
def test_no_question_is_made_of_what_leans_or_is_short_or_says_no_amount(text: str) -> None:
    assert made(text) is None


def test_the_same_index_makes_the_same_probes(index: Path) -> None:
    store = Store(index)
    try:
        assert make_probes(store, 5) == make_probes(store, 5)
        assert {probe.answer for probe in make_probes(store, 5)} == {"40", "900", "3"}
    finally:
        store.close()


def test_probing_asks_with_and_without_the_source(index: Path, embedder: OnnxEmbedder) -> None:
    steps: list[int] = []
    with Searcher([index], open_embedder=lambda _: embedder) as searcher:
        report = probe_index(index, searcher, progress=lambda done, _: steps.append(done))
    assert (report.asked, report.answered, report.left_out, steps) == (3, 3, 3, [1, 2, 3])


def test_a_threshold_is_used_once_it_is_adopted(tmp_path: Path) -> None:
    assert threshold_of([tmp_path]) is None
    adopt(tmp_path, report_on([0.9] * 20, [0.5] * 20, shipped=0.4, generation=1))
    assert threshold_of([tmp_path]) == pytest.approx(0.5, abs=1e-3)
    (tmp_path / "abstention.json").write_text("broken")
    assert threshold_of([tmp_path]) is None


def test_a_threshold_that_would_cost_too_much_is_not_proposed() -> None:
    report = report_on([0.5] * 20, [0.6] * 20, shipped=0.4, generation=1)
    assert (report.threshold, report.answered, report.wrongly_answered) == (0.4, 20, 20)


@given(PROBABILITY, PROBABILITY, st.floats(0, 1))
def test_a_threshold_is_never_looser_and_never_costs_more_than_allowed(
    present: list[float], absent: list[float], shipped: float
) -> None:
    report = report_on(present, absent, shipped=shipped, generation=1)
    assert report.threshold >= shipped
    assert report.answered >= report.answered_before - MOST_LOST * len(present)
    assert report.wrongly_answered <= max(report.wrongly_answered_before, MOST_WRONG * len(absent))
