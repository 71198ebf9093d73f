"""What a training will take: published sizes, what PEFT and autograd really do, and what is advised where it doesn't fit."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BertConfig,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
)

from assistant.errors import ModelError
from assistant.models.quiet import quiet
from finetune.commands.plan import clock, make_plan, plan
from finetune.config import TrainingConfig
from finetune.fitting import CARDS, RTX_4090, T4, judge
from finetune.planning import Settings, StepMeasurement, duration, estimate_training, layer_bytes, need_of, steps_of
from finetune.shapes import adapted, linears, shape_of, tensors
from indexes.errors import UsageError

LLAMA_8B = {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256}  # fmt: skip
GEMMA_9B = {"model_type": "gemma2", "hidden_size": 3584, "intermediate_size": 14336, "num_hidden_layers": 42, "head_dim": 256,
            "num_attention_heads": 16, "num_key_value_heads": 8, "vocab_size": 256000}  # fmt: skip
GPT_2 = {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "vocab_size": 50257}
BERT = {"model_type": "bert", "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "vocab_size": 30522, "max_position_embeddings": 512, "type_vocab_size": 2}  # fmt: skip
QLORA = Settings("sft", 16, (), "nf4", 1, 2048, checkpointing=True, optimizer="adamw", element=2, device="cuda")
SMALL = {"hidden_size": 128, "intermediate_size": 320, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 64}
TINY: dict[str, Any] = {
    "llama": lambda **more: LlamaConfig(**SMALL | {"num_key_value_heads": 2} | more),
    "gemma2": lambda **more: Gemma2Config(**SMALL | {"num_key_value_heads": 2, "head_dim": 64} | more),
    "gpt2": lambda **more: GPT2Config(
        n_embd=128, n_layer=2, n_head=4, n_positions=128, vocab_size=64, bos_token_id=0, eos_token_id=0
    ),
    "bert": lambda **more: BertConfig(**SMALL | more),
}


def model_of(kind: str, *, layers: int = 2, head: bool = True) -> Any:
    config = TINY[kind]()
    config.num_hidden_layers = layers
    if not head or kind == "bert":
        return AutoModelForSequenceClassification.from_config(config)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager" if kind == "gemma2" else None)


def with_adapter(model: Any, targets: Sequence[str], *, task: str = "CAUSAL_LM") -> Any:
    kind = model.config.model_type
    with quiet():
        return get_peft_model(model, LoraConfig(r=4, target_modules=list(targets), task_type=task, fan_in_fan_out=kind == "gpt2"))


def names(config: dict[str, Any]) -> list[str]:
    return sorted({one.name.rpartition(".")[2] for one in linears(config)})


@pytest.mark.parametrize(
    ("config", "parameters"),
    [(LLAMA_8B, 8_030_261_248), (GEMMA_9B, 9_241_705_984), (GPT_2, 124_439_808), (BERT, 109_482_240)],
)
def test_published_sizes(config: dict[str, Any], parameters: int) -> None:
    assert sum(tensor.elements for tensor in tensors(config)) == pytest.approx(parameters, rel=1e-5)
    if config is not BERT:  # whose embeddings have a norm of their own
        assert need_of(config, QLORA).parameters == parameters


def test_rank_16_on_every_matrix_of_llama_8b_is_the_published_count() -> None:
    assert need_of(LLAMA_8B, QLORA).trainable == 41_943_040


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt2", "bert"])
@pytest.mark.parametrize("one", [True, False], ids=["one", "all"])
def test_as_many_numbers_train_as_peft_says(kind: str, one: bool) -> None:
    model = model_of(kind)
    config = model.config.to_dict()
    targets = names(config)[: 1 if one else None]
    trainable, _ = with_adapter(model, targets, task="FEATURE_EXTRACTION").get_nb_trainable_parameters()
    assert need_of(config, replace(QLORA, rank=4, targets=tuple(targets))).trainable == trainable


def test_a_reward_model_has_its_head_to_train_and_no_vocabulary() -> None:
    model = model_of("llama", head=False)
    config = model.config.to_dict()
    need = need_of(config, replace(QLORA, method="reward", rank=4))
    model.config.num_labels = 1
    adapter = with_adapter(model, names(config), task="SEQ_CLS")
    heads = sum(weight.numel() for name, weight in adapter.named_parameters() if "score" in name and weight.requires_grad)
    trainable, _ = adapter.get_nb_trainable_parameters()
    assert need.trainable == trainable - heads + config["hidden_size"]  # the tiny one has two classes
    assert need.logits == 0
    assert need.parameters == sum(tensor.elements for tensor in tensors(config)) - 64 * 128


def kept_bytes(kind: str, targets: Sequence[str], *, layers: int, length: int, dtype: torch.dtype) -> int:
    """What autograd keeps for the way back, without the weights."""
    model = with_adapter(model_of(kind, layers=layers).to(dtype), targets, task="FEATURE_EXTRACTION").train()
    lasting = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in lasting:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    mask = torch.ones(2, length, dtype=torch.long)
    mask[0, -1] = 0
    embedded = model.get_input_embeddings()(torch.zeros(2, length, dtype=torch.long)).detach().requires_grad_()
    half = torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), half:
        model.get_base_model().base_model(inputs_embeds=embedded, attention_mask=mask)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "half"])
@pytest.mark.parametrize(
    ("kind", "targets"),
    [("llama", ()), ("llama", ("q_proj", "v_proj")), ("gemma2", ()), ("gpt2", ()), ("bert", ())],
    ids=["llama", "llama-qv", "gemma2", "gpt2", "bert"],
)
@pytest.mark.parametrize("length", [32, 96])
def test_activations_are_what_autograd_keeps(kind: str, targets: tuple[str, ...], length: int, dtype: torch.dtype) -> None:
    config = TINY[kind]().to_dict()
    chosen = targets or names(config)
    shallow, deep = (kept_bytes(kind, chosen, layers=layers, length=length, dtype=dtype) for layers in (1, 2))
    settings = replace(QLORA, rank=4, targets=targets, length=length, element=dtype.itemsize, device="cpu")
    assert 2 * length * layer_bytes(config, settings) == pytest.approx(deep - shallow, rel=0.06)


def test_qlora_of_llama_8b_is_near_the_published_figure() -> None:
    need = need_of(LLAMA_8B, QLORA)
    assert 7e9 < need.total < 9e9  # torchtune: 7.4 GiB for two rows, with double quantisation and rank 8
    assert need.total == sum(
        (
            need.weights,
            need.adapter,
            need.gradients,
            need.optimizer,
            need.activations,
            need.overhead,
            max(need.layer, need.logits),
        )
    )
    small = need_of(GPT_2, QLORA)
    assert small.logits > small.layer  # and the head is what counts
    assert small.total == small.logits + sum(
        (small.weights, small.adapter, small.gradients, small.optimizer, small.activations, small.overhead)
    )
    assert need.optimizer == 4 * need_of(LLAMA_8B, replace(QLORA, optimizer="adamw_8bit")).optimizer


@pytest.mark.parametrize("config", [LLAMA_8B, GEMMA_9B], ids=["llama", "gemma"])
@pytest.mark.parametrize("method", ["sft", "orpo", "dpo", "kto", "reward"])
def test_both_first_class_models_train_on_a_t4(config: dict[str, Any], method: str) -> None:
    verdict = judge(config, replace(QLORA, method=method), device=T4, offered=CARDS[T4])
    assert verdict.fits, verdict.text


def test_pairs_take_two_sequences_and_a_reference_no_second_model() -> None:
    sft, dpo, orpo = (need_of(LLAMA_8B, replace(QLORA, method=method)) for method in ("sft", "dpo", "orpo"))
    assert dpo.activations == orpo.activations == 2 * sft.activations
    assert dpo.weights == sft.weights
    assert sft.logits == dpo.logits == orpo.logits  # the head works in pieces of a fixed size


def test_only_what_is_learned_needs_logits() -> None:
    few, more, all_ = (need_of(LLAMA_8B, replace(QLORA, learned=learned)).logits for learned in (16, 64, None))
    assert few * 4 == more < all_


SETTINGS = st.builds(
    Settings, st.sampled_from(["sft", "orpo", "dpo", "kto", "reward"]), st.integers(1, 128), st.just(()),
    st.sampled_from(["none", "int8", "nf4"]), st.integers(2, 64), st.integers(16, 8192), checkpointing=st.booleans(),
    optimizer=st.sampled_from(["adamw", "adamw_8bit"]), element=st.sampled_from([2, 4]), device=st.sampled_from(["cpu", "cuda"]),
)  # fmt: skip


@given(SETTINGS, st.sampled_from([LLAMA_8B, GEMMA_9B, GPT_2, BERT]))
def test_more_of_anything_never_takes_less(settings: Settings, config: dict[str, Any]) -> None:
    total = need_of(config, settings).total
    for more in ({"batch": settings.batch + 1}, {"length": settings.length * 2}, {"rank": settings.rank + 1}):
        assert need_of(config, replace(settings, **more)).total > total
    assert (
        need_of(config, replace(settings, checkpointing=True, length=8192)).activations
        <= need_of(config, replace(settings, checkpointing=False, length=8192)).activations
    )


@given(SETTINGS, st.integers(1_000_000_000, 200_000_000_000))
def test_what_is_advised_fits(settings: Settings, offered: int) -> None:
    verdict = judge(LLAMA_8B, settings, device="d", offered=offered)
    assert verdict.fits == (verdict.need.total <= offered)
    assert bool(verdict.changes) == (verdict.changed is not None)
    if verdict.changed:
        assert need_of(LLAMA_8B, replace(settings, **verdict.changes)) == verdict.changed
        assert verdict.changed.total <= offered < verdict.need.total


@pytest.mark.parametrize(
    ("settings", "offered", "changes"),
    [
        ({"batch": 16}, 16.1e9, {"batch": 4}),
        ({"batch": 16, "checkpointing": False}, 60e9, {"checkpointing": True}),
        ({"length": 32768}, 16.1e9, {"length": 8192}),
        ({"quantization": "none"}, 16.1e9, {"quantization": "int8"}),
        ({"quantization": "none", "batch": 16}, 16.1e9, {"quantization": "nf4", "batch": 4}),
        ({"rank": 512, "length": 256}, 20e9, {"rank": 256}),
        ({"method": "kto", "batch": 4}, 7.8e9, {"batch": 2, "length": 256}),
    ],
)
def test_the_least_change_comes_first(settings: dict[str, Any], offered: float, changes: dict[str, Any]) -> None:
    assert judge(LLAMA_8B, replace(QLORA, **settings), device="d", offered=int(offered)).changes == changes


def test_verdicts_in_words() -> None:
    wide = replace(QLORA, batch=16)
    assert judge(LLAMA_8B, QLORA, device=T4, offered=CARDS[T4]).text == "fits a T4 (15 GiB): 8.6 GB of 16.1 GB"
    assert judge(LLAMA_8B, wide, device=T4, offered=CARDS[T4]).text.endswith("batch 4 would: 12.1 GB")
    assert judge(LLAMA_8B, QLORA, device="d", offered=10**9).text.endswith("whatever is changed; take a smaller base")
    assert judge(LLAMA_8B, QLORA, device="d", offered=None).text == "needs 8.6 GB on d, whose memory is unknown"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**LLAMA_8B, "num_local_experts": 8}, "'m' is a mixture of experts"),
        ({"model_type": "llama", "vocab_size": 10}, "doesn't say its hidden and intermediate size"),
    ],
)
def test_what_cannot_be_planned(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        shape_of(config, name="m")


def test_a_target_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no layer 'c_attn'") as caught:
        adapted(LLAMA_8B, ("q_proj", "c_attn"))
    assert caught.value.hint.startswith("targets can be down_proj, gate_proj")


@pytest.mark.parametrize(
    ("rows", "epochs", "max_steps", "steps"),
    [(100, 1.0, 0, 13), (101, 2.0, 0, 26), (100, 1.0, 5, 5), (8, 1.0, 0, 1), (100, 0.0, 7, 7)],
)
def test_steps(rows: int, epochs: float, max_steps: int, steps: int) -> None:
    assert steps_of(rows, batch=4, accumulate=2, epochs=epochs, max_steps=max_steps) == steps


def test_time_is_the_mean_of_what_was_measured_and_twice_its_spread() -> None:
    found = duration(100, StepMeasurement((9.0, 10.0, 11.0), 300))
    assert (found.seconds, found.low, found.high) == (1000.0, 800.0, 1200.0)
    wild = duration(10, StepMeasurement((1.0, 9.0), 10))
    assert wild.low == 0.0
    assert [clock(seconds) for seconds in (40, 600, 7500, 4_000_000)] == ["40 s", "10 min", "2 h 05 min", "1,111 h 07 min"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_8B))
    return tmp_path


def training(base: Path, **more: Any) -> TrainingConfig:
    return TrainingConfig("sft", str(base), (), "", **{"quantization": "nf4", "batch": 2, "max_length": 2048} | more)


def test_a_plan_needs_no_weights(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[int] = []

    def measure(steps: int) -> StepMeasurement:
        asked.append(steps)
        return StepMeasurement((10.0, 11.0, 12.0), 12_288, 9_000_000_000)

    assert plan(training(base), rows=1000, measure=measure) == 0
    text = capsys.readouterr().out
    assert asked == [3]
    assert "41,943,040 numbers, 0.52% of the base's 8,030,261,248" in text
    assert "1 h 32 min, between 1 h 15 min and 1 h 48 min" in text
    assert "measured: 9.0 GB" in text
    assert "fits a T4 (15 GiB): 9.7 GB of 16.1 GB\n            in fp16: a T4 has no bf16" in text
    assert "fits an RTX 4090 (24 GB)" in text


def test_a_plan_as_json(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(training(base, device="cpu", targets=("q_proj", "v_proj")), as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["targets"], found["trainable"]) == (1, ["q_proj", "v_proj"], 6_815_744)
    assert (found["steps"], found["time_s"], found["time_basis"]) == (None, None, "unknown: give the data with --data")
    here, t4, rtx = found["verdicts"]
    assert (here["device"], t4["device"], rtx["device"]) == ("this machine", T4, RTX_4090)
    assert here["computes"].startswith("cpu, fp32: ")
    assert found["memory"]["total"] == here["needs"]
    expected = estimate_training(
        LLAMA_8B, method="sft", rank=16, targets=("q_proj", "v_proj"), quantization="nf4", batch=2, length=2048,
        checkpointing=True, optimizer="adamw", element=2, device="cuda",
    )  # fmt: skip
    assert t4["needs"] == rtx["needs"] == expected.total


@pytest.mark.parametrize(
    ("more", "time", "basis"),
    [
        ({"max_steps": 20}, None, "unknown without --measure"),
        ({"max_steps": 20, "tokens_per_s": 1000.0}, 20 * 2 * 2048 / 1000, "at most, if every row has 2,048 tokens"),
    ],
)
def test_time_is_not_guessed(base: Path, more: dict[str, Any], time: float | None, basis: str) -> None:
    found = make_plan(
        training(base, max_steps=more["max_steps"]), rows=None, learned=None, tokens_per_s=more.get("tokens_per_s"), measure=None
    )
    assert (found.time.seconds if found.time else None) == time
    assert found.basis.startswith(basis)


def test_a_base_that_is_quantised_already_is_planned_as_it_is(base: Path) -> None:
    config = {"text_config": LLAMA_8B, "model_type": "wrapped", "quantization_config": {"load_in_4bit": True}}
    (base / "config.json").write_text(json.dumps(config))
    found = make_plan(training(base, quantization="none"), rows=1, learned=None, tokens_per_s=None, measure=None)
    assert found.verdicts[1].need == need_of(LLAMA_8B, replace(QLORA, batch=2))


def test_gemma_is_planned_in_bf16_on_a_t4(base: Path) -> None:
    (base / "config.json").write_text(json.dumps(GEMMA_9B))
    found = make_plan(training(base), rows=1, learned=None, tokens_per_s=None, measure=None)
    assert found.computes[1] == "bf16: a T4 emulates bf16, slowly, but this model overflows fp16"


@pytest.mark.parametrize(
    ("name", "message"), [("org/none", "can't be had from the Hugging Face Hub"), ("no/such/dir", "no folder")]
)
def test_a_base_that_is_not_here(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        plan(TrainingConfig("sft", name, (), ""))
