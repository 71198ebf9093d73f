"""Every test: a home of its own, no settings from outside, no network, fixed seeds."""

import hashlib
import inspect
import os
import random
import shutil
import socket
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models on many threads only wait for each other

from indexes import export

OFFLINE = Path(__file__).parent / "flow" / "offline"


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ASSISTANT_HOME, and an environment without anything that could reach in from outside."""
    for name in list(os.environ):
        if (
            name.startswith(("ASSISTANT_", "_ASSISTANT_", "OPENAI_"))
            or name.lower().endswith("_proxy")
            or name in {"NO_COLOR", "FORCE_COLOR", "VISUAL", "EDITOR", "COLUMNS"}
        ):
            monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("ASSISTANT_HOME", str(folder))
    monkeypatch.setenv("HF_HOME", str(folder / "huggingface"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PYTHONPATH", str(OFFLINE))  # for the programs that a test starts
    monkeypatch.setenv("TERM", "xterm")
    return folder


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family != socket.AF_UNIX and str(address[0]) not in {"127.0.0.1", "::1", "localhost"}:  # type: ignore[index]
            raise PermissionError(f"tests don't use the network: {address!r}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(20261121)


@pytest.fixture(scope="session")
def exported_models(request: pytest.FixtureRequest) -> Path:
    """A folder with the installed embedder, exported: once for this version of the exporting code, kept between runs."""
    version = hashlib.sha256(inspect.getsource(export).encode()).hexdigest()[:16]
    folder = request.config.cache.mkdir(f"embedder-{version}")
    export.ensure_exported("all-MiniLM-L6-v2", folder)
    return folder


@pytest.fixture
def ready_home(home: Path, exported_models: Path) -> Path:
    """A home whose embedder is exported already. Linked, not copied: 90 MB a test would be too much."""
    models = home / "models"
    models.mkdir(mode=0o700)
    for file in exported_models.glob("*.*"):
        if file.suffix == ".onnx":
            os.link(file, models / file.name) if file.stat().st_dev == home.stat().st_dev else (models / file.name).symlink_to(
                file
            )
        elif file.suffix == ".json":
            shutil.copy(file, models / file.name)
    return home
