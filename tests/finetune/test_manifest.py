"""What an adapter says of itself: written and read, whole or not at all; and what is refused, in words."""

import json
import os
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.adapters.manifest import (
    CONFIG,
    FILE,
    FORMAT,
    HEAD,
    WEIGHTS,
    BaseFacts,
    Canary,
    Manifest,
    read_manifest,
    swap_profile,
    weights_hash,
)
from assistant.errors import ModelError
from finetune.base_model import TARGETS

LLAMA = frozenset(TARGETS["llama"])
PLAIN = {"peft_type": "LORA", "target_modules": sorted(LLAMA), "lora_dropout": 0.0, "bias": "none", "rank_pattern": {}, "r": 16}
OPTIONAL = ("prompt_hash", "parents", "classes", "reward", "metrics", "generation", "settings_hash")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
CANARIES = st.builds(
    Canary,
    ids=st.lists(st.integers(0, 99), min_size=1, max_size=3).map(tuple),
    top=st.lists(st.tuples(st.integers(0, 99), NUMBER), min_size=1, max_size=3).map(tuple),
    device=TEXT, dtype=TEXT, quantization=TEXT, versions=st.dictionaries(TEXT, TEXT, max_size=2),
)  # fmt: skip
MANIFESTS = st.builds(
    Manifest,
    name=TEXT, method=TEXT, role=st.sampled_from(["answer", "reward", "rewrite", "judge"]), created=TEXT,
    base=st.builds(BaseFacts, id=TEXT, architecture=TEXT, fingerprint=TEXT, hidden_size=st.integers(), layers=st.integers(),
                   vocab_size=st.integers(100)),
    tokenizer_hash=TEXT, template_hash=TEXT, prompt_format=st.none() | TEXT,
    trained_on=st.dictionaries(TEXT, TEXT, max_size=2), data=st.dictionaries(TEXT, JSON, max_size=2), seed=st.integers(),
    versions=st.dictionaries(TEXT, TEXT, max_size=2), swap_profile=st.sampled_from(["standard", "slow"]), weights_hash=TEXT,
    canary=CANARIES, parents=st.lists(TEXT, max_size=2).map(tuple),
    reward=st.none() | st.fixed_dictionaries({"mean": NUMBER, "std": st.floats(0, exclude_min=True, allow_infinity=False)}),
    metrics=st.dictionaries(TEXT, JSON, max_size=2), generation=st.dictionaries(TEXT, JSON, max_size=2),
    settings_hash=st.none() | TEXT,
)  # fmt: skip
ONE = Manifest(
    "short", "sft", "answer", "2026-11-21T10:00:00+00:00", BaseFacts("tiny", "LlamaForCausalLM", "ab", 64, 2, 264), "cd", "ef",
    "passages-1", {"quantization": "none", "dtype": "fp32", "device": "cpu"}, {"hash": "01", "rows": 3, "documents": ["d1"]}, 7,
    {"torch": "2.13.0"}, "standard", "23", Canary((256, 5), ((7, 1.5), (9, -0.25)), "cpu", "fp32", "none", {"torch": "2.13.0"}),
)  # fmt: skip


@given(manifest=MANIFESTS)
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, manifest: Manifest) -> None:
    folder = tmp_path_factory.mktemp("adapter")
    assert manifest.write(folder) == folder / FILE
    assert read_manifest(folder) == manifest


def test_the_file_has_the_keys_of_the_contract_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = ONE.write(tmp_path)
    said = json.loads(path.read_text("utf-8"))
    assert set(said) == {
        "format", "name", "method", "role", "created", "base", "tokenizer_hash", "template_hash", "prompt_format", "trained_on",
        "data",
        "parents", "classes", "prompt_hash", "seed", "versions",
        "swap_profile", "weights_hash", "settings_hash", "reward", "metrics", "generation", "canary",
    }  # fmt: skip
    assert set(said["base"]) == {"id", "architecture", "fingerprint", "hidden_size", "layers", "vocab_size"}
    assert set(said["canary"]) == {"ids", "top", "device", "dtype", "quantization", "versions"}
    assert (said["format"], said["prompt_format"], said["reward"]) == (FORMAT, "passages-1", None)
    assert path.stat().st_mode & 0o777 == 0o600


def change(folder: Path, **values: Any) -> None:
    said = json.loads((folder / FILE).read_text("utf-8"))
    (folder / FILE).write_text(json.dumps({name: value for name, value in (said | values).items() if value is not ...}), "utf-8")


def refused(folder: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        read_manifest(folder)
    assert caught.value.exit_code == 5
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


def test_a_newer_format_is_refused_and_unknown_keys_of_this_one_are_not(tmp_path: Path) -> None:
    ONE.write(tmp_path)
    change(tmp_path, note="mine")
    assert read_manifest(tmp_path) == ONE
    change(tmp_path, format=FORMAT + 1)
    error = refused(tmp_path)
    assert f"has format {FORMAT + 1}, and this assistant knows formats up to {FORMAT}" in error.message
    assert error.hint == "upgrade the assistant"


NEEDED = [one.name for one in fields(Manifest) if one.name not in OPTIONAL]


@pytest.mark.parametrize("name", NEEDED)
def test_a_key_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    ONE.write(tmp_path)
    change(tmp_path, **{name: ...})
    assert f"is damaged: {name} is missing" in refused(tmp_path).message


def test_keys_that_may_be_missing_get_their_defaults(tmp_path: Path) -> None:
    replace(ONE, parents=("12",), metrics={"after": {}}).write(tmp_path)
    change(tmp_path, **dict.fromkeys(OPTIONAL, ...))
    assert read_manifest(tmp_path) == ONE


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"format": "1"}, "is no adapter's manifest"),
        ({"format": ...}, "is no adapter's manifest"),
        ({"role": "poet"}, "role 'poet'"),
        ({"swap_profile": "fast"}, "swap profile 'fast'"),
        ({"base": {"id": "m"}}, "architecture"),
        ({"base": asdict(ONE.base) | {"layers": "2"}}, "layers of the base is '2'"),
        ({"method": 7}, "method is 7"),
        ({"trained_on": None}, "trained_on is None"),
        ({"metrics": [1]}, "metrics is [1]"),
        ({"base": None}, "is damaged"),
        ({"canary": asdict(ONE.canary) | {"ids": ["x"]}}, "'x'"),
        ({"canary": asdict(ONE.canary) | {"top": [[1, 2, 3]]}}, "canary.top is [[1, 2, 3]]"),
        ({"canary": [1]}, "canary is [1]"),
        *(({"canary": asdict(ONE.canary) | {"ids": ids}}, f"canary.ids is {shown}") for ids, shown in (
            ([], "[]"), (5, "5"), ("55", "'55'"), ([1.5], "[1.5]"), ([True], "[True]"), ([-1], "[-1]"), ([5] * 4097, "[5, 5"),
        )),
        ({"canary": asdict(ONE.canary) | {"ids": [5, 264]}}, "canary.ids names the token 264, of 264"),
        ({"canary": asdict(ONE.canary) | {"top": [[264, 1.0]]}}, "canary.top names the token 264, of 264"),
        *(({"canary": asdict(ONE.canary) | {"top": top}}, "canary.top is ") for top in (
            [], None, [7], ["ab"], [[7]], [[-7, 1.0]], [[7, "1"]], [[7, None]], [[7.0, 1.0]], {"7": 1.0},
        )),
        *(({"canary": asdict(ONE.canary) | {"versions": versions}}, "canary.versions is ") for versions in (
            None, ["torch"], {"torch": 2},
        )),
        ({"canary": asdict(ONE.canary) | {"device": 1}}, "canary.device is 1"),
        ({"canary": {"ids": [5]}}, "top is missing"),
        ({"trained_on": {"quantization": None}}, "trained_on is {'quantization': None}"),
        ({"trained_on": ["none"]}, "trained_on is ['none']"),
        ({"versions": {"torch": 2}}, "versions is {'torch': 2}"),
        *(({"seed": seed}, f"seed is {seed!r}") for seed in (0.5, True, "1", None)),
        ({"seed": float("inf")}, "is damaged: Infinity is no number"),
        ({"metrics": {"after": [{"nll": float("nan")}]}}, "is damaged: NaN is no number"),
        *(({"reward": reward}, "is damaged: reward is ") for reward in (
            {"std": 1.0}, {"mean": 0.0}, {"mean": 0.0, "std": 0}, {"mean": 0.0, "std": -1.0}, {"mean": "0", "std": 1.0}, [0.0], 1,
        )),
        ({"reward": {"mean": 0.0, "std": float("inf")}}, "is damaged: Infinity is no number"),
        ({"classes": "ab"}, "classes is 'ab'"),
        ({"parents": [1]}, "parents is [1]"),
        *(({name: 0}, f"{name} is 0") for name in ("prompt_format", "prompt_hash", "settings_hash", "name")),
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_refused_with_what_is_wrong(tmp_path: Path, values: dict[str, Any], said: str) -> None:
    ONE.write(tmp_path)
    change(tmp_path, **values)
    assert said in refused(tmp_path).message


@pytest.mark.parametrize("content", [
    b"", b"{", b"[1]", b"\xff\xfe", b'{"format": 1}', b"null",
    pytest.param(b"[" * 100_000, id="deep"),
])  # fmt: skip
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    error = refused(tmp_path)
    assert str(tmp_path / FILE) in error.message
    assert "train it again" in error.hint


def test_a_folder_without_one_and_no_folder_are_told_apart(tmp_path: Path) -> None:
    assert f"holds no {FILE}: it is no adapter of this assistant's" in refused(tmp_path).message
    assert "there is no folder" in refused(tmp_path / "none").message


def test_what_can_not_be_written_leaves_the_old_one_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ONE.write(tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(ONE, reward={"mean": float("nan"), "std": 1.0}).write(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        replace(ONE, seed=8).write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert read_manifest(tmp_path) == ONE


def test_the_hash_is_of_the_weights_and_of_the_head_and_of_nothing_else(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes(b"a" * 3_000_000)
    alone = weights_hash(tmp_path)
    (tmp_path / CONFIG).write_text("{}")
    assert weights_hash(tmp_path) == alone
    (tmp_path / HEAD).write_bytes(b"b")
    headed = weights_hash(tmp_path)
    (tmp_path / HEAD).write_bytes(b"c")
    assert len({alone, headed, weights_hash(tmp_path)}) == 3
    (tmp_path / HEAD).unlink()
    (tmp_path / WEIGHTS).write_bytes(b"a" * 2_999_999 + b"b")
    assert weights_hash(tmp_path) != alone


def test_what_is_in_the_head_is_not_the_same_as_in_the_weights(tmp_path: Path) -> None:
    hashes = set()
    for weights, head in ((b"ab", None), (b"a", b"b"), (b"", b"ab")):
        (tmp_path / WEIGHTS).write_bytes(weights)
        if head is not None:
            (tmp_path / HEAD).write_bytes(head)
        hashes.add(weights_hash(tmp_path))
    assert len(hashes) == 3


def test_pickled_weights_are_refused_unopened(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"holds no {WEIGHTS}$"):
        weights_hash(tmp_path)
    (tmp_path / "adapter_model.bin").write_bytes(b"cos\nsystem\n(S'exit'\ntR.")
    with pytest.raises(ModelError, match=r"only adapter_model\.bin, which is never opened") as caught:
        weights_hash(tmp_path)
    assert "safetensors" in caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"rank_pattern": {"q_proj": 4}}, {"alpha_pattern": {"q_proj": 4}}, {"modules_to_save": ["score"]}, {"use_dora": True},
        {"trainable_token_indices": [7]}, {"use_rslora": True}, {"lora_dropout": 0.1}, {"layers_to_transform": [0]},
        {"layer_replication": [[0, 1]]}, {"bias": "all"}, {"peft_type": "IA3"}, {"target_modules": "all-linear"},
        {"target_modules": sorted(LLAMA)[:-1]}, {"target_modules": [*sorted(LLAMA), "lm_head"]}, {"target_modules": None},
    ],
    ids=str,
)  # fmt: skip
def test_what_peft_can_not_swap_or_swaps_wrongly_is_slow(change: dict[str, Any]) -> None:
    assert swap_profile(PLAIN | change, LLAMA) == "slow"


@pytest.mark.parametrize(
    "change", [{}, {"r": 64, "lora_alpha": 1}, {"alpha_pattern": {}, "modules_to_save": None}, {"bias": "none"}]
)
def test_adapters_of_the_usual_layers_are_standard_whatever_their_rank(change: dict[str, Any]) -> None:
    assert swap_profile(PLAIN | change, LLAMA) == "standard"
    assert swap_profile({**PLAIN, "target_modules": list(reversed(PLAIN["target_modules"]))} | change, LLAMA) == "standard"  # type: ignore[call-overload]


def test_what_peft_itself_writes_is_standard(tmp_path: Path) -> None:
    from peft import LoraConfig

    LoraConfig(r=8, target_modules=list(LLAMA), task_type="CAUSAL_LM").save_pretrained(str(tmp_path))
    assert swap_profile(json.loads((tmp_path / CONFIG).read_bytes()), LLAMA) == "standard"
    LoraConfig(r=8, target_modules=list(LLAMA), use_dora=True).save_pretrained(str(tmp_path))
    assert swap_profile(json.loads((tmp_path / CONFIG).read_bytes()), LLAMA) == "slow"
