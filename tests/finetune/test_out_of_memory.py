"""Where memory is not enough: what is advised follows from the plan, and advising never fails."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_rows import Run

from assistant.errors import ModelError
from finetune import memory
from finetune.config import TrainingConfig
from finetune.errors import TrainingError
from finetune.fitting import CARDS, T4, Verdict, relieve
from finetune.memory import advise, keep_up_to
from finetune.planning import SIDES, Settings, need_of
from finetune.watching import Progress

LLAMA_8B = {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256}  # fmt: skip
SMALL = {"model_type": "llama", "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8,
         "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 49152}  # fmt: skip
QLORA = Settings("sft", 16, (), "nf4", 1, 2048, checkpointing=True, optimizer="adamw", element=2, device="cuda")
CONFIG = TrainingConfig("sft", "m", ("d",), "o", batch=16, accumulate=2, max_length=2048)


def advice(settings: Settings, *, offered: int | None = CARDS[T4], config: TrainingConfig = CONFIG) -> str:
    return advise(config, lambda: relieve(LLAMA_8B, settings, device="cuda", offered=offered))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch": 16}, "--batch 4 --accumulate 8: by the plan 12.1 GB instead of 26.1 GB"),
        ({"quantization": "none"}, "--quantization int8: by the plan "),
        ({"quantization": "none", "batch": 16}, "--batch 4 --accumulate 8 --quantization nf4: by the plan "),
        ({"length": 32768}, "--max-length 8192: by the plan "),
        ({"batch": 4, "checkpointing": False}, "--checkpointing on: by the plan "),
    ],
)
def test_the_least_change_that_fits_by_the_plan_is_named_as_flags(settings: dict[str, Any], said: str) -> None:
    assert advice(replace(QLORA, **settings)).startswith(said)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch": 16}, "--batch 8 --accumulate 4: "),  # activations are the most of it
        ({"quantization": "none"}, "--quantization nf4: "),  # here the weights
        ({"length": 32768}, "--max-length 16384: "),
        ({"rank": 1024, "length": 256}, "--rank 512: "),  # and here the adapter
        ({"batch": 4, "checkpointing": False}, "--checkpointing on: "),
    ],
)
@pytest.mark.parametrize("offered", [None, 10**12])
def test_where_the_plan_sees_no_lack_what_saves_the_most_is_named(
    settings: dict[str, Any], said: str, offered: int | None
) -> None:
    assert advice(replace(QLORA, **settings), offered=offered).startswith(said)


def test_where_nothing_helps_that_is_said() -> None:
    assert advice(QLORA, offered=10**9) == "by the plan it takes 8.6 GB, and no setting helps: take a smaller base"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "--batch 8 --accumulate 4"),
        ({"batch": 1}, "--checkpointing on"),
        ({"batch": 1, "checkpointing": "on"}, "--quantization nf4"),
        ({"batch": 1, "checkpointing": "on", "quantization": "nf4"}, "--max-length 1024, or --rank 8"),
    ],
)
@pytest.mark.parametrize("error", [ModelError("no such size", hint="x"), KeyError("hidden"), ZeroDivisionError(), RuntimeError()])
def test_a_plan_that_fails_costs_no_more_than_its_figures(config: dict[str, Any], said: str, error: Exception) -> None:
    def plan() -> Verdict:
        raise error

    assert advise(replace(CONFIG, **config), plan).startswith(said)


def test_a_training_that_runs_out_of_memory_says_what_to_change(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(Progress, "on_log", full)
    with pytest.raises(TrainingError, match="out of memory at step 1") as caught:
        run("sft", batch=8)
    assert caught.value.hint.startswith("--batch 4 --accumulate 2: by the plan ")  # 24 short rows of a model of 0.1 M parameters


# when activations are computed again


METHODS = st.sampled_from(sorted(SIDES))


@given(METHODS, st.integers(1, 16), st.integers(2, 2048), st.sampled_from([SMALL, LLAMA_8B]))
def test_keeping_activations_takes_no_more_than_the_longest_batch(
    method: str, batch: int, longest: int, config: dict[str, Any]
) -> None:
    settings = replace(QLORA, method=method, batch=batch, length=longest, device="cpu", element=4)
    tokens = keep_up_to(config, settings)
    kept = need_of(config, replace(settings, checkpointing=False)).activations
    assert (tokens == math.inf) == (kept <= memory.SMALL)
    if tokens == math.inf:
        return
    length, rest = divmod(tokens, SIDES[method] * batch)
    most = need_of(config, settings).total
    assert rest == 0
    assert length <= longest
    assert length == 0 or need_of(config, replace(settings, length=length, checkpointing=False)).total <= most
    assert length == longest or need_of(config, replace(settings, length=length + 1, checkpointing=False)).total > most


def test_a_base_that_cannot_be_planned_keeps_nothing() -> None:
    assert keep_up_to({"model_type": "new"}, QLORA) == 0
