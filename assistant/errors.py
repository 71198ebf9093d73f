"""The errors a user can act on. Those of `indexes` and these make one tree.

UserError                      two lines on stderr and an exit code          (indexes.errors)
├── UsageError            (2)  a flag, an argument or a setting is wrong     (indexes.errors)
├── DocumentError         (3)  no such path, nothing readable                (indexes.errors)
│   └── UnreadableFile         one file that can't be read                   (indexes.errors)
├── IndexFault            (4)  missing, locked, damaged or of another kind   (indexes.errors)
│   └── IndexNotFound, IndexLocked, IndexDamaged, IndexTooNew, EmbedderMismatch, StorageFull
├── ModelError            (5)  a model or an adapter that can't be used
└── CheckFailed           (7)  a check or a ``--min`` that was not met

Not errors of a user: an exception of any other class is a fault of ours and ends in exit code 1; Ctrl-C ends in 130.
"""

from indexes.errors import (
    DocumentError,
    EmbedderMismatch,
    IndexDamaged,
    IndexFault,
    IndexLocked,
    IndexNotFound,
    IndexTooNew,
    StorageFull,
    UnreadableFile,
    UsageError,
    UserError,
)

__all__ = [
    "CheckFailed",
    "DocumentError",
    "EmbedderMismatch",
    "IndexDamaged",
    "IndexFault",
    "IndexLocked",
    "IndexNotFound",
    "IndexTooNew",
    "ModelError",
    "StorageFull",
    "UnreadableFile",
    "UsageError",
    "UserError",
]

BUG = 1
"""Exit code of a fault of ours."""
INTERRUPTED = 130
"""Exit code after Ctrl-C."""


class ModelError(UserError):
    """A model or an adapter that can't be used."""

    exit_code = 5


class CheckFailed(UserError):
    """A check found problems, or a metric is under the ``--min`` that was asked for."""

    exit_code = 7
