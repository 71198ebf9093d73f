"""A server on loopback, and models that are asked there; tiny models of each family in folders."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_models
from loopback_server import LoopbackServer, Opened, loopback_server, says

from assistant.adapters.selection import Chosen
from assistant.models.server import ServerModel, ServerSettings
from assistant.models.server_http import Patience


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with loopback_server() as running:
        running.lists("tiny")
        running.chats(says("It sleeps", " 24. [1]"))
        yield running


@pytest.fixture
def open_model(server: LoopbackServer, home: Path) -> Iterator[Opened]:
    opened: list[ServerModel] = []

    def build(*, environ: dict[str, str] | None = None, patience: Patience | None = None, **settings: object) -> ServerModel:
        adapter = settings.pop("adapter", None)
        asked = ServerSettings(**{"url": server.url, **settings})  # type: ignore[arg-type]
        opened.append(ServerModel(asked, home=home, environ=environ or {}, patience=patience))
        if adapter:
            opened[-1].use_adapters({"answer": (Chosen(str(adapter), Path(), ""),)})
        return opened[-1]

    yield build
    for model in opened:
        model.close()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a tiny model, by family. Not to be written to: copy it first."""
    folder = tmp_path_factory.mktemp("tiny")
    return {
        "llama3": tiny_models.tiny_llama3(folder / "llama3"),
        "llama2": tiny_models.tiny_llama2(folder / "llama2"),
        "gemma2": tiny_models.tiny_gemma2(folder / "gemma2"),
        "plain": tiny_models.tiny_gpt2(folder / "gpt2"),
    }
