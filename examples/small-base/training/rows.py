"""Rows for training: passages once, with several questions and answers behind them.

    python rows.py [--seed 1] [--number 3]      print some

A pack is what is read in one go: the system text and one to three passages, then branches, each a question on them with its
answer. Branches don't see each other (train.py), so that every one of them is a whole prompt.
"""

import argparse
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from documents import Asked, Page, glossary_page, prose_page, recall_page, settings_page, text_page
from facts import templates, thing
from handbook import handbook, own_prose
from matching import matching_page
from prose import borrowed
from questions import content_of
from tables import table_page
from words import listed, name, noun, person

from assistant.language.sentences import split_units
from assistant.prompt import ABSTENTION, SYSTEM

ABSTAINED = 0.05
"""Questions without an answer for every one that has one; one more for half of the packs."""
OFF_TOPIC = listed("""What is the capital of {N}?|Who won the world cup in {y}?|How do I cook {t}?
What is the weather like in {N}?|How far is the moon?|Who wrote {N}?|How do I learn {t}?|What is the population of {N}?
Translate good morning into {N}.|How do I install {N} on my computer?|What is the meaning of life?
How do I sort a list in Java?|Which phone should I buy?|What causes headaches?|How does a {d} work?
Who invented the {d}?|When did the second world war end?|How do I get a visa for {N}?
What is the best {p} in {N}?|What is {n} times {n}?|How do I lose weight?|Tell me a joke.
What is the exchange rate of the {N}?|How do plants grow?|Who is the king of {N}?|What is a black hole?
What is the fastest animal?|How many legs does a spider have?|recipe for {t} soup|cheap flights to {N}
symptoms of flu|Is {N} bigger than {N}?|How do I write a cover letter?
What is the difference between {t} and {t}?|Who is {P}?|How many moons does {N} have?|how to fix a {d}
What does error {n} mean?|Which {t} are poisonous?|Explain {t} to a child.|When is Easter?|How tall is {P}?
Where was {P} born?""")


Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Branch:
    """A question with its answer: the text with its marker, and the span in the passages that says so; an abstention has none."""

    question: str
    answer: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Pack:
    """Passages and the branches behind them.

    Attributes:
        passages: rendered, numbered from 1, joined as in the prompt.
        branches: what is asked.
        units: spans of all that could be an answer, in ``passages``.
        system: the system text.
    """

    passages: str
    branches: tuple[Branch, ...]
    units: tuple[Span, ...] = ()
    system: str = SYSTEM


def render(pages: Sequence[Page]) -> tuple[str, dict[tuple[int, str], Span]]:
    """Pages as the prompt has them, and where each unit stands, by the page's number and how the unit reads."""
    text, places = "", {}
    for number, page in enumerate(pages, 1):
        rendered, said = page.rendered(number), page.hit.passage.text
        at = rendered.find(said)
        start = len(text) + 2 * bool(text)
        text += ("\n\n" if text else "") + rendered
        if at >= 0:
            for unit in split_units(page.hit.passage):
                if unit.kind != "heading":
                    places[number, unit.text] = (start + at + unit.start, start + at + unit.end)
    return text, places


@dataclass(frozen=True, slots=True)
class Mix:
    """What packs are made of.

    Attributes:
        level: how long passages are, from 0 to 1.
        handbook: share of packs on the sample handbook.
        words: share of generated passages that are only words, with nothing to go by but words in common.
        most_passages: in one pack.
        branches: questions in a pack.
    """

    level: float = 1.0
    handbook: float = 0.0
    words: float = 0.1
    most_passages: int = 3
    branches: int = 24


def make_pack(rng: random.Random, mix: Mix) -> Pack:
    """One pack; the same state of ``rng`` gives the same pack."""
    count = rng.choice((1, 1, 2, 3))
    count = min(count, mix.most_passages)
    if rng.random() < mix.handbook:
        pages, elsewhere = _handbook_pages(rng, mix, count)
    else:
        pages = [_generated_page(rng, mix) for _ in range(count)]
        elsewhere = [asked.question for asked in _generated_page(rng, mix).asked] + [_off_topic(rng)]
    text, places = render(pages)
    asked = [
        Branch(each.question, f"{each.answer} [{n}]", places.get((n, each.answer)))
        for n, page in enumerate(pages, 1)
        for each in page.asked
    ]
    rng.shuffle(asked)
    known = set(content_of(text))
    refused = [question for page in pages for question in page.missing]
    refused += [question for question in elsewhere if _is_foreign(question, known)]
    rng.shuffle(refused)
    asked = asked[: mix.branches]
    most = round(ABSTAINED * len(asked) + rng.random())
    branches = asked + [Branch(question, ABSTENTION) for question in refused[:most]]
    rng.shuffle(branches)
    return Pack(text, tuple(branches), tuple(places.values()))


def _is_foreign(question: str, known: set[str]) -> bool:
    words = set(content_of(question))
    return bool(words) and len(words & known) <= 0.67 * len(words)


def _off_topic(rng: random.Random) -> str:
    values = {
        "N": lambda: name(rng),
        "P": lambda: person(rng),
        "t": lambda: noun(rng, ["bread", "rice", "chess", "beans", "soup", "maths", "fish"]),
        "d": lambda: thing(rng, "device").bare,
        "p": lambda: thing(rng, "place").bare,
        "y": lambda: str(rng.randint(1930, 2025)),
        "n": lambda: str(rng.randint(2, 999)),
    }
    return re.sub(r"\{(\w)\}", lambda match: values[match[1]](), rng.choice(OFF_TOPIC))


def _generated_page(rng: random.Random, mix: Mix) -> Page:
    if rng.random() < mix.words:
        return matching_page(rng, mix.level) if rng.random() < 0.7 else recall_page(rng, 3 + round(4 * mix.level))
    roll = rng.random()
    if roll < 0.18:
        return table_page(rng, 1 + round(4 * mix.level), 4 + round(4 * mix.level))
    if roll < 0.23:
        return glossary_page(rng)
    if roll < 0.25:
        return settings_page(rng)
    if roll < 0.25 + 0.12 * mix.level:
        return text_page(rng, rng.choice(own_prose()) if rng.random() < 0.3 else borrowed(rng), 6)
    return prose_page(rng, 2 + round(rng.choice((2, 4, 6)) * mix.level))


def _handbook_pages(rng: random.Random, mix: Mix, count: int) -> tuple[list[Page], list[str]]:
    """Passages of the handbook, often of one file, with questions made by rule alone."""
    short = [hit for hit in handbook() if len(hit.passage.text) < 250 + 800 * mix.level]
    first = rng.choice(short)
    others = [hit for hit in short if hit.source == first.source] if rng.random() < 0.5 else short
    chosen = list({id(hit): hit for hit in (first, *rng.sample(others, min(count - 1, len(others))))}.values())
    rng.shuffle(chosen)
    pages = [text_page(rng, hit, 8 // len(chosen) + 1) for hit in chosen]
    elsewhere = [each.question for each in text_page(rng, rng.choice(handbook()), 4).asked]
    return pages, [*elsewhere, _off_topic(rng), _off_topic(rng)]


def single_rows(seed: int, number: int, mix: Mix) -> list[tuple[str, Asked]]:
    """Rows with one branch each: passages, and a question with the answer that is expected."""
    rng = random.Random(seed)
    rows: list[tuple[str, Asked]] = []
    while len(rows) < number:
        pack = make_pack(rng, mix)
        some = rng.sample(pack.branches, min(2, len(pack.branches)))
        rows += [(pack.passages, Asked(branch.question, branch.answer)) for branch in some]
    return rows[:number]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--number", type=int, default=3)
    parser.add_argument("--level", type=float, default=1.0)
    options = parser.parse_args()
    print(f"{sum(map(len, templates().values()))} patterns")
    rng = random.Random(options.seed)
    for _ in range(options.number):
        pack = make_pack(rng, Mix(level=options.level))
        print(pack.passages, *(f"  Q {each.question}\n  A {each.answer}" for each in pack.branches), sep="\n")
        print("-" * 80)


if __name__ == "__main__":
    main()
