"""Finding a model: folders, the local cache, and a Hugging Face Hub that runs on loopback."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from assistant.errors import ModelError
from assistant.models.hub import find_model

SHA = "0123456789abcdef0123456789abcdef01234567"
MODEL = "somebody/tiny-llama"


@dataclass
class Hub:
    """What a Hub on loopback holds, and what it was asked for.

    Attributes:
        files: path → content.
        refusal: (status, error code) to answer with, by the beginning of the path.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    refusal: dict[str, tuple[int, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        for start, (status, code) in self.refusal.items():
            if path.startswith(start):
                return status, {"X-Error-Code": code}, b"{}"
        siblings = [{"rfilename": name, "size": len(content)} for name, content in self.files.items()]
        tree = [{"type": "file", "path": name, "size": len(content), "oid": name} for name, content in self.files.items()]
        if re.match(rf"/api/models/{MODEL}/tree/", path):
            return 200, {}, json.dumps(tree).encode()
        if path.startswith(f"/api/models/{MODEL}"):
            return 200, {}, json.dumps({"id": MODEL, "sha": SHA, "siblings": siblings}).encode()
        name = path.rpartition(f"/{MODEL}/resolve/{SHA}/")[2]
        if name in self.files:
            return 200, {"ETag": f'"{name}"', "X-Repo-Commit": SHA}, self.files[name]
        return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    held = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            held.asked.append(self.path)
            status, headers, body = held.answer(self.path.partition("?")[0])
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    held.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", held.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", held.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield held
    server.shutdown()
    server.server_close()


def fill(hub: Hub, folder: Path, *others: str) -> None:
    hub.files = {path.name: path.read_bytes() for path in folder.iterdir()} | dict.fromkeys(others, b"of no use")


def cached(tmp_path: Path, folder: Path) -> Path:
    """A model in the cache, as `hf download` leaves it."""
    repo = tmp_path / "hub" / f"models--{MODEL.replace('/', '--')}"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(SHA)
    return Path(shutil.copytree(folder, repo / "snapshots" / SHA))


def test_a_folder_is_taken_as_it_is_and_nobody_is_asked(hub: Hub, tiny: dict[str, Path]) -> None:
    found = find_model(str(tiny["llama3"]))
    assert (found.folder, found.repo, hub.asked) == (tiny["llama3"], None, [])


def test_what_lies_whole_in_the_cache_is_taken_without_asking(hub: Hub, tiny: dict[str, Path], tmp_path: Path) -> None:
    snapshot = cached(tmp_path, tiny["llama3"])
    found = find_model(MODEL)
    assert (found.folder, found.repo, hub.asked) == (snapshot, MODEL, [])


def test_a_model_that_is_missing_is_downloaded_once_without_what_is_of_no_use(
    hub: Hub, tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.models.hub.EVERY_S", 0.0)
    fill(hub, tiny["llama3"], "pytorch_model.bin", "original/consolidated.00.pth", "onnx/model.safetensors", "README.md")
    lines: list[str] = []
    found = find_model(MODEL, announce=lines.append)
    assert sorted(path.name for path in found.folder.iterdir()) == sorted(path.name for path in tiny["llama3"].iterdir())
    assert lines[0] == f"downloading {MODEL}: 1 MB (once)"
    assert lines[-1] == f"downloading {MODEL}: 1 MB of 1 MB"
    hub.asked.clear()
    assert (find_model(MODEL).folder, hub.asked) == (found.folder, [])


def test_a_half_downloaded_model_is_completed(hub: Hub, tiny: dict[str, Path], tmp_path: Path) -> None:
    fill(hub, tiny["llama3"])
    (cached(tmp_path, tiny["llama3"]) / "model.safetensors").unlink()
    assert find_model(MODEL).tensors


def test_a_half_downloaded_model_says_what_is_missing_when_nobody_answers(
    hub: Hub, tiny: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = cached(tmp_path, tiny["llama3"])
    (snapshot / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        ModelError, match=r"half there: model-00001-of-00002.safetensors is missing \(and 1 more\), of 2"
    ) as caught:
        find_model(MODEL)
    assert caught.value.hint == f"hf download {MODEL}"


def test_a_damaged_file_of_the_cache_is_fetched_again_by_the_command_named(
    hub: Hub, tiny: dict[str, Path], tmp_path: Path
) -> None:
    weights = cached(tmp_path, tiny["llama3"]) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ModelError, match="damaged") as caught:
        find_model(MODEL).check()
    assert caught.value.hint == f"hf download {MODEL} model.safetensors --force-download"


def test_offline_and_missing_names_the_command(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="is not on this machine, and HF_HUB_OFFLINE forbids") as caught:
        find_model(MODEL)
    assert (caught.value.hint, hub.asked) == (f"hf download {MODEL}", [])


@pytest.mark.parametrize(
    ("path", "status", "code", "message", "hint"),
    [
        (
            f"/{MODEL}/resolve",
            403,
            "GatedRepo",
            "is gated",
            f"licence on https://huggingface.co/{MODEL}, then run `hf auth login`",
        ),
        ("/api", 401, "GatedRepo", "is gated", f"`hf download {MODEL}`"),
        ("/api", 404, "RepoNotFound", "there is no model", "check the spelling"),
        ("/api", 401, "RepoNotFound", "there is no model", "hf auth login"),
        ("/api", 418, "", "can't be had from the Hugging Face Hub now", f"hf download {MODEL}"),
    ],
    ids=["gated", "gated at once", "unknown", "private", "hub is ill"],
)
def test_a_hub_that_refuses(hub: Hub, tiny: dict[str, Path], path: str, status: int, code: str, message: str, hint: str) -> None:
    fill(hub, tiny["llama3"])
    hub.refusal[path] = status, code
    with pytest.raises(ModelError, match=message) as caught:
        find_model(MODEL)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("file", "message", "hint"),
    [
        ("pytorch_model.bin", "pickled weights only", "save_pretrained('tiny-llama')"),
        ("tiny.Q4_K_M.gguf", "llama.cpp's format only", f"llama-server -hf {MODEL}"),
        ("README.md", "holds no weights that can be read", "--model"),
    ],
)
def test_useless_weights_are_refused_before_they_are_downloaded(hub: Hub, file: str, message: str, hint: str) -> None:
    hub.files = {"config.json": b"{}", file: b"of no use"}
    with pytest.raises(ModelError, match=message) as caught:
        find_model(MODEL)
    assert hint in caught.value.hint
    assert not [path for path in hub.asked if "/resolve/" in path]


def test_a_full_disk_is_noticed_before_the_download(hub: Hub, tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    fill(hub, tiny["llama3"])
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="takes 1 MB and 1 MB are free"):
        find_model(MODEL)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("./no/such/folder", "there is no folder './no/such/folder'"),
        ("a/b/c", "there is no folder 'a/b/c'"),
        ("", "there is no folder ''"),
        ("name with spaces", "there is no folder"),
        ("somebody/" + "x" * 300, "there is no folder"),
        ("somebody/tiny--llama", "there is no folder"),
        (__file__, "is a file, not a model's folder"),
    ],
)
def test_what_is_neither_a_folder_nor_an_id(hub: Hub, model: str, message: str) -> None:
    with pytest.raises(ModelError, match=re.escape(message)):
        find_model(model)
    assert not hub.asked
