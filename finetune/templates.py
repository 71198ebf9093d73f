"""Chat templates with marks around what the assistant writes, for trainers that find by them which tokens to learn (pure).

Each renders what its family's own template does, with ``{% generation %}`` around every answer and the token that ends it.
`finetune` itself needs none of them (``finetune.formatting``); a test holds their masks against what it learns.
"""

from collections.abc import Mapping
from types import MappingProxyType

from assistant.models.rendering import FIXED_DATE
from indexes.errors import UsageError

_LLAMA_TURN = (
    "{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}"
    "{%- if message.role == 'assistant' -%}"
    "{%- generation -%}{{- message.content | trim + '<|eot_id|>' -}}{%- endgeneration -%}"
    "{%- else -%}{{- message.content | trim + '<|eot_id|>' -}}"
    "{%- endif -%}"
)
_LLAMA_PROMPT = "{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif -%}"

LLAMA_3 = (
    "{%- for message in messages -%}"
    "{%- if loop.first %}{{ bos_token }}{% endif -%}" + _LLAMA_TURN + "{%- endfor -%}" + _LLAMA_PROMPT
)
"""Source: Meta, "Llama 3 model card and prompt formats"."""

_DATED = (
    "{%- set system = messages[0].content | trim if messages[0].role == 'system' else '' -%}"
    "{{- bos_token + '<|start_header_id|>system<|end_header_id|>\n\n' }}"
    "{{- 'Cutting Knowledge Date: December 2023\nToday Date: ' + date_string + '\n\n' + system + '<|eot_id|>' }}"
    "{%- for message in (messages[1:] if messages[0].role == 'system' else messages) -%}"
    + _LLAMA_TURN
    + "{%- endfor -%}"
    + _LLAMA_PROMPT
)
_GIVEN_OR_FIXED = f"{{%- if date_string is not defined %}}{{% set date_string = '{FIXED_DATE}' %}}{{% endif -%}}"

LLAMA_3_1 = _GIVEN_OR_FIXED + _DATED
"""Source: the template of Llama 3.1's instruct models, for conversations without tools: a system turn, always, with two dates."""

LLAMA_3_2 = (
    "{%- if date_string is not defined and strftime_now is defined %}"
    "{% set date_string = strftime_now('%d %b %Y') %}"
    "{% endif -%}" + LLAMA_3_1
)
"""Source: the template of Llama 3.2's instruct models. Where no ``date_string`` is given it names today: give one."""

GEMMA_2 = (
    "{{- bos_token -}}"
    "{%- set told = namespace(system='') -%}"
    "{%- for message in messages -%}"
    "{%- if message.role == 'system' -%}{%- set told.system = message.content + '\n\n' -%}"
    "{%- elif message.role == 'user' -%}"
    "{{- '<start_of_turn>user\n' + (told.system + message.content) | trim + '<end_of_turn>\n' -}}"
    "{%- set told.system = '' -%}"
    "{%- else -%}"
    "{{- '<start_of_turn>model\n' -}}"
    "{%- generation -%}{{- message.content | trim + '<end_of_turn>' -}}{%- endgeneration -%}"
    "{{- '\n' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif -%}"
)
"""Source: Google, "Gemma formatting and system instructions". A system text goes into the first user turn."""

PLAIN = (
    "{%- for message in messages -%}"
    "{%- if message.role == 'assistant' -%}"
    "{{- '\nAnswer:' -}}"
    "{%- generation -%}{{- ' ' + message.content | trim + (eos_token if loop.last else '') -}}{%- endgeneration -%}"
    "{{- '' if loop.last else '\n\n' -}}"
    "{%- else -%}{{- message.content + ('\n\n' if message.role == 'system' else '') -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt %}{{ '\nAnswer:' }}{% endif -%}"
)
"""For models that were never taught a chat, such as GPT-2: EOS ends a row, an empty line (not learned) an answer inside it.

transformers finds tokens by their first character: of an answer inside a row that ends in a character of several tokens, its mask
leaves out the last ones.
"""

TEMPLATES: Mapping[str, str] = MappingProxyType(
    {"llama3": LLAMA_3, "llama3.1": LLAMA_3_1, "llama3.2": LLAMA_3_2, "gemma2": GEMMA_2, "plain": PLAIN}
)
"""Name → Jinja text."""


def training_template(family_name: str) -> str:
    """The chat template of a family, with marks around what the assistant writes.

    Args:
        family_name: one of ``TEMPLATES``.

    Raises:
        UsageError: there is none of that name.
    """
    if family_name not in TEMPLATES:
        raise UsageError(f"there is no chat template {family_name!r}", hint=f"it can be {', '.join(TEMPLATES)}")
    return TEMPLATES[family_name]
