"""GRPO: group-relative policy optimisation (Shao et al. 2024, arXiv 2402.03300).

A score counts in standard deviations of its siblings', each token is clipped by itself, and the KL to the reference is a part of
the loss rather than of the score: ``kl`` is what a nat costs beside an advantage of 1. The loss is a mean over tokens (DAPO, Yu
et al. 2025, arXiv 2503.14476): a mean over each answer first would let long bad answers off lightly. TRL's own default is no KL.
"""

from dataclasses import replace
from typing import Any

from finetune import ppo
from finetune.recipe import Job
from finetune.reinforcement.grouped import group_settings
from finetune.trl_bridge import grpo_trainer


def make_trainer(job: Job) -> Any:
    """TRL's trainer over our prompts, answers and scores."""
    return grpo_trainer(job, group_settings(job) | {"loss_type": "dapo", "scale_rewards": "group", "num_iterations": 1})


RECIPE = replace(ppo.RECIPE, make_trainer=make_trainer)
