"""`finetune pipeline RECIPE.toml`: several trainings, each made of those before it, from one file."""

import sys
from collections.abc import Mapping
from pathlib import Path

import typer

from finetune.commands.check_text import plain
from finetune.commands.train import announce
from finetune.stages.stages import Pipeline, read_pipeline

MEANING = {
    "done": "it is done",
    "begun": "it would be gone on with",
    "new": "it would be trained",
    "again": "it would be trained again",
}


def run_stages(file: Path, *, start: str, only_check: bool) -> int:
    """Check all stages, train what is to be trained, print what came of it, and return the exit code.

    Args:
        file: the recipe.
        start: a stage to train again, with what is made of it; empty: nothing is trained twice.
        only_check: say what would be done, and do nothing.

    Raises:
        UsageError: with all faults of all stages.
        KeyboardInterrupt: it was interrupted, and how to go on was said.
    """
    from finetune.run_folder.report import REPORT
    from finetune.stages.pipeline import command_of, plan, run_pipeline
    from finetune.stages.pipeline_page import HEAD, aligned, next_steps, rows_of

    pipeline = read_pipeline(file)
    if only_check:
        _say_plan(pipeline, plan(pipeline, start=start))
        return 0
    go_on = f"go on with: {command_of(pipeline)}"
    try:
        done = run_pipeline(pipeline, start=start, announce=announce, command=["finetune", *sys.argv[1:]])
    except KeyboardInterrupt:
        typer.echo(f"stopped; {go_on}", err=True)
        raise
    if done.stopped:
        typer.echo(f"stopped in stage {done.stopped[0]!r} at step {done.stopped[1]}; {go_on}", err=True)
        raise KeyboardInterrupt
    here = Path.cwd()
    out = pipeline.out.relative_to(here) if pipeline.out.is_relative_to(here) else pipeline.out
    for line in aligned([HEAD, *rows_of(out, done.document)]):
        typer.echo(plain(line))
    for step in next_steps(out, done.document):
        typer.echo(plain(f"next: {step}"))
    typer.echo(plain(f"report: {out / REPORT}"))
    return 0


def _say_plan(pipeline: Pipeline, states: Mapping[str, str]) -> None:
    """What would be done, a line a stage."""
    for notice in pipeline.notices:
        announce(notice)
    for stage in pipeline.stages:
        made_of = f", made of {' and '.join(stage.parents)}" if stage.parents else ""
        typer.echo(plain(f"{stage.name}: {stage.config.method}{made_of}: {MEANING[states[stage.name]]}"))
