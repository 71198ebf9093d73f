"""One training from its settings to a folder that can be trusted: the steps that all methods share, in their order.

    rows → base → ids → run folder → figures before → training → figures after → adapter folder → checks → report

What a method does differently is its ``Recipe``: how rows become ids, which trainer learns from them, what is measured.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerState

from assistant.adapters.manifest import Role, read_manifest
from assistant.errors import ModelError
from assistant.models.hardware import peak_memory
from assistant.models.quiet import quiet
from finetune.base_model import Base, check_trainable, open_base
from finetune.checkpoints import FOLDER, STATE, Durable, last_checkpoint, step_of, unwritten
from finetune.config import DEFAULTS, TrainingConfig
from finetune.data.faults import data_hash, load_dataset, rows_for
from finetune.data.rows import Row
from finetune.encoding import Encoding, require_rows
from finetune.errors import TrainingError
from finetune.evaluation import Figures, summarise
from finetune.formatting import Formatter
from finetune.held_out import split_by_prompt, without_prompts_of
from finetune.memory import out_of_memory, recompute_above
from finetune.resuming import MAY_CHANGE, made_of
from finetune.run_folder.files import write_file
from finetune.run_folder.records import RunFolder
from finetune.samples import ANSWER_TOKENS, compare_samples, write_samples
from finetune.statistics import as_document, paired_change
from finetune.watching import Interruptible, Progress, Watch

BEFORE = "before.json"
Announce = Callable[[str], None]
Together = dict[str, dict[str, float]]
"""Metrics of all rows together, each with its interval."""


class Encode(Protocol):
    """Turns rows into what a trainer is fed."""

    def __call__(self, formatter: Formatter, rows: Sequence[Row], max_length: int) -> Encoding: ...


class Measure(Protocol):
    """Measures a model on encoded rows, one figure a row."""

    def __call__(self, model: Any, encoding: Encoding, padding: int) -> Figures: ...


def _no_scale(_figures: Figures) -> None:
    """What writes answers has no scores."""


def _nothing_overall(_figures: Figures) -> dict[str, dict[str, float]]:
    """Most figures are means over rows."""
    return {}


def _open_writer(config: TrainingConfig, _rows: Sequence[Row], announce: Announce) -> Base:
    return open_base(config, announce=announce)


@dataclass(frozen=True)
class Recipe:
    """What a method does differently.

    Attributes:
        role: what its adapters are for.
        encode: rows → ids.
        make_trainer: a job → a transformers trainer.
        measure: a model → figures on held-out rows.
        least_rows: fewer can't be trained on.
        scale: figures of held-out rows → mean and standard deviation of a reward model's scores.
        overall: figures of held-out rows → further metrics of all of them together.
        open_base: settings, all rows, whom to tell → the model.
        encode_by: settings → how rows become ids, where that is for them to say.
        measure_answers: a job, a model → figures of answers that it writes, a row and all together; instead of ``measure``.
        open_scored: settings, base, rows to try it on, whom to tell → what scores answers, for methods that write them.
        compare: a job, figures before and after → what else the result says of them.
    """

    role: Role
    encode: Encode
    make_trainer: Callable[["Job"], Any]
    measure: Measure
    least_rows: int = 1
    scale: Callable[[Figures], dict[str, float] | None] = _no_scale
    overall: Callable[[Figures], dict[str, dict[str, float]]] = _nothing_overall
    open_base: Callable[[TrainingConfig, Sequence[Row], Announce], Base] = _open_writer
    encode_by: Callable[[TrainingConfig], Encode] | None = None
    measure_answers: Callable[["Job", Any], tuple[Figures, Together]] | None = None
    open_scored: Callable[[TrainingConfig, Base, Sequence[Row], Announce], Any] | None = None
    compare: Callable[["Job", Figures, Figures], dict[str, Any]] | None = None


@dataclass(frozen=True)
class Job:
    """A training with all that it needs.

    Attributes:
        config: its settings.
        base: the model.
        train, held_out: rows of ids; the second may be none.
        run: its records.
        watch: counts what is read.
        interruptible: hears Ctrl-C.
        given_adapter: the base with an adapter to begin with; None: a fresh one is made.
        parents: weights hash of that adapter.
        callbacks: of the trainer.
        announce: told what goes on.
        scored: what scores answers (``finetune.reinforcement.scored.Scored``); None: the method writes none.
    """

    config: TrainingConfig
    base: Base
    train: Encoding
    held_out: Encoding
    run: RunFolder
    watch: Watch
    interruptible: Interruptible
    given_adapter: Any = None
    parents: tuple[str, ...] = ()
    callbacks: tuple[Any, ...] = ()
    announce: Announce = field(default=lambda _: None)
    scored: Any = None

    @property
    def model_type(self) -> str:
        """The base's kind, as transformers calls it."""
        return str(self.base.loaded.model.config.model_type)

    @property
    def steps(self) -> int:
        """Steps of the whole training; where answers are written, a step is a round of them."""
        if self.config.writes:
            rounds = math.ceil(len(self.train.features) * self.config.epochs / self.config.prompts)
            return min(rounds or self.config.max_steps, self.config.max_steps or rounds)
        batches = math.ceil(len(self.train.features) / self.config.batch)
        whole = math.ceil(math.ceil(batches / self.config.accumulate) * self.config.epochs)
        return min(whole or self.config.max_steps, self.config.max_steps or whole)

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """What transformers' trainers need to be told. Whatever they would choose by themselves on a GPU is said here."""
        config, steps = self.config, self.steps
        often = max(1, steps // 5)
        measured = bool(self.held_out.features)
        save = config.save_every or (config.eval_every if config.patience and config.eval_every else often)
        evaluate = (config.eval_every or (save if config.patience else often)) if measured else 0
        half = self.base.loaded.dtype
        return {
            "output_dir": str(self.run.folder / FOLDER),
            "max_steps": steps, "num_train_epochs": config.epochs,
            "per_device_train_batch_size": config.batch, "per_device_eval_batch_size": config.batch,
            "gradient_accumulation_steps": config.accumulate,
            "learning_rate": config.rate, "lr_scheduler_type": config.schedule, "warmup_steps": math.ceil(config.warmup * steps),
            "weight_decay": config.weight_decay, "max_grad_norm": config.clip,
            "optim": "adamw_torch" if config.optimizer == "adamw" else "adamw_bnb_8bit",
            "bf16": half == torch.bfloat16, "fp16": half == torch.float16 and self.base.loaded.hardware.device == "cuda",
            "use_cpu": self.base.loaded.hardware.device == "cpu",
            "gradient_checkpointing": config.checkpointing != "off",
            "gradient_checkpointing_kwargs": {"use_reentrant": False},
            "train_sampling_strategy": "group_by_length" if config.group_by_length else "random",
            "length_column_name": "length",
            "logging_steps": config.log_every, "logging_first_step": True, "logging_nan_inf_filter": False,
            "eval_strategy": "steps" if measured else "no", "eval_steps": evaluate or None, "prediction_loss_only": True,
            "save_strategy": "steps", "save_steps": save, "save_total_limit": 2,
            "load_best_model_at_end": bool(config.patience and measured), "metric_for_best_model": "eval_loss",
            "greater_is_better": False,
            "report_to": [] if config.track == "none" else [config.track],
            "seed": config.seed, "data_seed": config.seed, "dataloader_num_workers": 0, "dataloader_pin_memory": False,
            "disable_tqdm": True, "remove_unused_columns": False,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a training.

    Attributes:
        folder: the adapter's, or None where it was interrupted.
        run: its records.
        result: as in ``result.json``.
        model: with its adapter.
        scale: mean and standard deviation of a reward model's scores on held-out rows; None for what writes.
    """

    folder: Path | None
    run: RunFolder
    result: Mapping[str, Any]
    model: Any
    scale: Mapping[str, float] | None = None


def prepare(config: TrainingConfig, recipe: Recipe, *, resume: bool, announce: Announce, command: Sequence[str] = ()) -> Job:
    """Read the rows, load the base, encode, open the run folder.

    Raises:
        DataFault, ModelError, UsageError, TrainingError: in this order, the cheapest first.
        CheckFailed: the grader is cheated by an attack, and nobody said ``force``.
    """
    rows, held_out = _read(config, announce)
    refuse_other_folder(Path(config.out), resume=resume)
    base = recipe.open_base(config, [*rows, *held_out], announce)
    with quiet():  # a tokenizer warns of rows that are left out here
        encode = recipe.encode_by(config) if recipe.encode_by else recipe.encode
        train = encode(base.formatter, rows, config.room)
        measured = encode(base.formatter, held_out, config.room)
    require_rows(train, least=recipe.least_rows, max_length=config.room)
    scored = recipe.open_scored(config, base, () if resume else rows, announce) if recipe.open_scored else None
    if left_out := [*train.too_long, *measured.too_long]:
        announce(f"{len(left_out)} rows are longer than {config.room} tokens and left out, e.g. {left_out[0]}")
    facts = {"hash": data_hash([*rows, *held_out]), "rows": len(rows), "held_out": len(held_out), "files": list(config.data)}
    facts["too_long"] = len(left_out)
    folder = Path(config.out) / "run"
    known: dict[str, Any] = {"config": config.records, "seed": config.seed, "data": facts, "made_of": made_of(config)}
    if resume:
        run = RunFolder.resume(folder, **known, may_change=MAY_CHANGE, usual=DEFAULTS)
    else:
        run = RunFolder.create(folder, **known, command=command)
        if scored:
            run.save_grader(scored.verdict)
    advice = f"begin again in another --out with a lower --learning-rate (it was {config.rate:g})"
    watch = Watch(recompute_above=recompute_above(config, base, train), advice=advice)
    interruptible = Interruptible()
    callbacks = (
        Durable(folder / FOLDER),
        Progress(run, watch, announce),
        interruptible,
        *_patience(config, bool(measured.features)),
    )
    given, parents = _begun(config, base)
    return Job(config, base, train, measured, run, watch, interruptible, given, parents, callbacks, announce, scored)


def _begun(config: TrainingConfig, base: Base) -> tuple[Any, tuple[str, ...]]:
    """The base with the adapter that the training begins with, and that one's hash.

    Raises:
        ModelError: it belongs to another base.
    """
    if not config.init_adapter:
        return None, ()
    from peft import PeftModel

    folder = Path(config.init_adapter)
    manifest = read_manifest(folder)
    if manifest.base.fingerprint != base.loaded.fingerprint:
        raise ModelError(
            f"{config.init_adapter!r} was trained on {manifest.base.id!r}, whose weights are not those of {config.base!r}",
            hint=f"--base {manifest.base.id}",
        )
    with quiet():
        return PeftModel.from_pretrained(base.loaded.model, folder, is_trainable=True), (manifest.weights_hash,)


def _read(config: TrainingConfig, announce: Announce) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    dataset = load_dataset([Path(each) for each in config.data], as_prompts=config.writes)
    rows = rows_for(dataset, config.method)
    if config.eval_data:
        others = load_dataset([Path(each) for each in config.eval_data], as_prompts=config.writes)
        held_out = rows_for(others, config.method)
        if not config.writes:
            return rows, held_out
        kept = without_prompts_of(rows, held_out)
        if len(kept) < len(rows):
            announce(f"{len(rows) - len(kept)} prompts are among those to measure on, and are not learned from")
        return kept, held_out
    return split_by_prompt(rows, config.eval_share, config.seed)


def refuse_other_folder(out: Path, *, resume: bool) -> None:
    """See that a training may begin in a folder.

    Raises:
        TrainingError: something is there, and nobody said to go on with it.
    """
    if not resume and out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        begun = (out / "run" / "run.json").exists() and not (out / "assistant_adapter.json").exists()
        raise TrainingError(
            f"{str(out)!r} isn't empty", hint="go on with it by --resume" if begun else "name another folder with --out"
        )


def _patience(config: TrainingConfig, measured: bool) -> tuple[Any, ...]:
    if not config.patience:
        return ()
    if not measured:
        raise TrainingError(
            "patience needs held-out rows to look at, and there are none", hint="give --eval-data, or more rows than a few"
        )
    return (EarlyStoppingCallback(early_stopping_patience=config.patience),)


def run(job: Job, recipe: Recipe, *, resume: bool) -> Trained:
    """Train, and measure before and after.

    Raises:
        TrainingError: the loss diverged, memory or the disk was not enough; the last checkpoint stays.
    """
    padding = job.base.formatter.pad_id()
    with quiet():
        torch.manual_seed(job.config.seed)
        trainer = recipe.make_trainer(job)
        trainer.remove_callback(PrinterCallback)
        trains, _ = check_trainable(trainer.model)
        checkpoint = last_checkpoint(job.run.folder / FOLDER) if resume else None
        before = _before(job, recipe, trainer.model, padding, fresh=checkpoint is None)
        if resume:
            job.run.rewind(step_of(checkpoint))
            job.watch.go_on({name: points[-1][1] for name, points in job.run.metrics().items()})
        started = time.monotonic()
        _train(job, trainer, checkpoint)
        seconds, tokens = job.watch.before_s + time.monotonic() - started, job.watch.tokens
        result = {"seconds": seconds, "tokens": tokens, "tokens_per_s": tokens / max(seconds, 1e-9), "trainable": trains,
                  "peak_memory": peak_memory(), "steps": trainer.state.global_step}  # fmt: skip
        if job.interruptible.interrupted:
            return Trained(None, job.run, result | {"stopped_because": "it was interrupted"}, trainer.model)
        after, together = _measured(job, recipe, trainer.model, padding)
        _save_samples(job, before["samples"], _answers(job, trainer.model))
        change = {name: as_document(paired_change(before["figures"][name], values)) for name, values in after.items()
                  if values and len(values) == len(before["figures"].get(name, ()))}  # fmt: skip
        early = trainer.state.global_step < job.steps
        why = getattr(trainer, "stopped_because", "") or ("the held-out loss rose" if early else "all steps were done")
        result |= {"before": summarise(before["figures"]) | before.get("together", {}), "after": summarise(after) | together,
                   "change": change, "stopped_because": why}  # fmt: skip
        result |= recipe.compare(job, before["figures"], after) if recipe.compare else {}
        return Trained(Path(job.config.out), job.run, result, trainer.model, recipe.scale(after))


def _train(job: Job, trainer: Any, checkpoint: Path | None) -> None:
    if checkpoint and step_of(checkpoint) >= job.steps:  # transformers would train one step more
        trainer.state = TrainerState.load_from_json(str(checkpoint / STATE))
        trainer._load_from_checkpoint(str(checkpoint))
        _last_answers(job, trainer.model, step_of(checkpoint))
        return
    try:
        with job.interruptible.listening():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise out_of_memory(job.config, job.base, job.train, step=trainer.state.global_step) from error
    except (OSError, SafetensorError) as error:
        raise unwritten(job.config, getattr(error, "strerror", None) or str(error)) from error
    except RuntimeError as error:
        if "inline_container" in str(error):  # how torch says that a file can't be written to its end
            raise unwritten(job.config, "the disk is full, or the file is too large") from error
        if "memory" in str(error).lower():
            raise out_of_memory(job.config, job.base, job.train, step=trainer.state.global_step) from error
        raise


def _last_answers(job: Job, model: Any, step: int) -> None:
    """Write down what the last step's policy answers: a run that was stopped in that step hasn't done so."""
    if job.scored:
        from finetune.reinforcement.scored import append_answers, rewind_answers

        rewind_answers(job.run.folder, step)
        append_answers(job, model, step)


def _before(job: Job, recipe: Recipe, model: Any, padding: int, *, fresh: bool) -> dict[str, Any]:
    """Figures and answers before training; of a run that is gone on with, those that were measured when it began."""
    file = job.run.folder / BEFORE
    if not fresh and file.is_file():
        known: dict[str, Any] = json.loads(file.read_bytes())
        return known
    figures, together = _measured(job, recipe, model, padding)
    found = {"figures": figures, "samples": _answers(job, model)}
    found |= {"together": together} if recipe.measure_answers else {}
    write_file(file, json.dumps(found).encode())
    return found


def _measured(job: Job, recipe: Recipe, model: Any, padding: int) -> tuple[Figures, Together]:
    """Figures of held-out rows, and metrics of all of them together."""
    if recipe.measure_answers:
        return recipe.measure_answers(job, model)
    figures = recipe.measure(model, job.held_out, padding)
    return figures, recipe.overall(figures)


def _answers(job: Job, model: Any) -> list[dict[str, Any]]:
    return write_samples(model, job.held_out, job.base.formatter, count=job.config.samples)


def _save_samples(job: Job, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> None:
    job.run.save_samples(compare_samples(before, after))
    if after and not any(each["stopped"] for each in after):
        job.announce(f"none of {len(after)} answers ended within {ANSWER_TOKENS} tokens: look at the samples before you use it")
