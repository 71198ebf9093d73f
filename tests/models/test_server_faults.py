"""A server that stalls, hangs up, refuses or talks nonsense: two lines for the user, and no try too many."""

import datetime
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fakes import FixedClock
from loopback_server import CHAT, PROMPT, Exchange, LoopbackServer, Opened, Reply, as_json, loopback_server, raw, refuses, says

from assistant.errors import ModelError
from assistant.models.server import ServerModel
from assistant.models.server_http import LONGEST_WAIT_S, RETRIES, Patience

HASTY = Patience(connect_s=0.2, silence_s=0.2, sleep=lambda _: None)


def failure(model: ServerModel) -> tuple[list[str], ModelError]:
    """What was written before it failed, and how it failed."""
    written: list[str] = []
    with pytest.raises(ModelError) as caught:
        deque(map(written.append, model.stream(PROMPT)), maxlen=0)
    assert caught.value.exit_code == 5
    assert "\n" not in caught.value.message + caught.value.hint
    return written, caught.value


def patient(clock: FixedClock, told: list[str] | None = None) -> Patience:
    return Patience(silence_s=1.0, sleep=clock.sleep, announce=(told if told is not None else []).append)


def hangs_up(exchange: Exchange) -> None:
    exchange.handler.connection.shutdown(socket.SHUT_RDWR)
    exchange.handler.close_connection = True


def cut_after(*pieces: str) -> Reply:
    def reply(exchange: Exchange) -> None:
        exchange.start()
        for piece in pieces:
            exchange.piece(piece)

    return reply


def cut_in_a_chunk(exchange: Exchange) -> None:
    exchange.start(Transfer_Encoding="chunked")
    event = 'data: {"choices":[{"delta":{"content":"It "}}]}\n\n'
    exchange.write(f"{len(event):x}\r\n{event}\r\nff\r\ndata: {{")


def stalls_after(*pieces: str, comments: bool = False) -> Reply:
    def reply(exchange: Exchange) -> None:
        exchange.start()
        for piece in pieces:
            exchange.piece(piece)
        while comments and not exchange.stopping.wait(0.05):
            exchange.write(": ping\n\n")
        exchange.stall()

    return reply


# ---- no answer at all


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_listens(open_model: Opened) -> None:
    clock = FixedClock()
    url = f"http://127.0.0.1:{free_port()}"
    _, error = failure(open_model(url=url, patience=patient(clock)))
    assert error.message == f"can't reach a server at '{url}/v1': connection refused"
    assert error.hint == "start the server, or give its address with --server URL"
    assert clock.slept == []


def test_there_is_no_such_machine(open_model: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    _, error = failure(open_model(url="http://hutt.example", patience=HASTY))
    assert error.message == "there is no machine called 'hutt.example': name or service not known"


def test_a_name_that_no_machine_can_have(open_model: Opened) -> None:
    _, error = failure(open_model(url="http://a..b", patience=HASTY))
    assert error.message == "there is no machine called 'a..b': no machine can have that name"


def test_nothing_connects(open_model: Opened) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]  # once the backlog is full, a connection waits
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        _, error = failure(open_model(url=f"http://127.0.0.1:{full.getsockname()[1]}", patience=HASTY))
        for filler in fillers:
            filler.close()
    assert "no connection within 0.2 s" in error.message


def test_https_to_a_server_that_speaks_http(server: LoopbackServer, open_model: Opened) -> None:
    _, error = failure(open_model(url=server.url.replace("http:", "https:"), patience=HASTY))
    assert error.message == f"the server {server.url.replace('http:', 'https:') + '/v1'!r} doesn't speak https"
    assert error.hint == f"--server {server.url}/v1"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hut")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "hut.pem"
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[LoopbackServer]:
    with loopback_server(certificate) as running:
        yield running


def test_a_certificate_that_nobody_vouches_for(secure: LoopbackServer, open_model: Opened) -> None:
    _, error = failure(open_model(url=secure.url, patience=HASTY))
    assert "no secure connection" in error.message
    assert "self-signed certificate" in error.message
    assert "SSL_CERT_FILE" in error.hint
    assert not secure.requests


def test_the_hint_about_the_certificate_mends_it(
    secure: LoopbackServer, certificate: Path, open_model: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    secure.chats(says("24."))
    assert list(open_model(url=secure.url, model="tiny", patience=HASTY).stream(PROMPT)) == ["24."]


# ---- an answer that doesn't end


def test_a_server_that_does_not_begin(server: LoopbackServer, open_model: Opened) -> None:
    server.chats(stalls_after())
    written, error = failure(open_model(patience=HASTY))
    assert "did not begin to answer for 0.2 s" in error.message
    assert (written, len(server.sent_to(CHAT))) == ([], 1)


@pytest.mark.parametrize("comments", [False, True])
def test_a_server_that_stops_in_the_middle(server: LoopbackServer, open_model: Opened, comments: bool) -> None:
    server.chats(stalls_after("It ", "sleeps ", comments=comments))
    before = time.monotonic()
    written, error = failure(open_model(patience=HASTY))
    assert "stopped in the middle of its answer and wrote nothing for 0.2 s" in error.message
    assert written == ["It ", "sleeps "]
    assert time.monotonic() - before < 1.5
    assert len(server.sent_to(CHAT)) == 1


@pytest.mark.parametrize("reply", [cut_after("It "), cut_in_a_chunk], ids=["end", "chunk"])
def test_a_connection_that_breaks_in_the_middle(server: LoopbackServer, open_model: Opened, reply: Reply) -> None:
    server.chats(reply, says("never asked for"))
    model = open_model(patience=HASTY)
    written, error = failure(model)
    assert error.message == f"the server '{server.url}/v1' broke off in the middle of its answer"
    assert (written, len(server.sent_to(CHAT))) == (["It "], 1)
    assert model.last is not None
    assert model.last.ended == "interrupted"


def test_ctrl_c_ends_a_wait_at_once(server: LoopbackServer, open_model: Opened) -> None:
    server.chats(stalls_after("It "))
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    pieces = open_model(patience=Patience(silence_s=5.0)).stream(PROMPT)
    assert next(pieces) == "It "
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        next(pieces)
    assert server.gone.wait(0.3)


def test_an_error_in_the_middle_of_a_stream(server: LoopbackServer, open_model: Opened) -> None:
    def fails(exchange: Exchange) -> None:
        cut_after("It ")(exchange)
        exchange.event(error={"message": "CUDA out of memory", "code": 500})

    server.chats(fails)
    written, error = failure(open_model(patience=HASTY))
    assert (written, "(500: CUDA out of memory)" in error.message) == (["It "], True)


# ---- trying again


@pytest.mark.parametrize(
    "trouble",
    [refuses(500), refuses(502), refuses(503, "Loading model"), refuses(429), hangs_up, cut_after()],
    ids=["500", "502", "503", "429", "hangs up", "ends"],
)
def test_what_may_pass_is_tried_again(server: LoopbackServer, open_model: Opened, trouble: Reply) -> None:
    clock, told = FixedClock(), []
    server.chats(trouble, trouble, says("24."))
    assert list(open_model(patience=patient(clock, told)).stream(PROMPT)) == ["24."]
    assert clock.slept == [0.5, 1.0]
    assert "trying again in 0.5 s (1 of 3)" in told[0]


@pytest.mark.parametrize(("status", "told"), [(500, "failed"), (429, "takes no more requests now")])
def test_patience_has_an_end(server: LoopbackServer, open_model: Opened, status: int, told: str) -> None:
    clock = FixedClock()
    server.chats(refuses(status, "no luck"))
    _, error = failure(open_model(patience=patient(clock)))
    assert f"{told} ({status}: no luck)" in error.message
    assert len(server.sent_to(CHAT)) == RETRIES + 1
    assert clock.slept == [0.5, 1.0, 2.0]


def test_the_server_says_how_long_to_wait(server: LoopbackServer, open_model: Opened) -> None:
    clock = FixedClock()
    busy = [as_json({}, status=429, Retry_After=text) for text in ("7", "0", "soon")]
    server.chats(*busy, says("24."))
    assert list(open_model(patience=patient(clock)).stream(PROMPT)) == ["24."]
    assert clock.slept == [7.0, 0.0, 2.0]


def test_a_date_to_wait_for(server: LoopbackServer, open_model: Opened) -> None:
    clock = FixedClock()
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=20)
    server.chats(as_json({}, status=503, Retry_After=format_datetime(soon, usegmt=True)), says("24."))
    list(open_model(patience=patient(clock)).stream(PROMPT))
    assert 15 < clock.slept[0] <= 20


@pytest.mark.parametrize("wait", [str(LONGEST_WAIT_S + 1), "86400", "inf"])
def test_nobody_waits_for_ever(server: LoopbackServer, open_model: Opened, wait: str) -> None:
    clock = FixedClock()
    server.chats(as_json({}, status=429, Retry_After=wait))
    failure(open_model(patience=patient(clock)))
    assert (clock.slept, len(server.sent_to(CHAT))) == ([], 1)


@pytest.mark.parametrize("reply", [*map(refuses, (400, 401, 403, 404, 422)), refuses(429, "pay", code="insufficient_quota")])
def test_what_will_not_pass_is_not_tried_again(server: LoopbackServer, open_model: Opened, reply: Reply) -> None:
    clock = FixedClock()
    server.chats(reply)
    failure(open_model(patience=patient(clock)))
    assert (clock.slept, len(server.sent_to(CHAT))) == ([], 1)


def test_a_list_of_models_may_take_a_second_try(server: LoopbackServer, open_model: Opened) -> None:
    listing = server.replies["/v1/models"][0]
    server.on("/v1/models", refuses(503, "Loading model"), listing)
    assert list(open_model(patience=patient(FixedClock())).stream(PROMPT)) == ["It sleeps", " 24. [1]"]


# ---- refusals and nonsense

PAGE = "<!DOCTYPE html><html><body>Welcome</body></html>"


@pytest.mark.parametrize(
    ("reply", "message", "hint"),
    [
        (refuses(401), "wants an API key (401)", "set ASSISTANT_API_KEY"),
        (refuses(403, "no"), "wants an API key (403: no)", "api_key"),
        (refuses(404, "model 'x' not found"), "(404: model 'x' not found)", "--server"),
        (refuses(400, "bad"), "refused the request (400: bad)", "--model"),
        (as_json({"detail": [{"msg": "Field required"}]}, status=422), "(422: Field required)", "--model"),
        (as_json({"error": "pinned"}, status=400), "(400: pinned)", "--model"),
        (raw("x" * 900, status=400, kind="text/plain"), "x…)", "--model"),
        (raw(PAGE, status=404, kind="text/html"), "answers with a web page", "http://localhost:8000/v1"),
        (raw(PAGE, status=502, kind="text/html"), "failed (502: a web page)", "log"),
        (raw("", status=307, Location="http://far.example/v1"), "elsewhere (307: http://far.example/v1)", "--server"),
        (raw(PAGE, kind="text/html"), "answers with a web page", "http://localhost:8000/v1"),
        (raw(PAGE), "answers with a web page", "http://localhost:8000/v1"),
        (raw('data: {"choices": [{"delta"\n\n'), 'no answer of an OpenAI-compatible server: \'{"choices"', "--server"),
        (raw("data: [1, 2]\n\n"), "no answer of an OpenAI-compatible server: '[1, 2]'", "--server"),
        (raw("hello\n"), "no answer of an OpenAI-compatible server: 'hello'", "--server"),
        (raw("data: " + "x" * (1 << 21)), "no answer of an OpenAI-compatible server: 'data: xxx", "--server"),
        (as_json({"choices": []}), "no answer of an OpenAI-compatible server: '{\"choices", "--server"),
        (as_json({"error": {"message": "no such model"}}), "(400: no such model)", "--model"),
        (raw(""), "broke off", "log"),
        (raw("data: [DONE]\n\n"), "without a word", "ask again"),
        (says(reason="content_filter"), "without a word (content_filter)", "ask again"),
        (says(reason="length"), "spent all of its 400 tokens before", "ASSISTANT_MAX_TOKENS"),
    ],
)
def test_refusals_and_nonsense(server: LoopbackServer, open_model: Opened, reply: Reply, message: str, hint: str) -> None:
    server.chats(reply)
    written, error = failure(open_model(patience=HASTY))
    assert message in error.message
    assert len(error.message) < 500
    assert hint in error.hint
    assert written == []


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (raw(PAGE, kind="text/html"), "answers with a web page"),
        (raw(PAGE, status=404, kind="text/html"), "answers with a web page"),
        (refuses(404, "Not Found"), "doesn't have what was asked for (404: Not Found)"),
        (raw("{", kind="application/json"), "no answer of an OpenAI-compatible server"),
        (refuses(401, "who?"), "wants an API key (401: who?)"),
        (as_json({"data": "none"}), "doesn't list its models"),
        (as_json(["tiny"]), "doesn't list its models"),
    ],
)
def test_a_list_of_models_that_is_none(server: LoopbackServer, open_model: Opened, reply: Reply, message: str) -> None:
    server.on("/v1/models", reply)
    _, error = failure(open_model(patience=HASTY))
    assert message in error.message
