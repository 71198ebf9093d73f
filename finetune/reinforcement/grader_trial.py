"""Whether a grader may be learned from: the attack suite on the data's own answers, before anything heavy.

What was found goes into the run's records. Where the data have no answers, only chance in the scores can be found.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from assistant.records import Message
from finetune.config import TrainingConfig
from finetune.data.rows import Prompted, Row
from finetune.graders.attacks import AS_AN_AI, ROWS, AttackReport, check_grader, check_repeatable, described
from finetune.graders.grader import Grader, Sample
from finetune.graders.references import read_references


def try_grader(grader: Grader, config: TrainingConfig, rows: Sequence[Row], announce: Callable[[str], None]) -> Mapping[str, Any]:
    """Attack a grader as ``finetune check --grader`` does, and refuse it where an attack wins.

    Args:
        grader: what would be learned from.
        config: names the data; ``force`` lets a refused grader pass.
        rows: prompts, for data without answers.
        announce: told what was found.

    Returns:
        What was found, for the records.

    Raises:
        CheckFailed: it is refused.
        GraderFault: it can't score.
    """
    references = read_references(config.data)
    if references:
        report = check_grader(grader, references)
    else:
        announce("the data has no answers of its own, so that no attack can be compared with them: the grader is taken on trust")
        report = check_repeatable(grader, _worthless(rows))
    if not config.force:
        report.require()
    if report.faults:
        announce(f"trained on all the same (--force), though the grader {grader.name!r} would be refused: {_joined(report)}")
    elif references:
        announce(f"no attack on the grader reaches the median of {report.rows} reference answers, {report.median:.3g}")
    return described(report) | {"forced": bool(report.faults)}


def _joined(report: AttackReport) -> str:
    return "; ".join(report.faults)


def _worthless(rows: Sequence[Row]) -> list[Sample]:
    """The same empty words as an answer to some prompts."""
    prompts = [row for row in rows if isinstance(row, Prompted)][:ROWS]
    return [Sample(row.prompt or (Message("user", row.text),), AS_AN_AI, row.fields) for row in prompts]
