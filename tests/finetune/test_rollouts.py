"""Answers that a policy writes: what is drawn, where it ends, and that the same seed draws the same."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assistant.records import Message
from finetune.base_model import Base, open_base
from finetune.config import TrainingConfig
from finetune.data.rows import Place, Prompted
from finetune.reinforcement.policy import read_answers, to_rows
from finetune.reinforcement.rollouts import (
    Rollout,
    Sampling,
    cut_answer,
    distinct_2,
    draw_lengths,
    draw_rows,
    encode_prompts,
    lengths_of,
    said,
    write_answers,
)
from finetune.reinforcement.value_head import ValueHead

HERE = Place(Path("p.jsonl"), 1)
PROMPTS = [[7, 8, 9], [20], [30, 31, 32, 33, 34], [40, 41]]


def sampling(base: Base, **changes: Any) -> Sampling:
    settings = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "stops": (base.formatter.stop_id,), "batch": 3}
    return Sampling(**settings | {"padding": base.formatter.pad_id()} | changes)


@pytest.fixture(scope="module", params=["llama3", "gemma2", "gpt2"])
def base(request: pytest.FixtureRequest, tiny: dict[str, Path]) -> Base:
    return open_base(TrainingConfig("sft", str(tiny[request.param]), ("d",), "o", device="cpu", max_length=256))


def test_the_same_seed_writes_the_same_whatever_was_drawn_before(base: Base) -> None:
    once = write_answers(base.loaded.model, PROMPTS, [6, 6, 2, 6], sampling(base), seed=3)
    torch.rand(7)
    assert write_answers(base.loaded.model, PROMPTS, [6, 6, 2, 6], sampling(base), seed=3) == once
    assert write_answers(base.loaded.model, PROMPTS, [6, 6, 2, 6], sampling(base), seed=4) != once
    assert [each.prompt for each in once] == PROMPTS
    assert all(1 <= len(each.answer) <= most for each, most in zip(once, [6, 6, 2, 6], strict=True))


def test_the_head_reads_its_states_in_one_piece(base: Base) -> None:
    """A slice of several rows makes a CPU copy the head's weights once a row: gigabytes."""
    head, pieces = base.loaded.model.get_output_embeddings(), []
    multiply = torch.nn.functional.linear

    def seen(given: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        if weight is head.weight:
            pieces.append(given.is_contiguous())
        return multiply(given, weight, bias)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "linear", seen)
        write_answers(base.loaded.model, PROMPTS, [3] * 4, sampling(base, stops=(-1,)), seed=1)
    assert len(pieces) >= 3
    assert all(pieces)
    assert not head._forward_pre_hooks


def test_what_a_base_says_of_generation_is_not_sampled_by(base: Base) -> None:
    model, plain = base.loaded.model, sampling(base, stops=(-1,))
    once = write_answers(model, PROMPTS, [8] * 4, plain, seed=1)
    before = model.generation_config
    before.top_k, before.repetition_penalty, before.min_new_tokens = 1, 5.0, 3
    try:
        assert write_answers(model, PROMPTS, [8] * 4, plain, seed=1) == once
        assert model.generation_config is before
    finally:
        before.top_k, before.repetition_penalty, before.min_new_tokens = 50, 1.0, None


def test_draws_as_often_as_the_model_says(base: Base) -> None:
    """4,000 first tokens against the model's own distribution, χ² over its ten likeliest."""
    model = base.loaded.model
    with torch.no_grad():
        likely = torch.softmax(model(input_ids=torch.tensor([[7, 8, 9]])).logits[0, -1].float(), -1)
    drawn = write_answers(model, [[7, 8, 9]] * 4000, [1] * 4000, sampling(base, batch=2000), seed=0)
    counts = torch.bincount(torch.tensor([each.answer[0] for each in drawn]), minlength=len(likely))
    top = likely.topk(10).indices
    wanted = 4000 * likely[top]
    assert float(((counts[top] - wanted) ** 2 / wanted).sum()) < 35  # p < 0.0002


def test_log_probs_are_those_that_were_sampled_from(base: Base) -> None:
    """In one pass over padded answers as one at a time, without padding, from the model's own logits."""
    model = base.loaded.model
    rollouts = write_answers(model, PROMPTS, [5, 3, 6, 1], sampling(base), seed=2)
    read = read_answers(model, rollouts, padding=base.formatter.pad_id(), batch=3, temperature=0.7)
    for row, each in enumerate(rollouts):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([each.prompt + each.answer])).logits[0, len(each.prompt) - 1 : -1].float()
        every = torch.log_softmax(logits / 0.7, -1)
        count = len(each.answer)
        assert torch.allclose(read.log_probs[row, :count], every[torch.arange(count), torch.tensor(each.answer)], atol=1e-4)
        assert torch.allclose(read.entropies[row, :count], -(every.exp() * every).sum(-1), atol=1e-4)
        assert read.mask[row].tolist() == [1.0] * count + [0.0] * (read.mask.shape[1] - count)


def test_a_value_is_expected_before_each_token(base: Base) -> None:
    head = ValueHead(base.loaded.model.config.hidden_size)
    rollout = Rollout(0, [7, 8], [9, 10, 11], ended=False)
    assert read_answers(base.loaded.model, [rollout], padding=0, batch=1, temperature=1.0, head=head).values.abs().max() == 0
    torch.nn.init.ones_(head.out.weight)
    read = read_answers(base.loaded.model, [rollout], padding=0, batch=1, temperature=1.0, head=head)
    with torch.no_grad():
        hidden = base.loaded.model.base_model(input_ids=torch.tensor([[7, 8, 9, 10, 11]])).last_hidden_state
    assert torch.allclose(read.values, hidden[:, 1:4].float().sum(-1), atol=1e-3)


def test_an_answer_ends_with_its_first_end() -> None:
    assert cut_answer([5, 6, 2, 2, 7], (2, 3)) == ([5, 6, 2], True)
    assert cut_answer([3, 3], (2, 3)) == ([3], True)
    assert cut_answer([5, 6], (2,)) == ([5, 6], False)


def test_an_empty_answer_is_an_empty_text_and_is_counted(base: Base) -> None:
    nothing = Rollout(0, [7, 8], [base.formatter.stop_id], ended=True)
    assert said(nothing, base.formatter)[1] == ""
    assert lengths_of([nothing, Rollout(1, [7], [5, 6, 7], ended=False)]) == {"length": 2.0, "ended": 0.5, "empty": 0.5}


def test_a_prompt_and_what_goes_on_from_it_are_decoded_whole(base: Base) -> None:
    ids = base.formatter.text("hé was ça 😀 there").ids[:-1]
    for at in range(2, len(ids)):
        prompt, answer = said(Rollout(0, ids[:at], ids[at:], ended=False), base.formatter)
        assert prompt + answer == "hé was ça 😀 there" or "\ufffd" in prompt


def test_prompts_of_texts_are_their_first_tokens_and_long_ones_are_left_out(base: Base) -> None:
    rows = [Prompted((), HERE, text=f"{'abcdefghij'[at:]} and so on") for at in range(9)]
    rows.append(Prompted((Message("user", "x" * 300),), HERE))
    encoding = encode_prompts(base.formatter, rows, 100, tokens=(2, 4), seed=5)
    begins = (
        int(base.formatter.text("x").ids[0] == base.formatter.tokenizer.bos_token_id)
        if len(base.formatter.text("x").ids) > 2
        else 0
    )
    lengths = [each["length"] - begins for each in encoding.features]
    assert set(lengths) == {2, 3, 4}
    assert len(encoding.too_long) == 1
    assert encode_prompts(base.formatter, rows[::-1], 100, tokens=(2, 4), seed=5).features == encoding.features[::-1]


@given(st.integers(1, 9), st.lists(st.integers(0, 12), max_size=4), st.integers(0, 3))
def test_rows_are_drawn_in_turns_however_the_drawing_is_parted(of: int, parts: Sequence[int], seed: int) -> None:
    drawn: list[int] = []
    for part in parts:
        drawn += draw_rows(part, of=of, start=len(drawn), seed=seed)
    assert drawn == draw_rows(sum(parts), of=of, start=0, seed=seed)
    for start in range(0, len(drawn) - of + 1, of):
        assert sorted(drawn[start : start + of]) == list(range(of))


def test_lengths_are_drawn_from_the_whole_range() -> None:
    assert set(draw_lengths(200, (3, 6), seed=1)) == {3, 4, 5, 6}
    assert draw_lengths(9, (3, 60), seed=1) == draw_lengths(9, (3, 60), seed=1) != draw_lengths(9, (3, 60), seed=2)
    state = random.getstate()
    draw_lengths(1, (1, 2), seed=0)
    assert random.getstate() == state


def test_distinct_2_falls_where_answers_repeat() -> None:
    assert distinct_2([[1, 2, 3], [4, 5]]) == 1.0
    assert distinct_2([[1, 2, 1, 2, 1]]) == 0.5
    assert distinct_2([[1, 2, 3]] * 4) == 0.25
    assert distinct_2([[1], []]) == 0.0


def test_values_are_laid_out_in_rows() -> None:
    assert to_rows(torch.tensor([1.0, 2.0, 3.0]), [1, 2], 3).tolist() == [[1, 0, 0], [2, 3, 0]]
