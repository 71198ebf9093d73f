"""`finetune check`: what a data file holds, all that is wrong with it, and how a model will see it. Trains nothing."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.data.checking import check_rows
from finetune.data.faults import Dataset, Fault, load_dataset, methods_for
from finetune.data.lengths import Lengths, Piece, measure, preview

if TYPE_CHECKING:
    from finetune.graders.attacks import AttackReport

SCHEMA = 1
FAULTS_FOUND = 7
"""Exit code where there are errors; warnings alone leave it at 0."""
MAX_LENGTH = 1024
"""Tokens, where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that a check found.

    Attributes:
        data: what was read.
        evaluation: what was read of the held-out data, if there is any.
        faults: of single rows, then of rows together, then of their lengths.
        lengths: in a base model's tokens; None where no base is given.
        example: the first row as the model will see it; of a pair both sides, by name.
    """

    data: Dataset
    evaluation: Dataset | None
    faults: tuple[Fault, ...]
    lengths: Lengths | None
    example: Mapping[str, tuple[Piece, ...]]

    @property
    def errors(self) -> int:
        """How many faults are errors."""
        return sum(fault.is_error for fault in self.faults)


def check(
    paths: Sequence[Path],
    *,
    eval_paths: Sequence[Path] = (),
    base: str | None = None,
    max_length: int = MAX_LENGTH,
    graders: Sequence[str] = (),
    grader_timeout_s: float = 30.0,
    force: bool = False,
    as_json: bool = False,
) -> int:
    """Check data, print the report, and return the exit code: 7 where there are errors.

    Args:
        paths: files and folders to train on.
        eval_paths: files and folders to evaluate on, which must not overlap with those.
        base: the model whose tokens are counted; without one no model library is loaded.
        max_length: the most tokens of a row that would be trained on.
        graders: what is to reward answers, to be attacked (``finetune.graders.opening``).
        grader_timeout_s: seconds that a user's grading function may take for a batch.
        force: only warn of graders that are cheated.
        as_json: print one JSON document instead of text.

    Raises:
        ModelError: the base or a grader's model can't be used.
        UsageError: there is no such grader.
        CheckFailed: the graders are refused, after all else was printed; or they can't score these rows.
    """
    report = make_report(paths, eval_paths=eval_paths, base=base, max_length=max_length)
    attacked = _attack(paths, graders, grader_timeout_s) if graders else None
    if as_json:
        # ASCII: whatever stands in the data, no terminal obeys it and any encoding can hold it
        sys.stdout.write(json.dumps(document(report, attacked), allow_nan=False) + "\n")
    else:
        from finetune.commands.check_text import show

        show(report)
        if attacked:
            from finetune.commands.check_grader import show as show_attacks

            show_attacks(attacked)
    if attacked and not force:
        attacked.require()
    return FAULTS_FOUND if report.errors else 0


def _attack(paths: Sequence[Path], graders: Sequence[str], timeout_s: float) -> "AttackReport":
    from finetune.commands.check_grader import try_graders
    from finetune.commands.train import announce

    return try_graders(paths, graders, timeout_s=timeout_s, announce=announce)


def make_report(paths: Sequence[Path], *, eval_paths: Sequence[Path], base: str | None, max_length: int) -> Report:
    """Read and check data."""
    data = load_dataset(paths)
    evaluation = load_dataset(eval_paths) if eval_paths else None
    faults = [*data.faults, *(evaluation.faults if evaluation else ()), *check_rows(data, evaluation)]
    if base is None:
        return Report(data, evaluation, tuple(faults), None, preview(data.rows[0]) if data.rows else {})
    from assistant.models.quiet import quiet
    from finetune.formatting import Formatter

    with quiet():  # a tokenizer warns of long rows in its own words
        formatter = Formatter.open(base)
        lengths, found = measure(data.rows, formatter, base=base, max_length=max_length)
    unfit = {fault.place for fault in found if fault.is_error}
    fit = [row for row in data.rows[:1] if row.place not in unfit]
    return Report(data, evaluation, (*faults, *found), lengths, preview(fit[0], formatter) if fit else {})


def document(report: Report, attacked: "AttackReport | None" = None) -> dict[str, Any]:
    """`check --json`."""
    data = report.data
    return {
        "schema": SCHEMA,
        "files": [str(file) for file in data.files],
        "rows": len(data.rows),
        "kinds": dict(data.kinds),
        "layouts": dict(data.layouts),
        "methods": list(methods_for(data.kinds)),
        "faults": [_fault(fault) for fault in report.faults],
        "lengths": _lengths(report.lengths) if report.lengths else None,
        "hash": data.hash,
        "evaluation_rows": len(report.evaluation.rows) if report.evaluation else None,
        "grader": _described(attacked) if attacked else None,
    }


def _described(attacked: "AttackReport") -> dict[str, Any]:
    from finetune.graders.attacks import described

    return described(attacked)


def _fault(fault: Fault) -> dict[str, Any]:
    file, line = (str(fault.place.file), fault.place.line) if fault.place else (None, None)
    return {"file": file, "line": line, "what": fault.what, "hint": fault.hint, "error": fault.is_error}


def _lengths(lengths: Lengths) -> dict[str, Any]:
    return asdict(lengths) | {"bins": [list(one) for one in lengths.bins]}
