"""The commands that build and look after indexes: `index` and `indexes`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.commands.completion import index_names
from assistant.errors import INTERRUPTED, CheckFailed, UsageError
from assistant.rendering.terminal import describe, note
from assistant.settings import Settings, load_settings

if TYPE_CHECKING:
    from assistant.grounding.probes import ProbeReport
    from indexes.build import BuildReport

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="An index; `assistant indexes` lists them.", autocompletion=index_names)
]

indexes_app = typer.Typer(help="List, show, check and delete indexes.", rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("index")(index)
    app.add_typer(indexes_app, name="indexes")


def prepare(flags: Mapping[str, object] | None = None) -> Settings:
    """Gather the settings and see that their home exists, private to its owner."""
    from indexes.private import private_folder

    settings = load_settings(flags)
    private_folder(settings.home)
    return settings


def print_json(document: Mapping[str, object]) -> None:
    """Print the one JSON document of a command."""
    from assistant.rendering.documents import dump

    typer.echo(dump(document, ascii_only=not describe(sys.stdout).unicode))


def index(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Folders or files to read. None: look again at those read before."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The index to write; 'default' if none is named.", autocompletion=index_names)
    ] = None,
    include: Annotated[list[str] | None, typer.Option("--include", metavar="GLOB", help="Only such files, e.g. '*.md'.")] = None,
    exclude: Annotated[list[str] | None, typer.Option("--exclude", metavar="GLOB", help="No such files, e.g. 'drafts/'.")] = None,
    embedder: Annotated[str | None, typer.Option("--embedder", metavar="ID", help="The embedding model of a new index.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and refresh within two seconds of a change.")] = False,
    as_json: Json = False,
) -> None:
    """Read documents into an index.

    Without a path: refresh the index. Only what changed is read again.
    """
    from assistant.commands import indexing
    from assistant.rendering.indexes import render_report
    from assistant.rendering.screen import Screen
    from indexes.build import BuildReport
    from indexes.roots import RootRequest

    if watch and as_json:
        raise UsageError(
            "--watch never ends and --json prints one document: they exclude each other", hint="leave one of them out"
        )
    if not paths and (include or exclude):
        raise UsageError("--include and --exclude belong to the folders that they are given with", hint="name the folder too")
    settings = prepare({"embedder": embedder})
    screen = Screen(settings)
    requests = [RootRequest(path, tuple(include or ()), tuple(exclude or ())) for path in paths or ()]
    target = indexing.name_to_build(settings, paths or (), name)

    def show(report: BuildReport) -> None:
        screen.show(render_report(report, screen.terminal))

    report = indexing.build(settings, screen, target, requests)
    if as_json:
        _print_report(report)
    else:
        show(report)
    if report.interrupted:
        raise typer.Exit(INTERRUPTED)
    if watch:
        note("watching; Ctrl-C ends it")
        indexing.watch(lambda: indexing.build(settings, screen, target, ()), show)


def _print_report(report: "BuildReport") -> None:
    from assistant.rendering.documents import build_document

    print_json(build_document(report))


@indexes_app.callback(invoke_without_command=True)
def _indexes(context: typer.Context, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        list_(as_json=as_json)


@indexes_app.command("list")
def list_(as_json: Json = False) -> None:
    """List the indexes (this is what `assistant indexes` does)."""
    from indexes.catalog import default_index, list_indexes

    settings = prepare()
    infos = list_indexes(settings.home)
    if as_json:
        from assistant.rendering.documents import indexes_document

        print_json(indexes_document(infos))
        return
    from assistant.rendering.indexes import render_indexes
    from assistant.rendering.screen import Screen

    screen = Screen(settings)
    if not infos:
        note("There is no index yet. Make one with: assistant index FOLDER")
        return
    sound = [info for info in infos if not info.problem]
    screen.show(render_indexes(infos, default=default_index(settings.home) if sound else None))


@indexes_app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show what an index holds and how it was built."""
    from indexes.catalog import describe_index, index_folder

    settings = prepare()
    info = describe_index(index_folder(settings.home, name))
    if as_json:
        from assistant.rendering.documents import index_document

        print_json(index_document(info))
        return
    from assistant.rendering.indexes import render_index
    from assistant.rendering.screen import Screen

    Screen(settings).show(render_index(info))


@indexes_app.command()
def check(
    name: Name,
    probes: Annotated[
        bool,
        typer.Option("--probes", help="Also ask questions made from its documents, with and without their source (a minute)."),
    ] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="With --probes: answer from this index at the stricter threshold that they propose.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check that an index is whole. Exit code 7 if it isn't."""
    from indexes.catalog import check_index, index_folder

    settings = prepare()
    problems = check_index(index_folder(settings.home, name))
    report = _probe(settings, name, adopt=adopt) if (probes or adopt) and not problems else None
    if as_json:
        from assistant.rendering.documents import check_document

        print_json(check_document(name, problems, report))
    elif not problems:
        from assistant.rendering.indexes import render_probes

        typer.echo(f"{name}: sound")
        for line in render_probes(report, name, adopted=adopt) if report else []:
            typer.echo(line)
    if problems:
        raise CheckFailed(
            f"index {name!r}: {'; '.join(problems)}",
            hint=f"`assistant indexes delete {name}`, then `assistant index FOLDER --name {name}` builds it anew",
        )


def _probe(settings: Settings, name: str, *, adopt: bool) -> "ProbeReport":
    from assistant.grounding import probes
    from assistant.wiring import open_searcher
    from indexes.catalog import index_folder

    def say(done: int, of: int) -> None:
        if sys.stderr.isatty() and not done % 5:
            note(f"{done} of {of} probes")

    with open_searcher(settings, index=[name], announce=note) as searcher:
        report = probes.probe_index(index_folder(settings.home, name), searcher, top_k=settings.top_k, progress=say)
    if adopt:
        probes.adopt(index_folder(settings.home, name), report)
    return report


@indexes_app.command()
def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete an index. The documents stay as they are."""
    from indexes.catalog import delete_index, index_folder

    settings = prepare()
    folder = index_folder(settings.home, name)
    if not yes and folder.exists():
        if not sys.stdin.isatty():
            raise UsageError(f"deleting the index {name!r} needs a yes, and there is no terminal to ask at", hint="add --yes")
        if not typer.confirm(f"Delete the index {name!r}? The documents stay as they are.", err=True):
            typer.echo("Nothing was deleted.", err=True)
            return
    delete_index(settings.home, name)
    if as_json:
        from assistant.rendering.documents import deleted_document

        print_json(deleted_document(name))
    else:
        typer.echo(f"deleted the index {name}")
