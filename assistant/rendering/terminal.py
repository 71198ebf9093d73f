"""What a stream can show, and what must never be sent to it.

Standard library only: errors and ``--json`` go through here without loading rich. Text from documents and file names is data;
``sanitize`` takes from it every character that a terminal would obey instead of show.
"""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TextIO

Choice = Literal["auto", "always", "never"]

NARROWEST = 20
"""Columns below which text is no longer fitted to the screen."""
WIDEST = 100
"""Longer lines are hard to read: on a wider terminal text stops here."""

# C0 without newline and tab, DEL and C1; bidirectional controls; invisible formatting and tag characters; lone surrogates.
# The zero-width joiners stay: Indic scripts, Persian and emoji need them, and no terminal acts on them.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Terminal:
    """What a stream can show.

    Attributes:
        interactive: whether a person looks at it: a terminal, not a pipe or a file.
        width: columns to fill.
        colour: whether colours are wanted and shown.
        links: whether it makes OSC 8 hyperlinks clickable.
        unicode: whether it shows more than ASCII.
    """

    interactive: bool
    width: int
    colour: bool
    links: bool
    unicode: bool


def describe(
    stream: TextIO,
    *,
    colour: Choice = "auto",
    links: Choice = "auto",
    width: int = 0,
    environ: Mapping[str, str] = os.environ,
) -> Terminal:
    """Find out what a stream can show. ``width`` 0 is the terminal's own."""
    interactive = _is_terminal(stream)
    smart = interactive and environ.get("TERM") != "dumb"
    return Terminal(
        interactive=interactive,
        width=width or max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns)),
        colour=_choose(colour, auto=smart and not environ.get("NO_COLOR")),
        links=_choose(links, auto=smart and _links_known(environ)),
        unicode=_is_unicode(stream),
    )


def sanitize(text: str, *, one_line: bool = False) -> str:
    r"""Take out every character that a terminal would obey instead of show.

    Character by character, so that a text may come in pieces: of ``ESC[31m`` there remains ``[31m``.

    Args:
        text: from a document, a file name, a model or the user.
        one_line: show controls as pictures (newline as ``␊``) instead of dropping them: for names, where each counts.
    """
    if one_line:
        return _UNSAFE.sub(_picture, text.replace("\n", "␊").replace("\t", "␉"))
    return _UNSAFE.sub("", _BREAKS.sub("\n", text))


def note(text: str, stream: TextIO | None = None) -> None:
    """Write a remark that is not a result: quietly, on standard error. Needs no rich, so that ``ask --json`` doesn't."""
    stream = stream or sys.stderr
    before, after = ("\x1b[2m", "\x1b[0m") if describe(stream).interactive and os.environ.get("TERM") != "dumb" else ("", "")
    stream.write(f"{before}{sanitize(text)}{after}\n")
    stream.flush()


def tolerate_encodings(*streams: TextIO) -> None:
    """Let streams replace what they can't encode or decode, so that a strange character never ends a program."""
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").replace("_", "").startswith("utf")


def _choose(choice: Choice, *, auto: bool) -> bool:
    return choice == "always" or (choice == "auto" and auto)


def _links_known(environ: Mapping[str, str]) -> bool:
    """Whether this terminal is known to make OSC 8 links clickable. One that doesn't might show them as rubbish."""
    program, term = environ.get("TERM_PROGRAM", ""), environ.get("TERM", "")
    if program == "tmux":  # takes them since 3.4, and passes them on only where the outer terminal can
        return _number(environ.get("TERM_PROGRAM_VERSION", "")) >= 3.4
    return (
        program in {"iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "Tabby", "rio"}
        or term in {"xterm-kitty", "xterm-ghostty", "alacritty", "foot", "foot-extra", "contour"}
        or _number(environ.get("VTE_VERSION", "")) >= 5000
        or "WT_SESSION" in environ
        or "KONSOLE_VERSION" in environ
    )


def _number(version: str) -> float:
    match = re.match(r"\d+(\.\d+)?", version)
    return float(match[0]) if match else 0.0
