"""A model in this process, from messages to text: every family, whole answers, and documents that try to be more than data."""

import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fakes import a_hit
from injections import INJECTIONS

from assistant.errors import ModelError
from assistant.models import Decoding
from assistant.models.loading import Request, load
from assistant.models.local import LocalModel, open_local
from assistant.prompt import build_messages
from assistant.records import Message, Prompt

FAMILIES = ("llama3", "llama2", "gemma2", "plain")
HELLO = (Message("system", "Be brief."), Message("user", "Hello, who are you?"))


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tiny: dict[str, Path]) -> LocalModel:
    return open_local(str(tiny[request.param]), Request(device="cpu"), decoding=Decoding(max_tokens=12))


def prompt(*messages: Message) -> Prompt:
    return Prompt("", (), (), messages)


@pytest.mark.parametrize("family", ["llama3", "plain"])  # the others decode broken bytes, which random weights write, run by run
def test_what_is_streamed_is_what_generate_writes(tiny: dict[str, Path], family: str) -> None:
    model = open_local(str(tiny[family]), Request(device="cpu"), decoding=Decoding(max_tokens=12))
    loaded = model.loaded
    ids = torch.tensor([model.render(HELLO)])
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": list(loaded.stop_ids), "pad_token_id": loaded.pad_id}
    written = loaded.model.generate(ids, attention_mask=torch.ones_like(ids), **options)[0, ids.shape[1] :].tolist()  # type: ignore[operator]
    text = loaded.tokenizer.decode([i for i in written if i not in loaded.stop_ids], skip_special_tokens=True)
    assert "".join(model.stream(prompt(*HELLO))) == str(text).lstrip()


def test_the_budget_counts_what_the_model_reads(model: LocalModel) -> None:
    list(model.stream(prompt(*HELLO)))
    assert model.last
    assert model.budget.count(HELLO) == model.last.prompt_tokens
    assert model.budget.tokens == model.loaded.context - 12


def test_a_second_turn_computes_only_what_is_new(model: LocalModel) -> None:
    first = "".join(model.stream(prompt(*HELLO)))
    longer = (*HELLO, Message("assistant", first or "I am."), Message("user", "And now?"))
    list(model.stream(prompt(*longer)))
    assert model.last
    assert model.last.reused_tokens > 0.6 * model.budget.count(HELLO)


@pytest.mark.parametrize("family", ["llama3", "gemma2"])
def test_no_passage_reaches_the_model_as_more_than_text(tiny: dict[str, Path], family: str) -> None:
    model = open_local(str(tiny[family]), Request(device="cpu"), decoding=Decoding(max_tokens=12))
    control = set(model.loaded.tokenizer.all_special_ids) | set(model.loaded.tokenizer.added_tokens_decoder)

    def controls(text: str) -> list[int]:
        messages = build_messages("Who?", [a_hit(text=text)], model.budget).messages
        return [i for i in model.render(messages) if i in control]

    harmless = controls("harmless")
    assert harmless
    assert [text for text in INJECTIONS if controls(text) != harmless] == []


def test_closing_an_answer_half_way_leaves_the_next_one_right(model: LocalModel) -> None:
    whole = "".join(model.stream(prompt(*HELLO)))
    stream = model.stream(prompt(*HELLO))
    next(stream, None)
    stream.close()  # type: ignore[attr-defined]
    assert "".join(model.stream(prompt(*HELLO))) == whole


def test_an_answer_that_leaves_no_room_for_a_prompt_is_an_error_with_the_number_to_set(tiny: dict[str, Path]) -> None:
    loaded = load(str(tiny["llama3"]), Request(device="cpu"))
    with pytest.raises(
        ModelError, match=rf"context of {loaded.context} tokens, of which an answer may take {loaded.context}"
    ) as error:
        LocalModel(loaded, decoding=Decoding(max_tokens=loaded.context))
    assert f"max_tokens to {loaded.context // 4}" in error.value.hint


def test_a_family_says_how_it_writes_when_nobody_else_does(tiny: dict[str, Path]) -> None:
    plain = open_local(str(tiny["plain"]), Request(device="cpu"))
    llama = open_local(str(tiny["llama2"]), Request(device="cpu"), choose=lambda usual: replace(usual, max_tokens=77))
    assert plain.budget.tokens == plain.loaded.context - 128
    assert llama.budget.tokens == llama.loaded.context - 77


def test_a_closed_model_holds_no_weights(tiny: dict[str, Path]) -> None:
    model = open_local(str(tiny["llama3"]), Request(device="cpu"))
    "".join(model.stream(prompt(*HELLO)))
    weights = weakref.ref(model.loaded.model)
    model.close()
    assert weights() is None
