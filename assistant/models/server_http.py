"""Requests to an OpenAI-compatible server, through the `openai` client: the only module that knows that library.

Everything that can go wrong leaves it as one ``Failure``, whose text no longer holds the key. It knows no prompts and no budgets.
Sent are the body and the headers that HTTP needs, nothing else: not the client's facts about this machine, not the organisation
or the extra headers that its environment variables name. Redirects aren't followed, they would carry the passages elsewhere.
"""

import json
import logging
import math
import socket
import ssl
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx2
import openai

from assistant.errors import ModelError
from assistant.models import server_faults as faults
from assistant.models.server_address import Address
from assistant.models.server_faults import Failure, Refusal
from assistant.models.server_keys import ApiKey

RETRIES = 3
FIRST_WAIT_S = 0.5
"""Doubled for each further try, unless the server says how long to wait."""
LONGEST_WAIT_S = 30.0
"""Whoever asks for more patience than that gets none."""

_PROBE_S = 10.0
"""The longest wait for what is no answer of a model: a list, a count."""
_LONGEST_LINE = 1 << 20
_NEEDED_HEADERS = frozenset({"host", "accept", "accept-encoding", "connection", "content-type", "content-length"})
_LOGGERS = ("openai", "httpx2", "httpcore2")
"""At debug level httpcore2 logs the headers of answers, in which a server may echo the key."""
_FOREIGN_ERRORS = (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, UnicodeError)

DONE: Mapping[str, Any] = {"choices": [{"finish_reason": "stop"}]}
"""The event that the end mark of a stream stands for, where a server gave no reason before."""

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, and how.

    Attributes:
        connect_s: seconds for a connection.
        silence_s: seconds until the first piece of an answer, and between two.
        sleep: waits before another try.
        announce: told before each wait.
    """

    connect_s: float = 5.0
    silence_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    announce: Callable[[str], None] = lambda _: None


class ServerConnection:
    """Sends requests to one server.

    Args:
        address: where it is.
        key: sent with every request.
        key_hint: what to do when the server wants another.
        patience: the time-outs.
    """

    def __init__(self, address: Address, key: ApiKey | None, *, key_hint: str, patience: Patience) -> None:
        self.address = address
        self._key = key
        self._key_hint = key_hint
        self._patience = patience
        self._client = self._guarded(self._open)

    def get(self, url: str) -> Any:
        """Fetch JSON. ``url``: a route of the API, or a whole address on the same server."""
        return self._json(lambda: self._client.get(url, cast_to=httpx2.Response, options={"timeout": self._timeout(_PROBE_S)}))

    def post(self, url: str, body: Mapping[str, object]) -> Any:
        """Send JSON and read JSON; ``url`` as for ``get``."""
        options: openai.RequestOptions = {"timeout": self._timeout(_PROBE_S)}
        return self._json(lambda: self._client.post(url, cast_to=httpx2.Response, body=dict(body), options=options))

    def command(self, url: str, body: Mapping[str, object], *, within_s: float = math.inf) -> None:
        """Send JSON that tells the server to do something; what it says to a success is not read. ``url`` as for ``get``."""
        options: openai.RequestOptions = {"timeout": self._timeout(within_s)}
        self._guarded(lambda: self._client.post(url, cast_to=httpx2.Response, body=dict(body), options=options))

    def stream(self, body: Mapping[str, object]) -> Generator[Mapping[str, Any], None, None]:
        """Ask for an answer and yield its events as they come. A stream that just ends has been cut.

        Closing the iterator closes the connection, which is how a server learns to stop.

        Raises:
            Failure: at any point.
        """
        stream = self._guarded(
            lambda: self._client.post(
                "/chat/completions", cast_to=object, body={**body, "stream": True}, stream=True, stream_cls=openai.Stream[object]
            )
        )
        with closing(stream.response) as response:
            self._check_kind(response)
            for line in self._lines(response):
                if line == b"[DONE]":
                    yield DONE
                    return
                yield self._event(line)

    def patiently(self, call: Callable[[], Found]) -> Found:
        """Call, and again after a wait when that may help; at most ``RETRIES`` times more.

        Raises:
            Failure: the last one.
        """
        for attempt in range(RETRIES + 1):
            try:
                return call()
            except Failure as failure:
                wait_s = FIRST_WAIT_S * 2**attempt if failure.wait_s is None else failure.wait_s
                if not failure.passing or attempt == RETRIES or wait_s > LONGEST_WAIT_S:
                    raise
                self._patience.announce(f"{failure}; trying again in {wait_s:g} s ({attempt + 1} of {RETRIES})")
            self._patience.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """Give up all connections."""
        self._client.close()

    def scrub(self, text: str) -> str:
        """Take the key out of a text."""
        return self._key.scrub(text) if self._key else text

    def error(self, message: str, *, hint: str) -> ModelError:
        """An error that holds what the server said, without the key."""
        return ModelError(self.scrub(message), hint=hint)

    # ---- below: the openai client, and what it throws

    def _open(self) -> openai.OpenAI:
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        no_proxy: dict[str, httpx2.BaseTransport | None] = {"http://": None, "https://": None, "all://": None}
        http = httpx2.Client(
            follow_redirects=False,
            mounts=no_proxy if self.address.loopback else None,  # this machine is reached without a proxy, whatever is set
            event_hooks={"request": [_dresser(self._key)]},
        )
        weakref.finalize(self, http.close)
        return openai.OpenAI(
            base_url=self.address.base,
            api_key="unused",  # the dresser puts the real one on, so that the client has none to show
            admin_api_key="",
            max_retries=0,
            timeout=self._timeout(self._patience.silence_s),
            http_client=http,
        )

    def _timeout(self, silence_s: float) -> httpx2.Timeout:
        return httpx2.Timeout(min(silence_s, self._patience.silence_s), connect=self._patience.connect_s)

    def _guarded(self, call: Callable[[], Found], *, started: bool = False) -> Found:
        try:
            return call()
        except _FOREIGN_ERRORS as error:
            failure = self._failure(error, started=started)
        raise failure  # out here it doesn't carry the foreign error along, whose text may hold the key

    def _json(self, call: Callable[[], httpx2.Response]) -> Any:
        response = self._guarded(call)
        try:
            return response.json()
        except ValueError:
            failure = self._not_json(response.text)
        raise failure

    def _check_kind(self, response: httpx2.Response) -> None:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in ("text/html", "application/json"):
            text = self._guarded(response.read).decode("utf-8", errors="replace")
            raise self._not_json(text) if kind == "text/html" else self._no_stream(text)

    def _no_stream(self, text: str) -> Failure:
        """JSON where a stream was asked for is a refusal with the wrong status, or a server that can't stream."""
        try:
            body = json.loads(text)
        except ValueError:
            return self._not_json(text)
        if isinstance(body, dict) and body.get("error"):
            return self._refused(400, body)
        return Failure(faults.not_understood(self.address, self.scrub(text)))

    def _lines(self, response: httpx2.Response) -> Iterator[bytes]:
        """Yield what stands behind ``data:``. Comments keep a connection alive, but they are no progress."""
        last = time.monotonic()
        buffer, started = b"", False
        chunks = response.iter_bytes()
        while (chunk := self._guarded(lambda: next(chunks, None), started=started)) is not None:
            *lines, buffer = (buffer + chunk).split(b"\n")  # not splitlines(): it would break JSON at U+2028
            for line in lines:
                field, _, value = line.rstrip(b"\r").partition(b":")
                if field == b"data":
                    yield value.strip()
                    last, started = time.monotonic(), True
                elif field not in (b"", b"event", b"id", b"retry"):
                    raise self._not_json(line.decode("utf-8", errors="replace"))
            if len(buffer) > _LONGEST_LINE:
                raise self._not_json(buffer[:200].decode("utf-8", errors="replace"))
            if time.monotonic() - last > self._patience.silence_s:
                raise self._silent(started=started)
        if buffer.lstrip()[:1] == b"<":
            raise self._not_json(buffer.decode("utf-8", errors="replace"))

    def _event(self, line: bytes) -> dict[str, Any]:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise self._not_json(line.decode("utf-8", errors="replace"))
        if error := event.get("error"):
            code = error.get("code") if isinstance(error, dict) else None
            raise self._refused(code if isinstance(code, int) else 500, event)
        return event

    def _not_json(self, text: str) -> Failure:
        if text.lstrip()[:1] == "<":
            return Failure(faults.web_page(self.address))
        return Failure(faults.not_understood(self.address, self.scrub(text)))

    def _refused(self, status: int, body: object, *, wait_s: float | None = None) -> Failure:
        refusal = faults.read_refusal(status, body)
        refusal = Refusal(status, self.scrub(refusal.words), refusal.parameter, refusal.context)
        source = self._key.source if self._key else None
        error = faults.refused(self.address, refusal, key_source=source, key_hint=self._key_hint)
        spent = "insufficient_quota" in str(body)  # no wait brings that back
        passing = status in faults.PASSING and not spent and not refusal.wants_no_system
        return Failure(error, passing=passing, wait_s=wait_s, refusal=refusal)

    def _silent(self, *, started: bool) -> Failure:
        doing = "stopped in the middle of its answer and wrote nothing" if started else "did not begin to answer"
        return Failure(faults.too_slow(self.address, self._patience.silence_s, doing=doing))

    def _failure(self, error: Exception, *, started: bool) -> Failure:
        if isinstance(error, openai.APIStatusError):
            body = error.response.headers.get("location") if error.response.is_redirect else error.body
            return self._refused(error.status_code, body, wait_s=_retry_after(error.response.headers))
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, ssl.SSLError):
                return Failure(faults.not_secure(self.address, self.scrub(_reason(cause))))
            if isinstance(cause, (socket.gaierror, UnicodeError, httpx2.InvalidURL)):
                return Failure(faults.no_host(self.address, _reason(cause)))
        for cause in causes:
            if isinstance(cause, httpx2.ConnectTimeout):
                why = f"no connection within {self._patience.connect_s:g} s"
                return Failure(faults.no_connection(self.address, why))
            if isinstance(cause, httpx2.TimeoutException):
                return self._silent(started=started)
            if isinstance(cause, (httpx2.ConnectError, httpx2.ProxyError)):
                return Failure(faults.no_connection(self.address, self.scrub(_reason(causes[-1]))), passing=True)
        return Failure(faults.broke_off(self.address), passing=True)


def _dresser(key: ApiKey | None) -> Callable[[httpx2.Request], None]:
    """What each request wears; a function of its own, so that the HTTP client doesn't keep its connection alive."""

    def dress(request: httpx2.Request) -> None:
        for name in [name for name in request.headers if name.lower() not in _NEEDED_HEADERS]:
            del request.headers[name]
        request.headers["User-Agent"] = "assistant"
        if key:
            request.headers["Authorization"] = f"Bearer {key.value}"

    return dress


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message or "certificate verify failed"
    if isinstance(error, (UnicodeError, httpx2.InvalidURL)):
        return "no machine can have that name"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return (error.strerror or str(error)).lower()
    return str(error) or type(error).__name__


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: a number, or a date."""
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        wait_s = float(text)
    except ValueError:
        try:
            wait_s = parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return None if math.isnan(wait_s) else max(wait_s, 0.0)
