"""Tokens a second of rollouts beside transformers' bare batched `generate`: the same model, prompts, lengths and batch, in turns.

    python benchmarks/rollouts.py examples/small-base [--rounds 8]

Rollouts are what `finetune ppo` writes its answers with: sampled by the run's seed, cut at the first token that ends an answer.
Time is the processor's, of one thread, so that other programs on the machine take nothing from either side. No token ends an
answer here: both sides write the same number of tokens.
"""

import argparse
import random
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from machine import describe

from finetune.base_model import open_base
from finetune.config import TrainingConfig
from finetune.reinforcement.rollouts import Sampling, write_answers

COUNT, BATCH, LENGTH = 64, 32, 48
NEVER = 10**6
"""An id that no vocabulary here has."""
BAR = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(describe("torch", "transformers"))
    base = open_base(TrainingConfig("sft", options.base, ("none",), out="none", device="cpu", dtype="fp32", max_length=256))
    model, formatter, rng = base.loaded.model.eval(), base.formatter, random.Random(0)
    asked = [f"Where is the hut number {rng.randint(1, 9_999)}" + " of them" * rng.randint(0, 4) for _ in range(COUNT)]
    prompts = sorted((formatter.text(text).ids[:-1] for text in asked), key=len)
    padding = formatter.pad_id()
    sampling = Sampling(1.0, 0, 1.0, (NEVER,), padding, BATCH)

    def rollouts() -> int:
        return sum(len(each.answer) for each in write_answers(model, prompts, [LENGTH] * COUNT, sampling, seed=1))

    sides: dict[str, Callable[[], int]] = {"rollouts": rollouts, "bare generate": lambda: bare(model, prompts, padding)}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(options.rounds + 1):
        for name in sorted(sides, reverse=bool(turn % 2)):
            started = time.process_time()
            tokens = sides[name]()
            if turn:  # the first is for warming up
                rates[name].append(tokens / (time.process_time() - started))
    ratios = sorted(ours / theirs for ours, theirs in zip(rates["rollouts"], rates["bare generate"], strict=True))
    for name, found in rates.items():
        print(f"{name}: {median(found):,.0f} tokens a second")
    print(
        f"{'reached' if median(ratios) >= BAR else 'NOT REACHED'}: rollouts {median(ratios):.3f} x bare generate "
        f"({ratios[0]:.3f}-{ratios[-1]:.3f} of {len(ratios)} rounds) >= {BAR}"
    )


def bare(model: Any, prompts: list[list[int]], padding: int) -> int:
    """What transformers does by itself: tokens written."""
    written = 0
    torch.manual_seed(1)
    with torch.inference_mode():
        for start in range(0, len(prompts), BATCH):
            group = prompts[start : start + BATCH]
            width = max(map(len, group))
            ids = torch.tensor([[padding] * (width - len(each)) + each for each in group])
            mask = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in group])
            out = model.generate(
                input_ids=ids, attention_mask=mask, do_sample=True, top_k=0, top_p=1.0, temperature=1.0, max_new_tokens=LENGTH,
                eos_token_id=[NEVER], pad_token_id=padding,
            )  # fmt: skip
            written += (out.shape[1] - width) * len(group)
    return written


if __name__ == "__main__":
    main()
