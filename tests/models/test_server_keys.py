"""Where a server's key is read, and that it is shown nowhere."""

import logging
import os
import traceback
from pathlib import Path

import pytest
from loopback_server import CHAT, PROMPT, Exchange, LoopbackServer, Opened, Reply, as_json, raw, refuses

from assistant.errors import ModelError
from assistant.models.server_http import Patience
from assistant.models.server_keys import HIDDEN, ApiKey, find_key

SECRET = "sk-Zx81mQpW7tLr0vN"


def write_key(home: Path, text: str = SECRET + "\n", mode: int = 0o600) -> Path:
    path = home / "api_key"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("environ", "private", "value", "source"),
    [
        ({"ASSISTANT_API_KEY": "ours", "OPENAI_API_KEY": "theirs"}, True, "ours", "ASSISTANT_API_KEY"),
        ({"OPENAI_API_KEY": " theirs\n"}, True, "theirs", "OPENAI_API_KEY"),
        ({"ASSISTANT_API_KEY": "ours"}, False, "ours", "ASSISTANT_API_KEY"),
        ({"OPENAI_API_KEY": "theirs"}, False, SECRET, "{home}/api_key"),
        ({"ASSISTANT_API_KEY": ""}, True, SECRET, "{home}/api_key"),
    ],
)
def test_where_a_key_is_read(home: Path, environ: dict[str, str], private: bool, value: str, source: str) -> None:
    write_key(home)
    assert find_key(home, environ, private=private) == ApiKey(value, source.format(home=home))


def test_no_key_is_no_error(home: Path) -> None:
    assert find_key(home, {}, private=True) is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_file_that_others_can_read_is_refused(home: Path, mode: int) -> None:
    path = write_key(home, mode=mode)
    with pytest.raises(ModelError, match="others can read the API key") as caught:
        find_key(home, {}, private=True)
    assert caught.value.hint == f"chmod 600 {path}"


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "is empty"), ("  \n", "is empty"), ("one\ntwo", "holds spaces"), ("naïve", "characters that no key has")],
)
def test_a_file_that_holds_no_key(home: Path, text: str, message: str) -> None:
    write_key(home, text)
    with pytest.raises(ModelError, match=message) as caught:
        find_key(home, {}, private=True)
    assert text.strip() == "" or text.split()[0] not in caught.value.message


def test_a_key_that_is_a_folder(home: Path) -> None:
    (home / "api_key").mkdir()
    with pytest.raises(ModelError, match="can't read the API key"):
        find_key(home, {}, private=True)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"Incorrect API key provided: {SECRET}.", f"Incorrect API key provided: {HIDDEN}."),
        (f"Bearer {SECRET[:9]}***", f"Bearer {HIDDEN}"),
        (f'{{"key":"…{SECRET[-8:]}"}}', HIDDEN),
        ("sk-Zx8 is too short to tell", "sk-Zx8 is too short to tell"),
    ],
)
def test_a_key_is_taken_out_of_a_text(text: str, clean: str) -> None:
    assert ApiKey(SECRET, "here").scrub(text) == clean


def test_the_key_is_sent(server: LoopbackServer, open_model: Opened, home: Path) -> None:
    write_key(home)
    list(open_model().stream(PROMPT))
    assert {exchange.headers["authorization"] for _, exchange in server.requests} == {f"Bearer {SECRET}"}


def echo(status: int) -> Reply:
    def reply(exchange: Exchange) -> None:
        heard = exchange.headers["authorization"]
        body = {"error": {"message": f"not with {heard}", "param": heard, "code": heard}, "heard": [heard]}
        as_json(body, status=status, X_Heard=heard)(exchange)

    return reply


@pytest.mark.parametrize(
    "reply",
    [
        *(echo(status) for status in (200, 400, 401, 403, 404, 429, 500)),
        raw(f"data: {{'key': '{SECRET}'\n\n"),
        raw(f'data: {{"error": "{SECRET}"}}\n\n'),
        raw("", status=302, Location=f"http://far.example/?key={SECRET}"),
        raw(SECRET + "\n"),
        raw(f"not {SECRET}", kind="application/json"),
        refuses(400, f"maximum context length is 2000 tokens, {SECRET}"),
    ],
)
def test_a_key_that_comes_back_is_shown_nowhere(
    server: LoopbackServer, open_model: Opened, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    caplog.set_level(logging.DEBUG)
    server.chats(reply)
    model = open_model(environ={"ASSISTANT_API_KEY": SECRET}, patience=Patience(sleep=lambda _: None, announce=told.append))
    with pytest.raises(ModelError) as caught:
        list(model.stream(PROMPT))
    shown = [caught.value.message, caught.value.hint, repr(model), repr(model.__dict__), caplog.text, *told]
    assert SECRET not in "".join([*shown, *traceback.format_exception(caught.value)])
    chain: BaseException | None = caught.value
    while chain is not None:
        assert SECRET not in f"{chain} {chain.args!r}"
        chain = chain.__cause__ or chain.__context__
    assert server.sent_to(CHAT)[0].headers["authorization"] == f"Bearer {SECRET}"


def test_a_refused_key_is_named_by_its_place(server: LoopbackServer, open_model: Opened, home: Path) -> None:
    path = write_key(home)
    server.chats(echo(401))
    with pytest.raises(ModelError, match="does not accept the API key in") as caught:
        list(open_model().stream(PROMPT))
    assert str(path) in caught.value.message
    assert os.fspath(path) in caught.value.hint
