"""A policy that is read twice in training mode is the same policy, however its family leaves things out."""

import pytest
import torch
from transformers import BloomConfig, FalconConfig, GPT2Config, LlamaConfig, OPTConfig, PreTrainedConfig
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from finetune.reinforcement.policy import without_dropout

WIDE = {"vocab_size": 100, "hidden_size": 32, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.2}
DEEP = {"num_hidden_layers": 2, "num_attention_heads": 4}
FAMILIES: dict[str, PreTrainedConfig] = {
    "opt": OPTConfig(**WIDE, **DEEP, ffn_dim=64, word_embed_proj_dim=32, dropout=0.3, attention_dropout=0.3, layerdrop=0.3),
    "falcon": FalconConfig(**WIDE, **DEEP, hidden_dropout=0.3, attention_dropout=0.3),
    "bloom": BloomConfig(**WIDE, n_layer=2, n_head=4, hidden_dropout=0.3, attention_dropout=0.3),
    "gpt2": GPT2Config(
        vocab_size=100, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2, resid_pdrop=0.3, embd_pdrop=0.3
    ),
    "llama": LlamaConfig(**WIDE, **DEEP, intermediate_size=64, attention_dropout=0.3),
}


@pytest.mark.parametrize("family", list(FAMILIES))
def test_two_readings_in_training_are_equal(family: str) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(FAMILIES[family]).train()
    ids = torch.randint(5, 95, (4, 20))
    with torch.no_grad():
        assert not torch.equal(model(ids).logits, model(ids).logits), "this family leaves nothing out: it shows nothing here"
        without_dropout(model)
        assert model.training
        assert torch.equal(model(ids).logits, model(ids).logits)
