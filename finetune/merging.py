"""An adapter and its base → one model that needs no adapter: on a base in full precision, and only if it computes the same.

On a 4-bit base the sum would be rounded to 4 bits again, and what was learned lost: the base is read in float32 whatever the
adapter was trained on.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from assistant.adapters.manifest import read_manifest, weights_hash
from assistant.errors import ModelError
from assistant.models.loading import Loaded, Request, load
from assistant.models.quiet import quiet
from finetune.errors import TrainingError

CLOSE = 1e-3
"""Logits of the merged model may be off by so much, as a share of their spread: sums are rounded in another order."""


def merge(folder: Path, out: Path, *, base: str | None = None, announce: Callable[[str], None] = lambda _: None) -> float:
    """Merge an adapter into its base and save the whole model.

    Args:
        folder: the adapter's.
        out: the model's folder; must be empty.
        base: where the base lies now; None: where it lay when the adapter was trained.
        announce: told what goes on.

    Returns:
        By how much logits differ at most between base with adapter and merged model.

    Raises:
        ModelError: it isn't an adapter that writes, its weights aren't what they were, or the base is another.
        TrainingError: the merged model computes something else, or the folder is in use.
    """
    manifest = read_manifest(folder)
    if manifest.role == "reward":
        raise ModelError(
            f"{str(folder)!r} scores answers: there is no whole model to make of it",
            hint="finetune merge takes an adapter that writes",
        )
    if weights_hash(folder) != manifest.weights_hash:
        raise ModelError(
            f"the weights in {str(folder)!r} are not those that its manifest names", hint="take a whole copy of the folder"
        )
    if out.exists() and any(out.iterdir()):
        raise TrainingError(f"{str(out)!r} isn't empty", hint="name another folder with --out")
    loaded = load(base or manifest.base.id, Request(dtype="fp32", device="cpu"), announce=announce)
    if loaded.fingerprint != manifest.base.fingerprint:
        raise ModelError(
            f"{str(folder)!r} was trained on {manifest.base.id!r}, and the weights of {loaded.name!r} are others",
            hint=f"--base {manifest.base.id}",
        )
    with quiet():
        return _merge(loaded, folder, out, manifest.canary.ids)


def _merge(loaded: Loaded, folder: Path, out: Path, probe: tuple[int, ...]) -> float:
    from peft import PeftModel

    model = PeftModel.from_pretrained(loaded.model, folder).eval()
    ids = torch.tensor([list(probe)])
    with torch.inference_mode():
        apart = model(input_ids=ids).logits
        merged = model.merge_and_unload()
        off = float((merged(input_ids=ids).logits - apart).abs().max())
    if off > CLOSE * max(float(apart.std()), 1e-6):
        raise TrainingError(f"the merged model's logits are off by {off:.3g}", hint="keep the adapter apart: --adapter")
    try:
        out.mkdir(parents=True, exist_ok=True)
        merged.save_pretrained(out)
        loaded.tokenizer.save_pretrained(out)
    except OSError as error:
        shutil.rmtree(out, ignore_errors=True)
        raise TrainingError(
            f"the model couldn't be written to {str(out)!r}: {error.strerror or error}", hint="free some disk"
        ) from error
    return off
