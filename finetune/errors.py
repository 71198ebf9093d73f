"""The errors of training, in the one tree of user errors (``assistant.errors``).

UserError
├── ModelError          (5)  a base or an adapter that can't be used   (assistant.errors)
├── TrainingError       (6)  a training that can't begin, go on or be kept
│   ├── DataFault            data of which nothing can be trained
│   └── Diverged             a loss that is no number any more, or has grown far beyond where it began
├── UsageError          (2)  a flag or a config is wrong                (indexes.errors)
└── CheckFailed         (7)  `finetune check` found faults              (assistant.errors)
"""

from assistant.errors import UserError


class TrainingError(UserError):
    """A training that can't begin, go on or be kept."""

    exit_code = 6


class DataFault(TrainingError):
    """Training data that can't be read, or of which nothing can be trained."""


class Diverged(TrainingError):
    """The loss is no number any more, or has grown far beyond where it began."""
