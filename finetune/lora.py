"""The adapter that is trained: a fresh LoRA, or one to go on from.

A fresh adapter changes nothing at first (its second matrix is 0), so that a training begins exactly at its base.
"""

from typing import TYPE_CHECKING, Any

import torch

from finetune.config import TrainingConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peft import LoraConfig

    from finetune.recipe import Job


def lora_config(config: TrainingConfig, targets: "Sequence[str]", *, task: str, model_type: str) -> "LoraConfig":
    """What PEFT needs to know of the adapter."""
    from peft import LoraConfig

    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(targets),
        use_rslora=config.rslora,
        use_dora=config.dora,
        fan_in_fan_out=model_type == "gpt2",
        task_type=task,
        bias="none",
    )


def adapted(job: "Job", *, task: str = "CAUSAL_LM") -> Any:
    """The base with its adapter, drawn from the job's seed; embeddings of added tokens are trained with it."""
    from peft import get_peft_model

    if job.given_adapter is not None:
        return job.given_adapter
    torch.manual_seed(job.config.seed)
    adapter = lora_config(job.config, job.base.targets, task=task, model_type=job.model_type)
    if job.base.added:
        adapter.trainable_token_indices = list(job.base.added)
    return prepared(get_peft_model(job.base.loaded.model, adapter), job)


def with_reference(job: "Job") -> dict[str, Any]:
    """The same for a method with a reference policy: TRL switches a fresh adapter off, and copies one that was given."""
    if job.given_adapter is not None:
        return {"model": job.given_adapter}
    torch.manual_seed(job.config.seed)
    adapter = lora_config(job.config, job.base.targets, task="CAUSAL_LM", model_type=job.model_type)
    return {"model": job.base.loaded.model, "peft_config": adapter}


def prepared(model: Any, job: "Job") -> Any:
    """Let gradients pass through frozen embeddings where activations are computed again."""
    if job.arguments["gradient_checkpointing"]:
        model.enable_input_require_grads()
    return model
