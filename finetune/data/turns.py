"""Turns of a conversation, as the layouts write them → messages in their right order.

``{"role", "content"}``, ShareGPT's ``{"from", "value"}``, contents in parts, and the transcripts of Anthropic's hh-rlhf.
"""

import re
from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import Any, Literal

from assistant.records import Message
from finetune.data.fields import Fields, shown

Role = Literal["system", "user", "assistant"]
ROLES: dict[str, Role] = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant", "chatgpt": "assistant",
}  # fmt: skip
"""What the roles are called in the data that is around."""
TRANSCRIPT = "\n\nHuman:"
"""How a text begins that is a whole conversation (hh-rlhf)."""
_SPEAKER = re.compile(r"\n\n(Human|Assistant):")


def read_turns(fields: Fields, key: str, items: Sequence[Any] | None = None) -> list[Message]:
    """The messages of a list of turns; none of them where one is faulty. A system message without a text is left out."""
    before = len(fields.faults)
    messages = []
    for number, turn in enumerate(fields.items(key) if items is None else items, 1):
        message = _turn(fields, f"turn {number} of '{key}'", turn)
        if message:
            messages.append(message)
    return messages if len(fields.faults) == before else []


def _turn(fields: Fields, name: str, turn: Any) -> Message | None:
    said = {"role": "content", "from": "value"}
    key = next((key for key in said if isinstance(turn, dict) and key in turn), None)
    if key is None:
        fields.wrong(f"{name} is {shown(turn)}", 'a turn is {"role": "user", "content": "…"}')
        return None
    role = ROLES.get(str(turn[key]).lower())
    if role is None:
        fields.wrong(f"{name} has the role {shown(turn[key])}", f"roles are {', '.join(ROLES)}; leave others out")
        return None
    content = _content(turn.get(said[key]))
    if role == "system" and not content:
        return None
    return Message(role, fields.sound(f"{name} ({role})", content))


def _content(value: Any) -> Any:
    """A content in parts as one text, where all of them are texts."""
    if not isinstance(value, list):
        return value
    texts: list[Any] = [part.get("text", part.get("value")) if isinstance(part, dict) else part for part in value]
    return "".join(texts) if all(isinstance(text, str) for text in texts) else value


def check_order(fields: Fields, key: str, messages: Sequence[Message], *, last: Role) -> None:
    """Note where messages are out of order: a system message first, then user and assistant in turn, up to the last role."""
    if not messages:
        return
    spoken = [(number, message.role) for number, message in enumerate(messages, 1) if message.role != "system"]
    late = [number for number, message in enumerate(messages, 1) if message.role == "system" and number > 1]
    if late:
        fields.wrong(f"turn {late[0]} of '{key}' is a system message", "put what the system says into the first turn")
    if not spoken or spoken[0][1] != "user":
        whose = "the assistant's" if spoken else "the system's only"
        fields.wrong(f"the first turn of '{key}' is {whose}", "begin with what the user says")
    for (first, role), (second, other) in pairwise(spoken):
        if role == other:
            what = f"turns {first} and {second} of '{key}' are both the {role}'s"
            fields.wrong(what, "join the two, or put the missing turn between them")
    if spoken and messages[-1].role != last:
        mend = "add the assistant's answer, or take the last turn off" if last == "assistant" else "take the last turn off"
        fields.wrong(f"the last turn of '{key}' is the {messages[-1].role}'s, not the {last}'s", mend)


def read_prompt(fields: Fields, key: str = "prompt") -> tuple[Message, ...]:
    """A prompt: a text, a transcript or messages, after what ``system`` says."""
    value = fields.get(key)
    if isinstance(value, list):
        messages = read_turns(fields, key)
    elif isinstance(value, str) and value.startswith(TRANSCRIPT):
        messages = read_transcript(fields, key, value.removesuffix("\n\nAssistant:"))
    else:
        messages = [Message("user", fields.text(key))]
    return begun(fields, key, messages, last="user")


def begun(fields: Fields, key: str, messages: Sequence[Message], *, last: Role) -> tuple[Message, ...]:
    """Messages in their right order, with the record's ``system`` before them."""
    system = fields.optional("system")
    if system and messages and messages[0].role != "system":
        messages = [Message("system", system), *messages]
    elif system and messages and messages[0].content != system:
        fields.wrong(f"'system' says another thing than the first turn of '{key}'", "keep one of the two")
    check_order(fields, key, messages, last=last)
    return tuple(messages)


def read_answer(fields: Fields, key: str, prompt: Sequence[Message] = ()) -> str:
    """An answer: a text, a message, or messages of which all but the last repeat the prompt."""
    value = fields.get(key)
    if not isinstance(value, dict | list):
        return fields.text(key)
    messages = read_turns(fields, key, [value] if isinstance(value, dict) else None)
    for told in (list(prompt), [message for message in prompt if message.role != "system"]):
        if told and messages[: len(told)] == told:
            messages = messages[len(told) :]
    if messages and [message.role for message in messages] != ["assistant"]:
        fields.wrong(f"'{key}' is not one message of the assistant", "give the answer alone, as a text or one message")
    elif not messages and not fields.failed:
        fields.wrong(f"'{key}' is empty", "fill it, or delete the row")
    return messages[-1].content if messages else ""


def read_transcript(fields: Fields, key: str, text: str) -> list[Message]:
    """The messages of a text in which ``Human:`` and ``Assistant:`` speak."""
    parts = _SPEAKER.split(text)[1:]
    turns = [{"from": who, "value": said.strip()} for who, said in zip(parts[::2], parts[1::2], strict=True)]
    return read_turns(fields, key, turns)


def read_sides(fields: Fields) -> tuple[list[Message], str, str]:
    """Prompt, chosen and rejected answer of two conversations that differ in their last turn only (``is_whole``)."""
    keys = ("chosen", "rejected") if fields.get("chosen") is not None else ("chosen_messages", "rejected_messages")
    first, second = (_side(fields, key) for key in keys)
    if not first or not second:
        return [], "", ""
    check_order(fields, keys[0], first, last="assistant")
    check_order(fields, keys[1], second, last="assistant")
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))
    if same < max(len(first), len(second)) - 1:
        what = f"'{keys[0]}' and '{keys[1]}' part at turn {same + 1}, before the last one"
        fields.wrong(what, "end both with the first answer that differs")
    return first[:-1], first[-1].content, second[-1].content


def is_whole(value: object) -> bool:
    """Whether a side of a pair holds its prompt too: messages, or a transcript."""
    return not isinstance(value, str) or value.startswith(TRANSCRIPT)


def _side(fields: Fields, key: str) -> list[Message]:
    value = fields.get(key)
    return read_transcript(fields, key, value) if isinstance(value, str) else read_turns(fields, key)
