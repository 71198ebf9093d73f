"""Does reuse of the KV cache or prompt lookup change a single token? Greedy answers in fp32, against the plain run.

Prompts are the handbook's questions with the passages that the product finds, in pairs that make a conversation of two turns,
so that there is something to reuse. Where tokens differ, the margin between the two best logits there is shown: below 1e-4 the
arithmetic of another shape may decide either way.

    python benchmarks/same_output.py --work /tmp/same [--prompts 200] MODEL…      # folders; e.g. examples/small-base
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from machine import describe

from assistant.models import Decoding
from assistant.models.generation import Decoder, common_prefix
from assistant.models.loading import Request, load
from assistant.models.local import LocalModel
from assistant.prompt import build_messages
from assistant.records import Message
from indexes.build import build_index
from indexes.export import load_embedder
from indexes.records import Hit
from indexes.roots import RootRequest
from indexes.search import Searcher

HANDBOOK = Path(__file__).parent.parent / "examples" / "handbook"
TOKENS = 48
PLAIN = Decoding(max_tokens=TOKENS, lookup=False, reuse=False)
WAYS = {
    "prefix reuse": Decoding(max_tokens=TOKENS, lookup=False, reuse=True),
    "prompt lookup": Decoding(max_tokens=TOKENS, lookup=True, reuse=False),
    "both": Decoding(max_tokens=TOKENS, lookup=True, reuse=True),
}


@dataclass
class Count:
    """What came of one way of decoding."""

    prompts: int = 0
    different: int = 0
    unexplained: int = 0
    reused: int = 0
    read: int = 0
    drafted: int = 0
    accepted: int = 0


def questions_with_passages(work: Path, count: int) -> list[tuple[str, list[Hit]]]:
    def open_embedder(model: str) -> object:
        return load_embedder(model, work / "models")

    build_index(work / "handbook", [RootRequest(HANDBOOK)], open_embedder=open_embedder)  # type: ignore[arg-type]
    rows = [json.loads(line) for line in HANDBOOK.with_name("handbook-questions.jsonl").read_text().splitlines()]
    with Searcher([work / "handbook"], open_embedder=open_embedder) as searcher:  # type: ignore[arg-type]
        return [(row["question"], searcher.search(row["question"], k=3)) for row in rows[:count]]


def conversations(model: LocalModel, asked: Sequence[tuple[str, list[Hit]]]) -> list[list[int]]:
    """Ids of a first turn, then of a second one that goes on from it, and so on in pairs."""
    found = []
    for (first, hits), (second, more) in list(pairwise(asked))[::2]:
        opening = build_messages(first, hits[:2], model.budget).messages
        found.append(model.render(opening))
        history = (*opening[1:], Message("assistant", "It is said there. [1]"))
        found.append(model.render(build_messages(second, more[:2], model.budget, history=history).messages))
    return found


def margin(model: LocalModel, ids: Sequence[int]) -> float:
    """How far apart the two best logits are after some ids."""
    with torch.inference_mode():
        logits = model.loaded.model(torch.tensor([ids])).logits[0, -1]
    best = logits.topk(2).values
    return float(best[0] - best[1])


def compare(model: LocalModel, prompts: Sequence[Sequence[int]]) -> dict[str, Count]:
    plain = Decoder(model.loaded.model, model.loaded.stop_ids)
    expected = [list(plain.stream(ids, PLAIN)) for ids in prompts]
    counts = {}
    for name, way in WAYS.items():
        decoder, count = Decoder(model.loaded.model, model.loaded.stop_ids), Count()
        for ids, wanted in zip(prompts, expected, strict=True):
            got = list(decoder.stream(ids, way))
            last = decoder.last
            assert last
            count.prompts += 1
            count.reused, count.read = count.reused + last.reused_tokens, count.read + last.prompt_tokens
            count.drafted, count.accepted = count.drafted + last.drafted, count.accepted + last.accepted
            if got != wanted:
                count.different += 1
                count.unexplained += margin(model, [*ids, *wanted[: common_prefix(got, wanted)]]) >= 1e-4
        counts[name] = count
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=200)
    options = parser.parse_args()
    print(describe("torch", "transformers"))
    asked = questions_with_passages(options.work, options.prompts)
    for folder in options.models:
        loaded = load(folder, Request(device="cpu"))
        loaded.model.float()
        model = LocalModel(loaded, decoding=Decoding(max_tokens=TOKENS))
        for name, count in compare(model, conversations(model, asked)).items():
            print(
                f"{Path(folder).name}, {name}: {count.different} of {count.prompts} prompts differ, "
                f"{count.unexplained} of them not at a tie; {count.reused / count.read:.0%} of the prompts' tokens reused, "
                f"{count.accepted} of {count.drafted} guesses right"
            )


if __name__ == "__main__":
    main()
