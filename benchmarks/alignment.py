"""SFT, ORPO, DPO and KTO on the small base: does a planted preference move, and do the answers show it?

    python benchmarks/alignment.py --work /tmp/alignment [--methods dpo,kto] [--seeds 0,1,2]

The preference (``alignment_data``): the part of a sentence that answers, cited, and nothing else, against the whole sentence with
all that was added to it and another sentence behind. The small base copies whole sentences, so it begins on the wrong side. Each
run is one command, `finetune METHOD --config FILE`, in a process of its own with one thread, timed from start to end; pages to
learn from and held-out pages differ from seed to seed. Then the adapter is loaded from its folder and measured here: pairs by
log-probability per token, pairs whose worse answer is the *shorter* one, and greedy answers. What is finished is kept in
``--work``; a run that was interrupted goes on from its last checkpoint.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from alignment_data import PLANTED, PLANTS, SHORTER, Case, Plant, cut, rows, take, write_rows
from machine import describe
from peft import PeftModel

from assistant.citations import verify
from finetune.base_model import Base, open_base
from finetune.config import TrainingConfig
from finetune.data.faults import load_dataset, rows_for
from finetune.encoding import encode_pairs
from finetune.evaluation import answer_prompts, measure_pairs
from finetune.statistics import mean_interval, wilson

SMALL_BASE = Path(__file__).resolve().parents[1] / "examples" / "small-base"
SETTINGS: dict[str, dict[str, Any]] = {
    "sft": {"learning_rate": 2e-3, "batch": 8, "max_steps": 40},
    "orpo": {"learning_rate": 2e-3, "batch": 4, "max_steps": 40, "beta": 0.2},
    "dpo": {"learning_rate": 1e-3, "batch": 4, "max_steps": 40, "beta": 0.3, "nll": 1.0},
    "kto": {"learning_rate": 2e-3, "batch": 8, "max_steps": 24, "beta": 0.1},
}
NEVER = 100_000
LEARNED, TRIED, HELD_OUT = 1_000_000, 7_000_000, 8_000_000
"""Seeds of pages: to learn from, to choose settings on (``--try``), to measure on."""
IN_RUN = 16
"""Held-out rows that a run itself looks at."""
MOST_TOKENS = 120

Figures = dict[str, Any]
"""What was measured of one model on the held-out cases of one seed: a list a metric."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, default=SMALL_BASE)
    parser.add_argument("--work", type=Path, required=True, help="keeps what is finished")
    parser.add_argument("--methods", type=lambda text: text.split(","), default=list(SETTINGS))
    parser.add_argument("--seeds", type=lambda text: [int(each) for each in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--pairs", type=int, default=60, help="held-out pairs a seed")
    parser.add_argument("--prompts", type=int, default=20, help="of them that are answered")
    parser.add_argument(
        "--try", dest="tried", action="append", default=[], metavar="NAME=VALUE", help="other settings, on other pages"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(describe("torch", "transformers", "peft", "trl"), flush=True)
    bench = Bench(options, open_base(TrainingConfig("dpo", str(options.base), (), "", device="cpu", dtype="fp32")))
    bench.show_plants()
    before = [bench.before(seed) for seed in options.seeds]
    print(HEAD)
    print(line("base", before), flush=True)
    for method in options.methods:
        after = []
        for seed in options.seeds:
            after.append(bench.after(method, seed))
            print(line(f"{method} {seed}", after[-1:]), flush=True)
        print(line(f"{method} all", after), flush=True)
        for name in SHORTER:
            print(f"    pairs whose worse answer is {name}: {share(before, name)} → {share(after, name)}")
        for at in (0, 1):
            print(f"    {before[0]['answers'][at]}\n      → {after[0]['answers'][at]}", flush=True)


class Bench:
    """The base, the held-out cases of each seed, and the folder in which what is finished is kept."""

    def __init__(self, options: argparse.Namespace, base: Base) -> None:
        self.options, self.base, self.work = options, base, options.work
        self.pages = TRIED if options.tried else HELD_OUT
        self.held = {seed: take(self.pages + seed, options.pairs) for seed in options.seeds}

    def show_plants(self) -> None:
        """How the base takes each preference that could have been planted, on the first seed's pairs."""
        cases = next(iter(self.held.values()))
        starts = self._kept(
            "plants", {}, lambda: {name: self._pairs(self.base.loaded.model, cases, plant) for name, plant in PLANTS.items()}
        )
        for name, found in starts.items():
            print(f"plant {name!r}: right at the start {share([found], 'accuracy')}; "
                  f"by the rule that the longer is better {share([found], 'length_rule_accuracy')}")  # fmt: skip

    def before(self, seed: int) -> Figures:
        return self._kept(f"base-{seed}", {"seed": seed}, lambda: self._measured(self.base.loaded.model, self.held[seed]))

    def after(self, method: str, seed: int) -> Figures:
        """Train, unless that was done with these settings, and measure the adapter as it lies in its folder."""
        settings = SETTINGS[method] | dict(_setting(each) for each in self.options.tried)
        return self._kept(f"{method}-{seed}", settings | {"seed": seed}, lambda: self._trained(method, seed, settings))

    def _trained(self, method: str, seed: int, settings: dict[str, Any]) -> Figures:
        out = self.work / f"{method}-{seed}"
        config = self._config(method, seed, settings)
        begun = (out / "run" / "run.json").is_file() and not (out / "assistant_adapter.json").is_file()
        same = begun and config.is_file() and config.read_text(encoding="utf-8") == self._toml(method, seed, settings)
        if out.exists() and not same:
            shutil.rmtree(out)
        config.write_text(self._toml(method, seed, settings), encoding="utf-8")
        command = [sys.executable, "-m", "finetune", method, "--config", str(config), *(["--resume"] if same else [])]
        started = time.monotonic()
        done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
        seconds = time.monotonic() - started
        model = PeftModel.from_pretrained(self.base.loaded.model, out)
        found = self._measured(model, self.held[seed])
        model.unload()
        return found | {"seconds": seconds, "resumed": same}

    def _config(self, method: str, seed: int, settings: dict[str, Any]) -> Path:
        """The rows of a run, written to files; the name of its settings."""
        count = int(settings["batch"]) * int(settings["max_steps"])
        write_rows(self.work / f"{method}-{seed}.jsonl", rows(take(LEARNED + seed, count), PLANTED, method))
        write_rows(self.work / f"{method}-{seed}-held.jsonl", rows(self.held[seed][:IN_RUN], PLANTED, method))
        return self.work / f"{method}-{seed}.toml"

    def _toml(self, method: str, seed: int, settings: dict[str, Any]) -> str:
        name = self.work / f"{method}-{seed}"
        values = {
            "base": str(self.options.base), "data": [f"{name}.jsonl"], "eval_data": [f"{name}-held.jsonl"], "out": str(name),
            "seed": seed, "eval_every": NEVER, "samples": 0, "device": "cpu", "dtype": "fp32",
        }  # fmt: skip
        return "".join(f"{key} = {json.dumps(value)}\n" for key, value in (values | settings).items())

    def _measured(self, model: Any, cases: Sequence[Case]) -> Figures:
        found = self._pairs(model, cases, PLANTED)
        found |= {name: self._pairs(model, cases, plant)["accuracy"] for name, plant in SHORTER.items()}
        return found | self._answered(model, cases[: self.options.prompts])

    def _pairs(self, model: Any, cases: Sequence[Case], plant: Plant) -> Figures:
        file = write_rows(self.work / "pairs.jsonl", rows(cases, plant, "dpo"))
        encoding = encode_pairs(self.base.formatter, rows_for(load_dataset([file]), "dpo"), 1024)
        return measure_pairs(model, encoding, self.base.formatter.pad_id())

    def _answered(self, model: Any, cases: Sequence[Case]) -> Figures:
        """Greedy answers, and what can be seen in them."""
        formatter = self.base.formatter
        file = write_rows(self.work / "prompts.jsonl", rows(cases, PLANTED, "dpo"))
        prompts = [formatter.prompt(row.prompt) for row in rows_for(load_dataset([file]), "dpo")]
        written = answer_prompts(model, prompts, stop=formatter.stop_id, padding=formatter.pad_id(), most=MOST_TOKENS)
        found: Figures = {name: [] for name in ("answers", "style", "words", "cited", "stopped", "verified", "right")}
        for case, ids in zip(cases, written, strict=True):
            text = formatter.tokenizer.decode(ids, skip_special_tokens=True).strip()
            stopped = ids[-1:] == [formatter.stop_id]
            found["answers"].append(text)
            found["style"].append(stopped and text in map(cut, case.cores))
            found["words"].append(len(text.replace("[1]", "").split()))
            found["cited"].append(text.endswith(" [1]"))
            found["stopped"].append(stopped)
            found["verified"].append(all(each.verdict == "supported" for each in verify(text, [case.hit]).sentences))
            found["right"].append(case.core.rstrip(".") in text)
        return found

    def _kept(self, name: str, settings: dict[str, Any], make: Callable[[], Figures]) -> Figures:
        """What was measured before under the same settings, else what is measured now."""
        options = self.options
        said = [settings, self.base.loaded.fingerprint, self.pages, options.pairs, options.prompts, name]
        key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        file = self.work / f"{name}.result.json"
        if file.is_file() and (known := json.loads(file.read_bytes()))["key"] == key:
            return dict(known["found"])
        found = make()
        self.work.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".part").write_text(json.dumps({"key": key, "settings": settings, "found": found}), encoding="utf-8")
        file.with_suffix(".part").replace(file)
        return found


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    return name, json.loads(value)


COLUMNS = {"cited": 7, "stopped": 9, "verified": 10, "right": 7}
HEAD = (
    f"{'':9s}{'pairs right':22s}{'margin':8s}{'answers in style':22s}{'words':20s}"
    + "".join(f"{name:{width}s}" for name, width in COLUMNS.items())
    + "seconds"
)


def line(name: str, found: Sequence[Figures]) -> str:
    """One row of the table: shares with Wilson's interval, words with the bootstrap's, over the cases of one or all seeds."""
    words = mean_interval([float(each) for figures in found for each in figures["words"]])
    margin = mean_interval([each for figures in found for each in figures["margin"]]).value
    seconds = max(figures.get("seconds", 0) for figures in found)
    return (
        f"{name:9s}{share(found, 'accuracy'):22s}{margin:<+8.2f}{share(found, 'style'):22s}"
        f"{f'{words.value:.1f} [{words.low:.1f}, {words.high:.1f}]':20s}"
        + "".join(f"{_mean(found, key):<{width}.2f}" for key, width in COLUMNS.items())
        + (f"{seconds:.0f}" if seconds else "")
    )


def share(found: Sequence[Figures], name: str) -> str:
    values = [float(each) for figures in found for each in figures[name]]
    interval = wilson(round(sum(values)), len(values))
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _mean(found: Sequence[Figures], name: str) -> float:
    values = [float(each) for figures in found for each in figures[name]]
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
