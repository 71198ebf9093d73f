"""Answers from any OpenAI-compatible server: vLLM, llama.cpp, Ollama, LM Studio, `transformers serve`, a provider.

Messages in, pieces of text out. The server is first asked when its answer, its name or its budget is needed, once: which models
it has, how long their context is, and whether it counts tokens. It knows no HTTP (`server_http`) and never sees the key.
"""

import os
import re
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from assistant.errors import ModelError
from assistant.models import Decoding
from assistant.models import server_faults as faults
from assistant.models.detokenizing import Thoughts
from assistant.models.server_adapters import ServerAdapters, unload
from assistant.models.server_address import read_address
from assistant.models.server_budget import NOT_COUNTED, ask_room, estimate
from assistant.models.server_faults import Failure
from assistant.models.server_http import Patience, ServerConnection
from assistant.models.server_keys import find_key, where_a_key_is_read
from assistant.models.server_messages import Ended, Progress, as_json, read_event
from assistant.models.server_models import choose_model, list_models
from assistant.prompt import Budget, Count, without_system
from assistant.records import Generation, Message, Prompt, Step

if TYPE_CHECKING:
    from assistant.adapters.identity import BaseIdentity
    from assistant.adapters.selection import Selection

LEAST_ROOM = 64
"""Tokens that a prompt needs at the very least."""
SURELY_FITS = 0.75
"""Up to this share of the room the estimate is trusted; beyond it the server is asked to count, if it can."""
OPTIONAL = frozenset({"max_tokens", "temperature", "top_p", "seed"})
"""What a request is sent without (or under another name) when a server says that it doesn't take it."""
_NO_SYSTEM_ROLE = re.compile(r"gemma[-_:]?(?:2|\d+b\b)", re.IGNORECASE)
"""Gemma 1 and 2. Servers tell it in their refusal, but `transformers serve` fails without a word."""

Pieces: TypeAlias = Generator[str, None, Ended]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What to ask of which server.

    Attributes:
        url: its address, with or without ``/v1``.
        model: its name there; None: the only one.
        context: the most tokens of prompt and answer together; less where the server says less.
        decoding: how it chooses its tokens.
    """

    url: str
    model: str | None = None
    context: int = 8192
    decoding: Decoding = field(default_factory=Decoding)


@dataclass(frozen=True, slots=True)
class _Offer:
    """What a server turned out to have."""

    name: str
    context: int
    count: Count | None


class ServerModel:
    """Answers with a model on a server.

    Args:
        settings: what to ask of which server.
        home: the folder where a file with the key may lie.
        environ: where the key is looked for first.
        patience: the time-outs.

    Raises:
        ModelError: the address or the key can't be used.
    """

    def __init__(
        self, settings: ServerSettings, *, home: Path, environ: Mapping[str, str] = os.environ, patience: Patience | None = None
    ) -> None:
        address = read_address(settings.url)
        key = find_key(home, environ, private=address.private)
        self._settings = settings
        self._decoding = settings.decoding
        self._connection = ServerConnection(address, key, key_hint=where_a_key_is_read(home), patience=patience or Patience())
        self._adapters = ServerAdapters(self._connection)
        self._farewell = weakref.finalize(
            self, unload, self._connection, self._adapters.loaded
        )  # at the latest when the program ends
        self._wanted = settings.model
        self._offer: _Offer | None = None
        self._context = settings.context
        self._folds_system = False
        self._refused_parameters: frozenset[str] = frozenset()
        self._last: Generation | None = None

    def __repr__(self) -> str:
        return f"ServerModel({self.url!r}, {self._wanted!r})"

    @property
    def url(self) -> str:
        """The API's address."""
        return self._connection.address.base

    @property
    def name(self) -> str:
        """The model's name on the server; the server is asked only if nobody gave it."""
        return self._wanted or self._meet().name

    @property
    def adapter(self) -> str | None:
        """What the answers' adapter is called by the user."""
        return self._adapters.label

    @property
    def selections(self) -> "Mapping[Step, Selection]":
        """The adapter of each step that has one."""
        return self._adapters.selections

    def base(self) -> "BaseIdentity":
        """What adapters must belong to: nobody here knows.

        Raises:
            ModelError: always.
        """
        raise ModelError(
            f"the files of the model on {self.url!r} aren't here, so nothing can be checked against them",
            hint="give --model the files of that model, and leave --server out",
        )

    def use_adapters(self, selections: "Mapping[Step, Selection]", announce: Callable[[str], None] = lambda _: None) -> None:
        """Write with these adapters from now on: what the server doesn't list it is told to load.

        Raises:
            ModelError: one can't be used; the present ones stay.
        """
        try:
            base = self._adapters.use(selections, self._offer.name if self._offer else self._wanted, announce)
        except Failure as failure:
            raise failure.error from failure
        self._wanted = self._wanted or base

    def prefetch(self, _selections: "Mapping[Step, Selection]") -> None:
        """Nothing: the server reads them."""

    @property
    def identity(self) -> Mapping[str, object]:
        """Its address and names; the model behind them may be exchanged without a word, so this is weak."""
        decoding = self._decoding
        return {
            "kind": "server",
            "weak": True,
            "url": self.url,
            "model": self.name,
            "adapter": self._adapters.identity,
            "context": self._settings.context,
            "decoding": [decoding.max_tokens, decoding.temperature, decoding.top_p, decoding.seed],
        }

    @property
    def budget(self) -> Budget:
        """The context without what an answer may take. After a prompt was too long for the server, what it said then."""
        self._meet()
        return Budget(self._room, self._count)

    @property
    def last(self) -> Generation | None:
        """What the last answer took. A server that doesn't count its tokens is taken to send each by itself."""
        return self._last

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """Yield the answer's text as the server sends it.

        Raises:
            ModelError: the server can't be used, or failed; what it wrote before stays written.
        """
        self._meet()
        self._last = None
        progress = Progress(time.monotonic())
        ended: Ended = "interrupted"
        try:
            first, rest = self._begin(prompt, progress)
            with closing(rest):
                yield first
                ended = yield from rest
        except Failure as failure:
            raise failure.error from failure
        finally:
            self._last = progress.generation(ended, estimated=estimate(prompt.messages))

    def close(self) -> None:
        """Have the server forget the adapters that were loaded for this, and give up the connections."""
        self._farewell()
        self._connection.close()

    # ---- meeting the server

    def _meet(self) -> _Offer:
        if self._offer is None:
            try:
                self._offer = self._ask_around()
            except Failure as failure:
                raise failure.error from failure
            self._context = self._offer.context
            self._folds_system = bool(_NO_SYSTEM_ROLE.search(self._offer.name))
        if self._room < LEAST_ROOM:
            most = self._decoding.max_tokens
            raise ModelError(
                f"{self._offer.name!r} has a context of {self._context} tokens, of which an answer may take {most}",
                hint=f"set max_tokens to {max(self._context // 4, 1)} (ASSISTANT_MAX_TOKENS)",
            )
        return self._offer

    def _ask_around(self) -> _Offer:
        listed = self._connection.patiently(lambda: list_models(self._connection, needed=self._wanted is None))
        model = choose_model(listed, self._wanted, base=self.url)
        room = ask_room(self._connection, model)
        return _Offer(model.name, min(room.context or self._settings.context, self._settings.context), room.count)

    @property
    def _room(self) -> int:
        return self._context - self._decoding.max_tokens

    def _count(self, messages: Sequence[Message]) -> int:
        guess = estimate(messages)
        count = self._meet().count
        if count is None or guess <= self._room * SURELY_FITS:
            return guess
        try:
            return count(self._sent(messages))
        except NOT_COUNTED:
            return guess

    # ---- one answer

    def _begin(self, prompt: Prompt, progress: Progress) -> tuple[str, Pieces]:
        """Open an answer up to its first text, again where that may help."""
        missing = False

        def attempt() -> tuple[str, Pieces]:
            rest = self._pieces(self._request(prompt), progress)
            return next(rest), rest

        while True:
            try:
                return self._connection.patiently(attempt)
            except Failure as failure:
                gone = failure.refusal is not None and failure.refusal.no_such_route and not missing
                if not (self._adapted(failure) or (gone and self._adapters.bring_back(prompt.step))):
                    raise
                missing = missing or gone

    def _pieces(self, body: Mapping[str, object], progress: Progress) -> Pieces:
        """Yield the texts of one answer; returns how it ended."""
        finish, thoughts = None, Thoughts()
        with closing(self._connection.stream(body)) as events:
            for event in events:
                text, finish = read_event(event)
                text = thoughts.push(text) + (thoughts.finish() if finish else "")
                progress.note(event, text)
                if text:
                    yield text
                if finish:
                    break
        if finish is None:
            raise Failure(faults.broke_off(self._connection.address), passing=not progress.pieces)
        if not progress.pieces:
            raise Failure(self._nothing_written(finish))
        return "length" if finish == "length" else "stop"

    def _nothing_written(self, finish: str) -> ModelError:
        if finish == "length":
            most = self._decoding.max_tokens
            return ModelError(
                f"the model spent all of its {most} tokens before its answer began",
                hint=f"set max_tokens to {most * 4} (ASSISTANT_MAX_TOKENS), or use a model that doesn't reason first",
            )
        why = "" if finish == "stop" else f" ({finish})"
        return self._connection.error(
            f"the server {self.url!r} ended its answer without a word{why}", hint="ask again, or use another model (--model)"
        )

    def _request(self, prompt: Prompt) -> dict[str, object]:
        decoding = self._decoding
        options: dict[str, object] = {"max_tokens": decoding.max_tokens, "temperature": decoding.temperature}
        if decoding.temperature > 0:
            options |= {"top_p": decoding.top_p, "seed": decoding.seed}
        options = {name: value for name, value in options.items() if name not in self._refused_parameters}
        if "max_tokens" in self._refused_parameters:
            options["max_completion_tokens"] = decoding.max_tokens  # what OpenAI calls it since it reasons
        model = self._adapters.name_for(prompt.step) or self._meet().name
        return {"model": model, "messages": as_json(self._sent(prompt.messages)), **options}

    def _sent(self, messages: Sequence[Message]) -> list[Message]:
        return without_system(messages) if self._folds_system else list(messages)

    def _adapted(self, failure: Failure) -> bool:
        """Learn from a refusal; whether the request is another one now, worth sending."""
        refusal = failure.refusal
        if refusal is None:
            return False
        if refusal.wants_no_system and not self._folds_system:
            self._folds_system = True
            return True
        if refusal.parameter in OPTIONAL - self._refused_parameters and refusal.status == 400:
            self._refused_parameters |= {refusal.parameter}
            return True
        if refusal.overflow:
            self._context = self._learned_context(refusal.limit)
            failure.error = faults.overflowed(refusal, self._room)
        return False

    def _learned_context(self, limit: int | None) -> int:
        """The limit that the server stated; where that isn't news the estimate was too low, and a quarter is left free."""
        return limit if limit is not None and limit < self._context else self._context * 3 // 4


def open_server(settings: ServerSettings, *, home: Path, announce: Callable[[str], None] = lambda _: None) -> ServerModel:
    """Make a server's model answer. It is asked for nothing yet.

    Raises:
        ModelError: the address or the key can't be used.
    """
    return ServerModel(settings, home=home, patience=Patience(announce=announce))
