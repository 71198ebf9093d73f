"""The chat's commands about a turn: asking it again or in another way, judging it, taking it elsewhere."""

from typing import TYPE_CHECKING

from assistant.chat.clipboard import copy_sequence
from assistant.chat.composing import compose
from assistant.errors import UsageError
from assistant.feedback import Kind, append_feedback, judge_answer
from assistant.rendering.sessions import copied

if TYPE_CHECKING:
    from assistant.chat.repl import Chat


def regenerate(chat: "Chat", _rest: str) -> None:
    """Answer the last question again from the same passages."""
    chat.regenerate()


def fresh(chat: "Chat", _rest: str) -> None:
    """Ask the last question again, whatever was answered before."""
    chat.ask(chat.answered.question, instead=True, fresh=True)


def wrong(chat: "Chat", rest: str) -> None:
    """Say that an earlier answer doesn't fit: it is never given again."""
    answer, cache = chat.answered, chat.assistant.cache
    if answer.cache_entry is None or cache is None:
        raise UsageError("this answer was written for this very question", hint="/bad WHY says that it is not right")
    cache.quarantine(answer.cache_entry, answer.rewritten or answer.question)
    _judge(chat, "wrong_cache", rest or None, "noted: that answer isn't given again; /fresh asks this question afresh")


def was_cached(chat: "Chat") -> bool:
    """Whether the last answer had been given before."""
    return chat.recording.last is not None and chat.recording.last.cached


def edit(chat: "Chat", rest: str) -> None:
    """Ask the last question in other words; the new turn takes its place. A command typed instead is obeyed."""
    from assistant.chat.commands import is_command

    before = chat.answered
    line = rest
    if not rest:
        if not chat.reader.interactive:
            raise UsageError("/edit needs the new question here", hint="/edit QUESTION")
        try:
            line = chat.reader.read(before.question).strip()
        except (EOFError, KeyboardInterrupt):
            line = ""
    if not line:
        chat.screen.note("nothing was changed")
    elif is_command(line):
        chat.obey(line)
    elif before.general:
        chat.general(line, instead=True)
    else:
        chat.ask(line, instead=True)


def editor(chat: "Chat", rest: str) -> None:
    """Write a question in the editor, and ask it."""
    if not chat.reader.interactive:
        raise UsageError("/editor needs a terminal", hint="write the question between two lines :::")
    question = compose(rest)
    if not question:
        chat.screen.note("nothing was asked: the editor left no text")
        return
    chat.screen.note(f"> {question}")
    chat.ask(question)


def general(chat: "Chat", rest: str) -> None:
    """Answer a question without documents."""
    if not rest:
        raise UsageError("/general needs a question", hint="/general QUESTION")
    chat.general(rest)


def can_talk(chat: "Chat") -> bool:
    """Whether the model answers without documents too."""
    return chat.assistant.model.budget is not None


def good(chat: "Chat", _rest: str) -> None:
    """Record that the last answer is right."""
    _judge(chat, "good", None, "noted: good")


def bad(chat: "Chat", rest: str) -> None:
    """Record that it is not, and why."""
    _judge(chat, "bad", rest or None, "noted: bad" if rest else "noted: bad (/better TEXT says how it should read)")


def better(chat: "Chat", rest: str) -> None:
    """Record how it should read."""
    if not rest:
        raise UsageError("/better needs the better answer", hint="/better TEXT; Alt-Enter begins a new line")
    _judge(chat, "better", rest, "noted: this is how it should read")


def copy(chat: "Chat", _rest: str) -> None:
    """Put the last answer on the clipboard of the terminal."""
    answer = chat.answered
    if not chat.screen.terminal.interactive:
        raise UsageError("there is no terminal whose clipboard could take it", hint="/save FILE writes it into a file")
    sequence = copy_sequence(copied(answer))
    if sequence is None:
        raise UsageError("the answer is too long for a terminal's clipboard", hint="/save FILE writes it into a file")
    chat.screen.out.file.write(sequence)
    chat.screen.out.file.flush()
    chat.screen.note("copied, where the terminal allows it (OSC 52; in tmux: set -g set-clipboard on)")


def _judge(chat: "Chat", kind: Kind, text: str | None, noted: str) -> None:
    append_feedback(chat.settings.home, judge_answer(kind, chat.answered, text=text))
    chat.screen.note(f"{noted}. `assistant feedback` shows what is kept.")
