"""Adapters that a user names for a model whose files aren't here: on a server. Nothing can be checked against its base."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from assistant.adapters.registry import Installed, Resolved, find, step_of
from assistant.adapters.selection import Chosen, Wanted
from assistant.errors import ModelError
from assistant.records import Step


def resolve_unchecked(wanted: Sequence[Wanted], home: Path) -> Resolved:
    """Find what is installed of adapters; one that isn't may be known to the server, and has neither folder nor fingerprint here.

    Raises:
        ModelError: one of them writes nothing.
    """
    chosen: dict[Step, tuple[Chosen, ...]] = {}
    notices: list[str] = []
    for one in wanted:
        known = _find(home, one.name)
        facts = known.facts if known else None
        if facts is None:
            step: Step = "answer"
            adapter = Chosen(one.name, Path(), "", one.scale)
        else:
            step, adapter = step_of(facts), Chosen(one.name, facts.folder, facts.computes, one.scale, facts.slow)
        chosen[step] = (*chosen.get(step, ()), adapter)
        notices += [f"the adapter {one.name!r}: {what}" for what in _notices(known)] if known else []
    return Resolved(chosen, tuple(notices))


def _find(home: Path, name: str) -> Installed | None:
    try:
        found = find(home, name)
    except ModelError:
        return None
    return found if found.folder.is_dir() else None  # a server's names may look like paths


def _notices(known: Installed) -> Iterator[str]:
    if known.problem:
        yield f"what is installed here can't be used: {known.problem}"
    if known.facts:
        yield from known.facts.labels
        yield from known.facts.warnings
