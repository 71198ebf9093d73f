"""LoRA adapters with random weights, as peft writes them: no two of them compute the same."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from assistant.adapters.manifest import weights_hash
from assistant.adapters.selection import Chosen
from assistant.models.quiet import quiet

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
ALL = [*ATTENTION, "gate_proj", "up_proj", "down_proj"]
SLOW = ("use_dora", "modules_to_save", "trainable_token_indices")


def random_adapter(base: Path, folder: Path, *, seed: int, strength: float = 0.3, **changes: Any) -> Chosen:
    """Write an adapter of a base into a folder."""
    torch.manual_seed(seed)
    options: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": ALL, "task_type": "CAUSAL_LM"}
    with quiet():
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**options | changes))
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=strength) if "lora_B" in name else parameter.data.add_(0.05)
        model.save_pretrained(folder)
    return Chosen(folder.name, folder, weights_hash(folder), slow=any(name in changes for name in SLOW))
