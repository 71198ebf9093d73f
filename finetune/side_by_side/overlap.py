"""Which prompts an adapter was trained on, as far as its manifest and the records of its run tell: on those it says little."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from assistant.adapters.manifest import Manifest
from finetune.config import TrainingConfig
from finetune.data.faults import data_hash, load_dataset, rows_for
from finetune.data.rows import Row
from finetune.errors import DataFault, TrainingError
from finetune.held_out import split_by_prompt, without_prompts_of
from finetune.reinforcement.rl_settings import METHODS_WITH_ROLLOUTS
from finetune.run_folder.records import RUN, RunFolder
from finetune.self_rewarding.settings import VERB

FROM_PROMPTS = (*METHODS_WITH_ROLLOUTS, VERB)
"""Methods that learn from prompts alone."""


def overlap(name: str, folder: Path, manifest: Manifest, rows: Sequence[Row], files: Sequence[Path]) -> list[str]:
    """What to know of prompts that an adapter is to be tried on.

    Args:
        name: the adapter's.
        folder: its files, with its run's records if they are still there.
        manifest: what it says of itself.
        rows: the prompts.
        files: where they stand.
    """
    try:
        trained = trained_rows(folder / "run")
    except (TrainingError, DataFault, KeyError, TypeError) as error:
        if manifest.data.get("hash") in _hashes(files, manifest):
            return [f"{name} was trained on these very files: how it does on others isn't told by them"]
        return [f"what {name} was trained on can't be read again, so nobody knows whether these prompts were among it ({error})"]
    known = len(rows) - len(without_prompts_of(rows, trained))
    if not known:
        return []
    return [f"{name} was trained on {known} of these {len(rows)} prompts: leave them out to know how it does on others"]


def _hashes(files: Sequence[Path], manifest: Manifest) -> set[str]:
    """What a training on these files would have written down: where rows were held out, they stand at the end."""
    try:
        rows = rows_for(load_dataset(files, as_prompts=manifest.method in FROM_PROMPTS), _read_as(manifest.method))
    except (DataFault, KeyError):
        return set()
    usual: Any = next(one.default for one in fields(TrainingConfig) if one.name == "eval_share")
    learned, held_out = split_by_prompt(rows, usual, manifest.seed)
    return {data_hash(rows), data_hash([*learned, *held_out])}


def trained_rows(run: Path) -> tuple[Row, ...]:
    """The rows that a run learned from, without those that it held out.

    Raises:
        TrainingError: there are no records, or its files are gone or others now.
    """
    if not (run / RUN).is_file():
        raise TrainingError(f"there is no {RUN}", hint="keep an adapter's run folder beside it")
    record = RunFolder.open(run).record
    config, where = record["config"], Path(record["directory"])
    writes = config["method"] in FROM_PROMPTS
    files = [where / each for each in config["data"]]
    if missing := [each for each in files if not each.exists()]:
        raise TrainingError(f"{str(missing[0])!r} is gone", hint="put it back")
    rows = rows_for(load_dataset(files, as_prompts=writes), _read_as(config["method"]))
    if held_out := [where / each for each in config.get("pairs" if config["method"] == VERB else "eval_data") or ()]:
        others = rows_for(load_dataset(held_out, as_prompts=True), _read_as(config["method"])) if writes else ()
        return without_prompts_of(rows, others)
    return split_by_prompt(rows, config["eval_share"], config["seed"])[0]


def _read_as(method: str) -> str:
    """A method that reads the same rows: self-rewarding is none of ``config.METHODS``."""
    return METHODS_WITH_ROLLOUTS[0] if method == VERB else method
