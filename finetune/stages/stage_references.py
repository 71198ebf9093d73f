"""What a pipeline's stage says of earlier ones, ``@NAME``: which they are, and whether they fit (pure)."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune.reinforcement.rl_settings import METHODS_WITH_ROLLOUTS

REFERENCE = re.compile(r"(?:^|(?<=:))@([^:*]*)")
"""An earlier stage within a grader: ``@reward*0.5``, ``classifier:@reward:good``."""
PREVIOUS = "previous"
"""The last stage that writes, of those on the same base."""
GRADERS = ("grader", "eval_grader")
SCORES = "reward"
"""The method of which the adapters score; those of all others write."""
LABELS = ("classifier", "probability")


@dataclass(frozen=True, slots=True)
class Earlier:
    """What later stages need to know of one.

    Attributes:
        method: how it is trained.
        base: what it adapts.
        classes: that it tells apart; none where it scores or writes.
    """

    method: str
    base: str
    classes: tuple[str, ...] = ()


@dataclass
class References:
    """Resolves the references of one stage.

    Attributes:
        earlier: the stages before it, in their order.
        names: of all stages.
        folder: name of a stage → its folder.
        path: a path as it was written → where it is.
        faults: all that is wrong.
        parents: names of the stages that it refers to.
    """

    earlier: Mapping[str, Earlier]
    names: Sequence[str]
    folder: Callable[[str], str]
    path: Callable[[str], str]
    faults: list[str] = field(default_factory=list)
    parents: dict[str, None] = field(default_factory=dict)

    def with_defaults(self, method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with what goes without saying: a writer goes on from the last writer, and is scored by the last scorer."""
        found = dict(settings)
        if method != SCORES and "init_adapter" not in found and (writer := self._last_writer(found.get("base"))):
            found["init_adapter"] = f"@{writer}"
        scoring = [name for name, each in self.earlier.items() if each.method == SCORES]
        if method in METHODS_WITH_ROLLOUTS and "grader" not in found and scoring:
            found["grader"] = [f"@{scoring[-1]}"]
        return found

    def resolve(self, method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with folders in the place of names."""
        found = dict(settings)
        if isinstance(begun := settings.get("init_adapter"), str) and begun:
            found["init_adapter"] = self._begun(method, begun, settings.get("base"))
        for key in GRADERS:
            said = settings.get(key)
            specs = [said] if isinstance(said, str) else said
            if isinstance(specs, list) and all(isinstance(each, str) for each in specs):
                found[key] = [self._grader(key, each) for each in specs]
        return found

    def _begun(self, method: str, said: str, base: Any) -> str:
        if not said.startswith("@"):
            return self.path(said)
        name = self._find(said[1:], f"init_adapter is {said!r}", base)
        if name is None:
            return said
        other = self.earlier[name]
        if SCORES in (method, other.method):
            why = "reward begins with the base" if method == SCORES else "that stage scores, and what writes begins with a writer"
            self.faults.append(f"init_adapter is {said!r}: {why}")
        elif isinstance(base, str) and other.base != base:
            self.faults.append(f"init_adapter is {said!r}: that stage's base is {other.base!r}, and this one's {base!r}")
        return self.folder(name)

    def _grader(self, key: str, spec: str) -> str:
        """A grader's spec with folders in it; what isn't there is said."""
        if "@" not in spec:
            return self._with_path(spec)

        def put(match: re.Match[str]) -> str:
            name = self._find(match[1], f"{key} is {spec!r}", None)
            if name is None:
                return match[0]
            self._check_scores(key, spec, name)
            return self.folder(name)

        return REFERENCE.sub(put, spec)

    def _check_scores(self, key: str, spec: str, name: str) -> None:
        other, (kind, _, rest) = self.earlier[name], spec.partition(":")
        label = rest.partition("*")[0].rpartition(":")[2] if kind in LABELS else None
        if other.method != SCORES:
            self.faults.append(f"{key} is {spec!r}: that stage writes ({other.method}); a grader is a reward stage")
        elif other.classes and (label is None or label not in other.classes):
            allowed = " or ".join(f"'classifier:@{name}:{each}'" for each in other.classes)
            self.faults.append(f"{key} is {spec!r}: the rows of that stage name classes, so say which is good: {allowed}")
        elif label is not None and not other.classes:
            self.faults.append(f"{key} is {spec!r}: the rows of that stage name no classes: '@{name}'")

    def _with_path(self, spec: str) -> str:
        """A grader that isn't a stage, with its file or folder found from where the recipe lies."""
        kind, _, rest = spec.partition(":")
        if kind in LABELS:
            model, colon, label = rest.rpartition(":")
            return f"{kind}:{self._if_there(model)}{colon}{label}"
        bare, star, weight = spec.rpartition("*") if "*" in spec else (spec, "", "")
        file, colon, function = bare.rpartition(":")
        if file.endswith(".py"):
            there = self.path(file)
            if not Path(there).is_file():
                self.faults.append(f"there is no {there!r}, which a grader names")
            return f"{there}{colon}{function}{star}{weight}"
        return f"{self._if_there(bare)}{star}{weight}"

    def _if_there(self, said: str) -> str:
        """A folder by its path; a Hub's id or a built-in grader as it is."""
        return there if said and Path(there := self.path(said)).is_dir() else said

    def _find(self, name: str, where: str, base: Any) -> str | None:
        if name == PREVIOUS:
            writer = self._last_writer(base)
            if writer is None:
                self.faults.append(f"{where}, and no earlier stage writes on this base")
                return None
            name = writer
        if name in self.earlier:
            self.parents[name] = None
            return name
        if name in self.names:
            self.faults.append(f"{where}, and that stage isn't trained before this one: change their order")
            return None
        near = difflib.get_close_matches(name, list(self.earlier), 1)
        meant = f" (did you mean '@{near[0]}'?)" if near else f" (before it: {', '.join(self.earlier) or 'none'})"
        self.faults.append(f"{where}, and there is no stage {name!r}{meant}")
        return None

    def _last_writer(self, base: Any) -> str | None:
        writers = [name for name, each in self.earlier.items() if each.method != SCORES and (base is None or each.base == base)]
        return writers[-1] if writers else None
