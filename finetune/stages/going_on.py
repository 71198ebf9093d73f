"""Several trainings in one folder: who may write there, what is done, and a training that is begun or gone on with.

Shared by pipelines and self-rewarding. It knows single adapter folders, not what they are made of.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from assistant.adapters.manifest import FILE
from assistant.models.quiet import quiet
from finetune.config import TrainingConfig
from finetune.errors import TrainingError
from finetune.run_folder.records import RESULT, RUN
from finetune.run_folder.report import REPORT

LOCK = ".lock"
Announce = Callable[[str], None]


def train_on(config: TrainingConfig, *, announce: Announce, command: Sequence[str]) -> int | None:
    """Train an adapter, or go on where it was stopped; returns the step at which it was interrupted, None where it wasn't.

    Raises:
        UserError: as the training did.
    """
    with quiet():  # the libraries beneath have things to say as they are imported
        from assistant.models.hardware import give_back_freed
        from finetune.train import train

    try:
        trained, manifest = train(config, resume=has_begun(Path(config.out)), announce=announce, command=command)
        return None if manifest else int(trained.result["steps"])
    finally:
        gc.collect()  # a model is gone before the next one is loaded
        give_back_freed()


def has_begun(folder: Path) -> bool:
    """Whether a folder holds records of a training."""
    return (folder / "run" / RUN).exists()


def is_there(folder: Path) -> bool:
    """Whether an adapter's folder holds anything of worth: a kill may have left an empty run folder."""
    return folder.is_dir() and any(path.is_file() and not path.name.startswith(".") for path in folder.rglob("*"))


def is_done(folder: Path) -> bool:
    """Whether an adapter is whole: the page is what is written last."""
    return all((folder / name).is_file() for name in (FILE, f"run/{RESULT}", f"run/{REPORT}"))


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Be the only one who trains into a folder; the system ends that with the process.

    Raises:
        TrainingError: somebody else does, or the folder can't be written to.
    """
    lock = FileLock(out / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise TrainingError(f"another process trains into {str(out)!r}", hint="wait until it is done, or stop it") from None
    except OSError as error:
        raise TrainingError(
            f"can't write into {str(out)!r}: {error.strerror or error}", hint="name a folder that you may write to with out"
        ) from error
    try:
        yield
    finally:
        lock.release()
