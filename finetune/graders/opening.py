"""``--grader SPEC[*WEIGHT]`` → graders. What a spec may be stands in ``SPECS``; a model is loaded only where a spec names it."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.adapters.manifest import FILE
from finetune.graders.function import TIMEOUT_S, FunctionGrader
from finetune.graders.grader import Grader, WeightedGrader
from indexes.errors import UsageError

if TYPE_CHECKING:
    from assistant.checking.verdicts import Embed
    from finetune.base_model import Base

SPECS = (
    "grounding", "citations", "abstention", "format", "length:20-60", "language:en", "classifier:MODEL:LABEL",
    "probability:MODEL:LABEL", "file.py:function", "the folder of a reward adapter or model",
)  # fmt: skip
"""All that a grader may be, for an error to tell."""
NAMES = ("grounding", "citations", "abstention", "format", "length", "language", "classifier", "probability")
LITERAL = "literal"


@dataclass(frozen=True)
class Context:
    """What graders are opened with.

    Attributes:
        base: a loaded base on which reward adapters may score, so that it is in memory once; None: each loads its own.
        embed: texts to unit vectors, for what means the same; None: the installed embedding model.
        models: the folder of exported embedding models; None: the assistant's.
        timeout_s: seconds that a user's function may take for a batch.
        announce: told what goes on.
    """

    base: "Base | None" = None
    embed: "Embed | None" = None
    models: Path | None = None
    timeout_s: float = TIMEOUT_S
    announce: Callable[[str], None] = field(default=lambda _: None)


def open_graders(specs: Sequence[str], context: Context) -> WeightedGrader:
    """Open the graders of a weighted sum; close it afterwards, it may hold processes.

    Args:
        specs: each ``SPEC`` or ``SPEC*WEIGHT``.
        context: what they are opened with.

    Raises:
        UsageError: a spec is unknown, or its weight is no number.
        ModelError, GraderFault: one can't be opened.
    """
    if not specs:
        raise UsageError("no grader is given", hint=f"--grader can be: {'; '.join(SPECS)}")
    named = [split_weight(spec) for spec in specs]
    opened: list[tuple[Grader, float]] = []
    try:
        for spec, weight in named:
            opened.append((open_grader(spec, context), weight))
    except BaseException:
        WeightedGrader(opened).close()
        raise
    return WeightedGrader(opened)


def split_weight(spec: str) -> tuple[str, float]:
    """A spec and its weight, 1 where none is given.

    Raises:
        UsageError: the weight is no number, or 0.
    """
    before, star, after = spec.rpartition("*")
    if not star:
        return spec, 1.0
    try:
        weight = float(after)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight) or weight == 0 or not before:
        raise UsageError(f"{spec!r} has the weight {after!r}", hint="a weight is a number that isn't 0: --grader grounding*0.5")
    return before, weight


def open_grader(spec: str, context: Context) -> Grader:
    """Open one grader.

    Raises:
        UsageError: there is no such grader.
        ModelError, GraderFault: it can't be opened.
    """
    name, _, argument = spec.partition(":")
    if name in NAMES and not (os.sep in name or Path(spec).is_dir()):
        return _built_in(name, argument, context) if name in NAMES[:6] else _label(spec, name, argument, context)
    if ".py:" in spec or spec.endswith(".py"):
        return _function(spec, context)
    return _model(spec, context)


def _built_in(name: str, argument: str, context: Context) -> Grader:
    from finetune.graders import checks

    if name in ("grounding", "citations"):
        if argument not in ("", LITERAL):
            raise UsageError(f"{name} takes no {argument!r}", hint=f"--grader {name}, or {name}:{LITERAL}")
        embed = None if argument else context.embed or _installed_embedder(context)
        return checks.GroundingGrader(embed) if name == "grounding" else checks.CitationGrader(embed)
    if name == "length":
        return checks.LengthGrader(*checks.read_band(argument))
    if name == "language":
        return checks.LanguageGrader(checks.read_language(argument) if argument else None)
    if argument:
        raise UsageError(f"{name} takes no {argument!r}", hint=f"--grader {name}")
    return checks.AbstentionGrader() if name == "abstention" else checks.FormatGrader()


def _installed_embedder(context: Context) -> "Embed":
    """The embedding model with which the assistant checks its answers, remembering what it has embedded."""
    from assistant.settings import find_home
    from finetune.graders.remembering import remembering
    from indexes.embedding import INSTALLED
    from indexes.export import load_embedder

    return remembering(load_embedder(INSTALLED, context.models or find_home()[0] / "models", announce=context.announce).embed)


def _label(spec: str, name: str, argument: str, context: Context) -> Grader:
    model, _, label = argument.rpartition(":")
    if not model or not label:
        raise UsageError(f"{spec!r} names no label of a model", hint=f"--grader {name}:MODEL:LABEL")
    from finetune.graders.classifier import LabelGrader

    measure = "log-odds" if name == "classifier" else "probability"
    return LabelGrader(model, label, measure=measure, announce=context.announce)  # type: ignore[arg-type]


def _function(spec: str, context: Context) -> Grader:
    file, _, function = spec.rpartition(":")
    if not file or not function.isidentifier():
        raise UsageError(f"{spec!r} names no function", hint="--grader file.py:function")
    if not Path(file).is_file():
        raise UsageError(f"there is no {file!r}", hint="--grader file.py:function takes a Python file that is there")
    return FunctionGrader(Path(file), function, timeout_s=context.timeout_s)


def _model(spec: str, context: Context) -> Grader:
    folder = Path(spec).expanduser()
    if (folder / FILE).is_file():
        from finetune.graders.reward import open_reward

        return open_reward(folder, base=context.base, announce=context.announce)
    if folder.is_dir() or _is_id(spec):
        from finetune.graders.classifier import ScoreGrader

        return ScoreGrader(spec, announce=context.announce)
    raise _unknown(spec)


def _is_id(spec: str) -> bool:
    """Whether it looks like a model of the Hub: ``owner/name``, and no folder of that first name is here."""
    from assistant.models.hub import REPO_ID

    owner, slash, _ = spec.partition("/")
    return bool(slash and REPO_ID.fullmatch(spec)) and not Path(owner).exists()


def _unknown(spec: str) -> UsageError:
    folder = Path(spec).expanduser()
    beside = [str(folder.parent / each.name) for each in folder.parent.iterdir()] if folder.parent.is_dir() else []
    near = get_close_matches(spec.partition(":")[0], NAMES, 1) + get_close_matches(str(folder), beside, 2)
    meant = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return UsageError(f"there is no grader {spec!r}", hint=f"{meant}--grader can be: {'; '.join(SPECS)}")
