"""A follow-up made self-contained by the chat model, checked word by word; by the rule of ``rule`` where that fails.

The model is asked only about a question that may lean on the turns before it, and sees those turns' questions and the beginnings
of their answers, never passages. What it writes counts only if it adds nothing that was not said.
"""

import re
from collections.abc import Callable, Sequence

from assistant.followup import grammar as grammar
from assistant.followup import rule
from assistant.followup.nouns import read_nouns
from assistant.followup.references import pronoun
from assistant.followup.slots import bare_question
from assistant.language.questions import content_words, stem, words_of
from assistant.models import LanguageModel
from assistant.prompt import Budget, neutral
from assistant.records import Answer, Message, Prompt

INSTRUCTION = (
    "Rewrite the last question so that it can be understood without the conversation. Keep its words, take what is missing from "
    "the conversation, and add nothing else. Write only the question."
)
TURNS = 3
"""Earlier turns that the model sees at most."""
ANSWER_WORDS = 40
"""Words of each earlier answer that it sees."""
MOST_WORDS = 60
"""Of a rewritten question; more is rambling."""

_MARKER = re.compile(r"\s*\[\d+\]")
_LABEL = re.compile(r"^(?:(?:rewritten |self-contained )?question|q)\s*:\s*", re.IGNORECASE)
_LEANING = frozenset("same other others else too also either instead there then".split())
_EXISTENTIAL = re.compile(
    r"\b(?:is|are|was|were|has|have|will|can|must|isn't|aren't) there\b(?! *\?*$)|\bthere (?:is|are|was|were|has|have)\b", re.I
)


class ModelRewriter:
    """Makes follow-ups self-contained with a chat model. Give it to ``Assistant(rewrite=…)``.

    Args:
        model: the model that answers, too.
        rule: what is used when the model need not or could not do it.
    """

    def __init__(self, model: LanguageModel, rule: Callable[[str, Sequence[Answer]], str | None] = rule.rewrite) -> None:
        self._model = model
        self._rule = rule

    def __call__(self, question: str, earlier: Sequence[Answer]) -> str | None:
        """Make a follow-up self-contained; None when it already is.

        Raises:
            ModelError: the model can't write.
        """
        budget = self._model.budget
        if earlier and budget is not None and may_depend(question):
            messages = _messages(question, earlier[-TURNS:], budget)
            made = accepted(self._written(question, messages), question, earlier[-TURNS:]) if messages else None
            if made:
                return made
        return self._rule(question, earlier)

    def _written(self, question: str, messages: tuple[Message, ...]) -> str:
        """What the model writes, up to the first line's end or the first word too many."""
        text = ""
        for piece in self._model.stream(Prompt(question, (), (), messages, "rewrite")):
            text = (text + piece).lstrip()
            if len(text.split()) > MOST_WORDS or "\n" in text.rstrip():
                break
        return text


def may_depend(question: str) -> bool:
    """Whether a question may lean on the turns before it. Generous; a clear no costs no model call."""
    text = " ".join(question.split()).rstrip(" ?.!…")
    body, said = rule.without_opening(text)
    read = read_nouns(body)
    words = set(words_of(_EXISTENTIAL.sub(" ", grammar.EXPLETIVE.sub(" ", body))))
    if said or not body or len(words) <= 2 or not read.is_clause or bare_question(body):
        return True
    if pronoun(read) is not None or words & _LEANING:
        return True
    names = any(noun.name for noun in read.nouns)
    return not names and len(content_words(body)) <= 2 and any(noun.determiner == "the" for noun in read.nouns)


def accepted(reply: str, question: str, earlier: Sequence[Answer]) -> str | None:
    """The model's question, if it is one line, one question, and made of what was said; None otherwise."""
    line = _MARKER.sub("", reply).strip().strip("\"'“”`* ")
    line = _LABEL.sub("", line)
    if not line or "\n" in line or len(line.split()) > MOST_WORDS or not _is_question(line):
        return None
    said = [question, *(text for turn in earlier for text in (rule.self_contained(turn), turn.question, turn.text))]
    known = {word for text in said for word in stem(words_of(text))}
    own = stem(content_words(rule.without_opening(question)[0]))
    written = stem(content_words(line))
    if not set(written) <= known or not set(own) <= set(written) or set(written) == set(stem(content_words(question))):
        return None
    if pronoun(read_nouns(line.rstrip("?. "))) is not None:
        return None
    return rule.as_question(line.rstrip("?. "))


def _is_question(line: str) -> bool:
    """Whether a line is one question, or a command such as "describe …"."""
    first = words_of(line)[:1]
    asks = bool(first) and (first[0] in grammar.QUESTION_WORDS | grammar.PREPOSITIONS or first[0] in grammar.AUXILIARIES)
    one = not re.search(r"[?!]\s+\S|\.\s+[A-Z]", line)
    return one and (line.endswith("?") or asks or grammar.COMMAND.match(line) is not None)


def _messages(question: str, earlier: Sequence[Answer], budget: Budget) -> tuple[Message, ...]:
    """The conversation and the question, with as many turns, newest first, as there is room for; nothing when there is none."""
    turns = [_turn(turn) for turn in earlier]
    while turns:
        text = neutral("\n".join([*turns, f"Last question: {question}"]), budget.special_tokens)
        messages = (Message("system", INSTRUCTION), Message("user", text))
        if budget.count(messages) <= budget.tokens:
            return messages
        turns = turns[1:]
    return ()


def _turn(turn: Answer) -> str:
    """One earlier turn in two lines; an abstention has nothing to tell."""
    answer = " ".join(_MARKER.sub("", turn.text).split()[:ANSWER_WORDS]) if turn.status != "abstained" else ""
    asked = " ".join(rule.self_contained(turn).split())
    return f"Question: {asked}" + (f"\nAnswer: {answer}" if answer else "")
