"""What the gate found out about an adapter: ``gate.json`` in its folder, written here and read by `folder` (DESIGN §4).

It speaks of the very weights and settings whose hashes it holds, on the very questions whose hash it holds, and of nothing else.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from assistant.adapters import strict_json
from assistant.adapters.folder import GATE, GATE_SCHEMA
from assistant.adapters.selection import Selection, label
from assistant.errors import StorageFull

if TYPE_CHECKING:
    from assistant.paired import Difference
    from indexes.evaluation import Interval

Verdict = Literal["passed", "failed", "undecided"]
ENOUGH = 30
"""With fewer questions nothing but a ruin is seen: that none was seen is no pass."""


@dataclass(frozen=True, slots=True)
class Side:
    """Who answered.

    Attributes:
        name: of the adapter, or the sum; None: the base.
        weights_hash: of the adapter; of a sum all of them, joined by ``+``; None: the base.
        settings_hash: the same of the settings beside them.
    """

    name: str | None
    weights_hash: str | None
    settings_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the passages to the end of the answer, of the questions that were not refused before the model.

    Attributes:
        adapter, baseline: medians.
        ratio: of the two, with its interval; above 1 the adapter is slower. It has no verdict.
    """

    adapter: float
    baseline: float
    ratio: "Interval"


@dataclass(frozen=True, slots=True)
class Gate:
    """A verdict with all that it is bound to.

    Attributes:
        verdict: ``failed``: a metric is worse; ``undecided``: none is, but hardly any could have been seen.
        reason: why, in words.
        power: what could have been seen, in words.
        adapter, baseline: who answered.
        questions: hash and name of the file, how many were asked, and the selection of them.
        setting: indexes, model, base fingerprint (None: on a server nobody knows), quantization, dtype.
        metrics: by name; higher is better in each.
        latency: of both; None: nothing was written.
        created: ISO-8601, UTC.
    """

    verdict: Verdict
    reason: str
    power: str
    adapter: Side
    baseline: Side
    questions: Mapping[str, Any]
    setting: Mapping[str, Any]
    metrics: "Mapping[str, Difference]"
    latency: Latency | None
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def worse(self) -> tuple[str, ...]:
        """Metrics that the adapter regressed in."""
        return tuple(name for name, found in self.metrics.items() if found.regressed)

    @property
    def document(self) -> dict[str, Any]:
        """As ``gate.json`` and `eval --json` hold it."""
        return {
            "schema": GATE_SCHEMA,
            "verdict": self.verdict,
            "reason": self.reason,
            "power": self.power,
            "created": self.created,
            "weights_hash": self.adapter.weights_hash,
            "settings_hash": self.adapter.settings_hash,
            "adapter": asdict(self.adapter),
            "baseline": asdict(self.baseline),
            "questions": dict(self.questions),
            **self.setting,
            "metrics": {name: _entry(found) for name, found in self.metrics.items()},
            "latency_ms": asdict(self.latency) if self.latency else None,
        }

    def place(self, selection: Selection) -> Path | None:
        """The folder that it belongs into, an adapter's; None for the base, a sum, a part of its strength, or a server."""
        alone = len(selection) == 1 and selection[0].scale == 1
        return selection[0].folder if alone and self.setting.get("base") else None

    def write(self, folder: Path) -> Path:
        """Write it into the adapter's folder, whole or not at all.

        Raises:
            StorageFull: it can't be written.
        """
        path = folder / GATE
        try:
            strict_json.write(path, self.document)
        except OSError as error:
            raise StorageFull(
                f"can't write {str(path)!r}: {error.strerror or error}",
                hint="mend the folder's rights or free some space, then run the same command again",
            ) from error
        return path


def side(selection: Selection) -> Side:
    """How a selection is called, and which weights it has; of a folder its name alone: where it lies says nothing of it."""
    named = [replace(one, name=Path(one.name).name) for one in selection]
    hashes = [one.fingerprint.partition("-")[::2] for one in selection]
    weights, settings = ("+".join(each) if any(each) else None for each in ([pair[at] for pair in hashes] for at in range(2)))
    return Side(label(named), weights, settings)


def decide(metrics: "Mapping[str, Difference]", n: int) -> tuple[Verdict, str]:
    """The verdict on n questions, and why."""
    worse = {name: found for name, found in metrics.items() if found.regressed}
    if worse:
        return "failed", "; ".join(
            f"{name} fell by {_points(-found.difference)}, from {found.baseline:.3f} to {found.adapter:.3f}"
            for name, found in worse.items()
        )
    if not metrics:
        return "undecided", "the questions hold nothing to compare: give them answers and sources"
    if n < ENOUGH:
        return "undecided", f"no metric is worse as far as {_counted(n)} can show, and that is little: ask {ENOUGH} or more"
    return "passed", "no metric is worse"


def power(metrics: "Mapping[str, Difference]") -> str:
    """What difference so many questions would have shown, in words, of the first metric."""
    if not metrics:
        return ""
    name, found = next(iter(metrics.items()))
    seen = _points(found.visible)
    return f"with {_counted(found.n)} a difference of about {seen} in {name} would have been seen in 4 of 5 such runs"


def _entry(found: "Difference") -> dict[str, Any]:
    """A metric: ``value`` with its interval is the difference, as every figure of ours is a value with an interval."""
    return {"value": found.difference, **asdict(found), "regressed": found.regressed}


def _counted(n: int) -> str:
    return f"{n} question{'' if n == 1 else 's'}"


def _points(share: float) -> str:
    """A difference of shares: 0.07 is 7 points."""
    points = f"{100 * share:.2g}" if share < 0.0995 else f"{100 * share:.0f}"
    return f"{points} point{'' if points == '1' else 's'}"
