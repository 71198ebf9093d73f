"""The errors of graders, in the one tree of user errors (``finetune.errors``).

TrainingError
└── GraderFault           (6)  a grader that raises, gives no numbers, takes too long, or can't score these rows
"""

from finetune.errors import TrainingError


class GraderFault(TrainingError):
    """A grader that raises, gives no numbers, takes too long, or can't score these rows."""
