"""She sits at the real `assistant chat`: types, reads the screen, judges."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from person import Question, Seen, Verdict, judge, judgement, look_at, prefer, read_answer, read_passages
from screen import Screen
from terminal import CTRL_D, ENTER, Terminal

COLUMNS = 110
BAR = "│"
WHICH = "Which is better?"
PATIENCE_S = 120.0


@dataclass
class Talk:
    """A chat that goes on.

    Args:
        arguments: of `assistant`.
        cwd: folder that it starts in.
        show: takes the screen's new lines.
    """

    arguments: Sequence[str]
    cwd: Path
    show: Callable[[str], object]
    typed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._terminal = Terminal(*self.arguments, columns=COLUMNS, cwd=self.cwd)
        self._at = 0
        self._terminal.until(_asks, PATIENCE_S)
        self._show()

    def say(self, line: str) -> list[str]:
        """Type a line, wait for the next prompt; returns the lines that appeared below it."""
        row = self._type(line)
        self._terminal.until(lambda screen: screen.row > row and _asks(screen), PATIENCE_S)
        return self._show()[1:]

    def compare(self, question: Question, first: str, second: str) -> str:
        """Have the last question answered by two adapters, and press a key.

        Returns:
            the key; empty: both wrote the same, and nobody asked.
        """
        row, key = self._type(f"/compare {first} {second}"), ""
        self._terminal.until(lambda screen: screen.row > row and (_asks(screen) or _wants_key(screen)), PATIENCE_S)
        if _wants_key(self._terminal.screen):
            lines = self._terminal.screen.lines[row:]
            top = max(at for at, line in enumerate(lines) if line.startswith("A  "))
            key = prefer(question, *_columns(lines[top + 1 :]))
            self._terminal.type(key)
            self.typed.append(key)
            self._terminal.until(_asks, PATIENCE_S)
        self._show()
        return key

    def leave(self) -> None:
        """Press Ctrl-D at the prompt.

        Raises:
            AssertionError: the chat ends with another exit code than 0.
        """
        self._terminal.type(CTRL_D)
        code = self._terminal.exit_code()
        assert code == 0, f"the chat ended with {code}"

    def end(self) -> None:
        """End it, whatever goes on there."""
        self._terminal.end()

    def _type(self, line: str) -> int:
        self.typed.append(line)
        row = self._terminal.screen.row
        self._terminal.type(line + ENTER)
        return row

    def _show(self) -> list[str]:
        """Show what is new above the prompt, and return it."""
        lines = self._terminal.screen.lines
        new = lines[self._at : -1]
        self._at = len(lines) - 1
        for line in new:
            self.show(line)
        return new


def give_feedback(
    talk: Talk, questions: Sequence[Question], other: str, each: int, tell: Callable[[str], object]
) -> Counter[str]:
    """Ask, judge, and after every so many good answers compare the base with an adapter; returns how often what was said.

    Args:
        talk: the chat.
        questions: what she asks.
        other: the adapter to compare with.
        each: of so many good answers the first is compared.
        tell: takes a line about each question.
    """
    said: Counter[str] = Counter()
    for question in questions:
        verdict, _ = ask(talk, question)
        said[verdict] += 1
        if line := judgement(verdict, question):
            talk.say(line)
        tell(f"{verdict:<8} {question.text}")
        if verdict == "good" and said["good"] % each == 1 and (key := talk.compare(question, "none", other)):
            said["compare, " + {"a": "the base is better", "b": f"{other} is better", "=": "the same"}[key]] += 1
    return said


def ask(talk: Talk, question: Question) -> tuple[Verdict, Seen]:
    """Ask one question; where the answer isn't what she is after, look at the passage too."""
    seen = read_answer(talk.say(question.text))
    verdict = judge(question, seen, "")
    if verdict != "good":
        verdict = judge(question, seen, read_passages(talk.say(look_at(seen))))
    return verdict, seen


def _asks(screen: Screen) -> bool:
    return screen.lines[-1] == ">"


def _wants_key(screen: Screen) -> bool:
    return screen.lines[-1].startswith(WHICH)


def _columns(lines: Sequence[str]) -> tuple[str, str]:
    """The two answers that stand side by side, without their citations."""
    halves = [line.partition(BAR)[::2] for line in lines if BAR in line]
    first, second = (read_answer([half[side] for half in halves]).text for side in (0, 1))
    return first, second
