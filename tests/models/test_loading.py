"""Loading: tiny models of every family in every form, and the folders that people really have."""

import json
import logging
import re
import shutil
import struct
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import LLAMA_3_TOKENS, byte_level, save, tiny_llama3
from transformers import LlamaConfig, LlamaForSequenceClassification

from assistant.errors import ModelError
from assistant.models.families import LLAMA_3
from assistant.models.loading import Loaded, Request, load
from assistant.models.memory import Quantization
from assistant.models.quiet import quiet
from assistant.models.rendering import render
from assistant.records import Message

FP32 = Request(device="cpu", dtype="fp32")
HELLO = [Message("system", "Be brief."), Message("user", "What is it?")]
# `load` answers for its own silence; a forward pass of bitsandbytes' on a CPU is not its doing.
LAYERS = {"none": ("Linear", "Conv1D"), "int8": ("Linear8bitLt",), "nf4": ("Linear4bit",)}


def logits(loaded: Loaded) -> torch.Tensor:
    ids = torch.tensor([render(loaded.tokenizer, loaded.family, HELLO)])
    with torch.inference_mode():
        return loaded.model(ids).logits.float()


def copied(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target / "model"))


@pytest.mark.parametrize("quantization", ["none", "int8", "nf4"])
@pytest.mark.parametrize("family", ["llama3", "llama2", "gemma2", "plain"])
def test_every_family_loads_in_every_form(tiny: dict[str, Path], family: str, quantization: Quantization) -> None:
    loaded = load(str(tiny[family]), Request(quantization=quantization, device="cpu", dtype="fp32"))
    full = logits(load(str(tiny[family]), FP32))
    kinds = {type(module).__name__ for name, module in loaded.model.named_modules() if re.search(r"proj|c_fc|c_proj", name)}
    assert kinds <= set(LAYERS[quantization])
    assert loaded.family.name == family
    assert loaded.quantization == quantization
    likeness = torch.nn.functional.cosine_similarity(logits(loaded).flatten(), full.flatten(), dim=0)
    assert likeness > {"none": 0.99999, "int8": 0.99, "nf4": 0.8}[quantization]


def test_what_writing_needs_is_there(tiny: dict[str, Path]) -> None:
    loaded = load(str(tiny["llama3"]), FP32)
    tokenizer = loaded.tokenizer
    assert tokenizer.convert_ids_to_tokens(list(loaded.stop_ids)) == ["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"]
    assert tokenizer.pad_token == "<|finetune_right_pad_id|>"
    assert (loaded.context, loaded.device.type, loaded.dtype, loaded.notices) == (2048, "cpu", torch.float32, ())
    assert loaded.label == f"{tiny['llama3']} (cpu, fp32: asked for)"
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())


def test_llama3_keeps_its_rope_scaling_and_gemma2_its_window_and_caps(tiny: dict[str, Path]) -> None:
    llama, gemma = load(str(tiny["llama3"]), FP32), load(str(tiny["gemma2"]), FP32)
    plain = 500_000.0 ** (-torch.arange(0, 16, 2) / 16)
    rotary = llama.model.get_submodule("model.rotary_emb").inv_freq
    assert torch.allclose(rotary[0], plain[0])  # what turns fast stays, what turns slowly turns 8 times as slowly
    assert torch.allclose(rotary[-1], plain[-1] / 8)
    assert gemma.model.config._attn_implementation == "eager"
    assert gemma.model.config.layer_types == ["sliding_attention", "full_attention"]
    assert logits(gemma).abs().max() < 30.0


def test_soft_capping_changes_the_answer(tiny: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(tiny["gemma2"], tmp_path)
    edit(folder / "config.json", attn_logit_softcapping=0.5)
    assert not torch.allclose(logits(load(str(folder), FP32)), logits(load(str(tiny["gemma2"]), FP32)), atol=1e-3)


def test_the_context_asked_for_is_kept_within_the_models(tiny: dict[str, Path]) -> None:
    assert load(str(tiny["llama3"]), Request(device="cpu", dtype="fp32", context=512)).context == 512
    assert load(str(tiny["llama3"]), Request(device="cpu", dtype="fp32", context=10**6)).context == 2048


def test_weights_saved_in_four_bits_are_loaded_as_they_are(tiny: dict[str, Path], tmp_path: Path) -> None:
    first = load(str(tiny["llama3"]), Request(quantization="nf4", device="cpu", dtype="fp32"))
    first.model.save_pretrained(tmp_path)
    first.tokenizer.save_pretrained(tmp_path)
    again = load(str(tmp_path), FP32)
    assert again.quantization == "nf4"
    assert "saved as nf4" in " ".join(again.notices)
    assert torch.equal(logits(first), logits(again))


def test_a_narrow_model_computes_in_four_bits_on_every_cpu(tmp_path: Path) -> None:
    folder = tiny_llama3(tmp_path, hidden_size=40, intermediate_size=72, num_attention_heads=2, num_key_value_heads=2)
    assert logits(load(str(folder), Request(quantization="nf4", device="cpu", dtype="fp32"))).isfinite().all()


def test_progress_is_told_in_words_and_nothing_else_is_said(
    tiny: dict[str, Path], tmp_path: Path, capfd: Any, caplog: Any
) -> None:
    folder = copied(tiny["llama3"], tmp_path)
    edit(folder / "config.json", num_hidden_layers=1)  # transformers has a page to say about that
    lines: list[str] = []
    with warnings.catch_warnings(record=True) as seen, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        load(str(folder), Request(quantization="nf4", device="cpu", dtype="fp32"), announce=lines.append)
    assert re.fullmatch(r"loading .*: 1 MB, cpu, fp32: asked for", lines[0])
    assert (capfd.readouterr(), caplog.records, seen) == (("", ""), [], [])


def test_progress_counts_bytes(tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.models.loading.EVERY_S", 0.0)
    lines: list[str] = []
    load(str(tiny["llama3"]), FP32, announce=lines.append)
    assert lines[1].endswith(": 1 MB of 1 MB")
    assert len(lines) > 10


def test_a_model_without_a_chat_template_is_prompted_plainly_and_says_so(tiny: dict[str, Path]) -> None:
    loaded = load(str(tiny["plain"]), FP32)
    assert "has no chat template" in loaded.notices[0]
    assert loaded.tokenizer.decode(render(loaded.tokenizer, loaded.family, HELLO)) == "Be brief.\n\nWhat is it?\nAnswer:"


def test_a_llama3_without_a_chat_template_gets_its_familys(tiny: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(tiny["llama3"], tmp_path)
    (folder / "chat_template.jinja").unlink()
    loaded = load(str(folder), FP32)
    assert "prompted as Llama 3" in loaded.notices[0]
    assert render(loaded.tokenizer, loaded.family, HELLO) == render(
        (own := load(str(tiny["llama3"]), FP32)).tokenizer, own.family, HELLO
    )


# What people really have in their folders.


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in (content | changes).items() if value is not None}))


def sharded(folder: Path) -> list[Path]:
    loaded = load(str(folder), FP32)
    (folder / "model.safetensors").unlink()
    loaded.model.save_pretrained(folder, max_shard_size="100KB")
    return sorted(folder.glob("model-*.safetensors"))


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def pickled(folder: Path) -> None:
    torch.save(load(str(folder), FP32).model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def gguf(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-Q4_K_M.gguf")


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def cut_off_early(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def too_long(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"\0")


def empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def lfs_pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 16060522496\n")


def web_page(folder: Path) -> None:
    (folder / "model.safetensors").write_text("<!DOCTYPE html>\n<html><title>Sign in</title></html>")


def wrong_header(folder: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0\0\0")


def negative_offset(folder: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)


def missing_shard(folder: Path) -> None:
    sharded(folder)[1].unlink()


def shard_outside(folder: Path) -> None:
    sharded(folder)
    edit(folder / "model.safetensors.index.json", weight_map={"w": "../../etc/passwd"})


def swapped_shards(folder: Path) -> None:
    first, second, *_ = sharded(folder)
    shutil.copy(first, second)


def config_not_json(folder: Path) -> None:
    (folder / "config.json").write_text("{'model_type': llama}")


def config_is_a_list(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def unknown_kind(folder: Path) -> None:
    edit(folder / "config.json", model_type="xglorb")


def own_code(folder: Path) -> None:
    edit(folder / "config.json", model_type="xglorb", auto_map={"AutoModelForCausalLM": "modeling_x.XForCausalLM"})
    (folder / "modeling_x.py").write_text("raise SystemExit('this ran')")


def wrong_size(folder: Path) -> None:
    edit(folder / "config.json", intermediate_size=256)


def nonsense_config(folder: Path) -> None:
    edit(folder / "config.json", hidden_size="many")


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "None"}}')


def other_tokenizer(folder: Path) -> None:
    edit(folder / "config.json", vocab_size=100)
    config = LlamaConfig.from_pretrained(folder)
    save(folder, config, byte_level(LLAMA_3_TOKENS, bos="<|begin_of_text|>", eos="<|eot_id|>", template=LLAMA_3))


def no_end(folder: Path) -> None:
    edit(folder / "config.json", eos_token_id=None, bos_token_id=None)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "chat_template.jinja").unlink()
    byte_level((), bos="a", eos=None, begins=False).save_pretrained(folder)


def adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "/elsewhere"}')


def other_quantisation(folder: Path) -> None:
    edit(folder / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})


def quantised_by_its_own_account(folder: Path) -> None:
    edit(folder / "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})


def reward_model(folder: Path) -> None:
    torch.manual_seed(0)
    LlamaForSequenceClassification(LlamaConfig.from_pretrained(folder)).save_pretrained(folder)


def disguised_reward_model(folder: Path) -> None:
    reward_model(folder)
    edit(folder / "config.json", architectures=["LlamaForCausalLM"])


@pytest.mark.parametrize(
    ("damage", "message", "hint"),
    [
        (without_weights, "holds no weights: no model.safetensors", "config.json and model.safetensors"),
        (pickled, r"pickled weights only \(pytorch_model.bin\)", "save_pretrained"),
        (gguf, "model-Q4_K_M.gguf, which is llama.cpp's format", "--server http://127.0.0.1:8080/v1"),
        (cut_off, r"damaged: [\d,]+ bytes, and its header says [\d,]+", "copy model.safetensors"),
        (cut_off_early, "cut off inside its header", "copy model.safetensors"),
        (too_long, "damaged", "copy model.safetensors"),
        (empty, "is empty", "copy model.safetensors"),
        (lfs_pointer, "is a Git LFS pointer", "copy model.safetensors"),
        (web_page, "is a web page", "copy model.safetensors"),
        (wrong_header, "the bytes of 'w' don't fit its shape", "copy model.safetensors"),
        (negative_offset, "damaged header: 'w' lies at", "copy model.safetensors"),
        (missing_shard, r"half there: model-00002-of-\d+.safetensors is missing, of \d+ files", "copy model-00002"),
        (shard_outside, "points outside its folder", "copy model.safetensors.index.json"),
        (swapped_shards, "lacks the tensor", "copy model-00002"),
        (config_not_json, "config.json' is not JSON", "copy config.json"),
        (config_is_a_list, "holds list, not an object", "copy config.json"),
        (no_config, "has no config.json: No such file", "copy config.json"),
        (unknown_kind, "of the kind 'xglorb': the installed transformers doesn't know it", "--model"),
        (own_code, "of the kind 'xglorb': it brings code of its own, which is never run", "--server"),
        (wrong_size, "transformers can't load", "copy config.json and model.safetensors"),
        (nonsense_config, "can't be read as a config", "copy config.json"),
        (no_tokenizer, "has no tokenizer", "copy tokenizer.json"),
        (broken_tokenizer, "tokenizer of .* can't be read", "copy tokenizer.json"),
        (other_tokenizer, "has 256 tokens, the model 100", "copy tokenizer.json"),
        (no_end, "names no token that ends a text", "eos_token"),
        (adapter, "is an adapter, not a model", "assistant adapters add"),
        (other_quantisation, "quantised by 'gptq'", "--quantization nf4"),
        (quantised_by_its_own_account, "says that its weights are quantised, and they are not", "take quantization_config out"),
        (reward_model, "writes no text: it is a LlamaForSequenceClassification", "--model"),
        (disguised_reward_model, "weights of .* lack 'lm_head.weight'", "copy model.safetensors"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_folder_that_is_not_a_model_says_what_mends_it(
    tiny: dict[str, Path], tmp_path: Path, damage: Any, message: str, hint: str
) -> None:
    folder = copied(tiny["llama3"], tmp_path)
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load(str(folder), FP32)
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


def test_the_command_for_pickled_weights_makes_them_readable(tiny: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(tiny["llama3"], tmp_path)
    pickled(folder)
    with pytest.raises(ModelError) as caught:
        load(str(folder), FP32)
    code = re.fullmatch(r'python -c "(.*)"', caught.value.hint)
    assert code is not None
    exec(code[1], {})
    assert torch.equal(logits(load(str(folder), FP32)), logits(load(str(tiny["llama3"]), FP32)))


def test_weights_that_the_config_has_no_place_for_are_noticed(tiny: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(tiny["llama3"], tmp_path)
    edit(folder / "config.json", num_hidden_layers=1)
    assert re.match(r"9 tensors of .* have no place .* e.g. model.layers.1.input_layernorm", load(str(folder), FP32).notices[0])


def test_no_padding_token_is_no_fault(tiny: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(tiny["plain"], tmp_path)
    edit(folder / "config.json", pad_token_id=None)
    loaded = load(str(folder), FP32)
    assert loaded.pad_id == loaded.tokenizer.pad_token_id == loaded.stop_ids[0]


@pytest.mark.parametrize("failure", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")])
def test_out_of_memory_says_what_to_lower(tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise failure

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", fail)
    with pytest.raises(ModelError, match="out of memory on cpu while loading") as caught:
        load(str(tiny["llama3"]), FP32)
    assert caught.value.hint == "use --quantization nf4, or free some memory"


def test_too_big_for_this_machine_is_said_before_anything_is_loaded(
    tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.models.loading.memory_available", lambda _: 50_000_000)
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", pytest.fail)
    with pytest.raises(ModelError, match=r"needs about .* on cpu .* 50 MB are free"):
        load(str(tiny["llama3"]), FP32)


def test_silence_ends_where_it_should(capfd: Any) -> None:
    logger = logging.getLogger("transformers")
    before = logger.level
    with quiet():
        warnings.warn("a library's own worry", stacklevel=1)
        logger.warning("a library's own worry")
    assert capfd.readouterr() == ("", "")
    assert logger.level == before
    with pytest.warns(UserWarning, match="ours"):
        warnings.warn("ours", stacklevel=1)
