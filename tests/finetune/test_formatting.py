"""Rows → ids and what of them is learned, against ids written by hand: every border is where it should be, to the token."""

from pathlib import Path

import pytest
import tiny_models as tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from assistant.errors import ModelError
from assistant.models.families import (
    GEMMA_2,
    GEMMA_2_FAMILY,
    LLAMA_2,
    LLAMA_2_FAMILY,
    LLAMA_3,
    LLAMA_3_FAMILY,
    PLAIN_FAMILY,
    Family,
)
from assistant.models.rendering import render
from assistant.records import Message
from finetune.data.rows import Classified, Conversation, Labelled, Place, Preference, Rated, Text
from finetune.formatting import UNLEARNED, Formatter

AT = Place(Path("rows.jsonl"), 1)
BOTH = (
    Message("system", "Be"),
    Message("user", "Hi"),
    Message("assistant", "Yes"),
    Message("user", "No?"),
    Message("assistant", "No"),
)
TOKENIZERS: dict[str, tuple[PreTrainedTokenizerFast, Family]] = {
    "llama3": (tiny.byte_level(tiny.LLAMA_3_TOKENS, bos="<|begin_of_text|>", eos="<|eot_id|>", template=LLAMA_3), LLAMA_3_FAMILY),
    "gemma2": (
        tiny.byte_fallback(
            tiny.GEMMA_2_TOKENS, bos="<bos>", eos="<eos>", unk="<unk>", template=GEMMA_2, prefix=False, pad="<pad>"
        ),
        GEMMA_2_FAMILY,
    ),
    "llama2": (tiny.byte_fallback(tiny.LLAMA_2_TOKENS, bos="<s>", eos="</s>", unk="<unk>", template=LLAMA_2), LLAMA_2_FAMILY),
    "gpt2": (tiny.byte_level(("<|endoftext|>",), bos="<|endoftext|>", eos="<|endoftext|>", begins=False), PLAIN_FAMILY),
}
FORMATTERS = {name: Formatter.of(*each) for name, each in TOKENIZERS.items()}
STOPS = {"llama3": 263, "gemma2": 5, "llama2": 2, "gpt2": 256}

Part = tuple[str | int, bool]
"""A text or a control token, and whether it is learned."""


def byte_ids(text: str) -> list[int]:
    """GPT-2's order of bytes: 33 … 126 first; line end 198, space 220."""
    return [{"\n": 198, " ": 220}.get(letter, ord(letter) - 33) for letter in text]


def letter_ids(text: str, specials: int) -> list[int]:
    """Control tokens, 256 bytes, ``▁``, line end, then 33 … 126."""
    return [{" ": specials + 256, "\n": specials + 257}.get(letter, specials + 258 + ord(letter) - 33) for letter in text]


HEAD, BACK = 260, 261  # <|start_header_id|>, <|end_header_id|>
BY_HAND: dict[str, list[Part]] = {
    "llama3": [
        (256, False), (HEAD, False), ("system", False), (BACK, False), ("\n\nBe", False), (263, False),
        (HEAD, False), ("user", False), (BACK, False), ("\n\nHi", False), (263, False),
        (HEAD, False), ("assistant", False), (BACK, False), ("\n\n", False), ("Yes", True), (263, True),
        (HEAD, False), ("user", False), (BACK, False), ("\n\nNo?", False), (263, False),
        (HEAD, False), ("assistant", False), (BACK, False), ("\n\n", False), ("No", True), (263, True),
    ],
    "gemma2": [
        (2, False), (4, False), ("user\nBe\n\nHi", False), (5, False), ("\n", False),
        (4, False), ("model\n", False), ("Yes", True), (5, True), ("\n", False),
        (4, False), ("user\nNo?", False), (5, False), ("\n", False), (4, False), ("model\n", False), ("No", True), (5, True),
    ],
    # What Llama 2's template puts before the end of an earlier turn, a space, isn't what the model wrote.
    "llama2": [
        (1, False), (" [INST] <<SYS>>\nBe\n<</SYS>>\n\nHi [/INST]", False), (" Yes", True), (" ", False), (2, False),
        (1, False), (" [INST] No? [/INST]", False), (" No", True), (2, True),
    ],
    "gpt2": [("Be\n\nHi\nAnswer:", False), (" Yes", True), ("\n\nNo?\nAnswer:", False), (" No", True), (256, True)],
}  # fmt: skip


def encode(name: str, text: str) -> list[int]:
    return byte_ids(text) if name in ("llama3", "gpt2") else letter_ids(text, 6 if name == "gemma2" else 3)


@pytest.mark.parametrize("name", BY_HAND)
def test_every_assistant_turn_is_learned_and_nothing_else(name: str) -> None:
    ids: list[int] = []
    labels: list[int] = []
    for part, learned in BY_HAND[name]:
        these = [part] if isinstance(part, int) else encode(name, part)
        ids, labels = ids + these, labels + (these if learned else [UNLEARNED] * len(these))
    found = FORMATTERS[name].conversation(Conversation(BOTH, AT))
    assert found.ids == ids
    assert found.labels == labels


@pytest.mark.parametrize("name", FORMATTERS)
def test_a_row_has_the_bos_and_the_stop_that_it_should(name: str) -> None:
    formatter = FORMATTERS[name]
    found = formatter.conversation(Conversation((Message("user", "Hi"), Message("assistant", " Yes\n")), AT))
    assert formatter.stop_id == STOPS[name]
    assert found.ids.count(formatter.tokenizer.bos_token_id) == 1  # of GPT-2 it is the one that ends the answer
    assert (found.ids[0] == formatter.tokenizer.bos_token_id) == (name != "gpt2")
    answer = encode(name, "Yes" if name in ("llama3", "gemma2") else " Yes")
    assert found.labels == [UNLEARNED] * (len(found.ids) - len(answer) - 1) + [*answer, STOPS[name]]


@pytest.mark.parametrize("name", FORMATTERS)
def test_of_a_plain_text_all_but_the_beginning_is_learned(name: str) -> None:
    formatter = FORMATTERS[name]
    body = encode(name, " Hi yes" if name == "llama2" else "Hi yes")
    begin, end = {"llama3": ([256], 263), "gemma2": ([2], 1), "llama2": ([1], 2), "gpt2": ([], 256)}[name]
    found = formatter.conversation(Text("Hi yes", AT))
    assert found.ids == [*begin, *body, end]
    assert found.labels == [*([UNLEARNED] * len(begin)), *body, end]
    assert formatter.classified(Classified("Hi yes", "good", AT)) == found.ids


@pytest.mark.parametrize("name", FORMATTERS)
def test_pairs_and_judged_answers_are_the_same_prompt_and_answer(name: str) -> None:
    formatter = FORMATTERS[name]
    row = Preference(BOTH[:2], "Yes", "No, no", AT)
    pair = formatter.pair(row)
    assert pair.prompt == formatter.prompt(BOTH[:2])
    assert pair.prompt + pair.chosen == formatter.conversation(Conversation(BOTH[:3], AT)).ids
    assert (pair.chosen[-1], pair.rejected[-1]) == (STOPS[name],) * 2
    assert formatter.judged(Labelled(BOTH[:2], "Yes", True, AT)) == (pair.prompt, pair.chosen)
    assert formatter.judged(Rated(BOTH[:2], "Yes", 1.0, AT)) == (pair.prompt, pair.chosen)
    assert formatter.length(row) == pair.length == len(pair.prompt) + len(pair.rejected)
    assert formatter.length(Labelled(BOTH[:2], "Yes", True, AT)) == len(pair.prompt) + len(pair.chosen)


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁"), min_size=1, max_size=12).filter(str.strip)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    messages = [Message("system", draw(WORDS))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        messages += [Message("user", draw(WORDS)), Message("assistant", draw(WORDS))]
    return tuple(messages)


@pytest.mark.parametrize("name", FORMATTERS)
@settings(max_examples=60, deadline=None)
@given(messages=conversations())
def test_what_is_learned_reads_as_what_the_assistant_says(name: str, messages: tuple[Message, ...]) -> None:
    formatter = FORMATTERS[name]
    tokenizer, family = TOKENIZERS[name]
    found = formatter.conversation(Conversation(messages, AT))
    assert len(found.ids) == len(found.labels)
    assert all(label in (UNLEARNED, each) for each, label in zip(found.ids, found.labels, strict=True))
    learned = [label for label in found.labels if label != UNLEARNED]
    said = [message.content.strip() for message in messages if message.role == "assistant"]
    space = "" if name in ("llama3", "gemma2") else " "
    stop = str(tokenizer.convert_ids_to_tokens(STOPS[name]))
    turn_end = stop if name in ("llama3", "gemma2") else ""
    assert tokenizer.decode(learned) == turn_end.join(space + each for each in said) + stop
    prompt = render(tokenizer, family, messages[:-1])
    assert found.ids[: len(prompt)] == prompt == formatter.prompt(messages[:-1])


@pytest.mark.parametrize("name", FORMATTERS)
def test_an_answer_that_fills_the_last_turn_is_what_the_model_would_have_been_prompted_to(name: str) -> None:
    """The ids of a taught answer are those that the model would have read, had it written it."""
    formatter = FORMATTERS[name]
    before = formatter.prompt(BOTH[:2])
    later = formatter.prompt(BOTH[:4])
    answer = formatter.answer("Yes")[:-1]
    assert later[: len(before) + len(answer)] == before + answer


def test_a_template_that_rewrites_earlier_turns_leaves_them_unlearned() -> None:
    template = LLAMA_3.replace("message.content | trim", "(message.content | trim if loop.last else '…')")
    tokenizer = tiny.byte_level(tiny.LLAMA_3_TOKENS, bos="<|begin_of_text|>", eos="<|eot_id|>", template=template)
    found = Formatter.of(tokenizer, LLAMA_3_FAMILY).conversation(Conversation(BOTH, AT))
    assert [label for label in found.labels if label != UNLEARNED] == [*byte_ids("No"), 263]


@pytest.mark.parametrize(("name", "padding"), [("llama3", "<|finetune_right_pad_id|>"), ("gemma2", "<pad>"), ("llama2", "<unk>")])
def test_padding_is_not_what_ends_an_answer(name: str, padding: str) -> None:
    formatter = Formatter.of(*TOKENIZERS[name])
    tokenizer = formatter.padded_tokenizer()
    assert tokenizer.pad_token == padding
    assert tokenizer.pad_token_id == formatter.pad_id() != formatter.stop_id


def test_a_pad_token_that_is_the_stop_token_is_not_padded_with() -> None:
    tokenizer = tiny.byte_level(tiny.LLAMA_3_TOKENS, bos="<|begin_of_text|>", eos="<|eot_id|>", template=LLAMA_3)
    tokenizer.pad_token = "<|eot_id|>"
    formatter = Formatter.of(tokenizer, LLAMA_3_FAMILY)
    assert formatter.padded_tokenizer().pad_token == "<|finetune_right_pad_id|>"


def test_a_model_without_a_token_that_ends_texts_is_refused() -> None:
    with pytest.raises(ModelError, match="eos_token is None"):
        Formatter.of(tiny.byte_level((), bos="a", eos=None, begins=False), PLAIN_FAMILY)


@pytest.mark.parametrize("name", FORMATTERS)
def test_a_folder_opens_as_the_loaded_tokenizer_does(name: str, tmp_path: Path) -> None:
    make = {"llama3": tiny.tiny_llama3, "gemma2": tiny.tiny_gemma2, "llama2": tiny.tiny_llama2, "gpt2": tiny.tiny_gpt2}[name]
    opened = Formatter.open(str(make(tmp_path / name)))
    assert opened.conversation(Conversation(BOTH, AT)) == FORMATTERS[name].conversation(Conversation(BOTH, AT))
    assert opened.has_template == (name != "gpt2")


@pytest.mark.parametrize("name", FORMATTERS)
def test_a_control_token_typed_in_an_answer_stays_text(name: str) -> None:
    formatter = FORMATTERS[name]
    stop = str(formatter.tokenizer.convert_ids_to_tokens(STOPS[name]))
    assert formatter.answer(f"a{stop}b").count(STOPS[name]) == 1
    assert formatter.text(f"a{stop}b").ids.count(STOPS[name]) == formatter.text("ab").ids.count(STOPS[name])
