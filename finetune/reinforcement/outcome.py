"""What a policy's answers to held-out prompts are worth, before and after: by what it learned from, and by what it didn't."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from finetune.encoding import Encoding
from finetune.evaluation import Figures
from finetune.graders.grader import WeightedGrader
from finetune.reinforcement.policy import as_reference, read_answers
from finetune.reinforcement.rollouts import distinct_2
from finetune.reinforcement.scored import Scored, answer_held_out
from finetune.statistics import any_interval, as_document, jackknife_interval, paired_change

if TYPE_CHECKING:
    from finetune.recipe import Job

LEARNED, HELD_OUT = "reward", "eval_reward"
"""Figures: scores by the grader that is learned from, and by the one that only measures."""


def measure_answers(job: "Job", model: Any) -> tuple[Figures, dict[str, dict[str, float]]]:
    """What a model's answers to held-out prompts are worth: figures of each, and of all together.

    Figures: ``reward`` (and of each part), ``eval_reward`` by the held-out graders, ``kl`` to the reference in nats of an answer,
    ``length`` in tokens, ``ended``, and ``reference_nll``: how unlikely the reference finds it, in nats a token. Together: the
    medians of the scores; ``reference_perplexity`` over the tokens of all answers; and ``distinct_2``, which falls where all
    answers become one. What the reference makes of them is a by-product of the KL: it reads them once.
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
    figures: Figures = {LEARNED: graded.totals}
    figures |= {f"reward/{name}": scores for name, scores in graded.parts.items()} if len(graded.parts) > 1 else {}
    if scored.held_out:
        figures[HELD_OUT] = scored.held_out.grade(scored.samples(rollouts, job.held_out.rows)).totals
    lengths = own.mask.sum(1)
    surprise = -reference.log_probs.sum(1)
    figures["kl"] = (own.log_probs - reference.log_probs).sum(1).tolist()
    figures["reference_nll"] = (surprise / lengths).tolist()
    figures["length"] = lengths.tolist()
    figures["ended"] = [float(each.ended) for each in rollouts]
    together = {f"median_{name}": as_document(any_interval(figures[name], median)) for name in (LEARNED, HELD_OUT)
                if name in figures}  # fmt: skip
    read = list(zip(surprise.tolist(), lengths.tolist(), strict=True))
    together["reference_perplexity"] = as_document(any_interval(read, _perplexity))
    together["distinct_2"] = as_document(jackknife_interval([each.answer for each in rollouts], distinct_2))
    return figures, together


def compare_graders(job: "Job", before: Figures, after: Figures) -> dict[str, Any]:
    """``graders`` of a result: scores before and after on the same prompts, by what was learned from and by what was held out.

    Each has ``name``, ``role``, ``n``, ``before``, ``after`` (``mean``, ``median``), ``change`` (of both, with 95 % intervals).
    """
    scored: Scored = job.scored
    named: Mapping[str, tuple[str, WeightedGrader | None]] = {
        LEARNED: ("learned from", scored.grader), HELD_OUT: ("held out", scored.held_out)
    }  # fmt: skip
    found = []
    for figure, (role, grader) in named.items():
        was, now = before.get(figure, []), after.get(figure, [])
        if grader and now and len(was) == len(now):
            sides = {"before": _middles(was), "after": _middles(now), "change": _changes(was, now)}
            found.append({"name": grader.name, "role": role, "n": len(now), **sides})
    return {"graders": found}


def of_no_rows(model: Any, encoding: Encoding, padding: int) -> Figures:  # noqa: ARG001 - named as by other methods
    """What methods that measure answers measure of rows: nothing."""
    return {}


def _middles(scores: Sequence[float]) -> dict[str, float]:
    return {"mean": fmean(scores), "median": median(scores)}


def _changes(before: Sequence[float], after: Sequence[float]) -> dict[str, dict[str, float]]:
    pairs = list(zip(before, after, strict=True))
    return {
        "mean": as_document(paired_change(before, after)),
        "median": as_document(
            any_interval(pairs, lambda drawn: median(now for _, now in drawn) - median(was for was, _ in drawn))
        ),
    }


def _perplexity(read: Sequence[tuple[float, float]]) -> float:
    """Of answers, each with its nats and its tokens."""
    return math.exp(min(sum(nats for nats, _ in read) / sum(tokens for _, tokens in read), 700.0))
