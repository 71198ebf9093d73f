"""How many of the sample handbook's questions the small base answers rightly, with a citation that the assistant verifies.

    python evaluate.py --model examples/small-base --cache FOLDER [--split test] [--show]

Every question is asked twice: with the passage that holds the answer alone, and with the two passages that the index ranks
highest beside it, in an order drawn for the question. Right means: the assistant's check (literal, strict) leaves a sentence that
holds a gold answer and cites a file that has it. Unanswerable questions are asked with the one and the three best passages;
right means the abstention. The handbook is indexed in ``--cache`` by the assistant itself.
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from handbook import HANDBOOK, questions
from transformers import AutoModelForCausalLM, AutoTokenizer

from assistant.citations import verify
from assistant.language.sentences import split_units
from assistant.prompt import ABSTENTION, Budget, build_messages
from indexes.build import build_index
from indexes.evaluation import contains
from indexes.export import load_embedder
from indexes.records import Hit
from indexes.roots import RootRequest
from indexes.search import Searcher

DISTRACTORS = 2
ANSWER_TOKENS = 160


class Writer:
    """The model, decoded greedily."""

    def __init__(self, folder: Path) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def answer(self, question: str, hits: Sequence[Hit]) -> str:
        """What the model writes to the assistant's own prompt; the text of an answer that never ends is not cut further."""
        budget = Budget(self.tokenizer.model_max_length - ANSWER_TOKENS, lambda messages: len(self._ids(messages)))
        messages = build_messages(question, hits, budget).messages
        ids = torch.tensor([self._ids(messages)])
        with torch.inference_mode():
            out = self.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=ANSWER_TOKENS, do_sample=False)
        return self.tokenizer.decode(out[0, ids.size(1) :], skip_special_tokens=True)

    def _ids(self, messages: Sequence) -> list[int]:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)


def gold_passage(record: dict, ranked: Sequence[Hit]) -> Hit:
    """The best ranked passage of a right file with the answer in one of its units, else in it, else of a right file."""
    own = [hit for hit in ranked if hit.source in record["sources"]]
    for texts in (lambda hit: [unit.text for unit in split_units(hit.passage)], lambda hit: [hit.passage.text]):
        for hit in own:
            if any(contains(text, answer) for text in texts(hit) for answer in record["answers"]):
                return hit
    return own[0]


def passages(record: dict, ranked: Sequence[Hit], distractors: int) -> list[Hit]:
    """What a question is asked with."""
    if record["unanswerable"]:
        return list(ranked[: 1 + distractors])
    gold = gold_passage(record, ranked)
    others = [
        hit for hit in ranked if hit is not gold and not any(contains(hit.passage.text, each) for each in record["answers"])
    ]
    chosen = [gold, *others[:distractors]]
    random.Random(record["id"]).shuffle(chosen)
    return chosen


def is_right(record: dict, text: str, hits: Sequence[Hit]) -> bool:
    if record["unanswerable"]:
        return text.strip() == ABSTENTION
    verified = verify(text, hits, strict=True)
    found = any(contains(verified.text, answer) for answer in record["answers"])
    return found and any(citation.source in record["sources"] for citation in verified.citations)


def interval(values: Sequence[bool]) -> str:
    """A share with its 95 % bootstrap interval."""
    if not values:
        return "-"
    drawn = np.random.default_rng(0).choice(np.array(values, dtype=float), (2000, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{np.mean(values):.3f} [{low:.3f}, {high:.3f}] of {len(values)}"


def report(name: str, records: Sequence[dict], right: Sequence[bool]) -> None:
    answerable = [ok for record, ok in zip(records, right, strict=True) if not record["unanswerable"]]
    print(f"{name}: answered rightly {interval(answerable)}; the first 50 of them {interval(answerable[:50])}")
    for kind in ("fact", "table", "list", "procedure", "near_miss", "off_topic"):
        print(f"    {kind:10s} {interval([ok for record, ok in zip(records, right, strict=True) if record['kind'] == kind])}")
    refused = [ok for record, ok in zip(records, right, strict=True) if record["unanswerable"]]
    print(f"    unanswerable, abstained {interval(refused)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the index and the embedding model")
    parser.add_argument("--split", choices=["test", "calibration"], default="calibration")
    parser.add_argument("--show", action="store_true", help="print what was answered (calibration half only)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    writer, index = Writer(options.model), options.cache / "handbook"

    def embedder(model_id: str):
        return load_embedder(model_id, options.cache / "models")

    build_index(index, [RootRequest(HANDBOOK)], open_embedder=embedder)
    records = questions(options.split)
    with Searcher([index], open_embedder=embedder) as searcher:
        ranked = [searcher.search(record["question"], k=150) for record in records]
    for distractors, name in ((0, "the passage alone"), (DISTRACTORS, f"with {DISTRACTORS} more")):
        right = []
        for record, hits in zip(records, ranked, strict=True):
            given = passages(record, hits, distractors)
            text = writer.answer(record["question"], given)
            right.append(is_right(record, text, given))
            if options.show and options.split == "calibration" and not right[-1]:
                print(f"  {record['kind']} | {record['question']} | {text} | {record['answers']}")
        report(name, records, right)


if __name__ == "__main__":
    main()
