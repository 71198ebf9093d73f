"""A model's layers by its ``config.json`` alone: which matrices it has, and how many numbers they hold (pure).

What is planned needs no weights, and nothing of 16 GB is fetched to learn that it wouldn't fit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from assistant.errors import ModelError
from assistant.models.checkpoint import Tensor
from assistant.models.memory import Shape, read_shape
from indexes.errors import UsageError

Group = Literal["attention", "output", "mlp", "down"]
"""What a matrix is given: the layer's input, the attention's result, the MLP's input, or what the MLP made of it."""

ENCODERS = ("bert", "roberta", "xlm-roberta", "electra", "camembert")
TIED = ("gpt2", "gemma", "gemma2", "gemma3_text", *ENCODERS)
"""Kinds whose head is their embedding unless the config says otherwise."""
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix that can be adapted.

    Attributes:
        name: within its layer; the last part is what targets name.
        group: matrices of one group are given the same numbers.
        times: how often the model has it.
        bias: whether a vector goes with it.
    """

    name: str
    inputs: int
    outputs: int
    group: Group
    times: int
    bias: bool = False

    def adapter(self, rank: int) -> int:
        """Numbers of its two low-rank matrices, in all layers."""
        return self.times * rank * (self.inputs + self.outputs)


def shape_of(config: Mapping[str, Any], *, name: str = "the model") -> Shape:
    """A model's measures.

    Raises:
        ModelError: the config doesn't say them, or it is a mixture of experts.
    """
    if any(config.get(key) for key in EXPERTS):
        raise ModelError(f"{name!r} is a mixture of experts, which isn't planned here", hint="name a dense model with --base")
    shape = read_shape(config)
    missing = [what for what in ("hidden", "intermediate", "vocabulary", "layers") if getattr(shape, what) <= 0]
    if missing:
        raise ModelError(
            f"config.json of {name!r} doesn't say its {' and '.join(missing)} size", hint="name another base with --base"
        )
    return shape


def linears(config: Mapping[str, Any]) -> tuple[Linear, ...]:
    """The matrices of the layers: those of Llama's kind, unless the config is of GPT-2's, BERT's or Phi-3's."""
    shape, kind = read_shape(config), str(config.get("model_type"))
    hidden, inner, layers = shape.hidden, shape.intermediate, shape.layers
    queries, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    if kind == "gpt2":
        return (
            Linear("attn.c_attn", hidden, 3 * hidden, "attention", layers, bias=True),
            Linear("attn.c_proj", hidden, hidden, "output", layers, bias=True),
            Linear("mlp.c_fc", hidden, inner, "mlp", layers, bias=True),
            Linear("mlp.c_proj", inner, hidden, "down", layers, bias=True),
        )
    if kind in ENCODERS:
        attention = (
            Linear(f"attention.self.{name}", hidden, hidden, "attention", layers, bias=True) for name in ("query", "key", "value")
        )
        return (
            *attention,
            Linear("attention.output.dense", hidden, hidden, "output", layers, bias=True),
            Linear("intermediate.dense", hidden, inner, "mlp", layers, bias=True),
            Linear("output.dense", inner, hidden, "down", layers, bias=True),
            Linear("pooler.dense", hidden, hidden, "attention", 1, bias=True),
        )
    if kind == "phi3":
        return (
            Linear("self_attn.qkv_proj", hidden, queries + 2 * keys, "attention", layers),
            Linear("self_attn.o_proj", queries, hidden, "output", layers),
            Linear("mlp.gate_up_proj", hidden, 2 * inner, "mlp", layers),
            Linear("mlp.down_proj", inner, hidden, "down", layers),
        )
    biased = kind == "qwen2"
    return (
        Linear("self_attn.q_proj", hidden, queries, "attention", layers, bias=biased),
        Linear("self_attn.k_proj", hidden, keys, "attention", layers, bias=biased),
        Linear("self_attn.v_proj", hidden, keys, "attention", layers, bias=biased),
        Linear("self_attn.o_proj", queries, hidden, "output", layers),
        Linear("mlp.gate_proj", hidden, inner, "mlp", layers),
        Linear("mlp.up_proj", hidden, inner, "mlp", layers),
        Linear("mlp.down_proj", inner, hidden, "down", layers),
    )


def adapted(config: Mapping[str, Any], targets: Sequence[str]) -> tuple[Linear, ...]:
    """The matrices that targets name; no targets: all.

    Raises:
        UsageError: a target names none.
    """
    every = linears(config)
    names = {one.name.rpartition(".")[2] for one in every}
    if unknown := [target for target in targets if target not in names]:
        raise UsageError(
            f"the model has no layer {unknown[0]!r} that could be adapted", hint=f"targets can be {', '.join(sorted(names))}"
        )
    return tuple(one for one in every if not targets or one.name.rpartition(".")[2] in targets)


def tensors(config: Mapping[str, Any], *, head: bool = True) -> list[Tensor]:
    """Every tensor that the weights would hold.

    Args:
        config: ``config.json``.
        head: whether there is a language model's head; a reward model has none.
    """
    shape, kind = read_shape(config), str(config.get("model_type"))
    found = {"embed_tokens": (shape.vocabulary, shape.hidden)}
    positions = int(config.get("n_positions") or (config.get("max_position_embeddings") if kind in ENCODERS else 0) or 0)
    if positions:
        found["embed_positions"] = (positions, shape.hidden)
    if kind in ENCODERS:
        found["embed_types"] = (int(config.get("type_vocab_size") or 1), shape.hidden)
    for one in linears(config):
        for at in range(one.times):
            found[f"{at}.{one.name}"] = (one.outputs, one.inputs)
            if one.bias:
                found[f"{at}.{one.name}.bias"] = (one.outputs, 1)
    found["norms"] = (norms(config) * shape.layers + 1, shape.hidden * (2 if kind == "gpt2" or kind in ENCODERS else 1))
    if head and kind not in ENCODERS and not config.get("tie_word_embeddings", kind in TIED):
        found["lm_head"] = (shape.vocabulary, shape.hidden)
    return [Tensor(name, "F32", sides if 1 not in sides else (max(sides),), Path(), 0, 0) for name, sides in found.items()]


def norms(config: Mapping[str, Any]) -> int:
    """Normalisations of a layer."""
    return 4 if config.get("model_type") in ("gemma2", "gemma3_text") else 2
