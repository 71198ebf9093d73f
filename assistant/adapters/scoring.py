"""Scores of answers by a reward adapter, on the very base that writes them: no second model is loaded.

The base reads prompt and answer with the adapter's part added, up to the token that ends the answer; the head turns what it has
read there into a number (Ouyang et al. 2022, arXiv 2203.02155, §3.5). The prompt is read once for all of its answers. The ids are
those of training: ``models.rendering`` makes both.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from transformers.cache_utils import DynamicCache

from assistant.adapters.canary import check_length, judge
from assistant.adapters.rewards import Reward
from assistant.errors import ModelError
from assistant.models.memory import PREFILL
from assistant.models.rendering import ending_id, render, render_answer
from assistant.records import Message

if TYPE_CHECKING:
    from assistant.models.loading import Loaded
    from assistant.models.local import LocalModel


def score_answers(
    model: "LocalModel",
    reward: Reward,
    prompt: Sequence[Message],
    answers: Sequence[str],
    announce: Callable[[str], None] = lambda _: None,
) -> list[float]:
    """Score answers to one prompt, in standard deviations from the mean of held-out answers. What is active stays so afterwards.

    Args:
        model: the base, with its adapters.
        reward: the adapter that scores.
        prompt: what the answers were written from.
        answers: with the prompt's own numbers of its passages.
        announce: told what the user should know of the adapter.

    Raises:
        ModelError: the adapter can't be loaded, isn't what it was when it was saved, or computes no number.
    """
    loaded = model.loaded
    before = render(loaded.tokenizer, loaded.family, prompt)
    end = ending_id(loaded.tokenizer, loaded.family)
    ids = [[*render_answer(loaded.tokenizer, loaded.family, answer), end] for answer in answers]
    try:
        with model.adapters.using((reward.chosen,)):
            head = _head(model, reward)
            if not model.adapters.is_proven(reward.chosen.fingerprint):
                _prove(reward, loaded, head, announce)
                model.adapters.proven(reward.chosen.fingerprint)
            outputs = _outputs(loaded.model, head, before, ids)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise ModelError(
            f"out of memory while {reward.name!r} scored {len(before):,} tokens",
            hint="lower context (ASSISTANT_CONTEXT), or load the model with --quantization nf4",
        ) from error
    scores = [(float(output[0]) - reward.mean) / reward.std for output in outputs]
    if not all(map(math.isfinite, scores)):
        raise ModelError(f"the reward adapter {reward.name!r} computes no number", hint="train it again, with a lower rate")
    return scores


def _head(model: "LocalModel", reward: Reward) -> Tensor:
    head, width = model.adapters.head(reward.chosen), int(model.loaded.model.config.hidden_size)
    if tuple(head.shape) != (1, width):
        raise ModelError(
            f"the head of {reward.name!r} is {' × '.join(map(str, head.shape))}, and one score takes 1 × {width}",
            hint="take a whole copy of its folder, or train it again: finetune reward --help",
        )
    return head


@torch.inference_mode()
def _outputs(model: Any, head: Tensor, prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> list[Tensor]:
    """What the head says at the last id of each answer, ``(outputs,)`` each."""
    cache, chunk = DynamicCache(), PREFILL.get(model.device.type, PREFILL["cpu"])
    for at in range(0, len(prompt), chunk):
        _read(model, prompt[at : at + chunk], cache)
    found = []
    for ids in answers:
        for at in range(0, len(ids), chunk):
            hidden = _read(model, ids[at : at + chunk], cache)  # (n, hidden)
        found.append(linear(hidden[-1].to(head.dtype), head).float())
        cache.crop(-len(ids))
    return found


def _read(model: Any, ids: Sequence[int], cache: DynamicCache) -> Tensor:
    """The hidden states of ids behind those in the cache, ``(n, hidden)``; the head that writes words computes nothing."""
    tensor = torch.tensor([list(ids)], device=model.device)
    hidden: Tensor = model.base_model(input_ids=tensor, past_key_values=cache, use_cache=True).last_hidden_state
    return hidden[0]


def _prove(reward: Reward, loaded: "Loaded", head: Tensor, announce: Callable[[str], None]) -> None:
    """Compute the adapter's canary, which is a score."""
    canary = reward.manifest.canary
    check_length(reward.name, canary, loaded)
    (output,) = _outputs(loaded.model, head, (), [canary.ids])
    most = max(abs(float(output[place]) - value) if place < len(output) else math.inf for place, value in canary.top)
    divergence = judge(f"the reward adapter {reward.name!r}", most, canary, loaded, what="score")
    if divergence.notice:
        announce(f"the adapter {reward.name} {divergence.notice}")
