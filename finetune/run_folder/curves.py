"""How a run went, as pictures: one PNG for each group of metrics that was logged.

What was logged in training is shown as faint points with a smoothed line over them; what was measured on held-out rows, seldom
and over many rows, as it is. Colours are told apart by everyone (Okabe and Ito 2008), and the line styles differ too. matplotlib
is loaded only here and only when something is drawn; it draws without a screen, and its global state stays as it was.
"""

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.run_folder.files import write_file
from finetune.run_folder.records import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SMOOTHED = 15
"""A point of a smoothed line is the mean of one in so many parts of the run; a series too short for that is drawn as it is."""
MARKED = 60
"""Up to so many points of a line are marked."""
SIZE = (7.2, 4.0)
DPI = 120

Point = tuple[int, float]


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of some metrics.

    Attributes:
        name: of its file, without the ending.
        title: above it.
        unit: beside the vertical axis.
        holds: whether a metric of that name belongs to it.
        noisy: whether its values scatter, so that a smoothed line shows more.
    """

    name: str
    title: str
    unit: str
    holds: Callable[[str], bool]
    noisy: bool = True


CHARTS = (
    Chart("loss", "Loss", "loss", lambda name: name.endswith("loss")),
    Chart("rewards", "Rewards", "reward", lambda name: "rewards/" in name and "accurac" not in name),
    Chart("reward", "Score of the answers written", "score", lambda name: name == "reward" or name.startswith("reward/")),
    Chart("kl", "Distance from the reference", "nats an answer", lambda name: name == "kl"),
    Chart("kl_coefficient", "What a nat of distance costs", "score", lambda name: name == "kl_coefficient", noisy=False),
    Chart("entropy", "Entropy of the policy", "nats a token", lambda name: name == "entropy"),
    Chart("length", "Length of the answers", "tokens", lambda name: name == "length"),
    Chart("shares", "Clipped tokens, explained variance, answers that end and that say nothing", "share",
          lambda name: name in ("clip_fraction", "explained_variance", "ended", "empty")),
    Chart("accuracy", "Accuracy", "share right", lambda name: "accurac" in name),
    Chart("log_odds", "Log-odds of chosen against rejected (ORPO)", "log-odds", lambda name: "log_odds" in name),
    Chart("learning_rate", "Learning rate", "learning rate", lambda name: name.endswith("learning_rate"), noisy=False),
)  # fmt: skip


def write_curves(run: RunFolder) -> list[Path]:
    """Draw what was logged into the run folder, one PNG a chart; charts without a figure are left out.

    Raises:
        TrainingError: a picture can't be written.
    """
    written = []
    metrics = run.metrics()
    for chart in CHARTS:
        series = {name: finite for name in metrics if chart.holds(name) and (finite := _finite(metrics[name]))}
        if "loss" in series:
            series.pop("train_loss", None)  # Hugging Face's mean over the whole run, logged once at its end
        if series:
            written.append(run.folder / f"{chart.name}.png")
            write_file(written[-1], draw(chart, series))
    return written


def draw(chart: Chart, series: dict[str, list[Point]]) -> bytes:
    """A chart of series with at least one point each, as PNG bytes."""
    import matplotlib.style
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with matplotlib.style.context("default"):  # not as a user's own matplotlibrc has it
        figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        for number, (name, points) in enumerate(series.items()):
            half = len(points) // SMOOTHED // 2 if chart.noisy and not is_held_out(name) else 0
            _plot(axes, name, points, colour=COLOURS[number % len(COLOURS)], half=half)
        axes.set_title(chart.title, loc="left")
        axes.set(xlabel="step", ylabel=chart.unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        content = io.BytesIO()
        figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def smooth(values: Sequence[float], half: int) -> list[float]:
    """A moving mean over ``half`` values on either side: it lags behind nothing, and is ``2 half`` values shorter."""
    width, sums = 2 * half + 1, [0.0, *accumulate(values)]
    return [(end - start) / width for start, end in zip(sums, sums[width:], strict=False)]


def is_held_out(name: str) -> bool:
    """Whether a metric was measured on rows that are not trained on, as trainers name it."""
    return name.startswith("eval")


def _plot(axes: "Axes", name: str, points: Sequence[Point], *, colour: str, half: int) -> None:
    steps, values = zip(*points, strict=True)
    if half:
        axes.plot(steps, values, ".", color=colour, alpha=0.25, markersize=4)
        axes.plot(steps[half:-half], smooth(values, half), color=colour, label=_label(name))
        return
    style = "--" if is_held_out(name) else "-"
    axes.plot(steps, values, style, color=colour, marker="o" if len(points) <= MARKED else "", markersize=4, label=_label(name))


def _label(name: str) -> str:
    """A metric's name in words, e.g. ``rewards margins (held out)``; in letters any font has, and without formulas' signs."""
    words = re.sub(r"[^ -~]", "?", re.sub("[_/]", " ", name.removeprefix("eval"))).replace("$", r"\$")
    return f"{words.strip()} ({'held out' if is_held_out(name) else 'training'})"


def _finite(points: Sequence[Point]) -> list[Point]:
    return [(step, value) for step, value in points if math.isfinite(value)]
