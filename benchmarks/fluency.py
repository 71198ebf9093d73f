"""Load a real pretrained model of 260 k parameters as the assistant loads any, stream from it, and see that it writes language.

What it writes must be likelier to it than the same words in another order.

    python benchmarks/fluency.py --model ../shared/data/weights/aidreams260K

The model (weights from mc9625/ai-dreamer-esp32-s3_matrix, no licence stated; local use) isn't part of this project.
"""

import argparse
import random
import time
from pathlib import Path

import torch

from assistant.models import Decoding
from assistant.models.detokenizing import Detokenizer
from assistant.models.generation import Decoder
from assistant.models.loading import Loaded, Request, load

BEGINNINGS = ("I was walking", "The house was", "My mother and", "There was a", "We went to")
TOKENS = 90


def write(loaded: Loaded, beginning: str, decoding: Decoding) -> tuple[str, list[int], float]:
    """The text, its ids, and the tokens per second."""
    ids = loaded.tokenizer(beginning)["input_ids"]
    text = Detokenizer(lambda some: loaded.tokenizer.decode(list(some), skip_special_tokens=True))
    decoder, said, written, started = Decoder(loaded.model, loaded.stop_ids), "", [], time.monotonic()
    for token in decoder.stream(ids, decoding):
        written.append(token)
        said += text.push(token)
    return beginning + " " + (said + text.finish()).lstrip(), [*ids, *written], len(written) / (time.monotonic() - started)


def nats(loaded: Loaded, ids: list[int]) -> float:
    """Mean surprise per token."""
    with torch.inference_mode():
        row = torch.tensor([ids])
        return float(loaded.model(row, labels=row).loss)


def shuffled(loaded: Loaded, text: str) -> list[int]:
    """The words of a text in another order."""
    words = text.split()
    random.Random(0).shuffle(words)
    return loaded.tokenizer(" ".join(words))["input_ids"][:TOKENS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    loaded = load(str(options.model), Request(device="cpu", dtype="fp32"))
    print(loaded.label, f"context {loaded.context}")
    for seed, beginning in enumerate(BEGINNINGS):
        text, ids, speed = write(loaded, beginning, Decoding(max_tokens=TOKENS, temperature=0.7, seed=seed))
        other = nats(loaded, shuffled(loaded, text))
        print(f"{nats(loaded, ids):.2f} nats a token, {other:.2f} shuffled, {speed:.0f} tokens/s: {text}")


if __name__ == "__main__":
    main()
