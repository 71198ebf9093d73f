"""Folders that only their owner may enter."""

from pathlib import Path

from indexes.errors import StorageFull


def private_folder(path: Path) -> Path:
    """Make a folder, and those above it that are missing, with mode 0700.

    Raises:
        StorageFull: it can't be made.
    """
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(exist_ok=True)  # raises where it is a file
    except OSError as error:
        raise StorageFull(
            f"can't make the folder {str(path)!r}: {error.strerror}",
            hint="set ASSISTANT_HOME to a folder you may write to",
        ) from error
    return path
