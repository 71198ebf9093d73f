"""A pipeline's file → its stages, each a training's settings, or everything that is wrong with all of them at once.

    [pipeline]                       what holds for every stage unless it says otherwise, and out, the folder of them all
    [[stage]]                        method, name (else the method), and any setting of a training
    init_adapter = "@sft"            an earlier stage by its name; "@previous" is the last one that writes; "" is none
    grader = ["@reward*0.5"]

Nothing is trained here, and no model is loaded: only the rows are read. Paths are relative to the file.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from assistant.models.families import context_length
from finetune.config import METHODS, NAMES, TrainingConfig, read_config
from finetune.reinforcement.rl_settings import METHODS_WITH_ROLLOUTS, RolloutSettings
from finetune.resuming import other_hashes
from finetune.stages.stage_data import StageRows
from finetune.stages.stage_references import GRADERS, PREVIOUS, SCORES, Earlier, References
from indexes.errors import UsageError, UserError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""What a stage may be called: a folder is named after it."""
EARLIER = "earlier"
"""The folder of adapters whose place a later training took."""
PATHS = ("data", "eval_data", "out")
"""Settings that say where something is, not what."""
FOR_ROLLOUTS = tuple(one.name for one in fields(RolloutSettings))
FOR_STAGES = ("method", "name", "init_adapter")
"""What only a stage can say."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One training of a pipeline.

    Attributes:
        name: of its folder.
        config: its settings, with the folders of earlier stages in the place of their names.
        said: the same, as it was written: by this and ``inputs`` it is told whether a stage has changed.
        parents: names of the earlier stages that it is made of.
        inputs: hashes of what it is made of otherwise.
    """

    name: str
    config: TrainingConfig
    said: Mapping[str, Any]
    parents: tuple[str, ...]
    inputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Stages in their order.

    Attributes:
        file: where they were described.
        out: the folder of all.
        stages: in the order in which they are trained.
        notices: what a person should know before it begins.
    """

    file: Path
    out: Path
    stages: tuple[Stage, ...]
    notices: tuple[str, ...] = ()


def read_pipeline(file: Path) -> Pipeline:
    """Read a pipeline's file and look at the rows of all its stages.

    Raises:
        UsageError: with all faults of all stages.
    """
    reading = _Reading(file, _read(file))
    stages = [reading.stage(number, said) for number, said in enumerate(reading.tables, 1)]
    if reading.faults:
        listed = "; ".join(reading.faults)
        raise UsageError(f"{str(file)!r} can't be run: {listed}", hint="mend the file: nothing was trained yet")
    return Pipeline(file, reading.out, tuple(stage for stage in stages if stage), tuple(reading.rows.notices))


def _read(file: Path) -> dict[str, Any]:
    hint = "finetune pipeline takes a TOML file with [pipeline] and a [[stage]] for each training"
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no {str(file)!r}", hint=hint) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"can't read {str(file)!r}: {error}", hint=hint) from error


class _Reading:
    """What has been read of a file, and what was wrong.

    Attributes:
        faults: so far.
        out: the folder of all stages.
        tables: of the stages, as they were written.
        rows: of the stages that could be read.
    """

    def __init__(self, file: Path, document: Mapping[str, Any]) -> None:
        self.faults: list[str] = []
        self.rows = StageRows()
        self._folder = file.parent
        self._earlier: dict[str, Earlier] = {}
        self._shared, self.tables = self._parts(document)
        self._names = [str(said.get("name", said.get("method", ""))) for said in self.tables]
        self.out = self._out()

    def stage(self, number: int, said: Mapping[str, Any]) -> Stage | None:
        """The next stage; None: something is wrong with it."""
        name, method = self._names[number - 1], said.get("method")
        faults = [*self._wrong_name(name, number, given="name" in said), *_wrong_method(method)]
        if "out" in said:
            faults.append("out is the pipeline's to say: a stage lies there in a folder of its name")
        stage = self._trained(name, said, faults) if method in METHODS else None
        label = f"stage {number} ({name!r})" if name else f"stage {number}"
        self.faults += [f"{label}: {fault}" for fault in faults]
        return None if faults else stage

    def _parts(self, document: Mapping[str, Any]) -> tuple[dict[str, Any], list[Mapping[str, Any]]]:
        known = ("pipeline", "stage")
        self.faults += [f"there is no table {name!r}{_meant(name, known)}" for name in document if name not in known]
        shared, stages = document.get("pipeline", {}), document.get("stage", [])
        if not isinstance(shared, dict):
            self.faults.append("pipeline must be a table: [pipeline]")
            shared = {}
        if not isinstance(stages, list) or not all(isinstance(each, dict) for each in stages):
            self.faults.append("stage must be a table for each training: [[stage]]")
            stages = []
        elif not stages:
            self.faults.append("there is no [[stage]]: nothing would be trained")
        self.faults += [f"[pipeline]: {name} is for a [[stage]] to say" for name in FOR_STAGES if name in shared]
        odd = [name for name in shared if name not in NAMES and name not in FOR_STAGES]
        self.faults += [f"[pipeline]: there is no setting {name!r}{_meant(name, NAMES)}" for name in odd]
        return {name: value for name, value in shared.items() if name in NAMES and name not in FOR_STAGES}, stages

    def _out(self) -> Path:
        out = self._shared.pop("out", None)
        if not isinstance(out, str) or not out:
            self.faults.append("[pipeline]: out is missing: the folder of all stages" if out is None
                               else f"[pipeline]: out is {out!r}: it must be a folder")  # fmt: skip
            return Path(self._path("."))
        return Path(self._path(out))

    def _path(self, said: str) -> str:
        return os.path.abspath(self._folder / Path(said).expanduser())  # noqa: PTH100 - a link is kept as it was named

    def _wrong_name(self, name: str, number: int, *, given: bool) -> list[str]:
        if (name or given) and (not NAME.fullmatch(name) or name.casefold() in (PREVIOUS, EARLIER)):
            return [
                f"name is {name!r}: a folder is called so; letters, digits, - and _ will do (not {PREVIOUS!r} or {EARLIER!r})"
            ]
        if name and name.casefold() in {each.casefold() for each in self._names[: number - 1]}:
            return [f"an earlier stage is called {name!r} too: give this one a name of its own"]
        return []

    def _trained(self, name: str, said: Mapping[str, Any], faults: list[str]) -> Stage | None:
        method = said["method"]
        references = References(dict(self._earlier), self._names, lambda other: str(self.out / other), self._path)
        written = references.with_defaults(method, self._settings(method, said))
        settings = self._with_paths(references.resolve(method, written)) | {"out": str(self.out / name)}
        config = None
        faults += [f"there is no setting {key!r}{_meant(key, NAMES)}" for key in settings if key not in NAMES]
        try:
            config = read_config(method, None, {key: value for key, value in settings.items() if key in NAMES})
        except UsageError as error:
            faults.append(error.message.partition(": ")[2])
        parents = tuple(references.parents)
        rows, found = self.rows.read(name, method, settings, parents)
        faults += references.faults + found
        self._earlier[name] = Earlier(method, str(settings.get("base")), rows.classes if rows else ())
        inputs = _base_hash(settings, faults, scores=method == SCORES)
        if config is None or rows is None:
            return None
        folders = [str(self.out / parent) for parent in parents]
        inputs |= {**rows.hashes} | other_hashes(config, folders, faults, written=_as_written(config, written))
        as_written = {key: written.get(key) or "" for key in (*GRADERS, "init_adapter")}
        unused = () if config.writes else FOR_ROLLOUTS  # the pipeline may say them for others
        told = {key: value for key, value in (config.records | as_written).items() if key not in (*PATHS, *unused)}
        return Stage(name, config, told, parents, inputs)

    def _settings(self, method: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """What a stage says, and what the pipeline says for all; graders are for those that are graded."""
        shared = {key: value for key, value in self._shared.items() if key not in GRADERS or method in METHODS_WITH_ROLLOUTS}
        found = shared | {key: value for key, value in said.items() if key not in ("method", "name", "out")}
        if isinstance(base := found.get("base"), str) and Path(there := self._path(base)).is_dir():
            found["base"] = there
        return found

    def _with_paths(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with data where it is, seen from here."""
        found = dict(settings)
        for key in ("data", "eval_data"):
            said = settings.get(key)
            if isinstance(said, str):
                found[key] = [self._path(said)]
            elif isinstance(said, list):
                found[key] = [self._path(each) if isinstance(each, str) else each for each in said]
        return found


def _as_written(config: TrainingConfig, written: Mapping[str, Any]) -> dict[str, str]:
    """Graders as the settings hold them → as the file says them: a folder that was moved is known by that."""
    found: dict[str, str] = {}
    for key in GRADERS:
        said = written.get(key) or ()
        found |= dict(zip(getattr(config, key), (said,) if isinstance(said, str) else said, strict=False))
    return found


def _base_hash(settings: Mapping[str, Any], faults: list[str], *, scores: bool) -> dict[str, str]:
    """The fingerprint of a base that is on this machine; of one that must be downloaded first, nothing is known."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    from assistant.models.checkpoint import Checkpoint
    from assistant.models.fingerprint import base_fingerprint
    from assistant.models.hub import REPO_ID, find_local, find_model
    from indexes.embedding import model_folder

    base = settings.get("base")
    if not isinstance(base, str):
        return {}
    try:
        installed = model_folder(base) if scores and not Path(base).exists() else None
        local = Checkpoint(base, Path(installed)) if installed else find_local(base)
        if local is None and (HF_HUB_OFFLINE or not REPO_ID.fullmatch(base)):
            local = find_model(base)  # says why not
        if local is None:
            return {}
        faults += _too_long(settings, local.config)
        return {"base": base_fingerprint(local)}
    except UserError as error:
        faults.append(error.message)
        return {}


def _too_long(settings: Mapping[str, Any], said: Mapping[str, Any]) -> list[str]:
    """Whether rows are longer than a base reads, as far as its ``config.json`` says."""
    length = settings.get("max_length", TrainingConfig.__dataclass_fields__["max_length"].default)
    positions = said.get("max_position_embeddings") or said.get("n_positions")
    if not positions or not isinstance(length, int):
        return []
    context = context_length(SimpleNamespace(**{**said, "max_position_embeddings": positions}))
    return [f"max_length is {length!r}, and {settings['base']!r} reads {context:,} tokens"] if length > context else []


def _wrong_method(method: Any) -> list[str]:
    if method in METHODS:
        return []
    if method is None:
        return [f"method is missing: one of {', '.join(METHODS)}"]
    return [f"method is {method!r}: it must be one of {', '.join(METHODS)}{_meant(str(method), METHODS)}"]


def _meant(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {near[0]!r}?)" if near else ""
