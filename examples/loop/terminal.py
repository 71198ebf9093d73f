"""A program on a pseudo-terminal, used as a person uses it: keys go in, and what is on the screen comes out."""

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

from screen import Screen

ENTER, CTRL_C, CTRL_D, ALT_ENTER = "\r", "\x03", "\x04", "\x1b\r"
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>()][0-9AB]?|\r")


class Terminal:
    """A program on a pseudo-terminal: type into it, wait for what it shows.

    Args:
        arguments: of ``python -m assistant``.
        columns: of the terminal.
        env: variables that the program has beside this one's.
        cwd: the folder that it starts in.

    Attributes:
        shown: all that it sent, in order, without the terminal's commands.
        screen: what a person has before them.
    """

    def __init__(self, *arguments: str, columns: int = 80, env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
        self.shown = ""
        self.screen = Screen(columns)
        self._seen = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd or Path.cwd())
            os.environ.update({"PROMPT_TOOLKIT_NO_CPR": "1", "COLUMNS": str(columns), **(env or {})})
            os.execv(sys.executable, [sys.executable, "-m", "assistant", *arguments])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def enter(self, line: str, timeout_s: float = 40) -> None:
        """Wait for the prompt, type a line and send it."""
        self.wait(r"> ?", timeout_s)
        self.type(line + ENTER)

    def leave(self) -> int:
        """Wait for the prompt and press Ctrl-D there; what is pressed elsewhere, the terminal itself swallows."""
        self.wait(r"> ?")
        self.type(CTRL_D)
        return self.exit_code()

    def type(self, keys: str) -> None:
        """Type in small pieces, as a terminal would deliver a paste."""
        data = keys.encode()
        while data:
            _, ready, _ = select.select([], [self.fd], [], 10)
            assert ready, "the program reads no more"
            data = data[os.write(self.fd, data[:512]) :]
            self._read(0)

    def wait(self, wanted: str, timeout_s: float = 40) -> str:
        """Wait until something new is shown that matches; returns what came since the last wait.

        Raises:
            AssertionError: it doesn't come in time, or the program ends without it.
        """
        deadline = time.monotonic() + timeout_s
        while not (match := re.search(wanted, self.shown[self._seen :])):
            assert time.monotonic() < deadline, f"no {wanted!r} in:\n{self.shown[self._seen :]}"
            if not self._read(0.1) and self._is_over():
                match = re.search(wanted, self.shown[self._seen :])
                assert match, f"ended without {wanted!r}:\n{self.shown[self._seen :]}"
                break
        new = self.shown[self._seen : self._seen + match.end()]
        self._seen += match.end()
        return new

    def until(self, is_there: Callable[[Screen], bool], timeout_s: float = 60) -> None:
        """Wait until the screen is as wanted.

        Raises:
            AssertionError: it doesn't come in time, or the program ends before.
        """
        deadline = time.monotonic() + timeout_s
        while not is_there(self.screen):
            assert time.monotonic() < deadline, "this stayed on the screen:\n" + "\n".join(self.screen.lines[-20:])
            assert self._read(0.1) or not self._is_over(), "ended:\n" + "\n".join(self.screen.lines[-20:])
        self._seen = len(self.shown)

    def exit_code(self, timeout_s: float = 20) -> int:
        """Wait for the end.

        Raises:
            AssertionError: it doesn't come in time.
        """
        deadline = time.monotonic() + timeout_s
        while not self._is_over() and time.monotonic() < deadline:
            self._read(0.1)
        assert self._code is not None, f"still running:\n{self.shown[self._seen :]}"
        return self._code

    _code: int | None = None

    def _is_over(self) -> bool:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code is not None

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self.fd], [], [], timeout_s)
        if not ready:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        text = self._decoder.decode(data)
        self.screen.feed(text)
        self.shown = ESCAPES.sub("", self.shown + text)
        return bool(data)

    def end(self) -> None:
        """End the program, however it stands, and give the terminal back."""
        if not self._is_over():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)
