"""`finetune self-reward`: rounds of answers that a model judges itself, and learns from, with brakes."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from finetune.commands.check_text import plain
from finetune.commands.train import announce
from finetune.config import CHOICES

NO_SETTINGS = ("config", "resume")
"""What the verb knows that is no setting."""
HELP = "Learn from answers that the model writes and judges itself, round after round, as long as people agree with the judge."


def _option(*names: str, about: str, **more: Any) -> Any:
    return typer.Option(*names, help=about, show_default=False, **more)


def self_reward(
    base: Annotated[str | None, _option("--base", about="The model to adapt: a folder or a Hugging Face id.")] = None,
    data: Annotated[list[str] | None, _option("--data", about="Prompts to answer: a file or folder; may be repeated.")] = None,
    pairs: Annotated[
        list[str] | None, _option("--pairs", about="Pairs that people judged, to hold judge and rounds against; may be repeated.")
    ] = None,
    out: Annotated[str | None, _option("--out", about="The adapter's folder; must be empty.")] = None,
    config: Annotated[Path | None, _option("--config", about="Settings as a TOML file; flags win.")] = None,
    init_adapter: Annotated[str | None, _option("--init-adapter", about="An adapter to begin with.")] = None,
    rounds: Annotated[int | None, _option("--rounds", about="At most. [3]")] = None,
    candidates: Annotated[int | None, _option("--candidates", about="Answers to each prompt. [4]")] = None,
    judgements: Annotated[int | None, _option("--judgements", about="Of each answer, by a model; their mean counts. [3]")] = None,
    method: Annotated[str | None, _option("--method", about="How a round learns from its pairs: dpo|orpo. [dpo]")] = None,
    judge: Annotated[
        str | None,
        _option("--judge", "--grader", about="Instead of the model: a grader as in ppo's --grader, or an adapter's folder."),
    ] = None,
    grader_timeout: Annotated[
        float | None, _option("--grader-timeout", about="Seconds that a function of yours may take for 32 answers. [30]")
    ] = None,
    quantization: Annotated[
        str | None, _option("--quantization", about=f"How the base is kept: {'|'.join(CHOICES['quantization'])}.")
    ] = None,
    max_steps: Annotated[int | None, _option("--max-steps", about="End each round after so many steps.")] = None,
    epochs: Annotated[float | None, _option("--epochs", about="Times that a round sees its pairs. [1]")] = None,
    batch: Annotated[int | None, _option("--batch", about="Pairs at once. [8]")] = None,
    learning_rate: Annotated[float | None, _option("--learning-rate", about="The highest. [the method's]")] = None,
    beta: Annotated[float | None, _option("--beta", about="How hard a preference pulls. [0.1]")] = None,
    max_length: Annotated[int | None, _option("--max-length", about="Tokens of a prompt and an answer. [1024]")] = None,
    answer_tokens: Annotated[int | None, _option("--answer-tokens", about="Of an answer at most. [160]")] = None,
    temperature: Annotated[float | None, _option("--temperature", about="Of answers and judgements. [1]")] = None,
    min_agreement: Annotated[
        float | None, _option("--min-agreement", about="Share of the held-out pairs on which the judge must agree. [0.55]")
    ] = None,
    device: Annotated[str | None, _option("--device", about=f"{'|'.join(CHOICES['device'])}.")] = None,
    seed: Annotated[int | None, _option("--seed", about="Of everything that is drawn. [0]")] = None,
    resume: Annotated[bool, _option("--resume", about="Go on with the run in --out.")] = False,
) -> None:
    """Learn from answers that the model writes and judges itself."""
    given = dict(locals())  # each flag is a setting of its name
    from finetune.self_rewarding.settings import read_rounds

    settings = read_rounds(config, {name: value for name, value in given.items() if name not in NO_SETTINGS})
    _run(settings, resume=resume)


def _run(settings: Any, *, resume: bool) -> None:
    """Train, print what came of it, and leave.

    Raises:
        CheckFailed: no round was kept.
        KeyboardInterrupt: it was interrupted, and how to go on was said.
    """
    from assistant.models.quiet import quiet

    with quiet():  # the libraries beneath have things to say as they are imported
        from finetune.run_folder.report import REPORT
        from finetune.self_rewarding.rounds import run_rounds
        from finetune.self_rewarding.rounds_page import sentences
    go_on = "go on with the same command and --resume"
    try:
        ended = run_rounds(settings, resume=resume, announce=announce, command=["finetune", *sys.argv[1:]])
    except KeyboardInterrupt:
        typer.echo(f"stopped; {go_on}", err=True)
        raise
    if ended.interrupted:
        typer.echo(f"stopped in round {ended.interrupted[0]} at step {ended.interrupted[1]}; {go_on}", err=True)
        raise KeyboardInterrupt
    for line in sentences(ended.document):
        typer.echo(plain(line))
    report = Path(settings.rounds.out) / "run" / REPORT
    typer.echo(plain(f"report: {report}"))
    if not ended.kept:
        from assistant.errors import CheckFailed

        raise CheckFailed(
            f"self-rewarding was stopped and kept no round: {ended.document['why']}",
            hint=f"give a judge that people agree with: --judge (a grader, a reward model, an adapter that judges); see {report}",
        )


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("self-reward", help=HELP, short_help=HELP)(self_reward)
