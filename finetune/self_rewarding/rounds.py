"""Rounds of self-rewarding: write, judge, pair, train, measure; until all rounds were done or something speaks against going on.

    OUT/                 the adapter of the last good round, as every verb leaves one
    OUT/run/             settings, what came of it (rounds.json, result.json), report.html
    OUT/rounds/N/        each round's adapter, a child of the one before, with records of its own
    OUT/written/N/       what the model after N rounds wrote, and what its judge said (``session``)

Source: Yuan et al. 2024, "Self-Rewarding Language Models" (arXiv 2401.10020). The brakes are ours: there, GPT-4 looked on.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assistant.adapters.manifest import FILE, read_manifest
from finetune.config import TrainingConfig
from finetune.recipe import refuse_other_folder
from finetune.resuming import in_names_of
from finetune.run_folder.files import make_folder, write_file
from finetune.run_folder.records import RunFolder
from finetune.self_rewarding.material import Material, read_material
from finetune.self_rewarding.policy import open_policy
from finetune.self_rewarding.rounds_page import outcome, write_page
from finetune.self_rewarding.session import ROUNDS, Session, adapter_of, is_judging_adapter
from finetune.self_rewarding.settings import USUAL, VERB, Settings, of_training
from finetune.stages.going_on import alone, is_done, is_there, train_on
from indexes.errors import UserError

MAY_CHANGE = ("rounds", "out", "data", "pairs", "grader_timeout", of_training("track"))
"""Settings that may be others when a run is gone on with; rows are compared by their hash."""
ALL_DONE = "all rounds were done"
Announce = Callable[[str], None]
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of it.

    Attributes:
        document: as in ``rounds.json``.
        interrupted: the round whose training was interrupted, and its step; None: it came to an end.
    """

    document: Document
    interrupted: tuple[int, int] | None = None

    @property
    def kept(self) -> int:
        """The round whose adapter was kept; 0: none."""
        return int(self.document["kept"])


def run_rounds(
    settings: Settings, *, resume: bool = False, announce: Announce = lambda _: None, command: Sequence[str] = ()
) -> Ended:
    """Train round after round, and keep the last one that nothing speaks against.

    Args:
        settings: what is to be done.
        resume: go on with what is in the folder.
        announce: told what goes on, in lines for a person.
        command: the command line, for the records.

    Raises:
        UserError: rows, the model, the judge or a training can't be used; what was done stays, and ``resume`` goes on with it.
    """
    out = Path(settings.rounds.out)
    refuse_other_folder(out, resume=resume)
    material = read_material(settings, announce)
    for warning in material.warnings:
        announce(f"warning: {warning}")
    if not resume:
        _try_out(settings, announce)
    make_folder(out)
    with alone(out):
        seed, facts = settings.rounds.seed, material.facts
        inputs = material.inputs
        if resume:
            inputs = in_names_of(RunFolder.open(out / "run").record["config"].get("inputs", {}), inputs)
        config = settings.records | {"inputs": inputs}
        if resume:
            run = RunFolder.resume(out / "run", config=config, seed=seed, data=facts, may_change=MAY_CHANGE, usual=USUAL)
        else:
            run = RunFolder.create(out / "run", config=config, seed=seed, data=facts, command=command)
        return _Rounds(settings, material, run, announce, command).go()


def _try_out(settings: Settings, announce: Announce) -> None:
    """Load what will be loaded again, before anything is written.

    Raises:
        UserError: it can't be.
    """
    own = settings.rounds
    named = [own.init_adapter, own.judge if own.judge and own.judge != "none" and is_judging_adapter(own.judge) else ""]
    with open_policy(settings.training, announce) as policy:
        for adapter in filter(None, named):
            with policy.wearing(Path(adapter)):
                pass


class _Rounds:
    """The rounds of one run."""

    def __init__(
        self, settings: Settings, material: Material, run: RunFolder, announce: Announce, command: Sequence[str]
    ) -> None:
        self._settings, self._material, self._run, self._announce, self._command = settings, material, run, announce, command
        self._out = Path(settings.rounds.out)
        self._lines: list[Document] = []

    def go(self) -> Ended:
        """All rounds, from whatever is there; however it ends, the time that it took is kept."""
        try:
            return self._go()
        finally:
            self._log()

    def _log(self) -> None:
        self._run.log(len(self._lines), {"rounds": len(self._lines)})

    def _go(self) -> Ended:
        most = self._settings.rounds.rounds
        for number in range(most + 1):
            session = Session(self._settings, self._material, number, self._say(f"after round {number}" if number else "before"))
            brakes, made = session.run(last=number == most)
            self._lines.append(brakes | {"made": made, **self._adapter(number)})
            stops, dropped = [*brakes["stops"], *(made or {"stops": []})["stops"]], bool(brakes["stops"])
            if stops or number == most:
                kept = max(0, number - dropped)
                return self._end("; ".join(stops) or ALL_DONE, kept)
            self._records("it goes on", number, ended=False)
            if (step := self._train(number + 1, session.pairs_file)) is not None:
                return Ended(self._records("it was interrupted", number, ended=False), (number + 1, step))
        raise AssertionError(most)

    def _say(self, when: str) -> Announce:
        return lambda line: self._announce(f"{when}: {line}")

    def _train(self, number: int, pairs: Path) -> int | None:
        """Train a round, or go on with it; returns the step at which it was interrupted, None where it wasn't.

        Raises:
            UserError: as the training did, with the round's number.
        """
        config = self._training(number, pairs)
        folder = Path(config.out)
        if is_done(folder):
            self._announce(f"round {number}: it is trained")
            return None
        if not is_there(folder) and folder.is_dir():
            shutil.rmtree(folder)  # empty folders, left by a kill
        try:
            return train_on(config, announce=self._say(f"round {number}"), command=self._command)
        except UserError as error:
            raise type(error)(
                f"round {number}: {error.message}", hint=f"{error.hint}; then the same command with --resume goes on"
            ) from error

    def _training(self, number: int, pairs: Path) -> TrainingConfig:
        """A round's training: on its pairs, from the adapter of the round before, in an order of its own."""
        before = adapter_of(self._settings, number - 1)
        training = self._settings.training
        return replace(
            training, data=(str(pairs),), out=str(self._out / ROUNDS / str(number)), seed=training.seed + number - 1,
            init_adapter=str(before) if before else "",
        )  # fmt: skip

    def _adapter(self, number: int) -> Document:
        """What is known of the adapter that so many rounds have made."""
        adapter = adapter_of(self._settings, number)
        if adapter is None:
            return {"adapter": None, "weights_hash": None, "parents": []}
        manifest = read_manifest(adapter)
        return {"adapter": str(adapter), "weights_hash": manifest.weights_hash, "parents": list(manifest.parents)}

    def _end(self, why: str, kept: int) -> Ended:
        """Keep the last good round as the adapter of the folder, and write what came of it."""
        (self._out / FILE).unlink(missing_ok=True)
        if kept:
            keep(self._out / ROUNDS / str(kept), self._out, self._material.facts, self._lines, kept)
        document = self._records(why, kept, ended=True)
        self._run.save_result(outcome(document) | {"seconds": self._run.seconds})
        return Ended(document)

    def _records(self, why: str, kept: int, *, ended: bool) -> Document:
        rounds = self._settings.rounds
        document: Document = {
            "schema": 1, "base": rounds.base, "optimised_by": rounds.method, "judge": self._lines[0]["judge"]["name"],
            "rounds": self._lines, "of": rounds.rounds, "ended": ended, "why": why, "kept": kept,
            "stopped": ended and why != ALL_DONE, "warnings": list(self._material.warnings),
        }  # fmt: skip
        write_page(self._run, document)
        self._log()  # a kill leaves the time known
        return document


def keep(folder: Path, out: Path, facts: Mapping[str, Any], lines: Sequence[Document], number: int) -> None:
    """Copy a round's adapter to where every verb leaves one; the manifest is written last.

    Raises:
        TrainingError: the disk is full.
    """
    manifest = read_manifest(folder)
    for file in folder.iterdir():
        if file.is_file() and file.name != FILE and not file.name.startswith("."):
            write_file(out / file.name, file.read_bytes())
    metrics = {"before": outcome_of(lines[0]), "after": outcome_of(lines[number])}
    data = {**manifest.data, "hash": facts["hash"], "rows": facts["rows"]}
    replace(manifest, name=out.resolve().name, method=VERB, data=data, metrics=metrics).write(out)


def outcome_of(line: Document) -> Document:
    """What a manifest holds of a round: intervals by name."""
    found = {"score": line["score"], "agreement": line["judge"]["agreement"]}
    return {name: value for name, value in found.items() if value}
