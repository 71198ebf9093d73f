"""Adapters on a server: those that it lists beside its models, and those that it is told to load from a folder (vLLM's routes).

What this process had loaded it unloads again. A loaded adapter's name carries the hash of all that it computes: under a name that
came back with other weights vLLM goes on answering from blocks that it computed with the old ones (vllm-project/vllm#42125).
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from assistant.adapters.config import slow_because
from assistant.adapters.folder import read_config
from assistant.adapters.manifest import FILE, read_manifest, weights_hash
from assistant.adapters.selection import Chosen, Selection, label
from assistant.errors import ModelError
from assistant.models.server_faults import Failure, Refusal
from assistant.models.server_http import ServerConnection
from assistant.models.server_models import Listed, choose_adapter, choose_model, list_models
from assistant.records import Step

LOAD, UNLOAD = "/load_lora_adapter", "/unload_lora_adapter"
START = "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve … --enable-lora"
"""What makes vLLM load adapters while it runs."""
HERE = "answer with a model in this process (leave --server out)"
FAREWELL_S = 3.0
"""The longest wait for an unloading: it may happen while the program ends."""
SILENTLY_WRONG = ("rank_pattern", "alpha_pattern")
"""Settings that vLLM doesn't read: it would scale some layers wrongly, without a word (vllm/lora/peft_helper.py)."""

_NOT_THERE = re.compile(
    r"no adapter found|no such file|does ?n[o']t exist|does ?n[o']t contain|can ?n?[o']?t find|not a .*directory", re.I
)
_RANK = re.compile(r"rank (\d+) is greater than max_lora_rank")
_NOT_ENABLED = re.compile(r"lora (?:support )?is not enabled|enable[-_]lora", re.I)


@dataclass(frozen=True, slots=True)
class Served:
    """An adapter that answers on a server.

    Attributes:
        chosen: as the user knows it.
        name: what requests call it.
    """

    chosen: Chosen
    name: str


@dataclass(slots=True, weakref_slot=True)
class ServerAdapters:
    """Chooses the adapters of one server.

    Attributes:
        connection: to the server.
        loaded: names that this process had it load.
    """

    connection: ServerConnection
    loaded: set[str] = field(default_factory=set)
    _served: Mapping[Step, Served] = field(default_factory=lambda: MappingProxyType({}))
    _said: set[str] = field(default_factory=set)

    @property
    def label(self) -> str | None:
        """What the answers' adapter is called by the user."""
        served = self._served.get("answer")
        return label([served.chosen]) if served else None

    @property
    def selections(self) -> Mapping[Step, Selection]:
        """The adapter of each step that has one, as the user chose it."""
        return {step: (each.chosen,) for step, each in self._served.items()}

    @property
    def identity(self) -> dict[str, list[str]] | None:
        """What each step's adapter is called on the server and, where it is known, its fingerprint; None: the base alone."""
        return {step: [each.name, each.chosen.fingerprint] for step, each in self._served.items()} or None

    def name_for(self, step: Step) -> str | None:
        """What a request for this step calls its model; None: the base."""
        served = self._served.get(step)
        return served.name if served else None

    def use(self, selections: Mapping[Step, Selection], model: str | None, announce: Callable[[str], None]) -> str | None:
        """Answer with these adapters, loaded if need be; those that this process had loaded before and that are left, go.

        Args:
            selections: one adapter a step, in full.
            model: the base's name; None: the adapters' own, or the only one.
            announce: told what couldn't be checked, once.

        Returns:
            the base's name, where it is known now.

        Raises:
            ModelError, Failure: one can't be used; the present ones stay.
        """
        chosen = {step: self._single(selection) for step, selection in selections.items() if selection}
        before, found = set(self.loaded), dict[Step, Served]()
        try:
            for step, one in chosen.items():
                row, base = self._fetch(one, model)
                model = base.name
                found[step] = Served(one, row.name)
                for notice in self._notices(one, row, base):
                    announce(notice)
        except BaseException:
            self._drop(self.loaded - before)
            raise
        self._served = MappingProxyType(found)
        self._drop(self.loaded - {each.name for each in found.values()})
        return model

    def bring_back(self, step: Step) -> bool:
        """Have a server load again what it no longer knows: it was started anew, or another client unloaded it.

        Raises:
            ModelError, Failure: it can't.
        """
        served = self._served.get(step)
        if served is None or served.name != _versioned(served.chosen):
            return False
        self._load(served.chosen, served.name)
        return True

    # ---- finding one

    def _single(self, selection: Selection) -> Chosen:
        if len(selection) > 1 or selection[0].scale != 1:
            raise ModelError(
                f"{label(selection)!r} can't be had from the server {self._url!r}: it adds one adapter to a request, in full",
                hint=f"name one without a scale, e.g. {selection[0].name}, or {HERE}",
            )
        return selection[0]

    def _fetch(self, one: Chosen, model: str | None) -> tuple[Listed, Listed]:
        """An adapter and its base as the server lists them."""
        listed = self._list()
        exact = _versioned(one)
        row = next((row for name in (exact, one.name) for row in listed if row.name == name), None)
        if row is None and one.fingerprint and self.connection.address.near:  # a stranger learns no path of this machine
            if model is not None:
                choose_model(listed, model, base=self._url)
            row = self._load(one, exact)
            listed = self._list()
        row = row or choose_adapter(listed, one.name, base=self._url)
        base = choose_model(listed, model or row.parent, base=self._url)
        _check_parent(one, row, base, listed)
        return row, base

    def _list(self) -> Sequence[Listed]:
        return self.connection.patiently(lambda: list_models(self.connection, needed=True)) or ()

    def _load(self, one: Chosen, name: str) -> Listed:
        _check_computable(one)
        path = str(one.folder.absolute())
        try:
            self.loaded.add(name)  # before: Ctrl-C may come while the server loads it
            self._command(LOAD, {"lora_name": name, "lora_path": path})
        except Failure as failure:
            self.loaded.discard(name)
            refusal = failure.refusal
            if refusal is None or refusal.status != 400 or "already" not in refusal.words:  # another client was faster
                raise self._refused(one, name, path, failure) from failure
        row = next((row for row in self._list() if row.name == name), None)
        if row is None:
            raise ModelError(
                f"the server {self._url!r} took the adapter {one.name!r}, but doesn't list it as {name!r}", hint=_start_with(one)
            )
        return row

    def _command(self, route: str, body: Mapping[str, object]) -> None:
        def send() -> None:
            try:
                self.connection.command(route, body)
            except Failure as failure:  # vLLM says 500 to an adapter that it can't load: that doesn't pass
                failure.passing = failure.passing and (failure.refusal is None or failure.refusal.status != 500)
                raise

        self.connection.patiently(send)

    def _drop(self, names: set[str]) -> None:
        self.loaded -= names
        unload(self.connection, names)

    @property
    def _url(self) -> str:
        return self.connection.address.base

    # ---- what is said

    def _refused(self, one: Chosen, name: str, path: str, failure: Failure) -> ModelError:
        refusal = failure.refusal
        if refusal is None or refusal.status in (401, 403, 429):
            return failure.error
        said = f"({refusal.status}{f': {refusal.words}' if refusal.words else ''})"
        about_it = name in refusal.words or path in refusal.words
        if _cannot_load(refusal, about_it=about_it):
            return ModelError(
                f"the server {self._url!r} has no adapter {one.name!r} and loads none while it runs {said}",
                hint=f"start it with {START}, or with {_modules(one)}",
            )
        if about_it and _NOT_THERE.search(refusal.words):
            return ModelError(
                f"the server {self._url!r} can't see the folder {path!r} {said}",
                hint=f"put the folder at that place on the machine where the server runs, or {_start_with(one)}",
            )
        if rank := _RANK.search(refusal.words):
            return ModelError(
                f"the adapter {one.name!r} has a higher rank than the server {self._url!r} takes {said}",
                hint=f"start the server with --max-lora-rank {rank[1]}",
            )
        return ModelError(f"the server {self._url!r} can't load the adapter {one.name!r} {said}", hint=f"see its log, or {HERE}")

    def _notices(self, one: Chosen, row: Listed, base: Listed) -> Iterator[str]:
        for notice in _unchecked(one, row, base):
            if notice not in self._said:
                self._said.add(notice)
                yield notice


def unload(connection: ServerConnection, names: set[str]) -> None:
    """Have a server forget adapters, if it still listens; empties the set."""
    while names:
        with suppress(Exception):  # nobody can do anything about it, and the program may be ending
            connection.command(UNLOAD, {"lora_name": names.pop()}, within_s=FAREWELL_S)


def _versioned(one: Chosen) -> str:
    """A name that no other weights will ever have: the user's, with eight digits of a hash."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(one.name).name)
    return f"{plain}-{hashlib.sha256(one.fingerprint.encode()).hexdigest()[:8]}"


def _check_computable(one: Chosen) -> None:
    """See that the folder still holds what was chosen, and that a server computes it rightly."""
    if not one.fingerprint.startswith(weights_hash(one.folder)):
        raise ModelError(
            f"the weights of the adapter {one.name!r} have changed since it was chosen",
            hint=f"choose it anew: /adapter {one.name}",
        )
    config = read_config(one.folder)
    pattern = next((name for name in SILENTLY_WRONG if config.get(name)), None)
    if why := f"vLLM doesn't read its {pattern}" if pattern else slow_because(config):
        raise ModelError(f"the adapter {one.name!r} wouldn't be computed rightly on a server: {why}", hint=HERE)


def _check_parent(one: Chosen, row: Listed, base: Listed, listed: Sequence[Listed]) -> None:
    if row.parent in (None, base.name, base.root):
        return
    parent = next((each for each in listed if each.name == row.parent), None)
    if parent is None or parent.root is None or parent.root != base.root:  # else it is another name of the same model
        raise ModelError(
            f"the adapter {one.name!r} belongs to {row.parent!r} on the server, not to {base.name!r}",
            hint=f"--model {row.parent}, or --adapter none",
        )


def _unchecked(one: Chosen, row: Listed, base: Listed) -> Iterator[str]:
    """What nobody could check of an adapter, as notices."""
    if one.fingerprint and row.name == one.name:
        yield f"the server lists its own {one.name!r}: whether those are the weights that are installed here can't be seen"
    trained, known = _trained_for(one), {name.rstrip("/") for name in (row.parent, base.name, base.root) if name}
    if trained is None and row.parent is None:
        yield f"the adapter {one.name!r} is not checked against the server's base: the server names none for it"
    elif trained is not None and trained.rstrip("/") not in known:
        yield (
            f"the adapter {one.name!r} is not checked against the server's base: it was trained for {trained!r}, "
            f"and the server calls its model {base.name!r}"
        )


def _trained_for(one: Chosen) -> str | None:
    """The base that an installed adapter names."""
    if not one.fingerprint:
        return None
    if (one.folder / FILE).is_file():
        return read_manifest(one.folder).base.id
    named = read_config(one.folder).get("base_model_name_or_path")
    return str(named) if named else None


def _cannot_load(refusal: Refusal, *, about_it: bool) -> bool:
    """Whether a server has no such route. vLLM also says 404 to a folder that it doesn't find, and names it then."""
    return (refusal.no_such_route and not about_it) or bool(_NOT_ENABLED.search(refusal.words))


def _modules(one: Chosen) -> str:
    return f"--enable-lora --lora-modules {_versioned(one)}=FOLDER"


def _start_with(one: Chosen) -> str:
    return f"start the server with it: vllm serve … {_modules(one)}"
