"""Two answers to one question → terminal text: side by side where there is room, else one below the other (pure)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import zip_longest

from rich.console import Console
from rich.style import Style
from rich.text import Text

from assistant.records import Answer
from assistant.rendering.answers import QUIET, render_answer
from assistant.rendering.terminal import Terminal, sanitize

TWO_COLUMNS = 100
"""Columns of a terminal from which on two answers stand side by side."""
TITLE = Style(bold=True)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the answers that are compared.

    Attributes:
        letter: what it is called on the screen.
        name: of its adapter.
        answer: its text and what that took.
    """

    letter: str
    name: str
    answer: Answer

    @property
    def seconds(self) -> float:
        """What writing it took."""
        return self.answer.timings.total / 1e3

    @property
    def told(self) -> str:
        """Who wrote it, and how long that took."""
        return f"{sanitize(self.name, one_line=True)} ({self.seconds:.1f} s)"


def render_sides(sides: Sequence[Side], terminal: Terminal, *, blind: bool) -> Iterator[Text]:
    """The answers under their letters; blind without anything that tells who wrote them, their times too."""
    blocks = [_block(side, terminal, blind=blind) for side in sides]
    if terminal.width < TWO_COLUMNS:
        for block in blocks:
            yield from block
            yield Text("")
        return
    bar = " │ " if terminal.unicode else " | "
    width = (terminal.width - len(bar)) // 2
    left, right = (list(_wrapped(block, width)) for block in blocks)
    for one, other in zip_longest(left, right):
        yield Text.assemble(_padded(one or Text(""), width), (bar, QUIET), other or Text(""))
    yield Text("")


def revealed(sides: Sequence[Side]) -> str:
    """Who wrote which answer: told after a blind choice."""
    return ", ".join(f"{side.letter} was {side.told}" for side in sides)


def scores_line(name: str, scores: Sequence[float], *, texts: int, seconds: float) -> str:
    """What the answers that were sampled scored, the best first, which is the one shown."""
    told = " · ".join(f"{score:.2f}" for score in sorted(scores, reverse=True))
    alike = f"; {texts} different texts" if texts < len(scores) else ""
    return f"the best of {len(scores)}, scored by {sanitize(name, one_line=True)}: {told}{alike} ({seconds:.1f} s)"


def _block(side: Side, terminal: Terminal, *, blind: bool) -> list[Text]:
    title = Text(side.letter, style=TITLE)
    if not blind:
        title.append(f"  {side.told}", style=QUIET)
    return [title, *render_answer(side.answer, terminal)]


def _wrapped(lines: Iterable[Text], width: int) -> Iterator[Text]:
    """Lines of at most so many columns, that keep their indent."""
    console = Console(file=StringIO(), width=width)  # measures, prints nothing
    for text in lines:
        for line in text.split("\n", allow_blank=True):
            indent = len(line.plain) - len(line.plain.lstrip(" "))
            if not line.plain.strip():
                yield Text("")
                continue
            for part in line[indent:].wrap(console, max(width - indent, 10), overflow="fold"):
                part.rstrip()
                yield Text(" " * indent) + part


def _padded(line: Text, width: int) -> Text:
    """A line with spaces up to a column; wide characters count as two."""
    line.pad_right(max(width - line.cell_len, 0))
    return line
