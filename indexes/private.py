"""Folders that only their owner may enter, and files that only they may read."""

import os
from pathlib import Path

from indexes.errors import StorageFull


def private_folder(path: Path) -> Path:
    """Make a folder (and those above it) with mode 0700 where it is missing.

    Raises:
        StorageFull: it can't be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFull(
            f"can't make the folder {str(path)!r}: {error.strerror}",
            hint="set ASSISTANT_HOME to a folder you may write to",
        ) from error
    return path


def private_umask() -> None:
    """From here on every file that this process makes is its owner's alone (0600, folders 0700)."""
    os.umask(0o077)
