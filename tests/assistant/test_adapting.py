"""/adapter in the chat, over a real base and real adapters: who answers, when, and what is said."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from random_adapters import random_adapter

from assistant.adapters import low_rank, resident
from assistant.adapters.registry import add
from assistant.chat import adapting
from assistant.errors import ModelError
from assistant.models import Decoding
from assistant.models.loading import Request
from assistant.models.local import LocalModel, open_local
from assistant.records import Message, Prompt
from assistant.settings import Settings, load_settings

PROMPT = Prompt("Sleeps?", (), messages=(Message("user", "How many sleep there?"),))


class Screen:
    """What was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)

    def show(self, lines: Any) -> None:
        self.said += [str(line) for line in lines]

    def fail(self, error: Any) -> None:
        self.said.append(f"error: {error.message}")


class Talk:
    """As much of a chat as the command touches."""

    def __init__(self, model: LocalModel, settings: Settings) -> None:
        self.settings, self.screen, self.assistant, self.pending = settings, Screen(), self, None
        self.model = model

    def use_adapter(self, spec: str) -> None:
        self.pending = adapting.switch(self, spec)  # type: ignore[arg-type]

    def ask(self) -> str:
        if self.pending:
            self.pending = adapting.arrive(self, self.pending)  # type: ignore[arg-type]
        return "".join(self.model.stream(PROMPT))

    def adapter(self, rest: str = "") -> str:
        self.screen.said.clear()
        adapting.adapter(self, rest)  # type: ignore[arg-type]
        return "\n".join(self.screen.said)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.tiny_llama3(tmp_path_factory.mktemp("base") / "b")


@pytest.fixture
def talk(base: Path, home: Path, tmp_path: Path) -> Iterator[Talk]:
    for seed, name in enumerate(("concise", "formal")):
        add(home, random_adapter(base, tmp_path / name, seed=seed).folder, trust_base=True)
    model = open_local(str(base), Request(device="cpu", dtype="fp32"), decoding=Decoding(max_tokens=8))
    yield Talk(model, load_settings())
    model.close()


def test_the_next_answer_is_the_new_one_and_the_base_s_comes_back(talk: Talk) -> None:
    plain = talk.ask()
    said = talk.adapter("concise")
    assert "concise answers now (checked in " in said
    assert "read and proven in " in said
    concise = talk.ask()
    assert concise != plain
    assert talk.model.adapter == "concise"
    assert "read and" not in talk.adapter("none")
    assert talk.ask() == plain
    assert "switched in " in talk.adapter("concise")
    assert talk.ask() == concise


def test_scales_and_sums_are_typed_as_they_are_shown(talk: Talk) -> None:
    talk.adapter("concise*0.5+formal*0.5")
    both = talk.ask()
    assert talk.model.adapter == "concise*0.5+formal*0.5"
    talk.adapter("concise 0.5")
    assert talk.model.adapter == "concise*0.5"
    assert talk.ask() != both


def test_alone_it_shows_what_there_is(talk: Talk) -> None:
    said = talk.adapter()
    assert "concise" in said
    assert "formal" in said
    assert "now: the base alone" in said


def test_an_unknown_one_leaves_the_present_one(talk: Talk) -> None:
    talk.adapter("formal")
    with pytest.raises(ModelError, match="'concisee'"):
        talk.adapter("concisee")
    assert talk.model.adapter == "formal"


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Reads an adapter when it is told to."""
    go = threading.Event()

    def slowly(folder: Path, device: Any) -> Any:
        assert go.wait(20)
        return low_rank.read_lora(folder, device)

    monkeypatch.setattr(resident, "read_lora", slowly)
    monkeypatch.setattr(adapting, "WAIT_S", 0.05)
    yield go
    go.set()


def test_what_takes_long_is_read_while_the_present_one_answers(talk: Talk, slow_disk: threading.Event) -> None:
    plain = talk.ask()
    assert "reading concise; until it is there, the base answers" in talk.adapter("concise")
    assert talk.ask() == plain
    slow_disk.set()
    assert talk.pending
    talk.pending.reading.result(20)
    assert talk.ask() != plain
    assert "concise answers now" in "\n".join(talk.screen.said)
    assert talk.pending is None


def test_what_fails_meanwhile_is_said_and_the_question_answered(talk: Talk, slow_disk: threading.Event, home: Path) -> None:
    plain = talk.ask()
    talk.adapter("concise")
    (home / "adapters" / "concise" / "adapter_model.safetensors").unlink()
    slow_disk.set()
    assert talk.pending
    talk.pending.reading.exception(20)
    assert talk.ask() == plain
    assert "error: can't read" in "\n".join(talk.screen.said)
    assert talk.pending is None


def test_ctrl_c_while_it_waits_leaves_the_present_one(
    talk: Talk, slow_disk: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, real = talk.ask(), adapting.Future.result

    def interrupted(self: Any, timeout: float | None = None) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(adapting.Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        talk.adapter("concise")
    monkeypatch.setattr(adapting.Future, "result", real)
    slow_disk.set()
    assert talk.ask() == plain
    assert "not switched: the base answers as before" in "\n".join(talk.screen.said)
