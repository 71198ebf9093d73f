"""Write a question in the user's editor."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from assistant.chat.opening import editor_command
from assistant.errors import UsageError

FALLBACKS = ("editor", "nano", "vim", "vi")
"""Tried in this order where neither VISUAL nor EDITOR is set."""


def compose(beginning: str, *, environ: Mapping[str, str] = os.environ) -> str:
    """Let the user write a text in the editor.

    Args:
        beginning: what stands there already.
        environ: for VISUAL and EDITOR.

    Returns:
        what was saved; an empty text where the editor failed.

    Raises:
        UsageError: there is no editor, or it can't be started.
    """
    with tempfile.TemporaryDirectory() as folder:  # its owner's alone
        file = Path(folder) / "question.md"
        file.write_text(beginning, encoding="utf-8", errors="replace")
        command = editor_command(str(file), 1, environ) or _fallback(str(file), environ)
        try:
            with _interrupts_are_the_editors():
                done = subprocess.run(command, check=False)  # noqa: S603 - the user's own editor
        except OSError as error:
            raise UsageError(f"can't start {command[0]!r}: {error.strerror}", hint="set EDITOR to your editor") from error
        return file.read_text(encoding="utf-8", errors="replace").strip() if done.returncode == 0 else ""


def _fallback(path: str, environ: Mapping[str, str]) -> list[str]:
    for name in FALLBACKS:
        if found := shutil.which(name, path=environ.get("PATH")):
            return [found, path]
    raise UsageError("there is no editor to write in", hint="set EDITOR to your editor")


@contextmanager
def _interrupts_are_the_editors() -> Iterator[None]:
    """Ctrl-C in the editor is the editor's; a handler, unlike SIG_IGN, isn't inherited by it."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
