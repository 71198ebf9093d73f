"""Messages → the token ids that a model reads, by its family and its tokenizer's chat template.

What a message holds stays text: a control token typed in a document can't become one. The check does not rely on any list: the
same turns are rendered with a harmless word in the place of every content, and whatever control token there is more of than in
that comes from the contents, and is broken by a space. It knows neither the model's weights nor what the messages say.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from assistant.errors import ModelError
from assistant.models.families import Family, choose_family
from assistant.prompt import without_system
from assistant.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HARMLESS = "x"
FIXED_DATE = "26 Jul 2024"
"""The date that Llama 3.1's template names by default. 3.2's would name today, and prompts would change at midnight."""


def recognise(config: Any, tokenizer: "PreTrainedTokenizerBase", *, name: str = "") -> Family:
    """Which family a loaded tokenizer and config belong to; a template that can't take a system message is found by trying."""
    template = own_template(tokenizer)
    family = choose_family(str(getattr(config, "model_type", "")), special_tokens(tokenizer), template, name=name)
    if template is None or not family.system_role:
        return family
    probe = [Message("system", "alpha"), Message("user", "omega")]
    try:
        takes_system = "alpha" in _apply(tokenizer, family, probe)
    except ModelError:  # it says so itself: `raise_exception('System role not supported')`
        takes_system = False
    return family if takes_system else replace(family, system_role=False)


def own_template(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """The chat template that a tokenizer brings; of several, the one called ``default``."""
    template = tokenizer.chat_template
    if isinstance(template, dict):
        return template.get("default")
    return template or None


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> frozenset[str]:
    """What a tokenizer reads as more than text."""
    return frozenset({str(token) for token in _special(tokenizer).values()})


def render(tokenizer: "PreTrainedTokenizerBase", family: Family, messages: Sequence[Message]) -> list[int]:
    """Render messages and the beginning of the answer as token ids, with exactly one BOS at the head where the model has one.

    Raises:
        ModelError: the template fails on these messages, or a control token can't be kept out of a content.
    """
    harmless = [Message(message.role, HARMLESS) for message in messages]
    allowed = _Control(tokenizer, family, harmless)
    for attempt in (list(messages), _broken(tokenizer, family, messages), _broken(tokenizer, family, _composed(messages))):
        found = _Control(tokenizer, family, attempt)
        if not found.texts - allowed.texts and not found.ids - allowed.ids:
            return _with_one_bos(tokenizer, found.rendered)
    strange = next(iter((found.texts - allowed.texts) or (found.ids - allowed.ids)))
    raise ModelError(
        f"a passage or message holds {strange!r}, which this model's tokenizer reads as a control token",
        hint="leave the document out (assistant index --exclude), or answer with another model (--model)",
    )


def stop_ids(
    tokenizer: "PreTrainedTokenizerBase", family: Family, generation_config: Any = None, *, rows: int | None = None
) -> tuple[int, ...]:
    """The ids that end an answer: the family's, the tokenizer's EOS, the generation config's, what the template ends turns with.

    Ids beyond the ``rows`` of the model's embedding can't be written, and don't count.

    Raises:
        ModelError: there is none, so that no answer would ever end.
    """
    special = _special(tokenizer)
    found = {token_id for token_id, token in special.items() if token in family.stop_tokens}
    configured = getattr(generation_config, "eos_token_id", None)
    several = configured if isinstance(configured, list | tuple) else [configured]
    possible: list[Any] = [*found, tokenizer.eos_token_id, end_of_turn(tokenizer, family), *several]
    ids = sorted({int(token_id) for token_id in possible if token_id is not None and (rows is None or token_id < rows)})
    if not ids:
        raise ModelError(
            "the tokenizer names no token that ends a text (eos_token is None), so that answers would never end",
            hint='set "eos_token" in tokenizer_config.json to the token that ends this model\'s texts',
        )
    return tuple(ids)


def ending_id(tokenizer: "PreTrainedTokenizerBase", family: Family, generation_config: Any = None) -> int:
    """The one id that answers are ended with where they are trained on or scored.

    Raises:
        ModelError: no token ends a text.
    """
    stops = stop_ids(tokenizer, family, generation_config)
    ending = end_of_turn(tokenizer, family)
    if ending is not None and ending in stops:
        return ending
    eos = tokenizer.eos_token_id
    return int(eos if eos in stops else stops[0])


def render_answer(tokenizer: "PreTrainedTokenizerBase", family: Family, text: str) -> list[int]:
    """The ids of an answer as the model would write it: after ``Answer:`` with a space, after a header without; not its end."""
    space = " " if family.stop_texts and own_template(tokenizer) is None else ""
    ids = tokenizer(space + text.strip(), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return [int(each) for each in ids]


def pad_id(tokenizer: "PreTrainedTokenizerBase", family: Family, stops: Sequence[int], *, rows: int | None = None) -> int:
    """The id to pad with: the tokenizer's, else one that means nothing, and a stop token only where there is nothing else."""
    special = _special(tokenizer)
    by_token = {token: token_id for token_id, token in special.items()}
    candidates = [tokenizer.pad_token_id, *(by_token.get(token) for token in family.pad_tokens), tokenizer.unk_token_id]
    usable = [int(token_id) for token_id in candidates if token_id is not None and (rows is None or token_id < rows)]
    return next((token_id for token_id in usable if token_id not in stops), usable[0] if usable else stops[0])


class _Control:
    """A rendering, and how often each control token stands in it: as text, and as an id."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", family: Family, messages: Sequence[Message]) -> None:
        special = _special(tokenizer)
        text = _apply(tokenizer, family, messages)
        self.rendered = _encode(tokenizer, family, text)
        counted = Counter(token_id for token_id in self.rendered if token_id in special)
        self.ids = Counter({special[token_id]: count for token_id, count in counted.items()})
        self.texts = Counter({token: count for token in _control_texts(special, family) if (count := text.count(token))})


def _encode(tokenizer: "PreTrainedTokenizerBase", family: Family, text: str) -> list[int]:
    bos = tokenizer.bos_token
    if not family.apart or not bos or tokenizer.bos_token_id is None:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    head, *exchanges = str(text).split(str(bos))
    ids = list(tokenizer(head, add_special_tokens=False)["input_ids"]) if head else []
    for exchange in exchanges:
        ids += [tokenizer.bos_token_id, *tokenizer(exchange, add_special_tokens=False)["input_ids"]]
    return ids


def _control_texts(special: dict[int, str], family: Family) -> set[str]:
    return {token for token in (*special.values(), *family.stop_tokens, *family.markers) if len(token) > 1}


def _special(tokenizer: "PreTrainedTokenizerBase") -> dict[int, str]:
    """Id → text of the tokens that are more than text."""
    added = {token_id: str(token) for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}
    return added | dict(zip(tokenizer.all_special_ids, map(str, tokenizer.all_special_tokens), strict=True))


def _apply(tokenizer: "PreTrainedTokenizerBase", family: Family, messages: Sequence[Message], *, prompt: bool = True) -> str:
    """The text that a template makes of messages, and of the head of the answer when it is to prompt one."""
    spoken = messages if family.system_role else without_system(messages)
    turns = [{"role": message.role, "content": message.content} for message in spoken]
    template = own_template(tokenizer) or family.template
    try:
        text = tokenizer.apply_chat_template(
            turns, chat_template=template, tokenize=False, add_generation_prompt=prompt, date_string=FIXED_DATE
        )
    except Exception as error:  # a template is a program from elsewhere
        raise ModelError(
            f"the model's chat template fails on these messages: {error}",
            hint="mend the chat template (chat_template.jinja in the model's folder), or use another model (--model)",
        ) from error
    return str(text)


def _broken(tokenizer: "PreTrainedTokenizerBase", family: Family, messages: Sequence[Message]) -> list[Message]:
    """Messages whose contents hold no control token: each gets a space after its first character."""
    control = sorted(_control_texts(_special(tokenizer), family), key=len, reverse=True)
    broken = []
    for message in messages:
        content = f"\n{message.content}"  # a marker may begin with a line end, and a content begins a line
        for token in control:
            content = content.replace(token, f"{token[0]} {token[1:]}")
        broken.append(Message(message.role, content[1:]))
    return broken


def _composed(messages: Sequence[Message]) -> list[Message]:
    """Messages in the form that a normalising tokenizer sees: ``＜`` is ``<`` to it."""
    return [Message(message.role, unicodedata.normalize("NFKC", message.content)) for message in messages]


def _with_one_bos(tokenizer: "PreTrainedTokenizerBase", ids: list[int]) -> list[int]:
    """Ids with exactly one BOS at the head, if the tokenizer begins texts with one: templates write it or leave it out."""
    bos = tokenizer.bos_token_id
    if bos is None:
        return ids
    begun = ids[:1] == [bos] or tokenizer(HARMLESS)["input_ids"][:1] == [bos]
    while ids[:1] == [bos]:
        ids = ids[1:]
    return [bos, *ids] if begun else ids


def end_of_turn(tokenizer: "PreTrainedTokenizerBase", family: Family) -> int | None:
    """The first special token that the template puts after an assistant's text."""
    text = _apply(tokenizer, family, [Message("user", HARMLESS), Message("assistant", "alphaomega")], prompt=False)
    _, found, tail = text.rpartition("alphaomega")
    ids = tokenizer(tail, add_special_tokens=False)["input_ids"] if found else []
    special = set(_special(tokenizer)) - {tokenizer.bos_token_id if tokenizer.bos_token_id != tokenizer.eos_token_id else None}
    return next((int(token_id) for token_id in ids if token_id in special), None)
