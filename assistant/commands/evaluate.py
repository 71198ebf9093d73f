"""The command that measures: `eval`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.commands.ask import Adapter, Index, Model, Quantization, Server, open_settled, settle
from assistant.commands.index import Json, print_json
from assistant.errors import CheckFailed, StorageFull, UsageError

if TYPE_CHECKING:
    from assistant.adapters.gate import Gate
    from assistant.answering import Assistant
    from assistant.evaluation import EvalReport
    from assistant.gating import Selections
    from assistant.rendering.screen import Screen
    from assistant.settings import Settings
    from indexes.questions_file import LabelledQuestion

    Gated = tuple[EvalReport, Gate, Selections]


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
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="B|none",
            help="Compare --adapter with this one, from the same passages; writes gate.json.",
        ),
    ] = None,
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
    With --baseline two adapters are compared: exit code 7 if a metric of --adapter is worse, beyond chance.
    """
    from indexes.questions_file import read_questions

    if baseline is not None and adapter is None:
        raise UsageError("--baseline compares an adapter, and none is given", hint=f"--adapter NAME --baseline {baseline}")
    limits = {name: _number(name, value) for name, value in _pairs(minimum or [], "--min").items()}
    selected = _pairs(only or [], "--only")
    questions = read_questions(file, only=selected)
    settings = settle(index=index, model=model, server=server, quantization=quantization, adapter=adapter, cache=False)
    with open_settled(settings) as (assistant, screen):
        if baseline is None:
            report = _measure(assistant, questions, screen)
            _show(report, None, screen, as_json=as_json)
        else:
            report, gate, ours = _gate(assistant, questions, settings, screen, baseline, _described(file, selected))
            _show(report, gate, screen, as_json=as_json)
            _keep(gate, ours, screen)
    check(report, limits)


def _measure(assistant: "Assistant", questions: "list[LabelledQuestion]", screen: "Screen") -> "EvalReport":
    from assistant.evaluation import evaluate as run

    with progress_bar(screen) as on_progress:
        return run(assistant, questions, on_progress=on_progress)


def _gate(
    assistant: "Assistant",
    questions: "list[LabelledQuestion]",
    settings: "Settings",
    screen: "Screen",
    baseline: str,
    file: dict[str, object],
) -> "Gated":
    """Let the adapter and the baseline answer; both are checked before the first question."""
    from assistant.gating import hold, judge
    from assistant.wiring import choose_adapters

    ours = _answering(settings.adapter, choose_adapters(assistant.model, settings.adapter, settings))
    theirs = _answering(baseline, choose_adapters(assistant.model, baseline, settings, announce=screen.note))
    with progress_bar(screen) as on_progress:
        contest = hold(assistant, questions, ours=ours, theirs=theirs, on_progress=on_progress, announce=screen.note)
    return contest.ours, judge(assistant, contest, ours=ours, theirs=theirs, file=file), ours


def _answering(spec: str, selections: "Selections") -> "Selections":
    if selections and "answer" not in selections:
        raise UsageError(
            f"the adapter {spec!r} is for {', '.join(selections)}, and the gate compares answers",
            hint="name an adapter that writes answers; `assistant adapters` lists what each is for",
        )
    return selections


def _described(file: Path, selected: dict[str, str]) -> dict[str, object]:
    import hashlib

    return {"file": file.name, "hash": hashlib.sha256(file.read_bytes()).hexdigest(), "only": selected}


def _show(report: "EvalReport", gate: "Gate | None", screen: "Screen", *, as_json: bool) -> None:
    from assistant.rendering.evaluation import render_gate, render_report, report_document

    if as_json:
        print_json(report_document(report, gate))
    elif gate:
        screen.show(render_gate(gate))
    else:
        screen.show(render_report(report))


def _keep(gate: "Gate", ours: "Selections", screen: "Screen") -> None:
    """Write the verdict into the adapter's folder, and fail where it failed, even if that can't be written."""
    folder = gate.place(ours.get("answer", ()))
    try:
        if folder is None:
            screen.note("no gate.json: a verdict is kept for one adapter, at its full strength, on a base whose files are here")
        else:
            gate.write(folder)
    except StorageFull as error:
        if gate.verdict != "failed":
            raise
        screen.fail(error)
    if gate.verdict == "failed":
        kept = "its gate.json says so" if folder else "nothing was written"
        raise CheckFailed(
            f"{gate.adapter.name or 'the base'} is worse than {gate.baseline.name or 'the base'} in {', '.join(gate.worse)}",
            hint=f"train it on, or keep the baseline; {kept}",
        )


def check(report: "EvalReport", limits: dict[str, float]) -> None:
    """Raise CheckFailed where a metric is under its limit, UsageError where there is no such metric."""
    for name in limits:
        if name not in report.metrics:
            raise UsageError(f"no metric {name!r} in this evaluation", hint=f"there are: {', '.join(report.metrics)}")
    low = [f"{name} is {report.metrics[name].value:.3f}, wanted {limit}" for name, limit in limits.items()
           if report.metrics[name].value < limit]  # fmt: skip
    if low:
        raise CheckFailed("; ".join(low), hint="see which questions failed, or lower --min")


@contextmanager
def progress_bar(screen: "Screen") -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left, on a terminal only."""
    if not screen.err_terminal.interactive:
        yield lambda _done, _of: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=screen.err, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


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
