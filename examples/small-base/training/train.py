"""Train the small base from scratch; stopped at any time, it goes on with --resume.

    python train.py --tokenizer FOLDER --run FOLDER --minutes 100 [--resume] [--seed 1]

Writes checkpoint.pt (weights, optimisers, place in the data, minutes so far), log.jsonl, and, as it goes, a model folder
that transformers reads (``best/``). The best one is chosen by generated rows and by those of the calibration half's questions
that aren't trained on, never by the test half.
"""

import argparse
import json
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from batches import Batch, Encoder, batches, collate
from documents import Page
from handbook import calibration, handbook, unanswerable
from model import Network, Shape, save
from muon import Muon
from pointing import pointer_loss
from rows import Branch, Mix, Pack, make_pack, render
from safetensors.torch import load_file, save_file
from start import wire
from tokenizer import write
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from assistant.prompt import ABSTENTION

BATCH_TOKENS = (2500, 3000, 3500)
MOST_TOKENS = 860
OTHER_WEIGHT = 0.25
OTHER_SHARE = 0.25
POINTER_WEIGHT = 0.4
WARM_UP = 80
DECAY = 0.6
"""Part of the time, at the end, in which the learning rate goes down."""
STAGES = (
    (1.0, 0.2, Mix(level=0.0, words=0.5, most_passages=1, branches=12)),
    (0.6, 0.4, Mix(level=0.5, words=0.25, most_passages=2)),
)
"""The loss on answers below which the next stage begins, the part of the time after which it begins anyway, and the packs."""
LAST = Mix(handbook=0.5, words=0.06)
RATES = (0.02, 0.004)
"""Highest learning rates: of the matrices, of embedding and norms."""


IS_FAST_HALF = torch.cpu._is_avx512_bf16_supported()
"""Whether bfloat16 is quicker than float32 here."""
NUMBERS = ("step", "chunk", "tokens", "seconds", "best", "stage", "loss")


@dataclass(slots=True)
class Run:
    """What a checkpoint holds."""

    network: Network
    muon: Muon
    adam: torch.optim.AdamW
    step: int = 0
    chunk: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best: float = 0.0
    stage: int = 0
    loss: float = 0.0

    def state(self) -> dict:
        numbers = {name: getattr(self, name) for name in NUMBERS}
        return {"network": self.network.state_dict(), "muon": self.muon.state_dict(), "adam": self.adam.state_dict(), **numbers}

    def load(self, state: dict) -> None:
        self.network.load_state_dict(state["network"])
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])
        for name in NUMBERS:
            setattr(self, name, state[name])


def new_run(seed: int, shape: Shape) -> Run:
    torch.manual_seed(seed)
    network = Network(shape)
    wire(network)
    groups = [
        {"params": [block.qkv for block in network.blocks], "parts": 3},
        {"params": [block.up for block in network.blocks], "parts": 2},
        {"params": [matrix for block in network.blocks for matrix in (block.out, block.down)]},
    ]
    norms = [norm for block in network.blocks for norm in (block.norm_attention, block.norm_inner)]
    adam = torch.optim.AdamW([network.embedding, network.norm, *norms], lr=RATES[1], betas=(0.9, 0.98), weight_decay=0.0)
    return Run(network, Muon(groups, lr=RATES[0]), adam)


def mix_at(run: Run, progress: float) -> Mix:
    """Short single passages until copying is learned, which comes sooner from them."""
    if run.stage < len(STAGES) and (0 < run.loss < STAGES[run.stage][0] or progress > STAGES[run.stage][1]):
        run.stage += 1
    if run.stage < len(STAGES):
        return STAGES[run.stage][2]
    return LAST


def rate_at(run: Run, progress: float) -> float:
    return min((run.step + 1) / WARM_UP, 1.0, max((1 - progress) / DECAY, 0.02))


def loss_of(network: Network, batch: Batch) -> tuple[Tensor, dict[str, float]]:
    """The loss to minimise, and its parts: the answers' and the pointers'."""
    mask = batch.mask()
    hidden, seen = network(batch.tokens, batch.positions, mask)
    hidden = hidden.flatten(0, 1)
    at, following = batch.next_in_branch()
    is_answer = batch.is_answer.flatten()[following]
    chosen = is_answer | ((torch.rand(len(at)) < OTHER_SHARE) & (batch.positions.flatten()[at] > 8))
    at, following, is_answer = at[chosen], following[chosen], is_answer[chosen]
    losses = F.cross_entropy(network.logits(hidden[at]).float(), batch.tokens.flatten()[following], reduction="none")
    answers = losses[is_answer].mean()
    pointers = pointer_loss(batch, mask, seen)
    total = answers + OTHER_WEIGHT * losses[~is_answer].mean() + POINTER_WEIGHT * sum(pointers.values())
    return total, {name: float(each.detach()) for name, each in {"answers": answers, **pointers}.items()}


@torch.no_grad()
def exact(network: Network, checks: list[Batch]) -> float:
    """Share of branches whose every answer token would be written greedily."""
    right, total = 0, 0
    for batch in checks:
        hidden = network(batch.tokens, batch.positions, batch.mask())[0].flatten(0, 1)
        at, following = batch.next_in_branch()
        keep = batch.is_answer.flatten()[following]
        at, following = at[keep], following[keep]
        good = network.logits(hidden[at]).argmax(-1) == batch.tokens.flatten()[following]
        key = (following // batch.tokens.size(1)) * 1000 + batch.branch.flatten()[following]
        for branch in key.unique():
            total += 1
            right += int(good[key == branch].all())
    return right / max(total, 1)


def check_rows(encoder: Encoder) -> dict[str, list[Batch]]:
    """What a checkpoint is judged by: fresh generated rows, and the calibration half's questions, none of which is trained on."""
    rng = random.Random(987_654)
    pad = encoder.tokenizer.pad_token_id
    generated = [make_pack(rng, Mix()) for _ in range(15)]
    asked, refused = [], []
    for hit, each in calibration():
        text, _ = render([Page(hit)])
        asked.append(Pack(text, (Branch(each.question, f"{each.answer} [1]"),)))
    for question in unanswerable():
        text, _ = render([Page(hit) for hit in rng.sample(handbook(), 2)])
        refused.append(Pack(text, (Branch(question, ABSTENTION),)))
    return {
        name: [collate([encoder.row(pack, 1000) for pack in packs[i : i + 8]], pad) for i in range(0, len(packs), 8)]
        for name, packs in (("generated", generated), ("calibration", asked), ("refused", refused))
    }


def train(run: Run, encoder: Encoder, folder: Path, options: argparse.Namespace) -> None:
    """Train until the minutes are over."""
    checks = check_rows(encoder)
    total = 60 * options.minutes
    started, checked = time.monotonic() - run.seconds, time.monotonic()
    stopped: list[int] = []
    means: dict[str, float] = {}
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    while run.seconds < total and not stopped:
        mix = mix_at(run, run.seconds / total)
        rng = random.Random(options.seed * 1_000_003 + run.chunk)
        for batch in batches(encoder, rng, mix, packs=24, batch_tokens=BATCH_TOKENS[run.stage], most_tokens=MOST_TOKENS):
            parts = step(run, batch, run.seconds / total)
            means = {name: means.get(name, value) * 0.96 + value * 0.04 for name, value in parts.items()}
            run.loss = 0.98 * run.loss + 0.02 * parts["answers"] if run.loss else parts["answers"]
            run.seconds = time.monotonic() - started
            if run.step % 25 == 0:
                speed = f"{run.tokens / 1e6:.2f}M {run.seconds / 60:.1f}min {run.tokens / run.seconds:.0f}/s"
                print(f"{run.step} {speed} stage {run.stage}", *(f"{k} {v:.3f}" for k, v in means.items()), flush=True)
        run.chunk += 1
        if time.monotonic() - checked > 60 * options.check_minutes or run.seconds >= total:
            checked = time.monotonic()
            scores = {name: exact(run.network, each) for name, each in checks.items()}
            keep(run, encoder.tokenizer, folder, scores | {"loss": run.loss, "stage": run.stage})
    if stopped:
        write_checkpoint(run, folder)


def step(run: Run, batch: Batch, progress: float) -> dict[str, float]:
    """One step of both optimisers; the parts of the loss."""
    with torch.autocast("cpu", torch.bfloat16, enabled=IS_FAST_HALF):
        loss, parts = loss_of(run.network, batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_([run.network.embedding], 1.0)
    rate = rate_at(run, progress)
    for optimiser, highest in ((run.muon, RATES[0]), (run.adam, RATES[1])):
        for group in optimiser.param_groups:
            group["lr"] = highest * rate
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    run.step += 1
    run.tokens += int((batch.branch >= 0).sum())
    return parts


def keep(run: Run, tokenizer: PreTrainedTokenizerFast, folder: Path, scores: dict[str, float]) -> None:
    """Write a checkpoint, a line of the log and, if it is the best so far, the model."""
    score = scores["generated"] + 2 * scores["calibration"] + 0.5 * scores["refused"]
    line = {
        "step": run.step,
        "tokens": run.tokens,
        "minutes": round(run.seconds / 60, 1),
        **{k: round(v, 3) for k, v in scores.items()},
    }
    print(line, flush=True)
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    if score >= run.best:
        run.best = score
        save(
            run.network.state_dict(), run.network.shape, folder / "best",
            bos=tokenizer.bos_token_id, eos=tokenizer.eos_token_id, pad=tokenizer.pad_token_id,
        )  # fmt: skip
        write(tokenizer, folder / "best")
    write_checkpoint(run, folder)


def write_average(run: Run, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the mean of the best weights and the last ones: it answers better than either."""
    save(
        run.network.state_dict(), run.network.shape, folder / "average",
        bos=tokenizer.bos_token_id, eos=tokenizer.eos_token_id, pad=tokenizer.pad_token_id,
    )  # fmt: skip
    write(tokenizer, folder / "average")
    best, last = (load_file(folder / name / "model.safetensors") for name in ("best", "average"))
    mean = {name: ((best[name].float() + last[name].float()) / 2).to(last[name].dtype) for name in last}
    save_file(mean, folder / "average" / "model.safetensors", metadata={"format": "pt"})


def write_checkpoint(run: Run, folder: Path) -> None:
    part = folder / "checkpoint.part"
    torch.save(run.state(), part)
    part.replace(folder / "checkpoint.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints and the log")
    parser.add_argument("--minutes", type=float, default=100, help="altogether, earlier parts of the run included")
    parser.add_argument("--check-minutes", type=float, default=5)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.run.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    run = new_run(options.seed, Shape(vocabulary=len(tokenizer)))
    print(f"{sum(weight.numel() for weight in run.network.parameters()) / 1e6:.2f} M parameters")
    if options.resume:
        run.load(torch.load(options.run / "checkpoint.pt", weights_only=True))
    train(run, Encoder(tokenizer), options.run, options)
    write_average(run, tokenizer, options.run)


if __name__ == "__main__":
    main()
