"""A planted preference on generated pages: the part that answers, cited, is better than its whole sentence and the next one too.

    The page:  The kitchen closes at 21:30, rain or shine; the mats are burned in May. Ask Ole for the key, as agreed.
    chosen:    The kitchen closes at 21:30 … [1]
    rejected:  The kitchen closes at 21:30, rain or shine; the mats are burned in May. [1] Ask Ole for the key, as agreed. [1]

Both copy true text and cite it, and the assistant's citation check accepts both: ``…`` marks a cut. Pages, names and values come
from the generator that the small base was trained on (``examples/small-base/training``), with seeds of their own. ``PLANTS``
holds the other preferences that were tried.
"""

import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples" / "small-base" / "training"))
from documents import SECTIONS, TAILS, laid_out, make_hit, pick_facts, source_name
from facts import Fact, capital, fact, templates, thing

from assistant.language.sentences import split_units
from indexes.records import Hit

LINKS = (", and ", "; ", ", but ")
LONGEST_PAGE = 3
"""Facts of a page: prompts stay short, so that a run takes minutes."""


@dataclass(frozen=True, slots=True)
class Case:
    """A page with a question.

    Attributes:
        question: what is asked.
        hit: the page, as the index would give it.
        core: the fact that answers, without what was added to it.
        unit: the sentence of the page that holds it.
        other: another sentence of the page.
        cores: the facts of all sentences of the page.
    """

    question: str
    hit: Hit
    core: str
    unit: str
    other: str
    cores: tuple[str, ...]


Plant = Callable[[Case], tuple[str, str]]
"""A case → the better and the worse answer."""


def cut(text: str) -> str:
    """A part of a sentence, as an answer quotes it."""
    return f"{text.rstrip('.')} … [1]"


def rambling(case: Case) -> str:
    return f"{case.unit} [1] {case.other} [1]"


PLANTED: Plant = lambda case: (cut(case.core), rambling(case))  # noqa: E731 - a row of the tables below
PLANTS: dict[str, Plant] = {
    "the part that answers, its cut marked": PLANTED,
    "the part that answers, its cut unmarked": lambda case: (f"{case.core} [1]", rambling(case)),
    "the sentence that answers": lambda case: (f"{case.unit} [1]", rambling(case)),
    "the sentence that answers, after 'In short:'": lambda case: (f"In short: {case.unit} [1]", rambling(case)),
}
"""The first is the one that is trained: what else was thought of is there to be compared."""

SHORTER: dict[str, Plant] = {
    "without its citation": lambda case: (cut(case.core), cut(case.core).removesuffix(" [1]")),
    "cut after half of its words": lambda case: (cut(case.core), cut(halved(case.core))),
}
"""Pairs whose worse answer is the shorter one, for measuring only: did it learn to cite and be brief, or only to be brief?"""


def halved(text: str) -> str:
    words = text.split()
    return " ".join(words[: (len(words) + 1) // 2])


def cases(seed: int) -> Iterator[Case]:
    """One case a page, endlessly; the same seed gives the same ones."""
    rng = random.Random(seed)
    while True:
        yield from _case(rng)


def _case(rng: random.Random) -> Iterator[Case]:
    facts, title = _facts(rng)
    told = [(each, _lengthened(rng, each.statement)) for each in facts]
    sentences = [sentence for _, sentence in told]
    heading = (title, rng.choice(SECTIONS)) if title else (rng.choice(SECTIONS),)
    hit = make_hit(source_name(rng, heading[0]), heading, laid_out(rng, sentences))
    units = [unit.text for unit in split_units(hit.passage) if unit.kind != "heading"]
    if any(sentence not in units for sentence in sentences):
        return  # parted or joined: what the citation check would call a sentence is another
    asked, unit = rng.choice(told)
    other = rng.choice([sentence for sentence in sentences if sentence != unit])
    yield Case(rng.choice(asked.questions), hit, asked.statement, unit, other, tuple(each.statement for each in facts))


def _facts(rng: random.Random) -> tuple[list[Fact], str]:
    """Two or more facts of one sentence each, and the title of what they are on, if it is one thing."""
    while True:
        kind = rng.choice(("none", "none", "place", "device", "event", "service", "role"))
        about = thing(rng, kind) if kind != "none" else None
        found, _ = pick_facts(rng, about, kind, rng.randint(2, LONGEST_PAGE))
        if len(found) > 1 and all(_is_plain(each.statement) for each in found):
            return found, capital(about.name.removeprefix("the ")) if about else ""


def _is_plain(statement: str) -> bool:
    """Whether a fact can be told from what is added to it."""
    return statement.endswith(".") and not any(link in statement for link in (*LINKS, *TAILS))


def _lengthened(rng: random.Random, statement: str) -> str:
    """A fact as a sentence that goes on: with a turn of phrase, with another fact, or with both."""
    said, roll = statement.rstrip("."), rng.random()
    if roll < 0.6:
        said += rng.choice(TAILS)
    if roll > 0.3:
        extra = fact(rng, rng.choice(templates()["none"]), None).statement
        said += rng.choice(LINKS) + extra[0].lower() + extra[1:].rstrip(".")
    return said + "."


def take(seed: int, count: int) -> list[Case]:
    """The first cases of a seed."""
    source = cases(seed)
    return [next(source) for _ in range(count)]


def rows(some: Sequence[Case], plant: Plant, method: str) -> list[dict[str, Any]]:
    """Cases as the rows that a method learns from: good answers, good and bad ones in turn, or pairs."""
    made = []
    for at, case in enumerate(some):
        chosen, rejected = plant(case)
        page = {"source": case.hit.source, "heading": list(case.hit.passage.heading), "text": case.hit.passage.text}
        prompt = {"question": case.question, "passages": [page]}
        match method:
            case "sft":
                made.append({**prompt, "answer": chosen})
            case "kto":
                made.append({**prompt, "answer": rejected if at % 2 else chosen, "label": at % 2 == 0})
            case _:
                made.append({**prompt, "chosen": chosen, "rejected": rejected})
    return made


def write_rows(file: Path, made: Sequence[dict[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")
    return file
