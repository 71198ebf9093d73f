"""What goes wrong while adapters are swapped: the one before goes on answering, and the base stays as it was."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from random_adapters import random_adapter
from safetensors.torch import load_file, save_file

from assistant.adapters import low_rank, swapping
from assistant.adapters.selection import Chosen
from assistant.adapters.swapping import Adapters
from assistant.errors import ModelError
from assistant.models.loading import Request, load
from assistant.models.quiet import quiet

IDS = torch.tensor([[5, 6, 7, 8, 9]])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.tiny_llama3(tmp_path_factory.mktemp("base") / "b")


@pytest.fixture(scope="module")
def model(base: Path) -> Any:
    return load(str(base), Request(device="cpu", dtype="fp32")).model


@pytest.fixture
def make(base: Path, tmp_path: Path) -> Callable[..., Chosen]:
    return lambda name, seed=1, **changes: random_adapter(base, tmp_path / name, seed=seed, **changes)


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=IDS).logits
    return found


def test_what_cannot_be_read_leaves_the_one_before(model: Any, make: Callable[..., Chosen]) -> None:
    first, second = make("first"), make("second", 2)
    adapters = Adapters(model, most=1)
    adapters.activate((first,))
    before = logits(model)
    shutil.rmtree(second.folder)
    with pytest.raises(ModelError, match="can't read"):
        adapters.activate((second,))
    assert adapters.active == (first,)
    assert torch.equal(logits(model), before)
    adapters.close()


def test_a_folder_deleted_while_it_is_used_goes_on_answering(model: Any, make: Callable[..., Chosen]) -> None:
    one, other = make("one"), make("other", 2)
    adapters = Adapters(model)
    adapters.activate((one,))
    before = logits(model)
    shutil.rmtree(one.folder)
    adapters.activate((other,))
    adapters.activate((one,))
    assert torch.equal(logits(model), before)
    adapters.close()


def test_weights_overwritten_in_place_change_nothing_that_is_in_memory(model: Any, make: Callable[..., Chosen]) -> None:
    one = make("one")
    adapters = Adapters(model)
    adapters.activate((one,))
    before = logits(model)
    file = one.folder / "adapter_model.safetensors"
    file.write_bytes(b"\0" * file.stat().st_size)
    assert torch.equal(logits(model), before)
    adapters.close()


def test_replaced_between_the_check_and_the_reading(model: Any, make: Callable[..., Chosen]) -> None:
    one = make("one")
    seen = Chosen(one.name, one.folder, one.fingerprint, stamp=(1, 2, 3, 4))
    with pytest.raises(ModelError, match="was replaced while it was read"):
        Adapters(model).activate((seen,))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number(model: Any, make: Callable[..., Chosen], bad: float) -> None:
    one = make("one")
    tensors = load_file(one.folder / "adapter_model.safetensors")
    name = sorted(tensors)[3]
    tensors[name][0, 0] = bad
    save_file(tensors, one.folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=f"NaN or infinity in '{name}'"):
        Adapters(model).activate((one,))


def test_large_but_finite_weights_are_taken(model: Any, make: Callable[..., Chosen]) -> None:
    one = make("one")
    tensors = load_file(one.folder / "adapter_model.safetensors")
    tensors[sorted(tensors)[0]][:] = 3e38
    save_file(tensors, one.folder / "adapter_model.safetensors")
    Adapters(model).load(one)


def test_more_than_there_is_memory(model: Any, make: Callable[..., Chosen]) -> None:
    one = make("one")
    with pytest.raises(ModelError, match=r"the adapter 'one' takes 1 MB, and 1 MB are free on cpu") as caught:
        Adapters(model, available=lambda _: 1000).activate((one,))
    assert "--quantization" in caught.value.hint


def test_the_one_used_longest_ago_goes_first(model: Any, make: Callable[..., Chosen]) -> None:
    made = [make(name, seed) for seed, name in enumerate("abc")]
    adapters = Adapters(model, most=2)
    for one in (made[0], made[1], made[0], made[2]):
        adapters.activate((one,))
    assert adapters.resident == (made[0].fingerprint, made[2].fingerprint)
    assert adapters.size == sum(
        file.stat().st_size for one in (made[0], made[2]) for file in one.folder.glob("*.safetensors")
    ) - 2 * (header(made[0]))
    adapters.close()
    assert adapters.size == 0


def header(one: Chosen) -> int:
    data = (one.folder / "adapter_model.safetensors").read_bytes()
    return 8 + int.from_bytes(data[:8], "little")


def test_an_adapter_of_another_shape(model: Any, tmp_path: Path) -> None:
    wide = tiny_models.tiny_llama3(tmp_path / "wide", hidden_size=128)
    deep = tiny_models.tiny_llama3(tmp_path / "deep", num_hidden_layers=3)
    with pytest.raises(ModelError, match=r"takes 128 numbers and gives \d+; this model's takes 64"):
        Adapters(model).activate((random_adapter(wide, tmp_path / "a", seed=1),))
    with pytest.raises(ModelError, match=r"changes 'model.layers.2.\S+', which this model doesn't have"):
        Adapters(model).activate((random_adapter(deep, tmp_path / "b", seed=1),))


def test_the_present_one_answers_while_another_is_read(
    model: Any, make: Callable[..., Chosen], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make("first"), make("second", 2)
    adapters, go = Adapters(model), threading.Event()
    adapters.activate((first,))
    before = logits(model)

    def slowly(folder: Path, device: Any) -> Any:
        go.wait(10)
        return low_rank.read_lora(folder, device)

    monkeypatch.setattr(swapping, "read_lora", slowly)
    reading = adapters.prefetch((second,))
    assert torch.equal(logits(model), before)
    assert not reading.done()
    go.set()
    reading.result(10)
    assert adapters.is_resident((second,))
    assert torch.equal(logits(model), before)
    adapters.close()


def test_an_interrupted_switch_leaves_the_one_before(
    model: Any, make: Callable[..., Chosen], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between two hooks."""
    first, second = make("first"), make("second", 2)
    adapters = Adapters(model)
    adapters.activate((first,))
    before, real, calls = logits(model), swapping._adding, []

    def interrupted(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(swapping, "_adding", interrupted)
    with pytest.raises(KeyboardInterrupt):
        adapters.activate((second,))
    assert torch.equal(logits(model), before)
    adapters.close()


@pytest.mark.parametrize("slow", [{"use_dora": True}, {"modules_to_save": ["lm_head"]}, {"trainable_token_indices": [5, 6]}])
def test_what_only_peft_computes_is_put_in_and_taken_out(
    base: Path, model: Any, make: Callable[..., Chosen], slow: dict[str, Any]
) -> None:
    from peft import PeftModel

    chosen, plain, adapters = make("odd", **slow), make("plain", 2), Adapters(model)
    alone, weights = logits(model), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with adapters.using((plain,)):
        beside = logits(model)
    adapters.activate((chosen,))
    fresh = load(str(base), Request(device="cpu", dtype="fp32")).model
    with quiet():
        served = PeftModel.from_pretrained(fresh, str(chosen.folder))
    assert torch.equal(logits(model), logits(served))
    assert not torch.equal(logits(model), alone)
    adapters.activate((plain,))
    assert torch.equal(logits(model), beside)
    adapters.close()
    assert torch.equal(logits(model), alone)
    assert model.state_dict().keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_a_folder_that_peft_cannot_read_leaves_the_base(model: Any, make: Callable[..., Chosen]) -> None:
    chosen, alone = make("odd", use_dora=True), logits(model)
    config = chosen.folder / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"r": 3}))
    with pytest.raises(ModelError, match="peft can't load"):
        Adapters(model).activate((chosen,))
    assert torch.equal(logits(model), alone)


def test_two_at_once_add_up(model: Any, make: Callable[..., Chosen]) -> None:
    """A sum of two is the product of both, by hand, in one layer."""
    one, two = make("one", target_modules=["q_proj"]), make("two", 2, target_modules=["q_proj"])
    layer, x = model.model.layers[0].self_attn.q_proj, torch.randn(3, 64)
    plain, wanted = layer(x), layer(x)
    for chosen, scale in ((one, 0.5), (two, 2.0)):
        tensors = load_file(chosen.folder / "adapter_model.safetensors")
        a, b = (tensors[f"base_model.model.model.layers.0.self_attn.q_proj.lora_{side}.weight"] for side in "AB")
        wanted = wanted + scale * (8 / 4) * (x @ a.T @ b.T)
    with Adapters(model).using((one.at(0.5), two.at(2.0))):
        assert torch.allclose(layer(x), wanted, atol=1e-5)
    assert torch.equal(layer(x), plain)
