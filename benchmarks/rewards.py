"""Reward models by `finetune reward`: film reviews of one length, sentiment, and pairs that models or people judged. Three seeds.

    python benchmarks/gpt2_base.py --data ../shared/data --work /tmp/rewards
    python benchmarks/rewards.py   --data ../shared/data --work /tmp/rewards [--only films-encoder] [--seeds 3]

Each run is one command, printed as it starts, in a process of its own with one thread; finished runs stay in WORK/runs, broken
ones go on with --resume. Beside every accuracy (Wilson's interval, 95 %) stands that of the rule that the longer answer is better
and, where it is tried, that of a logistic regression on the words of the same rows. Every adapter of pairs is then loaded again,
here, and scores its held-out rows anew: the accuracy must be what its training reported; calibration comes from these scores.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from gpt2_base import STEPS, make_base
from machine import describe
from reward_data import LICENCES, film_pairs, halves, judged_pairs, sentiment_rows, write

from finetune.evaluation import calibration_error
from finetune.statistics import wilson
from indexes.embedding import INSTALLED, model_folder

SEEDS = 3
LIMIT_S = 180
FLOORS = {"films": 0.80, "sentiment": 0.85}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to learn on one base.

    Attributes:
        name: of the data.
        base: gpt2 or encoder.
        learned, held_out: rows of each seed; each seed of films has rows of its own.
        settings: of the training, beside the files and the seed.
    """

    name: str
    base: str
    learned: int
    held_out: int
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What it is called by --only and in the table."""
        return f"{self.name}-{self.base}"


COMMON = {
    "max_length": 256, "batch": 16, "rank": 32, "alpha": 64, "eval_every": 100_000, "save_every": 50, "samples": 0, "epochs": 1,
}  # fmt: skip
"""Measured is before and after, not in between: reading the held-out rows five times would take a third of the three minutes."""
TASKS = (
    Task("films", "gpt2", 600, 250, COMMON | {"learning_rate": 2e-3, "batch": 8}),
    Task("films", "encoder", 400, 250, COMMON | {"learning_rate": 1e-3}),
    Task("sentiment", "encoder", 6_500, 1_821, COMMON | {"learning_rate": 6e-4, "rank": 16, "alpha": 32}),
    Task("alpaca", "encoder", 400, 300, COMMON | {"learning_rate": 5e-4}),
    Task("hh", "encoder", 400, 300, COMMON | {"learning_rate": 5e-4}),
)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, in numbers.

    Attributes:
        right: held-out rows that it got right, of ``rows``; ``right_before`` before training.
        longer: rows that the rule about length gets right, a tie counting half; None where there are no pairs.
        words: rows that a regression on words gets right; None where it wasn't tried.
        margin, calibration: of pairs; None of classes.
        wall_s, cpu_s: of the whole command.
    """

    task: str
    seed: int
    learned: int
    rows: int
    right: int
    right_before: int
    longer: float | None
    words: int | None
    margin: float | None
    calibration: float | None
    trained: int
    wall_s: float
    cpu_s: float


class Bench:
    """Makes rows and runs trainings below a folder.

    Args:
        data: where the data sets lie.
        work: where everything is put.
    """

    def __init__(self, data: Path, work: Path) -> None:
        self._data, self._work = data, work
        self._bases = {"gpt2": str(work / "gpt2"), "encoder": INSTALLED}

    def rows(self, task: Task, seed: int) -> tuple[Path, Path]:
        """Files of rows to learn from and to measure on."""
        folder = self._work / "rows" / f"{task.label}-{task.learned}-{task.held_out}"
        files = folder / f"train-{seed}.jsonl", folder / f"test-{seed}.jsonl"
        if not all(file.is_file() for file in files):
            for file, rows in zip(files, self._make_rows(task, seed), strict=True):
                write(rows, file)
        return files

    def _make_rows(self, task: Task, seed: int) -> tuple[list[Any], list[Any]]:
        if task.name == "films":
            learned, held_out = self._films("train"), self._films("test")
            return (
                learned[seed * task.learned : (seed + 1) * task.learned],
                held_out[seed * task.held_out : (seed + 1) * task.held_out],
            )
        if task.name == "sentiment":
            learned = sentiment_rows(self._data, "train")[seed * task.learned : (seed + 1) * task.learned]
            return learned, sentiment_rows(self._data, "test")[: task.held_out]
        counters = self._counters()

        def fits(row: Any) -> bool:
            longer = max(row["chosen"], row["rejected"], key=len)
            return max(count(row.get("prompt", "") + " " + longer) for count in counters) <= task.settings["max_length"] - 32

        by_prompt = judged_pairs(self._data, task.name, fits, seed=seed)
        learned, held_out = halves(by_prompt, 0.55)
        return learned[: task.learned], held_out[: task.held_out]

    def _films(self, split: str) -> list[Any]:
        """Pairs of one length for all tasks and seeds, made once."""
        file = self._work / "rows" / f"films-{split}.jsonl"
        if not file.is_file():
            most = SEEDS * max(task.learned if split == "train" else task.held_out for task in TASKS if task.name == "films")
            write(film_pairs(self._data, split, self._counters(), most=most), file)
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    def _counters(self) -> list[Callable[[str], int]]:
        """Tokens of a text, by each base's tokenizer."""
        from tokenizers import Tokenizer

        found = []
        for folder in (model_folder(INSTALLED), self._bases["gpt2"]):
            tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
            tokenizer.no_truncation()
            tokenizer.no_padding()
            found.append(lambda text, tokenizer=tokenizer: len(tokenizer.encode(text, add_special_tokens=False).ids))
        return found

    def run(self, task: Task, seed: int) -> Run:
        """Train, or find it trained; load it again and score."""
        note = self._work / "results" / f"{task.label}-{seed}.json"
        if note.is_file():
            return Run(**json.loads(note.read_text()))
        learned, held_out = self.rows(task, seed)
        out = self._work / "runs" / f"{task.label}-{seed}"
        clock = out.with_suffix(".clock.json")
        if not (out / "run" / "result.json").is_file():
            spent = json.loads(clock.read_text()) if clock.is_file() else {"wall_s": 0.0, "cpu_s": 0.0}
            said, wall_s, cpu_s = timed(self._command(task, seed, learned, held_out, out))
            clock.write_text(json.dumps({"wall_s": spent["wall_s"] + wall_s, "cpu_s": spent["cpu_s"] + cpu_s}))
            if said:
                raise SystemExit(f"it failed:\n{said}")
        found = read_run(task, seed, out, learned, held_out, json.loads(clock.read_text()))
        note.parent.mkdir(exist_ok=True)
        note.write_text(json.dumps(asdict(found)))
        return found

    def _command(self, task: Task, seed: int, learned: Path, held_out: Path, out: Path) -> list[str]:
        config = self._work / "settings" / f"{task.label}.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in task.settings.items()))
        out.parent.mkdir(parents=True, exist_ok=True)
        command = ["finetune", "reward", "--base", self._bases[task.base], "--data", str(learned), "--eval-data", str(held_out),
                   "--config", str(config), "--seed", str(seed), "--out", str(out)]  # fmt: skip
        return [*command, "--resume"] if (out / "run" / "run.json").is_file() else command


def timed(command: Sequence[str]) -> tuple[str, float, float]:
    """Run a command of ours: what it complained of where it failed, seconds by the clock, and seconds of a processor."""
    print("$", *command, flush=True)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *command], env={**os.environ, **ONE_THREAD}, capture_output=True, text=True, check=False
    )
    wall_s, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    print("\n".join([*done.stderr.splitlines()[-1:], *done.stdout.splitlines()]), flush=True)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stderr[-3000:] * bool(done.returncode), wall_s, spent


def read_run(task: Task, seed: int, out: Path, learned: Path, held_out: Path, clock: dict[str, float]) -> Run:
    """Numbers of a finished run, with the scores that its adapter gives when it is loaded again."""
    result = json.loads((out / "run" / "result.json").read_text())
    told, before = result["after"], json.loads((out / "run" / "before.json").read_text())["figures"]
    n = len(before["accuracy"])
    right = round(told["accuracy"]["value"] * n)
    margins = score_again(out, held_out) if task.name != "sentiment" else []
    if margins and (len(margins) != n or sum(margin > 0 for margin in margins) != right):
        raise SystemExit(f"{out}: {sum(m > 0 for m in margins)} of {len(margins)} right when loaded again, {right} of {n} before")
    return Run(
        task=task.label, seed=seed, learned=len(learned.read_text().splitlines()), rows=n, right=right,
        right_before=round(sum(before["accuracy"])),
        longer=told["length_rule_accuracy"]["value"] * n if margins else None,
        words=words_right(task, learned, held_out),
        margin=told["margin"]["value"] if margins else None,
        calibration=calibration_error(margins) if margins else None,
        trained=result["trainable"], **clock,
    )  # fmt: skip


def score_again(out: Path, held_out: Path) -> list[float]:
    """Margins of held-out pairs by an adapter loaded from its folder; those longer than it was trained on are left out."""
    from finetune.data.faults import load_dataset, rows_for
    from finetune.encoding import encode_scored
    from finetune.reward_model import RewardModel

    model = RewardModel.load(out)
    longest = json.loads((out / "run" / "run.json").read_text())["config"]["max_length"]
    pairs = encode_scored(model.formatter, rows_for(load_dataset([held_out]), "reward"), longest).features
    chosen, rejected = (model.outputs([pair[side] for pair in pairs]) for side in ("chosen_ids", "rejected_ids"))
    return [good[0] - bad[0] for good, bad in zip(chosen, rejected, strict=True)]


def words_right(task: Task, learned: Path, held_out: Path) -> int | None:
    """Held-out rows that a logistic regression on the words of the same rows gets right: how far no model is needed."""
    if task.name not in FLOORS:
        return None
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    texts, labels = texts_of(learned)
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    fitted = LogisticRegression(C=10.0, max_iter=1_000).fit(vectorizer.fit_transform(texts), labels)
    texts, labels = texts_of(held_out)
    values = fitted.decision_function(vectorizer.transform(texts))
    if task.name == "sentiment":
        return int(((values > 0) == labels).sum())
    return int((values[::2] > values[1::2]).sum())


def texts_of(file: Path) -> tuple[list[str], list[bool]]:
    """Texts, and whether each is good; of a pair the better one first."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    if "label" in rows[0]:
        return [row["text"] for row in rows], [row["label"] == "positive" for row in rows]
    return [row[side] for row in rows for side in ("chosen", "rejected")], [True, False] * len(rows)


def summary(task: Task, runs: Sequence[Run]) -> Iterator[str]:
    """The table's rows of a task: one a seed, then one for all."""
    for run in runs:
        before = run.right_before / run.rows
        rules = [f"longer {run.longer / run.rows:.3f}"] if run.longer is not None else []
        rules += [f"words {run.words / run.rows:.3f}"] if run.words is not None else []
        more = [f"margin {run.margin:.2f}", f"calibration error {run.calibration:.3f}"] if run.margin is not None else []
        yield (
            f"| {task.label}, seed {run.seed} | {run.learned:,} | {run.rows:,} | {before:.3f} → {share(run.right, run.rows)} | "
            f"{', '.join(rules + more)} | {run.wall_s:.0f} s ({run.cpu_s:.0f} s of a processor) |"
        )
    if len(runs) > 1:
        yield overall(task, runs)


def share(right: int, rows: int) -> str:
    """A share with Wilson's interval."""
    found = wilson(right, rows)
    return f"**{found.value:.3f}** [{found.low:.3f}, {found.high:.3f}]"


def overall(task: Task, runs: Sequence[Run]) -> str:
    """The row of all seeds: counted together only where each seed was measured on rows of its own."""
    each = [run.right / run.rows for run in runs]
    apart = task.name == "films"
    said = share(sum(run.right for run in runs), sum(run.rows for run in runs)) if apart else f"mean **{fmean(each):.3f}**"
    floor = FLOORS.get(task.name)
    verdict = (
        "reported" if floor is None else f"≥ {floor:.2f}: {'reached' if min(each) >= floor else 'not reached'} by every seed"
    )
    slowest = max(run.wall_s for run in runs)
    time_said = f"at most {slowest:.0f} s: {'within' if slowest <= LIMIT_S else 'over'} {LIMIT_S} s"
    return f"| {task.label}, {len(runs)} seeds | | | {said}, {min(each):.3f}–{max(each):.3f} | {verdict} | {time_said} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", action="append", choices=[task.label for task in TASKS])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    os.environ.update(ONE_THREAD)
    import torch

    torch.set_num_threads(1)
    print(describe("torch", "transformers", "peft", "trl"))
    make_base(options.data, options.work, steps=STEPS)
    print("GPT-2's architecture:", " ".join((options.work / "gpt2" / "pretraining.json").read_text().split()))
    bench = Bench(options.data, options.work)
    tasks = [task for task in TASKS if not options.only or task.label in options.only]
    runs: dict[str, list[Run]] = {task.label: [] for task in tasks}
    for seed in range(options.seeds):  # every task once before any comes twice: a stop leaves something of each
        for task in tasks:
            runs[task.label].append(bench.run(task, seed))
            print(*summary(task, runs[task.label][-1:]), flush=True)
    table = [line for task in tasks for line in summary(task, runs[task.label])]
    print("\n| what | learned from | held out | accuracy, before → after | rules, margins | time |\n|---|---|---|---|---|---|")
    print("\n".join(table))
    print("Data:", "; ".join(LICENCES.values()))


if __name__ == "__main__":
    main()
