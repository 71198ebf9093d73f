"""Decoding against transformers' own `generate`: speed of streaming, prefix reuse, prompt lookup, and how soon Ctrl-C is heard.

A Llama of random weights (134 M parameters by default, or a 100 M+ model of any other size) makes the timings; its words don't
matter. For prompt lookup the logits are replaced by those of a known answer that quotes its passages, so that every forward pass
is computed and only the choice is given.

    python benchmarks/generation.py
"""

import argparse
import signal
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import torch
from machine import describe
from transformers import LlamaConfig, LlamaForCausalLM

from assistant.models import Decoding
from assistant.models.detokenizing import Detokenizer
from assistant.models.generation import Decoder

NEVER = -1
ANSWER = 64


def build(layers: int, width: int) -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=width,
        intermediate_size=width * 4,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=max(width // 256, 1),
        max_position_embeddings=8192,
    )
    return LlamaForCausalLM(config).eval()


def ids(count: int, seed: int) -> list[int]:
    return torch.randint(10, 32_000, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def plain(model: Any, prompt: Sequence[int], tokens: int) -> None:
    tensor = torch.tensor([prompt])
    model.generate(
        tensor, attention_mask=torch.ones_like(tensor), max_new_tokens=tokens, do_sample=False, eos_token_id=None, pad_token_id=0
    )


def ours(decoder: Decoder, prompt: Sequence[int], decoding: Decoding) -> None:
    """Tokens to text as well: `generate` doesn't even do that."""
    text = Detokenizer(lambda some: " ".join(map(str, some)))
    for token in decoder.stream(prompt, decoding):
        text.push(token)


def overhead(model: Any, rounds: int) -> None:
    decoder, prompt = Decoder(model, [NEVER]), ids(200, 1)
    bare, streamed = [], []
    for _ in range(rounds + 1):
        bare.append(timed(lambda: plain(model, prompt, ANSWER)))
        streamed.append(timed(lambda: ours(decoder, prompt, Decoding(max_tokens=ANSWER, lookup=False, reuse=False))))
    ratios = sorted(b / a for a, b in zip(bare[1:], streamed[1:], strict=True))
    ours_s, bare_s = statistics.median(streamed[1:]), statistics.median(bare[1:])
    print(f"streaming {ANSWER} tokens after 200: generate {bare_s:.2f} s, ours {ours_s:.2f} s")
    print(f"  median ratio {statistics.median(ratios):.3f} (aim <= 1.05; {ratios[0]:.3f} to {ratios[-1]:.3f})")


def second_turn(model: Any, rounds: int) -> None:
    """A history of 1,500 tokens, then 300 new ones: passages and question of the next turn."""
    first, second = [], []
    for seed in range(rounds):
        decoder, history = Decoder(model, [NEVER]), ids(1500, seed)
        for prompt, seconds in ((history, first), ([*history, *ids(300, 100 + seed)], second)):
            list(decoder.stream(prompt, Decoding(max_tokens=1)))
            assert decoder.last
            seconds.append(decoder.last.first_token_s)
    a, b = statistics.median(first), statistics.median(second)
    print(f"prefill: first turn (1,500 tokens) {a:.2f} s, second (300 more) {b:.2f} s = {b / a:.0%} (aim <= 35 %)")


class Forced:
    """A model whose every forward pass is computed and whose logits then say a known answer."""

    def __init__(self, model: Any, sequence: Sequence[int]) -> None:
        self._model, self._next = model, torch.tensor([*sequence[1:], 0])
        self.device = model.device

    def __call__(self, *, input_ids: torch.Tensor, past_key_values: Any, logits_to_keep: int, **rest: Any) -> Any:
        done = past_key_values.get_seq_length() + input_ids.shape[1]
        self._model(input_ids=input_ids, past_key_values=past_key_values, logits_to_keep=logits_to_keep, **rest)
        logits = torch.zeros(1, logits_to_keep, 32_000)
        logits[0, torch.arange(logits_to_keep), self._next[done - logits_to_keep : done]] = 1.0
        return SimpleNamespace(logits=logits)


def quoting(seed: int) -> tuple[list[int], list[int]]:
    """A prompt of six passages of 150 tokens, and an answer like a real one: ten words of its own, then 25 quoted, twice."""
    passages = [ids(150, seed * 10 + n) for n in range(6)]
    prompt = [token for passage in passages for token in passage]
    answer = []
    for n in (1, 4):
        answer += ids(10, seed * 100 + n) + passages[n][40:65]
    return prompt, answer


def lookup(model: Any, rounds: int) -> None:
    speeds: dict[bool, list[float]] = {False: [], True: []}
    for seed in range(1, rounds + 1):
        prompt, answer = quoting(seed)
        for use in (False, True):
            decoder = Decoder(Forced(model, [*prompt, *answer, 5]), [NEVER])
            written = list(decoder.stream(prompt, Decoding(max_tokens=len(answer), lookup=use)))
            assert written == answer
            assert decoder.last
            speeds[use].append(decoder.last.tokens_per_s)
    a, b = (statistics.median(speeds[use]) for use in (False, True))
    print(f"prompt lookup, answers that quote 50 of 70 tokens: {a:.1f} -> {b:.1f} tokens/s = {b / a:.2f} x (aim >= 1.3)")


def cancelling(model: Any, rounds: int) -> None:
    decoder, prompt = Decoder(model, [NEVER]), ids(200, 1)
    waits, steps = [], []
    for n in range(rounds):
        at: list[float] = []

        def interrupt(at: list[float] = at) -> None:
            at.append(time.perf_counter())
            signal.raise_signal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else signal.pthread_kill(
                threading.main_thread().ident or 0, signal.SIGINT
            )

        timer = threading.Timer(0.6 + 0.037 * n, interrupt)
        times = []
        try:
            for k, _ in enumerate(decoder.stream(prompt, Decoding(max_tokens=4000, lookup=False))):
                times.append(time.perf_counter())
                if k == 0:
                    timer.start()
        except KeyboardInterrupt:
            waits.append(time.perf_counter() - at[0])
        steps.append(statistics.median(b - a for a, b in pairwise(times)))
    usual, most, token = (1e3 * value for value in (statistics.median(waits), max(waits), statistics.median(steps)))
    print(f"Ctrl-C: {usual:.0f} ms, at most {most:.0f} ms until the stream has ended; a token takes {token:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    options = parser.parse_args()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    model = build(options.layers, options.width)
    print(describe("torch", "transformers"))
    size = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    print(f"Llama of {size:.0f} M random parameters, fp32, {torch.get_num_threads()} threads")
    for measure in (overhead, second_turn, lookup, cancelling):
        measure(model, options.rounds)


if __name__ == "__main__":
    main()
