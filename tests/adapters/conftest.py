"""Tiny bases and adapters that were really trained on one of them. Not to be written to: copy them first."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_models
from trained_adapters import train_adapter

from assistant.adapters.identity import BaseIdentity, base_identity
from assistant.models.checkpoint import Checkpoint


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bases")
    return {
        "llama": tiny_models.tiny_llama3(folder / "llama"),
        "other": tiny_models.tiny_llama3(folder / "other", seed=1),
        "gemma": tiny_models.tiny_gemma2(folder / "gemma"),
        "gpt2": tiny_models.tiny_gpt2(folder / "gpt2"),
    }


@pytest.fixture(scope="session")
def trained(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An adapter that answers, another one, and one that scores, all of the tiny Llama."""
    folder = tmp_path_factory.mktemp("trained")
    return {
        "concise": train_adapter(folder / "concise", bases["llama"]),
        "formal": train_adapter(folder / "formal", bases["llama"], seed=3),
        "rewarder": train_adapter(folder / "rewarder", bases["llama"], "reward"),
    }


@pytest.fixture(scope="session")
def identify(bases: dict[str, Path]) -> Callable[..., BaseIdentity]:
    def made(name: str = "llama", quantization: str = "none") -> BaseIdentity:
        return base_identity(Checkpoint(name, bases[name]), quantization, None)  # type: ignore[arg-type]

    return made


@pytest.fixture
def concise(trained: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the one that answers."""
    return Path(shutil.copytree(trained["concise"], tmp_path / "concise"))
