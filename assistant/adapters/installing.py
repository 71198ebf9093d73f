"""How a folder comes into ``$ASSISTANT_HOME/adapters`` and leaves it: whole or not at all, whatever ends it.

A folder is written beside the others under a name that nobody reads, and renamed. What a killed process has left is swept up
by the next one that changes something.
"""

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path

from assistant.adapters.selection import NAME
from assistant.errors import ModelError, StorageFull
from indexes.private import private_folder

RECORD = "installed.json"
"""What is known of how an adapter was added."""
DRAFT, OLD, GONE = ".new-", ".old-", ".gone-"
TAG = 8
"""Hexadecimal digits that tell old folders of one name apart."""
WAIT_S = 120.0
"""How long another process's copying is waited for."""


def names(home: Path) -> list[str]:
    """Names of all adapters, sorted, from the folder alone."""
    try:
        return sorted(path.name for path in (home / "adapters").iterdir() if NAME.fullmatch(path.name) and path.is_dir())
    except OSError:
        return []


@contextmanager
def changing(home: Path) -> Iterator[Path]:
    """Hold the right to change the adapters of a home; yields their folder, swept.

    Raises:
        ModelError: another process holds it for too long.
        StorageFull: the folder can't be written, or the disk is full.
    """
    from filelock import FileLock, Timeout

    adapters = private_folder(home / "adapters")
    with _faults(adapters):
        lock = FileLock(adapters / ".lock", timeout=WAIT_S)
        try:
            lock.acquire()
        except Timeout as error:
            raise ModelError(
                f"another process has been changing the adapters in {str(adapters)!r} for {WAIT_S:.0f} s",
                hint="wait until it is done, then run the same command again",
            ) from error
        try:
            _sweep(adapters)
            yield adapters
        finally:
            lock.release()


def write_draft(adapters: Path, files: Mapping[str, Path], record: Mapping[str, object]) -> Path:
    """Copy files into a new folder that isn't visible yet, and have the system write them down.

    Raises:
        ModelError: one can't be read.
        OSError: one can't be written.
    """
    draft = Path(tempfile.mkdtemp(dir=adapters, prefix=DRAFT))  # mode 0700
    try:
        for name, source in files.items():
            _copy(source, draft / name)
        _write(draft / RECORD, json.dumps(record, indent=1).encode())
        _sync(draft)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return draft


def put(draft: Path, place: Path) -> None:
    """Let a draft take its place, and what was there go."""
    aside = place.with_name(f"{OLD}{secrets.token_hex(TAG // 2)}-{place.name}")
    had = place.exists()
    try:
        if had:
            place.rename(aside)
        draft.rename(place)
    except BaseException:
        if aside.exists() and not place.exists():
            aside.rename(place)
        shutil.rmtree(draft, ignore_errors=True)
        raise
    _sync(place.parent)
    shutil.rmtree(aside, ignore_errors=True)


def take_away(place: Path) -> None:
    """Delete a folder: for all others it is gone at once."""
    gone = place.with_name(f"{GONE}{secrets.token_hex(TAG // 2)}")
    place.rename(gone)
    _sync(place.parent)
    shutil.rmtree(gone, ignore_errors=True)


def is_between(adapters: Path, name: str) -> bool:
    """Whether a folder was moved aside and its successor isn't there: it is being replaced, or whoever did it was killed."""
    return any(_name_of(path) == name for path in adapters.glob(f"{OLD}*"))


def _name_of(old: Path) -> str:
    return old.name[len(OLD) + TAG + 1 :]


def _sweep(adapters: Path) -> None:
    """Finish what a killed process has begun: nothing of a draft stays, and what was moved aside comes back."""
    for old in adapters.glob(f"{OLD}*"):
        if (adapters / _name_of(old)).exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(adapters / _name_of(old))
    for prefix in (DRAFT, GONE):
        for left in adapters.glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    try:
        stream = source.open("rb")
    except OSError as error:
        raise ModelError(f"can't read {str(source)!r}: {error.strerror}", hint="mend the rights of that file") from error
    with stream, _new(target) as copy:
        shutil.copyfileobj(stream, copy, 1 << 20)
        copy.flush()
        os.fsync(copy.fileno())


def _write(target: Path, content: bytes) -> None:
    with _new(target) as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _new(target: Path) -> BufferedWriter:
    return os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync(folder: Path) -> None:
    with suppress(OSError):  # not every file system can
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _faults(adapters: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageFull(
            f"can't write into {str(adapters)!r}: {error.strerror or error}",
            hint="free some space or mend the folder's rights, then run the same command again",
        ) from error
