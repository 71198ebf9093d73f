"""The chat's commands that choose what answers: /index and /model."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from assistant.commands import completion
from assistant.errors import StorageFull, UsageError
from assistant.rendering.indexes import render_report
from assistant.settings import EXTRACTIVE

if TYPE_CHECKING:
    from assistant.chat.repl import Chat


def index(chat: "Chat", rest: str) -> None:
    """Refresh (no argument), answer from the indexes named, or read the folders named."""
    from assistant.commands import indexing
    from indexes.roots import RootRequest

    words, names = rest.split(), completion.names_in(chat.settings.home)
    if words and all(word in names for word in words):
        chat.use(words)
        chat.greet()
        return
    paths = _folders(rest, names)
    current = chat.assistant.index_names
    targets = [indexing.name_to_build(chat.settings, paths, None)] if paths else current
    for name in targets:
        report = indexing.build(chat.settings, chat.screen, name, [RootRequest(path) for path in paths])
        chat.screen.show([*render_report(report, chat.screen.terminal), Text("")])
    chat.use(targets)


def _folders(rest: str, names: Sequence[str]) -> list[Path]:
    whole = Path(rest).expanduser()  # a path may hold spaces
    paths = [whole] if rest and whole.exists() else [Path(word).expanduser() for word in rest.split()]
    for path in paths:
        if not path.exists():
            near = difflib.get_close_matches(str(path), names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"indexes: {', '.join(names) or 'none'}"
            raise UsageError(f"{str(path)!r} is neither an index nor a folder", hint=hint)
    return paths


def model(chat: "Chat", rest: str) -> None:
    """Show who answers, or let another model answer; the indexes stay open."""
    if rest and rest != chat.assistant.model_name:
        chat.use_model(rest)
    chat.say_who_answers()


def index_names(chat: "Chat") -> Sequence[str]:
    """The indexes there are."""
    return completion.names_in(chat.settings.home)


def model_names(chat: "Chat") -> Sequence[str]:
    """The models known here: built in, set, and those that answered before."""
    try:
        used = [session.model for session in chat.recording.store.sessions(limit=50)]
    except StorageFull:
        used = []
    return list(dict.fromkeys((EXTRACTIVE, chat.settings.model, *used)))
