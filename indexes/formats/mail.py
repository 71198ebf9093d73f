"""A mail (EML) → text: who wrote to whom and when, the body, and the names of what was attached."""

import email
import email.policy
from collections.abc import Iterator
from email.headerregistry import BaseHeader, HeaderRegistry
from email.message import EmailMessage

from indexes.decoding import decode
from indexes.errors import UnreadableFile
from indexes.formats import Extracted
from indexes.formats.markdown import join_blocks, one_line
from indexes.formats.webpage import extract_markup

_HEADERS = ("Subject", "From", "To", "Cc", "Date")
# A circular's list of recipients is this long; the parser's time grows with the square, to minutes for a broken header.
_MAX_HEADER_CHARS = 10_000
_parse_header = HeaderRegistry()


def _parse_start(name: str, value: str) -> BaseHeader:
    return _parse_header(name, value[:_MAX_HEADER_CHARS])


_POLICY = email.policy.default.clone(header_factory=_parse_start)


def extract(data: bytes) -> Extracted:
    """Read a mail; its plain text where it has one, else its HTML."""
    message = email.message_from_bytes(data.lstrip(), policy=_POLICY)
    headers = {name: value for name in _HEADERS if (value := _header(message, name))}
    if not headers:
        raise UnreadableFile("no mail: it has no headers")
    attached = ", ".join(_attachments(message))
    blocks = [
        "\n".join(f"{name}: {value}" for name, value in headers.items()),
        _body(message).strip(),
        f"Attachments: {attached}" if attached else "",
    ]
    return Extracted((join_blocks(blocks),), headers.get("Subject", ""))


def _header(message: EmailMessage, name: str) -> str:
    """A header decoded, or as it stands where it breaks the rules: the parser fails on some in ways of its own."""
    try:
        return one_line(str(message[name] or ""))
    except (ValueError, LookupError, AttributeError, TypeError):
        raw = next((value for key, value in message.raw_items() if key.lower() == name.lower()), "")
        return one_line(str(raw))


def _body(message: EmailMessage) -> str:
    part = message.get_body(preferencelist=("plain", "html"))
    if part is None:
        return ""
    content = part.get_payload(decode=True)
    text = decode(content, declared=part.get_content_charset()) if isinstance(content, bytes) and content else ""
    return extract_markup(text).parts[0] if part.get_content_type() == "text/html" else text


def _attachments(message: EmailMessage) -> Iterator[str]:
    for part in message.walk():
        name = part.get_filename()
        if name:
            yield one_line(name)
