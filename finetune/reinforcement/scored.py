"""Answers that a policy wrote → scores by the graders that the settings name, and what a model's answers are worth as a whole.

Shared by all methods with rollouts, and by what is measured before and after.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from assistant.records import Message
from finetune.data.rows import Prompted, Row
from finetune.encoding import Encoding
from finetune.evaluation import Figures
from finetune.formatting import Formatter
from finetune.graders.grader import Graded, Sample, WeightedGrader
from finetune.graders.opening import Context, open_graders
from finetune.reinforcement.policy import as_reference, read_answers
from finetune.reinforcement.rollouts import Rollout, Sampling, distinct_2, draw_lengths, said, write_answers
from finetune.run_folder.files import append_lines, whole_lines, write_file
from finetune.statistics import any_interval, as_document, jackknife_interval

if TYPE_CHECKING:
    from finetune.recipe import Job

ANSWERS = "answers.jsonl"
"""Answers to the same held-out prompts in the course of a run: what no curve shows."""
MEASURED_SEED = 7_919
"""Added to the run's seed: the same answers are drawn before and after, as far as the policies agree."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Graders and what they need to know of an answer.

    Attributes:
        grader: what is learned from.
        held_out: what only measures; None: none was given.
        formatter: decodes.
    """

    grader: WeightedGrader
    held_out: WeightedGrader | None
    formatter: Formatter

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


def answer_held_out(job: "Job", model: Any, *, count: int) -> list[Rollout]:
    """Answers to the first held-out prompts, the same for the same model."""
    prompts = [each["prompt_ids"] for each in job.held_out.features[:count]]
    seed = job.config.seed + MEASURED_SEED
    lengths = draw_lengths(len(prompts), job.config.answer_range, seed=seed)
    return write_answers(model, prompts, lengths, sampling_of(job), seed=seed) if prompts else []


def measure_answers(job: "Job", model: Any) -> tuple[Figures, dict[str, dict[str, float]]]:
    """What a model's answers to held-out prompts are worth: figures of each, and of all together.

    Figures: ``reward`` (and of each part, and of held-out graders), ``kl`` to the reference in nats of an answer, ``length`` in
    tokens, ``ended``, and ``reference_nll``: how unlikely the reference finds it, in nats a token. Together: ``median_reward``,
    and ``distinct_2``, which falls where all answers become one.
    """
    rollouts = answer_held_out(job, model, count=job.config.measured)
    if not rollouts:
        return {}, {}
    scored: Scored = job.scored
    graded = scored.grade(rollouts, job.held_out.rows)
    padding, config = job.base.formatter.pad_id(), job.config
    reading: Mapping[str, Any] = {"padding": padding, "batch": config.batch, "temperature": config.temperature}
    own = read_answers(model, rollouts, **reading)
    with as_reference(model):
        reference = read_answers(model, rollouts, **reading)
    figures: Figures = {"reward": graded.totals}
    figures |= {f"reward/{name}": scores for name, scores in graded.parts.items()} if len(graded.parts) > 1 else {}
    if scored.held_out:
        figures["eval_reward"] = scored.held_out.grade(scored.samples(rollouts, job.held_out.rows)).totals
    lengths = own.mask.sum(1)
    figures["kl"] = (own.log_probs - reference.log_probs).sum(1).tolist()
    figures["reference_nll"] = (-reference.log_probs.sum(1) / lengths).tolist()
    figures["length"] = lengths.tolist()
    figures["ended"] = [float(each.ended) for each in rollouts]
    together = {"median_reward": as_document(any_interval(graded.totals, median))}
    together["distinct_2"] = as_document(jackknife_interval([each.answer for each in rollouts], distinct_2))
    return figures, together


def of_no_rows(model: Any, encoding: Encoding, padding: int) -> Figures:  # noqa: ARG001 - named as by other methods
    """What methods that measure answers measure of rows: nothing."""
    return {}


def open_scored(job: "Job") -> Scored:
    """Open the graders of a job, those of the base's own weights on them.

    Raises:
        TrainingError, ModelError, UsageError: one of them can't be opened.
    """
    context = Context(base=job.base, announce=job.announce)
    held_out = open_graders(job.config.eval_grader, context) if job.config.eval_grader else None
    return Scored(open_graders(job.config.grader, context), held_out, job.base.formatter)


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
