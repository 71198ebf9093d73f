"""An answer without a language model: the sentences that answer the question, word for word, each with its citation.

One sentence is the rule. More come when the question asks for a list or for steps, when the best sentence leans on the one before
it, or when another sentence is about as likely to be the answer. Long ones are cut to the clauses that speak of what is asked.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from assistant.errors import ModelError
from assistant.grounding.evidence import kind_match
from assistant.language import english
from assistant.language.questions import Question, read_question, stem, words_of
from assistant.language.sentences import Unit, split_units
from assistant.records import Evidence, Prompt, Step

if TYPE_CHECKING:
    from assistant.adapters.identity import BaseIdentity
    from assistant.adapters.selection import Selection

MAX_SENTENCES = 3
MAX_WORDS = 40
"""Words of a sentence; a longer one is cut to neighbouring clauses."""
RIVAL_SHARE = 0.1
"""A further sentence whose share of the score is at least so much of the best one's is given too: it may well be the answer."""
SHORT_WORDS = 30
"""A sentence before a leaning one ("It costs …") is added up to so many words; beyond that the heading says what it is about."""

_CLAUSE = re.compile(
    r"(?<=[,;:–—])\s+|\s+(?=[–—(])|\s+(?=(?:and|but|or|which|who|where|when|while|because|although|after|before|until)\b)"
)


class ExtractiveModel:
    """Answers with the best evidence of a prompt. Deterministic; needs no weights of its own."""

    name = "extractive"
    adapter = None
    budget = None
    last = None
    identity: Mapping[str, Any] = MappingProxyType({"kind": "extractive", "version": 1})
    """The version is raised with whatever makes it choose or cut other sentences."""
    selections: "Mapping[Step, Selection]" = MappingProxyType({})

    def base(self) -> "BaseIdentity":
        """Nothing of it can be adapted."""
        raise ModelError(
            f"{self.name!r} takes no adapters", hint="give the --model that it was trained on, or leave --adapter out"
        )

    def use_adapters(self, selections: "Mapping[Step, Selection]", _announce: Callable[[str], None] = lambda _: None) -> None:
        """There are none to use."""
        if any(selections.values()):
            self.base()

    def prefetch(self, _selections: "Mapping[Step, Selection]") -> None:
        """There are none to load."""

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """Yield the sentences of an answer in reading order, each with its ``[n]``; nothing when there is no evidence."""
        numbers = {hit.passage.passage_id: number for number, hit in enumerate(prompt.hits, 1)}
        question = read_question(prompt.question, {})
        chosen = choose(question, [one for one in prompt.evidence if one.hit.passage.passage_id in numbers])
        for at, one in enumerate(chosen):
            text = trim(question, one.text) if len(one.text.split()) > MAX_WORDS else one.text
            yield f"{' ' if at else ''}{text} [{numbers[one.hit.passage.passage_id]}]"

    def close(self) -> None:
        """Nothing to give back."""


def choose(question: Question, evidence: Sequence[Evidence]) -> list[Evidence]:
    """The sentences that make up the answer, in reading order."""
    if not evidence:
        return []
    best = evidence[0]
    chosen = [best]
    if asks_for_several(question):
        chosen += _following(best, evidence)
    for rival in evidence[1:MAX_SENTENCES]:
        if len(chosen) < MAX_SENTENCES and rival.score >= RIVAL_SHARE * best.score and _adds(question, rival, chosen):
            chosen.append(rival)
    if len(chosen) < MAX_SENTENCES and english.DANGLING.match(best.text):
        chosen += [one for one in _before(best) if _adds(question, one, chosen)]
    place = {hit.passage.passage_id: at for at, hit in reversed(list(enumerate(one.hit for one in chosen)))}
    return sorted(chosen, key=lambda one: (place[one.hit.passage.passage_id], one.start))


def asks_for_several(question: Question) -> bool:
    """Whether a list or several steps may be the answer."""
    return bool(english.PROCEDURE.search(question.text))


def trim(question: Question, text: str, limit: int = MAX_WORDS) -> str:
    """Cut a long sentence to the run of neighbouring clauses that has most of the question and the kind of answer it asks for."""
    clauses = _clauses(text, limit)
    best, score = (0, 1), -1.0
    for first in range(len(clauses)):
        for last in range(first + 1, len(clauses) + 1):
            run = " ".join(clauses[first:last])
            if len(run.split()) > limit:
                break
            worth = _worth(question, run) + 0.001 * len(run.split())
            if worth > score:
                best, score = (first, last), worth
    kept = " ".join(clauses[best[0] : best[1]]).rstrip(" ,;:–—")
    return f"{'… ' if best[0] else ''}{kept}{' …' if best[1] < len(clauses) else ''}"


def _clauses(text: str, limit: int) -> list[str]:
    """Clauses of a text, none over the limit: one without a boundary is cut by its words."""
    words = (clause.split() for clause in _CLAUSE.split(text))
    return [" ".join(part[at : at + limit // 2]) for part in words for at in range(0, len(part), limit // 2)]


def _worth(question: Question, text: str) -> float:
    said = set(stem(words_of(text)))
    terms = question.terms
    named = sum(term.stem in said for term in terms) / max(1, len(terms))
    return named + 0.5 * (kind_match(question, text) > 0)


def _following(best: Evidence, evidence: Sequence[Evidence]) -> list[Evidence]:
    """What goes on where the best sentence stands: the other items of its list, or the next steps in its paragraph."""
    units = split_units(best.hit.passage)
    at = next((i for i, unit in enumerate(units) if unit.start == best.start), None)
    if at is None or units[at].kind in ("row", "code"):
        return []
    here, scores = units[at], {(one.hit.passage.passage_id, one.start): one.score for one in evidence}
    rest = units[at + 1 : at + MAX_SENTENCES]
    wanted = [unit for unit in rest if unit.kind == here.kind == "item" or (unit.kind == "item" and here.text.endswith(":"))]
    if here.kind == "sentence" and not wanted:
        wanted = [unit for unit in rest[:1] if unit.block == here.block]
    return [_evidence(best, unit, scores.get((best.hit.passage.passage_id, unit.start), 0.0)) for unit in wanted]


def _before(best: Evidence) -> list[Evidence]:
    """The sentence before one that leans on it, when it is short and of the same paragraph."""
    units = split_units(best.hit.passage)
    at = next((i for i, unit in enumerate(units) if unit.start == best.start), 0)
    if not at or units[at - 1].block != units[at].block or len(units[at - 1].text.split()) > SHORT_WORDS:
        return []
    return [_evidence(best, units[at - 1], 0.0)]


def _evidence(like: Evidence, unit: Unit, score: float) -> Evidence:
    return Evidence(like.hit, unit.start, unit.end, unit.text, score)


def _adds(question: Question, one: Evidence, chosen: Sequence[Evidence]) -> bool:
    """Whether a sentence says something that the chosen ones don't."""
    said = {word for other in chosen for word in stem(words_of(other.text))}
    new = {word for word in stem(words_of(one.text)) if word not in said | question.stems}
    return len(new) >= 2 or (kind_match(question, one.text) > 0 and bool(new))
