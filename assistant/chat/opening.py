"""Open a cited file where it says what was cited: in the user's editor at the line, else with the desktop's program."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from assistant.errors import DocumentError

_TAKE_PLUS_LINE = frozenset(
    (
        "vi",
        "vim",
        "nvim",
        "view",
        "gvim",
        "nano",
        "pico",
        "emacs",
        "emacsclient",
        "micro",
        "kak",
        "joe",
        "mg",
        "ne",
        "gedit",
        "less",
    )
)
_TAKE_COLON_LINE = frozenset(("hx", "helix", "subl", "zed"))
_TAKE_GOTO = frozenset(("code", "codium", "cursor"))


def open_file(path: str, line: int | None, *, environ: Mapping[str, str] = os.environ) -> bool:
    """Open a file, and wait for an editor that runs in this terminal. False when nothing here can open it.

    Args:
        path: absolute.
        line: from 1; None for a file without lines (PDF, DOCX), which goes to the desktop's program.
        environ: for VISUAL, EDITOR and the desktop's variables.

    Raises:
        DocumentError: the file is gone, or the program fails to start.
    """
    if not Path(path).exists():
        raise DocumentError(f"{path!r} is gone", hint="/index takes it out of the index")
    command = editor_command(path, line, environ) if line else None
    desktop = None if command else desktop_command(path, environ)
    if not command and not desktop:
        return False
    try:
        if command:
            subprocess.run(command, check=False)  # noqa: S603 - the user's own editor
        elif desktop:
            subprocess.Popen(  # noqa: S603 - the desktop's opener; not waited for
                desktop, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
    except OSError as error:
        name = (command or desktop or [""])[0]
        raise DocumentError(f"can't start {name!r}: {error.strerror}", hint="set VISUAL or EDITOR to your editor") from error
    return True


def editor_command(path: str, line: int, environ: Mapping[str, str]) -> list[str] | None:
    """The editor's command line, with the line in the form it understands; an unknown editor gets the file alone."""
    words = shlex.split(environ.get("VISUAL") or environ.get("EDITOR") or "")
    if not words:
        return None
    name = Path(words[0]).name
    if name in _TAKE_PLUS_LINE:
        return [*words, f"+{line}", path]
    if name in _TAKE_COLON_LINE:
        return [*words, f"{path}:{line}"]
    if name in _TAKE_GOTO:
        return [*words, "--goto", f"{path}:{line}"]
    return [*words, path]


def desktop_command(path: str, environ: Mapping[str, str]) -> list[str] | None:
    """The desktop's way to open a file, or None where there is no desktop."""
    if sys.platform == "darwin":
        return ["open", path]
    opener = shutil.which("xdg-open", path=environ.get("PATH"))
    has_desktop = environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    return [opener, path] if opener and has_desktop else None
