"""The settings of methods that learn from scored answers of their own: what is written, how it is scored, how far to go.

They are a part of ``config.TrainingConfig``. Each says its unit and why it is what it is.
"""

import math
import re
from dataclasses import dataclass

from finetune.reinforcement.kl_control import MOST_ERROR

RANGE = re.compile(r"(\d+)(?:-(\d+))?")
RL_POSITIVE = (
    *("rollouts", "num_generations", "write_batch", "temperature", "clip_ratio", "discount", "decay"),
    *("value_rate", "grader_timeout"),
)
RL_NOT_NEGATIVE = (
    *("kl", "target_kl", "kl_gain", "max_kl", "top_k", "score_clip", "missing_end_penalty", "clip_value", "value_weight"),
    *("entropy_weight", "update_kl", "update_epochs", "measured"),
)
RL_UP_TO_ONE = ("top_p", "discount", "decay")
RANGES = ("prompt_tokens", "answer_tokens")
METHODS_WITH_ROLLOUTS = ("ppo", "rloo", "grpo")
METHODS_IN_GROUPS = ("rloo", "grpo")
"""Those that compare several answers to each prompt."""
UPDATE_EPOCHS = {"ppo": 4, "rloo": 1, "grpo": 1}
"""Times that a step's answers are learned from. PPO's is Schulman et al. 2017's; without a value to guard them the others clip
most of what more epochs would bring (docs/log.md, 2026-11-21), and new answers are the better use of the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSettings:
    """What a method with rollouts needs to know.

    Attributes:
        grader: what scores an answer; of several the (weighted) sum.
        eval_grader: scores before and after only: what the policy never learned from shows whether it fooled the grader.
        grader_timeout: seconds that a function of the user's may take for a batch of answers.
        force: learn from a grader that an attack beats (``finetune.graders.attacks``), or whose scores hold chance.
        kl: score that a nat of distance from the reference costs (β). 0.05 is what published runs end near.
        target_kl: nats of an answer that the coefficient steers to, as in Ziegler et al. 2019 (there 6); 0: it stays.
        kl_gain: how fast it steers; 0.1 in Ziegler et al. 2019. From 5 on a step could turn its sign.
        max_kl: nats of an answer beyond which the policy has run away: the training ends with the last state before. 0: never.
            What the last step learned is looked at by one more round of answers.
        rollouts: answers of a step. Fewer make the advantages noise, more make a step slow.
        num_generations: of them, answers to each prompt (RLOO, GRPO): a score counts by how it differs from theirs.
        mask_truncated: learn nothing from answers that didn't end by themselves (RLOO, GRPO).
        write_batch: answers written at once; they keep their keys and values meanwhile.
        prompt_tokens: of a plain text, how many of its first tokens are the prompt: a number, or a range to draw from.
        answer_tokens: of an answer, at most: a number, or a range to draw from.
        temperature: of sampling; what is learned is the distribution that is sampled from.
        top_k, top_p: of sampling; 0 and 1 leave out nothing, so that log-probabilities are those of what was sampled from.
        score_clip: no score counts more; 0: as they are. 10 standard deviations of a reward model are an outlier; a run says so
            where more than a tenth of a step's scores are cut.
        missing_end_penalty: taken from the score of an answer that didn't end by itself.
        whiten_rewards: rewards in standard deviations of a step's.
        update_epochs: times that a step's answers are learned from; 0: the method's (``UPDATE_EPOCHS``).
        clip_ratio: share by which a token's probability may change in a step (ε, Schulman et al. 2017).
        clip_value: by how much a value may change in a step; 0: freely.
        update_kl: nats a token between the policy of a step's beginning and now at which the step's learning ends; 0: never.
        value_weight: of the value's loss where it shares weights with the policy.
        value_rate: learning rate of the value head: a single layer that begins at 0 must learn faster than the adapter.
        value_reaches_policy: whether the value's loss changes the adapter too (see ``finetune.ppo`` for why it doesn't).
        entropy_weight: of a bonus for doubt.
        discount: γ; an answer has one score at its end, and its beginning deserves it as much.
        decay: λ of the advantages (Schulman et al. 2016).
        measured: held-out prompts, at most, that are answered and scored before and after.
    """

    grader: tuple[str, ...] = ()
    eval_grader: tuple[str, ...] = ()
    grader_timeout: float = 30.0
    force: bool = False
    kl: float = 0.05
    target_kl: float = 0.0
    kl_gain: float = 0.1
    max_kl: float = 50.0
    rollouts: int = 64
    num_generations: int = 4
    mask_truncated: bool = False
    write_batch: int = 32
    prompt_tokens: str = "2-8"
    answer_tokens: str = "64"
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    score_clip: float = 10.0
    missing_end_penalty: float = 0.0
    whiten_rewards: bool = False
    update_epochs: int = 0
    clip_ratio: float = 0.2
    clip_value: float = 0.2
    update_kl: float = 0.05
    value_weight: float = 0.1
    value_rate: float = 1e-3
    value_reaches_policy: bool = False
    entropy_weight: float = 0.0
    discount: float = 1.0
    decay: float = 0.95
    measured: int = 256

    @property
    def prompt_range(self) -> tuple[int, int]:
        """The fewest and the most tokens of a plain text that are a prompt."""
        return as_range(self.prompt_tokens)

    @property
    def answer_range(self) -> tuple[int, int]:
        """The fewest and the most tokens that an answer may have at most."""
        return as_range(self.answer_tokens)

    def rollout_faults(self) -> list[str]:
        """What is wrong with these values, each with what is allowed."""
        given = {name: getattr(self, name) for name in (*RL_POSITIVE, *RL_NOT_NEGATIVE, *RL_UP_TO_ONE)}
        found = [f"{name} is {given[name]!r}: it must be above 0" for name in RL_POSITIVE if not given[name] > 0]
        found += [f"{name} is {given[name]!r}: it can't be negative" for name in RL_NOT_NEGATIVE if not given[name] >= 0]
        found += [f"{name} is {given[name]!r}: it can't be above 1" for name in RL_UP_TO_ONE if not given[name] <= 1]
        found += [f"{name} is {value!r}: it must be finite" for name, value in given.items() if math.isinf(value)]
        for name in RANGES:
            if not _is_range(getattr(self, name)):
                found.append(f"{name} is {getattr(self, name)!r}: it must be a number of tokens, or a range such as 16-24")
        if self.top_p == 0:
            found.append("top_p is 0: nothing would be left to draw from")
        if self.target_kl and not self.kl:
            found.append(f"target_kl is {self.target_kl!r} and kl 0: a coefficient of 0 can't be steered, so give a kl above 0")
        if self.kl_gain * MOST_ERROR >= 1:
            found.append(
                f"kl_gain is {self.kl_gain!r}: it must be below {1 / MOST_ERROR:g}, or the coefficient could fall below 0"
            )
        return found


def as_range(text: str) -> tuple[int, int]:
    """``16-24`` → (16, 24), ``24`` → (24, 24)."""
    least, _, most = text.partition("-")
    return int(least), int(most or least)


def _is_range(text: str) -> bool:
    match = RANGE.fullmatch(text)
    return bool(match) and len(text) < 16 and 1 <= as_range(text)[0] <= as_range(text)[1]
