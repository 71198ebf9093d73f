"""The settings: one frozen value, and where each part of it came from.

Defaults < ``$ASSISTANT_HOME/config.toml`` < environment (``ASSISTANT_TOP_K=5``) < flags. All faults are reported together,
each with its place. It knows nothing of what the settings do.
"""

import difflib
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from assistant.rendering.terminal import Choice
from indexes.errors import UsageError

PREFIX = "ASSISTANT_"
NOT_SETTINGS = ("ASSISTANT_HOME", "ASSISTANT_API_KEY")
"""Variables of ours that are no settings: the folder of all of them, and a secret."""
EXTRACTIVE = "extractive"
"""The model that is built in."""
Quantization = Literal["none", "int8", "nf4"]
CONFIG = "config.toml"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the assistant was told, by whom.

    Attributes:
        home: folder of indexes, models, history and ``config.toml``; set with ``ASSISTANT_HOME`` alone.
        index: names of the indexes to answer from; empty: the only one there is, else the one last built.
        model: who writes the answers: ``extractive``, which is built in, a model's id or folder, or a name on the server.
        server: URL of an OpenAI-compatible server that runs the model; empty: in this process.
        quantization: how a model in this process is held: ``none``, ``int8`` or ``nf4``.
        adapter: an adapter of the model; ``none``: the model as it is.
        max_tokens: the most an answer may take, 1 to 32,768.
        context: the most tokens of prompt and answer together, 256 to 1,048,576; a model with less uses what it has.
        temperature: 0 takes the likeliest token, up to 2 is ever more random.
        embedder: the embedding model that a new index is built with.
        top_k: passages to find for a question, 1 to 100.
        color: colours on the terminal; ``auto`` honours NO_COLOR.
        links: clickable citations; ``auto`` where the terminal is known to make them so.
        width: columns to fill, 20 to 400; 0 is the terminal's width, 100 at most.
        history: whether the chat remembers the lines typed, in ``home``.
        cache: whether answers are kept, and given again while they are right.
        cache_days: days after which a kept answer is forgotten, 1 to 3,650; one of a server after one day.
        cache_entries: the most answers that are kept, 100 to 1,000,000.
        origins: where each value came from, by name.
    """

    home: Path
    index: tuple[str, ...] = ()
    model: str = EXTRACTIVE
    server: str = ""
    quantization: Quantization = "none"
    adapter: str = "none"
    max_tokens: int = 400
    context: int = 8192
    temperature: float = 0.0
    embedder: str = "all-MiniLM-L6-v2"
    top_k: int = 10
    color: Choice = "auto"
    links: Choice = "auto"
    width: int = 0
    history: bool = True
    cache: bool = True
    cache_days: int = 90
    cache_entries: int = 20_000
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def models(self) -> Path:
        """The folder of exported embedding models."""
        return self.home / "models"

    @property
    def config(self) -> Path:
        """The settings file, whether it exists or not."""
        return self.home / CONFIG

    def with_model(self, model: str) -> "Settings":
        """The same, with another model."""
        return replace(self, model=model, origins=MappingProxyType({**self.origins, "model": "/model"}))

    def origin(self, name: str) -> str:
        """Where a value came from: ``default``, ``config.toml:3``, ``ASSISTANT_MODEL`` or ``--model``."""
        return self.origins.get(name, "default")


@dataclass(frozen=True, slots=True)
class _Found:
    """A value as it was found, not yet checked."""

    name: str
    value: object
    origin: str


def load_settings(flags: Mapping[str, object] | None = None, *, environ: Mapping[str, str] = os.environ) -> Settings:
    """Gather the settings.

    Args:
        flags: by setting name; None and empty ones were not given.
        environ: the environment.

    Raises:
        UsageError: naming every fault with its place.
    """
    home, home_origin = find_home(environ)
    faults: list[str] = []
    found = [
        *_from_file(home / CONFIG, faults),
        *_from_environment(environ, faults),
        *_from_flags(flags or {}),
    ]
    values: dict[str, Any] = {}
    origins = {"home": home_origin}
    for item in found:
        try:
            values[item.name] = _PARSERS[item.name](item.value)
            origins[item.name] = item.origin
        except ValueError as error:
            faults.append(f"{item.origin}: {item.name} is {item.value!r}; {error}")
    if faults:
        raise UsageError("; ".join(faults), hint=f"allowed settings: {', '.join(setting_names())}; `assistant doctor` shows them")
    return Settings(home=home, origins=MappingProxyType(origins), **values)


def setting_names() -> list[str]:
    """The names of all settings, in order."""
    return [item.name for item in fields(Settings) if item.name != "origins"]


def find_home(environ: Mapping[str, str] = os.environ) -> tuple[Path, str]:
    """The folder that holds everything, and where that was said."""
    if environ.get("ASSISTANT_HOME"):
        return Path(environ["ASSISTANT_HOME"]).expanduser().absolute(), "ASSISTANT_HOME"
    import platformdirs

    return platformdirs.user_data_path("assistant", appauthor=False), "default"


def _from_file(path: Path, faults: list[str]) -> Iterator[_Found]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        table = tomllib.loads(text)
    except FileNotFoundError:
        return
    except OSError as error:
        faults.append(f"can't read {str(path)!r}: {error.strerror}")
        return
    except ValueError as error:  # TOML's own message names line and column; not UTF-8 is one too
        faults.append(f"{path}: {error}")
        return
    for name, value in table.items():
        place = f"{path}:{_line_of(name, text)}"
        if name == "home":
            faults.append(f"{place}: home can't be set in the file that lies in it; set ASSISTANT_HOME")
        elif name not in _PARSERS:
            faults.append(f"{place}: there is no setting {name!r}{_suggestion(name)}")
        else:
            yield _Found(name, value, place)


def _from_environment(environ: Mapping[str, str], faults: list[str]) -> Iterator[_Found]:
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS or not environ[variable]:
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name in _PARSERS:
            yield _Found(name, environ[variable], variable)
        elif near := difflib.get_close_matches(name, setting_names(), n=1, cutoff=0.75):
            # The prefix is a common word: what resembles none of our names is another program's.
            faults.append(f"{variable}: there is no such setting (did you mean {PREFIX}{near[0].upper()}?)")


def _from_flags(flags: Mapping[str, object]) -> Iterator[_Found]:
    for name, value in flags.items():
        if value is not None and value not in ([], ()):
            yield _Found(name, value, f"--{name.replace('_', '-')}")


def _suggestion(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), setting_names(), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _line_of(name: str, text: str) -> int:
    pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(name)}["']?\s*[\].=]""")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("it must be a text that is not empty")
    return value.strip()


def _names(value: object) -> tuple[str, ...]:
    """A list of names; in the environment divided by commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)):
        raise ValueError('it must be a name or a list of names, e.g. ["handbook"]')
    return tuple(_text(part) for part in parts)


def _whole(low: int, high: int, *, also: int | None = None) -> Callable[[object], int]:
    def parse(value: object) -> int:
        try:
            number = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
        except ValueError:
            number = None
        if number is None or not (low <= number <= high or number == also):
            raise ValueError(f"it must be a whole number from {low} to {high}" + (f", or {also}" if also is not None else ""))
        return number

    return parse


def _choice(value: object) -> Choice:
    for choice in ("auto", "always", "never"):
        if value == choice:
            return choice
    raise ValueError("it must be 'auto', 'always' or 'never'")


def _quantization(value: object) -> Quantization:
    for choice in ("none", "int8", "nf4"):
        if value == choice:
            return choice
    raise ValueError("it must be 'none', 'int8' or 'nf4'")


def _temperature(value: object) -> float:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not 0 <= number <= 2:
        raise ValueError("it must be a number from 0 to 2")
    return number


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError("it must be true or false")


_PARSERS: Mapping[str, Callable[[object], object]] = {
    "index": _names,
    "model": _text,
    "server": _text,
    "quantization": _quantization,
    "adapter": _text,
    "max_tokens": _whole(1, 32_768),
    "context": _whole(256, 1_048_576),
    "temperature": _temperature,
    "embedder": _text,
    "top_k": _whole(1, 100),
    "color": _choice,
    "links": _choice,
    "width": _whole(20, 400, also=0),
    "history": _flag,
    "cache": _flag,
    "cache_days": _whole(1, 3_650),
    "cache_entries": _whole(100, 1_000_000),
}
