"""Stages, one after the other: what is done is left as it is, what was interrupted is gone on with, what has changed is refused.

    OUT/NAME/            a stage's adapter folder, as its verb would have written it
    OUT/earlier/NAME-1/  what lay there before a stage was trained again
    OUT/pipeline.json    what each stage was trained with, written before it begins and after it ends (and under "others" of
                         stages that the file doesn't have any more: their folders are still there)
    OUT/report.html

A stage is known by its settings, the hashes of its data, base and graders, and the weights of the stages that it is made of.
"""

import json
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from assistant.adapters.manifest import read_manifest, weights_hash
from assistant.errors import ModelError
from finetune.config import TrainingConfig
from finetune.errors import TrainingError
from finetune.resuming import CHANGES_NOTHING, MAY_CHANGE, in_names_of
from finetune.run_folder.documents import differences, plain
from finetune.run_folder.files import make_folder, read_file, write_file
from finetune.run_folder.records import RESULT
from finetune.stages.going_on import alone, has_begun, is_done, is_there, train_on
from finetune.stages.pipeline_page import PIPELINE, write_page
from finetune.stages.stages import EARLIER, Pipeline, Stage
from indexes.errors import UsageError, UserError

SCHEMA = 1
State = Literal["done", "begun", "new", "again"]
"""Of a stage: nothing is to be done; it is gone on with; it is trained; it is trained again, and what is there is kept aside."""
Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Finished:
    """What came of running a pipeline.

    Attributes:
        document: as in ``pipeline.json``.
        stopped: the stage that was interrupted, and its step; None: all are done.
    """

    document: Mapping[str, Any]
    stopped: tuple[str, int] | None = None


def command_of(pipeline: Pipeline, start: str = "") -> str:
    """The command line that goes on with it."""
    return shlex.join(["finetune", "pipeline", str(pipeline.file), *(["--from", start] if start else [])])


def plan(pipeline: Pipeline, *, start: str = "") -> dict[str, State]:
    """What is to be done for each stage.

    Args:
        pipeline: the stages.
        start: a stage that is trained again, with those after it that have changed or are made of it.

    Raises:
        UsageError: there is no such stage.
        TrainingError: something has changed since it was trained, and nobody said to train it again.
    """
    names = [stage.name for stage in pipeline.stages]
    if start and start not in names:
        raise UsageError(f"there is no stage {start!r}", hint=f"--from can be {', '.join(names)}")
    known, states, stale = _records(pipeline), dict[str, State](), dict[str, str]()
    for at, stage in enumerate(pipeline.stages):
        why = _why_again(pipeline, stage, known.get(stage.name), states)
        asked = bool(start) and at >= names.index(start)
        if stage.name == start or (why and asked):
            states[stage.name] = "again" if is_there(pipeline.out / stage.name) else "new"
        elif why:
            stale[stage.name], states[stage.name] = why, "again"
        else:
            states[stage.name] = _progress(pipeline.out / stage.name)
    if stale:
        listed = "; ".join(f"stage {name!r} {why}" for name, why in stale.items())
        raise TrainingError(
            listed, hint=f"put that back, or train again what has changed: {command_of(pipeline, next(iter(stale)))}"
        )
    return states


def run_pipeline(
    pipeline: Pipeline, *, start: str = "", announce: Announce = lambda _: None, command: Sequence[str] = ()
) -> Finished:
    """Train what is to be trained, and write the records and the page.

    Args:
        pipeline: the stages.
        start: as in ``plan``.
        announce: told what goes on, in lines for a person.
        command: the command line, for the records.

    Raises:
        TrainingError: something has changed, or another process is at it; see also ``train.train`` for each stage.
    """
    make_folder(pipeline.out)
    with alone(pipeline.out):
        states = plan(pipeline, start=start)
        for notice in pipeline.notices:
            announce(notice)
        records = _records(pipeline)
        _clear(pipeline, states, announce)
        for stage in pipeline.stages:
            stopped = None
            if states[stage.name] == "done":
                announce(f"{stage.name}: it is done")
            else:
                announce(f"{stage.name}: {'going on' if states[stage.name] == 'begun' else stage.config.method}")
                records[stage.name] = _as_now(pipeline, stage)
                _write(pipeline, records)  # before it begins: a kill leaves it known
                stopped = _train(pipeline, stage, announce, command)
            document = _write(pipeline, records)
            if stopped is not None:
                return Finished(document, (stage.name, stopped))
    return Finished(document)


def _clear(pipeline: Pipeline, states: Mapping[str, State], announce: Announce) -> None:
    """Make room for what is trained again, the last first: whatever is there is made of what is there, also after a kill."""
    for stage in reversed(pipeline.stages):
        folder = pipeline.out / stage.name
        if states[stage.name] == "again":
            announce(f"{stage.name}: what was there is now {str(_put_aside(folder, pipeline.out / EARLIER))!r}")
        elif states[stage.name] == "new" and folder.is_dir():
            shutil.rmtree(folder)  # empty folders, left by a kill


def _train(pipeline: Pipeline, stage: Stage, announce: Announce, command: Sequence[str]) -> int | None:
    """Train a stage; returns the step at which it was interrupted, None where it wasn't.

    Raises:
        UserError: as the training did, with the stage's name.
    """
    try:
        return train_on(stage.config, announce=lambda line: announce(f"{stage.name}: {line}"), command=command)
    except UserError as error:
        again = f"{error.hint}; in {str(pipeline.file)!r}, and then: {command_of(pipeline)}"
        if has_begun(Path(stage.config.out)):
            again += f" (with other settings of it: --from {stage.name})"
        raise type(error)(f"stage {stage.name!r}: {error.message}", hint=again) from error


def _why_again(pipeline: Pipeline, stage: Stage, record: Mapping[str, Any] | None, states: Mapping[str, State]) -> str:
    """Why what lies in a stage's folder can't be kept or gone on with; empty: it can, or there is nothing."""
    folder = pipeline.out / stage.name
    if not is_there(folder):
        return ""
    if record is None:
        return f"would be trained into {str(folder)!r}, which holds something that {PIPELINE} doesn't know"
    ended = is_done(folder)
    ignored = CHANGES_NOTHING if ended else MAY_CHANGE
    changed = differences(_without(_defaults(stage) | record["settings"], ignored), _without(plain(stage.said), ignored))
    found = [f"{name} was {_shown(old)} and is now {_shown(new)}" for name, (old, new) in changed.items()]
    was, now = record["inputs"], in_names_of(record["inputs"], stage.inputs)
    found += [
        f"{name} changed" for name in sorted({*was, *now}) if was.get(name) != now.get(name) and not _is_unknown(name, was, now)
    ]
    if again := [parent for parent in stage.parents if states[parent] != "done"]:
        found.append(f"{' and '.join(map(repr, again))}, which it is made of, {'is' if len(again) == 1 else 'are'} to be trained")
    else:
        hashes = {parent: _hash_of(pipeline.out / parent) for parent in stage.parents}
        found += [
            f"{parent!r}, which it is made of, changed" for parent in hashes if record["parents"].get(parent) != hashes[parent]
        ]
    if ended and not found and read_manifest(folder).weights_hash != weights_hash(folder):
        found.append("its weights are no longer those that were saved")
    return f"changed since it was trained: {', '.join(found)}" if found else ""


def _progress(folder: Path) -> State:
    if not is_there(folder):
        return "new"
    return "done" if is_done(folder) else "begun"


def _as_now(pipeline: Pipeline, stage: Stage) -> dict[str, Any]:
    """A stage's record, as it is trained now."""
    return {
        "method": stage.config.method, "settings": plain(stage.said), "inputs": dict(stage.inputs),
        "parents": {parent: _hash_of(pipeline.out / parent) for parent in stage.parents},
    }  # fmt: skip


def _hash_of(folder: Path) -> str:
    return read_manifest(folder).weights_hash


def _defaults(stage: Stage) -> dict[str, Any]:
    """Values of settings that an older version didn't know, and so trained by."""
    return {
        one.name: plain(one.default) for one in fields(TrainingConfig) if one.name in stage.said and one.default is not MISSING
    }


def _without(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def _is_unknown(name: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """A base that is downloaded by a training has no hash before it."""
    return name == "base" and (name not in was or name not in now)


def _shown(value: Any) -> str:
    return "missing" if value is None else json.dumps(value, ensure_ascii=False)


def _put_aside(folder: Path, shelf: Path) -> Path:
    make_folder(shelf)
    number = 1
    while (shelf / f"{folder.name}-{number}").exists():
        number += 1
    return folder.rename(shelf / f"{folder.name}-{number}")


def _records(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """What is known of the stages, by name.

    Raises:
        TrainingError: ``pipeline.json`` can't be read.
    """
    file = pipeline.out / PIPELINE
    content = read_file(file)
    if content is None:
        return {}
    try:
        document = json.loads(content)
        if document["schema"] != SCHEMA:
            raise ValueError(f"it has format {document['schema']!r}, and this version reads {SCHEMA}")
        kept = ("method", "settings", "inputs", "parents")
        known = [*document["stages"], *document["others"]]
        return {each["name"]: {key: each[key] for key in kept} for each in known}
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"can't read {str(file)!r}: {error}", hint="name another folder with out in [pipeline]") from error


def _write(pipeline: Pipeline, records: Mapping[str, Any]) -> dict[str, Any]:
    """Write the records, and the page that shows them."""
    own = [stage.name for stage in pipeline.stages if stage.name in records]
    stages, others = (
        [{"name": name, **records[name], **_outcome(pipeline.out / name)} for name in names]
        for names in (own, [name for name in records if name not in own])
    )
    document = {"schema": SCHEMA, "recipe": str(pipeline.file), "stages": stages, "others": others}
    content = json.dumps(plain(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_file(pipeline.out / PIPELINE, content.encode("utf-8", "backslashreplace"))
    write_page(pipeline.out, document, go_on=command_of(pipeline))
    return document


def _outcome(folder: Path) -> dict[str, Any]:
    """What is known of a stage's end from its own folder."""
    if not is_done(folder):
        return {"state": "begun"}
    try:
        manifest, result = read_manifest(folder), json.loads((folder / "run" / RESULT).read_bytes())
    except (ModelError, ValueError) as error:
        return {"state": "damaged", "why": str(error)}
    kept = ("steps", "seconds", "tokens_per_s", "peak_memory", "stopped_because", "before", "after")
    return {
        "state": "done", "role": manifest.role, "base": manifest.base.id, "weights_hash": manifest.weights_hash,
        "begun_with": list(manifest.parents), **{name: result[name] for name in kept if name in result},
    }  # fmt: skip
