"""What a model is, as a hash."""

import json
import os
import shutil
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import tiny_llama3

from assistant.errors import ModelError
from assistant.models.checkpoint import Checkpoint, Tensor
from assistant.models.families import LLAMA_3, PLAIN
from assistant.models.fingerprint import BLOCK, WHOLE, base_fingerprint, hash_tensors, sampled, template_hash, tokenizer_hash
from assistant.models.loading import Request, load


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def write(folder: Path, tensors: dict[str, torch.Tensor]) -> Checkpoint:
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return Checkpoint("m", folder)


@pytest.fixture
def folder(tiny: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny["llama3"], tmp_path / "model"))


def test_it_is_64_digits_and_the_same_every_time(folder: Path, tmp_path: Path) -> None:
    fingerprint = base_fingerprint(Checkpoint("m", folder))
    assert len(bytes.fromhex(fingerprint)) == 32
    assert base_fingerprint(Checkpoint("by another name", tiny_llama3(tmp_path / "again"))) == fingerprint


def test_sharding_does_not_matter(folder: Path, tmp_path: Path) -> None:
    model = load(str(folder), Request(device="cpu", dtype="fp32")).model
    model.save_pretrained(tmp_path / "shards", max_shard_size="50KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 3
    assert hash_tensors(Checkpoint("m", tmp_path / "shards")) == hash_tensors(Checkpoint("m", folder))


def test_the_order_in_the_file_does_not_matter(folder: Path, tmp_path: Path) -> None:
    raw = (folder / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.dumps(dict(reversed(json.loads(raw[8 : 8 + length]).items()))).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + raw[8 + length :])
    assert hash_tensors(Checkpoint("m", tmp_path)) == hash_tensors(Checkpoint("m", folder))


def test_one_changed_number_of_any_small_tensor_matters(folder: Path, tmp_path: Path) -> None:
    before, tensors = hash_tensors(Checkpoint("m", folder)), weights(folder)
    small = [name for name, tensor in tensors.items() if tensor.nbytes <= WHOLE]
    assert small
    for name in small:
        changed = {**tensors, name: tensors[name].clone()}
        changed[name].view(-1)[-1] += 1e-3
        assert hash_tensors(write(tmp_path / "changed", changed)) != before, name


def test_a_training_step_of_one_large_tensor_matters(tmp_path: Path) -> None:
    large = torch.randn(256, 256)
    before = hash_tensors(write(tmp_path / "before", {"w": large}))
    assert hash_tensors(write(tmp_path / "after", {"w": large * (1 + 1e-4)})) != before


def test_name_and_shape_matter(tmp_path: Path) -> None:
    numbers = torch.arange(12.0)
    hashes = {
        hash_tensors(write(tmp_path / "a", {"w": numbers})),
        hash_tensors(write(tmp_path / "b", {"v": numbers})),
        hash_tensors(write(tmp_path / "c", {"w": numbers.view(3, 4)})),
    }
    assert len(hashes) == 3


def test_large_tensors_are_sampled_from_their_first_to_their_last_byte() -> None:
    blocks = sampled(Tensor("w", "F32", (1_000_000,), Path("f"), 100, 4_000_100))
    assert blocks[0] == (100, BLOCK)
    assert blocks[-1] == (4_000_100 - BLOCK, BLOCK)
    gaps = {after[0] - before[0] for before, after in pairwise(blocks)}
    assert max(gaps) - min(gaps) <= 1


def test_it_is_remembered_until_the_file_changes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models, path = tmp_path / "home" / "models", folder / "model.safetensors"
    fingerprint = base_fingerprint(Checkpoint("m", folder), models)
    monkeypatch.setattr("assistant.models.fingerprint.hash_tensors", lambda _: "computed again")
    assert base_fingerprint(Checkpoint("m", folder), models) == fingerprint
    os.utime(path, ns=(1, 1))
    assert base_fingerprint(Checkpoint("m", folder), models) == "computed again"


def test_a_change_that_keeps_the_time_but_not_the_size_is_seen(folder: Path, tmp_path: Path) -> None:
    path = folder / "model.safetensors"
    before, stat = base_fingerprint(Checkpoint("m", folder), tmp_path / "models"), path.stat()
    write(folder, {**weights(folder), "more": torch.ones(3)})
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert base_fingerprint(Checkpoint("m", folder), tmp_path / "models") != before


def test_what_is_remembered_is_private_and_a_damaged_memory_is_no_fault(folder: Path, tmp_path: Path) -> None:
    models = tmp_path / "home" / "models"
    fingerprint = base_fingerprint(Checkpoint("m", folder), models)
    file = models / "fingerprints.json"
    assert (models.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    for damage in ("{", "[]", json.dumps({str(folder.resolve() / "model.safetensors"): {"stamp": 1, "hash": 2}})):
        file.write_text(damage)
        assert base_fingerprint(Checkpoint("m", folder), models) == fingerprint
    assert [path.name for path in models.iterdir()] == ["fingerprints.json"]


def test_weights_that_are_gone_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no weights"):
        base_fingerprint(Checkpoint("m", tmp_path))


def test_a_tokenizers_hash_is_of_what_it_does_not_of_its_layout(folder: Path) -> None:
    before, path = tokenizer_hash(folder), folder / "tokenizer.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"truncation": {"max_length": 5}}, indent=7))
    assert tokenizer_hash(folder) == before
    content["model"]["vocab"]["never seen"] = 9999
    path.write_text(json.dumps(content))
    assert tokenizer_hash(folder) != before


def test_a_tokenizers_hash_is_remembered_too_and_beside_the_weights(folder: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    hashes = base_fingerprint(Checkpoint("m", folder), models), tokenizer_hash(folder, models)
    assert sorted(one["hash"] for one in json.loads((models / "fingerprints.json").read_text()).values()) == sorted(hashes)
    (folder / "tokenizer.json").write_text("{}")
    assert tokenizer_hash(folder, models) != hashes[1]


def test_a_folder_without_a_tokenizer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no tokenizer"):
        tokenizer_hash(tmp_path)


def test_a_templates_hash_is_of_the_text_wherever_it_lies(folder: Path) -> None:
    own = template_hash(folder)
    (folder / "chat_template.jinja").unlink()
    assert template_hash(folder) == own  # its family's, which is the same text here
    config = json.loads((folder / "tokenizer_config.json").read_text())
    for template in (LLAMA_3, [{"name": "tools", "template": PLAIN}, {"name": "default", "template": LLAMA_3}]):
        (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": template}))
        assert template_hash(folder) == own
    (folder / "chat_template.jinja").write_text(PLAIN)
    assert template_hash(folder) != own


def test_the_hashes_agree_with_what_a_loaded_model_says(tiny: dict[str, Path]) -> None:
    for family, folder in tiny.items():
        loaded = load(str(folder), Request(device="cpu", dtype="fp32"))
        assert loaded.fingerprint == base_fingerprint(Checkpoint("m", folder)), family
        assert loaded.template_hash == template_hash(folder), family


def test_a_fingerprint_needs_no_torch(folder: Path) -> None:
    code = (
        "import sys, pathlib; from assistant.models.fingerprint import *; from assistant.models.checkpoint import Checkpoint; "
        f"folder = pathlib.Path({str(folder)!r}); base_fingerprint(Checkpoint('m', folder)); tokenizer_hash(folder); "
        "template_hash(folder); print(sorted({'torch', 'transformers', 'safetensors', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
