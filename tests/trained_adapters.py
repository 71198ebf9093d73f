"""Real adapters of tiny models, trained by `finetune`: a second each, once a session; damage copies of them."""

import json
from pathlib import Path
from typing import Any

from training_rows import KIND, rows_of

from finetune.config import TrainingConfig
from finetune.train import train


def train_adapter(out: Path, base: Path, method: str = "sft", **settings: Any) -> Path:
    """Train an adapter for some steps; returns its folder."""
    data = out.parent / f"{out.name}.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows_of(KIND[method], 16)), encoding="utf-8")
    given = {"max_steps": 2, "batch": 4, "samples": 0, "max_length": 256, "device": "cpu", "rank": 4, "learning_rate": 1e-2}
    train(TrainingConfig(method=method, base=str(base), data=(str(data),), out=str(out), **given | settings))  # type: ignore[arg-type]
    return out


def change(file: Path, **values: Any) -> None:
    """Change keys of a JSON file; ``...`` takes one out."""
    said = json.loads(file.read_text("utf-8")) | values
    file.write_text(json.dumps({name: value for name, value in said.items() if value is not ...}), "utf-8")
