"""A model that waits until it is needed: the same answers and the same identity, and no weights for an answer that is there."""

from dataclasses import replace
from pathlib import Path

import pytest

from assistant.models import Decoding
from assistant.models import lazy as lazily
from assistant.models.lazy import LazyModel
from assistant.models.loading import Request
from assistant.models.local import LocalModel, open_local
from assistant.records import Message, Prompt

PROMPT = Prompt("Who?", (), (), (Message("system", "Be brief."), Message("user", "Who?")))


def short(usual: Decoding) -> Decoding:
    return replace(usual, max_tokens=12)


@pytest.fixture
def both(tiny: dict[str, Path]) -> tuple[LazyModel, LocalModel]:
    folder, request = str(tiny["llama3"]), Request(device="cpu")
    return LazyModel(folder, request, short), open_local(folder, request, choose=short)


def test_it_is_the_same_model_as_one_that_was_loaded(both: tuple[LazyModel, LocalModel]) -> None:
    waiting, loaded = both
    assert (waiting.identity, waiting.name, waiting.last) == (loaded.identity, loaded.name, None)
    assert "".join(waiting.stream(PROMPT)) == "".join(loaded.stream(PROMPT))
    assert (waiting.identity, waiting.budget.tokens) == (loaded.identity, loaded.budget.tokens)
    assert waiting.last is not None
    waiting.close()


def test_its_identity_needs_no_weights(both: tuple[LazyModel, LocalModel], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazily, "load_draft", lambda *_, **__: pytest.fail("loaded"))
    assert both[0].identity["weights"] == both[1].loaded.fingerprint
    both[0].close()


@pytest.mark.parametrize(
    ("changed", "part"), [(Decoding(max_tokens=13), "decoding"), (Decoding(max_tokens=12, top_p=0.5), "decoding")]
)
def test_other_decoding_is_another_identity(both: tuple[LazyModel, LocalModel], changed: Decoding, part: str) -> None:
    other = LazyModel(both[0].name, both[0].request, lambda _: changed)
    assert other.identity[part] != both[0].identity[part]
    assert {**other.identity, part: 0} == {**both[0].identity, part: 0}
