"""A server's address as people write it → the one its requests go to (pure)."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from assistant.errors import ModelError

EXAMPLE = "http://localhost:8000/v1"
_ROUTE = re.compile(r"/(?:chat/completions|completions|models|embeddings|responses)/*$")
_VERSION = re.compile(r"v\d+\w*")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is.

    Attributes:
        base: the API's address, ``/v1`` included, without a slash at its end.
        host: the machine's name.
        loopback: whether that is this machine.
        encrypted: whether it is reached by https.
    """

    base: str
    host: str
    loopback: bool
    encrypted: bool

    @property
    def root(self) -> str:
        """The address without its version: where vLLM, llama.cpp and Ollama have what isn't OpenAI's."""
        head, _, last = self.base.rpartition("/")
        return head if _VERSION.fullmatch(last) else self.base

    @property
    def private(self) -> bool:
        """Whether nobody can listen on the way."""
        return self.loopback or self.encrypted

    @property
    def near(self) -> bool:
        """Whether it is this machine or one of the same network, as far as its address tells."""
        try:
            return self.loopback or ipaddress.ip_address(self.host).is_private
        except ValueError:
            return "." not in self.host or self.host.endswith((".local", ".lan", ".internal"))


def read_address(url: str) -> Address:
    """Read an address with or without ``/v1``, a slash at its end or a route of the API.

    Raises:
        ModelError: it is no http(s) address, or holds a password, a query or a fragment.
    """
    hint = f"give the API's address, e.g. --server {EXAMPLE}"
    text = url.strip()
    bare = "://" not in text
    try:
        parts = urlsplit(f"http://{text}" if bare else text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ModelError(f"the server's address can't be read: {error}", hint=hint) from None
    if parts.username is not None or parts.password is not None:
        raise ModelError(
            f"the address of the server {host!r} holds a user name or a password",
            hint="leave them out and put the key into ASSISTANT_API_KEY",
        )
    if parts.query or parts.fragment or re.search(r"[\s\x00-\x1f]", text):
        seen = re.split(r"[?#\s]", text)[0]  # what follows may be a key
        raise ModelError(f"the server's address goes on after {seen!r} with a '?', a '#' or a space", hint=hint)
    if bare:
        raise ModelError(
            f"the server's address {text!r} doesn't begin with http:// or https://",
            hint=f"--server http://{text}" if text else hint,
        )
    if parts.scheme not in ("http", "https") or not host:
        raise ModelError(f"{text!r} is not the address of a server: it must be http or https", hint=hint)
    place = f"[{host}]" if ":" in host else host
    base = f"{parts.scheme}://{place}{f':{port}' if port is not None else ''}{_path(parts)}"
    return Address(base, host, _is_loopback(host), parts.scheme == "https")


def _path(parts: SplitResult) -> str:
    path = _ROUTE.sub("", re.sub(r"/+", "/", parts.path)).rstrip("/")
    return path if any(_VERSION.fullmatch(step) for step in path.split("/")) else f"{path}/v1"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
