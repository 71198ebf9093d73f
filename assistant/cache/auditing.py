"""Were past answers right for the questions they were given to? Those questions are answered afresh, and the two compared.

A hit that turns out wrong ends its entry. What was seen bounds the share of wrong hits (`threshold.running_bound`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from assistant.cache.serving import AnswerCache
from assistant.checking.claims import read_claim
from assistant.frozen import thaw
from assistant.records import Answer

Ask = Callable[[str, bool], Answer]
"""A question, and whether unsupported sentences are left out → an answer written for it."""


@dataclass(frozen=True, slots=True)
class Audit:
    """How many hits were audited, and how many of them were wrong."""

    audited: int
    wrong: int


def audit(cache: AnswerCache, ask: Ask, *, most: int = 20) -> Audit:
    """Audit the hits that await it, oldest first.

    Args:
        cache: where they were served from.
        ask: answers afresh.
        most: how many to audit.
    """
    audited = wrong = 0
    for strict in (False, True):
        for number, entry_id, question in cache.store.pending_audits(cache.scope_key(strict=strict))[: most - audited]:
            entry = cache.store.entry(entry_id)
            if entry is None:  # its passages have changed since: nothing is left to compare
                cache.store.forget_audit(number)
                continue
            agreed = agree(thaw(entry.answer), ask(question, strict))
            cache.store.audited(number, agreed=agreed)
            if not agreed:
                cache.quarantine(entry_id, question)
            audited, wrong = audited + 1, wrong + (not agreed)
    return Audit(audited, wrong)


def agree(served: Answer, fresh: Answer) -> bool:
    """Whether two answers say the same, as far as can be told: the same numbers, from a passage that both cite."""
    if "abstained" in (served.status, fresh.status):
        return served.status == fresh.status
    cited = {citation.passage_id for citation in served.citations}
    return numbers(served.text) == numbers(fresh.text) and any(citation.passage_id in cited for citation in fresh.citations)


def numbers(text: str) -> set[frozenset[str]]:
    """The numbers that an answer states, its markers aside."""
    return {token.keys for token in read_claim(text).numbers}
