"""The command that measures: `eval`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assistant.commands.ask import Adapter, Index, Model, Quantization, Server, open_settled, settle
from assistant.commands.index import Json, print_json
from assistant.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from assistant.evaluation import EvalReport


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("eval")(evaluate)


def evaluate(
    file: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="One question a line, with sources and answers.")],
    index: Index = None,
    model: Model = None,
    server: Server = None,
    quantization: Quantization = None,
    adapter: Adapter = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="KEY=VALUE", help="Ask only the lines with this value, e.g. split=test.")
    ] = None,
    minimum: Annotated[
        list[str] | None, typer.Option("--min", metavar="METRIC=VALUE", help="Exit with 7 if a metric is lower; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure answers over a file of questions.

    Retrieval where sources are given, answers where answers are, abstention where some are unanswerable; 95 % intervals.
    """
    from assistant.evaluation import evaluate as run
    from indexes.questions_file import read_questions

    limits = {name: _number(name, value) for name, value in _pairs(minimum or [], "--min").items()}
    questions = read_questions(file, only=_pairs(only or [], "--only"))
    settings = settle(index=index, model=model, server=server, quantization=quantization, adapter=adapter, cache=False)
    with open_settled(settings) as (assistant, screen):
        report = run(assistant, questions)
        if as_json:
            print_json(report_document(report))
        else:
            screen.show(render_report(report))
    check(report, limits)


def report_document(report: "EvalReport") -> dict[str, Any]:
    """The report as `eval --json` prints it."""
    metrics = {name: {"value": i.value, "low": i.low, "high": i.high} for name, i in report.metrics.items()}
    return {"schema": 1, "n": report.n, "metrics": metrics, "gate": None}


def render_report(report: "EvalReport") -> str:
    """The report as a table of text."""
    lines = [f"{report.n} questions"]
    for name, interval in report.metrics.items():
        if name.startswith("latency"):
            lines.append(f"  {name:<22} {interval.value:7.0f}   {interval.low:.0f} to {interval.high:.0f}")
        else:
            lines.append(f"  {name:<22} {interval.value:7.3f}   [{interval.low:.3f}, {interval.high:.3f}]")
    return "\n".join(lines)


def check(report: "EvalReport", limits: dict[str, float]) -> None:
    """Raise CheckFailed where a metric is under its limit, UsageError where there is no such metric."""
    for name in limits:
        if name not in report.metrics:
            raise UsageError(f"no metric {name!r} in this evaluation", hint=f"there are: {', '.join(report.metrics)}")
    low = [f"{name} is {report.metrics[name].value:.3f}, wanted {limit}" for name, limit in limits.items()
           if report.metrics[name].value < limit]  # fmt: skip
    if low:
        raise CheckFailed("; ".join(low), hint="see which questions failed, or lower --min")


def _pairs(items: list[str], flag: str) -> dict[str, str]:
    pairs = dict(item.partition("=")[::2] for item in items)
    for name, value in pairs.items():
        if not name or not value:
            raise UsageError(f"{flag} {name!r} is not of the form NAME=VALUE", hint=f"e.g. {flag} answer_contained=0.9")
    return pairs


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise UsageError(f"--min {name}={value!r} is not a number", hint=f"e.g. --min {name}=0.9") from error
