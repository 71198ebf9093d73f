"""Keys and passwords in texts, by their usual shapes: what a model learns, it can be made to say (pure)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SHOWN = 4
"""Characters of a secret that are shown."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Something that looks like a secret.

    Attributes:
        kind: what it seems to be.
        masked: its beginning and its length.
        certain: whether its shape can hardly be anything else.
    """

    kind: str
    masked: str
    certain: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    kind: str
    hint: str
    pattern: re.Pattern[str]


SHAPES = (
    _Shape("an Anthropic key", "sk-ant-", re.compile(r"\bsk-ant-[\w-]{20,}")),
    _Shape("an OpenAI key", "sk-", re.compile(r"\bsk-(?!ant-)(?=[\w-]*\d)(?=[\w-]*[A-Z])(?:proj-|svcacct-|admin-)?[\w-]{20,}")),
    _Shape("an AWS key", "AKIA", re.compile(r"\bAKIA[0-9A-Z]{16}\b")),
    _Shape("an AWS key", "ASIA", re.compile(r"\bASIA[0-9A-Z]{16}\b")),
    *(_Shape("a GitHub token", f"gh{kind}_", re.compile(rf"\bgh{kind}_[A-Za-z0-9]{{36,}}")) for kind in "pousr"),
    _Shape("a GitHub token", "github_pat_", re.compile(r"\bgithub_pat_\w{22,}")),
    _Shape("a Google key", "AIza", re.compile(r"\bAIza[\w-]{35}")),
    _Shape("a Slack token", "xox", re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}")),
    _Shape("a Hugging Face token", "hf_", re.compile(r"\bhf_[A-Za-z0-9]{30,}")),
    _Shape("a Stripe key", "_live_", re.compile(r"\b[rs]k_live_[A-Za-z0-9]{20,}")),
    _Shape("a private key", "PRIVATE KEY", re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")),
    _Shape("a JSON web token", "eyJ", re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}")),
)
"""Shapes that can hardly be anything else; ``hint`` is a text without which there is none, and quick to look for."""
NAMES = ("password", "passwd", "pwd", "passphrase", "api_key", "api-key", "apikey", "secret_key", "secret-key", "access_token")
"""What a secret's value is called."""
PASSWORD = re.compile(
    rf"\b({'|'.join(NAMES)})[\"']?\s*[:=]\s*[\"']?"
    r"(?=[^\s\"']*\d)(?!\$|\{|<|your|example|xxx|\*)([^\s\"'<>(){},;]{8,})",
    re.IGNORECASE,
)
"""A name and a value with a digit in it; not a variable, a placeholder or a call."""


def find_secrets(text: str) -> Iterator[Secret]:
    """What looks like a secret in a text."""
    for shape in SHAPES:
        if shape.hint in text:
            for match in shape.pattern.finditer(text):
                yield Secret(shape.kind, mask(match[0]), certain=True)
    lowered = text.lower()
    if any(name in lowered for name in NAMES):
        for match in PASSWORD.finditer(text):
            yield Secret(f"a value for {match[1].lower()!r}", mask(match[2]), certain=False)


def mask(secret: str) -> str:
    """The beginning of a secret and its length, e.g. ``AKIA… (20 characters)``."""
    return f"{secret[:SHOWN]}… ({len(secret)} characters)"
