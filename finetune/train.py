"""A training from settings to a finished adapter folder, as the command line runs it."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from assistant.adapters.manifest import Manifest
from assistant.models.quiet import quiet
from finetune.config import TrainingConfig
from finetune.recipe import Recipe, Trained, prepare, run
from finetune.run_folder.report import write_report


def recipe_of(method: str) -> Recipe:
    """The recipe of a method: its module's ``RECIPE``."""
    with quiet():  # the libraries beneath have things to say as they are imported
        found: Recipe = importlib.import_module(f"finetune.{method}").RECIPE
    return found


def train(
    config: TrainingConfig, *, resume: bool = False, announce: Callable[[str], None] = lambda _: None, command: Sequence[str] = ()
) -> tuple[Trained, Manifest | None]:
    """Train an adapter, save it, prove it, and write the report.

    Args:
        config: the settings.
        resume: go on with the run in ``config.out``.
        announce: told what goes on, in lines for a person.
        command: the command line, for the records.

    Returns:
        What came of it, and what the adapter says of itself; None where it was interrupted.

    Raises:
        DataFault, ModelError, UsageError, TrainingError: see ``recipe.prepare``, ``recipe.run`` and ``saving.save``.
    """
    recipe = recipe_of(config.method)
    job = prepare(config, recipe, resume=resume, announce=announce, command=command)
    trained = run(job, recipe, resume=resume)
    manifest = None
    if trained.folder:
        from finetune.saving import save

        with quiet():
            manifest = save(job, trained, recipe)
        job.run.save_result(trained.result)
        write_report(job.run, usage=usage(config))
    return trained, manifest


def usage(config: TrainingConfig) -> list[str]:
    """How an adapter is used."""
    if config.method == "reward":
        return [
            "from finetune.reward_model import RewardModel",
            f"RewardModel.load(Path({str(config.out)!r})).score([([Message('user', QUESTION)], ANSWER)])",
        ]
    return [f"assistant ask --model {config.base} --adapter {Path(config.out)} QUESTION"]
