"""The commands that answer: `ask`, `chat`, `search`, `eval`; and `doctor`, which says why they can't."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.cli_index import Json, prepare, print_json
from assistant.completion import index_names
from assistant.errors import CheckFailed, IndexNotFound, ModelError, UsageError

if TYPE_CHECKING:
    from assistant.screen import Screen
    from assistant.settings import Settings

Index = Annotated[
    list[str] | None,
    typer.Option(
        "--index", metavar="NAME", help="Answer from this index; may be repeated.", autocompletion=index_names, show_default=False
    ),
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="MODEL", help="Who writes the answer; so far only 'extractive', which is built in."),
]
Adapter = Annotated[
    str | None, typer.Option("--adapter", metavar="NAME", help="An adapter of the model, or 'none'; 'extractive' takes none.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Leave out every sentence that its citation doesn't support.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Don't reuse a past answer. (Nothing is reused in this version.)")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("ask")(ask)
    app.command("chat")(chat)
    app.command("search")(search)
    app.command("eval")(evaluate)
    app.command("doctor")(doctor)


def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="In quotes.")],
    index: Index = None,
    model: Model = None,
    adapter: Adapter = None,
    strict: Strict = False,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Answer one question, with citations, or say that the documents don't."""
