"""The files of an adapter's folder: none of them leads out of it, none of them is a program, all are small but the weights.

A folder may come from anywhere. What a link in it points to could be any file of whoever adds it, so it isn't followed outside.
"""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assistant.adapters import strict_json
from assistant.adapters.manifest import CONFIG, FILE, HEAD, WEIGHTS
from assistant.errors import ModelError
from assistant.models.fingerprint import file_stamp

GATE = "gate.json"
"""What ``assistant eval`` found out about an adapter."""
GATE_SCHEMA = 1
VERDICTS = ("passed", "failed", "undecided")
TOKENIZER = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
OURS = (CONFIG, WEIGHTS, HEAD, FILE, GATE)


def files_of(folder: Path) -> dict[str, Path]:
    """The files of an adapter that are there, each by its name with the place where it really lies.

    Raises:
        ModelError: there is no such folder, or a file leads out of it, or is no file.
    """
    _check_folder(folder)
    inside, found = folder.resolve(), {}
    for name in (*OURS, *TOKENIZER):
        path = folder / name
        try:
            if not path.exists() and not path.is_symlink():
                continue
            real = path.resolve(strict=True)
            regular = stat.S_ISREG(real.stat().st_mode)
        except (OSError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or error
            raise ModelError(f"can't read {str(path)!r}: {why}", hint=_WHOLE) from error
        if not real.is_relative_to(inside):
            raise ModelError(f"{str(path)!r} leads out of its folder, to {str(real)!r}", hint=_COPY.format(folder))
        if not regular:
            raise ModelError(f"{str(path)!r} is no regular file", hint=_WHOLE)
        found[name] = real
    return found


def _check_folder(folder: Path) -> None:
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        what = {FileNotFoundError: "there is no folder", NotADirectoryError: "that is a file, not a folder:"}.get(type(error))
        said = f"{what} {str(folder)!r}" if what else f"can't read the folder {str(folder)!r}: {error.strerror}"
        raise ModelError(said, hint=f"give a folder that you may read, with {CONFIG} in it") from error


_WHOLE = "take a whole copy of the folder"
_COPY = "if you trust it, make a copy with what its links lead to, and add that: cp -rL {0} {0}-whole"


def read_config(folder: Path) -> dict[str, Any]:
    """What PEFT wrote of an adapter.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(
            f"{str(folder)!r} holds no {CONFIG}: it is no adapter", hint="give a folder that finetune or peft has written"
        )
    content, why = None, "it is no JSON object"
    try:
        content = strict_json.load(path)
    except strict_json.NoNumberError as error:
        why = str(error)
    except (OSError, ValueError, RecursionError):
        pass
    if not isinstance(content, dict):
        raise ModelError(f"{str(path)!r} is damaged: {why}", hint=_WHOLE)
    return content


def read_gate(folder: Path, weights: str, settings: str) -> Mapping[str, Any] | None:
    """What the gate said of these very weights and settings; None: nothing, or nothing that can be read.

    Args:
        folder: the adapter's.
        weights: their hash.
        settings: theirs. A gate that names none spoke before they were bound.
    """
    said = read_json(folder / GATE) if (folder / GATE).is_file() else None
    if said is None or said.get("schema") != GATE_SCHEMA or said.get("verdict") not in VERDICTS:
        return None
    bound = said.get("weights_hash") == weights and said.get("settings_hash") in (None, settings)
    return said if bound else None


def read_json(path: Path) -> dict[str, Any] | None:
    """A file's JSON object; None: it isn't one."""
    try:
        content = strict_json.load(path)
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def stamp_of(folder: Path) -> tuple[int, ...]:
    """What no change of an adapter's weights or settings leaves as it was; empty: they are gone."""
    try:
        return (*file_stamp(folder / WEIGHTS), *file_stamp(folder / CONFIG))
    except OSError:
        return ()
