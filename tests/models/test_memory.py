"""What a model will take, before it is loaded; where it runs, and in which number format."""

from pathlib import Path
from typing import Any

import pytest
import torch

from assistant.errors import ModelError
from assistant.models import hardware
from assistant.models.checkpoint import Checkpoint, Tensor
from assistant.models.hardware import bf16_slowdown, choose_hardware, cuda_dtype, dtype_name, memory_available
from assistant.models.loading import Request, load
from assistant.models.memory import Plan, Quantization, check_fits, estimate, gigabytes

LLAMA_8B = {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256}  # fmt: skip
GEMMA_9B = {"model_type": "gemma2", "hidden_size": 3584, "intermediate_size": 14336, "num_hidden_layers": 42, "head_dim": 256,
            "num_attention_heads": 16, "num_key_value_heads": 8, "vocab_size": 256000}  # fmt: skip


def tensors(config: dict[str, Any], *, tied: bool) -> list[Tensor]:
    """The matrices of a model of that shape."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim", hidden // config["num_attention_heads"])
    query, key = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    shapes = {"q_proj": (query, hidden), "k_proj": (key, hidden), "v_proj": (key, hidden), "o_proj": (hidden, query),
              "gate_proj": (inner, hidden), "up_proj": (inner, hidden), "down_proj": (hidden, inner),
              "norm": (hidden,)}  # fmt: skip
    layers = range(config["num_hidden_layers"])
    named = {f"layers.{n}.{name}.weight": shape for n in layers for name, shape in shapes.items()}
    named["embed_tokens.weight"] = (config["vocab_size"], hidden)
    if not tied:
        named["lm_head.weight"] = (config["vocab_size"], hidden)
    return [Tensor(name, "BF16", shape, Path("f"), 0, 0) for name, shape in named.items()]


def plan(
    config: dict[str, Any] = LLAMA_8B, *, quantization: Quantization = "none", element: int = 2, context: int = 8192
) -> Plan:
    return Plan(tensors(config, tied=config is GEMMA_9B), config, context, element, "cuda", quantization)


@pytest.mark.parametrize(
    ("config", "quantization", "weights"),
    [
        (LLAMA_8B, "none", 16.06e9),  # 8.03 billion parameters in bf16, as the published files are
        (LLAMA_8B, "int8", 9.08e9),  # 6.98 billion in linear layers at one byte, the rest at two
        (LLAMA_8B, "nf4", 6.03e9),  # at 0.5625
        (GEMMA_9B, "none", 18.48e9),
        (GEMMA_9B, "nf4", 6.52e9),
    ],
)
def test_published_shapes(config: dict[str, Any], quantization: Quantization, weights: float) -> None:
    assert estimate(plan(config, quantization=quantization)).weights == pytest.approx(weights, rel=0.005)


def test_the_cache_of_llama_8b_is_a_gibibyte_for_8192_tokens() -> None:
    assert estimate(plan()).cache == 2**30  # 32 layers × 2 × 8 heads × 128 × 8192 tokens × 2 bytes
    assert estimate(plan(context=131072)).cache == 2**34


@pytest.mark.parametrize("config", [LLAMA_8B, GEMMA_9B])
def test_both_first_class_models_fit_a_t4_in_nf4(config: dict[str, Any]) -> None:
    assert check_fits("m", plan(config, quantization="nf4"), 15 * 2**30)


@pytest.mark.parametrize("quantization", ["none", "int8", "nf4"])
@pytest.mark.parametrize("family", ["llama3", "gemma2", "plain"])
def test_the_estimate_of_the_weights_is_what_they_take(tiny: dict[str, Path], family: str, quantization: Quantization) -> None:
    loaded = load(str(tiny[family]), Request(quantization=quantization, device="cpu", dtype="fp32"))
    taken = sum(parameter.nbytes for parameter in loaded.model.parameters())
    for parameter in loaded.model.parameters():
        for scales in (getattr(parameter, "SCB", None), getattr(getattr(parameter, "quant_state", None), "absmax", None)):
            taken += scales.nbytes if scales is not None else 0
    assert loaded.need.weights == pytest.approx(taken, rel=0.02)


@pytest.mark.parametrize(
    ("free", "quantization", "hint"),
    [
        (12e9, "none", "--quantization int8 needs about"),
        (9e9, "none", "--quantization nf4 needs about"),
        (9e9, "int8", "--quantization nf4 needs about"),
        (5e9, "none", "billion parameters with --quantization nf4"),
        (1e9, "nf4", "--server URL"),
    ],
)
def test_a_refusal_names_the_least_change_that_fits(free: float, quantization: Quantization, hint: str) -> None:
    with pytest.raises(ModelError, match=r"'llama' needs about [\d.]+ GB on cuda .* 8,192 tokens of context 1.1 GB") as caught:
        check_fits("llama", plan(quantization=quantization), int(free))
    assert hint in caught.value.hint


def test_unknown_memory_is_no_reason_to_refuse() -> None:
    assert check_fits("llama", plan(), None).weights > 0


def test_a_cpu_that_wants_fp32_takes_bf16_where_nothing_else_fits(tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "bf16_slowdown", lambda: 30.0)
    need = load(str(tiny["llama3"]), Request(device="cpu")).need.total
    monkeypatch.setattr("assistant.models.loading.memory_available", lambda _: need - 1)
    loaded = load(str(tiny["llama3"]), Request(device="cpu"))
    assert loaded.dtype == torch.bfloat16
    assert "but fp32 would take" in loaded.hardware.reason


def test_memory_available_is_what_torch_can_have() -> None:
    available = memory_available("cpu")
    assert available is None or 10_000_000 < available < 10**14


@pytest.mark.parametrize(
    ("slower", "dtype", "label"),
    [
        (30.4, torch.float32, "cpu, fp32: bf16 matmul is 30 × slower on this CPU"),
        (1.5, torch.float32, "cpu, fp32: bf16 matmul is 1.5 × slower on this CPU"),
        (0.4, torch.bfloat16, "cpu, bf16: bf16 matmul takes 0.4 × what fp32 takes on this CPU, and half the memory"),
    ],
)
def test_a_cpu_computes_in_what_is_fast(monkeypatch: pytest.MonkeyPatch, slower: float, dtype: torch.dtype, label: str) -> None:
    monkeypatch.setattr(hardware, "bf16_slowdown", lambda: slower)
    chosen = choose_hardware("cpu")
    assert (chosen.dtype, chosen.label) == (dtype, label)


def test_the_trial_is_made_once_and_is_short() -> None:
    assert 0.05 < bf16_slowdown() < 1000
    hits = bf16_slowdown.cache_info().hits
    assert bf16_slowdown.cache_info().misses == 1
    bf16_slowdown()
    assert bf16_slowdown.cache_info().hits == hits + 1


@pytest.mark.parametrize(
    ("capability", "float16", "dtype", "reason"),
    [
        ((9, 0), True, "bf16", "H100 computes bf16 itself"),
        ((8, 0), False, "bf16", "computes bf16 itself"),
        ((7, 5), True, "fp16", "has no bf16 (capability 7.5, bf16 needs 8.0)"),
        ((7, 5), False, "bf16", "emulates bf16, slowly, but this model overflows fp16"),
    ],
)
def test_an_nvidia_gpu_computes_in_bf16_from_ampere_on(
    capability: tuple[int, int], float16: bool, dtype: str, reason: str
) -> None:
    chosen, why = cuda_dtype(capability, "H100", float16=float16)
    assert dtype_name(chosen) == dtype
    assert reason in why


def test_a_device_that_is_not_there_is_refused() -> None:
    absent = "mps" if torch.cuda.is_available() or not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(ModelError, match=f"no device '{absent}'") as caught:
        choose_hardware(absent)  # type: ignore[arg-type]
    assert "cpu" in caught.value.hint


def test_sizes_read_well() -> None:
    assert [gigabytes(size) for size in (1, 999_000_001, 1_000_000_000, 16_060_000_000)] == [
        "1 MB",
        "1000 MB",
        "1.0 GB",
        "16.1 GB",
    ]


def test_a_checkpoint_counts_its_files(tiny: dict[str, Path]) -> None:
    checkpoint = Checkpoint("m", tiny["llama3"])
    assert checkpoint.size == (tiny["llama3"] / "model.safetensors").stat().st_size
    assert sum(tensor.end - tensor.start for tensor in checkpoint.tensors) < checkpoint.size
