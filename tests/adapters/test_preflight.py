"""What an adapter's files tell before it may come near a model: real adapters, then damaged copies of them."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from random_adapters import ATTENTION, random_adapter
from safetensors.torch import load_file, save_file
from tiny_models import tiny_llama3
from trained_adapters import change, train_adapter

from assistant.adapters.config import LORA, SLOW_TYPES, check_config, rank_of, settings_hash, slow_because
from assistant.adapters.folder import GATE
from assistant.adapters.identity import BaseIdentity, base_identity, described, identify_base, place
from assistant.adapters.manifest import CONFIG, FILE, HEAD, WEIGHTS, read_manifest
from assistant.adapters.preflight import Preflight, check_adapter
from assistant.errors import ModelError
from assistant.models.checkpoint import Checkpoint
from assistant.models.loading import Request, make_draft
from assistant.models.quiet import quiet

Identify = Callable[..., BaseIdentity]
PLAIN = {"peft_type": LORA, "r": 8, "lora_alpha": 16, "bias": "none"}


def passed(folder: Path, base: BaseIdentity | None, **options: Any) -> Preflight:
    return check_adapter(folder, base, models=None, **options)


def refused(folder: Path, base: BaseIdentity | None, **options: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        passed(folder, base, **options)
    assert caught.value.exit_code == 5
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


def edit(folder: Path, edited: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], *, sign: bool = True) -> None:
    """Change the tensors of an adapter; with a manifest that says so, as whoever trained it would."""
    save_file(edited(load_file(folder / WEIGHTS)), folder / WEIGHTS)
    if sign:
        change(folder / FILE, weights_hash=passed_hash(folder))


def passed_hash(folder: Path) -> str:
    from assistant.adapters.manifest import weights_hash

    return weights_hash(folder)


def test_an_adapter_belongs_to_the_base_it_was_trained_on(trained: dict[str, Path], identify: Identify) -> None:
    found = passed(trained["concise"], identify())
    assert (found.fingerprint, found.role, found.slow, found.warnings) == (passed_hash(found.folder), "answer", False, ())
    assert (found.labels, found.verdict, found.manifest) == (("ungated",), "ungated", read_manifest(found.folder))
    assert found.computes.startswith(f"{found.fingerprint}-")


def test_a_draft_of_a_model_is_the_same_base(bases: dict[str, Path], identify: Identify) -> None:
    draft = make_draft(str(bases["llama"]), Request(device="cpu", dtype="fp32"))
    base = identify_base(draft, None)
    assert (base.fingerprint, base.layers, base.hidden_size) == (identify().fingerprint, 2, 64)
    assert base.shapes == identify().shapes


def test_it_takes_well_under_a_second_and_no_torch(trained: dict[str, Path], bases: dict[str, Path]) -> None:
    code = (
        "import sys, pathlib; from assistant.adapters.registry import resolve; from assistant.adapters.preflight import *\n"
        "from assistant.models.checkpoint import Checkpoint\n"
        f"base = base_identity(Checkpoint('m', pathlib.Path({str(bases['llama'])!r})), 'none', None)\n"
        f"check_adapter(pathlib.Path({str(trained['concise'])!r}), base, models=None)\n"
        "print(sorted({'torch', 'transformers', 'safetensors', 'numpy', 'peft'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    started = time.perf_counter()
    passed(trained["concise"], None)
    assert time.perf_counter() - started < 0.5


def test_a_reward_adapter_says_what_it_is_for(trained: dict[str, Path], identify: Identify, tmp_path: Path) -> None:
    assert (passed(trained["rewarder"], identify()).role, passed(trained["rewarder"], identify()).labels) == ("reward", ())
    folder = Path(shutil.copytree(trained["rewarder"], tmp_path / "scorer"))
    (folder / HEAD).write_bytes((folder / HEAD).read_bytes()[:-4])
    assert "is damaged" in refused(folder, identify()).message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("other", "both are a Llama (2 layers of 64), with other weights"),
        ("gemma", "that is a Llama (2 layers of 64), this is a Gemma 2 (2 layers of 64)"),
    ],
)
def test_a_wrong_base_is_refused_in_words(trained: dict[str, Path], identify: Identify, name: str, words: str) -> None:
    error = refused(trained["concise"], identify(name))
    trained_for = read_manifest(trained["concise"]).base.id
    assert error.message == f"the adapter 'concise' was trained for {trained_for!r}, not for {name!r}: {words}"
    assert error.hint == f"--model {trained_for}, or --adapter none"


def test_a_base_of_other_size_and_one_of_other_vocabulary_are_told(concise: Path, identify: Identify) -> None:
    said = read_manifest(concise).base
    for changed, words in (
        ({"layers": 40}, "that is a Llama (40 layers of 64), this is a"),
        ({"vocab_size": 999}, "of 999 tokens"),
    ):
        base = {name: getattr(said, name) for name in said.__slots__} | {"fingerprint": "ab"} | changed
        change(concise / FILE, base=base)
        assert words in refused(concise, identify()).message


@pytest.mark.parametrize(("key", "what"), [("tokenizer_hash", "tokenizer"), ("template_hash", "chat template")])
def test_another_tokenizer_or_template_is_refused(concise: Path, identify: Identify, key: str, what: str) -> None:
    change(concise / FILE, **{key: "ab" * 32})
    assert f"was trained with another {what} than that of 'llama' (hash abababababab…" in refused(concise, identify()).message


def test_the_tokenizer_and_template_are_those_of_the_bases_files(concise: Path, bases: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bases["llama"], tmp_path / "base"))
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    assert "another chat template" in refused(concise, base_identity(Checkpoint("b", folder), "none", None)).message
    change(folder / "tokenizer.json", post_processor=None, model={"type": "BPE", "vocab": {}, "merges": []})
    assert "another tokenizer" in refused(concise, base_identity(Checkpoint("b", folder), "none", None)).message


def test_another_quantization_is_allowed_and_said(trained: dict[str, Path], identify: Identify, concise: Path) -> None:
    served = passed(trained["concise"], identify(quantization="nf4"))
    assert served.warnings == ("trained on full precision, served in nf4: run the gate again",)
    change(concise / FILE, trained_on={"quantization": "nf4", "dtype": "bf16", "device": "cuda"})
    assert passed(concise, identify()).warnings == ("trained on nf4, served in full precision: run the gate again",)


def test_an_unknown_prompt_format_is_refused_and_a_changed_wording_is_said(concise: Path, identify: Identify) -> None:
    change(concise / FILE, prompt_format="passages-9")
    assert "prompts of the format 'passages-9', and this assistant writes 'passages-1'" in refused(concise, identify()).message
    change(concise / FILE, prompt_format="passages-1", prompt_hash="other")
    assert passed(concise, identify()).warnings == (
        "the wording of prompts has changed since it was trained: run the gate again",
    )


def test_what_scores_is_not_sent_to_a_gate(trained: dict[str, Path], identify: Identify, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trained["rewarder"], tmp_path / "scorer"))
    change(folder / FILE, prompt_format="passages-1", prompt_hash="other")
    assert passed(folder, identify(quantization="nf4")).warnings == (
        "the wording of prompts has changed since it was trained",
        "trained on full precision, served in nf4",
    )


def test_another_model_where_its_base_was_is_told(concise: Path, identify: Identify) -> None:
    said = json.loads((concise / FILE).read_text("utf-8"))
    change(concise / FILE, base=said["base"] | {"id": "other"})
    assert refused(concise, identify("other")).hint.startswith("put the model that it was trained on back there")


def test_changed_weights_are_refused(concise: Path, identify: Identify) -> None:
    edit(concise, lambda tensors: {name: tensor + 1 for name, tensor in tensors.items()}, sign=False)
    assert "the weights of the adapter 'concise' were changed" in refused(concise, identify()).message


def test_weights_changed_in_place_are_seen_though_size_and_time_are_kept(concise: Path, tmp_path: Path) -> None:
    file, models = concise / WEIGHTS, tmp_path / "models"
    check_adapter(concise, None, models=models)
    before = file.stat()
    with file.open("r+b") as stream:
        stream.seek(-4, os.SEEK_END)
        stream.write(b"\x01\x02\x03\x04")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ModelError, match="were changed"):
        check_adapter(concise, None, models=models)


def test_the_hash_is_remembered_and_a_full_memory_is_no_fault(
    concise: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    check_adapter(concise, None, models=tmp_path / "file" / "models")  # can't be made
    check_adapter(concise, None, models=tmp_path / "models")
    monkeypatch.setattr("assistant.adapters.preflight.weights_hash", lambda _: pytest.fail("computed again"))
    check_adapter(concise, None, models=tmp_path / "models")


def test_no_folder_no_adapter_and_no_manifest_are_told_apart(bases: dict[str, Path], concise: Path) -> None:
    assert refused(concise / "none", None).message.startswith("there is no folder")
    assert refused(concise / FILE, None).message.startswith("that is a file, not a folder")
    assert f"holds no {CONFIG}" in refused(bases["llama"], None).message
    (concise / FILE).unlink()
    error = refused(concise, None)
    assert error.message == f"the adapter 'concise' has no {FILE}: nothing says which base it belongs to"
    assert error.hint.endswith("--trust-base")


def test_a_plain_peft_folder_is_taken_on_trust_and_labelled(concise: Path, identify: Identify) -> None:
    (concise / FILE).unlink()
    found = passed(concise, identify(), trust_base=True)
    assert (found.labels, found.role, found.manifest) == (("trusted base", "ungated"), "answer", None)
    change(concise / CONFIG, base_model_name_or_path="meta-llama/Llama-3.1-8B")
    assert "belongs to 'meta-llama/Llama-3.1-8B'" in passed(concise, identify(), trust_base=True).warnings[0]


def test_trust_covers_no_base_without_its_layers_or_of_other_width(
    bases: dict[str, Path], identify: Identify, tmp_path: Path
) -> None:
    plain = random_adapter(bases["llama"], tmp_path / "plain", seed=1).folder
    error = refused(plain, identify("gpt2"), trust_base=True)
    assert "changes 'model.layers.0." in error.message
    assert "which 'gpt2' doesn't have" in error.message
    wide = base_identity(Checkpoint("wide", tiny_llama3(tmp_path / "wide", hidden_size=128)), "none", None)
    assert "that of 'wide' has" in refused(plain, wide, trust_base=True).message


def test_gpt2_keeps_its_matrices_the_other_way_around(bases: dict[str, Path], identify: Identify, tmp_path: Path) -> None:
    folder = train_adapter(tmp_path / "small", bases["gpt2"])
    assert not passed(folder, identify("gpt2")).slow


def test_a_newer_manifest_is_refused(concise: Path) -> None:
    change(concise / FILE, format=2)
    assert "has format 2" in refused(concise, None).message


def test_trust_is_no_way_around_a_damaged_manifest_or_a_wrong_base(concise: Path, identify: Identify) -> None:
    assert "not for 'other'" in refused(concise, identify("other"), trust_base=True).message
    (concise / FILE).write_text("{")
    assert "is damaged" in refused(concise, None, trust_base=True).message


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, FILE, GATE, HEAD, "tokenizer.json"])
def test_a_link_out_of_the_folder_is_never_followed(concise: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "secret"
    shutil.copy(concise / name, outside) if (concise / name).exists() else outside.write_text("{}")
    (concise / name).unlink(missing_ok=True)
    (concise / name).symlink_to(f"../{outside.name}")
    error = refused(concise, None)
    assert error.message == f"{str(concise / name)!r} leads out of its folder, to {str(outside.resolve())!r}"


def test_a_link_within_the_folder_is_fine(concise: Path) -> None:
    (concise / WEIGHTS).rename(concise / "run" / "w.safetensors")
    (concise / WEIGHTS).symlink_to("run/w.safetensors")
    assert passed(concise, None).fingerprint == passed_hash(concise)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, FILE, GATE])
def test_what_is_no_regular_file_is_not_opened(concise: Path, name: str) -> None:
    (concise / name).unlink(missing_ok=True)
    os.mkfifo(concise / name)  # reading it would wait for ever
    assert refused(concise, None).message.endswith("is no regular file")
    (concise / name).unlink()
    (concise / name).symlink_to(name)
    assert "can't read" in refused(concise, None).message


def test_pickled_weights_are_never_opened(concise: Path) -> None:
    (concise / WEIGHTS).rename(concise / "adapter_model.bin")
    assert "only adapter_model.bin, which is never opened" in refused(concise, None).message
    (concise / "adapter_model.bin").unlink()
    assert f"holds no {WEIGHTS}" in refused(concise, None).message


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda raw: raw[:-10], "is damaged"),
        (lambda raw: raw + b"more", "is damaged"),
        (lambda raw: raw[:100], "cut off inside its header"),
        (lambda _: b"", "is empty"),
        (lambda _: b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (lambda raw: raw[:8] + b"[" * (len(raw) - 8), "damaged header"),
    ],
)  # fmt: skip
def test_weights_that_are_not_whole_are_refused(concise: Path, damage: Callable[[bytes], bytes], words: str) -> None:
    (concise / WEIGHTS).write_bytes(damage((concise / WEIGHTS).read_bytes()))
    assert words in refused(concise, None).message


FIRST = "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"


Tensors = dict[str, torch.Tensor]


def renamed(old: str, new: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name.replace(old, new): each for name, each in tensors.items()}


@pytest.mark.parametrize(
    ("edited", "words"),
    [
        (lambda _: {}, "holds no weights"),
        (lambda all_: all_ | {"model.norm.weight": torch.ones(2)}, "'model.norm.weight', which is no part of a LoRA"),
        (lambda all_: all_ | {"lm_head.base_layer.weight": torch.ones(2)}, "brings a copy of the base's own 'lm_head.base"),
        (renamed("lora_A", "lora_A.default"), "is no part of a LoRA"),
        (lambda all_: {name: each for name, each in all_.items() if name != FIRST}, "one half of 'model.layers.0.mlp.down_proj'"),
        (lambda all_: all_ | {FIRST: all_[FIRST][:2].clone()}, "has rank 4 by its config, and matrices of (2, 128) and (64, 4)"),
        (lambda all_: all_ | {FIRST: all_[FIRST].view(-1)}, "matrices of (512,) and (64, 4)"),
        (lambda all_: {name: each.to(torch.int32) for name, each in all_.items()}, "holds I32, no floating-point numbers"),
        (renamed("layers.1", "layers.7"), "changes 'model.layers.7."),
        (lambda all_: all_ | {FIRST: all_[FIRST][:, :5].clone()}, "is for a layer of 64 × 5; that of 'llama' has 64 × 128"),
    ],
)  # fmt: skip
def test_tensors_that_the_config_or_the_base_have_no_place_for(
    concise: Path, identify: Identify, edited: Callable[..., Any], words: str
) -> None:
    edit(concise, edited)
    assert words in refused(concise, identify()).message


@pytest.mark.parametrize(
    ("changes", "fast"),
    [
        ({"rank_pattern": {"q_proj": 2, r".*layers\.1\.mlp\..*": 6}}, True),
        ({"alpha_pattern": {"v_proj": 32}}, True),
        ({"use_rslora": True}, True),
        ({"target_modules": ATTENTION, "layers_to_transform": [1]}, True),
        ({"use_dora": True}, False),
        ({"modules_to_save": ["lm_head"]}, False),
        ({"trainable_token_indices": [5]}, False),
        ({"lora_bias": True}, False),
        ({"target_modules": ["q_proj", "lm_head"]}, None),
        ({"target_modules": ["q_proj", "embed_tokens"]}, None),
    ],
    ids=str,
)  # fmt: skip
def test_what_our_hooks_compute_is_fast_and_the_rest_is_pefts(
    bases: dict[str, Path], identify: Identify, tmp_path: Path, changes: dict[str, Any], fast: bool | None
) -> None:
    folder = random_adapter(bases["llama"], tmp_path / "peft", seed=2, **changes).folder
    if fast is None:  # PEFT writes the base's own matrix with it, and would load that over the base's
        assert "brings a copy of the base's own" in refused(folder, identify(), trust_base=True).message
        save_file(
            {name: each for name, each in load_file(folder / WEIGHTS).items() if "base_layer" not in name}, folder / WEIGHTS
        )
        fast = "lm_head" in changes["target_modules"]
    found = passed(folder, identify(), trust_base=True)
    assert (not found.slow, found.slow_because is None) == (fast, fast)


@pytest.mark.parametrize("kind", SLOW_TYPES)
def test_other_kinds_of_peft_are_slow(kind: str) -> None:
    check_config({"peft_type": kind}, "a")
    assert slow_because({"peft_type": kind}) == f"it is no LoRA but a {kind}"


def test_ia3_as_peft_writes_it_is_slow(bases: dict[str, Path], identify: Identify, tmp_path: Path) -> None:
    from peft import IA3Config, get_peft_model
    from transformers.models.auto.modeling_auto import AutoModelForCausalLM

    config = IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM")
    with quiet():
        get_peft_model(AutoModelForCausalLM.from_pretrained(bases["llama"]), config).save_pretrained(tmp_path / "ia3")
    assert passed(tmp_path / "ia3", identify(), trust_base=True).slow_because == "it is no LoRA but a IA3"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "PEFT's kind 'PREFIX_TUNING', which isn't used here"),
        ({"peft_type": ...}, "PEFT's kind None"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights='pissa_niter_4', which changes the base too"),
        ({"init_lora_weights": "loftq"}, "which changes the base too"),
        ({"bias": "all"}, "has bias='all': it needs biases of the base itself"),
        ({"megatron_config": {"x": 1}, "megatron_core": "this"}, "another library's model"),
        ({"alora_invocation_tokens": [5, 6]}, "where certain tokens of the prompt stand"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "copies of the base's layers"),
        ({"r": 0}, "r is 0"),
        ({"r": "8"}, "r is '8'"),
        ({"lora_alpha": None}, "lora_alpha is None"),
        ({"rank_pattern": {"(": 4}}, "rank_pattern is {'(': 4}"),
        ({"alpha_pattern": [1]}, "alpha_pattern is [1]"),
        *(({"r": rank}, f"r is {rank!r}") for rank in (-8, 8.0, 8.5, True, None, [8], 10**400)),
        *(({"lora_alpha": alpha}, f"lora_alpha is {alpha!r}") for alpha in (-1, 0, False, "16", {})),
        *(({"r": float(number)}, f"{number} is no number") for number in ("NaN", "Infinity", "-Infinity")),
        ({"lora_alpha": float("inf")}, "Infinity is no number"),
        ({"alpha_pattern": {"q_proj": float("nan")}}, "NaN is no number"),
        ({"rank_pattern": {"q_proj": 2.5}}, "rank_pattern is {'q_proj': 2.5}"),
        ({"rank_pattern": ""}, "rank_pattern is ''"),
        ({"rank_pattern": {"a)(b": 4}, "alpha_pattern": {"(?i)q": 4}}, "alpha_pattern is {'(?i)q': 4}"),
        ({"alpha_pattern": {"q{99999999999}": 4}}, "alpha_pattern is {"),
    ],
)  # fmt: skip
def test_a_config_that_nobody_can_use_is_refused(concise: Path, changes: dict[str, Any], words: str) -> None:
    change(concise / CONFIG, **changes)
    assert words.replace(f"r is {10**400}", "is no number") in refused(concise, None).message


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400, "9" * 5000])
def test_numbers_that_overflow_are_none(concise: Path, number: str) -> None:
    for name in (CONFIG, FILE):
        whole = (concise / name).read_text("utf-8")
        (concise / name).write_text(f'{{"more": {{"deep": [{number}]}}, {whole.lstrip()[1:]}', "utf-8")
        assert refused(concise, None).message.endswith(f"is damaged: {number[:20]} is no number")
        (concise / name).write_text(whole, "utf-8")


def test_a_canary_of_tokens_that_the_base_lacks_is_refused(trained: dict[str, Path], identify: Identify, tmp_path: Path) -> None:
    for name in ("concise", "rewarder"):
        folder = Path(shutil.copytree(trained[name], tmp_path / name))
        said = json.loads((folder / FILE).read_text("utf-8"))
        change(folder / FILE, canary=said["canary"] | {"ids": [5, 5_000]}, base=said["base"] | {"vocab_size": 10_000})
        passed(folder, None)
        assert "is damaged: canary.ids names the token 5,000, of " in refused(folder, identify()).message
        change(folder / FILE, base=said["base"])
        assert "is damaged: canary.ids names the token 5,000, of " in refused(folder, None).message
        (folder / CONFIG).write_text(json.dumps(json.loads((folder / CONFIG).read_text()) | {"trainable_token_indices": [5_000]}))
        change(folder / FILE, settings_hash=...)
        passed(folder, identify()) if name == "rewarder" else refused(folder, identify())  # what scores may bring tokens


def test_changed_settings_beside_the_same_weights_are_refused(concise: Path, identify: Identify) -> None:
    change(concise / CONFIG, lora_alpha=640)
    error = refused(concise, identify())
    assert error.message.startswith("the settings of the adapter 'concise' were changed (lora_alpha 640, r 4 …)")
    assert refused(concise, None, trust_base=True).message == error.message
    change(concise / FILE, settings_hash=...)  # of before they were written down
    passed(concise, identify())
    change(concise / CONFIG, lora_alpha=8, use_rslora=True)
    change(concise / FILE, settings_hash=settings_hash(PLAIN))
    assert "were changed (lora_alpha 8, r 4 …)" in refused(concise, None).message


def test_the_settings_hash_counts_what_computes_and_nothing_else() -> None:
    plain = settings_hash(PLAIN)
    for same in (
        {"peft_version": "9"},
        {"lora_dropout": 0.1},
        {"rank_pattern": {}},
        {"use_dora": False},
        {"target_modules": "x"},
    ):
        assert settings_hash(PLAIN | same) == plain
    others = ({"r": 9}, {"lora_alpha": 1}, {"rank_pattern": {"q": 1}}, {"use_dora": True}, {"use_novelty": True})
    ia3 = [{"peft_type": "IA3", "feedforward_modules": [module]} for module in "ab"]
    assert len({plain, *(settings_hash(PLAIN | other) for other in others), *map(settings_hash, ia3)}) == 8


def test_the_examples_manifests_hold_the_hash_of_their_settings() -> None:
    examples = Path(__file__).parents[2] / "examples" / "adapters"
    for name in ("terse", "detailed"):
        assert passed(examples / name, None).manifest is not None
        assert read_manifest(examples / name).settings_hash == settings_hash(json.loads((examples / name / CONFIG).read_text()))


@pytest.mark.parametrize("content", [b"{", b"[]", b"[" * 100_000, b"\xff"], ids=["cut", "list", "deep", "bytes"])
def test_a_damaged_config_is_refused(concise: Path, content: bytes) -> None:
    (concise / CONFIG).write_bytes(content)
    assert refused(concise, None).message.endswith("is damaged: it is no JSON object")


def test_a_setting_of_a_newer_peft_is_left_to_peft() -> None:
    assert slow_because(PLAIN) is None
    assert slow_because(PLAIN | {"use_novelty": False, "novelty_config": None}) is None
    assert slow_because(PLAIN | {"use_novelty": True}) == "only PEFT knows its setting 'use_novelty'"


def test_a_pattern_names_the_end_of_a_layers_name() -> None:
    config = PLAIN | {"rank_pattern": {"q_proj": 2, r"layers\.1\.v_proj": 3}}
    layers = ["model.layers.0.q_proj", "model.layers.1.v_proj", "model.layers.0.v_proj", "model.layers.0.xq_proj"]
    assert [rank_of(config, layer) for layer in layers] == [2, 3, 8, 8]


def test_other_settings_with_the_same_weights_compute_something_else(concise: Path) -> None:
    before = passed(concise, None)
    change(concise / CONFIG, peft_version="9", r=4)
    assert passed(concise, None).computes == before.computes
    change(concise / CONFIG, lora_alpha=64)
    change(concise / FILE, settings_hash=...)
    after = passed(concise, None)
    assert (after.fingerprint, after.computes != before.computes) == (before.fingerprint, True)


@pytest.mark.parametrize(
    ("gate", "verdict", "label"),
    [
        ({"schema": 1, "verdict": "passed", "weights_hash": "own"}, "passed", ()),
        ({"schema": 1, "verdict": "failed", "weights_hash": "own"}, "failed", ("gate failed",)),
        ({"schema": 1, "verdict": "passed", "weights_hash": "ab"}, "ungated", ("ungated",)),
        ({"schema": 2, "verdict": "passed", "weights_hash": "own"}, "ungated", ("ungated",)),
        ({"schema": 1, "weights_hash": "own"}, "ungated", ("ungated",)),
        ({"schema": 1, "verdict": "undecided", "weights_hash": "own"}, "undecided", ("gate undecided",)),
        ({"schema": 1, "verdict": "splendid", "weights_hash": "own"}, "ungated", ("ungated",)),
        ({"schema": 1, "verdict": "passed", "weights_hash": "own", "settings_hash": "set"}, "passed", ()),
        ({"schema": 1, "verdict": "passed", "weights_hash": "own", "settings_hash": "ab"}, "ungated", ("ungated",)),
        ({"schema": 1, "verdict": "passed", "weights_hash": "own", "more": float("nan")}, "ungated", ("ungated",)),
        ([], "ungated", ("ungated",)),
    ],
)  # fmt: skip
def test_a_gate_counts_for_the_weights_it_was_asked_about(concise: Path, gate: Any, verdict: str, label: tuple[str, ...]) -> None:
    own = passed_hash(concise)
    settings = read_manifest(concise).settings_hash
    (concise / GATE).write_text(json.dumps(gate).replace('"own"', f'"{own}"').replace('"set"', f'"{settings}"'))
    found = passed(concise, None)
    assert (found.verdict, found.labels) == (verdict, label)


def test_places_and_descriptions() -> None:
    names = ["model.layers.3.mlp.up_proj", "transformer.h.0.attn.c_attn", "h.0.attn.c_attn", "lm_head", "model.embed_tokens"]
    assert [place(name) for name in names] == [
        "layers.3.mlp.up_proj", "h.0.attn.c_attn", "h.0.attn.c_attn", "lm_head", "embed_tokens",
    ]  # fmt: skip
    assert described("Gemma2ForCausalLM", 42, 3584) == "Gemma 2 (42 layers of 3584)"
