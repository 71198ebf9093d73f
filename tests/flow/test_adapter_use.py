"""Asking with an adapter, by the command line: what is refused, whatever the question, and what is never handed on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from random_adapters import random_adapter

from assistant.cli import run

SMALL = str(Path(__file__).parents[2] / "examples" / "small-base")
TERSE = str(Path(__file__).parents[2] / "examples" / "adapters" / "terse")
QUESTION = "How much dog food money does a handler get?"
Asked = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def ask(ready_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Asked:
    page = tmp_path / "docs" / "dogs.md"
    page.parent.mkdir()
    page.write_text(
        "# Dogs\n\nThe handler buys the dog; the association pays the food with 45 euros a month and all vet bills.\n", "utf-8"
    )
    assert run(["index", str(page.parent), "--name", "dogs"]) == 0

    def do(question: str = QUESTION, *more: str, model: str = SMALL) -> tuple[int, dict[str, Any], str]:
        capsys.readouterr()
        code = run(["ask", question, "--model", model, "--json", *more])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else {}, err

    return do


def test_a_wrong_base_is_refused_though_the_answer_is_known_or_the_question_is(ask: Asked, tmp_path: Path) -> None:
    other = random_adapter(tiny_models.tiny_llama3(tmp_path / "base"), tmp_path / "foreign", seed=1)
    assert run(["adapters", "add", str(other.folder), "--trust-base"]) == 0
    assert ask()[0] == 0
    assert ask()[1]["cached"]
    for question in (QUESTION, "Who won the football match in Rome?"):
        code, said, err = ask(question, "--adapter", "foreign")
        assert (code, said) == (5, {})
        assert err.count("\n") == 2
        assert "foreign" in err


def test_an_answer_belongs_to_its_adapter_and_comes_back_with_it(ask: Asked, home: Path) -> None:
    assert run(["adapters", "add", TERSE]) == 0
    plain = ask()[1]
    terse = ask(QUESTION, "--adapter", "terse")[1]
    assert (plain["adapter"], terse["adapter"], terse["cached"]) == (None, "terse", False)
    assert terse["answer"] != plain["answer"]
    for more, before in ((("--adapter", "terse"), terse), ((), plain)):
        again = ask(QUESTION, *more)[1]
        assert (again["cached"], again["answer"]) == (True, before["answer"])
    half = ask(QUESTION, "--adapter", "terse*0.5")[1]
    assert (half["adapter"], half["cached"]) == ("terse*0.5", False)


def test_what_takes_no_adapter_says_so(ask: Asked) -> None:
    code, _, err = ask(QUESTION, "--adapter", "terse", model="extractive")
    assert code == 5
    assert "'terse' can't be used: 'extractive' takes no adapters" in err
    code, _, err = ask(QUESTION, "--adapter", "tersee")
    assert code == 5
    assert "'tersee'" in err
