"""Templates with generation marks: the text of the families' own templates, and the masks of what `finetune` learns."""

import importlib.util
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import tiny_models as tiny

from assistant.models.families import GEMMA_2, GEMMA_2_FAMILY, LLAMA_3, LLAMA_3_FAMILY, PLAIN, PLAIN_FAMILY, Family
from assistant.models.quiet import quiet
from assistant.prompt import without_system
from assistant.records import Message
from finetune.data.rows import Conversation, Place
from finetune.formatting import UNLEARNED, Formatter
from finetune.templates import TEMPLATES, training_template
from indexes.errors import UsageError

SYSTEM = Message("system", " Be brief. ")
ASKED = (Message("user", " Who?\n"), Message("assistant", "\nIt is me.  [1]\n\nAnd you. "))
TWICE = (*ASKED, Message("user", "தமிழ் <b>?"), Message("assistant", "Não: «ü»"))
CONVERSATIONS = {"asked": ASKED, "told": (SYSTEM, *ASKED), "twice": TWICE, "told twice": (SYSTEM, *ASKED, *TWICE)}
OPEN = {"open": (SYSTEM, *TWICE[:3]), "open, untold": TWICE[:1]}
DATE = "26 Jul 2024"


def trl_template(name: str) -> str:
    found = importlib.util.find_spec("trl")
    assert found is not None
    assert found.origin is not None
    return (Path(found.origin).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


OWN = {
    "llama3": LLAMA_3,
    "llama3.1": trl_template("llama3_1"),
    "llama3.2": trl_template("llama3_2"),
    "gemma2": GEMMA_2,
    "plain": PLAIN,
}


def tokenizer_of(name: str, template: str | None) -> Any:
    if name == "gemma2":
        return tiny.byte_fallback(
            tiny.GEMMA_2_TOKENS, bos="<bos>", eos="<eos>", unk="<unk>", prefix=False, pad="<pad>", template=template
        )
    if name == "plain":
        return tiny.byte_level(("<|endoftext|>",), bos="<|endoftext|>", eos="<|endoftext|>", begins=False, template=template)
    return tiny.byte_level(tiny.LLAMA_3_TOKENS, bos="<|begin_of_text|>", eos="<|eot_id|>", template=template)


def family_of(name: str) -> Family:
    return {"gemma2": GEMMA_2_FAMILY, "plain": PLAIN_FAMILY}.get(name, LLAMA_3_FAMILY)


def text_of(name: str, template: str, messages: tuple[Message, ...], **named: Any) -> str:
    turns = [{"role": message.role, "content": message.content} for message in messages]
    given = {"date_string": DATE, "tokenize": False} | named
    return str(tokenizer_of(name, None).apply_chat_template(turns, chat_template=template, **given))


def masked(name: str, template: str, messages: tuple[Message, ...]) -> tuple[list[int], list[int]]:
    """Ids and labels by the mask that transformers computes."""
    turns = [{"role": message.role, "content": message.content} for message in messages]
    with quiet():
        out = tokenizer_of(name, None).apply_chat_template(
            turns, chat_template=template, date_string=DATE, return_dict=True, return_assistant_tokens_mask=True
        )
    ids = list(out["input_ids"])
    return ids, [each if mask else UNLEARNED for each, mask in zip(ids, out["assistant_masks"], strict=True)]


def test_every_family_that_prompts_by_a_template_of_its_own_has_one() -> None:
    assert set(TEMPLATES) == set(OWN)
    assert all("{%- generation -%}" in training_template(name) for name in TEMPLATES)


@pytest.mark.parametrize("messages", CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_conversation_reads_as_by_the_familys_own_template(name: str, messages: tuple[Message, ...]) -> None:
    spoken = tuple(without_system(messages)) if name == "gemma2" else messages
    own = text_of(name, OWN[name], spoken)
    if name == "plain":  # a row ends, where a prompt would go on
        own = own.removesuffix("\n\n") + "<|endoftext|>"
    assert text_of(name, training_template(name), messages) == own


@pytest.mark.parametrize("messages", OPEN.values(), ids=OPEN)
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_prompt_has_the_ids_that_serving_gives(name: str, messages: tuple[Message, ...]) -> None:
    text = text_of(name, training_template(name), messages, add_generation_prompt=True)
    tokenizer = tokenizer_of(name, OWN[name] if name != "plain" else None)
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == Formatter.of(tokenizer, family_of(name)).prompt(messages)


@pytest.mark.parametrize("messages", CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_mask_of_the_marks_is_what_finetune_learns(name: str, messages: tuple[Message, ...]) -> None:
    tokenizer = tokenizer_of(name, OWN[name] if name != "plain" else None)
    learned = Formatter.of(tokenizer, family_of(name)).conversation(Conversation(messages, Place(Path("f"), 1)))
    ids, labels = masked(name, training_template(name), messages)
    rest = tokenizer("\n", add_special_tokens=False)["input_ids"] if name == "gemma2" else []  # after the last turn's end
    assert ids == learned.ids + rest
    assert labels == learned.labels + [UNLEARNED] * len(rest)


def test_transformers_leaves_out_the_last_bytes_of_an_answer_that_nothing_special_ends() -> None:
    tokenizer, messages = tokenizer_of("plain", None), (*TWICE, *ASKED)
    learned = Formatter.of(tokenizer, PLAIN_FAMILY).conversation(Conversation(messages, Place(Path("f"), 1)))
    ids, labels = masked("plain", training_template("plain"), messages)
    left_out = [label for label, found in zip(learned.labels, labels, strict=True) if label != found]
    assert ids == learned.ids
    assert left_out == tokenizer("»")["input_ids"][1:] != []


@pytest.mark.parametrize("messages", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_trls_own_marks_for_llama3_make_the_same_mask(messages: tuple[Message, ...]) -> None:
    assert masked("llama3", training_template("llama3"), messages) == masked("llama3", trl_template("llama3_training"), messages)


@pytest.mark.parametrize("messages", [ASKED, TWICE], ids=["asked", "twice"])
def test_trls_own_marks_for_gemma_take_the_line_end_after_a_turn_as_well(messages: tuple[Message, ...]) -> None:
    ids, labels = masked("gemma2", training_template("gemma2"), messages)
    theirs, marked = masked("gemma2", trl_template("gemma_training"), messages)
    end, line_end = tokenizer_of("gemma2", None).convert_tokens_to_ids(["<end_of_turn>", "\n"])
    after = [at for at in range(1, len(ids)) if labels[at - 1] == end]
    assert ids == theirs
    assert [ids[at] for at in after] == [line_end] * (len(messages) // 2)
    assert [line_end if at in after else label for at, label in enumerate(labels)] == marked


def test_without_a_date_llama_3_1_names_its_own_and_3_2_today() -> None:
    turns = [{"role": "user", "content": "Hi"}]
    tokenizer = tokenizer_of("llama3", None)
    fixed, today = (
        str(tokenizer.apply_chat_template(turns, chat_template=training_template(name), tokenize=False))
        for name in ("llama3.1", "llama3.2")
    )
    assert "Today Date: 26 Jul 2024\n" in fixed
    assert f"Today Date: {datetime.now():%d %b %Y}\n" in today  # as transformers does it, in local time


def test_a_name_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="no chat template 'llama4'") as caught:
        training_template("llama4")
    assert caught.value.hint == "it can be llama3, llama3.1, llama3.2, gemma2, plain"
