"""Tiny models with random weights, made by transformers from the families' own configs: for tests, in well under a second each.

Their tokenizers know every byte, so that any text survives; the special tokens are the families' own.
"""

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import (
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from assistant.models.families import GEMMA_2, LLAMA_2, LLAMA_3
from assistant.models.quiet import quiet

LLAMA_3_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|finetune_right_pad_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
)
GEMMA_2_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
LLAMA_2_TOKENS = ("<unk>", "<s>", "</s>")


def tiny_llama3(path: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Llama 3.1 in small: grouped queries, its RoPE scaling, its special tokens."""
    tokenizer = byte_level(LLAMA_3_TOKENS, bos="<|begin_of_text|>", eos="<|eot_id|>", template=LLAMA_3)
    rope = {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 256,
    }
    config = LlamaConfig(**_SIZE | {"rope_parameters": rope, "max_position_embeddings": 2048} | _ids(tokenizer) | changes)
    return save(path, config, tokenizer, seed=seed)


def tiny_llama2(path: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Llama 2 in small: SentencePiece's ways, a text template."""
    tokenizer = byte_fallback(LLAMA_2_TOKENS, bos="<s>", eos="</s>", unk="<unk>", template=LLAMA_2)
    size = _SIZE | {"num_key_value_heads": 4, "max_position_embeddings": 1024}
    return save(path, LlamaConfig(**size | _ids(tokenizer) | changes), tokenizer, seed=seed)


def tiny_gemma2(path: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Gemma 2 in small: a sliding window on every other layer, soft-capping, tied embeddings, a head size of its own."""
    tokenizer = byte_fallback(GEMMA_2_TOKENS, bos="<bos>", eos="<eos>", unk="<unk>", template=GEMMA_2, prefix=False, pad="<pad>")
    small = {
        "head_dim": 16,
        "query_pre_attn_scalar": 16,
        "sliding_window": 64,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "max_position_embeddings": 2048,
    }
    return save(path, Gemma2Config(**_SIZE | small | _ids(tokenizer) | changes), tokenizer, seed=seed)


def tiny_gpt2(path: Path, *, seed: int = 0, **changes: Any) -> Path:
    """GPT-2 in small: learned positions, one special token, no chat template."""
    tokenizer = byte_level(("<|endoftext|>",), bos="<|endoftext|>", eos="<|endoftext|>", begins=False)
    size = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 1024, "initializer_range": 0.2}
    return save(path, GPT2Config(**size | _ids(tokenizer) | changes), tokenizer, seed=seed)


_SIZE: dict[str, Any] = {
    "hidden_size": 64,  # a multiple of NF4's block
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,  # ten times the usual: logits far enough apart for one of them to win clearly
}


def byte_level(
    special: tuple[str, ...], *, bos: str, eos: str | None, template: str | None = None, begins: bool = True
) -> PreTrainedTokenizerFast:
    """A tokenizer as GPT-2 and Llama 3 have it: one token a byte, no merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return _fast(backend, bos=bos, eos=eos, template=template, begins=begins)


def byte_fallback(
    special: tuple[str, ...],
    *,
    bos: str,
    eos: str,
    unk: str,
    template: str | None = None,
    prefix: bool = True,
    pad: str | None = None,
) -> PreTrainedTokenizerFast:
    """A tokenizer as Llama 2 and Gemma have it: ``▁`` for a space, bytes for what the vocabulary lacks."""
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "\n", *letters]
    backend = Tokenizer(
        models.BPE(vocab={token: at for at, token in enumerate(tokens)}, merges=[], unk_token=unk, byte_fallback=True)
    )
    replace = normalizers.Replace(" ", "▁")
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replace]) if prefix else replace
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return _fast(backend, bos=bos, eos=eos, template=template, unk_token=unk, pad_token=pad)


def save(path: Path, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast, *, seed: int = 0) -> Path:
    """Write a model with random weights, and its tokenizer, as safetensors into a folder."""
    torch.manual_seed(seed)
    with quiet():
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
        model.save_pretrained(path)
        tokenizer.save_pretrained(path)
    return path


def _fast(
    backend: Tokenizer, *, bos: str, eos: str | None, template: str | None, begins: bool = True, **more: str | None
) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=bos, eos_token=eos, add_bos_token=begins, **more)
    tokenizer.chat_template = template
    return tokenizer


def _ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
