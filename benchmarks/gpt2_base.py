"""Make a small base of GPT-2's architecture for rewards.py: its own tokenizer, and a language model of film reviews.

    python benchmarks/gpt2_base.py --data ../shared/data --work /tmp/rewards

No pretrained GPT-2 is at hand where these benchmarks run, so one is made: a byte-level BPE of 8,000 tokens and 4 layers of width
256, whose embeddings begin with which tokens occur in the same texts, trained as a language model. It sees the texts (never the
ratings) of IMDB's training split (Maas et al. 2011, for research use). It takes minutes on one processor, goes on where it was
stopped, and is a base to measure with, not one to ship. It lies in WORK/gpt2 afterwards.
"""

import argparse
import gzip
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import describe

END = "<|endoftext|>"
VOCABULARY = 8_000
WIDTH, LAYERS, HEADS, CONTEXT = 256, 4, 4, 512
SEQUENCE, BATCH = 128, 8
"""Tokens of a sequence, sequences of a step: short ones, because words next to each other teach the most in little time."""
RATE, WARMUP, CLIP = 5e-4, 20, 1.0
SPREAD = 0.05
"""Standard deviation of an embedding's numbers when training begins; GPT-2's own is 0.02."""
POSITIONS = 0.05
"""Share of their usual size that random position embeddings begin with: at the last token, which is always the end, they would
drown what attention brings there, and a score is read there."""
EMBEDDING_RATE = 0.1
"""Embeddings move by a tenth of what the layers do: they know more when they begin."""
STEPS, SAVE_EVERY = 100, 50


@dataclass(frozen=True, slots=True)
class Plan:
    """One pretraining: where its files lie and how many steps it has."""

    folder: Path
    steps: int
    seed: int

    @property
    def state(self) -> Path:
        """The file that it goes on from."""
        return self.folder.with_name(self.folder.name + "-state.pt")


def reviews(data: Path, split: str = "train") -> list[str]:
    """The texts of a split of IMDB, without line breaks of HTML."""
    with gzip.open(data / "sentiment_aclimdb" / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"].replace("<br />", " ") for line in lines]


def make_tokenizer(folder: Path, texts: list[str], *, vocabulary: int = VOCABULARY, context: int = CONTEXT) -> Any:
    """Train a byte-level BPE like GPT-2's, or read the one that was trained."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import AutoTokenizer, GPT2TokenizerFast

    if not (folder / "tokenizer.json").is_file():
        trained = ByteLevelBPETokenizer()
        trained.train_from_iterator(texts, vocab_size=vocabulary, min_frequency=2, special_tokens=[END], show_progress=False)
        fast = GPT2TokenizerFast(
            tokenizer_object=trained._tokenizer, bos_token=END, eos_token=END, unk_token=END, model_max_length=context
        )
        fast.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def encode(tokenizer: Any, texts: list[str]) -> list[np.ndarray]:
    """Each text's tokens with its end, as uint16."""
    end, found = tokenizer.eos_token_id, []
    for start in range(0, len(texts), 1_000):
        found += [np.array([*ids, end], dtype=np.uint16) for ids in tokenizer(texts[start : start + 1_000])["input_ids"]]
    return found


def token_stream(plan: Plan, texts: Sequence[np.ndarray]) -> np.ndarray:
    """Reviews in a drawn order, one after another: ``(n,)`` uint16."""
    order = np.random.default_rng(plan.seed).permutation(len(texts))
    return np.concatenate([texts[at] for at in order])


def batches(stream: np.ndarray, start: int) -> Iterator[torch.Tensor]:
    """Batches from a step on, each ``(BATCH, SEQUENCE + 1)``; after the last text the first comes again."""
    size = BATCH * SEQUENCE
    whole = (len(stream) - 1) // size
    while True:
        at = (start % whole) * size
        window = stream[at : at + size + 1].astype(np.int64)
        rows = [window[n * SEQUENCE : (n + 1) * SEQUENCE + 1] for n in range(BATCH)]
        yield torch.from_numpy(np.stack(rows))
        start += 1


def rate_at(step: int, steps: int) -> float:
    """A cosine with a short rise."""
    rise = min(1.0, (step + 1) / WARMUP)
    return RATE * rise * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def new_model(end: int, embeddings: np.ndarray, seed: int) -> Any:
    """GPT-2 with random weights but for its embeddings."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=end, eos_token_id=end,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        model.transformer.wte.weight.copy_(torch.from_numpy(embeddings))
        model.transformer.wpe.weight.mul_(POSITIONS)
    return model


def first_embeddings(texts: Sequence[Sequence[int]], seed: int) -> np.ndarray:
    """What each token's company says of it, ``(VOCABULARY, WIDTH)``: singular vectors of which tokens occur in which review.

    The few tokens that a short training sees teach little about most of the vocabulary; counting sees all texts in seconds.
    Source: Deerwester et al. 1990, latent semantic analysis; weights log(1 + count) times the logarithm of the inverse frequency.
    """
    from scipy.sparse import csr_matrix
    from sklearn.utils.extmath import randomized_svd

    rows = np.concatenate([np.full(len(ids), at) for at, ids in enumerate(texts)])
    table = csr_matrix((np.ones(len(rows)), (np.concatenate(list(texts)), rows)), shape=(VOCABULARY, len(texts)))
    table.data = np.log1p(table.data)
    in_texts = np.diff(table.indptr)
    table = table.multiply(np.log((1 + len(texts)) / (1 + in_texts))[:, None]).tocsr()
    left, values, _ = randomized_svd(table, WIDTH, n_iter=2, random_state=seed)
    found = left * values**0.5
    found = found / (np.linalg.norm(found, axis=1, keepdims=True) + 1e-3 * np.abs(found).max())
    return (SPREAD * WIDTH**0.5 * found).astype(np.float32)


def pretrain(plan: Plan, model: Any, stream: np.ndarray) -> tuple[float, float]:
    """Train to the end of the plan; go on from its state if there is one.

    Returns:
        Nats per token over the last fifty steps, and the seconds that all steps took.
    """
    embeddings = model.transformer.wte.weight
    layers = [one for one in model.parameters() if one is not embeddings]
    grouped = [
        {"params": [embeddings], "weight_decay": 0.0, "share": EMBEDDING_RATE},
        {"params": [one for one in layers if one.ndim > 1], "weight_decay": 0.1, "share": 1.0},
        {"params": [one for one in layers if one.ndim < 2], "weight_decay": 0.0, "share": 1.0},
    ]
    optimizer = torch.optim.AdamW(grouped, lr=RATE, betas=(0.9, 0.95))
    begun, seconds, losses = 0, 0.0, []
    if plan.state.is_file():
        state = torch.load(plan.state, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        begun, seconds, losses = state["step"], state["seconds"], state["losses"]
    source, started = batches(stream, begun), time.monotonic()
    for step in range(begun, plan.steps):
        for group in optimizer.param_groups:
            group["lr"] = group["share"] * rate_at(step, plan.steps)
        losses = [*losses, train_step(model, optimizer, next(source))][-50:]
        spent = seconds + time.monotonic() - started
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == plan.steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "losses": losses}
            torch.save({**state, "step": step + 1, "seconds": spent}, plan.state.with_suffix(".new"))
            plan.state.with_suffix(".new").replace(plan.state)
            print(f"step {step + 1} of {plan.steps}: {np.mean(losses):.3f} nats a token, {spent:.0f} s", flush=True)
    return float(np.mean(losses)), seconds + time.monotonic() - started


def train_step(model: Any, optimizer: torch.optim.Optimizer, rows: torch.Tensor) -> float:
    """One step; the loss in nats per token. Products are in bf16, weights and sums in fp32."""
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(input_ids=rows[:, :-1]).logits
    loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    optimizer.step()
    return float(loss.detach())


def make_base(data: Path, work: Path, *, steps: int, seed: int = 0) -> Path:
    """Make the base, or find it made: its folder."""
    plan = Plan(work / "gpt2", steps, seed)
    note = plan.folder / "pretraining.json"
    if note.is_file() and json.loads(note.read_text())["steps"] == steps:
        return plan.folder
    plan.folder.mkdir(parents=True, exist_ok=True)
    texts = reviews(data)
    tokenizer = make_tokenizer(plan.folder, texts)
    encoded = encode(tokenizer, texts)
    model = new_model(tokenizer.eos_token_id, first_embeddings(encoded, seed), seed)
    nats, seconds = pretrain(plan, model, token_stream(plan, encoded))
    model.save_pretrained(plan.folder)
    facts = {"steps": steps, "tokens": steps * BATCH * SEQUENCE, "nats_per_token": nats, "seconds": seconds, "seed": seed}
    facts["parameters"] = sum(one.numel() for one in model.parameters())
    facts["data"] = "IMDB training texts without ratings (Maas et al. 2011, research use)"
    note.write_text(json.dumps(facts, indent=1) + "\n")
    plan.state.unlink()
    return plan.folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(describe("torch", "transformers"))
    folder = make_base(options.data, options.work, steps=options.steps)
    print(folder, (folder / "pretraining.json").read_text().strip())


if __name__ == "__main__":
    main()
