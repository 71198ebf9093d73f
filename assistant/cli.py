"""The command line: which commands there are, and what becomes of an error.

A command parses its flags, calls one function of the library and renders what it returns. Every import that is not needed for
``--help`` stands inside a command: start-up is a feature.

What becomes of an error: see `running`.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from assistant.commands import adapters, ask, cache, evaluate, history, index
from assistant.running import Commands, run_app

app = typer.Typer(
    cls=Commands,
    name="assistant",
    help="Answers questions from your own documents, with citations. Alone, it opens the chat.",
    epilog="Begin with:  assistant index FOLDER   then   assistant chat",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    rich_markup_mode=None,  # plain help: rich's panels would double the start-up
    pretty_exceptions_enable=False,
)
index.register(app)
ask.register(app)
evaluate.register(app)
history.register(app)
cache.register(app)
adapters.register(app)


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"assistant {installed('assistant')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        ask.chat()


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    return run_app(app, arguments, program="assistant")
