"""Rows → what trainers are fed: nothing is cut, what is left out is counted, and what can't be trained on is refused."""

from pathlib import Path
from typing import Any

import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st

from assistant.models.families import LLAMA_3, LLAMA_3_FAMILY
from assistant.records import Message
from finetune.data.rows import Classified, Conversation, Labelled, Place, Preference, Rated, Row, Text
from finetune.encoding import (
    Encoding,
    encode_judged,
    encode_learned,
    encode_pairs,
    encode_scored,
    require_rows,
    with_mismatched,
)
from finetune.errors import DataFault
from finetune.formatting import Formatter

FORMATTER = Formatter.of(
    tiny_models.byte_level(tiny_models.LLAMA_3_TOKENS, bos="<|begin_of_text|>", eos="<|eot_id|>", template=LLAMA_3),
    LLAMA_3_FAMILY,
)
ASKED = (Message("user", "Hi"),)
PROMPT = FORMATTER.prompt(ASKED)
YES, NO = FORMATTER.answer("Yes"), FORMATTER.answer("No, no")


def at(line: int) -> Place:
    return Place(Path("rows.jsonl"), line)


def test_what_each_method_is_fed() -> None:
    pair, whole = Preference(ASKED, "Yes", "No, no", at(1)), len(PROMPT) + len(NO)
    assert encode_pairs(FORMATTER, [pair], 999).features == (
        {"prompt_ids": PROMPT, "chosen_ids": YES, "rejected_ids": NO, "length": whole},
    )
    judged = Labelled(ASKED, "No, no", False, at(1))
    assert encode_judged(FORMATTER, [judged], 999).features == (
        {"prompt_ids": PROMPT, "completion_ids": NO, "label": False, "length": whole},
    )
    conversation = Conversation((*ASKED, Message("assistant", "No, no")), at(1))
    assert encode_learned(FORMATTER, [conversation], 999).features == (
        {"input_ids": PROMPT + NO, "labels": [-100] * len(PROMPT) + NO, "length": whole, "characters": 6.0},
    )


def test_what_a_reward_model_is_fed() -> None:
    rows: list[Row] = [
        Preference(ASKED, "Yes", "No, no", at(1), margin=2.5),
        Preference(ASKED, "Yes", "No, no", at(2)),
        Rated(ASKED, "Yes", 0.5, at(3)),
        Classified("Hi", "good", at(4)),
    ]
    sides = {"chosen_ids": PROMPT + YES, "rejected_ids": PROMPT + NO, "length": len(PROMPT) + len(NO)}
    text = FORMATTER.text("Hi").ids
    assert encode_scored(FORMATTER, rows, 999).features == (
        sides | {"margin": 2.5},
        sides,
        {"input_ids": PROMPT + YES, "target": 0.5, "length": len(PROMPT) + len(YES)},
        {"input_ids": text, "target": "good", "length": len(text)},
    )


@pytest.mark.parametrize("short", [True, False])
def test_a_row_as_long_as_may_be_is_kept_whole_and_a_longer_one_is_left_out_and_named(short: bool) -> None:
    rows = [Preference(ASKED, "Yes", "No, no", at(7)), Preference(ASKED, "Yes", "No", at(8))]
    found = encode_pairs(FORMATTER, rows, len(PROMPT) + len(NO) - short)
    assert [row.place.line for row in found.rows] == ([8] if short else [7, 8])
    assert [place.line for place in found.too_long] == ([7] if short else [])
    assert all(features["rejected_ids"][-1] == FORMATTER.stop_id for features in found.features)
    assert found.tokens == sum(features["length"] for features in found.features)


LONG = st.text("ab ", min_size=1, max_size=60).filter(str.strip)


@given(LONG, st.integers(2, 20))
def test_a_long_text_is_parted_and_none_of_it_is_left_out(text: str, most: int) -> None:
    found = encode_learned(FORMATTER, [Text(text, at(1))], most)
    assert all(features["length"] == len(features["input_ids"]) <= most for features in found.features)
    assert sum(features["characters"] for features in found.features) == pytest.approx(len(text))
    assert len(found.rows) == len(found.features)
    assert found.too_long == ()


@given(LONG, st.integers(2, 20))
def test_every_token_of_a_long_text_is_learned_once_from_what_stands_before_it(text: str, most: int) -> None:
    found, whole = encode_learned(FORMATTER, [Text(text, at(1))], most), FORMATTER.text(text)
    learned = [label for features in found.features for label in features["labels"][1:]]
    assert learned == whole.labels[1:]
    assert all(features["length"] > 1 for features in found.features)


@pytest.mark.parametrize(
    ("encode", "row"),
    [
        (encode_learned, Preference(ASKED, "a", "b", at(1))),
        (encode_pairs, Text("a", at(1))),
        (encode_judged, Rated(ASKED, "a", 1.0, at(1))),
        (encode_scored, Text("a", at(1))),
    ],
)
def test_a_row_of_another_kind_is_a_mistake_of_ours(encode: Any, row: Row) -> None:
    with pytest.raises(TypeError, match=type(row).__name__):
        encode(FORMATTER, [row], 99)


@given(st.integers(1, 30), st.integers(2, 9))
def test_each_row_gets_the_answer_of_another_of_its_batch(count: int, batch: int) -> None:
    rows = [{"completion_ids": [number], "label": True} for number in range(count)]
    found = with_mismatched(rows, batch)
    assert len(found) == (count if count % batch != 1 else count - 1)
    assert [{name: row[name] for name in rows[0]} for row in found] == rows[: len(found)]
    for start in range(0, len(found), batch):
        own = [row["completion_ids"] for row in found[start : start + batch]]
        other = [row["KL_completion_ids"] for row in found[start : start + batch]]
        assert sorted(own) == sorted(other)
        assert all(one != mismatched for one, mismatched in zip(own, other, strict=True))


def test_too_few_rows_are_refused_with_what_gives_more() -> None:
    row = Text("a", at(1))
    require_rows(Encoding(({"length": 1},) * 2, (row,) * 2, (at(1),)), least=2, max_length=8)
    with pytest.raises(DataFault, match=r"^1 rows are left to train on, and 2 are needed$") as caught:
        require_rows(Encoding(({"length": 1},), (row,), ()), least=2, max_length=8)
    assert caught.value.hint == "give more rows with --data"
    with pytest.raises(DataFault, match=r"needed: 2 are longer than 8 tokens, e\.g\. rows\.jsonl:3") as caught:
        require_rows(Encoding((), (), (at(3), at(4))), least=1, max_length=8)
    assert "--max-length" in caught.value.hint
