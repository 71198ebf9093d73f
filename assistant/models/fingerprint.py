"""What a model is, as a hash: of its weights, its tokenizer, its chat template. Reads files only, without torch.

A fingerprint of the weights samples each tensor: two trainings differ in nearly every number, so a few thousand bytes of each
matrix tell them apart, and 16 GB need not be read. It is the same however the weights are cut into files.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from assistant.errors import ModelError, StorageFull
from assistant.models.checkpoint import Checkpoint, Tensor
from assistant.models.families import choose_family
from indexes.private import private_folder

CACHE = "fingerprints.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt")
"""What a tokenizer consists of; where the first is there, it is all of it."""
WHOLE = 16_384
"""Bytes up to which a tensor is hashed whole."""
BLOCKS = 32
"""Blocks of a larger one that are hashed, evenly spread, its first and last bytes among them."""
BLOCK = 512


def base_fingerprint(checkpoint: Checkpoint, models: Path | None = None) -> str:
    """Hash a model's weights: sorted (name, shape, sampled bytes) of its tensors, as 64 hexadecimal digits.

    Args:
        checkpoint: the model.
        models: the folder that remembers fingerprints, ``$ASSISTANT_HOME/models``; None: remember nothing. What is remembered
            counts as long as the weights files keep their size and times.

    Raises:
        ModelError: the weights can't be read.
    """
    return remembered(checkpoint.files, models, lambda: hash_tensors(checkpoint))


def remembered(files: Sequence[Path], models: Path | None, compute: Callable[[], str]) -> str:
    """A hash of files that is computed once, and again when one of them has changed.

    Args:
        files: what is hashed; the first one's path is what the hash is remembered under.
        models: the folder that remembers; None: nowhere.
        compute: makes the hash.
    """
    stamp = [[file.name, *file_stamp(file)] for file in files]
    key = str(files[0].parent.resolve() / files[0].name)
    known = _json(models / CACHE) if models else {}
    entry = known.get(key)
    if isinstance(entry, dict) and entry.get("stamp") == stamp and isinstance(entry.get("hash"), str):
        return str(entry["hash"])
    found = compute()
    if models:
        _write(models, known | {key: {"stamp": stamp, "hash": found}})
    return found


def file_stamp(file: Path) -> list[int]:
    """What no change of a file's content leaves as it was: its time of change (ctime) can't be set back by a program."""
    stat = file.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def hash_tensors(checkpoint: Checkpoint) -> str:
    """Compute what `base_fingerprint` remembers. Cost: 50 ms for 8 billion parameters in warm files."""
    digest = hashlib.sha256()
    streams: dict[Path, int] = {}
    try:
        for tensor in checkpoint.tensors:
            if tensor.file not in streams:
                streams[tensor.file] = os.open(tensor.file, os.O_RDONLY)
            digest.update(json.dumps([tensor.name, tensor.shape]).encode())
            for start, length in sampled(tensor):
                digest.update(os.pread(streams[tensor.file], length, start))
    except OSError as error:
        raise ModelError(f"can't read the weights of {checkpoint.name!r}: {error.strerror}", hint=checkpoint.mend()) from error
    finally:
        for stream in streams.values():
            os.close(stream)
    return digest.hexdigest()


def sampled(tensor: Tensor) -> list[tuple[int, int]]:
    """Where in its file a tensor is sampled: (start, length) of each block."""
    size = tensor.end - tensor.start
    if size <= WHOLE:
        return [(tensor.start, size)]
    return [(tensor.start + at * (size - BLOCK) // (BLOCKS - 1), BLOCK) for at in range(BLOCKS)]


def tokenizer_hash(folder: Path, models: Path | None = None) -> str:
    """Hash what a folder's tokenizer does with a text; how its file is laid out doesn't matter.

    Args:
        folder: the model's.
        models: as for `base_fingerprint`: 17 MB of Llama 3's vocabulary take most of a second to read.

    Raises:
        ModelError: there is no tokenizer.
    """
    files = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    if not files:
        raise ModelError(f"{str(folder)!r} holds no tokenizer", hint=f"copy the model's tokenizer.json into {str(folder)!r}")
    return remembered(files, models, lambda: _hash_tokenizer(files))


def _hash_tokenizer(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    content = _json(files[0]) if files[0].name == TOKENIZER_FILES[0] else {}
    for key in sorted(set(content) - {"truncation", "padding", "version"}):
        digest.update(json.dumps([key, content[key]]).encode())
    for file in [] if content else files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def template_hash(folder: Path, *, name: str = "") -> str:
    """Hash the chat template that a folder's model is prompted by: its own, or that of its family."""
    template = read_template(folder)
    if template is None:
        model_type = str(_json(folder / "config.json").get("model_type", ""))
        template = choose_family(model_type, _added_tokens(folder), None, name=name or str(folder)).template
    return hashlib.sha256(template.encode()).hexdigest()


def read_template(folder: Path) -> str | None:
    """The chat template that lies in a model's folder; None: it has none."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    template = _json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(template, list):  # several, by name
        template = {str(one.get("name")): one.get("template") for one in template if isinstance(one, dict)}.get("default")
    return template if isinstance(template, str) else None


def _added_tokens(folder: Path) -> set[str]:
    listed = _json(folder / "tokenizer.json").get("added_tokens") or []
    decoder = _json(folder / "tokenizer_config.json").get("added_tokens_decoder") or {}
    found = [*listed, *decoder.values()]
    return {str(token.get("content")) for token in found if isinstance(token, dict)}


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(models: Path, entries: dict[str, Any]) -> None:
    """Remember hashes, for their owner alone; two writers at once lose an entry, never the file.

    What can't be remembered, on a full disk or in a folder that may not be written to, is computed again the next time.
    """
    with suppress(OSError, StorageFull):
        private_folder(models)
        descriptor, draft = tempfile.mkstemp(dir=models, prefix=CACHE)  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(json.dumps(entries, indent=1).encode())
            Path(draft).replace(models / CACHE)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
