"""One writer at a time, and a name for who it is."""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from indexes.errors import IndexLocked, StorageFull
from indexes.private import private_folder


@contextlib.contextmanager
def writer_lock(folder: Path, *, wait_s: float) -> Iterator[None]:
    """Hold an index's write lock. The system frees it when the process ends, however it ends.

    Raises:
        IndexLocked: another process still holds it after ``wait_s`` seconds.
        StorageFull: the folder can't be written.
    """
    private_folder(folder)
    lock = FileLock(folder / "write.lock", timeout=wait_s)
    try:
        lock.acquire()
    except Timeout as error:
        raise IndexLocked(
            f"the index {folder.name!r} is being written by {_holder(folder)}",
            hint="wait until it is done, or stop that process, then run the same command again",
        ) from error
    except OSError as error:
        raise StorageFull(
            f"can't write into the index folder {str(folder)!r}: {error.strerror or error}",
            hint="mend the folder's rights, or set ASSISTANT_HOME to a folder you may write to",
        ) from error
    try:
        with contextlib.suppress(OSError):  # only a courtesy to who waits: a full disk is reported where it matters
            (folder / "writer.json").write_text(json.dumps({"pid": os.getpid(), "since": time.time()}), encoding="utf-8")
        yield
    finally:
        (folder / "writer.json").unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    try:
        facts = json.loads((folder / "writer.json").read_text(encoding="utf-8"))
        since = time.strftime("%H:%M:%S", time.localtime(facts["since"]))
        return f"process {int(facts['pid'])} since {since}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
