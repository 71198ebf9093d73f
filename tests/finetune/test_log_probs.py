"""Log-probabilities computed in part, against those of the whole logits: the same numbers, the same gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from assistant.models.quiet import quiet
from finetune import log_probs
from finetune.log_probs import logit_scale, pad, pad_answers, row_sums, token_log_probs

PROMPTS = [[7, 8, 9], [20], [30, 31, 32, 33, 34]]
ANSWERS = [[40, 41], [50, 51, 52, 53, 54, 55], [60]]


@pytest.fixture(scope="module", params=["llama3", "gemma2", "gpt2"])
def model(request: pytest.FixtureRequest, tiny: dict[str, Path]) -> Any:
    with quiet():
        loaded = AutoModelForCausalLM.from_pretrained(tiny[request.param], dtype=torch.float32, attn_implementation="eager")
    return loaded.eval()  # type: ignore[no-untyped-call]


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    return pad_answers(PROMPTS, ANSWERS, 0)


def reference(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """All logits, as the model's own forward gives them."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.float()
    every = torch.log_softmax(logits[:, :-1], -1).gather(-1, batch["input_ids"][:, 1:, None])[..., 0]  # (b, t - 1)
    return every[batch["learned"][:, 1:]]


def gradients(model: Any, values: torch.Tensor) -> list[torch.Tensor]:
    weights = torch.arange(1.0, len(values) + 1)
    return list(torch.autograd.grad((values * weights).sum(), [each for each in model.parameters() if each.requires_grad]))


def test_gemmas_cap_is_one_of_the_things_compared(model: Any) -> None:
    caps = {"gemma2": 30.0}
    assert getattr(model.config, "final_logit_softcapping", None) == caps.get(model.config.model_type)


@pytest.mark.parametrize("size", [log_probs.PIECE, 1, 1_200], ids=["whole", "one by one", "some at once"])
def test_they_are_those_of_the_whole_logits_with_the_same_gradients(
    size: int, model: Any, batch: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_probs, "PIECE", size)
    given = batch["input_ids"], batch["attention_mask"], batch["learned"]
    expected, found = reference(model, batch), token_log_probs(model, *given)
    assert found.shape == (9,)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(gradients(model, found), gradients(model, expected), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=1e-4)
    with torch.inference_mode():
        torch.testing.assert_close(token_log_probs(model, *given), expected.detach(), atol=1e-5, rtol=1e-5)


SMALL = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.mark.parametrize(("kind", "scale"), [
    ("cohere", {"logit_scale": 0.25}), ("granite", {"logits_scaling": 8.0}), ("llama", {}),
])  # fmt: skip
def test_what_some_models_multiply_their_logits_by_is_in_them(kind: str, scale: dict[str, float], batch: Any) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SMALL, **scale, pad_token_id=0)).eval()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(20)
        found = token_log_probs(model, batch["input_ids"], batch["attention_mask"], batch["learned"])
        torch.testing.assert_close(found, reference(model, batch), atol=1e-5, rtol=1e-5)
    assert (logit_scale(model.config) == 1) == (not scale)


def test_they_are_float32_and_pass_through_an_adapter(tiny: dict[str, Path], batch: dict[str, torch.Tensor]) -> None:
    from peft import LoraConfig, get_peft_model

    with quiet():
        base = AutoModelForCausalLM.from_pretrained(tiny["llama3"], dtype=torch.bfloat16)
        adapted = get_peft_model(base, LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
    for name, each in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(each, generator=torch.Generator().manual_seed(0))
    given = batch["input_ids"], batch["attention_mask"], batch["learned"]
    found = token_log_probs(adapted, *given)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, reference(adapted, batch), atol=0.1, rtol=0.02)
    with adapted.disable_adapter():
        assert not torch.allclose(token_log_probs(adapted, *given), found, atol=0.1)


def test_the_pieces_hold_no_more_logits_than_they_may(
    model: Any, batch: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    hook = model.get_output_embeddings().register_forward_hook(lambda _m, _i, out: sizes.append(out.numel()))
    monkeypatch.setattr(log_probs, "PIECE", 2 * model.config.vocab_size)
    with torch.no_grad():
        token_log_probs(model, batch["input_ids"], batch["attention_mask"], batch["learned"])
    hook.remove()
    assert [size // model.config.vocab_size for size in sizes] == [2, 2, 2, 2, 1]


def test_answers_are_padded_on_the_right_and_learned_alone(batch: dict[str, torch.Tensor]) -> None:
    assert batch["input_ids"].tolist() == [
        [7, 8, 9, 40, 41, 0, 0], [20, 50, 51, 52, 53, 54, 55], [30, 31, 32, 33, 34, 60, 0],
    ]  # fmt: skip
    assert batch["attention_mask"].sum(1).tolist() == [5, 7, 6]
    assert batch["learned"].dtype == torch.bool
    assert [row.nonzero()[:, 0].tolist() for row in batch["learned"]] == [[3, 4], [1, 2, 3, 4, 5, 6], [5]]
    assert pad([[1], [2, 3]], 9).tolist() == [[1, 9], [2, 3]]


def test_sums_and_counts_are_a_rows_own(batch: dict[str, torch.Tensor]) -> None:
    sums, counts = row_sums(torch.arange(1.0, 10.0), batch["learned"])
    assert sums.tolist() == [1 + 2, 3 + 4 + 5 + 6 + 7 + 8, 9]
    assert counts.tolist() == [2, 6, 1]


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=6))
def test_a_row_without_anything_learned_sums_to_0_and_counts_as_1(learned: list[list[bool]]) -> None:
    at = torch.tensor(learned)
    values = torch.arange(1.0, 1 + int(at[:, 1:].sum()))
    sums, counts = row_sums(values, at)
    left = iter(values.tolist())
    expected = [sum(next(left) for each in row[1:] if each) for row in learned]
    assert sums.tolist() == expected
    assert counts.tolist() == [max(1, sum(row[1:])) for row in learned]
