"""What each family of models needs: its chat format, its stop tokens, how much it reads, which attention computes it right.

`rendering` turns messages into token ids by it. A tokenizer's own chat template always wins; the ones here, written from the
families' published formats, serve tokenizers that come without. Nothing here loads torch or reads a file.
"""

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

from assistant.models import Decoding

PLAIN = (
    "{%- for message in messages -%}"
    "{%- if message.role == 'assistant' %}{{ '\nAnswer: ' + message.content | trim + '\n\n' }}"
    "{%- else %}{{ message.content + ('\n\n' if message.role == 'system' else '') }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt %}{{ '\nAnswer:' }}{% endif -%}"
)
"""For models that were never taught a chat: the system text, what the user says, and ``Answer:`` on a line of its own."""

LLAMA_3 = (
    "{%- for message in messages -%}"
    "{%- if loop.first %}{{ bos_token }}{% endif -%}"
    "{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + message.content | trim + '<|eot_id|>' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif -%}"
)
"""Source: Meta, "Llama 3 model card and prompt formats": a header with the role, two line ends, the text, ``<|eot_id|>``."""

GEMMA_2 = (
    "{{- bos_token -}}"
    "{%- for message in messages -%}"
    "{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}"
    "{{- message.content | trim + '<end_of_turn>\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif -%}"
)
"""Source: Google, "Gemma formatting and system instructions": turns of ``user`` and ``model``, no system role."""

LLAMA_2 = (
    "{%- set told = namespace(system='') -%}"
    "{%- for message in messages -%}"
    "{%- if message.role == 'system' %}"
    "{%- set told.system = '<<SYS>>\n' + message.content | trim + '\n<</SYS>>\n\n' %}"
    "{%- elif message.role == 'user' %}"
    "{{- bos_token + '[INST] ' + told.system + message.content | trim + ' [/INST]' }}"
    "{%- set told.system = '' %}"
    "{%- else %}{{ ' ' + message.content | trim + ' ' + eos_token }}"
    "{%- endif -%}"
    "{%- endfor -%}"
)
"""Source: Meta, "Llama 2 model card and prompt formats": every exchange stands between BOS and EOS of its own."""


@dataclass(frozen=True, slots=True)
class Family:
    """What a family of models needs.

    Attributes:
        name: short, as in manifests and logs.
        title: as a person calls it.
        template: Jinja text of the chat format, for a tokenizer that has none.
        system_role: whether a system message has a place; otherwise its text goes before the first user message.
        stop_tokens: tokens that end an answer, as far as the tokenizer has them.
        stop_texts: texts that end an answer once it has begun, for models without a token for it.
        markers: plain text that the format is made of: in a message it must not read as structure.
        apart: whether each exchange is encoded by itself. SentencePiece puts a space before a text; Llama 2 was taught with one
            before each exchange, and transformers 5 leaves it out after a special token unless the tokenizer is "legacy".
        pad_tokens: tokens to pad with, best first, where the tokenizer names none.
        float16: whether its activations stay within fp16's range.
        decoding: how it writes when nobody says otherwise: the likeliest token always, so that an answer can be checked, cached
            and had again; where a temperature is asked for, with the top-p that the family was published with.
    """

    name: str
    title: str
    template: str = PLAIN
    system_role: bool = True
    stop_tokens: tuple[str, ...] = ()
    stop_texts: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    apart: bool = False
    pad_tokens: tuple[str, ...] = ("<pad>", "[PAD]", "<unk>", "[UNK]")
    float16: bool = True
    decoding: Decoding = field(default_factory=Decoding)


LLAMA_3_FAMILY = Family(
    "llama3",
    "Llama 3",
    template=LLAMA_3,
    stop_tokens=("<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"),
    pad_tokens=("<|finetune_right_pad_id|>", "<|reserved_special_token_0|>"),
    decoding=Decoding(top_p=0.9),
)
GEMMA_2_FAMILY = Family(
    "gemma2",
    "Gemma 2",
    template=GEMMA_2,
    system_role=False,
    stop_tokens=("<end_of_turn>", "<eos>"),
    pad_tokens=("<pad>",),
    float16=False,  # it was trained in bf16; in fp16 its hidden states overflow to infinity
)
LLAMA_2_FAMILY = Family(
    "llama2",
    "Llama 2",
    template=LLAMA_2,
    stop_tokens=("</s>",),
    markers=("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    apart=True,
    pad_tokens=("<pad>", "<unk>"),
    decoding=Decoding(top_p=0.9),
)
PLAIN_FAMILY = Family(
    "plain",
    "a model without a chat format",
    stop_tokens=("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"),
    stop_texts=("\n\n", "\nAnswer:", "\nQuestion:"),
    markers=("\nAnswer:",),
    decoding=Decoding(max_tokens=128),
)
TEMPLATED_FAMILY = Family("templated", "a model with a chat format of its own")
FAMILIES = (LLAMA_3_FAMILY, GEMMA_2_FAMILY, LLAMA_2_FAMILY, PLAIN_FAMILY, TEMPLATED_FAMILY)

DEFAULT_CONTEXT = 2048
"""Tokens to take a model for when neither its config nor its tokenizer says (ALiBi has no limit of its own)."""
UNLIMITED = 10**9
"""Tokenizers without a limit say a number beyond this."""
EXTENDING = ("linear", "dynamic", "ntk", "yarn")
"""RoPE scalings whose factor stretches ``max_position_embeddings`` where the original length isn't told apart."""


def choose_family(model_type: str, tokens: Container[str], template: str | None, *, name: str = "") -> Family:
    """Which family a model belongs to.

    Args:
        model_type: of its ``config.json``.
        tokens: the tokenizer's special and added tokens.
        template: its chat template; None: it has none.
        name: the model's id or folder; only the Llama 2 chats of 2023 have nothing else to be told by.
    """
    if model_type == "gemma2":
        return GEMMA_2_FAMILY
    if "<|start_header_id|>" in tokens and "<|eot_id|>" in tokens and (template is None or "<|start_header_id|>" in template):
        return LLAMA_3_FAMILY  # DeepSeek's distills have Llama 3's tokens and another template
    if template is not None:
        return LLAMA_2_FAMILY if "[INST]" in template and "<<SYS>>" in template else TEMPLATED_FAMILY
    if model_type == "llama" and "</s>" in tokens and "llama-2" in name.lower() and "chat" in name.lower():
        return LLAMA_2_FAMILY
    return PLAIN_FAMILY


def attention(config: Any) -> str | None:
    """The attention implementation that computes a model as it was trained; None: transformers' own choice, SDPA where it can.

    SDPA has no way to cap the attention logits as Gemma 2 does. transformers 5.23 refuses it for Gemma 2 (and raises where a cap
    reaches it), earlier releases fell back or left the cap out: so eager is asked for by name. FlexAttention caps too, but it has
    to be compiled, and only a GPU gains by it.
    """
    return "eager" if getattr(config, "attn_logit_softcapping", None) else None


def context_length(config: Any, tokenizer: Any = None) -> int:
    """The most tokens, prompt and answer together, that a model reads as it was trained to.

    The least of: positions (stretched by a RoPE scaling that says so), the sliding window where every layer has one, and the
    tokenizer's own limit. Gemma 2, whose every other layer sees everything, keeps its whole context.
    """
    limits = [_positions(config)]
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention"])
    if window and kinds == {"sliding_attention"}:
        limits.append(int(window))
    said = getattr(tokenizer, "model_max_length", None)
    if said and said < UNLIMITED:
        limits.append(int(said))
    return min((limit for limit in limits if limit > 0), default=DEFAULT_CONTEXT)


def _positions(config: Any) -> int:
    positions = int(getattr(config, "max_position_embeddings", None) or getattr(config, "max_seq_len", None) or 0)
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if not positions or not isinstance(rope, dict):
        return positions
    original, factor = rope.get("original_max_position_embeddings"), float(rope.get("factor") or 1.0)
    if original:  # Llama 3.1, LongRoPE, most YaRN: ``max_position_embeddings`` is the stretched length already
        return max(positions, int(original))
    kind = rope.get("rope_type") or rope.get("type") or "default"
    return int(positions * factor) if kind in EXTENDING else positions
