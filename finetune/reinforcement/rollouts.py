"""Answers of the policy itself: prompts in, sampled token ids out, the same ids for the same seed.

Writing is transformers' own batched ``generate``; log-probabilities are computed afterwards, in one pass, by the code that
training uses (``finetune.log_probs``): those of writing are computed one token at a time, in another order of additions, and a
ratio of the two would not be 1. It knows nothing of scores.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from finetune.data.rows import Prompted, Row
from finetune.encoding import Encoding
from finetune.evaluation import measuring, on_device
from finetune.formatting import UNLEARNED, Formatter

SEEDS = 1_000_003
"""Steps of a run that have seeds of their own before those of the next run's begin."""


def step_seed(seed: int, step: int) -> int:
    """The seed of all that a step draws."""
    return seed * SEEDS + step + 1


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn.

    Attributes:
        temperature: what logits are divided by.
        top_k: so many tokens may be drawn; 0: all.
        top_p: those that make up this share may be drawn.
        stops: tokens that end an answer.
        padding: what shorter prompts are filled up with, on their left.
        batch: answers written at once.
    """

    temperature: float
    top_k: int
    top_p: float
    stops: tuple[int, ...]
    padding: int
    batch: int


@dataclass(frozen=True, slots=True)
class Rollout:
    """An answer that the policy wrote.

    Attributes:
        at: number of its prompt among the rows.
        prompt: ids.
        answer: ids, with the one that ended it; never none.
        ended: whether it ended by itself.
    """

    at: int
    prompt: list[int]
    answer: list[int]
    ended: bool


def encode_prompts(
    formatter: Formatter, rows: Sequence[Row], max_length: int, *, tokens: tuple[int, int] = (2, 8), seed: int = 0
) -> Encoding:
    """Prompts as ids; those that leave no room for an answer are left out and counted.

    Args:
        formatter: the base's.
        rows: prompts.
        max_length: the most tokens of a prompt.
        tokens: of a plain text, the fewest and the most of its first tokens that make a prompt; drawn for each row by its words.
        seed: of what is drawn.
    """
    features, kept, too_long = [], [], []
    for row in rows:
        if not isinstance(row, Prompted):
            raise TypeError(type(row).__name__)
        ids = formatter.prompted(row)
        if row.text:
            begins = formatter.text(row.text).labels[0] == UNLEARNED  # by a token of its own, if the base has one
            ids = ids[: begins + random.Random(f"{seed} {row.text}").randint(*tokens)]  # noqa: S311 - no secret
        if len(ids) > max_length:
            too_long.append(row.place)
            continue
        features.append({"prompt_ids": ids, "length": len(ids)})
        kept.append(row)
    return Encoding(tuple(features), tuple(kept), tuple(too_long))


def draw_rows(count: int, *, of: int, start: int, seed: int) -> list[int]:
    """The next rows of an endless reading, each once before any comes twice, in an order of its own each time.

    Args:
        count: how many.
        of: rows there are.
        start: how many were drawn before.
        seed: of the orders.
    """
    drawn: list[int] = []
    for number in range(start, start + count):
        turn, place = divmod(number, of)
        if not drawn or place == 0:
            order = list(range(of))
            random.Random(f"{seed} {turn}").shuffle(order)  # noqa: S311 - no secret
        drawn.append(order[place])
    return drawn


def draw_lengths(count: int, tokens: tuple[int, int], *, seed: int) -> list[int]:
    """The most tokens of each answer."""
    drawn = random.Random(f"lengths {seed}")  # noqa: S311 - no secret
    return [drawn.randint(*tokens) for _ in range(count)]


def write_answers(
    model: Any, prompts: Sequence[Sequence[int]], lengths: Sequence[int], sampling: Sampling, *, seed: int, at: Sequence[int] = ()
) -> list[Rollout]:
    """Sample one answer to each prompt.

    Args:
        model: the policy.
        prompts: ids.
        lengths: the most tokens of each answer.
        sampling: how they are drawn.
        seed: the same one gives the same answers, whatever was drawn before.
        at: numbers of the prompts; none: in their order.
    """
    torch.manual_seed(seed)
    order = sorted(range(len(prompts)), key=lambda place: (len(prompts[place]), place))  # little padding
    found: dict[int, Rollout] = {}
    with measuring(model), _plain_sampling(model, sampling):
        for start in range(0, len(order), sampling.batch):
            group = order[start : start + sampling.batch]
            written = _generate(model, [prompts[place] for place in group], max(lengths[place] for place in group), sampling)
            for place, ids in zip(group, written, strict=True):
                answer, ended = cut_answer(ids[: lengths[place]], sampling.stops)
                found[place] = Rollout(at[place] if at else place, list(prompts[place]), answer, ended)
    return [found[place] for place in range(len(prompts))]


def cut_answer(ids: Sequence[int], stops: Sequence[int]) -> tuple[list[int], bool]:
    """What was written up to the first token that ends an answer, and whether there is one."""
    end = next((place for place, each in enumerate(ids) if each in stops), None)
    return (list(ids), False) if end is None else (list(ids[: end + 1]), True)


def said(rollout: Rollout, formatter: Formatter) -> tuple[str, str]:
    """Prompt and answer as texts. A text that is gone on with is decoded whole: a first token may be half a word's."""
    decode = formatter.tokenizer.decode
    prompt = str(decode(rollout.prompt, skip_special_tokens=True))
    whole = str(decode([*rollout.prompt, *rollout.answer], skip_special_tokens=True))
    return prompt, whole[len(prompt) :] if whole.startswith(prompt) else str(decode(rollout.answer, skip_special_tokens=True))


def _generate(model: Any, prompts: Sequence[Sequence[int]], most: int, sampling: Sampling) -> list[list[int]]:
    width = max(map(len, prompts))
    ids = torch.tensor([[sampling.padding] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    out: Tensor = model.generate(input_ids=on_device(model, ids), attention_mask=on_device(model, mask), max_new_tokens=most)
    answers: list[list[int]] = out[:, width:].tolist()
    return answers


@contextmanager
def _plain_sampling(model: Any, sampling: Sampling) -> Iterator[None]:
    """Draw by these settings alone: what a base's own ``generation_config`` says (top-k 50, …) isn't what is learned from."""
    from transformers import GenerationConfig

    settings: Any = GenerationConfig  # untyped
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    before = causal.generation_config
    head = causal.get_output_embeddings().register_forward_pre_hook(_in_one_piece)
    causal.generation_config = settings(
        do_sample=True, temperature=sampling.temperature, top_k=sampling.top_k, top_p=sampling.top_p,
        eos_token_id=list(sampling.stops), pad_token_id=sampling.padding,
    )  # fmt: skip
    try:
        yield
    finally:
        causal.generation_config = before
        head.remove()


def _in_one_piece(_head: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The last states of prompts, which are a slice: on a CPU the product would copy the head's weights for each row of it.

    With Llama 3's vocabulary and width that is 1 GB an answer in bfloat16.
    """
    return (given[0].contiguous(), *given[1:])


def distinct_2(texts: Sequence[Sequence[Any]]) -> float:
    """Distinct-2: pairs of neighbours that differ, of all there are (Li et al. 2016); 0 where there are none."""
    pairs = [pair for text in texts for pair in pairwise(text)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def lengths_of(rollouts: Sequence[Rollout]) -> Mapping[str, float]:
    """Mean tokens of answers, the share that ended by itself, and the share that says nothing."""
    count = max(len(rollouts), 1)
    return {
        "length": sum(len(each.answer) for each in rollouts) / count,
        "ended": sum(each.ended for each in rollouts) / count,
        "empty": sum(each.ended and len(each.answer) == 1 for each in rollouts) / count,
    }
