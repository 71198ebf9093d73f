"""A real HTTP server on loopback that answers as it is told to: well, badly, slowly or not at all."""

import json
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from assistant.models.server import ServerModel
from assistant.records import Message, Prompt

CHAT = "/v1/chat/completions"
PROMPT = Prompt("Sleeps?", (), messages=(Message("system", "Be brief."), Message("user", "How many sleep there?")))
Opened = Callable[..., ServerModel]
"""The fixture ``open_model``: opens a model on ``server`` with the settings given."""


@dataclass
class Exchange:
    """One request, its answer under way. ``gone`` is set once the client has closed the connection."""

    handler: BaseHTTPRequestHandler
    body: Any
    stopping: threading.Event
    gone: threading.Event

    @property
    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.handler.headers.items()}

    def start(self, status: int = 200, kind: str = "text/event-stream", **headers: str) -> None:
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.send_header("Connection", "close")
        self.handler.end_headers()
        self.handler.close_connection = True

    def write(self, text: str) -> None:
        self.handler.wfile.write(text.encode())
        self.handler.wfile.flush()

    def event(self, **fields: Any) -> None:
        self.write(f"data: {json.dumps(fields)}\n\n")

    def piece(self, text: str) -> None:
        self.event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}])

    def finish(self, reason: str = "stop") -> None:
        self.event(choices=[{"index": 0, "delta": {}, "finish_reason": reason}])
        self.write("data: [DONE]\n\n")

    def stall(self) -> None:
        """Send nothing until the client goes or the test ends."""
        self.handler.connection.settimeout(0.02)
        while not self.stopping.is_set():
            try:
                if self.handler.connection.recv(1) == b"":
                    self.gone.set()
                    return
            except TimeoutError:
                continue
            except OSError:
                self.gone.set()
                return


Reply = Callable[[Exchange], None]


def says(*pieces: str, reason: str = "stop") -> Reply:
    def reply(exchange: Exchange) -> None:
        exchange.start()
        for piece in pieces:
            exchange.piece(piece)
        exchange.finish(reason)

    return reply


def raw(text: str, *, status: int = 200, kind: str = "text/event-stream", **headers: str) -> Reply:
    def reply(exchange: Exchange) -> None:
        exchange.start(status, kind, **headers)
        exchange.write(text)

    return reply


def as_json(value: object, *, status: int = 200, **headers: str) -> Reply:
    return raw(json.dumps(value), status=status, kind="application/json", **headers)


def refuses(status: int, message: str = "", **fields: Any) -> Reply:
    return as_json({"error": {"message": message, **fields}}, status=status)


@dataclass
class LoopbackServer:
    """What it was told to answer, by path, and what it was sent. The last reply of a path is given again and again."""

    url: str
    replies: dict[str, deque[Reply]] = field(default_factory=dict)
    requests: list[tuple[str, Exchange]] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)

    def on(self, path: str, *replies: Reply) -> None:
        self.replies[path] = deque(replies)

    def chats(self, *replies: Reply) -> None:
        self.on(CHAT, *replies)

    def lists(self, *models: object) -> None:
        rows = [{"id": model, "object": "model"} if isinstance(model, str) else model for model in models]
        self.on("/v1/models", as_json({"object": "list", "data": rows}))

    def sent_to(self, path: str) -> list[Exchange]:
        return [exchange for asked, exchange in self.requests if asked == path]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some tests are about."""


@contextmanager
def loopback_server(certificate: Path | None = None) -> Iterator[LoopbackServer]:
    """Serve on a free port of 127.0.0.1, by https if there is a certificate with its key."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            exchange = Exchange(self, body, server.stopping, server.gone)
            server.requests.append((self.path, exchange))
            replies = server.replies.get(self.path, deque([refuses(404, "no such route")]))
            (replies.popleft() if len(replies) > 1 else replies[0])(exchange)

        do_GET = do_POST = answer  # noqa: N815 - http.server's names

    http = _Quiet(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        http.socket = context.wrap_socket(http.socket, server_side=True)
    server = LoopbackServer(f"http{'s' if certificate else ''}://127.0.0.1:{http.server_address[1]}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        http.shutdown()
        http.server_close()
        thread.join()
