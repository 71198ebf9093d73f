"""Running a command line: every error becomes two lines on standard error and an exit code. `assistant` and `finetune` share it.

Exit codes: see `errors`. ``--debug`` may stand anywhere in the line and adds the traceback.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from assistant.errors import BUG, INTERRUPTED
from assistant.rendering.terminal import sanitize, tolerate_encodings
from indexes.errors import UserError


class Commands(TyperGroup):
    """The commands; a reader of their output that goes away (``| head``) ends them quietly, where typer would exit with 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _drop_output()
            return 0


def run_app(app: typer.Typer, arguments: Sequence[str], *, program: str) -> int:
    """Run a command line and return its exit code; every error has become text by then."""
    tolerate_encodings(sys.stdin, sys.stdout, sys.stderr)
    os.umask(0o077)  # whatever any command writes is its owner's alone
    arguments, debug = take_debug(arguments)
    try:
        code = typer.main.get_command(app).main(args=list(arguments), prog_name=program, standalone_mode=False)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place where any error becomes text
        if debug:
            import traceback

            traceback.print_exc()
        return explain(error, program=program)
    return code if isinstance(code, int) else 0


def take_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Take ``--debug`` out of a command line, wherever it stands before ``--``."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument != "--debug"]
    return [*options, *arguments[end:]], len(options) < end


def explain(error: BaseException, *, program: str = "assistant") -> int:
    """Say on standard error what failed and what mends it; returns the exit code."""
    if isinstance(error, BrokenPipeError):
        _drop_output()
        return 0  # the reader has read what it wanted
    if isinstance(error, UserError):
        return _two_lines(error.message, error.hint, error.exit_code)
    if isinstance(error, typer.TyperException):  # typer's usage errors
        return _two_lines(_usage_message(error), _usage_hint(error, program), 2)
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    if isinstance(error, MemoryError):
        return _two_lines("there is not enough memory", "close other programs, or index fewer files at a time", BUG)
    return _two_lines(
        f"this is a bug in {program}: {type(error).__name__}: {error}",
        "run the same command with --debug added, and report what it prints",
        BUG,
    )


def _two_lines(message: str, hint: str, code: int) -> int:
    for label, text in (("error", message), ("hint", hint)):
        line = " ".join(part.strip() for part in text.splitlines() if part.strip())
        sys.stderr.write(f"{label}: {sanitize(line, one_line=True)}\n")
    return code


def _usage_message(error: typer.TyperException) -> str:
    message = error.format_message().rstrip(".")
    return message[:1].lower() + message[1:]


def _usage_hint(error: typer.TyperException, program: str) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else program
    if "unexpected extra argument" in error.message:
        return f"put a text of several words into quotes; `{command} --help` shows what the command takes"
    return f"`{command} --help` shows what is allowed"


def _drop_output() -> None:
    """Point standard output at nothing, so that its flush at exit doesn't fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
