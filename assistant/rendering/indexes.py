"""What an index holds, what a build did and how it goes on → terminal text (pure)."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text

from assistant.rendering.answers import QUIET
from assistant.rendering.terminal import Terminal, sanitize

if TYPE_CHECKING:
    from assistant.grounding.probes import ProbeReport
    from indexes.build import BuildReport
    from indexes.catalog import IndexInfo

WARNING = Style(color="yellow")


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`, `1,200 files`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(count: int) -> str:
    """`640 B`, `12.3 kB`, `4.5 MB`, `1.2 GB`."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def render_report(report: "BuildReport", terminal: Terminal) -> Iterator[Text]:
    """What a build did: totals, changes, what was skipped, each file that failed and why."""
    dot = " · " if terminal.unicode else ", "
    name = sanitize(report.index, one_line=True)
    yield Text(
        f"{name}: {counted(report.documents, 'document')}, {counted(report.passages, 'passage')} ({duration(report.seconds)})"
    )
    yield Text(f"  {_changes(report, dot)}", style=QUIET)
    if report.skipped:
        ordered = sorted(report.skipped.items(), key=lambda item: (-item[1], item[0]))
        yield Text("  skipped: " + ", ".join(f"{number:,} {reason}" for reason, number in ordered), style=QUIET)
    if report.failed:
        yield Text(f"  {counted(len(report.failed), 'file')} could not be read:", style=WARNING)
    for source, reason in report.failed:
        yield Text(f"    {sanitize(source, one_line=True)}: {sanitize(reason, one_line=True)}")
    if report.interrupted:
        yield Text("Interrupted. What is counted above is safe; run the same command again to go on.", style=WARNING)


def _changes(report: "BuildReport", dot: str) -> str:
    parts = {
        "added": report.added,
        "changed": report.changed,
        "removed": report.removed,
        "renamed": report.renamed,
        "unchanged": report.unchanged,
    }
    if report.interrupted and not any(parts.values()):
        return "nothing was finished yet"
    if not any(number for name, number in parts.items() if name != "unchanged"):
        return f"nothing changed{dot}{counted(report.unchanged, 'document')} as before"
    return dot.join(f"{number:,} {name}" for name, number in parts.items() if number)


def render_indexes(infos: Sequence["IndexInfo"], *, default: str | None) -> Iterator[Text]:
    """One index a line. A star marks the one that answers when none is named."""
    widest = max((len(info.name) for info in infos), default=0)
    for info in infos:
        star = "*" if info.name == default and len(infos) > 1 else " "
        line = Text(f"{star} {info.name:<{widest}}  ")
        if info.problem:
            yield line.append(sanitize(info.problem, one_line=True), style=WARNING)
            continue
        line.append(f"{counted(info.documents, 'document')}, {counted(info.passages, 'passage')}, {size(info.bytes)}")
        line.append(f"  {', '.join(sanitize(str(root.path), one_line=True) for root in info.roots)}", style=QUIET)
        yield line


def render_index(info: "IndexInfo") -> Iterator[Text]:
    """Everything about one index."""
    facts = {
        "name": info.name,
        "folder": str(info.folder),
        "documents": f"{info.documents:,}",
        "passages": f"{info.passages:,}",
        "size": size(info.bytes),
        "built": info.built,
        "generation": str(info.generation),
        "embedder": f"{info.embedder} ({info.dimension} dimensions, weights {info.weights_hash[:12]})",
        "problem": info.problem,
    }
    widest = max(len(name) for name in facts)
    for name, value in facts.items():
        if value:
            yield Text(f"{name:<{widest}}  ", style=QUIET) + Text(sanitize(value, one_line=True), style="")
    for number, root in enumerate(info.roots):
        label = "roots" if number == 0 else ""
        yield Text(f"{label:<{widest}}  ", style=QUIET) + Text(sanitize(str(root.path), one_line=True), style="")


def render_probes(report: "ProbeReport", name: str, *, adopted: bool) -> Iterator[str]:
    """What probing an index showed, and what can be done about it."""
    yield f"questions made from its documents: {report.answered_before} of {report.asked} answered"
    yield f"the same without their document:   {report.wrongly_answered_before} of {report.left_out} answered all the same"
    if report.threshold <= report.shipped:
        yield "nothing to change"
        return
    yield (
        f"at a threshold of {report.threshold:.2f} instead of {report.shipped:.2f} it would be "
        f"{report.answered} of {report.asked} and {report.wrongly_answered} of {report.left_out}"
    )
    if adopted:
        yield f"adopted for the index {name}; real questions are put less literally, so more of them are refused now"
    else:
        yield f"`assistant indexes check {name} --probes --adopt` answers by it; real questions are put less literally"
