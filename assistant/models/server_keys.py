"""The API key of a server: where it is read from, and how it is kept out of everything that is shown.

From the environment (``ASSISTANT_API_KEY``, else ``OPENAI_API_KEY``), else from the private file ``$ASSISTANT_HOME/api_key``.
There is no flag and no setting for it: both would end up in a shell's history or in a file that is passed on.
"""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assistant.errors import ModelError

VARIABLE = "ASSISTANT_API_KEY"
SHARED_VARIABLE = "OPENAI_API_KEY"
KEY_FILE = "api_key"
HIDDEN = "[key]"

_WORTH_HIDING = 8
"""Characters of the key in a row that give part of it away; servers like to echo its beginning."""
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that never shows itself.

    Attributes:
        value: sent to the server, and shown nowhere.
        source: the variable or the file it came from.
    """

    value: str = field(repr=False)
    source: str

    def scrub(self, text: str) -> str:
        """Take the key, and every word that holds a part of it, out of a text."""
        text = text.replace(self.value, HIDDEN)
        parts = {self.value[at : at + _WORTH_HIDING] for at in range(len(self.value) - _WORTH_HIDING + 1)}
        return re.sub(r"\S+", lambda word: HIDDEN if any(part in word[0] for part in parts) else word[0], text)


def find_key(home: Path, environ: Mapping[str, str], *, private: bool) -> ApiKey | None:
    """Find the key; None when there is none, which many servers are content with.

    Args:
        home: the folder of the key file.
        environ: the environment.
        private: whether nobody can listen on the way. ``OPENAI_API_KEY``, which other programs share, goes no other way.

    Raises:
        ModelError: others may read the key file, or what was found can't be a key.
    """
    if environ.get(VARIABLE):
        return _checked(environ[VARIABLE], VARIABLE, f"set {VARIABLE} to the key alone")
    if private and environ.get(SHARED_VARIABLE):
        return _checked(environ[SHARED_VARIABLE], SHARED_VARIABLE, f"set {SHARED_VARIABLE} to the key alone")
    path = home / KEY_FILE
    text = _private_text(path)
    return None if text is None else _checked(text, str(path), f"write the key alone into {str(path)!r}")


def where_a_key_is_read(home: Path) -> str:
    """The hint for a server that wants a key."""
    return f"set {VARIABLE} to the server's key, or write it into {str(home / KEY_FILE)!r} (readable by you alone)"


def _private_text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                raise ModelError(f"others can read the API key in {str(path)!r}", hint=f"chmod 600 {shlex.quote(str(path))}")
            return file.read(_LONGEST).decode("utf-8-sig", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(
            f"can't read the API key in {str(path)!r}: {error.strerror}", hint=f"chmod 600 {shlex.quote(str(path))}"
        ) from error


def _checked(text: str, source: str, hint: str) -> ApiKey:
    """A header can carry printable ASCII only; the HTTP library would print the value in its complaint."""
    value = text.strip()
    if not re.fullmatch(r"[!-~]+", value):
        what = "is empty" if not value else "holds spaces, line ends or characters that no key has"
        raise ModelError(f"the API key in {source} {what}", hint=hint)
    return ApiKey(value, source)
