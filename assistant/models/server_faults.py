"""What went wrong with a server → two lines for the user (pure). It knows no HTTP library."""

import re
from dataclasses import dataclass

from assistant.errors import ModelError
from assistant.models.server_address import EXAMPLE, Address

PASSING = frozenset({429, 500, 502, 503})
"""Statuses that may be gone when the request is sent again."""
PAGE = "a web page"
"""What is said instead of a page's text."""
_LONGEST_WORDS = 300

_OVERFLOW = re.compile(
    r"context[ _](?:length|size|window)|exceed_context|maximum model length|prompt is too long|too many input tokens", re.I
)
_LIMIT = re.compile(r"(?:context (?:length|window) (?:is|of)|context size \()\s*(\d{2,9})", re.I)
_SYSTEM_ROLE = re.compile(r"system.{0,20}\brole|\brole.{0,20}system", re.I)


class Failure(Exception):
    """A request that failed, before anyone decided whether to send it again.

    Args:
        error: what the user is told when nothing helps.
        passing: whether the same request may succeed a moment later.
        wait_s: how long the server asked to wait.
        refusal: the server's own words, if it said any.
    """

    def __init__(
        self, error: ModelError, *, passing: bool = False, wait_s: float | None = None, refusal: "Refusal | None" = None
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.passing = passing
        self.wait_s = wait_s
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a server said instead of an answer; the key is already taken out.

    Attributes:
        status: HTTP's number.
        words: its message, one line.
        parameter: the part of the request that it doesn't take.
        context: tokens that fit, if it said so in a field of its own.
    """

    status: int
    words: str
    parameter: str | None = None
    context: int | None = None

    @property
    def overflow(self) -> bool:
        """Whether the prompt was longer than the model's context."""
        return self.status in (400, 413, 422) and bool(_OVERFLOW.search(self.words) or self.context)

    @property
    def limit(self) -> int | None:
        """Tokens of the model's context, if the server said."""
        match = _LIMIT.search(self.words)
        return self.context or (int(match[1]) if match else None)

    @property
    def wants_no_system(self) -> bool:
        """Whether the model's template has no system role (Gemma 2)."""
        return self.status in (400, 422, 500) and bool(_SYSTEM_ROLE.search(self.words))

    @property
    def no_such_route(self) -> bool:
        """Whether the server doesn't offer what was asked for."""
        return self.status in (404, 405, 501)


def read_refusal(status: int, body: object) -> Refusal:
    """Read the body of a refusal: OpenAI's ``{"error": {…}}``, FastAPI's ``{"detail": …}``, a text or a web page."""
    inner = body.get("error", body) if isinstance(body, dict) else body
    fields = inner if isinstance(inner, dict) else {}
    parameter, context = fields.get("param"), fields.get("n_ctx")
    return Refusal(
        status=status,
        words=words_of(inner),
        parameter=parameter if isinstance(parameter, str) else None,
        context=context if isinstance(context, int) and context > 0 else None,
    )


def words_of(body: object) -> str:
    """The message in a body, one line and not too long."""
    if isinstance(body, dict):
        found = next((body[name] for name in ("message", "msg", "detail", "error") if body.get(name)), "")
        return words_of(found)
    if isinstance(body, list):
        return words_of(body[0]) if body else ""
    text = " ".join(body.split()) if isinstance(body, str) else ""
    if text.startswith("<"):
        return PAGE
    return text if len(text) <= _LONGEST_WORDS else text[:_LONGEST_WORDS] + "…"


def refused(address: Address, refusal: Refusal, *, key_source: str | None, key_hint: str) -> ModelError:
    """The error for an HTTP status that is no success."""
    status, said = refusal.status, f": {refusal.words}" if refusal.words else ""
    where = repr(address.base)
    if status in (401, 403):
        what = f"does not accept the API key in {key_source}" if key_source else "wants an API key"
        return ModelError(f"the server {where} {what} ({status}{said})", hint=key_hint)
    if status == 429:
        return ModelError(f"the server {where} takes no more requests now ({status}{said})", hint="ask again in a minute")
    if refusal.no_such_route and refusal.words == PAGE:
        return web_page(address)
    if refusal.no_such_route:
        return ModelError(
            f"the server {where} doesn't have what was asked for ({status}{said})",
            hint=f"check the address and the model: --server {EXAMPLE} --model NAME",
        )
    if 300 <= status < 400:
        return ModelError(
            f"the server {where} sends its visitors elsewhere ({status}{said})", hint="give that address with --server"
        )
    if status >= 500:
        return ModelError(f"the server {where} failed ({status}{said})", hint="look into the server's log, then ask again")
    return ModelError(
        f"the server {where} refused the request ({status}{said})", hint="see what it says; `--model` names another model"
    )


def overflowed(refusal: Refusal, room: int) -> ModelError:
    """The error for a prompt that was too long, with the room that prompts have from now on."""
    return ModelError(
        f"the prompt was longer than the model's context: {refusal.words}",
        hint=f"ask again: prompts are now kept within {room} tokens; ASSISTANT_TOP_K=5 gives the model fewer passages",
    )


def no_connection(address: Address, why: str) -> ModelError:
    """Nobody listens there, or the network says no."""
    return ModelError(
        f"can't reach a server at {address.base!r}: {why}", hint="start the server, or give its address with --server URL"
    )


def no_host(address: Address, why: str) -> ModelError:
    """The name leads nowhere."""
    return ModelError(f"there is no machine called {address.host!r}: {why}", hint="check the address given with --server")


def not_secure(address: Address, why: str) -> ModelError:
    """No TLS, or a certificate nobody vouches for."""
    if "WRONG_VERSION" in why or "record layer" in why.lower():
        plain = address.base.replace("https://", "http://", 1)
        return ModelError(f"the server {address.base!r} doesn't speak https", hint=f"--server {plain}")
    return ModelError(
        f"no secure connection to {address.base!r}: {why}",
        hint="set SSL_CERT_FILE to the file of the authority that signed the server's certificate",
    )


def too_slow(address: Address, seconds: float, *, doing: str) -> ModelError:
    """A time-out; ``doing`` says in which state it stays."""
    return ModelError(
        f"the server {address.base!r} {doing} for {seconds:g} s",
        hint="see whether it is loading a model or overloaded, and ask again",
    )


def broke_off(address: Address) -> ModelError:
    """The connection ended before the answer did."""
    return ModelError(
        f"the server {address.base!r} broke off in the middle of its answer", hint="look into the server's log, then ask again"
    )


def web_page(address: Address) -> ModelError:
    """A site for people, not an API."""
    return ModelError(
        f"{address.base!r} answers with a web page, not as an OpenAI-compatible server",
        hint=f"give the API's address, e.g. --server {EXAMPLE}",
    )


def not_understood(address: Address, seen: str) -> ModelError:
    """An answer that isn't in the format."""
    return ModelError(
        f"the server {address.base!r} sent what is no answer of an OpenAI-compatible server: {seen[:80]!r}",
        hint="check the address given with --server, and that nothing between here and there changes its answers",
    )
