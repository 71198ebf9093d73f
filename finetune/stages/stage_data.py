"""The rows of a pipeline's stages, read before anything is trained: faults, hashes, and what is both learned and measured on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune.config import TrainingConfig
from finetune.data.faults import counted, data_hash, load_dataset, rows_for
from finetune.data.rows import Classified, Row
from finetune.errors import DataFault
from finetune.held_out import split_by_prompt, without_prompts_of
from finetune.reinforcement.rl_settings import METHODS_WITH_ROLLOUTS


@dataclass(frozen=True, slots=True)
class Rows:
    """What a stage learns from and is measured on.

    Attributes:
        train, held_out: the rows.
        hashes: of the files' rows, by setting.
        classes: of rows that name classes; none where they don't.
        drawn: whether the held-out rows are a share of the data, not files of their own.
    """

    train: tuple[Row, ...]
    held_out: tuple[Row, ...]
    hashes: Mapping[str, str]
    classes: tuple[str, ...] = ()
    drawn: bool = False


@dataclass
class StageRows:
    """Reads the rows of one stage after the other.

    Attributes:
        notices: of held-out rows that an earlier stage has learned from.
    """

    notices: list[str] = field(default_factory=list)
    _known: dict[tuple[Any, ...], tuple[Row, ...]] = field(default_factory=dict)
    _stages: dict[str, tuple[Rows, tuple[str, ...]]] = field(default_factory=dict)

    def read(self, name: str, method: str, settings: Mapping[str, Any], parents: Sequence[str]) -> tuple[Rows | None, list[str]]:
        """The rows of a stage, and all that is wrong with them.

        Args:
            name: of the stage.
            method: how it learns.
            settings: with ``data`` and ``eval_data`` as paths; what is of a wrong kind is left to whoever checks settings.
            parents: names of the stages that it is made of.
        """
        faults: list[str] = []
        data, held_out = (self._rows(method, settings.get(key), key, faults) for key in ("data", "eval_data"))
        if data is None or faults:
            return None, faults
        hashes = {"data": data_hash(data)} | ({"eval_data": data_hash(held_out)} if held_out is not None else {})
        classes = tuple(sorted({row.label for row in data if isinstance(row, Classified)}))
        if held_out is not None:
            rows = Rows(data, held_out, hashes, classes)
        else:
            rows = Rows(*_split(data, settings), hashes, classes, drawn=True)
        faults += self._overlaps(name, method, rows, parents)
        self._stages[name] = rows, tuple(parents)
        return rows, faults

    def _rows(self, method: str, said: Any, key: str, faults: list[str]) -> tuple[Row, ...] | None:
        paths = (said,) if isinstance(said, str) else said
        if not paths or not isinstance(paths, list | tuple) or not all(isinstance(each, str) for each in paths):
            return None
        known = (method, *paths)
        try:
            if known not in self._known:
                dataset = load_dataset([Path(each) for each in paths], as_prompts=method in METHODS_WITH_ROLLOUTS)
                self._known[known] = rows_for(dataset, method)
        except DataFault as fault:
            faults.append(f"{key}: {fault.message}")
            return None
        return self._known[known]

    def _overlaps(self, name: str, method: str, rows: Rows, parents: Sequence[str]) -> list[str]:
        """What a stage would be measured on although it, or what it is made of, has learned from it."""
        found = []
        if not rows.drawn and not (method in METHODS_WITH_ROLLOUTS and self._some_are_left(rows)):
            found += _overlap(rows.held_out, rows.train, "its own data")
        for parent in self._lineage(parents):
            seen = _overlap(rows.held_out, self._stages[parent][0].train, f"the data of stage {parent!r}, which it is made of")
            if rows.drawn:
                self.notices += [f"stage {name!r}: {each}: give eval_data that no stage learns from" for each in seen]
            else:
                found += seen
        return found

    def _some_are_left(self, rows: Rows) -> bool:
        """Methods that write answers leave out prompts that are measured on; not all of them can be."""
        return bool(without_prompts_of(rows.train, rows.held_out))

    def _lineage(self, parents: Sequence[str]) -> list[str]:
        """Stages that something is made of, directly or not, each once."""
        found: dict[str, None] = {}
        for parent in parents:
            if parent in self._stages:
                found |= dict.fromkeys((parent, *self._lineage(self._stages[parent][1])))
        return list(found)


def _split(rows: tuple[Row, ...], settings: Mapping[str, Any]) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """As ``recipe.prepare`` will; settings of a wrong kind are told by whoever checks them."""
    share, seed = settings.get("eval_share", TrainingConfig.__dataclass_fields__["eval_share"].default), settings.get("seed", 0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1 or not isinstance(seed, int):
        return rows, ()
    return split_by_prompt(rows, share, seed)


def _overlap(held_out: Sequence[Row], train: Sequence[Row], where: str) -> list[str]:
    fresh = {id(row) for row in without_prompts_of(held_out, train)}
    seen = [row for row in held_out if id(row) not in fresh]
    if not seen:
        return []
    are = "is" if len(seen) == 1 else "are"
    return [f"{len(seen)} of {counted(len(held_out), 'prompt')} to measure on {are} in {where} (the first at {seen[0].place})"]
