"""How the house is built: which package may import which, what a start loads, what is written down where."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

import assistant.errors
import finetune
import indexes
import indexes.errors
from assistant.cli import app
from assistant.errors import UserError

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("indexes", "assistant", "finetune")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FORBIDDEN_IMPORTS = {
    "indexes": {"assistant", "finetune"},
    "assistant": {"finetune"},
    "finetune": {f"assistant.{name}" for name in ("cli", "commands", "chat", "rendering", "answering", "wiring")},
}
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc", "core", "types"}
HEAVY = {
    "torch",
    "transformers",
    "sentence_transformers",
    "llama_index",
    "faiss",
    "onnxruntime",
    "numpy",
    "prompt_toolkit",
    "openai",
    "httpx2",
    "bm25s",
}


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        for name in imports_of(path):
            for forbidden in FORBIDDEN_IMPORTS[package]:
                assert not f"{name}.".startswith(f"{forbidden}."), f"{path} imports {name}"


def test_modules_are_of_a_readable_size_and_named_after_their_job() -> None:
    for path in MODULES:
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= 400, f"{path} has {lines} lines"
        assert path.stem not in FORBIDDEN_NAMES, path
        assert len(path.relative_to(ROOT).parts) <= 3, f"{path} lies too deep"


def test_every_module_says_what_it_does() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)) or not text.strip(), f"{path} has no docstring"


def loaded_by(*arguments: str, stdin: str = "") -> set[str]:
    """Top-level modules that a command line has loaded when it ends."""
    program = (
        "import sys\nfrom assistant.cli import run\ntry:\n    run(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write('LOADED ' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], input=stdin, capture_output=True, text=True, check=True, timeout=120
    )
    assert "BLOCKED" not in done.stderr
    return set(done.stderr.rpartition("LOADED ")[2].split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["ask", "--help"], ["index", "--help"], ["chat", "--help"], ["nonsense"]]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    loaded = loaded_by(*arguments)
    assert "typer" in loaded
    assert not loaded & (HEAVY | {"rich"})


def test_a_question_loads_no_torch_and_no_llama_index(ready_home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("The club was founded in 1921 by Ada Brandt.\n", encoding="utf-8")
    assert loaded_by("index", str(tmp_path)) & {"onnxruntime"}
    loaded = loaded_by("ask", "Who founded the club?", "--fresh", "--json")
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "transformers", "sentence_transformers", "llama_index", "nltk", "rich", "prompt_toolkit"}


def commands() -> Iterator[tuple[str, object]]:
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        yield name, command
        for inner, deeper in getattr(command, "commands", {}).items():
            yield f"{name} {inner}", deeper


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=[name for name, _ in commands()])
def test_every_command_and_option_is_documented(name: str, command: object) -> None:
    assert command.help, name  # type: ignore[attr-defined]
    for parameter in command.params:  # type: ignore[attr-defined]
        assert parameter.help, f"{name}: {parameter.name} has no help"


def test_the_commands_are_those_of_the_design() -> None:
    assert {name for name, _ in commands()} == {
        "adapters",
        "adapters list",
        "adapters add",
        "adapters show",
        "adapters check",
        "adapters remove",
        "cache",
        "cache stats",
        "cache list",
        "cache clear",
        "cache audit",
        "index",
        "indexes",
        "indexes list",
        "indexes show",
        "indexes check",
        "indexes delete",
        "search",
        "ask",
        "chat",
        "history",
        "history list",
        "history show",
        "history delete",
        "history purge",
        "feedback",
        "feedback list",
        "feedback export",
        "feedback purge",
        "eval",
        "doctor",
    }


def error_classes() -> list[type[UserError]]:
    for package in (indexes, assistant, finetune):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__") and "errors" in found.name:
                importlib.import_module(found.name)
    classes, todo = [], [UserError]
    while todo:
        classes.append(todo.pop())
        todo += classes[-1].__subclasses__()
    return classes


@pytest.mark.parametrize("error", error_classes(), ids=lambda error: error.__name__)
def test_every_error_is_in_the_tree_at_the_head_of_its_module(error: type[UserError]) -> None:
    tree = sys.modules[error.__module__].__doc__ or ""
    assert error.__module__.endswith(".errors"), f"{error} is defined outside errors.py"
    assert re.search(rf"\b{error.__name__}\b", tree)
    assert error.exit_code in {2, 3, 4, 5, 6, 7}
    assert error.__doc__


def test_the_exit_codes_in_the_trees_are_the_classes() -> None:
    found = 0
    for module in (indexes.errors, assistant.errors):
        for name, code in re.findall(r"(\w+) +\((\d)\)", module.__doc__ or ""):
            assert getattr(module, name).exit_code == int(code)
            found += 1
    assert found >= 8


def raises_of(path: Path) -> Iterator[ast.Call]:
    names = {error.__name__ for error in error_classes()}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node


def test_every_error_that_is_raised_has_a_hint_that_says_something() -> None:
    optional = {
        error.__name__ for error in error_classes() if inspect.signature(error).parameters["hint"].default is not inspect._empty
    }
    seen = 0
    for path in MODULES:
        for call in raises_of(path):
            seen += 1
            hints = [keyword.value for keyword in call.keywords if keyword.arg == "hint"]
            assert hints or call.func.id in optional, f"{path}:{call.lineno} has no hint"  # type: ignore[attr-defined]
            for hint in hints:
                assert not (isinstance(hint, ast.Constant) and not str(hint.value).strip()), f"{path}:{call.lineno}: empty hint"
    assert seen > 20
