"""The settings of a training: defaults < a TOML file < flags. All that is wrong with them is said at once.

Every field says its unit and why it is what it is. What a method needs otherwise stands in ``METHODS``.
"""

import difflib
import importlib.util
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from assistant.models.memory import QUANTIZATIONS, Quantization
from finetune.reinforcement.rl_settings import METHODS_IN_GROUPS, METHODS_WITH_ROLLOUTS, RANGES, UPDATE_EPOCHS, RolloutSettings
from indexes.errors import UsageError

Method = Literal["sft", "orpo", "dpo", "kto", "reward", "ppo", "rloo", "grpo"]
METHODS: tuple[Method, ...] = get_args(Method)
Schedule = Literal["cosine", "linear", "constant"]
Optimizer = Literal["adamw", "adamw_8bit"]
Switch = Literal["auto", "on", "off"]
Tracker = Literal["none", "tensorboard", "wandb"]
Part = Literal["answer", "rewrite", "judge"]

CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "method": METHODS,
        "quantization": QUANTIZATIONS,
        "schedule": get_args(Schedule),
        "optimizer": get_args(Optimizer),
        "checkpointing": get_args(Switch),
        "track": get_args(Tracker),
        "role": get_args(Part),
        "device": ("auto", "cpu", "cuda", "mps"),
        "dtype": ("auto", "fp32", "bf16", "fp16"),
    }
)
RATES: Mapping[str, float] = MappingProxyType(
    {"sft": 2e-4, "orpo": 5e-5, "dpo": 5e-5, "kto": 5e-5, "reward": 1e-4, "ppo": 1e-4, "rloo": 1e-4, "grpo": 1e-4}
)
"""Learning rates for LoRA. TRL's 1e-6 for ORPO and DPO is for whole models; ORPO's authors advise 5e-5 and more for LoRA."""
POSITIVE = ("rank", "alpha", "batch", "accumulate", "max_length", "log_every", "learning_rate", "beta", "clip")
NOT_NEGATIVE = (
    "epochs",
    "max_steps",
    "warmup",
    "dropout",
    "eval_share",
    "weight_decay",
    "eval_every",
    "save_every",
    "patience",
    "samples",
    "nll",
    "center",
    "seed",
)
SHARES = ("dropout", "eval_share", "warmup")


@dataclass(frozen=True, slots=True)
class TrainingConfig(RolloutSettings):
    """One training. What methods with rollouts need beside it: see ``RolloutSettings``.

    Attributes:
        method: what is learned, and from which rows.
        base: the model to adapt: a folder, or a Hugging Face id.
        data: files and folders of rows.
        out: the adapter's folder.
        eval_data: rows to measure on; where there are none, ``eval_share`` of the data.
        eval_share: of the rows, by prompt, so that no prompt is on both sides.
        quantization: the form that the base is kept in; its adapter is trained in full precision.
        device, dtype: ``auto`` takes what a trial says is fastest here.
        rank: of the two matrices that stand for a change of a layer (LoRA, Hu et al. 2021).
        alpha: the change is scaled by alpha / rank.
        dropout: share of the adapter's inputs left out; saved as 0, because it does nothing when answering.
        targets: names of the layers to adapt; none: all linear ones but the head.
        rslora: scale by alpha / √rank instead (outside the swap profile).
        dora: learn length and direction apart (outside the swap profile).
        learning_rate: the highest; 0: the method's.
        schedule: how it falls.
        warmup: share of the steps in which it rises.
        epochs: times that all rows are seen.
        max_steps: steps after which it ends in any case; 0: no limit.
        batch: rows of a step on the device at once.
        accumulate: batches of a step.
        max_length: tokens of a row; longer ones are left out and counted.
        optimizer: 8-bit keeps its two moments in a quarter of the memory.
        weight_decay: of the adapter's matrices.
        clip: the longest gradient.
        checkpointing: compute activations again instead of keeping them; auto: where memory is short.
        packing: several rows in one sequence (SFT).
        group_by_length: rows of like length in one batch, so that little is padding.
        beta: how hard the preference pulls: λ of ORPO, β of DPO and KTO.
        nll: weight of the better answers' own likelihood beside DPO's loss; 0: plain DPO, which may make both answers of a pair
            unlikely until what is written falls apart. Llama 3 was aligned with 0.2 (arXiv 2407.21783, 4.1.4).
        center: pulls the mean reward to 0 (reward).
        log_every, eval_every, save_every: steps; 0: five times a run for the last two.
        patience: evaluations without improvement after which it ends; 0: never.
        samples: held-out prompts that are answered before and after.
        init_adapter: an adapter to begin with.
        role: the step that the adapter is for: answering, rewriting follow-ups, judging.
        add_tokens: special tokens that the tokenizer lacks, such as role markers (reward).
        track: where metrics go beside the run's own file.
        seed: of everything that is drawn.
    """

    method: Method
    base: str
    data: tuple[str, ...]
    out: str
    eval_data: tuple[str, ...] = ()
    eval_share: float = 0.1
    quantization: Quantization = "none"
    device: str = "auto"
    dtype: str = "auto"
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: tuple[str, ...] = ()
    rslora: bool = False
    dora: bool = False
    learning_rate: float = 0.0
    schedule: Schedule = "cosine"
    warmup: float = 0.05
    epochs: float = 1.0
    max_steps: int = 0
    batch: int = 8
    accumulate: int = 1
    max_length: int = 1024
    optimizer: Optimizer = "adamw"
    weight_decay: float = 0.0
    clip: float = 1.0
    checkpointing: Switch = "auto"
    packing: bool = False
    group_by_length: bool = True
    beta: float = 0.1
    nll: float = 0.2
    center: float = 0.01
    log_every: int = 5
    eval_every: int = 0
    save_every: int = 0
    patience: int = 0
    samples: int = 4
    init_adapter: str = ""
    role: Part = "answer"
    add_tokens: tuple[str, ...] = ()
    track: Tracker = "none"
    seed: int = 0

    @property
    def rate(self) -> float:
        """The highest learning rate."""
        return self.learning_rate or RATES[self.method]

    @property
    def writes(self) -> bool:
        """Whether the method learns from answers that it writes itself."""
        return self.method in METHODS_WITH_ROLLOUTS

    @property
    def prompts(self) -> int:
        """Prompts of a step, where answers are written."""
        return self.rollouts // self.num_generations if self.method in METHODS_IN_GROUPS else self.rollouts

    @property
    def passes(self) -> int:
        """Times that a step's answers are learned from."""
        return self.update_epochs or UPDATE_EPOCHS.get(self.method, 0)

    @property
    def room(self) -> int:
        """Tokens that a row may have: what the answer to it takes isn't there."""
        return self.max_length - self.answer_range[1] if self.writes else self.max_length

    @property
    def records(self) -> dict[str, Any]:
        """All settings, as JSON."""
        return asdict(self) | {"learning_rate": self.rate, "update_epochs": self.passes}

    def faults(self) -> list[str]:
        """What is wrong with the values, each with what is allowed."""
        found = [
            f"{name} is {getattr(self, name)!r}: it must be one of {', '.join(allowed)}"
            for name, allowed in CHOICES.items()
            if getattr(self, name) not in allowed
        ]
        found += [f"{name} is {getattr(self, name)!r}: it must be above 0" for name in POSITIVE if not self._is_positive(name)]
        found += [f"{name} is {getattr(self, name)!r}: it can't be negative" for name in NOT_NEGATIVE if getattr(self, name) < 0]
        found += [f"{name} is {getattr(self, name)!r}: it is a share, below 1" for name in SHARES if getattr(self, name) >= 1]
        return found + self.rollout_faults() + self._conflicts()

    def _is_positive(self, name: str) -> bool:
        return bool(getattr(self, name) > 0) or (name == "learning_rate" and self.learning_rate == 0)

    def _conflicts(self) -> list[str]:
        found = []
        if self.track in get_args(Tracker) and self.track != "none" and importlib.util.find_spec(self.track) is None:
            found.append(f"track is {self.track!r}, which isn't installed: pip install {self.track}")
        if self.epochs == 0 and self.max_steps == 0:
            found.append("epochs and max_steps are both 0: nothing would be trained")
        if self.method == "kto" and self.batch < 2:
            found.append(f"batch is {self.batch!r}: KTO compares the rows of a batch, so it must be at least 2")
        if self.add_tokens and self.method != "reward":
            found.append(f"add_tokens is for reward, not for {self.method}: what writes uses tokens that the base knows")
        if self.role != "answer" and self.method == "reward":
            found.append(f"role is {self.role!r}, and what reward trains scores: leave it out")
        if self.packing and self.method != "sft":
            found.append(f"packing is for sft, not for {self.method}")
        found += self._rollout_conflicts()
        if self.dora and self.quantization == "int8":
            found.append("dora doesn't work on an int8 base: use quantization none or nf4")
        return found

    def _rollout_conflicts(self) -> list[str]:
        """What doesn't go together where answers are written and scored, or where they aren't."""
        if not self.writes:
            told = [name for name in ("grader", "eval_grader") if getattr(self, name)]
            return [f"{name} is for {', '.join(METHODS_WITH_ROLLOUTS)}, not for {self.method}" for name in told]
        found = []
        if not any(name in fault for fault in self.rollout_faults() for name in RANGES) and self.room < 1:
            found.append(f"answer_tokens is {self.answer_tokens!r} and max_length {self.max_length!r}: no prompt would fit in")
        if self.dropout:
            found.append(f"dropout is {self.dropout!r}: {self.method} compares a policy with itself, so nothing may be left out")
        if self.method in METHODS_IN_GROUPS:
            found += self._group_conflicts()
        elif self.mask_truncated:
            found.append(f"mask_truncated is for {', '.join(METHODS_IN_GROUPS)}, not for {self.method}")
        if self.patience:
            found.append(f"patience is for held-out losses, and {self.method} has none: it ends by max_kl")
        return found

    def _group_conflicts(self) -> list[str]:
        """What doesn't go together where answers are compared with their siblings."""
        found = []
        if self.num_generations < 2 or self.rollouts % self.num_generations:
            found.append(
                f"num_generations is {self.num_generations!r} and rollouts {self.rollouts!r}: "
                "each prompt needs 2 answers or more, and the rollouts must be a multiple of them"
            )
        if self.target_kl:
            found.append(f"target_kl is for ppo: {self.method} keeps kl as it is")
        return found


KINDS = {one.name: one.type for one in fields(TrainingConfig)}
NAMES = frozenset(one.name for one in fields(TrainingConfig))
DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {one.name: one.default for one in fields(TrainingConfig) if one.default is not MISSING}
)
LISTS = ("data", "eval_data", "targets", "add_tokens", "grader", "eval_grader")


def read_config(
    method: Method, file: Path | None, flags: Mapping[str, Any], *, required: Sequence[str] | None = None
) -> TrainingConfig:
    """Put a training's settings together: what the flags say, else the file, else the defaults.

    Args:
        method: the verb.
        file: a TOML file, or None.
        flags: values that were given on the command line; None means not given.
        required: settings that somebody must have given; None: all that a training needs.

    Raises:
        UsageError: with all faults of all settings.
    """
    said = read_settings(file) if file else {}
    given = said | {name: value for name, value in flags.items() if value is not None}
    faults = [_unknown(name) for name in given if name not in NAMES]
    scored = ("grader",) if method in METHODS_WITH_ROLLOUTS else ()
    faults += [f"{name} is missing" for name in (("base", "data", "out", *scored) if required is None else required)
               if given.get(name, ()) in ("", (), [])]  # fmt: skip
    if said.get("method", method) != method:
        faults.append(f"{str(file)!r} is for {said['method']!r}, and this is {method!r}")
    known = {name: value for name, value in given.items() if name in NAMES - {"method"}}
    wrong = [fault for name, value in known.items() if (fault := mistyped(name, value, KINDS[name], several=name in LISTS))]
    if not wrong and not faults:
        values = {name: as_kept(value, KINDS[name], several=name in LISTS) for name, value in known.items()}
        config = TrainingConfig(method=method, **({"data": (), "out": ""} | values))
        faults += config.faults()
    if faults or wrong:
        listed = "; ".join(faults + wrong)
        raise UsageError(f"the settings of this training are wrong: {listed}", hint=f"finetune {method} --help")
    return config


def read_settings(file: Path) -> dict[str, Any]:
    """What a TOML file says.

    Raises:
        UsageError: it can't be read.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no {str(file)!r}", hint="--config takes a TOML file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"can't read {str(file)!r}: {error}", hint="--config takes a TOML file: key = value, a line each"
        ) from error


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, NAMES, 1)
    return f"there is no setting {name!r}" + (f" (did you mean {near[0]!r}?)" if near else "")


def mistyped(name: str, value: Any, kind: Any, *, several: bool) -> str | None:
    """Why a value isn't of its setting's kind; None: it is. Whole numbers are numbers.

    Args:
        name: of the setting.
        value: as it was read.
        kind: bool, int, float or str.
        several: it is a text or a list of them.
    """
    if several:
        good = isinstance(value, str) or (isinstance(value, list | tuple) and all(isinstance(one, str) for one in value))
    elif kind in (int, float):
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < sys.float_info.max
        good = number and (kind is float or (value == int(value) and abs(value) < 2**63))
    else:
        good = isinstance(value, bool if kind is bool else str)
    wanted = {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "a text")
    return None if good else f"{name} is {value!r}: it must be {'a text, or a list of them' if several else wanted}"


def as_kept(value: Any, kind: Any, *, several: bool) -> Any:
    """A value of the right kind as a configuration holds it: lists as tuples, whole numbers as such."""
    if several:
        return (value,) if isinstance(value, str) else tuple(value)
    return int(value) if kind is int else value
