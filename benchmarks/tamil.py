"""Tamil on a tokenizer that hardly knows it: is what it spells in bytes learned all the same?

    python benchmarks/tamil.py --data ../shared/data --base examples/small-base --work /tmp/tamil [--seeds 3]

SFT on 1,197 couplets of the Thirukkural (Apache-2.0, tk120404/thirukkural), measured on 133 others in bits per character, which
no tokenizer can flatter. Each run takes at most --minutes. A base that has never seen Tamil begins worse than chance over bytes.
"""

import argparse
import json
import time
from pathlib import Path

from machine import describe

from assistant.models.quiet import quiet
from finetune.config import TrainingConfig

HELD_OUT = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    options = parser.parse_args()
    print(describe("torch", "transformers", "trl", "peft"))
    options.work.mkdir(parents=True, exist_ok=True)
    train, held_out = write_rows(options.data / "tamil_thirukkural" / "thirukkural.json", options.work)
    with quiet():
        from finetune.train import train as run
    for seed in range(options.seeds):
        out = options.work / f"{Path(options.base).name}-{options.steps}-{options.rank}-{options.learning_rate:g}-{seed}"
        if not (out / "run" / "result.json").is_file():
            config = TrainingConfig(
                method="sft", base=options.base, data=(str(train),), eval_data=(str(held_out),), out=str(out), samples=0,
                max_steps=options.steps, epochs=50.0, rank=options.rank, alpha=2 * options.rank, max_length=512, batch=8,
                learning_rate=options.learning_rate, eval_every=10**6, save_every=10**6, device="cpu", seed=seed,
            )  # fmt: skip
            started = time.monotonic()
            run(config, announce=lambda _: None)
            print(f"  {time.monotonic() - started:.0f} s")
        result = json.loads((out / "run" / "result.json").read_text("utf-8"))
        before, after, change = (result[name]["bits_per_character"] for name in ("before", "after", "change"))
        print(
            f"seed {seed}: {before['value']:.2f} → {after['value']:.2f} [{after['low']:.2f}, {after['high']:.2f}] bits a letter, "
            f"change {change['value']:.2f} [{change['low']:.2f}, {change['high']:.2f}], {result['tokens']:.0f} tokens",
            flush=True,
        )


def write_rows(source: Path, folder: Path) -> tuple[Path, Path]:
    """Couplets as plain texts; every tenth is held out."""
    couplets = json.loads(source.read_text("utf-8"))["kural"]
    texts = [f"{one['Line1'].strip()}\n{one['Line2'].strip()}" for one in couplets]
    files = folder / "train.jsonl", folder / "held-out.jsonl"
    for file, kept in zip(files, (False, True), strict=True):
        chosen = [text for at, text in enumerate(texts) if (at % HELD_OUT == 0) == kept]
        file.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in chosen), encoding="utf-8")
    return files


if __name__ == "__main__":
    main()
