"""Reading and writing the files of a run: whole or not at all, for their owner only, and a full disk said in plain words.

Knows nothing of what the files hold.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from finetune.errors import TrainingError
from indexes.errors import StorageFull
from indexes.private import private_folder


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter, and those above it that are missing.

    Raises:
        TrainingError: it can't be made.
    """
    try:
        private_folder(folder)
    except StorageFull as error:
        raise TrainingError(error.message, hint="name a folder that you may write to with --out") from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, readable for its owner only (0600); one that is there is replaced.

    Raises:
        TrainingError: the disk is full, or the folder can't be written to; the file is as before.
    """
    draft = path.with_name(f".{path.name}.draft")  # one name, so that a killed run leaves at most one behind
    with _writing(path):
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(path)
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)


def append_lines(path: Path, lines: bytes) -> None:
    """Write lines at the end of a file. A last line that a kill has torn is cut off first.

    Raises:
        TrainingError: the disk is full, or the file can't be written to; it is as before.
    """
    with _writing(path), os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as stream:
        end = _end_of_lines(stream.fileno())
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(stream.fileno(), rest) :]
        except OSError:
            os.ftruncate(stream.fileno(), end)
            raise


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file but for a last one that a kill has torn; none where there is no file.

    Raises:
        TrainingError: it can't be read.
    """
    return (read_file(path) or b"").split(b"\n")[:-1]


def read_file(path: Path) -> bytes | None:
    """What a file holds; None: there is none.

    Raises:
        TrainingError: it can't be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TrainingError(
            f"can't read {str(path)!r}: {error.strerror or error}",
            hint="mend the rights of that folder, or name another with --out",
        ) from error


def _end_of_lines(descriptor: int) -> int:
    """Go to where the next line begins, cutting off what follows the last line end; returns that place."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    if not end:
        return end
    os.lseek(descriptor, end - 1, os.SEEK_SET)
    if os.read(descriptor, 1) != b"\n":
        os.lseek(descriptor, 0, os.SEEK_SET)
        end = os.read(descriptor, end).rfind(b"\n") + 1
        os.ftruncate(descriptor, end)
    return os.lseek(descriptor, end, os.SEEK_SET)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"can't write {str(path)!r}: {error.strerror or error}",
            hint="free some space, or mend the rights of that folder; then run the same command with --resume",
        ) from error
