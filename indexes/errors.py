"""The errors a user can act on, for all three packages.

UserError                      two lines on stderr and an exit code
├── UsageError            (2)  a flag, an argument or a setting is wrong
├── DocumentError         (3)  no such path, nothing readable
│   └── UnreadableFile         one file that can't be read: named in the summary, never fatal
└── IndexFault           (4)  the index is missing, locked, damaged or of another kind
    ├── IndexNotFound
    ├── IndexLocked
    ├── IndexDamaged
    ├── IndexTooNew
    ├── EmbedderMismatch
    └── StorageFull

A fault of ours is a TypeError, a ValueError or an assertion: it ends in exit code 1, never in one of these.
"""


class UserError(Exception):
    """What failed, with the value seen, and one command or setting that mends it.

    Args:
        message: what failed; holds the offending value, shown with ``!r``.
        hint: one command or setting that mends it.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle it with its hint, so that it can cross from a worker process."""
        return _restore, (type(self), self.message, self.hint)


def _restore(kind: type[UserError], message: str, hint: str) -> UserError:
    return kind(message, hint=hint)


class UsageError(UserError):
    """A flag, an argument or a setting is wrong."""


class DocumentError(UserError):
    """A path that doesn't exist, or nothing in it can be read."""

    exit_code = 3


class UnreadableFile(DocumentError):
    """One file that can't be read. ``message`` is the reason alone; the summary puts the file's name before it."""

    def __init__(self, reason: str, *, hint: str = "mend the file, or leave it out with --exclude") -> None:
        super().__init__(reason, hint=hint)


class IndexFault(UserError):
    """An index that can't be used as it is."""

    exit_code = 4


class IndexNotFound(IndexFault):
    """There is no index of that name, or none at all."""


class IndexLocked(IndexFault):
    """Another process is writing to this index."""


class IndexDamaged(IndexFault):
    """The database can't be read as an index."""


class IndexTooNew(IndexFault):
    """The index was written by a newer version."""


class EmbedderMismatch(IndexFault):
    """The index was built with another embedding model than the one asked for."""


class StorageFull(IndexFault):
    """The disk is full, or the folder can't be written to. What was committed before stays."""
