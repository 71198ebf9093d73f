"""What a terminal shows of the bytes that a program sends it: the few commands that a line-based program uses (pure)."""

import re

TOKEN = re.compile(r"\x1b\[([0-?]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>()78][0-9AB]?|([\x00-\x1f\x7f])")
BROKEN_OFF = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[=>()]?)$")


class Screen:
    """Lines of text and a cursor; what scrolls off the top stays.

    Args:
        columns: after which a line goes on below.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self._lines: list[list[str]] = [[]]
        self._row = self._column = 0
        self._rest = ""

    @property
    def lines(self) -> list[str]:
        """All lines, from the first one ever shown to the last."""
        return ["".join(line).rstrip() for line in self._lines]

    @property
    def row(self) -> int:
        """The line that the cursor is in, from 0."""
        return self._row

    def feed(self, text: str) -> None:
        """Take what the program sent; a command that breaks off is kept until its end comes."""
        text = self._rest + text
        broken = BROKEN_OFF.search(text)
        self._rest = text[broken.start() :] if broken else ""
        text = text[: broken.start()] if broken else text
        place = 0
        for token in TOKEN.finditer(text):
            self._write(text[place : token.start()])
            place = token.end()
            if token[3]:
                self._control(token[3])
            elif token[2]:
                self._command(token[2], int(token[1]) if token[1].isdigit() else 0)
        self._write(text[place:])

    def _write(self, text: str) -> None:
        for letter in text:
            if self._column == self.columns:  # only the next letter goes to the next line, not the last one of this
                self._down()
                self._column = 0
            line = self._lines[self._row]
            line.extend(" " * (self._column + 1 - len(line)))
            line[self._column] = letter
            self._column += 1

    def _control(self, letter: str) -> None:
        if letter == "\n":
            self._down()
        elif letter == "\r":
            self._column = 0
        elif letter == "\b":
            self._column = max(0, min(self._column, self.columns - 1) - 1)

    def _command(self, name: str, number: int) -> None:
        steps = number or 1
        if name == "A":
            self._row = max(0, self._row - steps)
        elif name == "B":
            for _ in range(steps):
                self._down()
        elif name == "C":
            self._column = min(self.columns - 1, self._column + steps)
        elif name == "D":
            self._column = max(0, self._column - steps)
        elif name == "G":
            self._column = min(self.columns, steps) - 1
        elif name == "K":
            self._erase(number)
        elif name == "J" and number == 0:
            self._erase(0)
            del self._lines[self._row + 1 :]

    def _erase(self, which: int) -> None:
        line = self._lines[self._row]
        if which == 0:
            del line[self._column :]
        elif which == 2:
            line.clear()

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._lines):
            self._lines.append([])
