"""What is known of adapters → terminal text and JSON (pure)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from assistant.rendering.answers import QUIET
from assistant.rendering.indexes import WARNING, counted
from assistant.rendering.terminal import sanitize

if TYPE_CHECKING:
    from assistant.adapters.manifest import Manifest
    from assistant.adapters.preflight import Preflight
    from assistant.adapters.registry import Installed

SHORT = 12
"""Digits of a hash that are shown."""
FORMS = {"none": "full precision"}


def render_adapters(found: "Sequence[Installed]") -> Iterator[Text]:
    """One adapter a line: its name, how it was made, the gate's verdict, its base."""
    named = max((len(one.name) for one in found), default=0)
    made = max((len(_made(one)) for one in found if not one.problem), default=0)
    marked = max((len(marks(one)) for one in found if not one.problem), default=0)
    for one in found:
        line = Text(f"{one.name:<{named}}  ")
        if one.problem:
            yield line.append(_plain(one.problem), style=WARNING)
            continue
        line.append(f"{_plain(_made(one)):<{made}}  ")
        line.append(f"{_plain(marks(one)):<{marked}}", style=WARNING if one.gate in ("failed", "forced") else "")
        yield line.append(f"  {_plain(one.base)}", style=QUIET)


def _made(one: "Installed") -> str:
    return one.method if one.role in ("answer", one.method) else f"{one.method}, for {one.role}"


def marks(one: "Installed") -> str:
    """What an adapter is marked with wherever it is listed. What scores answers has no gate to pass."""
    labels = {"linked": one.linked, "trusted base": one.trusted, one.gate: one.role != "reward"}
    return ", ".join(label for label, holds in labels.items() if holds)


def render_adapter(one: "Installed") -> Iterator[Text]:
    """Everything about one adapter, in plain words."""
    facts = list(_facts(one))
    widest = max(len(name) for name, _ in facts)
    for name, value in facts:
        yield Text(f"{name:<{widest}}  ", style=QUIET) + Text(_plain(value), style="")


def _facts(one: "Installed") -> Iterator[tuple[str, str]]:
    yield "name", one.name
    if one.facts is None:
        yield "problem", one.problem
        yield "folder", str(one.folder)
        return
    manifest = one.facts.manifest
    if manifest:
        yield from _of_manifest(manifest)
    else:
        yield "method", f"{one.method}, by PEFT; no manifest"
        yield "base", f"{one.base or 'not said'}, taken on trust"
    if one.role != "reward":
        yield from (("gate" if at == 0 else "", line) for at, line in enumerate(_gate(one)))
    yield "swaps", f"slowly: {one.facts.slow_because}" if one.facts.slow else "in milliseconds"
    for number, warning in enumerate(one.facts.warnings):
        yield "warning" if number == 0 else "", warning
    yield "weights", f"{one.fingerprint[:SHORT]}…"
    yield "folder", f"{one.folder}{' (linked)' if one.linked else ''}"


def _of_manifest(manifest: "Manifest") -> Iterator[tuple[str, str]]:
    base, on = manifest.base, manifest.trained_on
    documents = manifest.data.get("documents")
    rows = counted(int(_number(manifest.data.get("rows")) or 0), "row")
    sources = f" of {counted(len(documents), 'document')}" if isinstance(documents, list) and documents else ""
    yield "method", f"{manifest.method}, on {rows}{sources}"
    yield "role", manifest.role
    yield "created", manifest.created
    yield "base", f"{base.id} ({base.architecture}, {counted(base.layers, 'layer')} of {base.hidden_size})"
    form = on.get("quantization", "none")
    yield "trained", f"in {FORMS.get(form, form)} ({on.get('dtype', '?')}, {on.get('device', '?')}), seed {manifest.seed}"
    yield "prompts", manifest.prompt_format or "its own: its rows held no passages"
    for number, line in enumerate(_metrics(manifest)):
        yield "measured" if number == 0 else "", line
    if manifest.parents:
        yield "parents", ", ".join(f"{parent[:SHORT]}…" for parent in manifest.parents)


def _metrics(manifest: "Manifest") -> Iterator[str]:
    """What was measured before and after the training."""
    before, after = (_object(manifest.metrics.get(when)) for when in ("before", "after"))
    for name, value in after.items():
        if (now := _number(value)) is not None:
            then = _number(before.get(name))
            yield f"{name} {'' if then is None else f'{then:.4g} → '}{now:.4g}"


def _gate(one: "Installed") -> Iterator[str]:
    said = one.facts.gate if one.facts else None
    yield {
        "ungated": f"not asked yet: assistant eval FILE --adapter {one.name} --baseline none",
        "forced": "failed, and added all the same (--force)",
    }.get(one.gate, one.gate)
    for name, value in _object((said or {}).get("metrics")).items():
        if (figure := _number(value)) is not None:
            low, high = (_number(value.get(end)) if isinstance(value, dict) else None for end in ("low", "high"))
            yield f"{name} {figure:+.3f}" + ("" if low is None or high is None else f" ({low:+.3f} … {high:+.3f})")


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float | None:
    """A figure, alone or as ``{"value": …}``."""
    bare = value.get("value") if isinstance(value, Mapping) else value
    return float(bare) if isinstance(bare, int | float) and not isinstance(bare, bool) else None


def render_check(found: "Preflight", base: str | None, canary: str) -> Iterator[Text]:
    """What a check found out."""
    against = f" with {base}" if base else ""
    labels = f" ({', '.join(found.labels)})" if found.labels else ""
    yield Text(_plain(f"{found.name}: sound{against}{labels}"))
    yield Text(_plain(f"  canary: {canary}"), style=QUIET)
    if found.slow_because:
        yield Text(_plain(f"  swaps slowly: {found.slow_because}"), style=QUIET)
    for warning in found.warnings:
        yield Text(_plain(f"  {warning}"), style=WARNING)


def adapters_document(found: "Sequence[Installed]") -> dict[str, Any]:
    """`adapters list --json`. Keys after ``created`` are additions to the contract."""
    return {"schema": 1, "adapters": [_entry(one) for one in found]}


def adapter_document(one: "Installed") -> dict[str, Any]:
    """`adapters show A --json`, `adapters add --json`."""
    facts = one.facts
    return {
        "schema": 1,
        **_entry(one),
        "slow": facts.slow_because if facts else None,
        "warnings": list(facts.warnings) if facts else [],
        "notes": list(one.notes),
        "gate_figures": dict(facts.gate) if facts and facts.gate else None,
        "manifest": asdict(facts.manifest) if facts and facts.manifest else None,
    }


def _entry(one: "Installed") -> dict[str, Any]:
    return {
        "name": one.name,
        "method": one.method or None,
        "base": one.base or None,
        "path": str(one.folder),
        "fingerprint": one.fingerprint or None,
        "gate": one.gate or None,
        "created": one.created or None,
        "role": one.role,
        "trusted": one.trusted,
        "linked": one.linked,
        "problem": one.problem or None,
    }


def check_document(
    name: str, found: "Preflight | None", base: str | None, canary: str | None, problem: str | None = None
) -> dict[str, Any]:
    """`adapters check A --json`."""
    return {
        "schema": 1,
        "name": name,
        "base": base,
        "sound": problem is None,
        "problem": problem,
        "labels": list(found.labels) if found else [],
        "warnings": list(found.warnings) if found else [],
        "slow": found.slow_because if found else None,
        "canary": canary,
    }


def removed_document(name: str) -> dict[str, Any]:
    """`adapters remove A --json`."""
    return {"schema": 1, "removed": name}


def _plain(text: str) -> str:
    return sanitize(text, one_line=True)
