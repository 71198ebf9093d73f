"""The README's commands are run, and its transcripts are what they print."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import Terminal

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def steps(block: str) -> list[tuple[str, str]]:
    """The commands of a transcript and what each printed."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def settled(text: str) -> list[str]:
    """A text's lines without what differs from run to run: seconds, sizes, places, trailing blanks."""
    text = re.sub(r"\d+(\.\d+)? (s|ms|kB|MB)\b", "# \\2", text)
    text = text.replace(str(ROOT), "…")
    return [line.rstrip() for line in text.strip().splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the examples in it, as a clone has."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def run(command: str, place: Path) -> str:
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "COLUMNS": "100"}
    done = subprocess.run(
        command, shell=True, cwd=place, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
    )
    return done.stdout + done.stderr


def test_the_transcripts_are_real_output(ready_home: Path, place: Path) -> None:
    for block in blocks("console"):
        for command, expected in steps(block):
            assert settled(run(command, place)) == settled(expected), command


def commands_of(block: str) -> list[str]:
    return [line for line in block.splitlines() if line.startswith(("assistant ", "finetune "))]


def test_there_are_commands() -> None:
    assert len([command for block in blocks("sh") for command in commands_of(block)]) >= 14


@pytest.mark.parametrize("commands", [found for block in blocks("sh") if (found := commands_of(block))], ids=lambda each: each[0])
def test_every_other_command_runs(commands: list[str], ready_home: Path, place: Path) -> None:
    run("assistant index examples/handbook --name handbook", place)
    for command in commands:
        output = run(shlex.join(shlex.split(command, comments=True)), place)
        assert "error:" not in output, f"{command}\n{output}"


def test_the_install_lines_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = [line for block in blocks("sh") for line in block.splitlines() if "pip install" in line]
    assert len(lines) == 2
    assert all("constraints.txt" in line for line in lines)
    assert "--torch-backend=cpu" in makefile
    assert "--torch-backend=cpu" in lines[0]


def test_the_tree_names_every_module() -> None:
    tree = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = [path for package in ("indexes", "assistant", "finetune") for path in (ROOT / package).rglob("*.py")]
    named = [path for path in modules if path.stem not in ("__init__", "__main__") and path.parent.name != "formats"]
    missing = [str(path.relative_to(ROOT)) for path in named if not re.search(rf"\b{path.stem}\b", tree)]
    assert missing == []


def test_the_chat_is_real_output(ready_home: Path, place: Path) -> None:
    """The same lines typed into the real chat, at a pseudo-terminal."""
    (block,) = blocks("chat")
    commands, _, talk = block.partition("> ")
    *before, start = re.findall(r"^\$ (.*)$", commands, re.MULTILINE)
    run("assistant index examples/handbook --name handbook", place)
    for command in before:
        assert "use it with: --adapter" in run(command, place)
    turns = [each.split("\n", 1) for each in f"> {talk}".strip().split("\n> ")]
    variables, *arguments = shlex.split(start.replace(" assistant ", " ", 1))
    chat = Terminal(*arguments, columns=100, env=dict([variables.split("=")]), cwd=place)
    try:
        for line, expected in turns:
            chat.enter(line.removeprefix("> "))
            shown = chat.wait(r"answers now \([^)]*\)" if line.startswith("/") else r"\n\[1\] \S+")
            shown = re.sub(r"the adapter \w+ computes other logits[^:]*:[^\n]*(\nnow bf16)?", "", shown)  # by number format
            assert " ".join(quiet_times(expected).split()) in " ".join(quiet_times(shown).split())
        assert chat.leave() == 0
    finally:
        chat.end()


def quiet_times(text: str) -> str:
    return re.sub(r"[\d.]+(e-\d+)? (ms|s)\b", "# ms", text)


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 200
