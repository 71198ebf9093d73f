"""Memory of PPO with one base in four roles, beside SFT, and beside the layout with three copies of the weights.

    python benchmarks/one_base.py --data ../shared/data --work /tmp/one-base [--layers 4] [--batch 4]

The base has Llama 3 8B's width, vocabulary and tokenizer, random weights in bfloat16, and as many layers as asked for. Each side
runs one step in a process of its own, on rows of one length (160 tokens of prompt, 96 of answer), with the same rank, batch and
checkpointing; what the imports take is subtracted from its peak. `ppo` has the SFT adapter as reference and a reward adapter on
the same base. `three copies` is the usual layout: the same PPO, the reward a model of its own, the reference a base of its own.
"""

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import describe

PROMPT, ANSWER = 160, 96
ROWS = 24
SIDES = ("sft", "reward", "ppo", "three copies")
BAR = 1.25


def make_base(folder: Path, tokenizer: Path, layers: int) -> None:
    """Llama 3 8B's shape with fewer layers and random weights; and a model that scores, of the same shape."""
    if (folder / "base" / "config.json").is_file():
        return
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

    known = AutoTokenizer.from_pretrained(tokenizer)
    known.add_special_tokens({"extra_special_tokens": SPECIAL})
    known.bos_token, known.eos_token, known.pad_token = SPECIAL[0], SPECIAL[9], SPECIAL[4]
    config = LlamaConfig(
        vocab_size=128_256, hidden_size=4_096, intermediate_size=14_336, num_hidden_layers=layers, num_attention_heads=32,
        num_key_value_heads=8, max_position_embeddings=8_192, rope_theta=500_000.0, bos_token_id=128_000, eos_token_id=128_009,
        pad_token_id=128_004, num_labels=1,
    )  # fmt: skip
    torch.set_default_dtype(torch.bfloat16)
    for name, kind in (("scorer", LlamaForSequenceClassification), ("base", LlamaForCausalLM)):
        torch.manual_seed(0)
        kind(config).save_pretrained(folder / name)
        known.save_pretrained(folder / name)


def make_rows(work: Path) -> None:
    """Prompts with a better and a worse answer, all of one length."""
    from transformers import AutoTokenizer

    known = AutoTokenizer.from_pretrained(work / "base")
    rng = random.Random(0)

    def words(count: int) -> str:
        return "".join(rng.choice(SHORT) for _ in range(count)).strip()

    rows = [{"prompt": words(PROMPT - 15), "chosen": words(ANSWER - 1), "rejected": words(ANSWER - 1)} for _ in range(ROWS)]
    lengths = {len(known(row["prompt"])["input_ids"]) for row in rows}
    print(f"{ROWS} rows, prompts of {min(lengths)}-{max(lengths)} tokens and their template, answers of {ANSWER}")
    (work / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    few = [{"prompt": row["prompt"]} for row in rows[:8]]  # without answers: beside them random weights would be refused
    (work / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in few))
    kept = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in rows]
    (work / "sft.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))


NAMED = ("begin_of_text", "end_of_text", "reserved_special_token_0", "reserved_special_token_1", "finetune_right_pad_id",
         "reserved_special_token_2", "start_header_id", "end_header_id", "eom_id", "eot_id", "python_tag")  # fmt: skip
SPECIAL = [f"<|{name}|>" for name in (*NAMED, *(f"reserved_special_token_{number}" for number in range(3, 248)))]
"""Llama 3's tokens beyond the texts': its tokenizer file has only those of texts."""
SHORT = tuple(f" {word}" for word in "the of and to in is was for on that with as it by at from his an be".split())
"""Words that are one token each."""


def measure(side: str, work: Path, batch: int) -> None:
    """One step of a side; prints its memory."""
    import datasets  # noqa: F401 - its memory is subtracted
    import peft  # noqa: F401
    import torch
    import trl  # noqa: F401
    from transformers import Trainer  # noqa: F401

    from finetune.base_model import open_base
    from finetune.config import TrainingConfig
    from finetune.train import recipe_of, train

    for name in ("sft", "reward", "ppo"):
        recipe_of(name)
    torch.set_num_threads(1)
    imports = peak()
    method = "ppo" if side == "three copies" else side
    grader = work / ("scorer" if side == "three copies" else "reward")
    more: dict[str, Any] = {
        "sft": {"data": (str(work / "sft.jsonl"),)},
        "reward": {"data": (str(work / "pairs.jsonl"),)},
        "ppo": {"data": (str(work / "prompts.jsonl"),), "force": True, "answer_tokens": str(ANSWER),
                "rollouts": batch, "update_epochs": 1,
                "write_batch": batch, "measured": 0, "init_adapter": str(work / "sft"), "grader": (str(grader),)},
    }[method]  # fmt: skip
    out = work / side.replace(" ", "-")
    shutil.rmtree(out, ignore_errors=True)
    config = TrainingConfig(
        method, str(work / "base"), out=str(out), max_steps=1, batch=batch, max_length=PROMPT + ANSWER, device="cpu",
        dtype="bf16", checkpointing="on", samples=0, eval_share=0.1, **more,
    )  # fmt: skip
    apart = open_base(config) if side == "three copies" else None
    if apart is not None:
        with torch.no_grad():  # as a reference of its own would read the answers
            apart.loaded.model(input_ids=torch.ones(batch, 8, dtype=torch.long))
    trained, _ = train(config, announce=lambda said: print(said, file=sys.stderr))
    print(json.dumps({"imports": imports, "peak": peak(), "seconds": trained.result["seconds"]}), flush=True)


def peak() -> int:
    """Bytes of memory that this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        measure(options.side, options.work, options.batch)
        return
    print(describe("torch", "transformers", "peft", "trl"))
    make_base(options.work, options.data / "tokenizers" / "llama3", options.layers)
    make_rows(options.work)
    weights = sum(file.stat().st_size for file in (options.work / "base").glob("*.safetensors"))
    print(f"weights: {weights / 2**30:.2f} GiB, {options.layers} layers; batch {options.batch}")
    found: dict[str, float] = {}
    for side in SIDES:
        command = [
            sys.executable,
            __file__,
            "--data",
            options.data,
            "--work",
            options.work,
            "--side",
            side,
            "--batch",
            options.batch,
        ]
        done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(f"{side} ended with {done.returncode}")
        told = json.loads(done.stdout.splitlines()[-1])
        found[side] = told["peak"] - told["imports"]
        beside = f", {found[side] / found['sft']:.2f} x SFT" if side != "sft" else ""
        print(f"{side:12s} {found[side] / 2**30:6.2f} GiB{beside} ({told['seconds']:.0f} s)", flush=True)
    ratio = found["ppo"] / found["sft"]
    print(f"{'reached' if ratio <= BAR else 'NOT REACHED'}: PPO {ratio:.2f} x SFT <= {BAR}")


if __name__ == "__main__":
    main()
