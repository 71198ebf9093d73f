"""The commands that look after what was said: `history` (conversations) and `feedback` (judgements)."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.commands.index import Json, prepare, print_json
from assistant.errors import UsageError
from assistant.rendering.terminal import note

if TYPE_CHECKING:
    from assistant.chat.conversation import Conversations, Session

history_app = typer.Typer(help="List, show and delete conversations.", rich_markup_mode=None)
feedback_app = typer.Typer(help="List, export and delete what was said of answers.", rich_markup_mode=None)

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def session_ids(incomplete: str = "") -> list[str]:
    """Ids of conversations that begin so; for the shell."""
    from assistant.chat.conversation import Conversations
    from assistant.settings import find_home
    from indexes.errors import UserError

    try:
        found = Conversations(find_home()[0]).sessions()
    except UserError:
        return []
    return [session.session_id for session in found if session.session_id.startswith(incomplete)]


Id = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="A conversation, or how its id begins; `assistant history` lists them.", autocompletion=session_ids
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(history_app, name="history")
    app.add_typer(feedback_app, name="feedback")


@history_app.callback(invoke_without_command=True)
def _history(context: typer.Context, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        list_sessions(as_json=as_json)


@history_app.command("list")
def list_sessions(as_json: Json = False) -> None:
    """List the conversations, the latest first (this is what `assistant history` does)."""
    from assistant.rendering.screen import Screen
    from assistant.rendering.sessions import render_sessions, sessions_document

    settings = prepare()
    found = _store(settings.home).sessions()
    if as_json:
        print_json(sessions_document(found))
        return
    if not found:
        note("No conversation is kept yet. Begin one with: assistant chat")
        return
    Screen(settings).show(render_sessions(found))


@history_app.command("show")
def show_session(session: Id, as_json: Json = False) -> None:
    """Show a conversation. `assistant chat --session ID` goes on with it."""
    from assistant.rendering.screen import Screen
    from assistant.rendering.sessions import render_session, session_document

    settings = prepare()
    store = _store(settings.home)
    found = store.find(session)
    turns = store.turns(found.session_id)
    if as_json:
        print_json(session_document(found, turns))
        return
    screen = Screen(settings)
    screen.show(render_session(found, turns, screen.terminal))


@history_app.command("delete")
def delete_session(session: Id, yes: Yes = False) -> None:
    """Delete a conversation. Feedback on its answers stays."""
    store = _store(prepare().home)
    found = store.find(session)
    if agreed(f"Delete the conversation {found.session_id}, {_described(found)}?", yes=yes):
        store.delete(found.session_id)
        typer.echo(f"deleted the conversation {found.session_id}")


@history_app.command("purge")
def purge_sessions(yes: Yes = False) -> None:
    """Delete all conversations. Feedback stays; `assistant feedback purge` deletes that."""
    store = _store(prepare().home)
    if not store.file.exists():
        note("There is nothing to delete.")
    elif agreed("Delete all conversations?", yes=yes):
        store.purge()
        typer.echo("deleted all conversations")


@feedback_app.callback(invoke_without_command=True)
def _feedback(context: typer.Context, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        list_feedback(as_json=as_json)


@feedback_app.command("list")
def list_feedback(as_json: Json = False) -> None:
    """List what was said of answers, oldest first (this is what `assistant feedback` does)."""
    from assistant.feedback import read_feedback
    from assistant.rendering.feedback import feedback_list_document, render_feedback
    from assistant.rendering.screen import Screen

    settings = prepare()
    log = read_feedback(settings.home)
    if log.skipped:
        note(_skipped(log.skipped))
    if as_json:
        print_json(feedback_list_document(log))
        return
    if not log.rows:
        note("Nothing was said of an answer yet. In the chat: /good, /bad WHY, /better TEXT")
        return
    Screen(settings).show(render_feedback(log))


@feedback_app.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, one JSON object a line.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Overwrite the file without asking.")] = False,
) -> None:
    """Write all feedback into a file. It holds the passages that the answers were written from."""
    from assistant.feedback import export_feedback
    from assistant.rendering.indexes import counted

    settings = prepare()
    if file.exists() and not agreed(f"{str(file)!r} exists. Overwrite it?", yes=yes):
        return
    log = export_feedback(settings.home, file)
    if log.skipped:
        note(_skipped(log.skipped))
    typer.echo(f"wrote {counted(len(log.rows), 'judgement')} into {file}")


@feedback_app.command("purge")
def purge_feedback_file(yes: Yes = False) -> None:
    """Delete all feedback. Conversations stay."""
    from assistant.feedback import FILE, purge_feedback

    settings = prepare()
    if not (settings.home / FILE).exists():
        note("There is nothing to delete.")
    elif agreed("Delete all feedback?", yes=yes):
        purge_feedback(settings.home)
        typer.echo("deleted all feedback")


def _store(home: Path) -> "Conversations":
    from assistant.chat.conversation import Conversations

    return Conversations(home)


def _described(session: "Session") -> str:
    from assistant.rendering.indexes import counted
    from assistant.rendering.terminal import sanitize

    title = sanitize(session.title, one_line=True)
    return f"{title[:60]!r} ({counted(session.turns, 'turn')})"


def _skipped(count: int) -> str:
    from assistant.rendering.indexes import counted

    lines = f"{counted(count, 'line')} of the file {'is' if count == 1 else 'are'}"
    return f"{lines} no feedback and left out: torn by a kill, or written by a newer version"


def agreed(question: str, *, yes: bool) -> bool:
    """Ask for a yes, where --yes hasn't given it."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(f"this needs a yes, and there is no terminal to ask at: {question}", hint="add --yes")
    if typer.confirm(question, err=True):
        return True
    typer.echo("Nothing was changed.", err=True)
    return False
