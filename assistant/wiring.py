"""Settings → concrete objects. The only module that knows which class is which."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from assistant.adapters.selection import NONE, Selection, Wanted, parse_wanted
from assistant.answering import Assistant, Rewrite
from assistant.cache.key import Scope
from assistant.cache.serving import AnswerCache
from assistant.cache.store import CacheStore
from assistant.cache.threshold import shipped
from assistant.errors import ModelError
from assistant.followup.rewriting import ModelRewriter
from assistant.followup.rule import rewrite
from assistant.grounding.calibration import Calibration, load_calibration
from assistant.grounding.probes import threshold_of
from assistant.models import Decoding, LanguageModel
from assistant.prompt import prompt_hash
from assistant.records import Step
from assistant.settings import EXTRACTIVE, Settings
from indexes.catalog import default_index, existing_index, index_folder
from indexes.embedding import Embedder
from indexes.export import load_embedder
from indexes.search import DENSE_WEIGHT, Searcher

IMPORTED = time.monotonic()
DAY_S = 86_400


def open_assistant(
    settings: Settings,
    *,
    index: Sequence[str] = (),
    lazily: bool = False,
    announce: Callable[[str], None] = lambda _: None,
) -> Assistant:
    """Open what answers questions. Close it when done.

    Args:
        settings: where things lie, and who answers.
        index: names of indexes; none: the only one there is, else the one last built.
        lazily: load a model only when it has to write: there may be a past answer.
        announce: told when something takes long.

    Raises:
        ModelError: there is no such model, or it can't be used.
        IndexFault: an index is missing or can't be opened.
    """
    model = open_model(settings, announce=announce)
    searcher = open_searcher(settings, index=index, announce=announce)
    try:
        rewriter = rewrite if lazily else open_rewriter(model)  # the first question has none before it
    except BaseException:
        searcher.close()
        raise
    calibration = _calibration(settings, searcher.names)
    return Assistant(
        searcher=searcher,
        model=model,
        rewrite=rewriter,
        top_k=settings.top_k,
        calibration=calibration,
        cache=open_cache(settings, searcher, model, calibration, announce=announce),
        process_started=process_started(),
    )


def reopen_assistant(
    now: Assistant,
    settings: Settings,
    *,
    index: Sequence[str] = (),
    model: str | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> Assistant:
    """Open other indexes or another model, and use what else is open already.

    Args:
        now: what is open.
        settings: where things lie.
        index: names of indexes to answer from; none: the present ones.
        model: its name; None: the present one.
        announce: told when something takes long.

    Raises:
        ModelError, IndexFault: as ``open_assistant``; what is open stays so.
    """
    wanted = replace(settings.with_model(model), adapter=NONE) if model else settings  # an adapter belongs to one base
    if model == EXTRACTIVE:
        wanted = replace(wanted, server="")  # no server has it
    writer = open_model(wanted, announce=announce) if model else now.model
    searcher = open_searcher(settings, index=index, announce=announce) if index else now.searcher
    calibration = _calibration(settings, searcher.names)
    return Assistant(
        searcher=searcher,
        model=writer,
        rewrite=open_rewriter(writer),
        top_k=settings.top_k,
        calibration=calibration,
        cache=open_cache(settings, searcher, writer, calibration, announce=announce),
    )


def open_searcher(settings: Settings, *, index: Sequence[str] = (), announce: Callable[[str], None] = lambda _: None) -> Searcher:
    """Open what finds passages."""
    names = list(dict.fromkeys(index)) or [default_index(settings.home)]
    folders = [existing_index(settings.home, name) for name in names]

    def open_embedder(model_id: str) -> Embedder:
        return load_embedder(model_id, settings.models, announce=announce)

    return Searcher(folders, open_embedder=open_embedder)


def open_model(settings: Settings, *, announce: Callable[[str], None] = lambda _: None) -> LanguageModel:
    """Open what writes answers: on a server where one is set, else in this process, where weights are loaded at the first need.

    Args:
        settings: who, and with which adapters; these are checked at once.
        announce: told when something takes long.

    Raises:
        ModelError: there is no such model, or it can't be used.
    """
    if settings.server:
        from assistant.models.server import ServerSettings, open_server

        named = None if settings.origin("model") == "default" else settings.model
        options = ServerSettings(settings.server, named, settings.context, _decoding(settings))
        server = open_server(options, home=settings.home, announce=announce)
        if settings.adapter != NONE:
            use_adapters(server, settings.adapter, settings, announce=announce)
        return server
    if settings.model == EXTRACTIVE:
        from assistant.models.extractive import ExtractiveModel

        extractive = ExtractiveModel()
        if settings.adapter != NONE:
            use_adapters(extractive, settings.adapter, settings)
        return extractive
    from assistant.models.lazy import LazyModel
    from assistant.models.loading import Request

    request = Request(settings.quantization, context=settings.context, models=settings.models)
    model = LazyModel(settings.model, request, lambda family: _decoding(settings, family), announce)
    model.check()
    if settings.adapter != NONE:
        use_adapters(model, settings.adapter, settings, announce=announce)
    return model


def use_adapters(
    model: LanguageModel, spec: str, settings: Settings, *, announce: Callable[[str], None] = lambda _: None
) -> None:
    """Let a model write with other adapters.

    Args:
        model: who writes.
        spec: as ``selection.parse_wanted`` reads it.
        settings: where adapters lie.
        announce: told what the user should know of them.

    Raises:
        UsageError: there is no such adapter.
        ModelError: the model takes none, or not this one; the present ones stay.
    """
    model.use_adapters(choose_adapters(model, spec, settings, announce=announce), announce)


def choose_adapters(
    model: LanguageModel, spec: str, settings: Settings, *, announce: Callable[[str], None] = lambda _: None
) -> Mapping[Step, Selection]:
    """Find adapters and check their files against a model's, without loading them: see ``use_adapters``."""
    from assistant.adapters.registry import resolve
    from assistant.adapters.unchecked import resolve_unchecked

    folder = Path(spec).expanduser()  # may hold any character
    wanted = (Wanted(spec),) if len(folder.parts) > 1 and folder.is_dir() else parse_wanted(spec)
    if not wanted:
        return {}
    if _on_server(model, settings):
        resolved = resolve_unchecked(wanted, settings.home)
    else:
        try:
            base = model.base()
        except ModelError as error:
            raise ModelError(f"the adapter {spec!r} can't be used: {error.message}", hint=error.hint) from error
        resolved = resolve(wanted, settings.home, base, models=settings.models)
    for notice in resolved.notices:
        announce(notice)
    return resolved.selections


def _on_server(model: LanguageModel, settings: Settings) -> bool:
    if not settings.server:
        return False
    from assistant.models.server import ServerModel

    return isinstance(model, ServerModel)


def open_cache(
    settings: Settings,
    searcher: Searcher,
    model: LanguageModel,
    calibration: Calibration,
    *,
    announce: Callable[[str], None] = lambda _: None,
) -> AnswerCache | None:
    """Open the past answers of this model to questions about these indexes; None where they aren't wanted or would differ."""
    if not settings.cache or settings.temperature > 0:
        return None
    retrieval = {"top_k": settings.top_k, "dense_weight": DENSE_WEIGHT, "calibration": calibration.hash}

    @cache
    def scope_with(strict: bool, _adapters: str) -> Scope:
        prompt = "" if model.identity["kind"] == "extractive" else prompt_hash()
        return Scope(model.identity, prompt, retrieval, searcher.weights_hash, searcher.names, strict)

    def scope(strict: bool) -> Scope:
        return scope_with(strict, json.dumps(model.identity.get("adapter")))

    store = CacheStore(settings.home, most_entries=settings.cache_entries)
    days = 1 if settings.server else settings.cache_days
    label = f"{', '.join(searcher.names)}: {settings.model if not settings.server else settings.server}"
    preset = shipped(searcher.weights_hash)
    return AnswerCache(store, searcher, scope, label=label, preset=preset, lives_s=days * DAY_S, announce=announce)


def open_rewriter(model: LanguageModel) -> Rewrite:
    """What makes follow-ups self-contained: the model where it reads messages, else rules."""
    if model.budget is None:
        return rewrite
    return ModelRewriter(model)


def _calibration(settings: Settings, names: Sequence[str]) -> Calibration:
    """The fitted numbers, with the threshold that was adopted for one of these indexes."""
    shipped = load_calibration()
    return replace(shipped, threshold=threshold_of([index_folder(settings.home, name) for name in names]) or shipped.threshold)


def _decoding(settings: Settings, usual: Decoding | None = None) -> Decoding:
    """How tokens are chosen: as usual with this kind of model, but for what somebody set."""
    if usual is None:
        return Decoding(max_tokens=settings.max_tokens, temperature=settings.temperature)
    most = usual.max_tokens if settings.origin("max_tokens") == "default" else settings.max_tokens
    return replace(usual, max_tokens=most, temperature=settings.temperature)


def process_started() -> float:
    """When this process began, on the clock of ``time.monotonic()``; where the system doesn't say, when this module did."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return IMPORTED
    return time.monotonic() - age
