"""Token ids in, token ids out, one at a time: greedy or sampled decoding over a KV cache that outlives the turn.

- *Prefix reuse*: keys and values of the longest common prefix with an earlier sequence stay; only what is new is computed. Those
  of another scope (another adapter) are never looked at.
- *Prompt lookup*: an answer quotes its passages, so the words that followed the last few tokens earlier in the sequence are
  guessed and verified in one forward pass. At temperature 0 the tokens are those of plain decoding, up to ties in the
  arithmetic (docs/benchmarks.md counts them).

It knows ids alone: no text, no template, no passages. Source of prompt lookup: Saxena, "Prompt Lookup Decoding" (2023); of
verifying drafts: Leviathan et al., arXiv 2211.17192.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from assistant.errors import ModelError
from assistant.models import Decoding
from assistant.models.lookup import Lookup
from assistant.models.memory import PREFILL
from assistant.records import Generation

SLOTS = 2
"""Sequences kept: the conversation's, and that of the short prompts between its turns (rewriting a follow-up)."""
WORTH_REUSING = 8
"""Ids in common below which a sequence is left to be gone on with later."""


@dataclass(slots=True)
class _Slot:
    """Keys and values of a sequence, its ids, and what it was computed with besides them."""

    scope: str = ""
    ids: list[int] = field(default_factory=list)
    cache: DynamicCache = field(default_factory=DynamicCache)


@dataclass(slots=True)
class _Run:
    """One answer while it is written."""

    ids: list[int]
    decoding: Decoding
    started: float
    reused: int
    lookup: Lookup | None
    random: torch.Generator
    written: int = 0
    drafted: int = 0
    accepted: int = 0
    first_s: float = 0.0


class Decoder:
    """Decodes with one model; not for several threads.

    Args:
        model: a causal language model, on its device.
        stop_ids: tokens that end an answer; they aren't yielded.
    """

    def __init__(self, model: Any, stop_ids: Sequence[int]) -> None:
        self._model = model
        self._stop = frozenset(stop_ids)
        self._slots: list[_Slot] = [_Slot()]  # the one in use first
        self.last: Generation | None = None

    @torch.inference_mode()
    def stream(self, prompt: Sequence[int], decoding: Decoding, *, scope: str = "") -> Generator[int]:
        """Yield the answer's tokens as they are decided.

        Closing the generator, or an exception anywhere, leaves it ready for the next call.

        Args:
            prompt: at least one id.
            decoding: how to choose.
            scope: what the KV cache depends on besides the ids, e.g. the adapter.

        Raises:
            ModelError: out of memory, or the model computes NaN.
        """
        run = self._begin(prompt, decoding, scope)
        ended: Literal["stop", "length", "interrupted"] = "interrupted"
        try:
            for token in self._tokens(run):
                run.written += 1
                run.first_s = run.first_s or time.monotonic() - run.started
                yield token
            ended = "length" if run.written >= decoding.max_tokens else "stop"
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            self.forget()
            raise ModelError(
                f"out of memory at {len(run.ids):,} tokens",
                hint="lower context (ASSISTANT_CONTEXT), or load the model with --quantization nf4",
            ) from error
        finally:
            self._settle(decoding)
            seconds = time.monotonic() - run.started
            self.last = Generation(len(prompt), run.reused, run.written, run.drafted, run.accepted, run.first_s, seconds, ended)

    def forget(self) -> None:
        """Drop all keys and values."""
        self._slots = [_Slot()]
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _begin(self, prompt: Sequence[int], decoding: Decoding, scope: str) -> _Run:
        if not decoding.reuse:
            self.forget()
        started = time.monotonic()
        self._choose_slot(prompt, scope)
        reused = min(common_prefix(self._slot.ids, prompt), len(prompt) - 1)  # the last one is computed: its logits are needed
        self._keep(reused)
        lookup = Lookup(prompt) if decoding.lookup and decoding.temperature == 0 else None
        random = torch.Generator(device="cpu").manual_seed(decoding.seed)
        return _Run(list(prompt), decoding, started, reused, lookup, random)

    @property
    def _slot(self) -> _Slot:
        return self._slots[0]

    def _choose_slot(self, prompt: Sequence[int], scope: str) -> None:
        """Take the scope's sequence that has most in common with a prompt, or a new one in the place of the longest unused."""
        known = [slot for slot in self._slots if slot.scope == scope]
        best = max(known, key=lambda slot: common_prefix(slot.ids, prompt), default=None)
        if best is None or common_prefix(best.ids, prompt) < min(WORTH_REUSING, len(best.ids)):
            best = _Slot(scope)
        self._slots = [best, *(slot for slot in self._slots if slot is not best)][:SLOTS]

    def _tokens(self, run: _Run) -> Iterator[int]:
        """Decide token after token; with lookup several may come from one forward pass."""
        decided = [self._choose(self._prefill(run.ids[len(self._slot.ids) :])[-1], run)]
        while True:
            for token in decided:
                if token in self._stop:
                    return
                run.ids.append(token)
                if run.lookup:
                    run.lookup.append(token)
                yield token
                if run.written >= run.decoding.max_tokens:
                    return
            decided = self._step(run)

    def _step(self, run: _Run) -> list[int]:
        """Compute the last token with a draft behind it: the drafted tokens that agree are decided, and the one after them."""
        draft = run.lookup.draft(run.decoding.max_tokens - run.written - 1) if run.lookup else []
        logits = self._forward([run.ids[-1], *draft], keep=len(draft) + 1)  # (k + 1, vocabulary)
        if not draft:
            return [self._choose(logits[-1], run)]
        agreed = common_prefix(draft, logits[:-1].argmax(dim=-1).tolist())
        self._keep(len(self._slot.ids) - len(draft) + agreed)
        run.drafted, run.accepted = run.drafted + len(draft), run.accepted + agreed
        if run.lookup:
            run.lookup.learn(len(draft), agreed)
        return [*draft[:agreed], self._choose(logits[agreed], run)]

    def _prefill(self, ids: Sequence[int]) -> torch.Tensor:
        chunk = PREFILL.get(self._model.device.type, PREFILL["cpu"])
        logits = torch.empty(0)
        for at in range(0, len(ids), chunk):
            logits = self._forward(ids[at : at + chunk], keep=1)
        return logits

    def _forward(self, ids: Sequence[int], *, keep: int) -> torch.Tensor:
        """Logits of the last ``keep`` of some ids, ``(keep, vocabulary)``; their keys and values join the cache."""
        tensor = torch.tensor([ids], device=self._model.device)  # (1, n)
        output = self._model(input_ids=tensor, past_key_values=self._slot.cache, use_cache=True, logits_to_keep=keep)
        self._slot.ids += ids
        logits: torch.Tensor = output.logits[0]  # (keep, vocabulary)
        return logits

    def _choose(self, logits: torch.Tensor, run: _Run) -> int:
        """Decide the next token from its logits, ``(vocabulary,)``."""
        best = logits.argmax()
        if not torch.isfinite(logits[best]):
            self.forget()
            raise ModelError(
                "the model computes NaN: its weights are damaged, or too large for the number type it runs in",
                hint="load it with --quantization none, or fetch its weights again",
            )
        if run.decoding.temperature == 0:
            return int(best)
        return _draw(logits.float().cpu() / run.decoding.temperature, run.decoding.top_p, run.random)

    def _keep(self, length: int) -> None:
        """Crop the KV cache to its first tokens; layers may differ where an exception came between them."""
        for layer in self._slot.cache.layers:
            if isinstance(layer, DynamicLayer) and layer.keys is not None and layer.values is not None:
                # by hand: an interrupt may have come between a layer's keys and its values
                layer.keys, layer.values = layer.keys[..., :length, :], layer.values[..., :length, :]
        del self._slot.ids[length:]

    def _settle(self, decoding: Decoding) -> None:
        """Leave cache and ids of one length, whatever happened."""
        self._keep(len(self._slot.ids))
        if not decoding.reuse:
            self.forget()


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an allocation failed: a class of its own on a GPU, words alone on a CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many ids two sequences begin with in common."""
    same = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        same += 1
    return same


def _draw(logits: torch.Tensor, top_p: float, random: torch.Generator) -> int:
    """Draw from the likeliest tokens that together have ``top_p``: logits ``(vocabulary,)``. Source: arXiv 1904.09751."""
    probabilities, ids = logits.softmax(dim=-1).sort(descending=True)
    kept = probabilities.cumsum(dim=-1) - probabilities < top_p  # the first one always
    drawn = torch.multinomial(probabilities * kept, 1, generator=random)
    return int(ids[drawn])
