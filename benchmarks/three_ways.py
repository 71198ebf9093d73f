"""ORPO, PPO and best-of-4 from the same preferences, on the same prompts: one table.

    python benchmarks/reviews.py    --data ../shared/data --work /tmp/reviews --only ppo-0   (makes writer and classifier)
    python benchmarks/three_ways.py --data ../shared/data --work /tmp/reviews

The writer learns by `finetune sft` to go on from the first words of a review (supervised stage). It then writes two answers to
each of a thousand prompts, and the sentiment classifier, who plays the people here, says which is better: pairs of prompt,
chosen, rejected. From these pairs ORPO learns at once; `finetune reward` makes a reward model of them, on the writer's own base,
which PPO learns from and best-of-4 chooses by. All start from the supervised stage and answer the same held-out prompts with the
same seed. Measured: the reward model, which is what was sought; the classifier, which is what was meant; the second grader, which
nobody asked; distinct-2; and the processor's seconds of learning and of an answer.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import describe
from review_data import LICENCES, make_second_grader, split_rows, write_rows
from reviews import ONE_THREAD, run

from finetune.graders.grader import Sample

PAIRS, SUPERVISED, MEASURED, BEST_OF = 1_000, 3_000, 256, 4
ANSWER = 20
"""Tokens of an answer, at most."""
SHARED = {"rank": 32, "alpha": 64, "max_length": 100, "samples": 0, "save_every": 1_000, "eval_every": 100_000}
STAGES: dict[str, dict[str, Any]] = {
    "sft": SHARED | {"learning_rate": 2e-3, "batch": 16, "epochs": 1},
    "reward": SHARED | {"learning_rate": 1e-3, "batch": 16, "epochs": 2},
    "orpo": SHARED | {"learning_rate": 5e-4, "batch": 16, "epochs": 2},
    "ppo": SHARED | {"learning_rate": 1e-3, "batch": 32, "rollouts": 64, "write_batch": 64, "max_steps": 30, "measured": 64,
                     "answer_tokens": str(ANSWER), "kl": 0.15},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Way:
    """One way to better answers.

    Attributes:
        adapter: what writes.
        best_of: answers from which the reward model chooses one.
        cpu_s: seconds that its learning took beyond the supervised stage.
    """

    adapter: Path
    best_of: int = 1
    cpu_s: float = 0.0


class Writer:
    """The base with an adapter at a time.

    Args:
        base: the writer's folder.
    """

    def __init__(self, base: Path) -> None:
        from finetune.base_model import open_base
        from finetune.config import TrainingConfig

        config = TrainingConfig("sft", str(base), ("none",), out="none", device="cpu", dtype="fp32", max_length=100)
        self.base = open_base(config)

    def write(self, adapter: Path, prompts: Sequence[str], *, seed: int) -> tuple[list[str], list[list[int]], float]:
        """One answer to each prompt: texts, ids, and the processor's seconds."""
        from peft import PeftModel

        from assistant.records import Message
        from finetune.reinforcement.rollouts import Sampling, said, write_answers

        formatter, loaded = self.base.formatter, self.base.loaded
        stops = tuple(sorted({int(each) for each in (*loaded.stop_ids, formatter.stop_id) if each is not None}))
        ids = [formatter.prompt((Message("user", prompt),)) for prompt in prompts]
        adapted: Any = PeftModel.from_pretrained(loaded.model, str(adapter))
        started = time.process_time()
        found = write_answers(
            adapted.eval(), ids, [ANSWER] * len(ids), Sampling(1.0, 0, 1.0, stops, formatter.pad_id(), 64), seed=seed
        )
        spent = time.process_time() - started
        adapted.unload()  # in place: the base is as it was
        return [said(each, formatter)[1] for each in found], [each.answer for each in found], spent


def samples_of(prompts: Sequence[str], answers: Sequence[str]) -> list[Sample]:
    """Prompts and answers as graders see them."""
    from assistant.records import Message

    return [Sample((Message("user", prompt),), answer, {}) for prompt, answer in zip(prompts, answers, strict=True)]


def rows_of(data: Path) -> tuple[list[dict[str, str]], list[str], list[str]]:
    """Rows for the supervised stage, prompts to learn preferences from, and others to measure on: of different reviews."""
    drawn, rows, seen = random.Random("three ways"), [], set()
    for row in split_rows(data, "test"):
        words = row["text"].split()
        begin = drawn.randint(2, 6)
        beginning = " ".join(words[:begin])
        if len(words) > begin + 14 and beginning.lower() not in seen:
            seen.add(beginning.lower())
            rows.append({"prompt": beginning, "completion": " ".join(words[begin : begin + 14])})
    drawn.shuffle(rows)
    asked = [row["prompt"] for row in rows[SUPERVISED:]]
    return rows[:SUPERVISED], asked[:PAIRS], asked[PAIRS : PAIRS + MEASURED]


def make_pairs(writer: Writer, adapter: Path, prompts: Sequence[str], judge: Any) -> list[dict[str, str]]:
    """Two answers to each prompt, the one that the judge likes better first; equal ones are dropped."""
    both = [writer.write(adapter, prompts, seed=seed)[0] for seed in (11, 12)]
    scores = [judge.score(samples_of(prompts, answers)) for answers in both]
    found = []
    for at, prompt in enumerate(prompts):
        better = int(scores[1][at] > scores[0][at])
        chosen, rejected = both[better][at].strip(), both[1 - better][at].strip()
        if chosen and rejected and chosen != rejected:
            found.append({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    return found


def learn(verb: str, base: Path, data: Path, measured: Path, out: Path, *more: str) -> float:
    """Train a stage, or find it trained: its seconds of the processor."""
    if not (out / "run" / "result.json").is_file():
        run(verb, base, data, measured, STAGES[verb], out, *more)
    return float(json.loads(out.with_suffix(".clock.json").read_text())["cpu_s"])


def interval(found: Any) -> str:
    """A mean with its 95 % interval."""
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def table(writer: Writer, ways: dict[str, Way], prompts: Sequence[str], reward: Any, meant: Any, apart: Any) -> None:
    """Answers of each way to the same prompts, scored by each grader; the change is against the first way, row by row."""
    from finetune.reinforcement.rollouts import distinct_2
    from finetune.statistics import mean_interval, paired_change

    print("\n| way | reward model | classifier | change of it | second grader | change of it | distinct-2 | tokens | "
          "learning, s of a processor | an answer, ms |\n|" + "---|" * 10)  # fmt: skip
    first: dict[str, list[float]] = {}
    for name, way in ways.items():
        answers, ids, spent = best_of(writer, way, prompts, reward)
        asked = samples_of(prompts, answers)
        scores = {"reward": reward.score(asked), "meant": meant.score(asked), "apart": apart.score(asked)}
        first = first or scores
        changes = {
            key: interval(paired_change(first[key], scores[key])) if way is not ways["supervised"] else "" for key in scores
        }
        tokens = sum(map(len, ids)) / len(ids)
        print(f"| {name} | {interval(mean_interval(scores['reward']))} | {interval(mean_interval(scores['meant']))} | "
              f"{changes['meant']} | {interval(mean_interval(scores['apart']))} | {changes['apart']} | {distinct_2(ids):.3f} | "
              f"{tokens:.1f} | {way.cpu_s:.0f} | {1e3 * spent / len(ids):.0f} |", flush=True)  # fmt: skip
        for prompt, answer in list(zip(prompts, answers, strict=True))[:3]:
            print(f"    {name}: {prompt} … {' '.join(answer.split())}", file=sys.stderr)


def best_of(writer: Writer, way: Way, prompts: Sequence[str], reward: Any) -> tuple[list[str], list[list[int]], float]:
    """Of some answers to each prompt the one that the reward model likes best."""
    drafts = [writer.write(way.adapter, prompts, seed=101 + at) for at in range(way.best_of)]
    spent = sum(draft[2] for draft in drafts)
    if way.best_of == 1:
        return drafts[0]
    started = time.process_time()
    scores = [reward.score(samples_of(prompts, texts)) for texts, _, _ in drafts]
    best = [max(range(way.best_of), key=lambda draft: scores[draft][at]) for at in range(len(prompts))]
    spent += time.process_time() - started
    return [drafts[draft][0][at] for at, draft in enumerate(best)], [drafts[draft][1][at] for at, draft in enumerate(best)], spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    os.environ.update(ONE_THREAD)
    import torch

    from finetune.graders.opening import Context, open_graders

    torch.set_num_threads(1)
    print(describe("torch", "transformers", "peft", "trl"))
    work, base = options.work / "ways", options.work / "writer"
    rows, learned, measured = rows_of(options.data)
    held_out = write_rows([{"prompt": prompt} for prompt in measured], work / "measured.jsonl")
    few = write_rows(rows[:64], work / "sft-measured.jsonl")
    learn("sft", base, write_rows(rows[64:], work / "sft.jsonl"), few, work / "sft")
    writer = Writer(base)
    judge = open_graders([f"classifier:{options.work / 'sentiment'}:positive"], Context())
    if not (work / "pairs.jsonl").is_file():
        found = make_pairs(writer, work / "sft", learned, judge)
        write_rows(found[:100], work / "pairs-measured.jsonl")
        write_rows(found[100:], work / "pairs.jsonl")
    pairs, few_pairs, start = work / "pairs.jsonl", work / "pairs-measured.jsonl", ("--init-adapter", str(work / "sft"))
    reward_s = learn("reward", base, pairs, few_pairs, work / "reward")
    orpo_s = learn("orpo", base, pairs, few_pairs, work / "orpo", *start)
    asked = write_rows([{"prompt": prompt} for prompt in learned], work / "prompts.jsonl")
    ppo_s = learn("ppo", base, asked, held_out, work / "ppo", *start, "--grader", str(work / "reward"), "--force")
    told = json.loads((work / "reward" / "run" / "result.json").read_text())["after"]["accuracy"]
    print(f"reward model: {told['value']:.2f} [{told['low']:.2f}, {told['high']:.2f}] of 100 held-out pairs are right")
    ways = {
        "supervised": Way(work / "sft"), "ORPO": Way(work / "orpo", cpu_s=orpo_s),
        "PPO": Way(work / "ppo", cpu_s=reward_s + ppo_s),
        f"best of {BEST_OF}": Way(work / "sft", best_of=BEST_OF, cpu_s=reward_s),
    }  # fmt: skip
    reward = open_graders([str(work / "reward")], Context(base=writer.base))
    second, _ = make_second_grader(options.data, options.work / "second")
    apart = open_graders([f"{second}:score"], Context())
    table(writer, ways, measured, reward, judge, apart)
    for each in (reward, judge, apart):
        each.close()
    print("Data:", LICENCES)


if __name__ == "__main__":
    main()
