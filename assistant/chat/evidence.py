"""The chat's commands about evidence: /sources, /open, /why, /search."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from assistant.chat.opening import open_file
from assistant.errors import UsageError
from assistant.records import Citation
from assistant.rendering.answers import render_hits, render_sources
from assistant.rendering.why import render_prompt, render_why

if TYPE_CHECKING:
    from assistant.chat.repl import Chat

PROMPT = "prompt"


def sources(chat: "Chat", _rest: str) -> None:
    """Show the cited passages of the last answer in full."""
    chat.screen.show([*render_sources(chat.answered, chat.screen.terminal), Text("")])


def open_citation(chat: "Chat", rest: str) -> None:
    """Open the file of a citation."""
    citations = _citations(chat)
    found = next((citation for citation in citations if str(citation.marker) == rest.strip("[]")), None)
    if found is None:
        numbers = ", ".join(str(citation.marker) for citation in citations) or "none"
        raise UsageError(f"there is no citation {rest!r} in the last answer", hint=f"/open takes one of: {numbers}")
    if not open_file(found.path, found.lines[0] if found.lines else None):
        chat.screen.note(f"{found.path}\nNothing here can open it: set EDITOR to your editor.")


def why(chat: "Chat", rest: str) -> None:
    """Show how the last answer came about, or the prompt that it was written from."""
    answer = chat.answered
    if rest not in ("", PROMPT):
        raise UsageError(f"/why takes nothing or {PROMPT!r}, not {rest!r}", hint="/why, or /why prompt")
    lines = render_prompt(answer.trace) if rest and answer.trace else render_why(answer, chat.screen.terminal)
    chat.screen.show([*lines, Text("")])


def search(chat: "Chat", rest: str) -> None:
    """Find passages without answering."""
    from assistant.answering import readable_question

    hits = chat.assistant.searcher.search(readable_question(rest), k=chat.settings.top_k)
    chat.screen.show([*render_hits(hits, chat.screen.terminal), Text("")])


def has_citations(chat: "Chat") -> bool:
    """Whether there is a file to open."""
    return chat.recording.last is not None and bool(_citations(chat))


def numbers(chat: "Chat") -> Sequence[str]:
    """The citations' numbers."""
    return [str(citation.marker) for citation in _citations(chat)] if chat.recording.last else ()


def parts(_chat: "Chat") -> Sequence[str]:
    """What `/why` takes."""
    return (PROMPT,)


def _citations(chat: "Chat") -> Sequence[Citation]:
    return chat.answered.citations or chat.answered.nearest
