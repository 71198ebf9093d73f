"""A model's name → the folder with its files: a folder as it is, or a Hugging Face id, from the local cache or downloaded.

Only what a model needs is downloaded: configs, tokenizer and safetensors of the top folder. Nothing is sent but the name.
"""

import io
import re
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from assistant.errors import ModelError
from assistant.models.checkpoint import CONFIG, PICKLED, Checkpoint, conversion_command
from assistant.models.memory import gigabytes

WANTED = (".json", ".safetensors", ".model", ".jinja", ".txt")
"""What the files of a model end in; those in sub-folders are copies in other formats."""
REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
EVERY_S = 2.0
"""Seconds between two lines of progress."""
LONGEST_ID = 96
"""Characters; the Hub's own limit."""
TIMEOUT_S = 10.0
"""Seconds to wait for the Hub to say what a model consists of."""
Announce = Callable[[str], None]


def find_model(model: str, *, announce: Announce = lambda _: None) -> Checkpoint:
    """Find a model's files; download what is missing of a Hub model, unless HF_HUB_OFFLINE says not to.

    Raises:
        ModelError: there is no such model here, or it can't be downloaded: with the command that helps.
    """
    path = Path(model).expanduser()
    with suppress(OSError):  # a name too long, a folder that may not be looked into
        if model and path.is_dir():
            return Checkpoint(model, path.absolute())
        if path.is_file():
            raise ModelError(f"{model!r} is a file, not a model's folder", hint="give the folder that holds config.json")
    if not REPO_ID.fullmatch(model) or len(model) > LONGEST_ID or "--" in model or ".." in model:
        raise ModelError(f"there is no folder {model!r}", hint="--model takes a folder, or a Hugging Face id like org/name")
    cached = _cached(model)
    if cached and _is_whole(cached):
        return cached
    return _downloaded(model, cached, announce)


def find_local(model: str) -> Checkpoint | None:
    """A model that is whole on this machine, a folder or in the Hub's cache; None: it would have to be downloaded."""
    with suppress(OSError):
        if model and Path(model).expanduser().is_dir():
            return Checkpoint(model, Path(model).expanduser().absolute())
    cached = _cached(model) if REPO_ID.fullmatch(model) and len(model) <= LONGEST_ID and "--" not in model else None
    return cached if cached and _is_whole(cached) else None


def _cached(model: str) -> Checkpoint | None:
    from huggingface_hub import errors, try_to_load_from_cache

    try:
        config = try_to_load_from_cache(model, CONFIG)
    except errors.HFValidationError:  # the Hub's rules for names are more than ours
        return None
    return Checkpoint(model, Path(config).parent, repo=model) if isinstance(config, str) else None


def _is_whole(checkpoint: Checkpoint) -> bool:
    try:
        return bool(checkpoint.files)
    except ModelError:
        return False


def _downloaded(model: str, cached: Checkpoint | None, announce: Announce) -> Checkpoint:
    from huggingface_hub import errors

    command = f"hf download {model}"
    try:
        return _download(model, announce)
    except ModelError:
        raise
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{model!r} is gated: its owner gives it to those who accept its licence",
            hint=f"accept the licence on https://huggingface.co/{model}, then run `hf auth login` and `{command}`",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"there is no model {model!r} on the Hugging Face Hub, or you may not see it; nor is there a folder of that name",
            hint="check the spelling; for a private model run `hf auth login`",
        ) from error
    except errors.OfflineModeIsEnabled as error:
        if cached:
            _ = cached.files  # says what is missing of it
        raise ModelError(f"{model!r} is not on this machine, and HF_HUB_OFFLINE forbids to download it", hint=command) from error
    except Exception as error:  # no network, a fault of the server, a full disk: whichever HTTP client the hub has
        if cached:
            _ = cached.files  # says what is missing of it
        raise ModelError(
            f"{model!r} is not on this machine, and can't be had from the Hugging Face Hub now: {first_line(error)}", hint=command
        ) from error


def _download(model: str, announce: Announce) -> Checkpoint:
    from huggingface_hub import HfApi, constants, snapshot_download

    info = HfApi().model_info(model, files_metadata=True, timeout=TIMEOUT_S)
    files = {file.rfilename: file.size or 0 for file in info.siblings or []}
    wanted = {name: size for name, size in files.items() if "/" not in name and name.endswith(WANTED)}
    _refuse_useless(model, files)
    missing = {name: size for name, size in wanted.items() if _not_cached(model, name)}
    size = sum(missing.values())
    free = shutil.disk_usage(_existing(Path(constants.HF_HUB_CACHE))).free
    if size > free:
        raise ModelError(
            f"{model!r} takes {gigabytes(size)} and {gigabytes(free)} are free in {constants.HF_HUB_CACHE!r}",
            hint="free some space, or set HF_HOME to a folder on another disk",
        )
    announce(f"downloading {model}: {gigabytes(size)} (once)")
    folder = snapshot_download(model, allow_patterns=list(wanted), tqdm_class=_lines(model, size, announce), max_workers=4)
    return Checkpoint(model, Path(folder), repo=model)


def _refuse_useless(model: str, files: Iterable[str]) -> None:
    """Refuse a repository without safetensors before gigabytes of it are downloaded."""
    names = sorted(files)
    if any(name.endswith(".safetensors") and "/" not in name for name in names):
        return
    if any(name.endswith(".gguf") for name in names):
        raise ModelError(
            f"{model!r} has weights in llama.cpp's format only (.gguf)",
            hint=f"serve it with `llama-server -hf {model}`, and give --server http://127.0.0.1:8080/v1",
        )
    pickled = [name for name in names if Path(name).suffix in PICKLED]
    if pickled:
        raise ModelError(
            f"{model!r} has pickled weights only ({pickled[0]}); a pickle can run any program, so none is read",
            hint=conversion_command(model, model.rpartition("/")[2]),
        )
    raise ModelError(f"{model!r} holds no weights that can be read: no .safetensors", hint="name another model with --model")


def _not_cached(model: str, file: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return not isinstance(try_to_load_from_cache(model, file), str)


def _lines(model: str, size: int, announce: Announce) -> type[Any]:
    """A bar of tqdm's kind that draws nothing and says a line now and then, for all files together."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    said = {"done": 0.0, "at": time.monotonic()}

    class Lines(tqdm):  # type: ignore[misc] # tqdm ships no types
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **{**options, "file": io.StringIO(), "disable": False})

        def display(self, *_: Any, **__: Any) -> bool:
            now = time.monotonic()
            if self.unit == "B" and self.n > said["done"] and now - said["at"] >= EVERY_S:
                said.update(done=self.n, at=now)
                announce(f"downloading {model}: {gigabytes(min(self.n, size))} of {gigabytes(size)}")
            return True

    return Lines


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def first_line(error: Exception) -> str:
    """The first line that a foreign error says, or else its class."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
