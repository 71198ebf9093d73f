"""The cache's contents and figures → terminal text and JSON (pure, but for reading the store)."""

import datetime
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.text import Text

from assistant.cache.threshold import running_bound
from assistant.rendering.answers import QUIET
from assistant.rendering.indexes import counted
from assistant.rendering.terminal import sanitize

if TYPE_CHECKING:
    from assistant.cache.store import CacheStore
    from assistant.cache.tables import Entry
    from assistant.settings import Settings

HIT, MISS = "hit: ", "miss: "


@dataclass(frozen=True, slots=True)
class Stats:
    """What the cache did so far.

    Attributes:
        entries, quarantined, size: how many answers are kept, how many of them are never given again, and their bytes.
        events: name → how often, and seconds saved.
        audited, wrong: hits by meaning that were answered afresh, and how many of them turned out to be wrong.
        is_on: whether answers are kept at all.
    """

    entries: int
    quarantined: int
    size: int
    events: dict[str, tuple[int, float]]
    audited: int
    wrong: int
    is_on: bool

    @property
    def hits(self) -> int:
        return sum(count for name, (count, _) in self.events.items() if name.startswith(HIT))

    @property
    def misses(self) -> int:
        return sum(count for name, (count, _) in self.events.items() if name.startswith(MISS))

    @property
    def saved_s(self) -> float:
        return sum(seconds for _, seconds in self.events.values())

    @property
    def bound(self) -> float | None:
        """An upper bound on the share of hits by meaning that are wrong, at 95 %."""
        return running_bound(self.wrong, self.audited)


def read_stats(store: "CacheStore", settings: "Settings") -> Stats:
    """Gather the figures; all zero where nothing was ever kept."""
    if not store.database.file.exists():
        return Stats(0, 0, 0, {}, 0, 0, settings.cache)
    return Stats(*store.size(), store.events(), *store.audits(), settings.cache)


def render_stats(stats: Stats) -> Iterator[Text]:
    """The figures, a line each."""
    aside = f" ({stats.quarantined} never given again)" if stats.quarantined else ""
    yield Text(f"{counted(stats.entries, 'answer')}, {stats.size / 1e6:.1f} MB{aside}")
    if not stats.is_on:
        yield Text("no answer is kept or given again: the setting `cache` is off", style=QUIET)
    misses = f"{stats.misses:,} {'miss' if stats.misses == 1 else 'misses'}"
    yield Text(f"{counted(stats.hits, 'hit')}, {stats.saved_s:.0f} s saved; {misses}")
    for name, (count, _) in sorted(stats.events.items()):
        yield Text(f"  {count:>6}  {name}", style=QUIET)
    yield Text(f"wrong among hits by meaning: {_estimate(stats)}")


def _estimate(stats: Stats) -> str:
    bound = stats.bound
    if bound is None:
        return "no bound yet: none was audited"
    return f"{stats.wrong} of {stats.audited} audited, at most {bound:.0%} (95 % confidence, at every moment)"


def stats_document(stats: Stats) -> dict[str, Any]:
    """The figures as JSON."""
    return {
        "schema": 1,
        "on": stats.is_on,
        "entries": stats.entries,
        "quarantined": stats.quarantined,
        "bytes": stats.size,
        "hits": stats.hits,
        "misses": stats.misses,
        "seconds_saved": round(stats.saved_s, 3),
        "events": {name: count for name, (count, _) in sorted(stats.events.items())},
        "audited": stats.audited,
        "wrong": stats.wrong,
        "wrong_at_most": stats.bound,
    }


MOST_SHOWN = 300
"""Characters of a question in a list."""


def render_entries(found: Sequence[tuple[str, "Entry"]]) -> Iterator[Text]:
    """The answers that are kept, grouped by nothing: the one given last first."""
    for label, entry in found:
        yield Text(sanitize(textwrap.shorten(entry.question, MOST_SHOWN, placeholder=" …"), one_line=True))
        sources = ", ".join(dict.fromkeys(bound.source for bound in entry.cited)) or entry.status
        marks = ", never given again" if entry.quarantined else ""
        yield Text(
            f"    {_day(entry.created)}, given {counted(entry.hits, 'time')} again, {sanitize(sources, one_line=True)}"
            f" · {sanitize(label, one_line=True)}{marks}",
            style=QUIET,
        )


def entries_document(found: Sequence[tuple[str, "Entry"]]) -> dict[str, Any]:
    """The answers that are kept, as JSON."""
    return {
        "schema": 1,
        "entries": [
            {
                "id": entry.entry_id,
                "scope": label,
                "question": entry.question,
                "status": entry.status,
                "sources": list(dict.fromkeys(bound.source for bound in entry.cited)),
                "created": datetime.datetime.fromtimestamp(entry.created, datetime.UTC).isoformat(timespec="seconds"),
                "hits": entry.hits,
                "quarantined": entry.quarantined,
            }
            for label, entry in found
        ],
    }


def _day(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).astimezone().strftime("%Y-%m-%d")
