"""Which adapters are installed in ``$ASSISTANT_HOME/adapters/NAME/``, and which of them a user's words mean for a base.

Loads no torch: an adapter is known here by its files.
"""

import difflib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, cast

from assistant.adapters.folder import GATE, files_of, read_json, stamp_of
from assistant.adapters.identity import BaseIdentity
from assistant.adapters.installing import RECORD, changing, is_between, names, put, take_away, write_draft
from assistant.adapters.manifest import CONFIG, WEIGHTS, Role, weights_hash
from assistant.adapters.preflight import FAILED, Preflight, check_adapter
from assistant.adapters.selection import NAME, NONE, Chosen, Selection, Wanted
from assistant.errors import ModelError, UsageError, UserError
from assistant.records import Step

RESERVED = (NONE, "base")
"""Names that mean the base as it is."""
FORCED = "forced"
MODELS = "models"
TRIES = 5
Read = TypeVar("Read")
REWARD = "reward"


@dataclass(frozen=True, slots=True)
class Installed:
    """An adapter of this home. Of a broken one only ``name``, ``folder`` and ``problem`` are sure to mean something.

    Attributes:
        name: what users call it.
        folder: where its files lie; of a linked one outside of the home.
        method: how it was trained; of a folder without a manifest PEFT's name for its kind.
        role: what it is for.
        base: the id of its base.
        fingerprint: the hash of its weights.
        gate: ``passed``, ``failed``, ``forced`` (it failed, and was added all the same), ``undecided`` or ``ungated``.
        trusted: it has no manifest: its base is taken on trust.
        linked: its files stay where they are.
        created: ISO-8601.
        problem: why it can't be used; empty: nothing speaks against it.
        hint: what mends the problem.
        notes: what whoever added it should know.
        facts: all that its files tell; None: it is broken.
    """

    name: str
    folder: Path
    method: str = ""
    role: Role = "answer"
    base: str = ""
    fingerprint: str = ""
    gate: str = ""
    trusted: bool = False
    linked: bool = False
    created: str = ""
    problem: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()
    facts: Preflight | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Resolved:
    """Adapters that belong to a base.

    Attributes:
        selections: by the step that they are for; a step that isn't there is the base's.
        notices: what the user should know of them.
    """

    selections: Mapping[Step, Selection]
    notices: tuple[str, ...] = ()


def add(
    home: Path,
    source: Path | str,
    *,
    name: str | None = None,
    trust_base: bool = False,
    force: bool = False,
    link: bool = False,
    base: BaseIdentity | None = None,
    find_base: Callable[[str], BaseIdentity | None] | None = None,
) -> Installed:
    """Install an adapter.

    Args:
        home: ``$ASSISTANT_HOME``.
        source: its folder.
        name: what to call it; None: as its folder.
        trust_base: take a folder that PEFT alone has written.
        force: take it although its gate failed, and in the place of another one of that name.
        link: leave its files where they are, so that a later training is picked up.
        base: a model that it must belong to.
        find_base: finds that model by its id, if it is on this machine; None: nobody looks for it.

    Raises:
        ModelError: it can't be used, its gate failed, or there is another one of that name.
        UsageError: it can't have that name.
        StorageFull: there is no room for it.
    """
    folder = Path(os.path.expanduser(source)).absolute()  # noqa: PTH111 - an unknown user's home is no crash
    called = check_name(name or folder.resolve().name)
    found = check_adapter(folder, base, models=home / MODELS, trust_base=trust_base, name=called)
    found, notes = _with_its_base(found, home, find_base) if find_base and found.manifest else (found, ())
    if found.verdict == FAILED and not force:
        raise ModelError(
            f"the gate refused the adapter {called!r}{_reason(found)}", hint="train it again, or add it all the same with --force"
        )
    record = {
        "schema": 1,
        "linked": str(folder) if link else None,
        "trusted": found.manifest is None,
        "forced": found.fingerprint if found.verdict == FAILED else None,
    }
    files = {} if link else files_of(folder)
    with changing(home) as adapters:
        place = adapters / called
        if place.exists() and _is_there(place, found, files, record, force=force):
            return _described(place, home, (f"the adapter {called!r} is already there, with the same weights",))
        draft = write_draft(adapters, files, record)
        _check_copy(draft, found, files)
        put(draft, place)
    return _described(place, home, (*found.warnings, *notes))


def _with_its_base(
    found: Preflight, home: Path, find_base: Callable[[str], BaseIdentity | None]
) -> tuple[Preflight, tuple[str, ...]]:
    """Check an adapter again, with its base; where that isn't here, a note says so."""
    named = found.manifest.base.id if found.manifest else ""
    base, why = None, "it isn't on this machine"
    try:
        base = find_base(named)
    except ModelError as error:
        why = error.message
    if base is None:
        return found, (f"its base {named!r} could not be checked: {why}",)
    return check_adapter(found.folder, base, models=home / MODELS, name=found.name), ()


def installed(home: Path) -> tuple[Installed, ...]:
    """All adapters, by name; one that can't be used says why in ``problem``."""
    places = [home / "adapters" / name for name in names(home)]
    found = [_described(place, home) for place in places]
    return tuple(
        one for one, place in zip(found, places, strict=True) if not one.problem or place.is_dir()
    )  # not removed meanwhile


def find(home: Path, name_or_path: str) -> Installed:
    """Find an installed adapter by its name, or one anywhere by its path.

    Raises:
        ModelError: there is none.
    """
    place = home / "adapters" / name_or_path
    if NAME.fullmatch(name_or_path):
        if not place.is_dir() and is_between(place.parent, name_or_path):
            with changing(home):  # waits until it is replaced, or puts it back
                pass
        if place.is_dir():
            return _described(place, home)
    path = os.path.expanduser(name_or_path)  # noqa: PTH111 - an unknown user's home is no crash, nor is a name too long
    if os.path.isdir(path) or ("/" in path and os.path.lexists(path)):  # noqa: PTH112
        return _facts(Path(path).resolve().name, Path(path).absolute(), home, {})
    if "/" in name_or_path:
        raise ModelError(f"{name_or_path}: there is no such folder", hint=f"give a folder that you may read, with {CONFIG} in it")
    raise _unknown(home, name_or_path)


def remove(home: Path, name: str) -> None:
    """Delete an installed adapter; of a linked one the link alone.

    Raises:
        ModelError: there is none of that name.
        StorageFull: it can't be deleted.
    """
    with changing(home) as adapters:
        if not NAME.fullmatch(name) or not (adapters / name).is_dir():
            raise _unknown(home, name)
        take_away(adapters / name)


def check_name(name: str) -> str:
    """See that a name can be an adapter's.

    Raises:
        UsageError: it can't.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be the name of an adapter",
            hint="give --name: up to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit",
        )
    if name.lower() in RESERVED:
        raise UsageError(f"{name!r} means the base without an adapter", hint="give it another name with --name")
    return name


def resolve(wanted: Sequence[Wanted], home: Path, base: BaseIdentity, *, models: Path | None) -> Resolved:
    """Find adapters and see that they belong to a base; each goes to the step that it was trained for.

    Args:
        wanted: as the user asks for them.
        home: ``$ASSISTANT_HOME``.
        base: the model that they are to shape.
        models: the folder that remembers hashes.

    Raises:
        ModelError: one of them doesn't exist, doesn't belong to the base, or can't be used so.
    """
    chosen: dict[Step, list[Chosen]] = {}
    notices: list[str] = []
    for one in wanted:
        known = find(home, one.name)
        seen = stamp_of(known.folder)
        found = _check(known, base, models, one.name)
        chosen.setdefault(step_of(found), []).append(replace(_chosen(one, found), stamp=seen))
        notices += [f"the adapter {one.name!r}: {what}" for what in _notices(found, known)]
    for selection in chosen.values():
        _check_sum(selection)
    return Resolved({step: tuple(selection) for step, selection in chosen.items()}, tuple(notices))


def _check(known: Installed, base: BaseIdentity, models: Path | None, name: str) -> Preflight:
    return _steadily(known.folder, lambda: check_adapter(known.folder, base, models=models, trust_base=known.trusted, name=name))


def _chosen(one: Wanted, found: Preflight) -> Chosen:
    if found.slow and one.scale != 1:
        raise ModelError(
            f"the adapter {one.name!r} can't be scaled: {found.slow_because}, so only PEFT computes it exactly",
            hint="leave *SCALE out",
        )
    return Chosen(one.name, found.folder, found.computes, one.scale, found.slow)


def _check_sum(selection: Sequence[Chosen]) -> None:
    slow = next((one for one in selection if one.slow), None)
    if slow and len(selection) > 1:
        others = ", ".join(repr(one.name) for one in selection if one is not slow)
        raise ModelError(
            f"the adapter {slow.name!r} can't be added to {others}: it changes more than low-rank products",
            hint="name one of them",
        )


def step_of(found: Preflight) -> Step:
    """The step that an adapter writes for.

    Raises:
        ModelError: it writes nothing.
    """
    if found.role == REWARD:
        raise ModelError(
            f"{found.name!r} is a reward adapter: it scores answers and writes none",
            hint="in the chat, /best 4 lets it choose among answers; name another adapter to answer with",
        )
    return cast(Step, found.role)


def _notices(found: Preflight, known: Installed) -> Iterator[str]:
    if found.manifest is None:
        yield "it has no manifest, so its base is taken on trust"
    if found.verdict == FAILED:
        yield "its gate failed" + (", and it was added all the same" if known.gate == FORCED else "")
    if found.slow_because:
        yield f"swaps slowly: {found.slow_because}"
    yield from found.warnings


def _is_there(place: Path, found: Preflight, files: Mapping[str, Path], record: Mapping[str, object], *, force: bool) -> bool:
    """Whether nothing would change; what is there may be brought up to date, and is replaced only where that is wanted."""
    now = read_json(place / RECORD) or {}
    where = Path(str(now.get("linked") or place))
    try:
        same = weights_hash(where) == found.fingerprint
    except ModelError:
        same = False
    if not same and not force:
        raise ModelError(
            f"there is another adapter {place.name!r}, with other weights",
            hint=f"assistant adapters remove {place.name}, or --name N, or --force to replace it",
        )
    small = [name for name in files if not name.endswith(".safetensors")]
    return same and now == record and all(_content(place / name) == _content(files[name]) for name in small)


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _check_copy(draft: Path, found: Preflight, files: Mapping[str, Path]) -> None:
    """See that what was copied is what was checked: a folder may be trained into meanwhile."""
    if files and (weights_hash(draft) != found.fingerprint or read_json(draft / CONFIG) != found.config):
        take_away(draft)
        raise ModelError(
            f"the files of {str(found.folder)!r} changed while they were copied", hint="add it when its training is done"
        )


def _described(place: Path, home: Path, notes: tuple[str, ...] = ()) -> Installed:
    def read() -> Installed:
        record = read_json(place / RECORD) or {}
        linked = record.get("linked")
        return _facts(place.name, Path(linked) if isinstance(linked, str) else place, home, record, notes)

    return _steadily(place, read)


def _steadily(place: Path, read: Callable[[], Read]) -> Read:
    """Read a folder, and again where another one took its place meanwhile: half of one and half of the other fit nothing."""
    for _ in range(TRIES):
        before, fault = _stamp(place), None
        try:
            found = read()
        except ModelError as error:
            fault = error
        if _stamp(place) == before and not is_between(place.parent, place.name):
            break
    if fault:
        raise fault
    return found


def _stamp(place: Path) -> tuple[int, int] | None:
    try:
        found = place.stat()
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns


def _facts(name: str, folder: Path, home: Path, record: Mapping[str, object], notes: tuple[str, ...] = ()) -> Installed:
    linked, trusted = isinstance(record.get("linked"), str), record.get("trusted") is True
    broken = Installed(name, folder, trusted=trusted, linked=linked, notes=notes)
    try:
        found = check_adapter(folder, None, models=home / MODELS, trust_base=trusted, name=name)
        created = _created(found)
    except UserError as error:
        return replace(broken, problem=error.message, hint=error.hint)
    except OSError as error:
        return replace(broken, problem=f"can't be read: {error.strerror}", hint="take a whole copy of the folder")
    said = found.manifest
    forced = found.verdict == FAILED and record.get("forced") == found.fingerprint
    return Installed(
        name=name,
        folder=folder,
        method=said.method if said else str(found.config["peft_type"]).lower(),
        role=found.role,
        base=said.base.id if said else str(found.config.get("base_model_name_or_path") or ""),
        fingerprint=found.fingerprint,
        gate=FORCED if forced else found.verdict,
        trusted=said is None,
        linked=linked,
        created=created,
        notes=notes,
        facts=found,
    )


def _created(found: Preflight) -> str:
    if found.manifest:
        return found.manifest.created
    written = (found.folder / WEIGHTS).stat().st_mtime
    return datetime.fromtimestamp(written, UTC).isoformat(timespec="seconds")


def _reason(found: Preflight) -> str:
    why = (found.gate or {}).get("reason")
    return f": {why}" if isinstance(why, str) and why else f" ({GATE} says so)"


def _unknown(home: Path, name: str) -> ModelError:
    there = names(home)
    near = difflib.get_close_matches(name, there, n=1)
    if near:
        return ModelError(f"there is no adapter {name!r}", hint=f"did you mean {near[0]!r}? `assistant adapters` lists them")
    hint = f"there are: {', '.join(there)}" if there else "assistant adapters add PATH, with a folder that finetune has written"
    return ModelError(f"there is no adapter {name!r}", hint=hint)
