"""Swapping adapters at Llama-3-8B's width, beside PEFT's own ways, in one run: how long, and how many bytes of the base are read.

    python benchmarks/swapping.py --work /tmp/swapping [--layers 8] [--rank 16] [--rounds 20]

The base has random weights and as many layers as asked for; a swap's time is given for a layer, so that 32 can be told from 8.
A cold load is compared with reading the file alone (both from the page cache: the file has just been read), and with a read of
the file and its hash. Bytes read are the kernel's count for this process (`/proc/self/io`, rchar).
"""

import argparse
import gc
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import describe

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the base and the adapters")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    print(describe("torch", "transformers", "peft"))
    model = make_base(options.layers)
    folders = [options.work / f"adapter-{options.layers}-{options.rank}-{number}" for number in range(3)]
    for number, folder in enumerate(folders):
        make_adapter(model, folder, options.rank, number)
    size = (folders[0] / "adapter_model.safetensors").stat().st_size
    print(f"{options.layers} layers of 4,096, rank {options.rank}: an adapter has {size / 1e6:.0f} MB")
    ours(model, folders, options)
    theirs(model, folders, options)


def make_base(layers: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=1024, hidden_size=4096, intermediate_size=14336, num_hidden_layers=layers, num_attention_heads=32,
        num_key_value_heads=8, max_position_embeddings=2048,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device("meta"):
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    model = model.to_empty(device="cpu")
    for parameter in model.parameters():
        parameter.data.normal_(std=0.02)
    model.model.rotary_emb = type(model.model.rotary_emb)(config)  # its buffer isn't a weight
    return model.eval().requires_grad_(False)


def make_adapter(model: Any, folder: Path, rank: int, seed: int) -> None:
    """As peft would write it, straight from its names: wrapping the base for that would take longer than all the rest."""
    if (folder / "adapter_model.safetensors").is_file():
        return
    import json

    from peft import LoraConfig
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    tensors = {}
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in TARGETS:
            tensors[f"base_model.model.{name}.lora_A.weight"] = torch.randn(rank, module.in_features) * 0.02
            tensors[f"base_model.model.{name}.lora_B.weight"] = torch.randn(module.out_features, rank) * 0.02
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    LoraConfig(r=rank, lora_alpha=32, target_modules=TARGETS, task_type="CAUSAL_LM").save_pretrained(folder)
    json.loads((folder / "adapter_config.json").read_text())


def ours(model: Any, folders: list[Path], options: argparse.Namespace) -> None:
    from assistant.adapters.manifest import weights_hash
    from assistant.adapters.selection import Chosen
    from assistant.adapters.swapping import Adapters

    chosen = [Chosen(folder.name, folder, weights_hash(folder)) for folder in folders]
    adapters, layers = Adapters(model), options.layers
    for one in chosen[:2]:
        adapters.load(one)
    before = read_bytes()
    swaps = [timed(lambda at=at: adapters.activate((chosen[at % 2],))) for at in range(options.rounds * 2)]
    print(f"resident swap: {median(swaps) * 1e3:.2f} ms, {median(swaps) * 1e3 / layers:.4f} ms a layer "
          f"(worst {max(swaps) * 1e3:.2f}); {read_bytes() - before:,} bytes read")  # fmt: skip
    forward(model)
    adapters.activate(())
    bare = [timed(lambda: forward(model)) for _ in range(5)]
    adapters.activate((chosen[0],))
    dressed = [timed(lambda: forward(model)) for _ in range(5)]
    print(f"one token: base {median(bare) * 1e3:.0f} ms, with an adapter {median(dressed) * 1e3:.0f} ms")
    file = folders[2] / "adapter_model.safetensors"
    loads, reads = [], []
    for _ in range(options.rounds):
        reads.append(timed(lambda: file.read_bytes()))
        adapters.unload(chosen[2].fingerprint)
        before = read_bytes()
        loads.append(timed(lambda: adapters.load(chosen[2])))
        taken = read_bytes() - before
    print(f"cold load: {median(loads) * 1e3:.1f} ms, reading the file {median(reads) * 1e3:.1f} ms: "
          f"{median(loads) / median(reads):.2f} x; {taken / file.stat().st_size:.3f} x the file's bytes read")  # fmt: skip
    adapters.close()


def theirs(model: Any, folders: list[Path], options: argparse.Namespace) -> None:
    """PEFT: load_adapter and set_adapter, and hotswap_adapter."""
    from peft import PeftModel
    from peft.utils.hotswap import hotswap_adapter

    started = time.perf_counter()
    wrapped = PeftModel.from_pretrained(model, str(folders[0]), adapter_name="a")
    print(f"peft: wrapping with the first adapter {(time.perf_counter() - started) * 1e3:.0f} ms")
    loads = []
    for _ in range(3):
        loads.append(timed(lambda: wrapped.load_adapter(str(folders[1]), adapter_name="b")))
        wrapped.delete_adapter("b")
    wrapped.load_adapter(str(folders[1]), adapter_name="b")
    swaps = [timed(lambda at=at: wrapped.set_adapter("ab"[at % 2])) for at in range(options.rounds * 2)]
    print(f"peft: load_adapter {median(loads) * 1e3:.0f} ms; set_adapter {median(swaps) * 1e3:.2f} ms, "
          f"{median(swaps) * 1e3 / options.layers:.4f} ms a layer")  # fmt: skip
    wrapped.set_adapter("a")
    hot = [timed(lambda at=at: hotswap_adapter(wrapped, str(folders[1 + at % 2]), "a", torch_device="cpu")) for at in range(4)]
    print(f"peft: hotswap_adapter {median(hot) * 1e3:.0f} ms")


@torch.inference_mode()
def forward(model: Any) -> None:
    model(input_ids=torch.tensor([[5]]))


def timed(work: Callable[[], object]) -> float:
    gc.disable()
    started = time.perf_counter()
    work()
    taken = time.perf_counter() - started
    gc.enable()
    return taken


def read_bytes() -> int:
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["rchar"])


if __name__ == "__main__":
    main()
