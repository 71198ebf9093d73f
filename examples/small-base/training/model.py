"""The network while it learns: Llama's, with fused projections, for packs of branches; ``save`` writes it as transformers'."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the network."""

    vocabulary: int = 4096
    width: int = 192
    layers: int = 6
    heads: int = 4
    inner: int = 384
    theta: float = 1e7
    context: int = 1024


class Block(nn.Module):
    """Attention and a gated feed-forward layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Parameter(torch.empty(3 * shape.width, shape.width))
        self.out = nn.Parameter(torch.empty(shape.width, shape.width))
        self.up = nn.Parameter(torch.empty(2 * shape.inner, shape.width))
        self.down = nn.Parameter(torch.empty(shape.width, shape.inner))
        self.norm_attention = nn.Parameter(torch.ones(shape.width))
        self.norm_inner = nn.Parameter(torch.ones(shape.width))
        for matrix in (self.qkv, self.up):
            nn.init.normal_(matrix, std=shape.width**-0.5 * 0.6)
        for matrix in (self.out, self.down):
            nn.init.normal_(matrix, std=0.02 / (2 * shape.layers) ** 0.5)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The next hidden states, and the queries and keys that attention was made of: (batch, heads, length, size) each."""
        batch, length, width = x.shape
        y = F.rms_norm(x, (width,), self.norm_attention, 1e-5)
        q, k, v = F.linear(y, self.qkv).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = _turn(q, cos, sin), _turn(k, cos, sin)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = x + F.linear(y.transpose(1, 2).reshape(batch, length, width), self.out)
        gate, up = F.linear(F.rms_norm(x, (width,), self.norm_inner, 1e-5), self.up).chunk(2, dim=-1)
        return x + F.linear(F.silu(gate) * up, self.down), q, k


class Network(nn.Module):
    """Tokens to hidden states; ``logits`` is a step of its own, because few places need it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Parameter(torch.randn(shape.vocabulary, shape.width) * 0.05)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.Parameter(torch.ones(shape.width))
        size = shape.width // shape.heads
        frequency = shape.theta ** -(torch.arange(0, size, 2).float() / size)
        angles = torch.outer(torch.arange(2 * shape.context).float(), frequency)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, tokens: Tensor, positions: Tensor, mask: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Hidden states (batch, length, width), and every layer's queries and keys."""
        x = F.embedding(tokens, self.embedding)
        cos, sin = self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1)
        bias = torch.zeros(mask.shape).masked_fill_(~mask, float("-inf")).unsqueeze(1)
        seen = []
        for block in self.blocks:
            x, q, k = block(x, cos, sin, bias)
            seen.append((q, k))
        return F.rms_norm(x, (self.shape.width,), self.norm, 1e-5), seen

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.embedding)


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def hugging_face_weights(state: dict[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """The same weights under transformers' names."""
    found = {"model.embed_tokens.weight": state["embedding"], "model.norm.weight": state["norm"]}
    for i in range(shape.layers):
        ours, theirs = f"blocks.{i}.", f"model.layers.{i}."
        for name, part in zip("qkv", state[ours + "qkv"].chunk(3), strict=True):
            found[f"{theirs}self_attn.{name}_proj.weight"] = part
        gate, up = state[ours + "up"].chunk(2)
        found |= {
            theirs + "self_attn.o_proj.weight": state[ours + "out"],
            theirs + "mlp.gate_proj.weight": gate,
            theirs + "mlp.up_proj.weight": up,
            theirs + "mlp.down_proj.weight": state[ours + "down"],
            theirs + "input_layernorm.weight": state[ours + "norm_attention"],
            theirs + "post_attention_layernorm.weight": state[ours + "norm_inner"],
        }
    return found


def save(state: dict[str, Tensor], shape: Shape, folder: Path, *, bos: int, eos: int, pad: int) -> None:
    """Write weights (float16) and configuration so that AutoModelForCausalLM reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: weight.to(torch.float16).contiguous().clone() for name, weight in hugging_face_weights(state, shape).items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": shape.vocabulary, "hidden_size": shape.width,
        "intermediate_size": shape.inner, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads, "head_dim": shape.width // shape.heads, "max_position_embeddings": shape.context,
        "rope_theta": shape.theta, "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": True,
        "attention_bias": False, "mlp_bias": False, "bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad,
        "dtype": "float16",
    }  # fmt: skip
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    generation = {"bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad, "do_sample": False}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n", "utf-8")


def sizes(shape: Shape) -> dict[str, float]:
    return asdict(shape)
