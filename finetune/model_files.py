"""A base's name → the folder with its small files: config and tokenizer, never its weights.

What is planned or measured before a training needs no gigabytes: so these files alone are fetched from the Hugging Face Hub.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from assistant.errors import ModelError
from assistant.models.checkpoint import CONFIG, Checkpoint
from assistant.models.hub import LONGEST_ID, REPO_ID, first_line

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    CONFIG,
)


def find_files(base: str, wanted: Sequence[str]) -> Checkpoint:
    """Find the folder of a base that holds some of its small files; fetch them of a Hub model that isn't here.

    Args:
        base: a folder, or a Hugging Face id.
        wanted: file names, the most important first. A folder is taken as it is, whatever it holds.

    Raises:
        ModelError: there is no such folder, and the files can't be had from the Hub.
    """
    path = Path(base).expanduser()
    with suppress(OSError):  # a name too long, a folder that may not be looked into
        if base and path.is_dir():
            return Checkpoint(base, path.absolute())
        if path.is_file():
            raise ModelError(f"{base!r} is a file, not a model's folder", hint=f"give its folder: --base {str(path.parent)!r}")
    if not REPO_ID.fullmatch(base) or len(base) > LONGEST_ID or "--" in base or ".." in base:
        raise ModelError(f"there is no folder {base!r}", hint="--base takes a folder, or a Hugging Face id like org/name")
    return _cached(base, wanted) or _fetched(base, wanted)


def _cached(base: str, wanted: Sequence[str]) -> Checkpoint | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(base, wanted[0])
    return Checkpoint(base, Path(found).parent, repo=base) if isinstance(found, str) else None


def _fetched(base: str, wanted: Sequence[str]) -> Checkpoint:
    from huggingface_hub import errors, snapshot_download

    command = f"hf download {base} {' '.join(wanted)}"
    try:
        return Checkpoint(base, Path(snapshot_download(base, allow_patterns=list(wanted))), repo=base)
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{base!r} is gated: its owner gives it to those who accept its licence",
            hint=f"accept the licence on https://huggingface.co/{base}, then run `hf auth login` and `{command}`",
        ) from error
    except Exception as error:  # no network, offline by setting, no such repository: whichever HTTP client the hub has
        raise ModelError(
            f"{base!r} is no folder, and can't be had from the Hugging Face Hub now: {first_line(error)}", hint=command
        ) from error
