"""Chat models at the command line: a tiny one in the program's own process, and one on a real server on loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback_server import LoopbackServer, loopback_server, refuses, says
from lora_server import LoraServer
from random_adapters import random_adapter
from tiny_models import tiny_llama3

QUESTION = "Who founded the club?"


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "assistant", *arguments]
    done = subprocess.run(program, input=stdin, capture_output=True, text=True, timeout=120, env=dict(os.environ), check=False)
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def server(ready_home: Path, tmp_path: Path) -> Iterator[LoopbackServer]:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "notes.txt").write_text("The club was founded in 1921 by Ada Brandt.\n\nThe boat house is painted blue.\n")
    assert run("index", str(docs)).returncode == 0
    with loopback_server() as running:
        running.lists("tiny")
        yield running


def test_an_answer_in_other_words_is_checked_and_cited(server: LoopbackServer) -> None:
    server.chats(says("Ada Brandt founded", " the club in 1921. [1] It has 300 members. [1]"))
    done = run("ask", QUESTION, "--server", server.url, "--json")
    answer = json.loads(done.stdout)
    assert (answer["status"], answer["model"], done.returncode) == ("answered", "tiny", 0)
    assert [(s["verdict"], s["markers"]) for s in answer["sentences"]] == [("supported", [1]), ("not_found", [])]
    assert answer["citations"][0]["quote"] == "The club was founded in 1921 by Ada Brandt."


def test_strict_leaves_out_what_no_passage_supports(server: LoopbackServer) -> None:
    server.chats(says("Ada Brandt founded the club in 1921. [1] It has 300 members. [1]"))
    done = run("ask", QUESTION, "--server", server.url, "--strict")
    assert done.stdout.startswith("Ada Brandt founded the club in 1921. [1]\n")
    assert "300" not in done.stdout


def test_a_made_up_answer_becomes_an_abstention(server: LoopbackServer) -> None:
    server.chats(says("It was founded in 1850 by Queen Victoria. [1]"))
    done = run("ask", QUESTION, "--server", server.url)
    assert done.stdout.startswith("Not in these documents.\n\nNearest passages:\n[1] notes.txt:1")


def test_the_model_is_not_asked_what_the_documents_cannot_answer(server: LoopbackServer) -> None:
    done = run("ask", "What is the melting point of tungsten?", "--server", server.url)
    assert done.stdout.startswith("Not in these documents.")
    assert server.sent_to("/v1/chat/completions") == []


def test_a_follow_up_is_rewritten_by_the_model_and_the_prompt_goes_on_from_the_last_turn(server: LoopbackServer) -> None:
    first, second = "The club was founded by Ada Brandt. [1]", "It was founded in 1921. [1]"
    server.chats(says(first), says("When was the club founded?"), says(second))
    done = run("chat", "--server", server.url, stdin=f"{QUESTION}\nand when?\n")
    assert "searching for: When was the club founded?" in done.stderr
    assert "It was founded in 1921. [1]" in done.stdout
    sent = [exchange.body["messages"] for exchange in server.sent_to("/v1/chat/completions")]
    assert sent[2][: len(sent[0])] == sent[0]
    assert sent[2][len(sent[0])] == {"role": "assistant", "content": first}


def test_a_server_that_fails_is_two_lines_and_exit_code_5(server: LoopbackServer) -> None:
    server.chats(refuses(401, "no"))
    done = run("ask", QUESTION, "--server", server.url)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (5, "", 2)
    assert "ASSISTANT_API_KEY" in done.stderr


def test_an_adapter_is_a_model_that_the_server_lists(server: LoopbackServer) -> None:
    server.lists("tiny", {"id": "concise", "object": "model", "parent": "tiny"})
    server.chats(says("The club was founded in 1921 by Ada Brandt. [1]"))
    answer = json.loads(run("ask", QUESTION, "--server", server.url, "--model", "tiny", "--adapter", "concise", "--json").stdout)
    assert (answer["model"], answer["adapter"], answer["status"]) == ("tiny", "concise", "answered")
    assert [exchange.body["model"] for exchange in server.sent_to("/v1/chat/completions")] == ["concise"]
    missing = run("ask", QUESTION, "--server", server.url, "--model", "tiny", "--adapter", "verbose")
    assert (missing.returncode, missing.stderr.count("\n")) == (5, 2)
    assert "'verbose'" in missing.stderr


def test_an_installed_adapter_is_loaded_into_the_server_and_gone_when_the_program_ends(
    server: LoopbackServer, tmp_path: Path
) -> None:
    folder = random_adapter(tiny_llama3(tmp_path / "tiny"), tmp_path / "concise", seed=1).folder
    assert run("adapters", "add", str(folder), "--trust-base").returncode == 0
    vllm = LoraServer(server).start()
    done = run("chat", "--server", server.url, "--no-cache", stdin=f"/adapter concise\n{QUESTION}\n/adapter none\n{QUESTION}\n")
    assert "concise answers now" in done.stderr
    assert "is not checked against the server's base" in done.stderr
    asked = [(path.rpartition("/")[2], body.get("model") or body["lora_name"]) for path, body in vllm.sent]
    name = asked[0][1]
    assert asked == [
        ("load_lora_adapter", name),
        ("completions", name),
        ("unload_lora_adapter", name),
        ("completions", "tiny"),  # what the second question means after the first
        ("completions", "tiny"),
    ]
    half = run("ask", QUESTION, "--server", server.url, "--adapter", "concise*0.5")
    assert (half.returncode, half.stdout) == (5, "")
    assert "one adapter to a request, in full" in half.stderr
    assert run("ask", QUESTION, "--server", server.url, "--adapter", "concise").returncode == 0
    assert [path.rpartition("/")[2] for path, _ in vllm.sent[5:]] == ["load_lora_adapter", "completions", "unload_lora_adapter"]


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_a_model_in_this_process_answers_or_abstains(server: LoopbackServer, tmp_path: Path, quantization: str) -> None:
    model = str(tiny_llama3(tmp_path / "tiny"))
    done = run("ask", QUESTION, "--model", model, "--quantization", quantization, "--json")
    answer = json.loads(done.stdout)
    assert (answer["status"], answer["model"]) == ("abstained", model)  # random weights say nothing that is supported
    assert answer["timings_ms"]["first_token"] > 0
    assert f"loading {model}" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "no/such/folder"], "no/such/folder"),
        (["--model", "tiny", "--server", "http://127.0.0.1:9"], "connection refused"),
        (["--quantization", "int3"], "'none', 'int8' or 'nf4'"),
        (["--adapter", "concise"], "'concise'"),
    ],
)
def test_a_model_that_cannot_be_had_is_two_lines(server: LoopbackServer, arguments: list[str], words: str) -> None:
    done = run("ask", QUESTION, *arguments)
    assert done.returncode in (2, 5)
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
    assert words in done.stderr
