"""The small base in examples/: its files, its template, its answers, and the rows that it was trained on."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant.citations import verify
from assistant.prompt import ABSTENTION, Budget, build_messages

pytest.importorskip("torch")
pytest.importorskip("transformers")

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "small-base"


@pytest.fixture(scope="module")
def training() -> Iterator[Any]:
    before = set(sys.modules)
    sys.path.insert(0, str(FOLDER / "training"))
    import documents
    import evaluate
    import tables

    yield type("Training", (), {"documents": documents, "tables": tables, "evaluate": evaluate})
    sys.path.remove(str(FOLDER / "training"))
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
            del sys.modules[name]


@pytest.fixture(scope="module")
def writer(training: Any) -> Any:
    return training.evaluate.Writer(FOLDER)


def test_is_small(writer: Any) -> None:
    assert (FOLDER / "model.safetensors").stat().st_size <= 8_000_000
    assert 2e6 <= writer.model.num_parameters() <= 4e6
    assert writer.model.config.max_position_embeddings == writer.tokenizer.model_max_length >= 512


def test_template_is_llama_3s(writer: Any) -> None:
    turns = [{"role": "system", "content": " Be brief.\n"}, {"role": "user", "content": "Hello"}]
    shown = writer.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert shown == (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    ids = writer.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert [place for place, token in enumerate(ids) if token == writer.tokenizer.bos_token_id] == [0]
    assert writer.model.generation_config.eos_token_id == writer.tokenizer.convert_tokens_to_ids("<|eot_id|>")


@pytest.mark.parametrize(
    "text",
    ["", " lead", "x\n\n y", "Bed,Ostrel,16.00\n| a | (b) |\n  - c", "na\u00efve \u2013 \u201cquoted\u201d `k`/\U0001f600"],
)
def test_tokens_give_the_text_back(writer: Any, text: str) -> None:
    assert writer.tokenizer.decode(writer.tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_prompt_is_the_beginning_of_the_whole_turn(writer: Any) -> None:
    turns = [{"role": "user", "content": "Which bus?"}, {"role": "assistant", "content": "12 goes there. [1]"}]
    whole = writer.tokenizer.apply_chat_template(turns, return_dict=False)
    prompt = writer.tokenizer.apply_chat_template(turns[:1], add_generation_prompt=True, return_dict=False)
    assert whole[: len(prompt)] == prompt


@pytest.mark.parametrize("seed", [9_000_004, 9_000_019])  # two of the 12 in 30 that it answers rightly: the format, not its skill
def test_answers_a_fresh_row_and_stops(writer: Any, training: Any, seed: int) -> None:
    page = training.documents.prose_page(random.Random(seed), 3)
    asked = page.asked[0]
    messages = build_messages(asked.question, [page.hit], Budget(900, lambda _: 0)).messages
    ids = writer.tokenizer.apply_chat_template(
        [{"role": each.role, "content": each.content} for each in messages], add_generation_prompt=True, return_tensors="pt"
    )
    out = writer.model.generate(**ids, max_new_tokens=80, do_sample=False)[0, ids["input_ids"].size(1) :]
    assert out[-1] == writer.tokenizer.eos_token_id
    assert writer.tokenizer.decode(out, skip_special_tokens=True) == f"{asked.answer} [1]"


def test_generated_answers_stand_in_their_passages(training: Any) -> None:
    rng = random.Random(5)
    makers = (
        training.documents.prose_page,
        lambda r, _: training.tables.table_page(r, 4, 5),
        lambda r, _: training.documents.glossary_page(r),
    )
    pages = [maker(rng, 4) for _ in range(30) for maker in makers]
    asked = [(page.hit, each) for page in pages for each in page.asked]
    assert len(asked) > 300
    assert all(verify(f"{each.answer} [1]", [hit]).sentences[0].verdict == "supported" for hit, each in asked)
    assert all(each.question.strip() and each.answer != ABSTENTION for _, each in asked)
