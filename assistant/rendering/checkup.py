"""What the doctor found → terminal text and JSON (pure)."""

from collections.abc import Iterator
from pathlib import Path

from rich.style import Style
from rich.text import Text

from assistant.commands.doctor import TO_EXPORT, Checkup, setting_rows
from assistant.rendering.answers import QUIET
from assistant.rendering.documents import SCHEMA, Document
from assistant.rendering.indexes import counted, size
from assistant.rendering.terminal import Terminal, sanitize
from assistant.settings import setting_names

TITLE = Style(bold=True)
BAD = Style(color="red")
GOOD = Style(color="green")


def render_checkup(checkup: Checkup, terminal: Terminal) -> Iterator[Text]:
    """Everything found, section by section; what is to be mended last, where it is read."""
    yield from _section("versions", [(name, found or "missing") for name, found in checkup.versions.items()])
    yield from _section("machine", _machine_rows(checkup))
    yield from _section("embedding model", _embedding_rows(checkup))
    yield from _section("indexes", _index_rows(checkup))
    yield from _section("models", _model_rows(checkup))
    yield from _section(
        "settings", [(name, f"{value or '(none)'}  ({origin})") for name, value, origin in setting_rows(checkup.settings)]
    )
    yield Text("")
    cross, tick = ("✗", "✓") if terminal.unicode else ("x", "ok:")
    for problem in checkup.problems:
        yield Text(
            f"{cross if problem.fatal else '-'} {sanitize(problem.what, one_line=True)}", style=BAD if problem.fatal else ""
        )
        yield Text(f"  mend it with: {sanitize(problem.mend, one_line=True)}")
    if checkup.able:
        yield Text(f"{tick} Documents can be indexed and asked.", style=GOOD)
    else:
        yield Text(f"{cross} Documents can't be indexed or asked until this is mended.", style=BAD)


def _section(title: str, rows: list[tuple[str, str]]) -> Iterator[Text]:
    yield Text(title, style=TITLE)
    widest = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        yield Text(f"  {name:<{widest}}  ", style=QUIET) + Text(sanitize(value, one_line=True))


def _machine_rows(checkup: Checkup) -> list[tuple[str, str]]:
    machine = checkup.machine
    dtype, reason = machine.model_dtype
    features = "unknown" if machine.features is None else ", ".join(machine.features) or "none of those that matter"
    if machine.memory_total is None:
        memory = "unknown"
    else:
        memory = f"{size(machine.memory_total)}, {size(machine.memory_available or 0)} available"
    gpus = "not found: there is no nvidia-smi to ask" if machine.gpus is None else "; ".join(machine.gpus) or "none"
    return [
        ("processor", f"{machine.processor}, {counted(machine.processors, 'core')} to use"),
        ("features", features),
        ("embedding in", "float32: on a processor ONNX Runtime is fastest in it"),
        ("models in", f"{dtype}: {reason}"),
        ("memory", memory),
        ("GPU", gpus),
    ]


def _embedding_rows(checkup: Checkup) -> list[tuple[str, str]]:
    embedding = checkup.embedding
    rows = [("model", embedding.model)]
    if embedding.weights_hash is None:
        return [*rows, ("exported", "not yet: done when it is first needed, some seconds")]
    rows.append(("exported", f"weights {embedding.weights_hash[:12]}"))
    return [*rows, ("runs", "yes" if embedding.runs else "no" if embedding.runs is False else "not checked")]


def _index_rows(checkup: Checkup) -> list[tuple[str, str]]:
    rows = []
    for info in checkup.indexes:
        holds = f"{counted(info.documents, 'document')}, {counted(info.passages, 'passage')}, {size(info.bytes)}"
        rows.append((info.name, info.problem or f"{holds}, built {info.built}"))
    return rows or [("none", "")]


def _model_rows(checkup: Checkup) -> list[tuple[str, str]]:
    rows = [("extractive", "built in, ready")]
    rows += [(model, "downloaded; this version can't answer with it yet") for model in checkup.downloaded_models]
    return rows


def checkup_document(checkup: Checkup) -> Document:
    """`doctor --json`."""
    machine, embedding = checkup.machine, checkup.embedding
    dtype, reason = machine.model_dtype
    return {
        "schema": SCHEMA,
        "ok": checkup.able,
        "versions": dict(checkup.versions),
        "needed_only_to_export": list(TO_EXPORT),
        "machine": {
            "processor": machine.processor,
            "processors": machine.processors,
            "features": None if machine.features is None else list(machine.features),
            "memory_total": machine.memory_total,
            "memory_available": machine.memory_available,
            "gpus": None if machine.gpus is None else list(machine.gpus),
        },
        "dtype": {"embedding": "float32", "model": dtype, "reason": reason},
        "embedder": {"model": embedding.model, "weights_hash": embedding.weights_hash, "runs": embedding.runs},
        "indexes": [
            {"name": info.name, "documents": info.documents, "passages": info.passages, "problem": info.problem or None}
            for info in checkup.indexes
        ],
        "models": [{"name": "extractive", "usable": True}]
        + [{"name": name, "usable": False} for name in checkup.downloaded_models],
        "servers": [],
        "settings": {
            name: {"value": _plain(getattr(checkup.settings, name)), "origin": checkup.settings.origin(name)}
            for name in setting_names()
        },
        "problems": [{"what": item.what, "mend": item.mend, "fatal": item.fatal} for item in checkup.problems],
    }


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
