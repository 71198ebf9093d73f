"""Log-probabilities of given answers, computed only where there is something to learn.

A vocabulary of 128,000 makes the logits the largest thing in a training. Prompts need none: the head is applied to the answers'
positions alone, and in pieces that are computed again for the gradient.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

PIECE = 1 << 24
"""Logits computed at once: 64 MB in float32."""


def token_log_probs(model: Any, input_ids: Tensor, attention_mask: Tensor | None, learned: Tensor, **packed: Any) -> Tensor:
    """Log-probability of each learned token, in float32.

    Args:
        model: causal, with or without adapters.
        input_ids: ``(b, t)``.
        attention_mask: ``(b, t)``; None: no token is padding.
        learned: ``(b, t)`` bool; the first token of a row can't be.
        packed: where several rows make one sequence, what tells them apart, e.g. ``position_ids``.

    Returns:
        ``(n,)``: of the learned tokens of all rows, in reading order.
    """
    states, wanted = answer_states(model, input_ids, attention_mask, learned, **packed)
    return log_probs_of(model, states, wanted)


def answer_states(
    model: Any, input_ids: Tensor, attention_mask: Tensor | None, learned: Tensor, **packed: Any
) -> tuple[Tensor, Tensor]:
    """The last hidden states that each learned token is predicted from, ``(n, d)``, and those tokens, ``(n,)``."""
    hidden = (
        _causal(model)
        .get_decoder()(input_ids=input_ids, attention_mask=attention_mask, use_cache=False, **packed)
        .last_hidden_state
    )  # (b, t, d)
    at = learned[:, 1:]
    return hidden[:, :-1][at], input_ids[:, 1:][at]


def log_probs_of(model: Any, states: Tensor, wanted: Tensor, *, temperature: float = 1.0, entropy: bool = False) -> Tensor:
    """Log-probability of each wanted token, in float32, the head being applied in pieces.

    Args:
        model: whose head it is.
        states: ``(n, d)``.
        wanted: ``(n,)`` tokens.
        temperature: what the logits are divided by.
        entropy: whether that of each distribution is computed too, in nats.

    Returns:
        ``(n,)``, or ``(2, n)`` with the entropies below.
    """
    head, config = _causal(model).get_output_embeddings(), _causal(model).config.get_text_config()
    cap, scale = getattr(config, "final_logit_softcapping", None), logit_scale(config)

    def piece(states: Tensor, wanted: Tensor) -> Tensor:
        logits = head(states).float()  # (m, vocabulary)
        logits = logits if scale == 1 else logits * scale
        logits = cap * torch.tanh(logits / cap) if cap else logits
        logits = logits if temperature == 1 else logits / temperature
        found = -cross_entropy(logits, wanted, reduction="none")
        if not entropy:
            return found
        every = torch.log_softmax(logits, -1)
        return torch.stack((found, -(every.exp() * every).sum(-1)))

    size = max(1, PIECE // head.weight.shape[0])
    if len(states) <= size:
        return piece(states, wanted)
    pieces = zip(torch.split(states, size), torch.split(wanted, size), strict=True)
    if torch.is_grad_enabled():
        return torch.cat([_recomputed(piece, *each) for each in pieces], -1)
    return torch.cat([piece(*each) for each in pieces], -1)


def _causal(model: Any) -> Any:
    """A model without its adapters' wrapping."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def logit_scale(config: Any) -> float:
    """What a model's logits are multiplied by after its head: most by nothing, some (Cohere, Granite) by a setting of theirs."""
    if scaling := getattr(config, "logits_scaling", None):
        return float(scaling if config.model_type == "hyperclovax" else 1 / scaling)
    given = (getattr(config, name, None) for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"))
    return float(next((scale for scale in given if scale is not None), 1.0))


def _recomputed(work: Any, *given: Tensor) -> Tensor:
    found: Tensor = checkpoint(work, *given, use_reentrant=False)
    return found


def row_sums(values: Tensor, learned: Tensor) -> tuple[Tensor, Tensor]:
    """Sums and counts of a row's learned tokens.

    Args:
        values: ``(n,)``, of all learned tokens in reading order.
        learned: ``(b, t)`` bool.

    Returns:
        ``(b,)`` sums, ``(b,)`` counts, at least 1.
    """
    at = learned[:, 1:]
    row = torch.arange(len(at), device=at.device)[:, None].expand_as(at)[at]  # (n,)
    sums = torch.zeros(len(at), dtype=values.dtype, device=values.device).index_add(0, row, values)
    return sums, at.sum(1).clamp(min=1)


def pad(rows: list[list[int]], padding: int) -> Tensor:
    """Rows of one length, padded on the right: ``(b, t)``."""
    width = max(map(len, rows))
    return torch.tensor([row + [padding] * (width - len(row)) for row in rows])


def pad_answers(prompts: list[list[int]], answers: list[list[int]], padding: int) -> dict[str, Tensor]:
    """Prompts with their answers: ``input_ids``, ``attention_mask`` and ``learned``, each ``(b, t)``."""
    ids = pad([prompt + answer for prompt, answer in zip(prompts, answers, strict=True)], padding)
    ones = [[1] * (len(prompt) + len(answer)) for prompt, answer in zip(prompts, answers, strict=True)]
    learned = [[0] * len(prompt) + [1] * len(answer) for prompt, answer in zip(prompts, answers, strict=True)]
    return {"input_ids": ids, "attention_mask": pad(ones, 0), "learned": pad(learned, 0).bool()}
