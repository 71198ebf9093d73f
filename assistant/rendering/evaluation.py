"""What an evaluation and the gate found → terminal text and JSON (pure)."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from assistant.rendering.answers import QUIET
from assistant.rendering.indexes import WARNING, counted
from assistant.rendering.terminal import sanitize

if TYPE_CHECKING:
    from assistant.adapters.gate import Gate
    from assistant.evaluation import EvalReport
    from assistant.paired import Difference

BASE = "the base"


def render_report(report: "EvalReport") -> str:
    """The report as a table of text."""
    lines = [f"{report.n} questions"]
    for name, interval in report.metrics.items():
        if name.startswith("latency"):
            lines.append(f"  {name:<22} {interval.value:7.0f}   {interval.low:.0f} to {interval.high:.0f}")
        else:
            lines.append(f"  {name:<22} {interval.value:7.3f}   [{interval.low:.3f}, {interval.high:.3f}]")
    return "\n".join(lines)


def report_document(report: "EvalReport", gate: "Gate | None" = None) -> dict[str, Any]:
    """The report as `eval --json` prints it; with a gate its metrics are the adapter's."""
    metrics = {name: {"value": i.value, "low": i.low, "high": i.high} for name, i in report.metrics.items()}
    return {"schema": 1, "n": report.n, "metrics": metrics, "gate": gate.document if gate else None}


def render_gate(gate: "Gate") -> Iterator[Text]:
    """Both sides, the differences with their intervals, what could have been seen, and the verdict."""
    n = int(gate.questions["n"])
    ours, theirs = (sanitize(side.name or BASE, one_line=True) for side in (gate.adapter, gate.baseline))
    yield Text(f"{counted(n, 'question')}, {ours} against {theirs}, from the same passages")
    yield Text(f"  {'':<21}{'adapter':>7}{'baseline':>9}  {'difference':<23}{'visible':>8}", style=QUIET)
    yield from _rows(gate.metrics)
    if gate.latency:
        ratio = gate.latency.ratio
        times = f"{gate.latency.adapter:>7.0f}{gate.latency.baseline:>9.0f}"
        yield Text(f"  {'latency, ms':<21}{times}  × {ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]")
    yield Text(sanitize(f"{gate.verdict}: {gate.reason}"), style="" if gate.verdict == "passed" else WARNING)
    if gate.power:
        yield Text(f"{gate.power}; the last column has the others'", style=QUIET)


def _rows(metrics: "Mapping[str, Difference]") -> Iterator[Text]:
    for name, found in metrics.items():
        difference = f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
        row = f"  {name:<21}{found.adapter:>7.3f}{found.baseline:>9.3f}  {difference:<23}{found.visible:>8.3f}"
        mark = "  worse" if found.regressed else "  better" if found.improved else ""
        yield Text(row) + Text(mark, style=WARNING if found.regressed else "")
