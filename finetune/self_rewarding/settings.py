"""The settings of self-rewarding: those of the rounds and brakes here, those of each round's training as every verb has them.

Both stand in one file. All that is wrong with either is said at once.
"""

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from finetune.config import DEFAULTS, NAMES, TrainingConfig, as_kept, mistyped, read_config, read_settings
from finetune.reinforcement.rl_settings import RolloutSettings
from indexes.errors import UsageError

Optimised = Literal["dpo", "orpo"]
REQUIRED = ("base", "data", "pairs", "out")
POSITIVE = (
    "rounds",
    "judgements",
    "answer_tokens",
    "judgement_tokens",
    "temperature",
    "write_batch",
    "measured",
    "grader_timeout",
)
NOT_NEGATIVE = ("margin", "max_length_gap", "seed")
SHARES = ("min_agreement", "min_read", "min_distinct", "max_longer")
LISTS = ("data", "pairs")


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfRewarding:
    """What happens in each round, and what stops it.

    Attributes:
        base: the model.
        data: prompts to answer; of rows of any kind their prompts count.
        pairs: pairs that people judged, never learned from: what the judge and each round are held against.
        out: the folder of the adapter that comes out, and of all rounds.
        method: how a round learns from its pairs.
        rounds: at most.
        candidates: answers to each prompt; Yuan et al. 2024 wrote 4.
        judgements: of each answer by a model that judges; their mean counts. Yuan et al. 2024 drew 3.
        judge: a grader's spec, or an adapter of the same base that judges; empty: the model of each round itself.
        init_adapter: the adapter that writes (and judges) before the first round; empty: the base alone.
        answer_tokens: of an answer, at most.
        judgement_tokens: of a judgement, at most: a sentence and a score.
        temperature: of drawing answers and judgements.
        write_batch: answers written at once.
        margin: best and worst answer must score further apart than this to become a pair; 0 drops ties alone.
        cut_may_win: let answers that were cut off be the better ones; learned so, they teach to break off,
            and whether answers end is no brake.
        measured: held-out prompts, at most, that each round answers for its win rate.
        min_agreement: share of the held-out pairs on which the judge must agree with people; it must be more than chance, too.
        min_read: share of a judge's judgements that must hold a score.
        max_length_gap: by how much the judge may be right more often where the better answer is the longer one.
        max_longer: by how much the longer answer may win more often among candidates than among the people's pairs.
        min_distinct: distinct-2 of a round's answers, of what it was before the first round.
        grader_timeout: seconds that a function of the user's may take for a batch.
        seed: of everything that is drawn.
    """

    base: str
    data: tuple[str, ...]
    pairs: tuple[str, ...]
    out: str
    method: Optimised = "dpo"
    rounds: int = 3
    candidates: int = 4
    judgements: int = 3
    judge: str = ""
    init_adapter: str = ""
    answer_tokens: int = 160
    judgement_tokens: int = 80
    temperature: float = 1.0
    write_batch: int = 32
    margin: float = 0.0
    cut_may_win: bool = False
    measured: int = 200
    min_agreement: float = 0.55
    min_read: float = 0.5
    max_length_gap: float = 0.4
    max_longer: float = 0.3
    min_distinct: float = 0.8
    grader_timeout: float = 30.0
    seed: int = 0

    def faults(self) -> list[str]:
        """What is wrong with the values, each with what is allowed."""
        found = [self._wrong(name, "must be above 0") for name in POSITIVE if not getattr(self, name) > 0]
        found += [self._wrong(name, "can't be negative") for name in NOT_NEGATIVE if not getattr(self, name) >= 0]
        found += [self._wrong(name, "is a share, from 0 to 1") for name in SHARES if not 0 <= getattr(self, name) <= 1]
        if self.candidates < 2:
            found.append(self._wrong("candidates", "takes 2 answers or more to make a pair"))
        if self.method not in get_args(Optimised):
            found.append(self._wrong("method", f"must be one of {', '.join(get_args(Optimised))}"))
        return found

    def _wrong(self, name: str, what: str) -> str:
        return f"{name} is {getattr(self, name)!r}: it {what}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Self-rewarding with the training of a round.

    Attributes:
        rounds: of the rounds.
        training: of each round, but for its data, folder and first adapter.
    """

    rounds: SelfRewarding
    training: TrainingConfig

    @property
    def records(self) -> dict[str, Any]:
        """All settings, as JSON; ``method`` is the verb."""
        learned = {of_training(name): value for name, value in self.training.records.items() if name in OF_TRAINING}
        return asdict(self.rounds) | {"method": VERB, "optimised_by": self.rounds.method} | learned


VERB = "self-reward"
OWN = frozenset(one.name for one in fields(SelfRewarding))
KINDS = {one.name: one.type for one in fields(SelfRewarding)}
OF_TRAINING = NAMES - OWN - {one.name for one in fields(RolloutSettings)}
"""Settings of a round's training that are no setting of the rounds."""


def of_training(name: str) -> str:
    """What a setting of a round's training is called in the records."""
    return f"training.{name}"


USUAL = {one.name: one.default for one in fields(SelfRewarding) if one.default is not MISSING} | {
    of_training(name): value for name, value in DEFAULTS.items() if name in OF_TRAINING
}
"""What a setting was that older records don't know."""


def read_rounds(file: Path | None, flags: Mapping[str, Any]) -> Settings:
    """Put the settings together: what the flags say, else the file, else the defaults.

    Raises:
        UsageError: with all faults of all settings.
    """
    said = read_settings(file) if file else {}
    given = said | {name: value for name, value in flags.items() if value is not None}
    faults = [_unknown(name) for name in given if name not in OWN | OF_TRAINING]
    faults += [f"{name} is missing" for name in REQUIRED if not given.get(name)]
    faults += [
        fault
        for name, value in given.items()
        if name in OWN and (fault := mistyped(name, value, KINDS[name], several=name in LISTS))
    ]
    own = {name: as_kept(value, KINDS[name], several=name in LISTS) for name, value in given.items() if name in OWN}
    training = None
    if not faults:
        rounds = SelfRewarding(**own)
        faults += rounds.faults()
        training, wrong = _training(rounds, {name: value for name, value in given.items() if name in OF_TRAINING})
        faults += wrong
    if faults or training is None:
        raise UsageError(f"the settings of this training are wrong: {'; '.join(faults)}", hint=f"finetune {VERB} --help")
    return Settings(rounds, training)


def _training(rounds: SelfRewarding, said: Mapping[str, Any]) -> tuple[TrainingConfig | None, list[str]]:
    """The settings of a round's training, or what is wrong with them."""
    shared = {"base": rounds.base, "data": rounds.data, "out": rounds.out, "seed": rounds.seed}
    try:
        training = read_config(rounds.method if rounds.method in get_args(Optimised) else "dpo", None, {**said, **shared})
    except UsageError as error:
        return None, [error.message.partition(": ")[2]]
    if rounds.answer_tokens >= training.max_length:
        short = f"answer_tokens is {rounds.answer_tokens!r} and max_length {training.max_length!r}: no prompt would fit in"
        return None, [short]
    return training, []


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, OWN | OF_TRAINING, 1)
    return f"there is no setting {name!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
