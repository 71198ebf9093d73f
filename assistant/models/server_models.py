"""Which models a server lists, and which of them is meant. vLLM lists adapters as models, with the base as their ``parent``."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.errors import ModelError
from assistant.models.server_faults import Failure
from assistant.models.server_http import ServerConnection

_CONTEXT_FIELDS = ("max_model_len", "context_length", "max_context_length", "context_window")
"""As vLLM, OpenRouter, Mistral and Groq call it."""
_LATEST = ":latest"
"""What Ollama adds to a name that has no tag."""
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Listed:
    """A model as a server lists it.

    Attributes:
        name: what a request must call it.
        parent: the base model, if it is an adapter.
        root: where its weights came from, if the list says: an id, or a folder on the server.
        context: tokens of prompt and answer together, if the list says.
    """

    name: str
    parent: str | None = None
    context: int | None = None
    root: str | None = None


def list_models(connection: ServerConnection, *, needed: bool) -> tuple[Listed, ...] | None:
    """Ask a server for its models; None when it keeps no list, which is a failure only if the list is needed."""
    try:
        answer = connection.get("/models")
    except Failure as failure:
        if failure.refusal is not None and failure.refusal.no_such_route and not needed:
            return None
        failure.passing = failure.refusal is not None  # an address where nobody is gets no better by waiting
        raise
    rows = answer.get("data") if isinstance(answer, dict) else answer  # some proxies send the bare list
    rows = rows if isinstance(rows, list) else []
    return tuple(_listed(row) for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str))


def choose_model(listed: Sequence[Listed] | None, wanted: str | None, *, base: str) -> Listed:
    """The model that is meant: the one asked for, or the only one there is, adapters left aside.

    Args:
        listed: what the server lists; None or empty: nothing to check a name against.
        wanted: the name asked for, if any.
        base: the server's address, for the errors.

    Raises:
        ModelError: it isn't listed, or nobody said which of several.
    """
    if wanted is not None:
        known = {model.name: model for model in listed or ()}
        found = known.get(wanted) or known.get(wanted + _LATEST)
        if found is None and known:
            raise _unknown("model", wanted, list(known), base=base)
        return found or Listed(wanted)
    models = [model for model in listed or () if model.parent is None]
    if len(models) == 1:
        return models[0]
    what = f"has {len(models)} models: {_names(models)}" if models else "doesn't list its models"
    raise ModelError(f"the server {base!r} {what}", hint=f"say which: --model {models[0].name if models else 'NAME'}")


def choose_adapter(listed: Sequence[Listed] | None, wanted: str, *, base: str) -> Listed:
    """The adapter that is meant. Unlike a model it must be listed: a name that the server ignores would go unnoticed.

    Raises:
        ModelError: the server doesn't list it.
    """
    adapters = [model for model in listed or () if model.parent is not None]
    for model in listed or ():
        if model.name == wanted:
            return model
    raise _unknown("adapter", wanted, [model.name for model in adapters], base=base)


def _unknown(kind: str, wanted: str, names: Sequence[str], *, base: str) -> ModelError:
    near = difflib.get_close_matches(wanted, names, n=1)
    seen = f"; it lists {_shortened(names)}" if names else f"; it lists no {kind}s"
    if near:
        hint = f"did you mean --{kind} {near[0]}?"
    elif kind == "adapter":
        hint = f"start the server with it (vllm serve … --enable-lora --lora-modules {wanted}=FOLDER), or leave --adapter out"
    else:
        hint = f"--model {names[0]}, or load {wanted!r} on the server"
    return ModelError(f"the server {base!r} has no {kind} {wanted!r}{seen}", hint=hint)


def _names(models: Sequence[Listed]) -> str:
    return _shortened([model.name for model in models])


def _shortened(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


def _listed(row: dict[str, object]) -> Listed:
    parent, root = row.get("parent"), row.get("root")
    context = next((value for name in _CONTEXT_FIELDS if isinstance(value := row.get(name), int) and value > 0), None)
    belongs = parent if isinstance(parent, str) and parent != row["id"] else None
    return Listed(str(row["id"]), belongs, context, root if isinstance(root, str) and root else None)
