"""Answers to the first held-out prompts, before and after: what no figure shows."""

from collections.abc import Mapping, Sequence
from typing import Any

from assistant.models.families import context_length
from finetune.encoding import Encoding, Features
from finetune.evaluation import answer_prompts
from finetune.formatting import Formatter
from finetune.run_folder.records import Sample

ANSWER_TOKENS = 160


def write_samples(model: Any, held_out: Encoding, formatter: Formatter, *, count: int) -> list[dict[str, Any]]:
    """Answer the first held-out prompts, if the model writes at all: prompt, answer, and whether it stopped."""
    prompts = [each.get("prompt_ids") or _prompt_of(each) for each in held_out.features[:count]]
    prompts = [prompt for prompt in prompts if prompt]
    if not prompts or not model.can_generate():
        return []
    room = context_length(model.config, formatter.tokenizer) - max(map(len, prompts))
    most = max(1, min(ANSWER_TOKENS, room))
    answers = answer_prompts(model, prompts, stop=formatter.stop_id, padding=formatter.pad_id(), most=most)
    decode = formatter.tokenizer.decode
    return [
        {
            "prompt": decode(prompt),
            "answer": decode(answer, skip_special_tokens=True),
            "stopped": answer[-1:] == [formatter.stop_id],
        }
        for prompt, answer in zip(prompts, answers, strict=True)
    ]


def compare_samples(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[Sample]:
    """Answers to the same prompts, side by side."""
    return [Sample(old["prompt"], old["answer"], new["answer"]) for old, new in zip(before, after, strict=True)]


def _prompt_of(features: Features) -> list[int]:
    labels = features.get("labels")
    if not labels:
        return []
    learned = [at for at, label in enumerate(labels) if label >= 0]
    last = next((at for at in reversed(range(len(labels))) if labels[at] < 0), -1) + 1
    return list(features["input_ids"][:last]) if learned and last > 1 else []
