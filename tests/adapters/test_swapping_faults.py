"""What goes wrong while adapters are swapped: the one before goes on answering, and the base stays as it was."""

import itertools
import json
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from random_adapters import random_adapter
from safetensors.torch import load_file, save_file

from assistant.adapters import low_rank, resident, swapping
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
    with pytest.raises(ModelError, match=r"takes 128 numbers and gives 128; this model's takes 128 and gives 64"):
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

    monkeypatch.setattr(resident, "read_lora", slowly)
    reading = adapters.prefetch((second,))
    assert torch.equal(logits(model), before)
    assert not reading.done()
    go.set()
    reading.result(10)
    assert adapters.is_resident((second,))
    assert torch.equal(logits(model), before)
    adapters.close()


@pytest.mark.parametrize("kind", [{}, {"use_dora": True}])
def test_ctrl_c_anywhere_in_a_switch_leaves_no_trace(model: Any, make: Callable[..., Chosen], kind: dict[str, Any]) -> None:
    """At every line of a switch in turn: what is then active computes what it says, and the next switch is whole."""
    first, second = make("first"), make("second", 2, **kind)
    adapters, wanted = Adapters(model), {}
    for one in ((), (first,), (second,)):
        adapters.activate(one)
        wanted[one] = logits(model)
    hooks = sum(len(each._forward_hooks) for each in model.modules())
    for line in itertools.count():
        adapters.activate((first,))
        assert torch.equal(logits(model), wanted[first,])
        if not cut_off(lambda: adapters.activate((second,)), line):
            break
        assert adapters.active in wanted
        adapters.activate(adapters.active)  # as every answer begins
        assert torch.equal(logits(model), wanted[adapters.active])
        adapters.activate(())
        assert torch.equal(logits(model), wanted[()])
        assert sum(len(each._forward_hooks) for each in model.modules()) == 0
    assert line > 20
    adapters.close()
    assert hooks in (0, 14)


def cut_off(work: Callable[[], None], line: int) -> bool:
    """Press Ctrl-C at the line with this number of what `swapping` runs; False when it runs fewer."""
    left = [line]

    def trace(frame: Any, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != swapping.__file__:
            return None
        if event == "line":
            left[0] -= 1
            if left[0] < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


def test_what_peft_serves_is_a_copy(model: Any, make: Callable[..., Chosen]) -> None:
    one, other = make("one", use_dora=True), make("other", 2, use_dora=True)
    adapters = Adapters(model)
    adapters.activate((one,))
    before = logits(model)
    adapters.activate(())
    shutil.copy(other.folder / "adapter_model.safetensors", one.folder / "adapter_model.safetensors")
    adapters.activate((one,))
    assert torch.equal(logits(model), before)
    shutil.rmtree(one.folder)
    adapters.activate(())
    adapters.activate((one,))
    assert torch.equal(logits(model), before)
    adapters.close()


def test_a_weight_that_is_no_number_where_peft_serves(model: Any, make: Callable[..., Chosen]) -> None:
    one = make("one", use_dora=True)
    tensors = load_file(one.folder / "adapter_model.safetensors")
    tensors[sorted(tensors)[0]][0] = float("nan")
    save_file(tensors, one.folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="NaN or infinity"):
        Adapters(model).activate((one,))


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_as_peft_does(base: Path, make: Callable[..., Chosen], stored: torch.dtype) -> None:
    one = make("half")
    file = one.folder / "adapter_model.safetensors"
    save_file({name: tensor.to(stored) for name, tensor in load_file(file).items()}, file)
    for dtype in ("fp32", "bf16"):
        model = load(str(base), Request(device="cpu", dtype=dtype)).model
        adapters = Adapters(model)
        with adapters.using((one,)):
            ours = logits(model)
        with adapters.using((replace(one, slow=True, fingerprint="by peft"),)):
            assert torch.equal(ours, logits(model))


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
