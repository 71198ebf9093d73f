"""The training verbs: one for each of ``config.METHODS``. All take the same flags; what they learn differs."""

import inspect
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from finetune.config import CHOICES, METHODS, Method, TrainingConfig, read_config
from finetune.reinforcement.rl_settings import METHODS_IN_GROUPS, METHODS_WITH_ROLLOUTS

ABOUT: dict[Method, str] = {
    "sft": "Learn to answer as in the data: prompts with answers, conversations, or plain text.",
    "orpo": "Learn which of two answers is better, and to write it, in one go (ORPO).",
    "dpo": "Learn which of two answers is better, without moving far from the base (DPO).",
    "kto": "Learn from answers that were called good or bad, such as thumbs (KTO).",
    "reward": "Learn to score answers: from pairs, ratings or classes.",
    "ppo": "Learn to write answers that a grader scores well, without moving far from the base (PPO).",
    "rloo": "The same by comparing several answers to each prompt: less to learn, more to write (RLOO).",
    "grpo": "The same, with scores in standard deviations of an answer's siblings (GRPO).",
}

OTHERS = ("config", "resume", "method")
"""What a verb knows that is no setting."""
ROLLOUT_FLAGS = (
    *("grader", "eval_grader", "grader_timeout", "force", "kl", "target_kl", "rollouts", "prompt_tokens", "answer_tokens"),
    "temperature",
)
GROUP_FLAGS = ("num_generations",)
"""Flags of the methods that write answers and have them scored."""


def _option(*names: str, about: str, **more: Any) -> Any:
    return typer.Option(*names, help=about, show_default=False, **more)


def _one_of(name: str) -> str:
    return "|".join(CHOICES[name])


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    for method in METHODS:
        app.command(method, help=ABOUT[method], short_help=ABOUT[method])(_verb(method))


def _verb(method: Method) -> Callable[..., None]:
    def verb(
        base: Annotated[str | None, _option("--base", about="The model to adapt: a folder or a Hugging Face id.")] = None,
        data: Annotated[
            list[str] | None, _option("--data", about="Rows to learn from: a file or folder; may be repeated.")
        ] = None,
        out: Annotated[str | None, _option("--out", about="The adapter's folder; must be empty.")] = None,
        config: Annotated[Path | None, _option("--config", about="Settings as a TOML file; flags win.")] = None,
        eval_data: Annotated[list[str] | None, _option("--eval-data", about="Rows to measure on. [a tenth of the data]")] = None,
        quantization: Annotated[
            str | None, _option("--quantization", about=f"How the base is kept: {_one_of('quantization')}.")
        ] = None,
        max_steps: Annotated[int | None, _option("--max-steps", about="End after so many steps.")] = None,
        epochs: Annotated[float | None, _option("--epochs", about="Times that all rows are seen. [1]")] = None,
        batch: Annotated[int | None, _option("--batch", about="Rows at once. [8]")] = None,
        accumulate: Annotated[int | None, _option("--accumulate", about="Batches of a step. [1]")] = None,
        learning_rate: Annotated[float | None, _option("--learning-rate", about="The highest. [the method's]")] = None,
        rank: Annotated[int | None, _option("--rank", about="Of the adapter's matrices. [16]")] = None,
        alpha: Annotated[int | None, _option("--alpha", about="The adapter counts alpha/rank. [32]")] = None,
        targets: Annotated[
            list[str] | None, _option("--targets", about="A layer to adapt; may be repeated. [all linear ones but the head]")
        ] = None,
        max_length: Annotated[
            int | None, _option("--max-length", about="Tokens of a row; longer ones are left out. [1024]")
        ] = None,
        beta: Annotated[float | None, _option("--beta", about="How hard a preference pulls. [0.1]")] = None,
        checkpointing: Annotated[
            str | None, _option("--checkpointing", about=f"Save memory for time: {_one_of('checkpointing')}.")
        ] = None,
        packing: Annotated[bool | None, _option("--packing/--no-packing", about="Several rows in one sequence (sft).")] = None,
        patience: Annotated[int | None, _option("--patience", about="Stop after so many measurements without progress.")] = None,
        eval_every: Annotated[int | None, _option("--eval-every", about="Steps between measurements. [a fifth]")] = None,
        samples: Annotated[int | None, _option("--samples", about="Held-out prompts answered before and after. [4]")] = None,
        init_adapter: Annotated[str | None, _option("--init-adapter", about="An adapter to begin with.")] = None,
        add_tokens: Annotated[
            list[str] | None, _option("--add-tokens", about="A special token to add; may be repeated (reward).")
        ] = None,
        role: Annotated[str | None, _option("--role", about=f"The step it is for: {_one_of('role')}. [answer]")] = None,
        grader: Annotated[
            list[str] | None, _option("--grader", about="What scores an answer: SPEC or SPEC*WEIGHT; repeated, the sum counts.")
        ] = None,
        eval_grader: Annotated[
            list[str] | None, _option("--eval-grader", about="Another, that only measures before and after.")
        ] = None,
        grader_timeout: Annotated[
            float | None, _option("--grader-timeout", about="Seconds of a function of yours for a batch. [30]")
        ] = None,
        force: Annotated[bool | None, _option("--force", about="Learn from a grader that attacks beat, too.")] = None,
        kl: Annotated[
            float | None, _option("--kl", about="Score that a nat of distance from the reference costs. [0.05]")
        ] = None,
        target_kl: Annotated[
            float | None, _option("--target-kl", about="Nats of an answer that --kl is steered to; 0: it stays. [0]")
        ] = None,
        rollouts: Annotated[int | None, _option("--rollouts", about="Answers of a step. [64]")] = None,
        num_generations: Annotated[int | None, _option("--num-generations", about="Of them, answers to each prompt. [4]")] = None,
        prompt_tokens: Annotated[
            str | None, _option("--prompt-tokens", about="Of a plain text, its first tokens that are the prompt. [2-8]")
        ] = None,
        answer_tokens: Annotated[str | None, _option("--answer-tokens", about="Of an answer at most: N or N-M. [64]")] = None,
        temperature: Annotated[float | None, _option("--temperature", about="Of sampling. [1]")] = None,
        device: Annotated[str | None, _option("--device", about=_one_of("device") + ".")] = None,
        dtype: Annotated[str | None, _option("--dtype", about=_one_of("dtype") + ".")] = None,
        track: Annotated[str | None, _option("--track", about=f"Where metrics go as well: {_one_of('track')}.")] = None,
        seed: Annotated[int | None, _option("--seed", about="Of everything that is drawn. [0]")] = None,
        resume: Annotated[bool, _option("--resume", about="Go on with the run in --out.")] = False,
    ) -> None:
        given = dict(locals())  # each flag is a setting of its name
        flags = {name: value for name, value in given.items() if name not in OTHERS}
        _run(read_config(method, config, flags), resume=resume)

    if method not in METHODS_WITH_ROLLOUTS:
        _forget(verb, ROLLOUT_FLAGS)
    if method not in METHODS_IN_GROUPS:
        _forget(verb, GROUP_FLAGS)
    return verb


def _forget(verb: Callable[..., None], flags: Collection[str]) -> None:
    """Take flags from a verb that has no use for them."""
    whole = inspect.signature(verb)
    kept = [one for name, one in whole.parameters.items() if name not in flags]
    verb.__signature__ = whole.replace(parameters=kept)  # type: ignore[attr-defined]


def _run(config: TrainingConfig, *, resume: bool) -> None:
    from assistant.models.quiet import quiet

    with quiet():  # the libraries beneath have things to say as they are imported
        from finetune.train import train

    trained, manifest = train(config, resume=resume, announce=announce, command=["finetune", *sys.argv[1:]])
    if manifest is None:
        typer.echo(f"stopped at step {trained.result['steps']}; go on with the same command and --resume", err=True)
        raise KeyboardInterrupt
    for line in _outcome(config, trained.result):
        typer.echo(line)


def announce(line: str) -> None:
    """Say what goes on, on standard error."""
    typer.echo(line, err=True)


def _outcome(config: TrainingConfig, result: Any) -> list[str]:
    """What came of it, in a few lines: figures before and after with their intervals, and where everything lies."""
    lines = [
        f"trained {config.out} in {result['seconds']:.0f} s, {result['tokens_per_s']:,.0f} tokens/s; {result['stopped_because']}"
    ]
    for name, after in result["after"].items():
        before = result["before"].get(name)
        was = f"{before['value']:.3f} → " if before else ""
        lines.append(f"  {name.replace('_', ' ')}: {was}{after['value']:.3f} [{after['low']:.3f}, {after['high']:.3f}]")
    if not result["after"]:
        lines.append("  nothing was measured: there were no held-out rows (--eval-data)")
    return [*lines, f"report: {Path(config.out) / 'run' / 'report.html'}"]
