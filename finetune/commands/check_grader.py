"""`finetune check --grader`: opens graders, runs the attack suite on the data's own answers, and shows what was found."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from assistant.errors import CheckFailed
from finetune.commands.check_text import WIDEST, plain
from finetune.graders.attacks import AttackReport, check_grader
from finetune.graders.errors import GraderFault
from finetune.graders.function import TIMEOUT_S
from finetune.graders.opening import Context, open_graders
from finetune.graders.references import read_references

NAME = 34
"""Columns of an attack's name."""
EXAMPLE = 30


def try_graders(
    paths: Sequence[Path], specs: Sequence[str], *, timeout_s: float = TIMEOUT_S, announce: Callable[[str], None] = lambda _: None
) -> AttackReport:
    """Open the graders of a weighted sum and attack it.

    Raises:
        UsageError, ModelError: a grader can't be opened.
        CheckFailed: one can't score these rows.
        DataFault: no row has an answer of its own.
    """
    try:
        with open_graders(specs, Context(timeout_s=timeout_s, announce=announce)) as grader:
            return check_grader(grader, read_references(paths))
    except GraderFault as fault:
        raise CheckFailed(fault.message, hint=fault.hint) from fault


def show(report: AttackReport, console: Console | None = None) -> None:
    """Print the table of attacks."""
    console = console or Console(highlight=False, markup=False, emoji=False)
    console.width = min(console.width, WIDEST)
    for text in _lines(report):
        console.print(text, no_wrap=True, overflow="ellipsis")


def _lines(report: AttackReport) -> Iterator[Text]:
    yield Text(f"\nthe grader {plain(report.grader)}, tried on {report.rows} answers of the data", style="bold")
    yield Text(f"  {'':{NAME}} {'mean score':>10}  rows")
    told = f"{report.median:>10.3f}  {report.rows:>4}  (median; {report.least:.3g} to {report.most:.3g})"
    yield Text(f"  {'reference answers':{NAME}} {told}", style="green")
    for one in report.findings:
        example = " ".join(plain(one.example).split())
        short = example if len(example) <= EXAMPLE else f"{example[: EXAMPLE - 1]}…"
        mark = "!" if one.reached else " "
        line = f"{mark} {one.name:{NAME}} {one.mean:>10.3f}  {one.rows:>4}  {short!r}"
        yield Text(line, style="bold red" if one.reached else "")
    if report.unstable:
        yield Text(f"! {report.faults[-1]}", style="bold red")
    if report.reached:
        yield Text("  ! reaches the median of the reference answers: a policy would learn to write this", style="bold red")
    elif not report.faults:
        yield Text("  no attack reaches the reference answers", style="green")
