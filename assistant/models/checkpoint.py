"""A model's folder as its files say: config, weights, the header of every tensor. Reads them without torch or transformers.

Only safetensors count as weights: a pickle is a program. Whatever is missing, cut off or something else than its name says is
found here, before anything heavy is loaded, and named with the command that mends it.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from assistant.errors import ModelError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
LFS_POINTER = b"version https://git-lfs"
MAX_HEADER = 100_000_000
"""Bytes; the format's own limit."""
SIZES = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 1),
}
"""Bytes of one element, by the name that safetensors gives its type."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a weights file.

    Attributes:
        start, end: its bytes in the file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    end: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        product = 1
        for side in self.shape:
            product *= side
        return product


@dataclass(frozen=True)
class Checkpoint:
    """A model's folder, and the name it goes by.

    Attributes:
        name: as the user gave it.
        folder: where its files lie.
        repo: its id on the Hugging Face Hub, when it came from there.
    """

    name: str
    folder: Path
    repo: str | None = None

    @cached_property
    def config(self) -> dict[str, Any]:
        """What ``config.json`` says.

        Raises:
            ModelError: there is none, or it isn't a config.
        """
        return self._json(CONFIG)

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor of the weights, sorted by name.

        Raises:
            ModelError: there are no safetensors, or one of them is missing, cut off or not a safetensors file.
        """
        found = [tensor for file in self.files for tensor in self._header(file)]
        return tuple(sorted(found, key=lambda tensor: tensor.name))

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The weights files.

        Raises:
            ModelError: there are no safetensors, or one is missing.
        """
        if (self.folder / WEIGHTS).is_file():
            return (self.folder / WEIGHTS,)
        if (self.folder / INDEX).is_file():
            return self._shards()
        raise self._without_weights()

    @property
    def size(self) -> int:
        """Bytes of the weights files."""
        return sum(file.stat().st_size for file in self.files)

    def check(self) -> None:
        """Read every file that loading needs, so far as can be done without loading.

        Raises:
            ModelError: something is missing, damaged, or can't be used here.
        """
        if (self.folder / ADAPTER_CONFIG).is_file():
            raise ModelError(
                f"{self.name!r} is an adapter, not a model: it holds {ADAPTER_CONFIG}",
                hint=f"assistant adapters add {str(self.folder)!r}, and name its base model with --model",
            )
        if not (self.folder / CONFIG).is_file() and not self._has_weights():
            raise self._without_weights()
        _ = self.config, self.tensors

    def mend(self, *files: str) -> str:
        """The command that fetches files again."""
        if self.repo:
            return f"hf download {self.repo} {' '.join(files)} --force-download"
        return f"copy {' and '.join(files)} into {str(self.folder)!r} again"

    def _has_weights(self) -> bool:
        return (self.folder / WEIGHTS).is_file() or (self.folder / INDEX).is_file()

    def _json(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        try:
            raw = path.read_bytes()
            content = json.loads(raw)
        except OSError as error:
            raise ModelError(f"{self.name!r} has no {name}: {error.strerror}", hint=self.mend(name)) from error
        except ValueError as error:
            what = _what_is(raw) or f"not JSON ({error})"
            raise ModelError(f"{str(path)!r} is {what}", hint=self.mend(name)) from error
        if not isinstance(content, dict):
            raise ModelError(f"{str(path)!r} holds {type(content).__name__}, not an object", hint=self.mend(name))
        return content

    def _shards(self) -> tuple[Path, ...]:
        weight_map = self._json(INDEX).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise ModelError(f"{str(self.folder / INDEX)!r} names no weights", hint=self.mend(INDEX))
        names = sorted({str(name) for name in weight_map.values()})
        outside = [name for name in names if Path(name).name != name]
        if outside:
            raise ModelError(f"{INDEX} points outside its folder: {outside[0]!r}", hint=self.mend(INDEX))
        missing = [name for name in names if not (self.folder / name).is_file()]
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            command = f"hf download {self.repo}" if self.repo else self.mend(*missing)
            raise ModelError(f"{self.name!r} is half there: {missing[0]} is missing{more}, of {len(names)} files", hint=command)
        self._check_complete(weight_map, [self.folder / name for name in names])
        return tuple(self.folder / name for name in names)

    def _check_complete(self, weight_map: dict[str, str], files: Sequence[Path]) -> None:
        held = {(tensor.name, file.name) for file in files for tensor in self._header(file)}
        strays = [name for name, file in weight_map.items() if (name, file) not in held]
        if strays:
            file = weight_map[strays[0]]
            raise ModelError(f"{file!r} lacks the tensor {strays[0]!r} that {INDEX} puts there", hint=self.mend(file, INDEX))

    def _without_weights(self) -> ModelError:
        try:
            names = sorted(path.name for path in self.folder.iterdir() if path.is_file())
        except OSError as error:
            return ModelError(f"can't read the folder {str(self.folder)!r}: {error.strerror}", hint="name a folder you may read")
        gguf = [name for name in names if name.endswith(".gguf")]
        if gguf:
            return ModelError(
                f"{self.name!r} holds {gguf[0]}, which is llama.cpp's format",
                hint=f"serve it with `llama-server -m {self.folder / gguf[0]}`, and give --server http://127.0.0.1:8080/v1",
            )
        pickled = [name for name in names if Path(name).suffix in PICKLED]
        if pickled:
            return ModelError(
                f"{self.name!r} has pickled weights only ({pickled[0]}); a pickle can run any program, so none is read",
                hint=conversion_command(str(self.folder), str(self.folder)),
            )
        command = f"hf download {self.repo}" if self.repo else "give a folder that holds config.json and model.safetensors"
        return ModelError(f"{self.name!r} holds no weights: no {WEIGHTS} and no {INDEX}", hint=command)

    def _header(self, file: Path) -> list[Tensor]:
        return read_header(file, hint=self.mend(file.name))


def read_header(file: Path, *, hint: str) -> list[Tensor]:
    """The tensors of one safetensors file, whose size must be what its header says.

    Args:
        file: the file.
        hint: what mends it.

    Raises:
        ModelError: it can't be read, is cut off, or is something else.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            head = stream.read(8)
            length = struct.unpack("<Q", head)[0] if len(head) == 8 else MAX_HEADER + 1
            raw = stream.read(length if length <= MAX_HEADER else len(LFS_POINTER))
    except OSError as error:
        raise ModelError(f"can't read {str(file)!r}: {error.strerror}", hint=hint) from error
    what = _what_is(head + raw)
    if what is None and length > MAX_HEADER:
        what = "empty" if not size else "not a safetensors file"
    if what is None and len(raw) < length:
        what = "cut off inside its header"
    if what:
        raise ModelError(f"{str(file)!r} is {what}", hint=hint)
    tensors = _parsed(file, raw, hint)
    expected = max((tensor.end for tensor in tensors), default=8 + length)
    if size != expected:
        raise ModelError(f"{str(file)!r} is damaged: {size:,} bytes, and its header says {expected:,}", hint=hint)
    return tensors


def _parsed(file: Path, raw: bytes, hint: str) -> list[Tensor]:
    tensors = []
    try:
        for name, entry in json.loads(raw).items():
            if name != "__metadata__":
                start, end = (8 + len(raw) + int(offset) for offset in entry["data_offsets"])
                if not 8 + len(raw) <= start <= end:
                    raise ValueError(f"{name!r} lies at {entry['data_offsets']}")
                tensors.append(Tensor(name, entry["dtype"], tuple(map(int, entry["shape"])), file, start, end))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{str(file)!r} has a damaged header: {error}", hint=hint) from error
    odd = [one for one in tensors if one.dtype in SIZES and one.end - one.start != one.elements * SIZES[one.dtype]]
    if odd:
        raise ModelError(f"{str(file)!r} is damaged: the bytes of {odd[0].name!r} don't fit its shape", hint=hint)
    return tensors


def conversion_command(source: str, target: str) -> str:
    """The command that makes safetensors of pickled weights; torch is told to read nothing but tensors from them."""
    code = (
        "from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; "
        f"M.from_pretrained({source!r}, use_safetensors=False, weights_only=True).save_pretrained({target!r}); "
        f"T.from_pretrained({source!r}).save_pretrained({target!r})"
    )
    return f'python -c "{code}"'


def _what_is(head: bytes) -> str | None:
    """What a file is that begins so, if it is a thing people find in the place of their download."""
    if head.startswith(LFS_POINTER):
        return "a Git LFS pointer, not the file itself (git lfs pull)"
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, not the file itself"
    return None
