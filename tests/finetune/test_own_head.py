"""Our head where TRL asks for its own: the same losses, the same gradients, and logits of learned tokens alone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from training_rows import KIND

from assistant.models.quiet import quiet
from finetune import log_probs, trl_bridge
from finetune.config import TrainingConfig
from finetune.own_head import NOT_COMPUTED
from finetune.recipe import prepare
from finetune.train import recipe_of


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():  # as recipes run trainers
        yield


@pytest.fixture
def build(tmp_path: Path, tiny: dict[str, Path], rows: Callable[..., Path]) -> Callable[..., Any]:
    """A trainer whose adapter already changes something."""

    def go(method: str, base: str = "llama3", *, out: str = "out", **settings: Any) -> Any:
        given = {"max_length": 256, "batch": 4, "rank": 4, "device": "cpu", "max_steps": 3, **settings}
        config = TrainingConfig(method, str(tiny[base]), (str(rows(KIND[method])),), str(tmp_path / out), **given)  # type: ignore[arg-type]
        recipe = recipe_of(method)
        trainer = recipe.make_trainer(prepare(config, recipe, resume=False, announce=lambda _: None))
        drawn = torch.Generator().manual_seed(0)
        for name, each in trainer.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(each, std=0.1, generator=drawn)
        trainer.model.train()
        return trainer

    return go


def with_gradients(trainer: Any, way: Callable[[], torch.Tensor]) -> list[torch.Tensor]:
    """A loss and its gradients, with the same dropout each time (GPT-2 has some)."""
    torch.manual_seed(1)
    loss = way()
    return [loss.detach(), *torch.autograd.grad(loss, [each for each in trainer.model.parameters() if each.requires_grad])]


CASES: list[tuple[str, str, dict[str, Any]]] = [
    (method, base, {"quantization": form})
    for method in ("sft", "dpo", "kto")
    for base in ("llama3", "gemma2", "gpt2")
    for form in ("none", "nf4")
]
CASES += [("sft", "llama3", {"packing": True}), ("sft", "gemma2", {"packing": True}), ("sft", "llama3", {"checkpointing": "on"})]


@pytest.mark.parametrize(("method", "base", "settings"), CASES)
def test_losses_and_gradients_are_those_with_trls_head(
    method: str, base: str, settings: dict[str, Any], build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = build(method, base, **settings)
    monkeypatch.setattr(trl_bridge, "use_own_head", lambda model: None)
    theirs = build(method, base, out="theirs", **settings)
    batch, other, *_ = ours.get_train_dataloader()
    items = ours._get_num_items_in_batch([batch, other], torch.device("cpu"))  # of a step of two batches; None: a mean over rows
    assert (items is None) == (method != "sft")
    for count in {items, None}:  # the second as in an evaluation
        known = with_gradients(
            theirs, lambda count=count: theirs.compute_loss(theirs.model, dict(batch), num_items_in_batch=count)
        )
        for piece in (1_500, log_probs.PIECE):
            monkeypatch.setattr(log_probs, "PIECE", piece)
            found = with_gradients(ours, lambda count=count: ours.compute_loss(ours.model, dict(batch), num_items_in_batch=count))
            torch.testing.assert_close(found, known, atol=2e-6, rtol=1e-5)
        if method == "sft":
            whole = with_gradients(ours, lambda count=count: ours.model(**batch, use_cache=False, num_items_in_batch=count).loss)
            torch.testing.assert_close(whole, known, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("method", ["sft", "dpo", "kto"])
def test_prompts_and_padding_have_no_logits(method: str, build: Callable[..., Any]) -> None:
    trainer = build(method)
    batch = next(iter(trainer.get_train_dataloader()))
    sizes: list[int] = []
    hook = trainer.model.get_output_embeddings().register_forward_hook(lambda _module, _inputs, out: sizes.append(out.shape[0]))
    trainer.compute_loss(trainer.model, dict(batch))
    hook.remove()
    learned = int((batch["labels"] >= 0).sum() if "labels" in batch else batch["completion_mask"].sum())
    assert learned in sizes
    assert max(sizes) < batch["attention_mask"].sum() < batch["input_ids"].numel()


@pytest.mark.parametrize("method", ["sft", "dpo", "kto"])
def test_what_is_not_computed_is_not_logged(method: str, build: Callable[..., Any]) -> None:
    trainer = build(method)
    trainer.train()
    logged = {name for entry in trainer.state.log_history for name in entry}
    assert logged >= {"loss", "num_tokens"}
    assert not {name for name in logged if name.removeprefix("eval_") in NOT_COMPUTED}


def test_a_batch_in_which_nothing_is_learned_counts_as_0(build: Callable[..., Any]) -> None:
    trainer = build("sft")
    batch = next(iter(trainer.get_train_dataloader()))
    nothing = {**batch, "labels": torch.full_like(batch["labels"], -100)}
    loss = trainer.compute_loss(trainer.model, nothing)
    loss.backward()
    assert loss.item() == 0
    assert all(each.grad is None or not each.grad.any() for each in trainer.model.parameters())
