"""Make a small writer of film reviews for reviews.py: GPT-2's architecture, trained from nothing as a language model.

    python benchmarks/review_writer.py --data ../shared/data --work /tmp/reviews

It is the supervised stage of the classical experiment: what writes before any reward is there. It reads the texts (never the
ratings) of IMDB's training split (Maas et al. 2011, for research use): half of its steps any passage, the other half the
beginnings of reviews, because it is beginnings that it will be asked to go on from. A byte-level BPE of 4,000 tokens, 4 layers of
width 256. The matrices learn by Muon, which needs about half the tokens that AdamW does here (docs/log.md). It takes about half
an hour of one processor, goes on where it was stopped, and lies in WORK/writer afterwards.
"""

import argparse
import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpt2_base import encode, make_tokenizer, reviews
from machine import describe

VOCABULARY, WIDTH, LAYERS, HEADS, CONTEXT = 4_000, 256, 4, 4, 128
SEQUENCE, BATCH = 64, 16
"""Tokens of a sequence, sequences of a step. An answer has 24 tokens behind a prompt of at most 8."""
MATRIX_RATE, OTHER_RATE, WARMUP, CLIP = 0.02, 2e-3, 100, 1.0
STEPS, SAVE_EVERY, HELD_OUT = 4_000, 200, 500


@dataclass(slots=True)
class Progress:
    """How far a pretraining is."""

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


def windows(texts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Beginnings of texts, and what follows them, cut to ``(n, SEQUENCE + 1)`` tokens."""
    size = SEQUENCE + 1
    cut = [ids[at : at + size] for ids in texts for at in range(0, len(ids) - size, SEQUENCE)]
    first = [at == 0 for ids in texts for at in range(0, len(ids) - size, SEQUENCE)]
    table, begins = np.stack(cut), np.array(first)
    return table[begins], table[~begins]


def rows_of(step: int, beginnings: np.ndarray, others: np.ndarray, steps: int) -> torch.Tensor:
    """A step's rows: of any passage in the first half of the steps, of beginnings in the second."""
    late = step >= steps // 2
    source, at = (beginnings, step - steps // 2) if late else (others, step)
    order = np.random.default_rng(int(late)).permutation(len(source))
    chosen = order[np.arange(at * BATCH, (at + 1) * BATCH) % len(source)]
    return torch.from_numpy(source[chosen].astype(np.int64))


def new_model(end: int) -> Any:
    """GPT-2 with random weights and no dropout: it sees each text about once."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=end, eos_token_id=end,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def optimizers(model: Any) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for embeddings and all vectors."""
    matrices = [one for name, one in model.named_parameters() if one.ndim == 2 and ".h." in name]
    kept = {id(one) for one in matrices}
    rest = [one for one in model.parameters() if id(one) not in kept]
    return [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.01),
        torch.optim.AdamW(rest, lr=OTHER_RATE, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate_share(step: int, steps: int) -> float:
    """A short rise, a plain, and a fall to nothing over the last 40 % of the steps."""
    return min(1.0, (step + 1) / WARMUP, (steps - step) / (0.4 * steps))


def loss_of(model: Any, rows: torch.Tensor) -> torch.Tensor:
    """Nats a token, of ``(b, t + 1)`` ids. Products are in bf16, weights and sums in fp32."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(input_ids=rows[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())


def pretrain(model: Any, beginnings: np.ndarray, others: np.ndarray, *, steps: int, state: Path) -> Progress:
    """Train to the end; go on from a saved state if there is one."""
    both, done = optimizers(model), Progress()
    if state.is_file():
        saved = torch.load(state, weights_only=True)
        model.load_state_dict(saved["model"])
        for one, kept in zip(both, saved["optimizers"], strict=True):
            one.load_state_dict(kept)
        done = Progress(saved["step"], saved["seconds"], saved["losses"])
    before, started = done.seconds, time.monotonic()
    while done.step < steps:
        for one, rate in zip(both, (MATRIX_RATE, OTHER_RATE), strict=True):
            one.param_groups[0]["lr"] = rate * rate_share(done.step, steps)
        loss = loss_of(model, rows_of(done.step, beginnings, others, steps))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for one in both:
            one.step()
            one.zero_grad()
        done.step, done.seconds = done.step + 1, before + time.monotonic() - started
        done.losses = [*done.losses, float(loss.detach())][-100:]
        if done.step % SAVE_EVERY == 0 or done.step == steps:
            save(state, model, both, done)
            print(f"step {done.step} of {steps}: {np.mean(done.losses):.3f} nats a token, {done.seconds:.0f} s", flush=True)
    return done


def save(state: Path, model: Any, both: list[torch.optim.Optimizer], done: Progress) -> None:
    """All that a training goes on from, in one step."""
    new = state.with_suffix(".new")
    weights = {"model": model.state_dict(), "optimizers": [one.state_dict() for one in both]}
    torch.save({**weights, "step": done.step, "seconds": done.seconds, "losses": done.losses}, new)
    new.replace(state)


def make_writer(data: Path, work: Path, *, steps: int = STEPS) -> Path:
    """Make the writer, or find it made: its folder."""
    folder = work / "writer"
    note = folder / "pretraining.json"
    if note.is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    texts = reviews(data)
    tokenizer = make_tokenizer(folder, texts, vocabulary=VOCABULARY, context=CONTEXT)
    model = new_model(tokenizer.eos_token_id)
    state = work / "writer-state.pt"
    done = pretrain(model, *windows(encode(tokenizer, texts)), steps=steps, state=state)
    held_out, _ = windows(encode(tokenizer, reviews(data, "test")[::20]))
    with torch.no_grad():
        nats = float(loss_of(model.eval(), torch.from_numpy(held_out[:HELD_OUT].astype(np.int64))))
    model.save_pretrained(folder)
    facts = {
        "steps": steps, "tokens": steps * BATCH * SEQUENCE, "parameters": sum(one.numel() for one in model.parameters()),
        "nats_per_token": nats, "perplexity": math.exp(nats),
        "measured_on": f"{min(HELD_OUT, len(held_out))} held-out beginnings",
        "seconds": done.seconds, "data": "IMDB training texts without ratings (Maas et al. 2011, research use)",
    }  # fmt: skip
    note.write_text(json.dumps(facts, indent=1) + "\n")
    state.unlink()
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(describe("torch", "transformers"))
    folder = make_writer(options.data, options.work, steps=options.steps)
    print(folder, (folder / "pretraining.json").read_text().strip())


if __name__ == "__main__":
    main()
