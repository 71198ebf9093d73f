"""The commands that answer: `ask`, `chat`, `search`; and `doctor`, which says why they can't."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.commands.completion import adapter_names, index_names, names_in
from assistant.commands.history import session_ids
from assistant.commands.index import Json, prepare, print_json
from assistant.errors import INTERRUPTED, UserError
from assistant.rendering.terminal import note

if TYPE_CHECKING:
    from assistant.answering import Assistant, Stream
    from assistant.chat.conversation import Conversations, Session
    from assistant.chat.lines import LineReader
    from assistant.chat.repl import Chat, Opener
    from assistant.records import Answer
    from assistant.rendering.screen import Screen
    from assistant.settings import Settings

Index = Annotated[
    list[str] | None,
    typer.Option(
        "--index", metavar="NAME", help="Answer from this index; may be repeated.", autocompletion=index_names, show_default=False
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="Who writes the answer: 'extractive' (built in), a Hugging Face id or folder, a server's name.",
    ),
]
Server = Annotated[str | None, typer.Option("--server", metavar="URL", help="An OpenAI-compatible server that runs the model.")]
Quantization = Annotated[
    str | None,
    typer.Option("--quantization", metavar="none|int8|nf4", help="How a model in this process is held in memory."),
]
Adapter = Annotated[
    str | None,
    typer.Option(
        "--adapter",
        metavar="NAME",
        help="An adapter of the model, NAME*0.5, A*0.5+B*0.5 or 'none'; 'extractive' takes none.",
        autocompletion=adapter_names,
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Leave out every sentence that its citation doesn't support.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Give no past answer again; the new one takes its place.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Give no past answer again, and keep none.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("ask")(ask)
    app.command("chat")(chat)
    app.command("search")(search)
    app.command("doctor")(doctor)


def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="In quotes.")],
    index: Index = None,
    model: Model = None,
    server: Server = None,
    quantization: Quantization = None,
    adapter: Adapter = None,
    strict: Strict = False,
    fresh: Fresh = False,
    no_cache: NoCache = False,
    as_json: Json = False,
) -> None:
    """Answer one question, with citations.

    Says so when the documents don't hold the answer, and shows what came nearest.
    """
    settings = settle(
        index=index, model=model, server=server, quantization=quantization, adapter=adapter, cache=False if no_cache else None
    )
    assistant = _open(settings, settings.index, lazily=not fresh)
    with closing(assistant):
        if as_json:
            answer, fault = assistant.ask(question, strict=strict, fresh=fresh), None
        else:
            answer, fault = _follow(assistant.stream(question, strict=strict, fresh=fresh), assistant, settings)
    for notice in answer.notices:
        note(notice)
    if as_json:
        from assistant.rendering.documents import answer_document

        print_json(answer_document(answer))
    else:
        _show(answer, settings)
    if fault:
        raise fault
    if answer.status == "interrupted":
        raise typer.Exit(INTERRUPTED)


def _follow(stream: "Stream", assistant: "Assistant", settings: "Settings") -> "tuple[Answer, UserError | None]":
    """Show an answer while it is written."""
    from assistant.chat.listening import listen
    from assistant.rendering.screen import Screen

    return listen(stream, Screen(settings), assistant.cut_short)


def _show(answer: "Answer", settings: "Settings") -> None:
    from assistant.rendering.answers import cached_note, render_answer
    from assistant.rendering.screen import Screen

    screen = Screen(settings)
    screen.show(render_answer(answer, screen.terminal))
    if said := cached_note(answer):
        note(said)
    others = len(names_in(settings.home)) > 1 and not settings.index
    by = f"{answer.model} with {answer.adapter}" if answer.adapter else answer.model
    note(f"from {', '.join(answer.index)}{' (last built; --index asks another)' if others else ''}, {by}")


def chat(
    index: Index = None,
    model: Model = None,
    server: Server = None,
    quantization: Quantization = None,
    adapter: Adapter = None,
    strict: Strict = False,
    fresh: Fresh = False,
    no_cache: NoCache = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the last conversation.")] = False,
    session: Annotated[
        str | None,
        typer.Option(
            "--session", metavar="ID", help="Go on with this one; `assistant history` lists them.", autocompletion=session_ids
        ),
    ] = None,
) -> None:
    """Talk with your documents. From a pipe: one question a line."""
    from assistant.chat.conversation import Conversations
    from assistant.chat.recording import Recording
    from assistant.chat.repl import Chat
    from assistant.rendering.screen import Screen

    settings = settle(
        index=index, model=model, server=server, quantization=quantization, adapter=adapter, cache=False if no_cache else None
    )
    screen = Screen(settings)
    recording = Recording(Conversations(settings.home), screen.note, write=settings.history)
    earlier = _session(recording.store, session, latest=resume)
    talk = Chat(settings, screen, _opener(settings), recording, strict=strict, fresh=fresh)
    reader = _reader(settings, talk)
    if reader.interactive and not _offer_index(settings, screen, reader):
        return
    talk.run(reader, session=earlier)


def _session(store: "Conversations", beginning: str | None, *, latest: bool) -> "Session | None":
    """The conversation to go on with: the one named, the last one, or none."""
    if beginning:
        return store.find(beginning)
    found = store.sessions(limit=1) if latest else ()
    if latest and not found:
        note("there is no conversation to go on with yet: this is the first one")
    return found[0] if found else None


def _opener(settings: "Settings") -> "Opener":
    def open_(names: Sequence[str], *, model: str | None = None, now: "Assistant | None" = None) -> "Assistant":
        if now is None:
            return _open(settings, names or settings.index)
        from assistant.wiring import reopen_assistant

        return reopen_assistant(now, settings, index=names, model=model, announce=note)

    return open_


def _reader(settings: "Settings", talk: "Chat") -> "LineReader":
    from assistant.chat.lines import PipeReader, TerminalReader

    if sys.stdin.isatty() and sys.stdout.isatty():
        return TerminalReader(settings.home if settings.history else None, talk.words, talk.idle)
    return PipeReader(sys.stdin)


def _offer_index(settings: "Settings", screen: "Screen", reader: "LineReader") -> bool:
    """With no index at all, offer to build one; False when that is declined."""
    from indexes.catalog import list_indexes

    if settings.index or list_indexes(settings.home):
        return True
    from assistant.commands import indexing
    from assistant.rendering.indexes import render_report
    from indexes.roots import RootRequest

    screen.note("There is no index yet. Which folder shall I read? It stays as it is. (Tab completes, Enter alone leaves.)")
    try:
        folder = reader.ask("folder: ").strip()
    except (EOFError, KeyboardInterrupt):
        return False
    if not folder:
        return False
    path = Path(folder).expanduser()
    report = indexing.build(settings, screen, indexing.name_to_build(settings, [path], None), [RootRequest(path)])
    screen.show(render_report(report, screen.terminal))
    return not report.interrupted


def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="In quotes.")],
    index: Index = None,
    top_k: Annotated[str | None, typer.Option("-k", "--top-k", metavar="N", help="Passages to find; 10 if not set.")] = None,
    as_json: Json = False,
) -> None:
    """Find passages without answering."""
    from assistant.answering import readable_question
    from assistant.wiring import open_searcher

    settings = settle(index=index, top_k=top_k)
    with open_searcher(settings, index=settings.index, announce=note) as searcher:
        hits = searcher.search(readable_question(query), k=settings.top_k)
        names = searcher.names
    if as_json:
        from assistant.rendering.documents import search_document

        print_json(search_document(query, names, hits))
        return
    from assistant.rendering.answers import render_hits
    from assistant.rendering.screen import Screen

    screen = Screen(settings)
    screen.show(render_hits(hits, screen.terminal))


def doctor(as_json: Json = False) -> None:
    """Show what is missing and how to mend it.

    Versions, machine, models, indexes and settings; exit code 1 if documents can't be indexed or asked.
    """
    from assistant.commands.doctor import examine
    from assistant.rendering.checkup import checkup_document, render_checkup
    from assistant.rendering.screen import Screen

    checkup = examine()
    if as_json:
        print_json(checkup_document(checkup))
    else:
        screen = Screen(checkup.settings)
        screen.show(render_checkup(checkup, screen.terminal))
    if not checkup.able:
        raise typer.Exit(1)


@contextmanager
def open_settled(settings: "Settings") -> "Iterator[tuple[Assistant, Screen]]":
    """Open what answers and what shows it, for as long as a command needs them."""
    from assistant.rendering.screen import Screen

    assistant = _open(settings, settings.index)
    with closing(assistant):
        yield assistant, Screen(settings)


def settle(**flags: object) -> "Settings":
    """Gather the settings from flags and everywhere else."""
    return prepare(flags)


def _open(settings: "Settings", names: Sequence[str], *, lazily: bool = False) -> "Assistant":
    from assistant.wiring import open_assistant

    return open_assistant(settings, index=names, lazily=lazily, announce=note)
