"""Positive film reviews, the classical experiment: PPO (three seeds), RLOO and GRPO by `finetune`, on real data.

    python benchmarks/review_writer.py --data ../shared/data --work /tmp/reviews      (about half an hour, once)
    python benchmarks/reviews.py       --data ../shared/data --work /tmp/reviews [--only ppo-0]

The writer is the supervised stage. A sentiment classifier, trained by `finetune reward` on pieces of IMDB's training reviews, is
the reward: the log-odds of "positive" of prompt and answer. Prompts are the first 2-8 tokens of held-out reviews. Measured is on
256 other held-out prompts, before and after: the reward; a second grader of another kind that nothing was learned from (a
regression on the words of rt_polarity); distinct-2; the distance to the reference; and how unlikely the writer finds the answers.
Each run is one command, printed as it starts, with one thread; finished runs stay in WORK/runs, broken ones go on with --resume.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import describe
from review_data import LICENCES, make_second_grader, prompts, rated_pieces, write_rows
from review_writer import make_writer

from indexes.embedding import INSTALLED

ONE_THREAD = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
RUNS = ("ppo-0", "ppo-1", "ppo-2", "rloo-0", "grpo-0")
GAIN, SECOND, DISTINCT, LIMIT_S = 1.0, 0.5, 0.8, 20 * 60
LEARNED, MEASURED, PIECES = 4_000, 256, 8_000
SHOWN = 10
SENTIMENT = {
    "max_length": 64, "batch": 16, "rank": 16, "alpha": 32, "learning_rate": 6e-4, "epochs": 1, "eval_every": 100_000,
    "save_every": 100, "samples": 0,
}  # fmt: skip
COMMON = {
    "prompt_tokens": "2-8", "answer_tokens": "16-24", "rank": 32, "alpha": 64, "batch": 32, "rollouts": 64, "write_batch": 64,
    "measured": MEASURED, "samples": SHOWN, "save_every": 20, "max_length": 64, "max_steps": 40, "kl": 0.1, "max_kl": 6.4,
}  # fmt: skip
"""Answers end where their tokens do: a review is longer than 24 tokens, so that the token of an end hardly ever comes. Every run
ends where an answer is 6.4 nats from the writer: seeds and methods get there at different speeds, and are compared there."""
OF_METHOD: dict[str, dict[str, Any]] = {
    "ppo": {"learning_rate": 7e-4},
    "rloo": {"learning_rate": 1.5e-3, "num_generations": 4},
    "grpo": {"learning_rate": 1.5e-3, "num_generations": 4},
}


@dataclass(frozen=True, slots=True)
class Files:
    """What runs need, below a folder."""

    work: Path
    writer: Path
    sentiment: Path
    second: Path
    learned: Path
    measured: Path


def prepare(data: Path, work: Path) -> Files:
    """Make or find the writer, the classifier, the second grader and the prompts."""
    rows = work / "rows"
    learned, measured = prompts(data, learned=LEARNED, measured=MEASURED)
    second, accuracy = make_second_grader(data, work / "second")
    print(f"second grader: {accuracy:.3f} of rt_polarity's held-out tenth are right")
    files = Files(
        work, make_writer(data, work), work / "sentiment", second,
        write_rows(learned, rows / "prompts.jsonl"), write_rows(measured, rows / "measured.jsonl"),
    )  # fmt: skip
    if not (files.sentiment / "run" / "result.json").is_file():
        train = write_rows(rated_pieces(data, "train", count=PIECES), rows / "sentiment-train.jsonl")
        test = write_rows(rated_pieces(data, "test", count=1_000), rows / "sentiment-test.jsonl")
        run("reward", INSTALLED, train, test, SENTIMENT, files.sentiment)
    found = json.loads((files.sentiment / "run" / "result.json").read_text())["after"]["accuracy"]
    print(
        f"classifier: {found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}] of held-out pieces of 10-40 words are right"
    )
    return files


def run(verb: str, base: Any, data: Path, measured: Path, settings: dict[str, Any], out: Path, *more: str) -> dict[str, float]:
    """One training as its user would begin or resume it: seconds by the clock, and of a processor, of all its parts."""
    config = out.parent / f"{out.name}.toml"
    out.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))
    command = ["finetune", verb, "--base", str(base), "--data", str(data), "--eval-data", str(measured), "--config", str(config),
               "--out", str(out), *more]  # fmt: skip
    command += ["--resume"] if (out / "run" / "run.json").is_file() else []
    print("$", *command, flush=True)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([sys.executable, "-m", *command], env={**os.environ, **ONE_THREAD}, check=False)
    wall_s, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    clock = out.with_suffix(".clock.json")  # parts that were broken off count as well
    earlier = json.loads(clock.read_text()) if clock.is_file() else {"wall_s": 0.0, "cpu_s": 0.0}
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    spent = {"wall_s": earlier["wall_s"] + wall_s, "cpu_s": earlier["cpu_s"] + cpu_s}
    clock.write_text(json.dumps(spent))
    if done.returncode:
        raise SystemExit(f"it ended with {done.returncode}")
    return spent


def reinforce(name: str, files: Files) -> Path:
    """One run of a method and a seed, or find it done."""
    method, _, seed = name.partition("-")
    out = files.work / "runs" / name
    if not (out / "run" / "result.json").is_file():
        graders = ["--grader", f"classifier:{files.sentiment}:positive", "--eval-grader", f"{files.second}:score"]
        run(method, files.writer, files.learned, files.measured, COMMON | OF_METHOD[method], out, *graders,
            "--seed", seed, "--force")  # fmt: skip
    return out


def interval(found: dict[str, float]) -> str:
    """A figure with its 95 % interval."""
    return f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def row(name: str, out: Path) -> str:
    """A run's line in the table."""
    result, spent = json.loads((out / "run" / "result.json").read_text()), json.loads(out.with_suffix(".clock.json").read_text())
    before, after, change = result["before"], result["after"], result["change"]
    distinct = after["distinct_2"]["value"] / before["distinct_2"]["value"]
    return (
        f"| {name} | {before['reward']['value']:.2f} → {after['reward']['value']:.2f} | "
        f"{before['median_reward']['value']:.2f} → {after['median_reward']['value']:.2f} | **+{interval(change['reward'])}** | "
        f"{before['eval_reward']['value']:.2f} → {after['eval_reward']['value']:.2f}, +{interval(change['eval_reward'])} | "
        f"{before['distinct_2']['value']:.3f} → {after['distinct_2']['value']:.3f} ({distinct:.2f} ×) | "
        f"{interval(after['kl'])} | "
        f"{before['reference_nll']['value']:.2f} → {after['reference_nll']['value']:.2f} | "
        f"{spent['wall_s'] / 60:.1f} min | {result['peak_memory'] / 1e9:.2f} GB |"
    )


def verdicts(out: Path) -> Iterator[str]:
    """Which bars a run meets."""
    result, spent = json.loads((out / "run" / "result.json").read_text()), json.loads(out.with_suffix(".clock.json").read_text())
    gain, second = result["change"]["reward"], result["change"]["eval_reward"]
    distinct = result["after"]["distinct_2"]["value"] / result["before"]["distinct_2"]["value"]
    for said, met in (
        (f"gain {gain['value']:.2f} >= {GAIN}, interval above 0", gain["value"] >= GAIN and gain["low"] > 0),
        (f"second grader {second['value']:.2f} >= {SECOND} x that", second["value"] >= SECOND * gain["value"]),
        (f"distinct-2 {distinct:.2f} >= {DISTINCT} x before", distinct >= DISTINCT),
        (f"{spent['wall_s']:.0f} s <= {LIMIT_S} s", spent["wall_s"] <= LIMIT_S),
    ):
        yield f"{'reached' if met else 'NOT REACHED'}: {said}"


def texts(out: Path) -> Iterator[str]:
    """The same held-out prompts before and after."""
    lines = [json.loads(line) for line in (out / "run" / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    last = max(line["step"] for line in lines)
    first = {line["prompt"]: line for line in lines if line["step"] == 0}
    yield "| prompt | before | | after | |\n|---|---|---|---|---|"
    for line in lines:
        if line["step"] == last and (was := first.get(line["prompt"])):
            said = [" ".join(each["answer"].split()).replace("|", "/") for each in (was, line)]
            yield f"| {line['prompt']} | {said[0]} | {was['reward']:.1f} | {said[1]} | {line['reward']:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", action="append", choices=RUNS)
    options = parser.parse_args()
    os.environ.update(ONE_THREAD)
    print(describe("torch", "transformers", "peft", "trl"))
    files = prepare(options.data, options.work)
    done = {name: reinforce(name, files) for name in RUNS if not options.only or name in options.only}
    print("\n| run | mean reward | median | change of the mean | second grader | distinct-2 | nats from the writer, an answer "
          "| nats a token to the writer | time | memory |\n|" + "---|" * 10)  # fmt: skip
    for name, out in done.items():
        print(row(name, out))
    for name, out in done.items():
        print(f"\n{name}:", *verdicts(out), sep="\n  ")
    for out in list(done.values())[:1]:
        print("", *texts(out), sep="\n")
    print("Data:", LICENCES)


if __name__ == "__main__":
    main()
