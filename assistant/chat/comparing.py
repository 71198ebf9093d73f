"""The chat's command that lets a person choose between two adapters: /compare.

Both answer from the same frozen passages, one after the other, and nothing of either goes through the cache. Who answered before
answers afterwards, whatever happened meanwhile.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from assistant.adapters.selection import Selection, adapters_identity
from assistant.errors import ModelError, UsageError, UserError
from assistant.feedback import append_feedback, judge_answer
from assistant.records import Answer, Retrieved, Step
from assistant.rendering.answers import render_answer
from assistant.rendering.comparing import Side, render_sides, revealed

if TYPE_CHECKING:
    from assistant.chat.repl import Chat
    from assistant.models import LanguageModel

BLIND = "--blind"
LETTERS = ("a", "b")
SAME = "="
HOW = "/compare A B [QUESTION] [--blind]; 'none' is the base alone"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is to be compared.

    Attributes:
        specs: two selections of adapters, as they were typed.
        question: a new one; empty: the last one.
        blind: don't tell who wrote what before the choice.
    """

    specs: tuple[str, str]
    question: str = ""
    blind: bool = False


def parse_comparison(rest: str) -> Comparison:
    """Read ``A B``, ``A B --blind`` or ``A B QUESTION``.

    Raises:
        UsageError: two names are missing, or there is another option.
    """
    words = [word for word in rest.split() if word != BLIND]
    if len(words) < 2:
        raise UsageError(f"/compare takes two adapters, not {rest!r}", hint=HOW)
    first, second, *question = words
    if odd := next((word for word in (first, second, *question[:1]) if word.startswith("--")), None):
        raise UsageError(f"/compare has no option {odd!r}", hint=HOW)
    return Comparison((first, second), " ".join(question), BLIND in rest.split())


def compare(chat: "Chat", rest: str) -> None:
    """Answer one question with two adapters, show both, and record which is better."""
    wanted = parse_comparison(rest)
    selections = _selections(chat, wanted.specs)
    retrieved = chat.retrieved(wanted.question)
    if retrieved.grounding and not retrieved.grounding.answerable:
        chat.screen.note("the passages were judged not to hold the answer; both write from them all the same")
    order = list(zip(wanted.specs, selections, strict=True))
    _admit(chat, selections)
    if wanted.blind:
        random.SystemRandom().shuffle(order)
    answers = _written(chat, retrieved, [each for _, each in order])
    sides = [Side(letter.upper(), spec, answer) for letter, (spec, _), answer in zip(LETTERS, order, answers, strict=True)]
    better = _chosen(chat, sides, blind=wanted.blind)
    if wanted.question:  # a turn like any other; the last question's stays as it is
        chat.recording.add((better or sides[0]).answer)


def _selections(chat: "Chat", specs: tuple[str, str]) -> list[Mapping[Step, Selection]]:
    from assistant.wiring import choose_adapters

    model = chat.assistant.model
    found = [choose_adapters(model, spec, chat.settings, announce=chat.screen.note) for spec in specs]
    if adapters_identity(found[0]) == adapters_identity(found[1]):
        raise UsageError(f"{specs[0]!r} and {specs[1]!r} are the same", hint=HOW)
    return found


def _admit(chat: "Chat", selections: Sequence[Mapping[Step, Selection]]) -> None:
    """Load both before either writes, so that neither time holds a load, and no notice tells who is who."""
    model = chat.assistant.model
    before = model.selections
    if model.budget is None:  # asking for it loads a model that waits for its first question
        raise ModelError(f"the model {model.name!r} takes no adapters", hint="let another model answer: /model FOLDER")
    try:
        for each in selections:
            model.use_adapters(each, chat.screen.note)
    finally:
        go_back(model, before)


def _written(chat: "Chat", retrieved: Retrieved, selections: Sequence[Mapping[Step, Selection]]) -> list[Answer]:
    """What each writes, in this order."""
    model, answers = chat.assistant.model, []
    before = model.selections
    try:
        for each in selections:
            model.use_adapters(each)
            answers.append(chat.write(retrieved))
    finally:
        go_back(model, before)
    return answers


def go_back(model: "LanguageModel", before: Mapping[Step, Selection]) -> None:
    """Let who answered before answer again; the base where that can't be."""
    try:
        model.use_adapters(before)
    except UserError:
        model.use_adapters({})
        raise


def _chosen(chat: "Chat", sides: Sequence[Side], *, blind: bool) -> Side | None:
    """Show the answers, and record which is better; None where neither is."""
    screen = chat.screen
    if sides[0].answer.text == sides[1].answer.text:
        screen.show([*render_answer(sides[0].answer, screen.terminal), Text("")])
        screen.note(f"{' and '.join(side.told for side in sides)} write word for word the same: nothing is recorded")
        return None
    screen.show(render_sides(sides, screen.terminal, blind=blind))
    key = chat.reader.key("Which is better? a, b, = the same, Enter none ", (*LETTERS, SAME))
    if blind:
        screen.note(revealed(sides))
    if key not in LETTERS:
        what = {SAME: "neither is better", "": "nothing was chosen"}.get(key, f"{key!r} is none of a, b and =")
        screen.note(f"{what}: nothing is recorded")
        return None
    better, worse = sides if key == LETTERS[0] else sides[::-1]
    append_feedback(chat.settings.home, judge_answer("compare", better.answer, other=worse.answer))
    screen.note(f"noted: {better.name} is better than {worse.name} here. `assistant feedback` shows what is kept.")
    return better
