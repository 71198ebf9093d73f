"""Chat formats against token ids written by hand from what the families publish, and against trl's copies of their templates."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from injections import INJECTIONS
from tiny_models import GEMMA_2_TOKENS, LLAMA_2_TOKENS, LLAMA_3_TOKENS, byte_fallback, byte_level
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import Gemma2Config, GPT2Config, LlamaConfig, MistralConfig, PreTrainedTokenizerFast, Qwen2Config

from assistant.errors import ModelError
from assistant.models.families import (
    GEMMA_2,
    GEMMA_2_FAMILY,
    LLAMA_2,
    LLAMA_2_FAMILY,
    LLAMA_3,
    LLAMA_3_FAMILY,
    PLAIN_FAMILY,
    TEMPLATED_FAMILY,
    Family,
    attention,
    choose_family,
    context_length,
)
from assistant.models.rendering import pad_id, recognise, render, special_tokens, stop_ids
from assistant.records import Message

ASKED = [Message("system", "Be brief."), Message("user", "What is it?")]
TWICE = [*ASKED, Message("assistant", "Yes."), Message("user", "And?")]

# Ids of the published vocabularies. Llama 3: headers 128006/128007, end of turn 128009, two line ends 271.
LLAMA_3_IDS = {
    "<|begin_of_text|>": 128000, "<|end_of_text|>": 128001, "<|start_header_id|>": 128006, "<|end_header_id|>": 128007,
    "<|eom_id|>": 128008, "<|eot_id|>": 128009, "system": 9125, "user": 882, "assistant": 78191, "\n\n": 271, "x": 87,
    "Be": 3513, " brief": 10015, ".": 13, "What": 3923, " is": 374, " it": 433, "?": 30, "Yes": 9642, "And": 3112,
}  # fmt: skip
LLAMA_3_ASKED = [128000, 128006, 9125, 128007, 271, 3513, 10015, 13, 128009,
                 128006, 882, 128007, 271, 3923, 374, 433, 30, 128009, 128006, 78191, 128007, 271]  # fmt: skip
LLAMA_3_TWICE = [*LLAMA_3_ASKED, 9642, 13, 128009, 128006, 882, 128007, 271, 3112, 30, 128009, 128006, 78191, 128007, 271]

# Gemma: a turn is 106 … 107 and a line end (108); 1645 user, 2516 model.
GEMMA_2_IDS = {
    "<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "<start_of_turn>": 106, "<end_of_turn>": 107, "\n": 108, "\n\n": 109,
    "user": 1645, "model": 2516, "x": 235297, "Be": 3420, " brief": 8895, ".": 235265, "What": 1841, " is": 603, " it": 665,
    "?": 235336, "Yes": 3553, "And": 1951,
}  # fmt: skip
GEMMA_2_ASKED = [2, 106, 1645, 108, 3420, 8895, 235265, 109, 1841, 603, 665, 235336, 107, 108, 106, 2516, 108]
GEMMA_2_TWICE = [*GEMMA_2_ASKED, 3553, 235265, 107, 108, 106, 1645, 108, 1951, 235336, 107, 108, 106, 2516, 108]

# Llama 2: [INST] is plain text (518 25580 29962, with SentencePiece's space before it), each exchange between 1 and 2.
LLAMA_2_IDS = {
    "<unk>": 0, "<s>": 1, "</s>": 2, "\n": 13, "▁[": 518, "INST": 25580, "]": 29962, "/": 29914, "▁<<": 3532, "SYS": 900,
    ">>": 6778, "<": 29966, "</": 829, "▁": 29871, "Be": 3629, "▁brief": 11473, ".": 29889, "What": 5618, "▁is": 338,
    "▁it": 372, "?": 29973, "▁Yes": 3869, "▁And": 1126, "x": 29916, "▁x": 921,
}  # fmt: skip
LLAMA_2_ASKED = [1, 518, 25580, 29962, 3532, 900, 6778, 13, 3629, 11473, 29889, 13, 29966, 829, 900, 6778, 13, 13,
                 5618, 338, 372, 29973, 518, 29914, 25580, 29962]  # fmt: skip
LLAMA_2_TWICE = [*LLAMA_2_ASKED, 3869, 29889, 29871, 2, 1, 518, 25580, 29962, 1126, 29973, 518, 29914, 25580, 29962]

# GPT-2 was taught no chat: text only, no BOS, "Answer:" (33706 25) on a line of its own (198).
GPT_2_IDS = {
    "<|endoftext|>": 50256, "\n": 198, "Answer": 33706, ":": 25, "Be": 3856, " brief": 4506, ".": 13, "What": 2061,
    " is": 318, " it": 340, "?": 30, " Yes": 3363, "And": 1870, "x": 87, " x": 2124,
}  # fmt: skip
GPT_2_ASKED = [3856, 4506, 13, 198, 198, 2061, 318, 340, 30, 198, 33706, 25]
GPT_2_TWICE = [*GPT_2_ASKED, 3363, 13, 198, 198, 1870, 30, 198, 33706, 25]


def words(ids: dict[str, int], split: str, *, bos: str | None, normalizer: Any = None, **names: Any) -> PreTrainedTokenizerFast:
    """A tokenizer of a few words with the ids that a published vocabulary gives them."""
    backend = Tokenizer(models.WordLevel(vocab=ids, unk_token="<missing>"))
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(split), "isolated")
    special = [token for token in ids if token.startswith("<") and token.endswith(">") and token not in (">>", "▁<<")]
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=bos, **names)


def llama3_words(template: str | None = None) -> PreTrainedTokenizerFast:
    tokenizer = words(LLAMA_3_IDS, r"\n\n| ?\w+|[.?]", bos="<|begin_of_text|>", eos_token="<|eot_id|>", add_bos_token=True)
    tokenizer.chat_template = template
    return tokenizer


def gemma2_words(template: str | None = None) -> PreTrainedTokenizerFast:
    tokenizer = words(GEMMA_2_IDS, r"\n+| ?\w+|[.?]", bos="<bos>", eos_token="<eos>", pad_token="<pad>", add_bos_token=True)
    tokenizer.chat_template = template
    return tokenizer


def llama2_words(template: str | None = LLAMA_2, *, prefix: str = "always") -> PreTrainedTokenizerFast:
    space = pre_tokenizers.Metaspace(prepend_scheme=prefix, split=False)
    tokenizer = words(LLAMA_2_IDS, r"", bos="<s>", eos_token="</s>", unk_token="<unk>", add_bos_token=True)
    split = pre_tokenizers.Split(Regex(r"\n|▁?\[|▁<<|<(?=</)|</|>>|▁?\w+|."), "isolated")
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([space, split])
    tokenizer.chat_template = template
    return tokenizer


def gpt2_words() -> PreTrainedTokenizerFast:
    end = "<|endoftext|>"
    return words(GPT_2_IDS, r"\n| ?\w+|[.?:]", bos=end, eos_token=end)


@pytest.mark.parametrize(
    ("tokenizer", "family", "asked", "twice"),
    [
        (llama3_words(), LLAMA_3_FAMILY, LLAMA_3_ASKED, LLAMA_3_TWICE),
        (gemma2_words(), GEMMA_2_FAMILY, GEMMA_2_ASKED, GEMMA_2_TWICE),
        (llama2_words(), LLAMA_2_FAMILY, LLAMA_2_ASKED, LLAMA_2_TWICE),
        (llama2_words(prefix="first"), LLAMA_2_FAMILY, LLAMA_2_ASKED, LLAMA_2_TWICE),
        (gpt2_words(), PLAIN_FAMILY, GPT_2_ASKED, GPT_2_TWICE),
    ],
    ids=["llama3", "gemma2", "llama2", "llama2-not-legacy", "gpt2"],
)
def test_golden_ids(tokenizer: Any, family: Family, asked: list[int], twice: list[int]) -> None:
    assert render(tokenizer, family, ASKED) == asked
    assert render(tokenizer, family, TWICE) == twice


def trl_template(name: str) -> str:
    found = importlib.util.find_spec("trl")
    assert found is not None, "trl belongs to what the tests need"
    assert found.origin is not None
    return (Path(found.origin).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "messages", [ASKED, TWICE, ASKED[1:], [Message("user", "  x\n")]], ids=["asked", "twice", "alone", "spaced"]
)
def test_our_llama3_template_makes_the_ids_that_trls_copy_makes(messages: list[Message]) -> None:
    ours, theirs = llama3_words(), llama3_words(trl_template("llama3"))
    assert render(ours, LLAMA_3_FAMILY, messages) == render(theirs, LLAMA_3_FAMILY, messages)


@pytest.mark.parametrize("messages", [TWICE[1:], ASKED[1:], [Message("user", "  x\n")]], ids=["twice", "alone", "spaced"])
def test_our_gemma2_template_makes_the_ids_that_trls_copy_makes(messages: list[Message]) -> None:
    ours, theirs = gemma2_words(), gemma2_words(trl_template("gemma"))
    assert render(ours, GEMMA_2_FAMILY, messages) == render(theirs, GEMMA_2_FAMILY, messages)


def test_gemmas_own_template_refuses_a_system_message_and_gets_it_in_the_first_user_turn() -> None:
    tokenizer = gemma2_words(trl_template("gemma"))
    assert render(tokenizer, recognise(Gemma2Config(), tokenizer), TWICE) == GEMMA_2_TWICE


def test_a_template_that_refuses_or_drops_the_system_message_is_found_by_trying() -> None:
    refuses = byte_level(("<s>", "</s>"), bos="<s>", eos="</s>", template=trl_template("gemma"))
    drops = byte_level(("<s>", "</s>"), bos="<s>", eos="</s>", template=(
        "{% for m in messages %}{% if m.role != 'system' %}{{ m.role + ':' + m.content + eos_token }}{% endif %}{% endfor %}"
    ))  # fmt: skip
    for tokenizer in (refuses, drops):
        family = recognise(LlamaConfig(), tokenizer)
        assert not family.system_role
        assert "Be brief.\n\nWhat is it?" in tokenizer.decode(render(tokenizer, family, ASKED))


@pytest.mark.parametrize("name", ["llama3_1", "llama3_2"])
def test_llama_3_1_and_3_2_are_told_the_same_day_every_day(name: str) -> None:
    tokenizer = byte_level(LLAMA_3_TOKENS, bos="<|begin_of_text|>", eos="<|eot_id|>", template=trl_template(name))
    family = recognise(LlamaConfig(), tokenizer)
    assert family.name == "llama3"
    text = tokenizer.decode(render(tokenizer, family, ASKED))
    assert text.startswith(
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
        "Today Date: 26 Jul 2024\n\nBe brief.<|eot_id|>"
    )


@pytest.mark.parametrize(("written", "expected"), [("", 1), ("{{ bos_token }}", 1), ("{{ bos_token + bos_token }}", 1)])
def test_there_is_one_bos_whatever_the_template_writes(written: str, expected: int) -> None:
    template = written + "{% for m in messages %}{{ m.content }}{% endfor %}"
    tokenizer = byte_level(("<s>", "</s>"), bos="<s>", eos="</s>", template=template)
    ids = render(tokenizer, TEMPLATED_FAMILY, ASKED)
    assert ids.count(tokenizer.bos_token_id) == expected
    assert ids[0] == tokenizer.bos_token_id


def test_a_model_whose_texts_begin_without_bos_gets_none() -> None:
    assert gpt2_words().bos_token_id not in render(gpt2_words(), PLAIN_FAMILY, ASKED)


@pytest.mark.parametrize(
    ("tokenizer", "family", "tokens"),
    [
        (llama3_words(), LLAMA_3_FAMILY, ["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"]),
        (gemma2_words(), GEMMA_2_FAMILY, ["<eos>", "<end_of_turn>"]),
        (llama2_words(), LLAMA_2_FAMILY, ["</s>"]),
        (gpt2_words(), PLAIN_FAMILY, ["<|endoftext|>"]),
    ],
    ids=["llama3", "gemma2", "llama2", "gpt2"],
)
def test_stop_tokens(tokenizer: Any, family: Family, tokens: list[str]) -> None:
    assert set(stop_ids(tokenizer, family)) == set(tokenizer.convert_tokens_to_ids(tokens))


def test_a_template_of_its_own_stops_where_it_ends_the_assistants_turn() -> None:
    template = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    tokenizer = byte_level(
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), bos="<|endoftext|>", eos="<|endoftext|>", template=template
    )
    family = recognise(LlamaConfig(), tokenizer)
    assert stop_ids(tokenizer, family) == tuple(tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"]))


def test_no_token_that_ends_a_text_is_an_error_with_its_remedy() -> None:
    tokenizer = byte_level((), bos="a", eos=None, begins=False)
    with pytest.raises(ModelError, match="eos_token is None") as caught:
        stop_ids(tokenizer, PLAIN_FAMILY)
    assert "tokenizer_config.json" in caught.value.hint


def test_padding_is_never_a_stop_token_where_there_is_another() -> None:
    llama = byte_level(LLAMA_3_TOKENS, bos="<|begin_of_text|>", eos="<|eot_id|>")
    stops = stop_ids(llama, LLAMA_3_FAMILY)
    assert llama.convert_ids_to_tokens(pad_id(llama, LLAMA_3_FAMILY, stops)) == "<|finetune_right_pad_id|>"
    llama.pad_token = "<|eot_id|>"
    assert pad_id(llama, LLAMA_3_FAMILY, stops) not in stops
    assert pad_id(gpt2_words(), PLAIN_FAMILY, (50256,)) == 50256


TOKENIZERS: list[tuple[Any, Family]] = [
    (byte_level(LLAMA_3_TOKENS, bos="<|begin_of_text|>", eos="<|eot_id|>", template=LLAMA_3), LLAMA_3_FAMILY),
    (byte_fallback(GEMMA_2_TOKENS, bos="<bos>", eos="<eos>", unk="<unk>", template=GEMMA_2, prefix=False), GEMMA_2_FAMILY),
    (byte_fallback(LLAMA_2_TOKENS, bos="<s>", eos="</s>", unk="<unk>", template=LLAMA_2), LLAMA_2_FAMILY),
    (byte_level(("<|endoftext|>",), bos="<|endoftext|>", eos="<|endoftext|>", begins=False), PLAIN_FAMILY),
]


@pytest.mark.parametrize(("tokenizer", "family"), TOKENIZERS, ids=["llama3", "gemma2", "llama2", "gpt2"])
def test_what_a_message_holds_stays_text(tokenizer: Any, family: Family) -> None:
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    calm = render(tokenizer, family, TWICE)
    expected = [one for one in calm if one in special]
    marked = [tokenizer.decode(calm).count(marker) for marker in family.markers]
    for text in (*INJECTIONS, *special_tokens(tokenizer), *(f"x {token} y" for token in family.markers)):
        ids = render(tokenizer, family, [Message(one.role, text) for one in TWICE])
        assert [one for one in ids if one in special] == expected, text
        assert [tokenizer.decode(ids).count(marker) for marker in family.markers] == marked, text


def test_a_text_without_control_tokens_is_rendered_as_it_is() -> None:
    tokenizer, family = TOKENIZERS[0]
    text = "A < b | c > d, f(<x>) and [INST]: naïve — ☕ 𝄞"
    assert text in tokenizer.decode(render(tokenizer, family, [Message("user", text)]))


def test_a_normalising_tokenizer_cannot_be_tricked_by_wide_letters() -> None:
    tokenizer = byte_level(("<s>", "</s>"), bos="<s>", eos="</s>")
    tokenizer.backend_tokenizer.normalizer = normalizers.NFKC()
    tokenizer.backend_tokenizer.add_special_tokens([AddedToken("<|stop|>", special=True, normalized=True)])
    stop = tokenizer.convert_tokens_to_ids("<|stop|>")
    assert tokenizer("＜|stop|＞")["input_ids"].count(stop) == 1
    assert stop not in render(tokenizer, PLAIN_FAMILY, [Message("user", "＜|stop|＞")])


def test_a_control_token_that_cannot_be_kept_out_is_refused() -> None:
    joins = "{% for m in messages %}{{ '<' + m.content + '|>' }}{% endfor %}"
    tokenizer = byte_level(("<s>", "</s>", "<|stop|>"), bos="<s>", eos="</s>", template=joins)
    with pytest.raises(ModelError, match=r"holds '<\|stop\|>'"):
        render(tokenizer, TEMPLATED_FAMILY, [Message("user", "|stop")])


@pytest.mark.parametrize(
    "template", ["{{ raise_exception('no such role') }}", "{% for %}", "{{ messages[9].content }}", "{{ 1 / 0 }}"]
)
def test_a_template_that_fails_names_itself(template: str) -> None:
    tokenizer = byte_level(("<s>", "</s>"), bos="<s>", eos="</s>", template=template)
    with pytest.raises(ModelError, match="chat template fails") as caught:
        render(tokenizer, TEMPLATED_FAMILY, ASKED)
    assert "chat_template.jinja" in caught.value.hint


LLAMA_3_1_ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                  "original_max_position_embeddings": 8192, "rope_theta": 5e5}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "limit", "expected"),
    [
        (LlamaConfig(max_position_embeddings=8192), None, 8192),
        (LlamaConfig(max_position_embeddings=131072, rope_parameters=LLAMA_3_1_ROPE), None, 131072),
        (
            LlamaConfig(max_position_embeddings=4096, rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}),
            None,
            16384,
        ),
        (Gemma2Config(max_position_embeddings=8192, sliding_window=4096), None, 8192),
        (MistralConfig(max_position_embeddings=32768, sliding_window=4096), None, 4096),
        (Qwen2Config(max_position_embeddings=32768, sliding_window=4096, use_sliding_window=False), None, 32768),
        (GPT2Config(n_positions=1024), None, 1024),
        (LlamaConfig(max_position_embeddings=8192), 4096, 4096),
        (LlamaConfig(max_position_embeddings=8192), 10**30, 8192),
        (LlamaConfig(max_position_embeddings=-5), None, 2048),
        (object(), None, 2048),
    ],
    ids=["llama3", "llama3.1", "linear", "gemma2", "mistral", "qwen2", "gpt2", "tokenizer", "no limit", "negative", "unknown"],
)
def test_context(config: Any, limit: int | None, expected: int) -> None:
    tokenizer = gpt2_words()
    if limit is not None:
        tokenizer.model_max_length = limit
    assert context_length(config, tokenizer) == expected


def test_soft_capping_needs_eager_attention() -> None:
    assert attention(Gemma2Config()) == "eager"
    assert attention(Gemma2Config(attn_logit_softcapping=None)) is None
    assert attention(LlamaConfig()) is None


@pytest.mark.parametrize(
    ("model_type", "tokens", "template", "name", "family"),
    [
        ("llama", LLAMA_3_TOKENS, None, "m", LLAMA_3_FAMILY),
        ("llama", LLAMA_3_TOKENS, "<|start_header_id|>", "m", LLAMA_3_FAMILY),
        ("llama", LLAMA_3_TOKENS, "<｜User｜>", "DeepSeek-R1-Distill-Llama-8B", TEMPLATED_FAMILY),
        ("gemma2", GEMMA_2_TOKENS, None, "m", GEMMA_2_FAMILY),
        ("llama", LLAMA_2_TOKENS, "[INST] <<SYS>>", "m", LLAMA_2_FAMILY),
        ("llama", LLAMA_2_TOKENS, None, "Llama-2-7b-chat-hf", LLAMA_2_FAMILY),
        ("llama", LLAMA_2_TOKENS, None, "TinyStories", PLAIN_FAMILY),
        ("mistral", LLAMA_2_TOKENS, "[INST]", "m", TEMPLATED_FAMILY),
        ("gpt2", ("<|endoftext|>",), None, "gpt2", PLAIN_FAMILY),
    ],
)
def test_families_are_told_apart(
    model_type: str, tokens: tuple[str, ...], template: str | None, name: str, family: Family
) -> None:
    assert choose_family(model_type, tokens, template, name=name) is family


def test_of_several_templates_the_default_one_is_taken(tmp_path: Path) -> None:
    tokenizer = byte_level(("<s>", "</s>"), bos="<s>", eos="</s>")
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config["chat_template"] = [{"name": "tools", "template": "T"}, {"name": "default", "template": "{{ messages[0].content }}!"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert loaded.decode(render(loaded, TEMPLATED_FAMILY, [Message("user", "Hi")])) == "<s>Hi!"
