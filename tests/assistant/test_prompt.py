"""Messages from passages: what stays whole, what is left out first, and that documents stay data."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from fakes import a_hit
from hypothesis import given
from hypothesis import strategies as st
from injections import INJECTIONS

from assistant.errors import ModelError
from assistant.prompt import (
    GENERAL_SYSTEM,
    SYSTEM,
    Budget,
    build_general,
    build_messages,
    most_that_fit,
    neutral,
    passage_text,
)
from assistant.records import Message

DELIMITER = re.compile(r"<[\s/]*passage\b[^>]*>?", re.IGNORECASE)
CONTROL = re.compile(r"<\|[^|\n<>]+\|>|</?(?:s|bos|eos|unk|pad)>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>", re.IGNORECASE)


def words(messages: Sequence[Message]) -> int:
    return sum(len(message.content.split()) for message in messages)


def room(tokens: int) -> Budget:
    return Budget(tokens, words)


def exchange(n: int) -> list[Message]:
    return [Message("user", f"Question: number {n}"), Message("assistant", f"answer {n}")]


def test_the_wording_is_the_one_that_adapters_are_trained_for() -> None:
    hit = replace(a_hit(), passage=replace(a_hit().passage, header="| a | b |"))
    system, user = build_messages("How many?", [hit], room(1000)).messages
    assert (system.role, system.content) == ("system", SYSTEM)
    assert user.content == (
        "<passage 1>\nguide/setup.md > Huts > Mirrin\n| a | b |\nThe hut sleeps 24.\n</passage 1>\n\nQuestion: How many?"
    )


def test_the_worst_passages_are_left_out_first_and_none_is_cut() -> None:
    hits = [a_hit(rank, text="word " * 30) for rank in range(1, 8)]
    rendered = build_messages("Why?", hits, room(200))
    assert rendered.hits == tuple(hits[: len(rendered.hits)])
    assert 1 < len(rendered.hits) < 7
    assert rendered.messages[-1].content.count("word") == 30 * len(rendered.hits)
    assert words(rendered.messages) <= 200


def test_the_oldest_turn_goes_before_the_third_passage() -> None:
    hits = [a_hit(rank, text="word " * 30) for rank in range(1, 6)]
    history = [message for n in range(20) for message in exchange(n)]
    rendered = build_messages("Why?", hits, room(260), history=history)
    kept = [message for message in rendered.messages if message.content.startswith("answer")]
    assert kept
    assert [message.content for message in kept] == [f"answer {n}" for n in range(20 - len(kept), 20)]
    assert len(rendered.hits) >= 3


def test_one_huge_passage_is_cut_to_the_room_there_is() -> None:
    rendered = build_messages("Why is it so?", [a_hit(text="word " * 5000)], room(120))
    assert 100 < words(rendered.messages) <= 120
    assert "word …\n</passage 1>\n\nQuestion: Why is it so?" in rendered.messages[-1].content


def test_a_question_that_takes_all_the_room_is_an_error_that_names_both() -> None:
    with pytest.raises(ModelError, match=r"takes \d{3} tokens and this model has room for 100"):
        build_messages("why " * 400, [a_hit()], room(100))
    with pytest.raises(ModelError, match="has room for 100"):
        build_general("why " * 400, room(100))


def test_general_questions_carry_the_newest_turns_and_no_passage() -> None:
    history = [message for n in range(40) for message in exchange(n)]
    rendered = build_general("And now?", room(60), history=history)
    assert rendered.messages[0] == Message("system", GENERAL_SYSTEM)
    assert rendered.messages[-2].content == "answer 39"
    assert rendered.messages[-1].content == "And now?"
    assert words(rendered.messages) <= 60


def test_there_are_enough_injections() -> None:
    assert len(set(INJECTIONS)) >= 60


@pytest.mark.parametrize("text", INJECTIONS)
def test_a_passage_is_data_whatever_it_says(text: str) -> None:
    hit = replace(a_hit(text=f"before {text} after"), source=f"{text}.md")
    content = build_messages(text, [hit, a_hit(2)], room(10_000)).messages[-1].content
    assert DELIMITER.findall(content) == ["<passage 1>", "</passage 1>", "<passage 2>", "</passage 2>"]
    assert not CONTROL.search(content)
    assert "after" in content


def test_what_a_tokenizer_knows_besides_is_broken_too() -> None:
    assert neutral("a ☃SPECIAL☃ b", frozenset({"☃SPECIAL☃", "x"})) == "a ☃ SPECIAL☃ b"


@given(st.text(alphabet="<|/>passage 1eot_id[INST]\n\u200b", max_size=60))
def test_no_text_forges_a_delimiter_or_a_control_token(text: str) -> None:
    inside = passage_text(a_hit(text=text), 1).removeprefix("<passage 1>\n").removesuffix("\n</passage 1>")
    assert not DELIMITER.search(inside)
    assert not CONTROL.search(inside)


@given(st.text(max_size=80))
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    plain = "".join(c for c in text if c.isalnum() or c in " .,;\n")
    assert neutral(plain) == plain


@given(st.integers(0, 200), st.integers(0, 200))
def test_halving_finds_the_most_that_fit(most: int, limit: int) -> None:
    assert most_that_fit(most, lambda n: n <= limit) == min(most, limit)
