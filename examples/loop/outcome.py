"""What came of the loop: a table, a plot in letters, and a page that needs nothing else. All figures are given in."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from assistant.paired import LEAST_DIFFERING
from finetune.run_folder.page import page, paragraph, picture, preformatted, table
from indexes.evaluation import bootstrap, paired_difference

NAMES = {
    "answer_contained": "right answers (hold the words asked for)",
    "right_source": "cites a file that has the answer",
    "citation_precision": "cited sentences that the passage supports",
    "answered": "answered instead of refused",
    "abstention_recall": "refused where the handbook has nothing",
}
HEAD = ("on questions that nothing was learned from", "base", "adapter", "difference [95 %]", "n")
BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 30


@dataclass(frozen=True, slots=True)
class Row:
    """A figure before and after.

    Attributes:
        name: what was counted.
        before, after: shares.
        difference, low, high: of the two, with its 95 % interval over resampled questions.
        n: questions.
        differing: those of them on which the two aren't equal.
    """

    name: str
    before: float
    after: float
    difference: float
    low: float
    high: float
    n: int
    differing: int

    @property
    def verdict(self) -> str:
        """Whether more than chance stands behind the difference; of hardly any questions that differ, the gate's rule says no."""
        if self.differing < LEAST_DIFFERING:
            return ""
        return "better" if self.low > 0 else "worse" if self.high < 0 else ""

    @property
    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        interval = f"{self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}] {self.verdict}".rstrip()
        return self.name, f"{self.before:.3f}", f"{self.after:.3f}", interval, str(self.n)


def of_gate(gate: Mapping[str, Any]) -> list[Row]:
    """The gate's own figures."""
    found = [(name, gate["metrics"][metric]) for metric, name in NAMES.items() if metric in gate["metrics"]]
    return [
        Row(name, one["baseline"], one["adapter"], one["difference"], one["low"], one["high"], one["n"], one["differing"])
        for name, one in found
    ]


def of_chat(name: str, before: Sequence[bool], after: Sequence[bool]) -> Row:
    """What she saw in the chat, question by question."""
    ours, theirs = ([float(one) for one in side] for side in (after, before))
    found = paired_difference(ours, theirs)
    return Row(
        name,
        bootstrap(theirs).value,
        bootstrap(ours).value,
        found.value,
        found.low,
        found.high,
        len(ours),
        sum(a != b for a, b in zip(ours, theirs, strict=True)),
    )


def in_columns(rows: Iterable[Sequence[str]], head: Sequence[str]) -> list[str]:
    """A table of text."""
    cells = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def bars(rows: Iterable[Row]) -> Iterator[str]:
    """Both sides of each figure as bars."""
    for row in rows:
        yield row.name
        for side, value in (("base", row.before), ("adapter", row.after)):
            yield f"  {side:<8}{'█' * round(value * WIDTH):<{WIDTH}} {value:.2f}"


def curve(name: str, points: Sequence[tuple[int, float]]) -> str:
    """A course of figures in one line."""
    values = [value for _, value in points]
    low, high = min(values), max(values)
    steps = [round((value - low) / (high - low or 1) * (len(BLOCKS) - 1)) for value in values]
    return f"{name}: {values[0]:.2f} {''.join(BLOCKS[step] for step in steps)} {values[-1]:.2f} ({points[-1][0]} steps)"


def picture_of(rows: Sequence[Row]) -> bytes:
    """The differences with their intervals, as a PNG."""
    import matplotlib.style
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with matplotlib.style.context("default"):
        figure = Figure(figsize=(8, 0.6 * len(rows) + 1.2), dpi=110, layout="constrained")
        axes = figure.add_subplot()
        for at, row in enumerate(reversed(rows)):
            axes.plot([row.low, row.high], [at, at], color="#0072B2", linewidth=2)
            axes.plot([row.difference], [at], "o", color="#0072B2")
        axes.axvline(0, color="#000000", linewidth=0.8)
        axes.set_yticks(range(len(rows)), [f"{row.name} (n = {row.n})" for row in reversed(rows)])
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel("adapter less base, 95 % interval")
        axes.spines[["top", "right"]].set_visible(False)
        content = BytesIO()
        figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def page_of(record: Mapping[str, Any], rows: Sequence[Row], run: Path, transcript: Sequence[str]) -> bytes:
    """The page: figures, plots, curves of the training, times, what was on the screen."""
    curves = "".join(picture(file.read_bytes(), said=file.stem) for file in sorted(run.glob("*.png")))
    return page(
        "The loop closed: feedback in the chat becomes an adapter",
        (
            ("", paragraph(f"The gate says: {record['gate']['verdict']}: {record['gate']['reason']}.")),
            ("Before and after", table([row.cells for row in rows], head=HEAD) + picture(picture_of(rows), said="differences")),
            ("What she said", table([(name, count) for name, count in record["said"].items()], head=("", "times"))),
            ("The training", curves),
            ("What each step took", table([(name, f"{one:.1f} s") for name, one in record["seconds"].items()])),
            ("The commands", preformatted("\n".join(record["commands"]))),
            ("The screen", preformatted("\n".join(transcript))),
        ),
    )


def documents(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows as JSON."""
    return [asdict(row) for row in rows]
