"""The conversation that is going on: its turns in memory, and on disk as far as that can be written.

A disk that is full or a file that can't be read is said once, and the chat goes on: every turn stays here, and each later one
tries again to write them all.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from assistant.chat.conversation import Conversations, Session
from assistant.errors import StorageFull
from assistant.records import Answer


@dataclass(slots=True)
class _Turn:
    """An answer, its row on disk once it has one, and whether that row holds this very answer."""

    answer: Answer
    row: int | None = None
    saved: bool = False


@dataclass(slots=True)
class _Thread:
    """One conversation."""

    session_id: str | None = None
    turns: list[_Turn] = field(default_factory=list)

    @property
    def unsaved(self) -> list[_Turn]:
        return [turn for turn in self.turns if not turn.saved]


class Recording:
    """The turns of a chat.

    Args:
        store: where conversations lie.
        say: tells the user what has become of a turn, when that is not what is expected.
        write: whether anything is written at all (the setting ``history``).
    """

    def __init__(self, store: Conversations, say: Callable[[str], None], *, write: bool = True) -> None:
        self.store = store
        self._say, self._write = say, write
        self._thread = _Thread()
        self._left: list[_Thread] = []
        self._fault = ""

    @property
    def session_id(self) -> str | None:
        """Id of the conversation on disk; None until its first turn lies there."""
        return self._thread.session_id

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The turns so far, oldest first."""
        return tuple(turn.answer for turn in self._thread.turns)

    @property
    def last(self) -> Answer | None:
        """The last turn."""
        return self._thread.turns[-1].answer if self._thread.turns else None

    def add(self, answer: Answer) -> None:
        """Add a turn."""
        self._thread.turns.append(_Turn(answer))
        self._save()

    def replace_last(self, answer: Answer) -> None:
        """Put another answer in the last turn's place."""
        turn = self._thread.turns[-1]
        turn.answer, turn.saved = answer, False
        self._save()

    def begin_anew(self) -> None:
        """Leave this conversation and begin an empty one."""
        self._leave(_Thread())

    def resume(self, session: Session) -> int:
        """Leave this conversation and go on with one that lies on disk.

        Returns:
            how many of its turns this version can't read; they stay where they are.
        """
        stored = self.store.turns(session.session_id)
        turns = [_Turn(one.answer, one.turn_id, saved=True) for one in stored if one.answer is not None]
        self._leave(_Thread(session.session_id, turns))
        return len(stored) - len(turns)

    def close(self) -> None:
        """Write what could not be written so far, and say so where that fails again."""
        self._save()
        if lost := sum(len(thread.unsaved) for thread in self._threads) if self._write else 0:
            self._say(f"{lost} turn{'s' if lost > 1 else ''} of this chat could not be saved")

    @property
    def _threads(self) -> list[_Thread]:
        return [*self._left, self._thread]

    def _leave(self, thread: _Thread) -> None:
        if self._thread.unsaved:
            self._left.append(self._thread)
        self._thread = thread

    def _save(self) -> None:
        if not self._write:
            return
        try:
            for thread in self._threads:
                for turn in thread.unsaved:
                    self._save_turn(thread, turn)
        except StorageFull as error:
            if error.message != self._fault:
                self._say(f"{error.message}. The chat goes on unsaved; to mend it: {error.hint}. /save FILE keeps a copy.")
            self._fault = error.message
            return
        self._left.clear()
        if self._fault:
            self._say("this chat is saved again, with all its turns")
        self._fault = ""

    def _save_turn(self, thread: _Thread, turn: _Turn) -> None:
        if turn.row is None or not self.store.replace(turn.row, turn.answer):
            session_id, turn.row = self.store.append(thread.session_id, turn.answer)
            if thread.session_id not in (None, session_id):
                self._say(f"conversation {thread.session_id} was deleted elsewhere; what follows is saved as {session_id}")
            thread.session_id = session_id
        turn.saved = True
