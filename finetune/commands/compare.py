"""`finetune compare A B`: which of two adapters answers better, by whom, and whether that could be chance."""

import json
import sys

import typer

from assistant.models.quiet import quiet
from finetune.commands.check_text import plain
from finetune.commands.train import announce
from finetune.reinforcement.rl_settings import RANGE, as_range
from indexes.errors import UsageError


def compare_adapters(*, prompt_tokens: str, as_json: bool, **given: object) -> int:
    """Compare, write the records, print what came of it, and return the exit code.

    Args:
        prompt_tokens: of a plain text, its first tokens that are the prompt: a number or a range.
        as_json: print one JSON document instead of lines.
        given: the rest of ``comparing.Comparing``.

    Raises:
        UsageError, DataFault, ModelError, TrainingError: see ``comparing.compare``.
    """
    if not RANGE.fullmatch(prompt_tokens) or not 1 <= as_range(prompt_tokens)[0] <= as_range(prompt_tokens)[1]:
        raise UsageError(f"--prompt-tokens is {prompt_tokens!r}", hint="give a number of tokens, or a range such as 2-8")
    with quiet():  # the libraries beneath have things to say as they are imported
        from finetune.side_by_side.comparing import Comparing, compare
        from finetune.side_by_side.comparison_page import document, refuse_other_folder, sentences, write_records
        from finetune.side_by_side.judges import read_key

    comparing = Comparing(prompt_tokens=as_range(prompt_tokens), **given)  # type: ignore[arg-type]
    comparing.check()
    if comparing.out:
        from finetune.run_folder.files import make_folder

        refuse_other_folder(comparing.out)
        make_folder(comparing.out)
    compared = compare(comparing, read=read_key, write=_show, announce=announce)
    report = write_records(compared, comparing.out) if comparing.out else None
    if as_json:
        said = document(compared, pairs=False) | {"report": None if report is None else str(report)}
        sys.stdout.write(json.dumps(said, allow_nan=False) + "\n")
        return 0
    for line in sentences(compared):
        typer.echo(plain(line))
    if report:
        typer.echo(f"report: {report}")
    return 0


def _show(text: str) -> None:
    """Show a person what is to be judged, beside what goes to other programs; nothing in it is obeyed by the terminal."""
    sys.stderr.write(plain(text))
    sys.stderr.flush()
