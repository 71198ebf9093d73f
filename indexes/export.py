"""Export an embedding model to ONNX: once per model, in a process of its own, so that no other ever loads torch.

``python -m indexes.export MODEL FOLDER`` writes ``<hash>.onnx``, ``<hash>.tokenizer.json`` and ``<hash>.json``, the last one
last: where it lies, the model is whole. ``ensure_exported`` runs that under a lock and remembers which model has which hash.
"""

import errno
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from indexes.embedding import OnnxEmbedder, hash_weights, model_folder
from indexes.errors import StorageFull, UsageError
from indexes.private import private_folder

SUFFIXES = (".onnx", ".tokenizer.json", ".json")
"""The files of an exported model; the facts last: they say that the rest is there."""
PARITY = 0.9999
"""Least cosine between an exported model's vectors and sentence-transformers'; below it the export is refused."""
PARITY_TEXTS = (
    "a",
    "What is the capital of France?",
    "Passages are split on structure, never over the limit of the model. " * 4,
    "tokens " * 600,
)


def load_embedder(
    model_id: str, models: Path, *, announce: Callable[[str], None] = lambda _: None, threads: int | None = None
) -> OnnxEmbedder:
    """Open a model for embedding; export it first where that was not done yet.

    Args:
        model_id: ``all-MiniLM-L6-v2`` (installed), a folder, or a Hugging Face id.
        models: the folder of exported models, made when missing.
        announce: told before an export starts, because that takes some seconds.
        threads: see ``OnnxEmbedder``.
    """
    weights_hash = ensure_exported(model_id, models, announce=announce)
    try:
        return OnnxEmbedder(models, weights_hash, threads=threads)
    except Exception as error:  # noqa: BLE001 - whatever ONNX Runtime or the tokenizer raise on a damaged file: make it again
        announce(f"the exported embedding model is damaged ({type(error).__name__})")
        for suffix in SUFFIXES:
            (models / f"{weights_hash}{suffix}").unlink(missing_ok=True)
    return OnnxEmbedder(models, ensure_exported(model_id, models, announce=announce), threads=threads)


def ensure_exported(model_id: str, models: Path, *, announce: Callable[[str], None] = lambda _: None) -> str:
    """Return the weights' hash of a model whose export lies in ``models``; make the export where it is missing.

    Raises:
        UsageError: the model can't be found, loaded or exported.
        StorageFull: the folder can't be written.
    """
    private_folder(models)
    known = models / "known.json"
    weights_hash = _known_hash(model_id, known)
    if weights_hash and _is_whole(models, weights_hash):
        return weights_hash
    try:
        with FileLock(models / "export.lock"):
            weights_hash = _known_hash(model_id, known)  # another process may have made it meanwhile
            if weights_hash and _is_whole(models, weights_hash):
                return weights_hash
            announce(f"exporting the embedding model {model_id} (once, some seconds)")
            weights_hash = _export_in_subprocess(model_id, models)
            _remember(model_id, weights_hash, known)
    except OSError as error:
        raise StorageFull(
            f"can't write the exported model into {str(models)!r}: {error.strerror or error}",
            hint="free some space, or set ASSISTANT_HOME to a folder you may write to",
        ) from error
    return weights_hash


def _is_whole(models: Path, weights_hash: str) -> bool:
    return all((models / f"{weights_hash}{suffix}").is_file() for suffix in SUFFIXES)


def _export_in_subprocess(model_id: str, models: Path) -> str:
    done = subprocess.run(  # noqa: S603 - starts this very interpreter on this very module
        [sys.executable, "-m", "indexes.export", model_id, str(models)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        if os.strerror(errno.ENOSPC) in done.stderr:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise UsageError(
            f"can't export the embedding model {model_id!r}: {lines[-1] if lines else f'exit {done.returncode}'}",
            hint="name a sentence-transformers model with safetensors weights that is on this machine, "
            "e.g. --embedder all-MiniLM-L6-v2",
        )
    return done.stdout.split()[-1]


def _stamp(folder: Path | None) -> list[list[str | int]] | None:
    """Names, sizes and times of a model's weights: while they are the same, so is their hash."""
    if folder is None:
        return None
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in sorted(folder.glob("*.safetensors"))]


def _known_hash(model_id: str, known: Path) -> str | None:
    try:
        entry = json.loads(known.read_text(encoding="utf-8"))[model_id]
        weights_hash, stamp = str(entry["hash"]), entry["stamp"]
    except (OSError, ValueError, KeyError, TypeError):  # missing, or not what this module writes
        return None
    return weights_hash if stamp == _stamp(model_folder(model_id)) else None


def _remember(model_id: str, weights_hash: str, known: Path) -> None:
    try:
        entries = json.loads(known.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        entries = {}
    entries = entries if isinstance(entries, dict) else {}
    entries[model_id] = {"hash": weights_hash, "stamp": _stamp(model_folder(model_id))}
    _write_atomically(known, json.dumps(entries, indent=1).encode())


def _write_atomically(path: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as stream:
        stream.write(data)
    Path(stream.name).replace(path)


def export(model_id: str, models: Path) -> str:
    """Export a model into ``models`` and return its weights' hash. Loads torch: call it in a process of its own."""
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(model_folder(model_id) or model_id), device="cpu", trust_remote_code=False)
    weights_hash = hash_weights(model_folder(model_id) or _downloaded(model_id))
    tokenizer = model.tokenizer
    facts = {
        "model_id": model_id,
        "weights_hash": weights_hash,
        "dimension": model.get_sentence_embedding_dimension(),
        "max_tokens": model.max_seq_length,
        "special_tokens": tokenizer.num_special_tokens_to_add(),
        "pad_id": tokenizer.pad_token_id or 0,
    }

    class Embedding(torch.nn.Module):
        """Ids and mask → unit vectors, pooling and normalisation inside the graph."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            features = self.model({"input_ids": input_ids, "attention_mask": attention_mask})
            return torch.nn.functional.normalize(features["sentence_embedding"], dim=1)  # (n, d)

    with tempfile.TemporaryDirectory(dir=models) as folder:
        draft = Path(folder)
        _trace(Embedding().eval(), tokenizer, draft / f"{weights_hash}.onnx")
        tokenizer.backend_tokenizer.save(str(draft / f"{weights_hash}.tokenizer.json"))
        (draft / f"{weights_hash}.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
        _check_parity(model, OnnxEmbedder(draft, weights_hash))
        for suffix in SUFFIXES:
            (draft / f"{weights_hash}{suffix}").replace(models / f"{weights_hash}{suffix}")
    return weights_hash


def _trace(module: Any, tokenizer: Any, target: Path) -> None:
    import torch

    sample = tokenizer(["one text", "another text, somewhat longer than the first"], padding=True, return_tensors="pt")
    torch.onnx.export(
        module,
        (sample["input_ids"], sample["attention_mask"]),
        str(target),
        input_names=["input_ids", "attention_mask"],
        output_names=["embedding"],
        dynamic_axes={"input_ids": {0: "n", 1: "t"}, "attention_mask": {0: "n", 1: "t"}, "embedding": {0: "n"}},
        opset_version=17,
        dynamo=False,  # the tracing exporter: 2 s, and it needs no package beyond onnx
    )


def _check_parity(model: Any, exported: OnnxEmbedder) -> None:
    expected = model.encode(list(PARITY_TEXTS), normalize_embeddings=True, show_progress_bar=False)  # (n, d)
    cosines = (expected * exported.embed(PARITY_TEXTS)).sum(axis=1)  # (n,)
    if cosines.min() < PARITY:
        raise RuntimeError(f"the exported model's vectors differ: least cosine {cosines.min():.5f}, allowed {PARITY}")


def _downloaded(model_id: str) -> Path:
    """The folder into which sentence-transformers has put a hub model."""
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(model_id, local_files_only=True))


if __name__ == "__main__":
    import warnings

    warnings.filterwarnings("ignore")
    print(export(sys.argv[1], Path(sys.argv[2])))  # noqa: T201 - the parent process reads it
