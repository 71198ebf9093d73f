"""Against a real server, `transformers serve`, with a tiny random Llama 3."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from loopback_server import PROMPT
from tiny_models import tiny_llama3

from assistant.errors import ModelError
from assistant.models import Decoding
from assistant.models.server import ServerModel, ServerSettings
from assistant.prompt import build_general
from assistant.records import Message, Prompt

READY_WITHIN_S = 60.0
NAME = "tiny/llama"


@dataclass
class Served:
    url: str
    folder: Path


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server, with the model where the hub's cache would have it: what it lists is what lies there."""
    home = tmp_path_factory.mktemp("huggingface")
    repository = home / "hub" / f"models--{NAME.replace('/', '--')}"
    folder = tiny_llama3(repository / "snapshots" / "0")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0", encoding="ascii")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--host", "127.0.0.1", "--port", str(port)]
    offline = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
    log = home / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--device", "cpu"],
            env={**os.environ, **offline},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/health", process, log)
        yield Served(f"http://127.0.0.1:{port}", folder)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"`transformers serve` did not start:\n{log.read_text(errors='replace')[-2000:]}")


def ask(served: Served, *, max_tokens: int = 12, model: str | None = None) -> ServerModel:
    return ServerModel(
        ServerSettings(served.url, model, decoding=Decoding(max_tokens=max_tokens)), home=served.folder, environ={}
    )


def test_the_only_model_is_found(served: Served) -> None:
    assert ask(served).name == NAME


def test_a_name_it_does_not_list(served: Served) -> None:
    with pytest.raises(ModelError, match=r"has no model 'tiny/lama'; it lists 'tiny/llama'") as caught:
        list(ask(served, model="tiny/lama").stream(PROMPT))
    assert caught.value.hint == "did you mean --model tiny/llama?"


def test_it_streams_the_text_that_the_model_writes(served: Served) -> None:
    model = ask(served, max_tokens=24)
    pieces = list(model.stream(PROMPT))
    text, prompt_tokens = generated(served.folder, PROMPT, 24)
    assert ascii_of("".join(pieces)) == ascii_of(text)
    assert len(pieces) > 1
    assert model.last is not None
    assert (model.last.prompt_tokens, model.last.tokens, model.last.ended) == (prompt_tokens, 24, "length")


def test_prompts_are_built_for_its_budget(served: Served) -> None:
    model = ask(served)
    rendered = build_general("How many sleep there?", model.budget)
    assert list(model.stream(Prompt("q", (), messages=rendered.messages)))


def test_after_a_cancelled_answer_it_answers_the_next_one(served: Served) -> None:
    model = ask(served, max_tokens=1900)
    pieces = model.stream(PROMPT)
    next(pieces)
    before = time.monotonic()
    pieces.close()  # type: ignore[attr-defined]
    assert time.monotonic() - before < 0.2
    assert model.last is not None
    assert (model.last.ended, model.last.tokens) == ("interrupted", 1)
    assert list(ask(served, max_tokens=3).stream(Prompt("q", (), messages=(Message("user", "And then?"),))))


def generated(folder: Path, prompt: Prompt, max_tokens: int) -> tuple[str, int]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    turns = [{"role": message.role, "content": message.content} for message in prompt.messages]
    ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    written = model.generate(**ids, max_new_tokens=max_tokens, do_sample=False)
    length = ids["input_ids"].shape[1]
    return str(tokenizer.decode(written[0, length:], skip_special_tokens=True)), length


def ascii_of(text: str) -> str:
    """What random bytes have in common however they are decoded: half a character may be shown or held back."""
    return "".join(letter for letter in text if letter.isascii())
