"""The chat's commands about conversations: /new, /sessions, /resume, /save."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.errors import StorageFull, UsageError
from assistant.rendering.sessions import render_sessions, transcript

if TYPE_CHECKING:
    from assistant.chat.repl import Chat

SHOWN = 20
"""Conversations that `/sessions` lists and Tab offers."""


def new(chat: "Chat", _rest: str) -> None:
    """Leave this conversation and begin an empty one."""
    before = chat.recording.session_id
    chat.recording.begin_anew()
    chat.screen.note(f"a new conversation; /resume {before} goes back" if before else "a new conversation")


def sessions(chat: "Chat", _rest: str) -> None:
    """List the conversations kept."""
    found = chat.recording.store.sessions(limit=SHOWN)
    if not found:
        chat.screen.note("No conversation is kept yet.")
        return
    chat.screen.show(render_sessions(found, current=chat.recording.session_id))
    chat.screen.note("/resume ID goes on with one; `assistant history` lists all, shows and deletes them")


def resume(chat: "Chat", rest: str) -> None:
    """Go on with another conversation: the one named, or the last one before this."""
    if rest:
        chat.resume(chat.recording.store.find(rest))
        return
    others = [one for one in chat.recording.store.sessions(limit=2) if one.session_id != chat.recording.session_id]
    if not others:
        raise UsageError("there is no other conversation to go on with", hint="/sessions lists those kept")
    chat.resume(others[0])


def save(chat: "Chat", rest: str) -> None:
    """Write this conversation into a Markdown file."""
    if not rest:
        raise UsageError("/save needs the name of a file", hint="/save answers.md")
    if not chat.recording.answers:
        raise UsageError("there is nothing to save yet", hint="type a question first")
    file = Path(rest).expanduser()
    if file.exists() and not _may_overwrite(chat, file):
        chat.screen.note("nothing was written")
        return
    try:
        file.write_text(transcript(chat.recording.answers), encoding="utf-8", errors="replace")
    except OSError as error:
        raise StorageFull(
            f"can't write {rest!r}: {error.strerror or error}", hint="/save takes a file in a folder that you may write to"
        ) from error
    chat.screen.note(f"written: {file}")


def _may_overwrite(chat: "Chat", file: Path) -> bool:
    if not chat.reader.interactive:
        raise UsageError(f"{str(file)!r} exists", hint="/save takes the name of a new file")
    try:
        return chat.reader.confirm(f"{str(file)!r} exists. Overwrite it?")
    except EOFError:
        return False


def has_sessions(chat: "Chat") -> bool:
    """Whether there is anything to list; while Tab is pressed no fault of the file is worth a message."""
    try:
        return bool(chat.recording.store.sessions(limit=1))
    except StorageFull:
        return False


def ids(chat: "Chat") -> Sequence[str]:
    """Ids of the other conversations, the latest first."""
    try:
        found = chat.recording.store.sessions(limit=SHOWN)
    except StorageFull:
        return ()
    return [one.session_id for one in found if one.session_id != chat.recording.session_id]
