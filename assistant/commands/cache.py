"""The command that looks after past answers: `cache`."""

from typing import TYPE_CHECKING, Annotated

import typer

from assistant.commands.ask import Adapter, Index, Model, Quantization, Server, open_settled, settle
from assistant.commands.history import Yes, agreed
from assistant.commands.index import Json, prepare, print_json
from assistant.rendering.terminal import note

if TYPE_CHECKING:
    from assistant.cache.store import CacheStore
    from assistant.settings import Settings

cache_app = typer.Typer(help="Show, list and delete past answers that may be given again.", rich_markup_mode=None)

Scope = Annotated[
    str | None,
    typer.Option("--scope", metavar="S", help="Those of one scope: its name, or how its key begins.", show_default=False),
]
Source = Annotated[str | None, typer.Option("--source", metavar="F", help="Those that cite this file.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.add_typer(cache_app, name="cache")


@cache_app.callback(invoke_without_command=True)
def _cache(context: typer.Context, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        stats(as_json=as_json)


@cache_app.command("stats")
def stats(as_json: Json = False) -> None:
    """Show how often answers were given again, and what that saved (this is what `assistant cache` does)."""
    from assistant.rendering.cache import read_stats, render_stats, stats_document
    from assistant.rendering.screen import Screen

    settings = prepare()
    found = read_stats(_store(settings), settings)
    if as_json:
        print_json(stats_document(found))
        return
    Screen(settings).show(render_stats(found))


@cache_app.command("list")
def list_entries(scope: Scope = None, as_json: Json = False) -> None:
    """List the answers that are kept, the one given last first."""
    from assistant.rendering.cache import entries_document, render_entries
    from assistant.rendering.screen import Screen

    settings = prepare()
    found = _store(settings).entries(scope) if _is_there(settings) else []
    if as_json:
        print_json(entries_document(found))
        return
    if not found:
        note("No answer is kept yet.")
        return
    Screen(settings).show(render_entries(found))


@cache_app.command("audit")
def audit_hits(
    index: Index = None,
    model: Model = None,
    server: Server = None,
    quantization: Quantization = None,
    adapter: Adapter = None,
    most: Annotated[int, typer.Option("--most", metavar="N", help="At most so many.", min=1)] = 20,
) -> None:
    """Answer questions afresh that were answered from the cache by meaning, and compare; a wrong answer isn't given again."""
    from assistant.cache.auditing import audit
    from assistant.rendering.indexes import counted

    settings = settle(index=index, model=model, server=server, quantization=quantization, adapter=adapter)
    with open_settled(settings) as (assistant, _):
        if assistant.cache is None:
            note("No answer is kept: the setting `cache` is off, or the temperature isn't 0.")
            return
        found = audit(assistant.cache, lambda question, strict: assistant.ask(question, strict=strict, fresh=True), most=most)
    typer.echo(f"audited {counted(found.audited, 'hit')}, {found.wrong} wrong")


@cache_app.command("clear")
def clear(scope: Scope = None, source: Source = None, yes: Yes = False) -> None:
    """Delete the answers that are kept: all, those of a scope, or those that cite a file."""
    from assistant.rendering.indexes import counted

    settings = prepare()
    if not _is_there(settings):
        note("There is nothing to delete.")
        return
    which = " ".join(
        part for part in ("those of " + repr(scope) if scope else "", "those that cite " + repr(source) if source else "") if part
    )
    if agreed(f"Delete {which or 'all answers that are kept'}?", yes=yes):
        typer.echo(f"deleted {counted(_store(settings).clear(scope, source), 'answer')}")


def _store(settings: "Settings") -> "CacheStore":
    from assistant.cache.store import CacheStore

    return CacheStore(settings.home, most_entries=settings.cache_entries)


def _is_there(settings: "Settings") -> bool:
    return _store(settings).database.file.exists()
