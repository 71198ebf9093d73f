"""The command line of `finetune`: which verbs there are. What becomes of an error: see ``assistant.running``.

Every import that ``--help`` doesn't need stands inside a verb.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from assistant.running import Commands, run_app
from finetune.commands import self_reward, train

app = typer.Typer(
    cls=Commands,
    name="finetune",
    help="Aligns the assistant to you: data and feedback become adapters that it can swap.",
    epilog="Begin with:  finetune check DATA   then   finetune sft --base M --data DATA --out DIR",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Make training data from use: from feedback, or from questions and an index.", rich_markup_mode=None)

Base = Annotated[str | None, typer.Option("--base", help="A model: a folder or a Hugging Face id.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.", show_default=False)]
Index = Annotated[list[str] | None, typer.Option("--index", help="An index by its name; may be repeated.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", help="The file to write.", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.", show_default=False)]


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"finetune {installed('assistant')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("check")
def _check(
    data: Annotated[list[Path], typer.Argument(help="Files and folders.", show_default=False)],
    eval_data: Annotated[list[Path] | None, typer.Option("--eval-data", help="Rows to measure on.", show_default=False)] = None,
    base: Base = None,
    max_length: Annotated[int, typer.Option("--max-length", help="Tokens of the longest row.")] = 1024,
    grader: Annotated[
        list[str] | None, typer.Option("--grader", help="SPEC or SPEC*WEIGHT to attack; may be repeated.", show_default=False)
    ] = None,
    grader_timeout: Annotated[float, typer.Option("--grader-timeout", help="Seconds of a function for a batch.", min=0.1)] = 30,
    force: Annotated[bool, typer.Option("--force", help="Only warn of a grader that is cheated.")] = False,
    as_json: Json = False,
) -> None:
    """Look training data over before anything heavy: every fault with its file and line; and what cheats a grader."""
    from finetune.commands.check import check

    raise typer.Exit(
        check(
            data, eval_paths=eval_data or (), base=base, max_length=max_length, graders=grader or (),
            grader_timeout_s=grader_timeout, force=force, as_json=as_json,
        )
    )  # fmt: skip


@app.command("plan")
def _plan(
    base: Annotated[str, typer.Option("--base", help="A model: a folder or a Hugging Face id.", show_default=False)],
    method: Annotated[str, typer.Option("--method", help="The verb: sft, orpo, dpo, kto, reward, ppo, rloo or grpo.")] = "sft",
    data: Annotated[
        list[str] | None, typer.Option("--data", help="Rows, to count and to measure with.", show_default=False)
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Settings as a TOML file.", show_default=False)] = None,
    quantization: Annotated[str | None, typer.Option("--quantization", help="none|int8|nf4.", show_default=False)] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Rows at once. [8]", show_default=False)] = None,
    max_length: Annotated[int | None, typer.Option("--max-length", help="Tokens of a row. [1024]", show_default=False)] = None,
    rank: Annotated[int | None, typer.Option("--rank", help="Of the adapter's matrices. [16]", show_default=False)] = None,
    epochs: Annotated[
        float | None, typer.Option("--epochs", help="Times that all rows are seen. [1]", show_default=False)
    ] = None,
    checkpointing: Annotated[str | None, typer.Option("--checkpointing", help="auto|on|off.", show_default=False)] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Train three steps on --data and go by them.")] = False,
    as_json: Json = False,
) -> None:
    """Say what a training will take, in memory and time, and on which machine it fits. Nothing is trained."""
    from finetune.commands.plan import plan_training

    flags = {"base": base, "data": tuple(data) if data else None, "quantization": quantization, "batch": batch,
             "max_length": max_length, "rank": rank, "epochs": epochs, "checkpointing": checkpointing, "out": "-"}  # fmt: skip
    raise typer.Exit(plan_training(method, config, flags, measure=measure, as_json=as_json))


@app.command("merge")
def _merge(
    adapter: Annotated[Path, typer.Argument(help="An adapter's folder.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="The model's folder; must be empty.", show_default=False)],
    base: Base = None,
) -> None:
    """Put an adapter into its base for good: one model, in full precision."""
    from finetune.merging import merge

    off = merge(adapter, out, base=base, announce=train.announce)
    typer.echo(f"merged into {out}: logits are off by {off:.1e} at most")


@app.command("compare")
def _compare(
    a: Annotated[str, typer.Argument(metavar="A", help="An adapter's folder, or none: the base.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="What it is compared with.", show_default=False)],
    prompts: Annotated[
        list[Path], typer.Option("--prompts", help="Rows whose prompts are answered; may be repeated.", show_default=False)
    ],
    judge: Annotated[
        list[str] | None,
        typer.Option("--judge", help="A grader as in --grader, llm:MODEL, or human; may be repeated.", show_default=False),
    ] = None,
    base: Base = None,
    out: Annotated[Path | None, typer.Option("--out", help="A folder for the report and answers.", show_default=False)] = None,
    samples: Annotated[int, typer.Option("--samples", help="Answers to each prompt; 1 is written greedily.")] = 1,
    most: Annotated[int, typer.Option("--most", help="Prompts that are used; 0: all.")] = 0,
    answer_tokens: Annotated[int, typer.Option("--answer-tokens", help="Of an answer at most.")] = 160,
    prompt_tokens: Annotated[str, typer.Option("--prompt-tokens", help="Of a plain text, its first ones.")] = "2-8",
    temperature: Annotated[float, typer.Option("--temperature", help="Of several answers.")] = 1.0,
    margin: Annotated[float, typer.Option("--margin", help="Scores that differ by no more are a tie.")] = 0.0,
    grader_timeout: Annotated[float, typer.Option("--grader-timeout", help="Seconds of your function for 32 answers.")] = 30.0,
    quantization: Annotated[str, typer.Option("--quantization", help="How the base is kept: none|int8|nf4.")] = "none",
    device: Annotated[str, typer.Option("--device", help="auto|cpu|cuda|mps.")] = "auto",
    trust_base: Annotated[bool, typer.Option("--trust-base", help="Take adapters that don't name their base.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of what is drawn.")] = 0,
    as_json: Json = False,
) -> None:
    """Compare two adapters side by side on the same prompts: win rate, how sure it is, and the answers themselves."""
    from finetune.commands.compare import compare_adapters

    raise typer.Exit(
        compare_adapters(
            a=a, b=b, prompts=tuple(prompts), judges=tuple(judge or ()), base=base or "", out=out, samples=samples, most=most,
            answer_tokens=answer_tokens, prompt_tokens=prompt_tokens, temperature=temperature, margin=margin,
            quantization=quantization, device=device, trust_base=trust_base, seed=seed, grader_timeout=grader_timeout,
            as_json=as_json,
        )
    )  # fmt: skip


@app.command("pipeline")
def _pipeline(
    recipe: Annotated[Path, typer.Argument(help="The stages, as a TOML file.", show_default=False)],
    start: Annotated[
        str, typer.Option("--from", help="Train this stage again, and what is made of it.", show_default=False)
    ] = "",
    only_check: Annotated[bool, typer.Option("--check", help="Say what would be done, and train nothing.")] = False,
) -> None:
    """Train in stages, such as SFT, a reward model and PPO, from one file; the same command goes on after a stop."""
    from finetune.commands.pipeline import run_stages

    raise typer.Exit(run_stages(recipe, start=start, only_check=only_check))


@app.command("tokenizer")
def _tokenizer(
    texts: Annotated[list[Path], typer.Argument(help="Text files, one language each.", show_default=False)],
    base: Annotated[list[str], typer.Option("--base", help="A tokenizer; may be repeated.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help="A picture to draw (PNG).", show_default=False)] = None,
    context: Annotated[int | None, typer.Option("--context", help="Tokens of the context.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Say what a language costs with a tokenizer, and whether to train on it as it is."""
    from finetune.commands.tokenizer import report

    raise typer.Exit(report(texts, base, out=out, context=context, as_json=as_json))


@data_app.command("from-feedback")
def _from_feedback(
    out: Out,
    kind: Annotated[str, typer.Option("--kind", help="Rows to make: kto, preference or sft.")] = "kto",
    feedback: Annotated[Path | None, typer.Option("--feedback", help="Another file of feedback.", show_default=False)] = None,
    index: Index = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Turn thumbs, corrections and comparisons into rows."""
    from finetune.commands.data import from_feedback

    raise typer.Exit(
        from_feedback(home=_home(), kind=kind, out=out, feedback=feedback, index=index or (), force=force, as_json=as_json)
    )


@data_app.command("raft")
def _raft(
    questions: Annotated[Path, typer.Option("--questions", help="Questions as `assistant eval` reads them.", show_default=False)],
    out: Out,
    index: Index = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="FIELD=VALUE of the questions.", show_default=False)] = None,
    distractors: Annotated[int, typer.Option("--distractors", help="Passages beside the right one.")] = 4,
    without_golden: Annotated[float, typer.Option("--without-golden", help="Share of rows without the right passage.")] = 0.2,
    seed: Annotated[int, typer.Option("--seed", help="Of the order and the choice.")] = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make rows of questions and live indexes: the right passage, near misses, and abstentions where it is left out."""
    from finetune.commands.data import raft

    raise typer.Exit(
        raft(
            home=_home(), questions=questions, out=out, index=index or (), only=only or (), distractors=distractors,
            without_golden=without_golden, seed=seed, force=force, as_json=as_json, announce=train.announce,
        )
    )  # fmt: skip


def _home() -> Path:
    from assistant.settings import find_home

    return find_home()[0]


app.add_typer(data_app, name="data")
train.register(app)
self_reward.register(app)


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    return run_app(app, arguments, program="finetune")
