"""SFT, ORPO, DPO and KTO on the small base: does a planted preference move, and do the answers show it?

    python benchmarks/alignment.py --work /tmp/alignment [--methods dpo,kto] [--seeds 0,1,2]

The preference (``alignment_data``): the fact that answers, cited, and nothing else, against the whole sentence with all that was
added to it and another sentence behind. The small base copies whole sentences, so it begins on the wrong side. Each run is one
command, `finetune METHOD --config FILE`, in a process of its own with one thread, timed from start to end; pages to learn from
and held-out pages differ from seed to seed. Then the adapter is loaded from its folder and measured here: pairs by
log-probability per token, pairs whose worse answer is the *shorter* one, and greedy answers. What is finished is kept in
``--work``; what was interrupted goes on.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from alignment_data import PLANTS, SHORTER, Case, Plant, rows, take, write_rows
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
COMMON: dict[str, Any] = {"rank": 16, "alpha": 32, "batch": 8, "eval_every": 100_000, "samples": 0, "device": "cpu", "dtype": "fp32"}
SETTINGS: dict[str, dict[str, Any]] = {
    "sft": {"learning_rate": 3e-3, "max_steps": 60},
    "orpo": {"learning_rate": 3e-3, "max_steps": 40, "beta": 0.2},
    "dpo": {"learning_rate": 2e-3, "max_steps": 40, "beta": 0.1},
    "kto": {"learning_rate": 2e-3, "max_steps": 40, "beta": 0.1},
}
LEARNED, HELD_OUT, TUNED = 1_000_000, 8_000_000, 7_000_000
"""Seeds of pages: to learn from, to measure on, and to try settings on (``--tune``)."""
IN_RUN = 16
"""Held-out rows that the run itself looks at."""
MOST_TOKENS = 120
LIMIT_S = 180


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    print(describe("torch", "transformers", "peft", "trl"), flush=True)
    held = {seed: take((TUNED if options.tune else HELD_OUT) + seed, options.pairs) for seed in options.seeds}
    before = {seed: kept(options.work / f"before-{seed}", _identity(options, seed), lambda: None) for seed in ()}
    base = open_base(TrainingConfig("dpo", str(options.base), (), "", device="cpu", dtype="fp32"))
    for seed in options.seeds:
        before[seed] = kept(
            options.work / f"before-{seed}.json",
            _identity(options, seed),
            lambda seed=seed: measure(base, base.loaded.model, held[seed], options),
        )
    plants(base, held[options.seeds[0]], options)
    print(HEAD)
    print(line("base", before.values(), None))
    for method in options.methods:
        found = [one_run(base, method, seed, held[seed], options) for seed in options.seeds]
        for seed, each in zip(options.seeds, found, strict=True):
            print(line(f"{method} {seed}", [each], each["seconds"]))
        print(line(f"{method} all", found, max(each["seconds"] for each in found)), flush=True)
    show(options, before)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, default=SMALL_BASE)
    parser.add_argument("--work", type=Path, required=True, help="keeps what is finished")
    parser.add_argument("--methods", type=lambda text: text.split(","), default=list(SETTINGS))
    parser.add_argument("--seeds", type=lambda text: [int(each) for each in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--pairs", type=int, default=100, help="held-out pairs a seed")
    parser.add_argument("--prompts", type=int, default=60, help="of them answered")
    parser.add_argument("--tune", action="store_true", help="measure on other pages, to try settings without looking at the held-out ones")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another setting, to try it")
    return parser.parse_args()
