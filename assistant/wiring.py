"""Settings → concrete objects. The only module that knows which class is which."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from assistant.answering import Assistant
from assistant.errors import ModelError
from assistant.models import LanguageModel
from assistant.settings import Settings
from indexes.catalog import default_index, existing_index
from indexes.embedding import Embedder
from indexes.export import load_embedder
from indexes.search import Searcher

IMPORTED = time.monotonic()


def open_assistant(
    settings: Settings,
    *,
    index: Sequence[str] = (),
    model: str | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> Assistant:
    """Open what answers questions. Close its ``searcher`` (a context manager) when done.

    Args:
        settings: where things lie.
        index: names of indexes; none: the only one there is, else the one last built.
        model: overrides the settings' model.
        announce: told when something takes long.

    Raises:
        ModelError: there is no such model.
        IndexFault: an index is missing or can't be opened.
    """
    writer = open_model(model or settings.model)
    searcher = open_searcher(settings, index=index, announce=announce)
    return Assistant(searcher=searcher, model=writer, top_k=settings.top_k, process_started=process_started())


def open_searcher(settings: Settings, *, index: Sequence[str] = (), announce: Callable[[str], None] = lambda _: None) -> Searcher:
    """Open what finds passages."""
    names = list(dict.fromkeys(index)) or [default_index(settings.home)]
    folders = [existing_index(settings.home, name) for name in names]

    def open_embedder(model_id: str) -> Embedder:
        return load_embedder(model_id, settings.models, announce=announce)

    return Searcher(folders, open_embedder=open_embedder)


def open_model(name: str) -> LanguageModel:
    """Open what writes answers.

    Raises:
        ModelError: this version has no such model.
    """
    if name != "extractive":
        raise ModelError(f"no such model: {name!r}", hint="this version answers with --model extractive, which is built in")
    from assistant.models.extractive import ExtractiveModel

    return ExtractiveModel()


def process_started() -> float:
    """When this process began, on the clock of ``time.monotonic()``; where the system doesn't say, when this module did."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return IMPORTED
    return time.monotonic() - age
