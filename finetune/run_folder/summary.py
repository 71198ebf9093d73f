"""What a run reached and what went wrong in it, in plain sentences (pure).

A change counts as more than chance where its 95 % interval leaves out 0. Without an interval of the change itself, two intervals
that don't overlap say the same, more cautiously; without any interval nothing is claimed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["better", "worse", "changed", "could be chance", "no interval", "diverged"]

LESS_IS_BETTER = ("loss", "perplexity", "bits_per", "nll", "error", "brier")
MORE_IS_BETTER = ("accurac", "margin", "win_rate", "f1", "auc", "recall", "precision", "exact", "reward", "distinct")
"""Parts of metrics' names. Of any other metric nobody is told that its change is good or bad."""
NEITHER = ("reference_",)
"""How metrics' names begin that are good neither high nor low: an answer that the reference expects is fluent, or a platitude."""
MUTE = 0.5
"""From this share of empty answers on it is said."""
ROSE_AGAIN = 1.02
"""The held-out loss may end so many times above its lowest without a remark."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its 95 % interval, if it has one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A metric before and after.

    Attributes:
        name: as it was logged.
        before, after: None where it wasn't measured.
        change: after − before.
        verdict: what can be said of the change; None where there is none.
    """

    name: str
    before: Figure | None
    after: Figure | None
    change: Figure | None
    verdict: Verdict | None

    @property
    def sentence(self) -> str:
        """The comparison for people."""
        name = self.name.replace("_", " ").replace("/", " ")
        if self.before is None or self.after is None or self.verdict is None:
            when, figure = ("before", self.before) if self.after is None else ("after", self.after)
            return f"{name} was {with_interval(figure)} {when} training, and not measured at the other time."
        start, end = number(self.before.value), number(self.after.value)
        verb = "rose" if self.after.value > self.before.value else "fell" if self.after.value < self.before.value else "went"
        moved = f"{name} stayed at {end}" if start == end else f"{name} {verb} from {start} to {end}"
        return f"{moved}: {_MEANING[self.verdict]}{self._reason()}."

    def _reason(self) -> str:
        """Where the interval of the change lies; empty where there is none."""
        if self.change is None or self.change.low is None or self.change.high is None:
            return ""
        place = "leaves out 0" if self.change.low > 0 or self.change.high < 0 else "contains 0"
        return f" (the change's 95 % interval, {number(self.change.low)} to {number(self.change.high)}, {place})"


_MEANING: Mapping[Verdict, str] = {
    "better": "better, by more than chance",
    "worse": "worse, by more than chance",
    "changed": "more than chance",
    "could be chance": "this could be chance",
    "no interval": "without intervals nobody can say whether this is chance",
    "diverged": "this is not a result",
}


def compare(result: Mapping[str, Any]) -> list[Comparison]:
    """The metrics of ``result.json``, before against after, in their order."""
    before, after, change = (_figures(result.get(part)) for part in ("before", "after", "change"))
    names = dict.fromkeys([*before, *after])
    return [_comparison(name, before.get(name), after.get(name), change.get(name)) for name in names]


def find_faults(
    metrics: Mapping[str, Sequence[tuple[int, float]]], result: Mapping[str, Any] | None, record: Mapping[str, Any]
) -> list[str]:
    """What a reader of the run should know before trusting it."""
    faults = [] if result is not None else ["This run has not ended: there is no result yet, or it was interrupted."]
    for name, points in metrics.items():
        if bad := [step for step, value in points if not math.isfinite(value)]:
            faults.append(f"{name} was not a number {len(bad)} times, first at step {bad[0]}: training diverged there.")
    held_out = [(value, step) for step, value in metrics.get("eval_loss", ()) if math.isfinite(value)]
    if held_out and held_out[-1][0] > ROSE_AGAIN * min(held_out)[0] > 0:
        lowest, step = min(held_out)
        faults.append(
            f"The held-out loss was lowest at step {step} ({number(lowest)}) and ended at {number(held_out[-1][0])}: "
            "a sign that from there on the model learned its rows by heart."
        )
    faults += _of_answers(metrics)
    for note in record.get("resumed", ()):
        versions = ", ".join(f"{name} {old} → {new}" for name, (old, new) in note["versions"].items())
        faults += [f"It was resumed at {note['time']} with other versions: {versions}."] if versions else []
    return faults + [str(text) for document in (record.get("data"), result) for text in (document or {}).get("warnings", ())]


def _of_answers(metrics: Mapping[str, Sequence[tuple[int, float]]]) -> list[str]:
    """What to know of a training that learns from scores of its own answers."""
    spreads = [value for _, value in metrics.get("reward_std", ())]
    alike = sum(value == 0 for value in spreads)
    found = [f"In {alike} of {len(spreads)} steps all answers scored alike: nothing was learned there."] if alike else []
    empty = [value for _, value in metrics.get("empty", ())]
    if empty and empty[-1] >= MUTE:
        found.append(f"In the last step {empty[-1]:.0%} of the answers were empty.")
    return found


def number(value: float) -> str:
    """Four significant digits; whole and large numbers without a point."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else str(value)
    is_whole = value == round(value) or abs(value) >= 1_000
    return f"{value:,.0f}" if is_whole and abs(value) < 1e15 else f"{value:.4g}"


def with_interval(figure: Figure | None) -> str:
    """E.g. ``0.93 (0.9 to 0.95)``; a dash where there is no figure."""
    if figure is None:
        return "–"
    if figure.low is None or figure.high is None:
        return number(figure.value)
    return f"{number(figure.value)} ({number(figure.low)} to {number(figure.high)})"


def _comparison(name: str, before: Figure | None, after: Figure | None, change: Figure | None) -> Comparison:
    if before is None or after is None:
        return Comparison(name, before, after, None, None)
    change = change or Figure(after.value - before.value)
    return Comparison(name, before, after, change, _verdict(name, before, after, change))


def _verdict(name: str, before: Figure, after: Figure, change: Figure) -> Verdict:
    if not math.isfinite(change.value):
        return "diverged"
    if change.low is not None and change.high is not None:
        sure = change.low > 0 or change.high < 0
    elif None in (before.low, before.high, after.low, after.high):
        return "no interval"
    else:
        sure = before.high < after.low or after.high < before.low  # type: ignore[operator]
    if not sure:
        return "could be chance"
    if name.startswith(NEITHER):
        return "changed"
    if any(part in name for part in MORE_IS_BETTER):
        return "better" if change.value > 0 else "worse"
    if any(part in name for part in LESS_IS_BETTER):
        return "better" if change.value < 0 else "worse"
    return "changed"


def _figures(document: Any) -> dict[str, Figure]:
    found = {}
    for name, value in (document or {}).items():
        if isinstance(value, Mapping):
            low, high = (None if (end := value.get(key)) is None else float(end) for key in ("low", "high"))
            found[name] = Figure(float(value["value"]), low, high)
        elif value is not None:
            found[name] = Figure(float(value))
    return found
