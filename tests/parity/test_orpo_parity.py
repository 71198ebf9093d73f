"""Our ORPO against TRL's experimental one, on the same model and the same rows, and against a number worked by hand."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_models import tiny_llama3
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from assistant.models.quiet import quiet
from finetune.log_probs import pad, row_sums, token_log_probs
from finetune.orpo import OrpoTrainer, collate, orpo_loss

BETA = 0.3
ROWS = [
    {"prompt_ids": [256, 5, 6, 7], "chosen_ids": [40, 41, 263], "rejected_ids": [50, 51, 52, 53, 263]},
    {"prompt_ids": [256, 9], "chosen_ids": [60, 61, 62, 263], "rejected_ids": [70, 263]},
    {"prompt_ids": [256, 9, 9, 3, 4], "chosen_ids": [80, 263], "rejected_ids": [40, 41, 42, 263]},
]


@pytest.fixture(scope="module")
def theirs() -> Any:
    """TRL's trainer, without a training: what its loss reads of itself."""
    with pytest.MonkeyPatch.context() as patch, quiet():
        patch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
        from trl.experimental.orpo import ORPOTrainer

    class Bare(ORPOTrainer):
        def __init__(self) -> None:
            self.beta, self.is_encoder_decoder, self.padding_value, self.aux_loss_enabled = BETA, False, 0, False
            self.accelerator = SimpleNamespace(device=torch.device("cpu"), gather_for_metrics=lambda value: value)

    return Bare()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with quiet():
        folder = tiny_llama3(tmp_path_factory.mktemp("base") / "llama3")
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()  # type: ignore[no-untyped-call]


def as_trl_collates() -> dict[str, torch.Tensor]:
    batch: dict[str, torch.Tensor] = {}
    for side in ("chosen", "rejected"):
        whole: list[list[int]] = [row["prompt_ids"] + row[f"{side}_ids"] for row in ROWS]
        labels: list[list[int]] = [[-100] * len(row["prompt_ids"]) + row[f"{side}_ids"] for row in ROWS]
        batch[f"{side}_input_ids"], batch[f"{side}_labels"] = pad(whole, 0), pad(labels, -100)
        batch[f"{side}_attention_mask"] = pad([[1] * len(row) for row in whole], 0)
    return batch


def mean_log_probs(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    batch = collate(ROWS, 0)
    sums, counts = row_sums(
        token_log_probs(model, batch["input_ids"], batch["attention_mask"], batch["learned"]), batch["learned"]
    )
    means = sums / counts
    return means[: len(ROWS)], means[len(ROWS) :]


def gradient(loss: torch.Tensor, model: Any) -> torch.Tensor:
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)])


def test_a_batch_has_trls_log_probabilities_loss_and_gradients(theirs: Any, model: Any) -> None:
    batch = as_trl_collates()
    chosen, rejected, _, _, nll = theirs.concatenated_forward(model, batch)
    ours = mean_log_probs(model)
    torch.testing.assert_close(ours[0], chosen, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours[1], rejected, atol=1e-5, rtol=1e-5)
    found = orpo_loss(*ours, nll, BETA)  # their NLL is over the prompt as well
    loss, said = theirs.get_batch_loss_metrics(model, batch)
    torch.testing.assert_close(found.loss, loss, atol=1e-5, rtol=1e-5)
    assert float(found.odds_ratio.detach()) == pytest.approx(-said["log_odds_ratio"], abs=1e-5)
    assert float(found.log_odds.detach()) == pytest.approx(said["log_odds_chosen"], abs=1e-5)
    assert float(found.accuracy) == pytest.approx(said["rewards/accuracies"])
    torch.testing.assert_close(gradient(found.loss, model), gradient(loss, model), atol=1e-4, rtol=1e-4)


def test_a_trainers_loss_is_that_of_the_chosen_answers_and_the_odds_ratio(model: Any) -> None:
    trainer = OrpoTrainer.__new__(OrpoTrainer)
    trainer._beta, trainer._seen = BETA, {"train": {}, "eval": {}}
    batch = as_trl_collates()
    given = {"input_ids": batch["chosen_input_ids"], "attention_mask": batch["chosen_attention_mask"]}
    nll = model(**given, labels=batch["chosen_labels"]).loss  # of the answers' tokens alone
    expected = orpo_loss(*mean_log_probs(model), nll, BETA)
    torch.testing.assert_close(trainer.compute_loss(model, collate(ROWS, 0)), expected.loss, atol=1e-5, rtol=1e-5)
    assert trainer._seen["eval"]["nll"] == [pytest.approx(float(nll.detach()), abs=1e-5)]
    assert trainer._seen["eval"]["rewards/accuracy"] == [pytest.approx(float(expected.accuracy))]


def test_on_any_log_probabilities_the_odds_ratio_and_its_gradient_are_trls(theirs: Any) -> None:
    drawn = -torch.rand(2, 64, generator=torch.Generator().manual_seed(0)).mul(6).exp2().sub(1).add(1e-3)  # −63 … −0.001
    ours, given = drawn.clone().requires_grad_(), drawn.clone().requires_grad_()
    losses, _, _, ratio, log_odds = theirs.odds_ratio_loss(given[0], given[1])
    found = orpo_loss(ours[0], ours[1], torch.tensor(0.0), BETA)
    torch.testing.assert_close(found.loss, -losses.mean())
    torch.testing.assert_close(found.odds_ratio, -ratio)
    torch.testing.assert_close(found.log_odds, log_odds)
    (expected,), (gradients,) = torch.autograd.grad(-losses.mean(), given), torch.autograd.grad(found.loss, ours)
    torch.testing.assert_close(gradients, expected, atol=1e-6, rtol=1e-4)


def test_a_number_worked_by_hand() -> None:
    """P = ½ against ⅕: odds 1 and ¼, their ratio 4, σ(log 4) = ⅘; and 9/10 against ½: odds 9 and 1, σ(log 9) = 9/10."""
    chosen, rejected = torch.tensor([0.5, 0.9]).log(), torch.tensor([0.2, 0.5]).log()
    found = orpo_loss(chosen, rejected, torch.tensor(0.7), 0.1)
    ratio = -(math.log(0.8) + math.log(0.9)) / 2
    assert float(found.odds_ratio) == pytest.approx(ratio, abs=1e-6)
    assert float(found.log_odds) == pytest.approx((math.log(4) + math.log(9)) / 2, abs=1e-6)
    assert float(found.loss) == pytest.approx(0.7 + 0.1 * ratio, abs=1e-6)
    assert float(found.nll) == pytest.approx(0.7)
    assert float(orpo_loss(chosen, chosen, torch.tensor(0.0), 1.0).loss) == pytest.approx(math.log(2))


def test_a_certain_answer_gives_finite_numbers_and_a_gradient_that_pulls() -> None:
    chosen, rejected = torch.tensor([0.0, -90.0], requires_grad=True), torch.tensor([-90.0, 0.0], requires_grad=True)
    found = orpo_loss(chosen, rejected, torch.tensor(0.0), 1.0)
    found.loss.backward()  # type: ignore[no-untyped-call]
    assert chosen.grad is not None
    assert rejected.grad is not None
    assert all(torch.isfinite(each).all() for each in (found.loss, chosen.grad, rejected.grad))
    assert chosen.grad[1] < 0 <= rejected.grad[0]


def test_the_chosen_come_first_and_no_prompt_is_learned() -> None:
    batch = collate(ROWS, 0)
    learned = [row[at].tolist() for row, at in zip(batch["input_ids"], batch["learned"], strict=True)]
    assert learned == [row["chosen_ids"] for row in ROWS] + [row["rejected_ids"] for row in ROWS]
    starts = [row[: len(given["prompt_ids"])].tolist() for row, given in zip(batch["input_ids"], ROWS + ROWS, strict=True)]
    assert starts == [given["prompt_ids"] for given in ROWS + ROWS]
