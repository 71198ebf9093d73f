"""RLOO: REINFORCE, leave one out (Ahmadian et al. 2024, arXiv 2402.14740). The nearest to PPO, without a value.

An answer is one action: its score, less what its distance from the reference costs, is compared with the mean of its siblings'.
The baseline costs nothing to learn, and several answers to each prompt pay for it.
"""

from dataclasses import replace
from typing import Any

from finetune import ppo
from finetune.recipe import Job
from finetune.reinforcement.grouped import group_settings
from finetune.trl_bridge import rloo_trainer


def make_trainer(job: Job) -> Any:
    """TRL's trainer over our prompts, answers and scores."""
    return rloo_trainer(job, group_settings(job) | {"normalize_advantages": job.config.whiten_rewards})


RECIPE = replace(ppo.RECIPE, make_trainer=make_trainer)
