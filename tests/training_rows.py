"""Small rows for each method of training: answers that cite against answers that ramble."""

import random
from collections.abc import Callable
from typing import Any

from assistant.adapters.manifest import Manifest
from finetune.recipe import Trained

Run = Callable[..., tuple[Trained, Manifest | None]]
KIND = {"sft": "sft", "orpo": "pairs", "dpo": "pairs", "kto": "kto", "reward": "pairs"}
"""Which of these rows a method learns from."""


def rows_of(kind: str, count: int = 24) -> list[dict[str, Any]]:
    """Answers that cite against answers that ramble."""
    rng = random.Random(1)
    made = []
    for at in range(count):
        prompt, good = f"Where is hut {at}?", f"It is {rng.randint(2, 99)} km up. [1]"
        bad = "Well, " * rng.randint(2, 6)
        made.append(
            {
                "sft": {"prompt": prompt, "completion": good},
                "pairs": {"prompt": prompt, "chosen": good, "rejected": bad},
                "kto": {"prompt": prompt, "completion": bad if at % 2 else good, "label": at % 2 == 0},
                "ratings": {"prompt": prompt, "responses": [good, bad], "ratings": [5, 1]},
                "classes": {"text": bad if at % 2 else good, "label": "rambling" if at % 2 else "short"},
            }[kind]
        )
    return made
