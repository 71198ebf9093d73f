"""Answers that a policy wrote → scores by the graders that the settings name.

Shared by all methods with rollouts, and by what is measured before and after (``finetune.reinforcement.outcome``).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from assistant.records import Message
from finetune.base_model import Base
from finetune.config import TrainingConfig
from finetune.data.rows import Prompted, Row
from finetune.formatting import Formatter
from finetune.graders.grader import Graded, Sample, WeightedGrader
from finetune.graders.opening import Context, open_graders
from finetune.reinforcement import advantages
from finetune.reinforcement.grader_trial import try_grader
from finetune.reinforcement.rollouts import Rollout, Sampling, draw_lengths, draw_rows, said, step_seed, write_answers
from finetune.run_folder.files import append_lines, whole_lines, write_file
from finetune.run_folder.records import ANSWERS

if TYPE_CHECKING:
    from finetune.recipe import Job

SHOWN_TIMES = 5
"""Answers are written down so many times a run."""
MANY_CUT = 0.1
"""A share of scores; where more are cut by ``score_clip``, they are no outliers."""
MEASURED_SEED = 7_919
"""Added to the run's seed: the same answers are drawn before and after, as far as the policies agree."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Graders and what they need to know of an answer.

    Attributes:
        grader: what is learned from.
        held_out: what only measures; None: none was given.
        formatter: decodes.
        verdict: what attacks on the first came to; empty: none were tried.
    """

    grader: WeightedGrader
    held_out: WeightedGrader | None
    formatter: Formatter
    verdict: Mapping[str, Any]

    def samples(self, rollouts: Sequence[Rollout], rows: Sequence[Row]) -> list[Sample]:
        """Answers as graders see them."""
        return [sample_of(each, rows[each.at], self.formatter) for each in rollouts]

    def grade(self, rollouts: Sequence[Rollout], rows: Sequence[Row]) -> Graded:
        """Scores of what is learned from.

        Raises:
            GraderFault: something gives no numbers.
        """
        return self.grader.grade(self.samples(rollouts, rows))


def sample_of(rollout: Rollout, row: Row, formatter: Formatter) -> Sample:
    """An answer as graders see it; of a plain text the prompt is its beginning, as a message of the user."""
    if not isinstance(row, Prompted):
        raise TypeError(type(row).__name__)
    prompt, answer = said(rollout, formatter)
    return Sample(row.prompt or (Message("user", prompt),), answer, row.fields)


def sampling_of(job: "Job") -> Sampling:
    """How a job's answers are drawn."""
    config, loaded = job.config, job.base.loaded
    eos = job.base.formatter.tokenizer.eos_token_id
    stops = {int(each) for each in (*loaded.stop_ids, job.base.formatter.stop_id, eos) if each is not None}
    return Sampling(
        config.temperature, config.top_k, config.top_p, tuple(sorted(stops)), job.base.formatter.pad_id(), config.write_batch
    )


def places_of(job: "Job", step: int) -> list[int]:
    """Numbers of the prompts of a step, each as often as it is answered."""
    config = job.config
    drawn = draw_rows(config.prompts, of=len(job.train.features), start=step * config.prompts, seed=config.seed)
    return [at for at in drawn for _ in range(config.rollouts // config.prompts)]


def write_round(job: "Job", model: Any, step: int) -> list[Rollout]:
    """A step's answers, drawn by its own seed."""
    config, at, seed = job.config, places_of(job, step), step_seed(job.config.seed, step)
    each = config.rollouts // config.prompts
    lengths = [length for length in draw_lengths(config.prompts, config.answer_range, seed=seed) for _ in range(each)]
    prompts = [job.train.features[place]["prompt_ids"] for place in at]
    return write_answers(model, prompts, lengths, sampling_of(job), seed=seed, at=at)


def answer_held_out(job: "Job", model: Any, *, count: int) -> list[Rollout]:
    """Answers to the first held-out prompts, the same for the same model."""
    prompts = [each["prompt_ids"] for each in job.held_out.features[:count]]
    seed = job.config.seed + MEASURED_SEED
    lengths = draw_lengths(len(prompts), job.config.answer_range, seed=seed)
    return write_answers(model, prompts, lengths, sampling_of(job), seed=seed) if prompts else []


def open_scored(config: TrainingConfig, base: Base, rows: Sequence[Row], announce: Callable[[str], None]) -> Scored:
    """Open the graders of a training, those of the base's own weights on them, and attack what is to be learned from.

    Args:
        config: names them.
        base: what is trained.
        rows: to learn from; none: the run goes on, and what attacks came to is in its records.
        announce: told what goes on.

    Raises:
        TrainingError, ModelError, UsageError: one of them can't be opened.
        CheckFailed: an attack wins.
    """
    context = Context(base=base, announce=announce, timeout_s=config.grader_timeout)
    held_out = open_graders(config.eval_grader, context) if config.eval_grader else None
    grader = open_graders(config.grader, context)
    return Scored(grader, held_out, base.formatter, try_grader(grader, config, rows, announce) if rows else {})


def append_answers(job: "Job", model: Any, step: int) -> None:
    """Write down answers to the first held-out prompts, with their scores."""
    rollouts = answer_held_out(job, model, count=job.config.samples)
    if not rollouts:
        return
    scored: Scored = job.scored
    samples = scored.samples(rollouts, job.held_out.rows)
    lines = [
        {"step": step, "prompt": sample.asked, "answer": sample.completion, "reward": reward}
        for sample, reward in zip(samples, scored.grader.score(samples), strict=True)
    ]
    append_lines(job.run.folder / ANSWERS, b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def rewind_answers(folder: Path, step: int) -> None:
    """Forget answers of this step and later ones: they will be written down again."""
    kept = [line for line in whole_lines(folder / ANSWERS) if json.loads(line)["step"] < step]
    write_file(folder / ANSWERS, b"".join(line + b"\n" for line in kept))


class Counting:
    """What scores count for in learning, and a word to the user where ``score_clip`` makes many of them the same."""

    def __init__(self, job: "Job") -> None:
        self._job, self._told = job, MANY_CUT

    def __call__(self, scores: Tensor, rollouts: Sequence[Rollout], step: int) -> Tensor:
        """Scores ``(b,)`` of answers as they are learned from: less the penalty, and cut."""
        config = self._job.config
        ended = torch.tensor([each.ended for each in rollouts], device=scores.device)
        whole = advantages.without_end(scores, ended, config.missing_end_penalty)
        counted = advantages.clipped_scores(whole, config.score_clip)
        cut = whole[whole != counted]
        share = len(cut) / len(whole)
        if share > self._told:  # said again only where it gets much worse
            self._told = 1.0 if share == 1 else min(2 * share, 0.99)
            self._job.announce(
                f"step {step}: score_clip {config.score_clip:g} cuts {len(cut)} of {len(whole)} scores "
                f"({float(cut.min()):.4g} to {float(cut.max()):.4g}): raise score_clip, or set it to 0"
            )
        return counted


def all_alike(scores: Tensor, counted: Tensor) -> str:
    """What to say of scores that all count the same."""
    says = "are" if bool((scores == counted).all()) else "count as"
    return f"all {len(scores)} scores {says} {float(counted[0]):.4g}"


def note_silence(job: "Job", rollouts: Sequence[Rollout], step: int) -> None:
    """Say so where the policy says nothing any more."""
    if all(each.ended and len(each.answer) == 1 for each in rollouts):
        job.announce(f"step {step}: all {len(rollouts)} answers are empty: the policy ends before its first word")
