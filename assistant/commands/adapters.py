"""The command that looks after adapters: `adapters`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from assistant.commands.ask import Model, Quantization
from assistant.commands.completion import adapter_names
from assistant.commands.history import Yes, agreed
from assistant.commands.index import Json, prepare, print_json
from assistant.errors import ModelError
from assistant.rendering.terminal import note, sanitize

if TYPE_CHECKING:
    from assistant.adapters.identity import BaseIdentity
    from assistant.adapters.preflight import Preflight
    from assistant.adapters.registry import Installed
    from assistant.models.checkpoint import Checkpoint
    from assistant.models.hardware import DtypeName
    from assistant.settings import Settings

adapters_app = typer.Typer(help="List, add, show, check and remove adapters.", rich_markup_mode=None)

Name = Annotated[
    str,
    typer.Argument(metavar="A", help="An adapter's name, as `assistant adapters` lists it.", autocompletion=adapter_names),
]
NameOrPath = Annotated[
    str, typer.Argument(metavar="A", help="An adapter's name, or the path of its folder.", autocompletion=adapter_names)
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.add_typer(adapters_app, name="adapters")


@adapters_app.callback(invoke_without_command=True)
def _adapters(context: typer.Context, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        list_adapters(as_json=as_json)


@adapters_app.command("list")
def list_adapters(as_json: Json = False) -> None:
    """List the adapters (this is what `assistant adapters` does)."""
    from assistant.adapters.registry import installed

    settings = prepare()
    found = installed(settings.home)
    if as_json:
        from assistant.rendering.adapters import adapters_document

        print_json(adapters_document(found))
        return
    if not found:
        note("There are no adapters yet. Add one with: assistant adapters add FOLDER (finetune makes them)")
        return
    from assistant.rendering.adapters import render_adapters
    from assistant.rendering.screen import Screen

    Screen(settings).show(render_adapters(found))


@adapters_app.command("add")
def add_adapter(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The folder that finetune or peft has written.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="N", help="What to call it; by default as its folder.", show_default=False)
    ] = None,
    trust_base: Annotated[
        bool, typer.Option("--trust-base", help="Take a plain PEFT folder: nothing in it proves which base it belongs to.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Take it although its gate failed, and in the place of another one of that name.")
    ] = False,
    link: Annotated[bool, typer.Option("--link", help="Leave its files where they are: a later training is picked up.")] = False,
    as_json: Json = False,
) -> None:
    """Check an adapter's folder and copy it to where the assistant finds it."""
    from assistant.adapters.registry import add

    settings = prepare()
    find_base = partial(_find_base, settings)
    added = add(settings.home, path, name=name, trust_base=trust_base, force=force, link=link, find_base=find_base)
    if as_json:
        from assistant.rendering.adapters import adapter_document

        print_json(adapter_document(added))
        return
    from assistant.rendering.adapters import marks

    for said in added.notes:
        note(said)
    use = "it scores answers, for /best in the chat" if added.role == "reward" else f"use it with: --adapter {added.name}"
    labels = ", ".join(part for part in (added.method, marks(added)) if part)
    typer.echo(sanitize(f"{added.name}: {labels}; {use}", one_line=True))


def _find_base(settings: "Settings", named: str) -> "BaseIdentity | None":
    """The model that an adapter belongs to, if it is on this machine."""
    from assistant.models.hub import find_local

    checkpoint = find_local(named)
    return _identity(settings, checkpoint) if checkpoint else None


def _identity(settings: "Settings", checkpoint: "Checkpoint") -> "BaseIdentity":
    from assistant.adapters.preflight import base_identity
    from assistant.models.pretrained import stored_quantization

    checkpoint.check()
    return base_identity(checkpoint, stored_quantization(checkpoint) or settings.quantization, settings.models)


@adapters_app.command("show")
def show_adapter(adapter: NameOrPath, as_json: Json = False) -> None:
    """Show what an adapter says of itself: how it was made, for which base, what was measured. Exit code 5 if it is broken."""
    from assistant.adapters.registry import find

    settings = prepare()
    found = find(settings.home, adapter)
    if as_json:
        from assistant.rendering.adapters import adapter_document

        print_json(adapter_document(found))
    else:
        from assistant.rendering.adapters import render_adapter
        from assistant.rendering.screen import Screen

        Screen(settings).show(render_adapter(found))
    if found.problem:
        raise ModelError(found.problem, hint=found.hint)


@adapters_app.command("check")
def check_adapter_files(
    adapter: NameOrPath, model: Model = None, quantization: Quantization = None, as_json: Json = False
) -> None:
    """Check an adapter with its base: its files, then what it computes. Exit code 5 if it can't be used.

    The base: --model, else the model of the settings, else the one it was trained on, if it is on this machine.
    """
    from assistant.rendering.adapters import check_document

    settings = prepare({"model": model, "quantization": quantization})
    checkpoint = None
    try:
        known, checkpoint = _known(settings, adapter)
        found, canary = _check(settings, adapter, known, checkpoint)
    except ModelError as error:
        if as_json:
            print_json(check_document(adapter, None, _name(checkpoint), None, error.message))
        raise
    if as_json:
        print_json(check_document(adapter, found, _name(checkpoint), canary))
        return
    from assistant.rendering.adapters import render_check
    from assistant.rendering.screen import Screen

    Screen(settings).show(render_check(found, _name(checkpoint), canary))


def _known(settings: "Settings", adapter: str) -> "tuple[Installed, Checkpoint | None]":
    """An adapter, and the model to check it with."""
    from assistant.adapters.registry import find
    from assistant.models.hub import find_local, find_model
    from assistant.settings import EXTRACTIVE

    known = find(settings.home, adapter)
    if settings.model != EXTRACTIVE and not settings.server:
        return known, find_model(settings.model, announce=note)
    return known, find_local(known.base) if known.base else None


def _name(checkpoint: "Checkpoint | None") -> str | None:
    return checkpoint.name if checkpoint else None


def _check(settings: "Settings", adapter: str, known: "Installed", checkpoint: "Checkpoint | None") -> "tuple[Preflight, str]":
    """The static preflight, then the canary where there is a base to compute it with."""
    from assistant.adapters.preflight import check_adapter

    base = _identity(settings, checkpoint) if checkpoint else None
    found = check_adapter(known.folder, base, models=settings.models, trust_base=known.trusted, name=adapter)
    if not checkpoint:
        return found, "not computed: its base isn't on this machine; name it with --model"
    if found.manifest is None or found.role == "reward":
        return found, "not computed: it has none" if found.manifest is None else "not computed: it is of a reward adapter"
    return found, _canary(settings, found, checkpoint)


def _canary(settings: "Settings", found: "Preflight", checkpoint: "Checkpoint") -> str:
    from assistant.adapters.admitting import admit
    from assistant.adapters.selection import Chosen
    from assistant.adapters.swapping import Adapters
    from assistant.models.loading import Request, load

    # In the number format that it was trained in, the logits must be those of the training.
    request = Request(settings.quantization, dtype=_trained_in(found), context=settings.context, models=settings.models)
    loaded = load(checkpoint.name, request, announce=note)
    adapters, said = Adapters(loaded.model), list[str]()
    try:
        admit(adapters, (Chosen(found.name, found.folder, found.computes, slow=found.slow),), loaded, said.append)
    finally:
        adapters.close()
    return said[0] if said else "it computes what it computed when it was trained"


def _trained_in(found: "Preflight") -> "DtypeName":
    from assistant.models.hardware import DtypeName

    trained = found.manifest.canary.dtype if found.manifest else ""
    names: tuple[DtypeName, ...] = get_args(DtypeName)
    return next((name for name in names if name == trained), "auto")


@adapters_app.command("remove")
def remove_adapter(adapter: Name, yes: Yes = False, as_json: Json = False) -> None:
    """Delete an adapter; of a linked one the link alone."""
    from assistant.adapters.installing import names
    from assistant.adapters.registry import remove

    settings = prepare()
    if adapter in names(settings.home) and not agreed(f"Delete the adapter {adapter!r}?", yes=yes):
        return
    remove(settings.home, adapter)
    if as_json:
        from assistant.rendering.adapters import removed_document

        print_json(removed_document(adapter))
    else:
        typer.echo(f"deleted the adapter {adapter}")
