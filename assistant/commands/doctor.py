"""`assistant doctor`: what there is, what is missing, and the command that mends it.

Reads versions, files and the settings, and embeds one text to see that it works. Never loads torch.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.models.machine import Machine, inspect_machine
from assistant.settings import EXTRACTIVE, Settings, find_home, load_settings, setting_names
from indexes.errors import UserError

if TYPE_CHECKING:
    from indexes.catalog import IndexInfo

NEEDED = {
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "tokenizers": "tokenizers",
    "faiss-cpu": "faiss",
    "PyStemmer": "Stemmer",
    "pypdf": "pypdf",
    "lxml": "lxml",
    "mammoth": "mammoth",
    "openpyxl": "openpyxl",
    "python-pptx": "pptx",
    "striprtf": "striprtf",
    "charset-normalizer": "charset_normalizer",
    "pathspec": "pathspec",
    "py3langid": "py3langid",
    "rich": "rich",
    "typer": "typer",
    "prompt_toolkit": "prompt_toolkit",
    "filelock": "filelock",
    "platformdirs": "platformdirs",
}
"""Package → the module it brings. Without these the main job can't run."""
TO_EXPORT = ("torch", "transformers", "sentence-transformers", "onnx")
"""Needed once, to export an embedding model."""
TO_WRITE = ("accelerate", "bitsandbytes", "openai")
"""Needed for models in this process and on servers."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is missing or broken.

    Attributes:
        what: what is wrong.
        mend: one command or setting that mends it.
        fatal: whether documents can't be indexed or asked because of it.
    """

    what: str
    mend: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class Embedding:
    """The embedding model of new indexes: exported, and does it run?"""

    model: str
    weights_hash: str | None
    runs: bool | None


@dataclass(frozen=True, slots=True)
class Checkup:
    """Everything that the doctor found out."""

    versions: Mapping[str, str | None]
    machine: Machine
    embedding: Embedding
    indexes: tuple["IndexInfo", ...]
    downloaded_models: tuple[str, ...]
    settings: Settings
    problems: tuple[Problem, ...]

    @property
    def able(self) -> bool:
        """Whether the main job can run: index documents and answer from them."""
        return not any(problem.fatal for problem in self.problems)


def examine(environ: Mapping[str, str] = os.environ) -> Checkup:
    """Look at everything. A fault in one place never hides another."""
    problems: list[Problem] = []
    settings = _settings(environ, problems)
    versions = _versions(problems)
    _check_home(settings.home, problems)
    _check_model(settings, problems)
    return Checkup(
        versions=versions,
        machine=inspect_machine(),
        embedding=_embedding(settings, versions, problems),
        indexes=_indexes(settings, problems),
        downloaded_models=downloaded_models(environ),
        settings=settings,
        problems=tuple(problems),
    )


def _settings(environ: Mapping[str, str], problems: list[Problem]) -> Settings:
    try:
        return load_settings(environ=environ)
    except UserError as error:
        problems.append(Problem(error.message, error.hint, fatal=True))
        return Settings(home=find_home(environ)[0])


def _versions(problems: list[Problem]) -> dict[str, str | None]:
    versions: dict[str, str | None] = {"assistant": _version("assistant"), "python": sys.version.split()[0]}
    for package, module in NEEDED.items():
        versions[package] = _version(package) if _is_importable(module) else None
        if versions[package] is None:
            problems.append(Problem(f"the package {package} is missing", f"pip install {package}", fatal=True))
    for package in (*TO_EXPORT, *TO_WRITE):
        versions[package] = _version(package)
    return versions


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _is_importable(module: str) -> bool:
    """Whether a module's top package is there, without importing it."""
    return importlib.util.find_spec(module.partition(".")[0]) is not None


def _check_home(home: Path, problems: list[Problem]) -> None:
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(nearest, os.W_OK | os.X_OK) or not nearest.is_dir():
        problems.append(Problem(f"can't write to {str(home)!r}", "set ASSISTANT_HOME to a folder you may write to", fatal=True))
    elif home.exists() and home.stat().st_mode & 0o077:
        problems.append(Problem(f"others may enter {str(home)!r}", f"chmod 700 {home}", fatal=False))


def _embedding(settings: Settings, versions: Mapping[str, str | None], problems: list[Problem]) -> Embedding:
    """Find the exported model and embed a text with it; where it isn't exported yet, see that it can be."""
    weights_hash = _exported_hash(settings)
    if weights_hash is None:
        _check_exportable(settings, versions, problems)
        return Embedding(settings.embedder, None, runs=None)
    if versions["onnxruntime"] is None or versions["tokenizers"] is None or versions["numpy"] is None:
        return Embedding(settings.embedder, weights_hash, runs=None)  # reported as missing packages
    try:
        from indexes.embedding import OnnxEmbedder

        OnnxEmbedder(settings.models, weights_hash).embed(["Does it run?"])
    except Exception as error:  # noqa: BLE001 - whatever a damaged model raises is the finding
        mend = f"rm '{settings.models / weights_hash}'.*   (it is exported again when it is needed)"
        problems.append(Problem(f"the exported embedding model doesn't run: {error}", mend, fatal=True))
        return Embedding(settings.embedder, weights_hash, runs=False)
    return Embedding(settings.embedder, weights_hash, runs=True)


def _check_model(settings: Settings, problems: list[Problem]) -> None:
    """See that the model that is set could answer: its server does, or its files are there and whole. Nothing is loaded."""
    try:
        if settings.server:
            from assistant.wiring import open_model

            open_model(settings).budget  # noqa: B018 - asks the server what it has
        elif settings.model != EXTRACTIVE:
            from assistant.models.hub import find_model

            find_model(settings.model).check()
    except UserError as error:
        problems.append(Problem(error.message, error.hint, fatal=True))
    except ImportError as error:
        problems.append(Problem(f"can't import {error.name}", f"pip install {error.name}", fatal=True))


def _exported_hash(settings: Settings) -> str | None:
    try:
        known = json.loads((settings.models / "known.json").read_text(encoding="utf-8"))
        weights_hash = str(known[settings.embedder]["hash"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return weights_hash if (settings.models / f"{weights_hash}.json").exists() else None


def _check_exportable(settings: Settings, versions: Mapping[str, str | None], problems: list[Problem]) -> None:
    missing = [package for package in TO_EXPORT if versions[package] is None]
    if missing:
        what = f"the embedding model isn't exported yet, and the packages to do it are missing: {', '.join(missing)}"
        problems.append(Problem(what, f"pip install {' '.join(missing)}", fatal=True))
    try:
        from indexes.embedding import model_folder

        model_folder(settings.embedder)
    except UserError as error:
        problems.append(Problem(error.message, error.hint, fatal=True))
    except ImportError as error:
        problems.append(Problem(f"can't import {error.name}", f"pip install {error.name}", fatal=True))


def _indexes(settings: Settings, problems: list[Problem]) -> tuple["IndexInfo", ...]:
    try:
        from indexes.catalog import list_indexes

        infos = tuple(list_indexes(settings.home))
    except ImportError as error:
        problems.append(Problem(f"can't look at the indexes: {error}", f"pip install {error.name}", fatal=True))
        return ()
    any_sound = any(not info.problem for info in infos)
    for info in infos:
        if info.problem:
            mend = f"assistant indexes delete {info.name}, then index its folder again"
            problems.append(Problem(f"index {info.name!r}: {info.problem}", mend, fatal=not any_sound))
    for name in settings.index:
        if name not in {info.name for info in infos}:
            what = f"{settings.origin('index')} names the index {name!r}, which doesn't exist"
            problems.append(Problem(what, f"assistant index FOLDER --name {name}", fatal=True))
    if not infos:
        problems.append(Problem("there is no index yet", "assistant index FOLDER", fatal=False))
    return infos


def downloaded_models(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Ids of the causal language models in Hugging Face's cache folder."""
    home = Path(environ.get("HF_HOME") or Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface")
    hub = Path(environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    found = []
    for folder in sorted(hub.glob("models--*")):
        configs = [_json(path) for path in folder.glob("snapshots/*/config.json")]
        if any(str(name).endswith("ForCausalLM") for config in configs for name in config.get("architectures") or ()):
            found.append(folder.name.removeprefix("models--").replace("--", "/"))
    return tuple(found)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def setting_rows(settings: Settings) -> list[tuple[str, str, str]]:
    """Name, value and origin of each setting."""
    rows = []
    for name in setting_names():
        value = getattr(settings, name)
        text = ", ".join(value) if isinstance(value, tuple) else str(value).lower() if isinstance(value, bool) else str(value)
        rows.append((name, text, settings.origin(name)))
    return rows
