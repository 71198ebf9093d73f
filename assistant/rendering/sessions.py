"""Conversations → terminal text, Markdown, JSON and what is copied (pure).

What documents say is data in Markdown too: in the transcript their quotes are literal blocks, and nothing in an answer becomes
a link, an image or HTML there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rich.text import Text

from assistant.chat.conversation import Session, StoredTurn
from assistant.records import Answer
from assistant.rendering.answers import MARKER, QUIET, location, render_answer, snippet
from assistant.rendering.documents import SCHEMA, answer_document
from assistant.rendering.indexes import counted
from assistant.rendering.terminal import Terminal, sanitize

TITLE = 60
"""Characters of a title in a list."""
GENERAL = "not from your documents"
UNREADABLE = "(this version can't read the answer)"

_ACTIVE = re.compile(r"[<\\`*_~]|\[(?!\d+\](?![(:\[]))|^(?=[#>=+-])", re.MULTILINE)
"""Where Markdown would begin something; a citation's ``[1]`` stays as it is."""


def render_sessions(sessions: Sequence[Session], *, current: str | None = None) -> Iterator[Text]:
    """One conversation a line, the latest first; a star marks the one that is going on."""
    for session in sessions:
        star = "*" if session.session_id == current else " "
        line = Text(f"{star} ") + Text(session.session_id, style=MARKER)
        line.append(f"  {moment(session.updated)}  {counted(session.turns, 'turn'):<8}  ", style=QUIET)
        line.append(snippet(session.title, TITLE))
        line.append(f"  {_by(session)}", style=QUIET)
        yield line


def render_resumed(session: Session, unreadable: int) -> Iterator[str]:
    """Which conversation goes on."""
    title = snippet(session.title, TITLE)
    yield f"resumed {session.session_id}: {title} ({counted(session.turns, 'turn')}, {moment(session.updated)})"
    if unreadable:
        yield f"{counted(unreadable, 'turn')} of it can't be read by this version and are left out"


def render_turn(question: str, answer: Answer | None, terminal: Terminal) -> Iterator[Text]:
    """A question with its answer, as the chat showed them."""
    yield Text(f"> {sanitize(question).strip()}")
    if answer is None:
        yield Text(UNREADABLE, style=QUIET)
        return
    if answer.rewritten:
        yield Text(f"searching for: {sanitize(answer.rewritten, one_line=True)}", style=QUIET)
    if answer.general:
        yield Text(f"({GENERAL})", style=QUIET)
    yield from render_answer(answer, terminal)


def render_session(session: Session, turns: Sequence[StoredTurn], terminal: Terminal) -> Iterator[Text]:
    """A whole conversation."""
    yield Text(f"{session.session_id}  {moment(session.created)}  {_by(session)}", style=QUIET)
    for turn in turns:
        yield Text("")
        yield from render_turn(turn.question, turn.answer, terminal)


def sessions_document(sessions: Sequence[Session]) -> Mapping[str, object]:
    """`history list --json`."""
    return {"schema": SCHEMA, "sessions": [_session(session) for session in sessions]}


def session_document(session: Session, turns: Sequence[StoredTurn]) -> Mapping[str, object]:
    """`history show ID --json`; each turn as `ask --json` has it, with when it was asked."""
    return {"schema": SCHEMA, **_session(session), "turns": [_turn(turn) for turn in turns]}


def transcript(answers: Sequence[Answer]) -> str:
    """A conversation as Markdown, with its citations."""
    index = dict.fromkeys(name for answer in answers for name in answer.index)
    models = dict.fromkeys(answer.model for answer in answers)
    parts = [f"Answered from {', '.join(map(_literal, index))} by {', '.join(map(_literal, models))}."]
    for answer in answers:
        parts += _turn_in_markdown(answer)
    return "\n\n".join(parts) + "\n"


def copied(answer: Answer) -> str:
    """What `/copy` puts on the clipboard: the answer and where it stands."""
    places = "\n".join(f"[{citation.marker}] {location(citation)}" for citation in answer.citations)
    return "\n\n".join(part for part in (sanitize(answer.text).strip(), places) if part)


def moment(seconds: float) -> str:
    """A time as people here write it."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def _by(session: Session) -> str:
    names = (*session.index, session.model, session.adapter or "")
    return ", ".join(sanitize(name, one_line=True) for name in names if name)


def _session(session: Session) -> Mapping[str, object]:
    return {
        "id": session.session_id,
        "title": session.title,
        "created": _iso(session.created),
        "updated": _iso(session.updated),
        "index": list(session.index),
        "model": session.model,
        "adapter": session.adapter,
        "turn_count": session.turns,
    }


def _turn(turn: StoredTurn) -> Mapping[str, object]:
    if turn.answer is None:
        return {"asked": _iso(turn.asked), "question": turn.question, "readable": False}
    document = dict(answer_document(turn.answer))
    document.pop("schema")
    return {"asked": _iso(turn.asked), **document, "general": turn.answer.general, "readable": True}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def _turn_in_markdown(answer: Answer) -> Iterator[str]:
    yield f"## {_literal(answer.question)}"
    if answer.rewritten:
        yield f"Searched for: {_literal(answer.rewritten)}"
    if answer.general:
        yield f"*({GENERAL})*"
    if answer.text.strip():
        yield _ACTIVE.sub(r"\\\g<0>", sanitize(answer.text).strip())
    if answer.status == "interrupted":
        yield "*(interrupted)*"
    if answer.nearest:
        yield "Nearest passages:"
    for citation in answer.citations or answer.nearest:
        stale = " (changed since indexing)" if citation.stale else ""
        quote = "\n".join(f"      {line}" for line in sanitize(citation.quote).strip().splitlines())
        yield f"- [{citation.marker}] {_literal(location(citation))}{stale}\n\n{quote}"


def _literal(text: str) -> str:
    """A text on one line that Markdown shows as it is."""
    return _ACTIVE.sub(r"\\\g<0>", " ".join(sanitize(text).split()))
