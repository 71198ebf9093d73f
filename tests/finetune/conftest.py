"""Tiny bases of each family, and small files of rows for each method: every run here is a real training of some steps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from toy_graders import write_graders, write_prompts
from training_rows import KIND, Run, rows_of

from finetune import watching
from finetune.commands import train as commands
from finetune.config import TrainingConfig
from finetune.train import train


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bases")
    return {
        "llama3": tiny_models.tiny_llama3(folder / "llama3"),
        "gemma2": tiny_models.tiny_gemma2(folder / "gemma2"),
        "gpt2": tiny_models.tiny_gpt2(folder / "gpt2"),
    }


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., Path]:
    def write(kind: str, count: int = 24) -> Path:
        file = tmp_path / f"{kind}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows_of(kind, count)), encoding="utf-8")
        return file

    return write


@pytest.fixture
def run(tmp_path: Path, tiny: dict[str, Path], rows: Callable[..., Path]) -> Run:
    """Train on a tiny base; settings are those of TrainingConfig."""

    def go(method: str, base: str = "llama3", *, resume: bool = False, kind: str = "", **settings: Any) -> Any:
        given = {"out": str(tmp_path / "out"), "max_steps": 3, "batch": 4, "samples": 1, "max_length": 256, "device": "cpu"}
        given |= {"data": (str(rows(kind or KIND[method])),), "learning_rate": 1e-3, **settings}
        config = TrainingConfig(method=method, base=str(tiny.get(base, base)), **given)  # type: ignore[arg-type]
        return train(config, resume=resume)

    return go


@pytest.fixture
def toy(tmp_path: Path) -> Callable[[str], tuple[str, ...]]:
    """A toy grader by its name, as ``--grader`` takes it."""
    file = write_graders(tmp_path)
    return lambda name: (f"{file}:{name}",)


@pytest.fixture
def prompts(tmp_path: Path) -> tuple[str, ...]:
    """Data of prompts alone."""
    return (str(write_prompts(tmp_path)),)


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """Does something once a step of a command in this process has been logged."""

    def arrange(step: int, act: Callable[[], object]) -> None:
        announce = commands.announce

        def announcing(line: str) -> None:
            announce(line)
            if line.startswith(f"step {step} "):
                monkeypatch.setattr(commands, "announce", announce)
                act()

        monkeypatch.setattr(watching, "EVERY_S", 0.0)
        monkeypatch.setattr(commands, "announce", announcing)

    return arrange
