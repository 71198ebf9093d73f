"""How fast a training is, and how much memory it takes, beside raw TRL at its defaults: the same rows, the same LoRA, one run.

    python benchmarks/training.py --data ../shared/data --work /tmp/training [--rounds 3] [--method sft]... [--rows 32]

Each side trains in a process of its own, one epoch over the same rows of Alpaca (short: as they come; long: several joined to
about 480 tokens), in float32 on the CPU: TRL says bf16 there, which takes tens of times as long on most CPUs. The base has random
weights: 8 layers of width 512, SmolLM2's tokenizer. Tokens are counted once, from the rows, without padding. Each side has one
thread, and its speed is by the processor's time: other programs on the machine then take nothing from either. ``--rows`` takes
that many, spread evenly over the lengths.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from machine import describe

ROWS = {"short": 192, "long": 48}
LONG_TOKENS = 480
BATCH = 8
METHODS = ("sft", "orpo", "dpo", "kto", "reward")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--work", type=Path, required=True, help="folder for the base and the rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0, help="fewer than the benchmark's own")
    parser.add_argument("--method", action="append", choices=METHODS)
    parser.add_argument("--kind", action="append", choices=tuple(ROWS))
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    base = options.work / "base"
    if options.side:
        method, kind = options.method[0], options.kind[0]
        rows = options.work / f"few-{method}-{kind}.jsonl"
        {"ours": ours, "trl": raw}[options.side](method, base, rows)
        return
    print(describe("torch", "transformers", "trl", "peft"))
    options.work.mkdir(parents=True, exist_ok=True)
    make_base(base, options.data / "tokenizers" / "smollm2")
    for method in options.method or METHODS:
        for kind in options.kind or ROWS:
            make_rows(options.work / f"{method}-{kind}.jsonl", options.data, base, method, kind)
            spread(options.work / f"{method}-{kind}.jsonl", options.rows)
            compare(options, method, kind)


def compare(options: argparse.Namespace, method: str, kind: str) -> None:
    """Both sides in turn, round after round."""
    found: dict[str, list[dict[str, float]]] = {"ours": [], "trl": []}
    for _ in range(options.rounds):
        for side, each in found.items():
            command = [sys.executable, __file__, "--data", options.data, "--work", options.work, "--side", side]
            command += ["--method", method, "--kind", kind]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, env=environment)
            if done.returncode:
                sys.exit(done.stderr[-3000:])
            each.append(json.loads(done.stdout.splitlines()[-1]))
    rates = [our["tokens"] / our["seconds"] for our in found["ours"]]
    theirs = [our["tokens"] / their["seconds"] for our, their in zip(found["ours"], found["trl"], strict=True)]
    ratios = sorted(our / their for our, their in zip(rates, theirs, strict=True))
    memory = {side: median(one["peak"] for one in each) / 1e9 for side, each in found.items()}
    print(
        f"{method:6s} {kind:5s} {found['ours'][0]['tokens']:6.0f} tokens: "
        f"ours {median(rates):5.0f}/s, TRL {median(theirs):5.0f}/s, "
        f"{median(ratios):.2f} x ({ratios[0]:.2f}-{ratios[-1]:.2f}); peak {memory['ours']:.2f} GB, TRL {memory['trl']:.2f} GB",
        flush=True,
    )


def make_base(folder: Path, tokenizer: Path) -> None:
    """A Llama of 25 M parameters and its embeddings, with random weights."""
    if (folder / "config.json").is_file():
        return
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    known = AutoTokenizer.from_pretrained(tokenizer)
    config = LlamaConfig(
        vocab_size=len(known), hidden_size=512, intermediate_size=1408, num_hidden_layers=8, num_attention_heads=8,
        num_key_value_heads=4, max_position_embeddings=1024, tie_word_embeddings=True, bos_token_id=known.bos_token_id,
        eos_token_id=known.eos_token_id, pad_token_id=known.pad_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    known.save_pretrained(folder)


def make_rows(file: Path, data: Path, base: Path, method: str, kind: str) -> None:
    """Alpaca's instructions with their answers; the worse answer is another row's."""
    if file.is_file():
        return
    from transformers import AutoTokenizer

    source = next((data / "instruct").glob("alpaca*"))
    source = next(source.rglob("*.json")) if source.is_dir() else source
    known = [row for row in json.loads(source.read_text("utf-8")) if row["output"].strip()][:4000]
    tokenizer = AutoTokenizer.from_pretrained(base)
    made: list[dict[str, Any]] = []
    at = 0
    while len(made) < ROWS[kind]:
        prompt, answer = known[at]["instruction"], known[at]["output"].strip()
        at += 1
        while kind == "long" and len(tokenizer(prompt + answer)["input_ids"]) < LONG_TOKENS:
            answer += "\n" + known[at]["output"].strip()
            at += 1
        if len(tokenizer(prompt + answer)["input_ids"]) > LONG_TOKENS + 200:
            continue
        other = known[-at]["output"].strip() if kind == "short" else made[-1]["answer"] if made else answer[::-1]
        made.append({"prompt": prompt, "answer": answer, "other": other})
    with file.open("w", encoding="utf-8") as stream:
        for at, row in enumerate(made):
            turns = {"prompt": [{"role": "user", "content": row["prompt"]}]}
            answer, other = ([{"role": "assistant", "content": row[name]}] for name in ("answer", "other"))
            fields = {"completion": answer} if method == "sft" else {"chosen": answer, "rejected": other}
            if method == "kto":
                fields = {"completion": other if at % 2 else answer, "label": at % 2 == 0}
            stream.write(json.dumps({**turns, **fields}) + "\n")


def spread(file: Path, count: int) -> None:
    """Write as many of a file's rows, by length from the longest on, in an order of chance."""
    rows = sorted(file.read_text("utf-8").splitlines(), key=len, reverse=True)
    few = [rows[at * len(rows) // count] for at in range(count)] if 0 < count < len(rows) else rows
    random.Random(0).shuffle(few)
    file.with_name(f"few-{file.name}").write_text("\n".join(few) + "\n", "utf-8")


def ours(method: str, base: Path, rows: Path) -> None:
    """Our recipe, from the command's settings."""
    from finetune import recipe
    from finetune.config import TrainingConfig
    from finetune.recipe import prepare, run
    from finetune.train import recipe_of

    with tempfile.TemporaryDirectory() as scratch:
        config = TrainingConfig(
            method=method, base=str(base), data=(str(rows),), out=str(Path(scratch) / "out"), eval_share=0.0, batch=BATCH,
            max_length=1024, device="cpu", samples=0, save_every=10**6,
        )  # type: ignore[arg-type]  # fmt: skip
        job = prepare(config, recipe_of(method), resume=False, announce=lambda _: None)
        spent, train = [], recipe._train

        def timed(*given: Any) -> None:
            started = time.process_time()
            train(*given)
            spent.append(time.process_time() - started)

        recipe._train = timed
        run(job, recipe_of(method), resume=False)
    report(sum(spent), job.watch.tokens)


def raw(method: str, base: Path, rows: Path) -> None:
    """TRL as its documentation shows it, but for bf16 and the adapter's layers, which are ours."""
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import torch
    import trl
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
    from trl.experimental import orpo

    trainers = {
        "sft": (trl.SFTTrainer, trl.SFTConfig), "dpo": (trl.DPOTrainer, trl.DPOConfig),
        "kto": (trl.KTOTrainer, trl.KTOConfig), "reward": (trl.RewardTrainer, trl.RewardConfig),
        "orpo": (orpo.ORPOTrainer, orpo.ORPOConfig),
    }  # fmt: skip
    trainer, configure = trainers[method]
    torch.manual_seed(0)
    auto: Any = AutoModelForSequenceClassification if method == "reward" else AutoModelForCausalLM
    more = {"num_labels": 1} if method == "reward" else {}
    model = auto.from_pretrained(base, dtype=torch.float32, **more)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    adapter = LoraConfig(r=16, lora_alpha=32, target_modules=targets, task_type="SEQ_CLS" if method == "reward" else "CAUSAL_LM")
    with tempfile.TemporaryDirectory() as scratch:
        given = configure(
            output_dir=scratch, bf16=False, use_cpu=True, num_train_epochs=1, per_device_train_batch_size=BATCH, max_length=1024,
            report_to=[], save_strategy="no", disable_tqdm=True, seed=0,
        )  # fmt: skip
        dataset = load_dataset("json", data_files=str(rows), split="train", cache_dir=scratch)
        tokenizer = AutoTokenizer.from_pretrained(base)
        built = trainer(model=model, args=given, train_dataset=dataset, processing_class=tokenizer, peft_config=adapter)
        started = time.process_time()
        built.train()
        report(time.process_time() - started, None)


def report(seconds: float, tokens: int | None) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "tokens": tokens, "peak": peak}))


if __name__ == "__main__":
    main()
