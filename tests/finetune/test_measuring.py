"""Figures of a model on held-out rows, against the same figures worked out another way."""

import math
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_gpt2
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from assistant.models.quiet import quiet
from finetune import evaluation
from finetune.data.rows import Place, Text
from finetune.encoding import Encoding, Features
from finetune.evaluation import (
    answer_prompts,
    calibration_error,
    groups,
    measure_judged,
    measure_learned,
    measure_pairs,
    measuring,
    summarise,
)
from finetune.formatting import Formatter
from finetune.samples import write_samples
from finetune.statistics import wilson

PAD = 0
PAIRS = [
    ([256, 5, 6], [40, 263], [50, 51, 52, 263]),
    ([256, 7], [60, 61, 62, 263], [70, 263]),
    ([256, 8, 9], [41, 263], [42, 263]),
]


def encoding(features: list[Features]) -> Encoding:
    return Encoding(tuple(features), (Text("x", Place(Path("f"), 1)),) * len(features), ())


@pytest.fixture(scope="module")
def model(tiny: dict[str, Path]) -> Any:
    with quiet():
        return AutoModelForCausalLM.from_pretrained(tiny["llama3"], dtype=torch.float32, attention_dropout=0.5)


@torch.no_grad()
def log_probs(model: Any, prompt: list[int], answer: list[int]) -> list[float]:
    """One sequence at a time, without padding."""
    model.eval()
    logits = model(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
    return [float(logits[len(prompt) + at - 1, each]) for at, each in enumerate(answer)]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_of_learned_text_it_is_the_surprise_a_learned_token_and_a_character(model: Any) -> None:
    rows: list[Features] = []
    surprise = []
    for prompt, answer, _ in PAIRS:
        labels = [-100] * len(prompt) + answer
        rows.append({"input_ids": prompt + answer, "labels": labels, "length": len(labels), "characters": 4.0})
        surprise.append([-each for each in log_probs(model, prompt, answer)])
    rows.append({"input_ids": [5, 6, 7], "labels": [5, 6, 7], "length": 3, "characters": 4.0})  # the first follows nothing
    surprise.append([-each for each in log_probs(model, [5], [6, 7])])
    found = measure_learned(model, encoding(rows), PAD)
    assert found["nll"] == pytest.approx([mean(each) for each in surprise], abs=1e-5)
    assert found["bits_per_character"] == pytest.approx([sum(each) / math.log(2) / 4 for each in surprise], abs=1e-5)


def test_of_pairs_it_is_which_answer_is_likelier_a_token(model: Any) -> None:
    rows = [
        {
            "prompt_ids": prompt,
            "chosen_ids": chosen,
            "rejected_ids": rejected,
            "length": len(prompt) + max(len(chosen), len(rejected)),
        }
        for prompt, chosen, rejected in PAIRS
    ]
    margins = [
        mean(log_probs(model, prompt, chosen)) - mean(log_probs(model, prompt, rejected)) for prompt, chosen, rejected in PAIRS
    ]
    found = measure_pairs(model, encoding(rows), PAD)
    assert found["margin"] == pytest.approx(margins, abs=1e-5)
    assert found["accuracy"] == [float(margin > 0) for margin in margins]
    assert found["length_rule_accuracy"] == [0.0, 1.0, 0.5]
    swapped = [row | {"chosen_ids": row["rejected_ids"], "rejected_ids": row["chosen_ids"]} for row in rows]
    assert measure_pairs(model, encoding(swapped), PAD)["margin"] == pytest.approx([-margin for margin in margins], abs=1e-5)


def judged(model: Any) -> tuple[list[Features], list[float]]:
    answers = [(prompt, answer) for prompt, chosen, rejected in PAIRS for answer in (chosen, rejected)]
    rows: list[Features] = [
        {"prompt_ids": prompt, "completion_ids": answer, "label": at in (0, 3, 4), "length": len(prompt) + len(answer)}
        for at, (prompt, answer) in enumerate(answers)
    ]
    return rows, [mean(log_probs(model, prompt, answer)) for prompt, answer in answers]


def test_of_judged_answers_it_is_the_area_under_the_curve(model: Any) -> None:
    rows, means = judged(model)
    good, bad = [means[at] for at in (0, 3, 4)], [means[at] for at in (1, 2, 5)]
    found = measure_judged(model, encoding(rows), PAD)
    assert found == {"auc": [sum(one > other for other in bad) / 3 for one in good]}
    assert measure_judged(model, encoding([row | {"label": True} for row in rows]), PAD) == {}
    twins = [rows[0], rows[0] | {"label": False}]
    assert measure_judged(model, encoding(twins), PAD) == {"auc": [0.5]}


def means_of(model: Any, rows: list[Features]) -> list[float]:
    learned: list[Features] = []
    for row in rows:
        whole, labels = row["prompt_ids"] + row["completion_ids"], [-100] * len(row["prompt_ids"]) + row["completion_ids"]
        learned.append({"input_ids": whole, "labels": labels, "length": row["length"], "characters": 1.0})
    return measure_learned(model, encoding(learned), PAD)["nll"]


@pytest.mark.parametrize("most", [1, 20, 10**6])
def test_how_many_are_measured_at_once_changes_nothing(most: int, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = judged(model)
    before = means_of(model, rows)
    monkeypatch.setattr(evaluation, "BATCH_TOKENS", most)
    assert means_of(model, rows) == pytest.approx(before, abs=1e-5)


@given(st.lists(st.integers(1, 9000), max_size=20), st.sampled_from([1, 2]))
def test_groups_are_all_rows_in_order_and_have_room(lengths: list[int], sides: int) -> None:
    rows: list[Features] = [{"length": length} for length in lengths]
    found = list(groups(rows, sides=sides))
    assert [row for group in found for row in group] == rows
    assert all(len(g) == 1 or sides * len(g) * max(row["length"] for row in g) <= evaluation.BATCH_TOKENS for g in found)
    for one, other in pairwise(found):  # none could have taken the next one as well
        joined = [*one, other[0]]
        assert sides * len(joined) * max(row["length"] for row in joined) > evaluation.BATCH_TOKENS


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_a_model_as_it_was_even_when_it_fails(training: bool, model: Any) -> None:
    model.train(training)
    with suppress(ZeroDivisionError), measuring(model):
        assert not model.training
        assert not torch.is_grad_enabled()
        _ = 1 / 0
    assert model.training == training
    assert torch.is_grad_enabled()


def test_figures_of_a_model_in_training_are_without_its_dropout(model: Any) -> None:
    rows, _ = judged(model)
    model.train()
    assert measure_judged(model, encoding(rows), PAD) == measure_judged(model, encoding(rows), PAD)
    model.eval()


def test_an_answer_is_the_likeliest_token_again_and_again(model: Any) -> None:
    prompt, written = [256, 5, 6, 7], list[int]()
    with torch.no_grad():
        for _ in range(6):
            written.append(int(model(torch.tensor([prompt + written])).logits[0, -1].argmax()))
    assert answer_prompts(model, [prompt, prompt[:2]], stop=263, padding=259, most=6)[0] == written
    stopped = answer_prompts(model, [prompt], stop=written[2], padding=259, most=6)[0]
    assert stopped == written[: written.index(written[2]) + 1]


def test_samples_end_where_the_bases_context_does(tmp_path: Path) -> None:
    folder = tiny_gpt2(tmp_path / "short", n_positions=24)  # whose position 24 would be a lookup beyond the table
    with quiet():
        short = AutoModelForCausalLM.from_pretrained(folder)
    prompts = [{"prompt_ids": [65] * 20, "length": 20}, {"prompt_ids": [66] * 5, "length": 5}]
    samples = write_samples(short, encoding(prompts), Formatter.open(str(folder)), count=2)
    assert len(samples) == 2


def test_a_share_has_wilsons_interval_and_a_mean_the_bootstraps() -> None:
    found = summarise({"accuracy": [1.0, 1.0, 0.0, 1.0], "margin": [1.0, 2.0, 3.0], "auc": []})
    share = wilson(3, 4)
    assert found["accuracy"] == {"value": 0.75, "low": share.low, "high": share.high}
    assert found["margin"]["value"] == pytest.approx(2.0)
    assert 1 <= found["margin"]["low"] < 2 < found["margin"]["high"] <= 3
    assert set(found) == {"accuracy", "margin"}
    assert summarise({"accuracy": [1.0] * 20})["accuracy"]["low"] < 0.9  # a bootstrap would be sure


def certainty(value: float) -> float:
    """The margin at which a reward model is so sure."""
    return math.log(value / (1 - value))


def test_calibration_by_hand() -> None:
    """Ten bins of 0.05: {0.52, 0.53} half right, {0.91, −0.93} half right, {0.99} right."""
    margins = [certainty(0.52), -certainty(0.53), certainty(0.91), -certainty(0.93), certainty(0.99)]
    gaps = abs(0.52 + 0.53 - 1) + abs(0.91 + 0.93 - 1) + abs(0.99 - 1)
    assert calibration_error(margins) == pytest.approx(gaps / 5)
    one = [certainty(0.6), certainty(0.9), -certainty(0.7)]
    assert calibration_error(one, bins=1) == pytest.approx(abs(0.6 + 0.9 + 0.7 - 2) / 3)
    assert calibration_error([1e6, -1e6]) == pytest.approx(0.5)
    assert calibration_error([0.0]) == pytest.approx(0.5)
    assert math.isnan(calibration_error([]))


@given(st.lists(st.floats(-60, 60), min_size=1, max_size=30), st.integers(1, 12))
def test_calibration_is_a_share_and_an_order_doesnt_matter(margins: list[float], bins: int) -> None:
    found = calibration_error(margins, bins=bins)
    assert 0 <= found <= 1
    assert calibration_error(sorted(margins), bins=bins) == pytest.approx(found)
