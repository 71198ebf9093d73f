"""The run folder, ``OUT/run``: opened by a recipe, read by the report and by whoever wants to know what was done.

    run.json       settings, seed, data, hashes of other inputs, versions, machine, commit, and each time it was resumed
    metrics.csv    every figure logged
    samples.jsonl  answers before and after, to the same prompts
    answers.jsonl  answers in the course of a run that writes them, with their scores
    grader.json    what attacks on the grader came to, before a training that it rewards
    result.json    metrics before and after with intervals, time, memory, why it stopped
    *.png, report.html

It knows nothing of models or training. A run is resumed only with the settings and the data that it began with.
"""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from finetune.errors import TrainingError
from finetune.run_folder.documents import differences, plain
from finetune.run_folder.files import make_folder, read_file, whole_lines, write_file
from finetune.run_folder.metrics import MetricRow, append_rows, read_rows, rewind_rows
from finetune.run_folder.provenance import describe_machine, git_commit, package_versions

SCHEMA = 1
NOTHING: Mapping[str, Any] = MappingProxyType({})
RUN, METRICS, SAMPLES, RESULT = "run.json", "metrics.csv", "samples.jsonl", "result.json"
ANSWERS, GRADER = "answers.jsonl", "grader.json"
SHOWN = 12
"""Characters of a hash that a person is shown."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a model wrote for a prompt before and after training, and what it should have written, if somebody said so."""

    prompt: str
    before: str
    after: str
    reference: str | None = None


class RunFolder:
    """The records of one run.

    Attributes:
        folder: where they lie.
        record: ``run.json``.
    """

    def __init__(self, folder: Path, record: Mapping[str, Any], *, seconds: float = 0.0) -> None:
        self.folder, self.record = folder, record
        self._began = time.monotonic() - seconds

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        config: Mapping[str, Any],
        seed: int,
        data: Mapping[str, Any],
        made_of: Mapping[str, str] = NOTHING,
        command: Sequence[str] = (),
    ) -> "RunFolder":
        """Begin a run: make the folder and write down what is to be trained, on what, with which versions, on which machine.

        Args:
            folder: made where it is missing.
            config: every setting of the run; the report titles it by ``method`` and ``base``.
            seed: of everything random in it.
            data: what it is trained on: ``hash``, ``rows``, ``files``, and whatever else is worth keeping.
            made_of: hashes of what else makes it what it is, by name.
            command: the command line that began it, word by word; empty: it was begun from Python.

        Raises:
            TrainingError: the folder holds a run that has logged something, or can't be written to.
        """
        make_folder(folder)
        if read_rows(folder / METRICS) or (folder / RESULT).exists():
            raise TrainingError(
                f"{str(folder)!r} holds a run already", hint="go on with it by --resume, or name another folder with --out"
            )
        record = {
            "schema": SCHEMA, "started": _now(), "command": list(command), "directory": str(Path.cwd()), "seed": seed,
            "config": plain(config), "data": plain(data), "made_of": plain(made_of),
            "versions": package_versions(), "machine": describe_machine(), "commit": git_commit(Path.cwd()), "resumed": [],
        }  # fmt: skip
        run = cls(folder, record)
        run._write(RUN, record)
        return run

    @classmethod
    def open(cls, folder: Path) -> "RunFolder":
        """Read a run that was begun before.

        Raises:
            TrainingError: there is none, or its ``run.json`` can't be read.
        """
        record = _read_json(folder / RUN)
        if record is None:
            raise TrainingError(f"there is no run in {str(folder)!r}", hint="begin one: leave out --resume")
        if record.get("schema") != SCHEMA:
            raise TrainingError(
                f"the run in {str(folder)!r} has records of format {record.get('schema')!r}, this version reads {SCHEMA}",
                hint="use the version of `finetune` that began it, or begin a new run with another --out",
            )
        rows = read_rows(folder / METRICS)
        return cls(folder, record, seconds=rows[-1].seconds if rows else 0.0)

    @classmethod
    def resume(
        cls,
        folder: Path,
        *,
        config: Mapping[str, Any],
        seed: int,
        data: Mapping[str, Any],
        made_of: Mapping[str, str] = NOTHING,
        may_change: Collection[str] = (),
        usual: Mapping[str, Any] = NOTHING,
    ) -> "RunFolder":
        """Open a run to go on with it: with the same data, inputs, seed and settings, or not at all. It is noted in ``run.json``.

        Args:
            folder: of the run.
            config: as it is now.
            seed: as it is now.
            data: as they are now.
            made_of: as it is now; a run that was begun before such records were kept is taken at its word.
            may_change: settings that may differ, e.g. ``max_steps``; of nested ones the dotted name, or that of a whole part.
            usual: what a setting was that the run doesn't know: it was begun before there was one.

        Raises:
            TrainingError: there is no run, or something differs: all of it is named.
        """
        run = cls.open(folder)
        before, config, data = run.record, plain(config), plain(data)
        changed = differences(plain(usual) | before["config"], config)
        refused = {name: values for name, values in changed.items() if not _is_allowed(name, may_change)}
        if before["seed"] != seed:
            refused["seed"] = before["seed"], seed
        inputs = _hash_differences(before.get("made_of", made_of), made_of)
        _refuse({"data": _data_differences(before["data"], data), "inputs": inputs, "settings": refused})
        note = {"time": _now(), "changed": changed, "versions": differences(before["versions"], package_versions())}
        run.record = {**before, "config": config, "made_of": plain(made_of), "resumed": [*before["resumed"], plain(note)]}
        run._write(RUN, run.record)
        return run

    @property
    def seconds(self) -> float:
        """Time spent in the run, that of its earlier parts up to what they logged last."""
        return time.monotonic() - self._began

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write figures of a step at the end of ``metrics.csv``. They survive a kill as soon as this returns.

        Raises:
            TrainingError: the disk is full; what was logged before stays.
        """
        seconds = self.seconds
        rows = [MetricRow(int(step), seconds, name, float(value)) for name, value in values.items()]
        append_rows(self.folder / METRICS, rows)

    def rewind(self, step: int) -> None:
        """Forget all figures after a step: those of a checkpoint that training goes on from will be logged again.

        Raises:
            TrainingError: the disk is full; nothing was forgotten.
        """
        kept = rewind_rows(self.folder / METRICS, step)
        self._began = time.monotonic() - (kept[-1].seconds if kept else 0.0)

    def metrics(self) -> dict[str, list[tuple[int, float]]]:
        """What was logged: by name, (step, value) in the order of time."""
        series: dict[str, list[tuple[int, float]]] = {}
        for row in read_rows(self.folder / METRICS):
            series.setdefault(row.name, []).append((row.step, row.value))
        return series

    def save_samples(self, samples: Sequence[Sample]) -> None:
        """Write answers before and after into ``samples.jsonl``, replacing what is there."""
        write_file(self.folder / SAMPLES, b"".join(_encode(asdict(sample)) for sample in samples))

    def samples(self) -> list[Sample]:
        """The answers that were saved; none where there are none."""
        file = self.folder / SAMPLES
        try:
            return [Sample(**json.loads(line)) for line in whole_lines(file)]
        except (ValueError, TypeError) as error:
            raise _damaged(file, str(error)) from error

    def answers(self) -> list[dict[str, Any]]:
        """Answers in the course of the run: ``step``, ``prompt``, ``answer``, ``reward``; none where none were written."""
        file = self.folder / ANSWERS
        try:
            found = [json.loads(line) for line in whole_lines(file)]
        except ValueError as error:
            raise _damaged(file, str(error)) from error
        if any(not isinstance(each, dict) or not {"step", "prompt", "answer", "reward"} <= set(each) for each in found):
            raise _damaged(file, "a line of it is no answer")
        return found

    def save_grader(self, found: Mapping[str, Any]) -> None:
        """Write ``grader.json``: what attacks on the grader came to (``finetune.graders.attacks.described``)."""
        self._write(GRADER, plain(found))

    def grader(self) -> dict[str, Any] | None:
        """What attacks on the grader came to; None: none was tried."""
        return _read_json(self.folder / GRADER)

    def save_result(self, result: Mapping[str, Any]) -> None:
        """Write ``result.json``: what came of the run.

        Args:
            result: the report shows ``before``, ``after`` and ``change`` (by metric: a number, or ``value``, ``low``, ``high``),
                ``seconds``, ``tokens_per_s``, ``peak_memory`` (bytes), ``stopped_because`` and ``warnings`` (texts).
        """
        self._write(RESULT, plain(result))

    def result(self) -> dict[str, Any] | None:
        """What came of the run; None: it hasn't ended."""
        return _read_json(self.folder / RESULT)

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        write_file(self.folder / name, _encode(document, indent=2))


def _is_allowed(name: str, may_change: Collection[str]) -> bool:
    return any(name == allowed or name.startswith(f"{allowed}.") for allowed in may_change)


def _data_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Data with an equal hash are the same, wherever they lie."""
    if before.get("hash") == now.get("hash"):
        return {}
    shown = {"hash": (str(before.get("hash"))[:SHOWN], str(now.get("hash"))[:SHOWN])}
    rest = {name: values for name, values in differences(before, now).items() if name in ("rows", "files")}
    return shown | rest


def _hash_differences(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Hashes that differ, as they are shown; what is known on one side only has no hash on the other."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return {name: (before.get(name, "no hash")[:SHOWN], now.get(name, "no hash")[:SHOWN]) for name in names}


def _refuse(changed: Mapping[str, Mapping[str, tuple[Any, Any]]]) -> None:
    faults = [
        f"the {what} changed since this run began: "
        + ", ".join(f"{name} was {old!r} and is now {new!r}" for name, (old, new) in changes.items())
        for what, changes in changed.items()
        if changes
    ]
    if faults:
        raise TrainingError("; ".join(faults), hint="give what it began with, or begin a new run with another --out")


def _encode(document: Mapping[str, Any], *, indent: int | None = None) -> bytes:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=indent)
    return text.encode("utf-8", "backslashreplace") + b"\n"  # half a surrogate pair is written as JSON escapes it


def _read_json(file: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is no file."""
    content = read_file(file)
    if content is None:
        return None
    try:
        document = json.loads(content)
    except ValueError as error:
        raise _damaged(file, str(error)) from error
    if not isinstance(document, dict):
        raise _damaged(file, "it holds no object")
    return document


def _damaged(file: Path, why: str) -> TrainingError:
    return TrainingError(f"can't read {str(file)!r}: {why}", hint="begin a new run with another --out")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
