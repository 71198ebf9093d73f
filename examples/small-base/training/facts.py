"""Facts: a sentence with the questions that it answers, made from patterns/ with fresh names and values."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from words import (
    ACTIONS,
    ADJECTIVES,
    COLOURS,
    DAYS,
    DEVICES,
    EVENTS,
    MATERIALS,
    MONTHS,
    NUMBERS,
    PLACES,
    REASONS,
    ROLES,
    SERVICES,
    SPOTS,
    STUFF,
    TOPICS,
    TROUBLES,
    name,
    noun,
    person,
)

TEMPLATES = tuple(sorted(Path(__file__).with_name("patterns").glob("*.txt")))
CHOICE = re.compile(r"\[([^\[\]]*/[^\[\]]*|[^\[\]]*)\]")
SLOT = re.compile(r"\{(\w+)\}")
QUALITIES = "used only in spring|kept in oil|older than ten years|worn on the left arm|put under the door".split("|")
KINDS_OF_THING = "basket|hook|stamp|cup|cart|knot|whistle|mat|lamp|box|badge|ladder|bucket|form|ticket|candle".split("|")
FATES = "given to charity|sold at the market|burned|thrown away|sent to the police|put into the store".split("|")


@dataclass(frozen=True, slots=True)
class Template:
    """One line of patterns/."""

    kind: str
    statement: str
    questions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Thing:
    """What a document tells of: its kind, its full name, and the bare noun."""

    kind: str
    name: str
    bare: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence and the questions that it answers."""

    statement: str
    questions: tuple[str, ...]


def number(rng: random.Random) -> str:
    size = rng.random()
    if size < 0.5:
        return str(rng.randint(2, 99))
    return str(rng.randint(100, 999)) if size < 0.8 else f"{rng.randint(1, 99)},{rng.randint(0, 999):03d}"


def clock(rng: random.Random) -> str:
    return f"{rng.randint(6, 23)}:{rng.choice(('00', '00', '15', '30', '30', '45', f'{rng.randint(1, 59):02d}'))}"


def money(rng: random.Random) -> str:
    cents = rng.choice(("50", "20", "80", "00", "90"))
    amount = rng.choice((str(rng.randint(2, 99)), number(rng), f"{rng.randint(1, 40)}.{cents}"))
    return rng.choice(("{} euros", "{} euros", "{} EUR", "{} francs", "€{}", "{} crowns")).format(amount)


def date(rng: random.Random) -> str:
    day, month = rng.randint(1, 28), rng.choice(MONTHS)
    return rng.choice((f"{day} {month}", f"{day} {month} {rng.randint(2015, 2029)}", f"{rng.choice(DAYS)}, {day} {month}"))


def address(rng: random.Random) -> str:
    box = rng.choice((name(rng), rng.choice(PLACES), rng.choice(EVENTS))).lower().replace("_", "-")
    return f"{box}@{name(rng).lower()}.example"


def code(rng: random.Random) -> str:
    letters = "".join(rng.choice("ABCDEFGHKLMNPRSTVWXZ") for _ in range(rng.randint(1, 3)))
    return rng.choice((f"{letters}-{rng.randint(10, 9999)}", f"{letters}{rng.randint(10, 999)}", f"{rng.randint(100, 99999)}"))


def phone(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return f"0{rng.randint(100, 999)} {rng.randint(1000, 99999)}"
    return f"+{rng.randint(10, 99)} {rng.randint(100, 999)} {rng.randint(10, 999)}"


def listing(rng: random.Random) -> str:
    things = rng.sample([*STUFF, *(f"a {noun(rng, DEVICES)}" for _ in range(8)), *(f"{topic}" for topic in TOPICS)], 3)
    return f"{things[0]}, {things[1]} and {things[2]}" if rng.random() < 0.6 else f"{things[0]} and {things[1]}"


def small(rng: random.Random) -> str:
    return noun(rng, NUMBERS) if rng.random() < 0.5 else str(rng.randint(2, 60))


VALUES: dict[str, Callable[[random.Random], str]] = {
    "t": clock, "n": number, "w": small, "c": money, "d": date, "e": address, "k": code, "f": phone, "L": listing,
    "D": lambda rng: rng.choice(DAYS), "M": lambda rng: rng.choice(MONTHS), "N": name, "P": person,
    "y": lambda rng: str(rng.randint(1890, 2027)), "r": lambda rng: rng.choice(REASONS), "x": lambda rng: rng.choice(TROUBLES),
    "a": lambda rng: rng.choice(ACTIONS), "s": lambda rng: rng.choice(SPOTS), "u": lambda rng: rng.choice(STUFF),
    "m": lambda rng: rng.choice(MATERIALS), "o": lambda rng: rng.choice(COLOURS), "q": lambda rng: rng.choice(QUALITIES),
    "z": lambda rng: rng.choice(KINDS_OF_THING), "Z": lambda rng: rng.choice(FATES),
    "b": lambda rng: f"{rng.randint(10, 60)} cents",
    "h": lambda rng: str(rng.randint(80, 9999)), "i": lambda rng: rng.choice(("first", "second", "third", "last")),
}  # fmt: skip
POOLS = {"place": PLACES, "device": DEVICES, "event": EVENTS, "service": SERVICES, "role": ROLES}


@cache
def templates() -> dict[str, tuple[Template, ...]]:
    """The lines of patterns/, by kind of thing."""
    found: dict[str, list[Template]] = {}
    kind = ""
    for line in "\n".join(file.read_text("utf-8") for file in TEMPLATES).splitlines():
        if line.startswith("@"):
            kind = line[1:].strip()
        elif line.strip() and not line.startswith("#"):
            statement, *questions = (part.strip() for part in line.split(" | "))
            found.setdefault(kind, []).append(Template(kind, statement, tuple(questions)))
    return {kind: tuple(lines) for kind, lines in found.items()}


def thing(rng: random.Random, kind: str) -> Thing:
    """A thing of a kind, with a name of its own in half of the cases."""
    bare = noun(rng, POOLS[kind])
    form = rng.random()
    if kind == "place" and form < 0.4:
        return Thing(kind, f"{name(rng)} {bare.title()}", bare)
    if form < 0.3:
        return Thing(kind, f"the {rng.choice(ADJECTIVES)} {bare}", bare)
    if form < 0.5 and kind == "event":
        return Thing(kind, f"the {rng.choice(TOPICS)} {bare}", bare)
    if form < 0.6 and kind in ("place", "event", "role"):
        return Thing(kind, f"the {bare} {rng.choice(('in', 'of', 'at'))} {name(rng)}", bare)
    if form < 0.6 and kind == "device":
        return Thing(kind, f"the {name(rng)} {bare}", bare)
    article = ("an" if bare[0] in "aeiou" else "a") if kind == "service" and form > 0.7 else "the"
    return Thing(kind, f"{article} {bare}", bare)


def fill(rng: random.Random, text: str, values: dict[str, str]) -> str:
    """Choose among the alternatives of a template and put values into its slots; the same slot always has the same value."""
    while match := CHOICE.search(text):
        options = match[1].split("/")
        chosen = rng.choice(options)
        values |= {f"instead of {bare(other)}": bare(chosen) for other in options if other != chosen and len(other) > 3}
        text = text[: match.start()] + chosen + text[match.end() :]

    def value(match: re.Match[str]) -> str:
        slot = match[1]
        if slot not in values:
            values[slot] = fill(rng, VALUES[slot[0]](rng), {})
        return values[slot]

    return SLOT.sub(value, text)


def bare(text: str) -> str:
    return text.strip().removeprefix("The ").lower()


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def fact(rng: random.Random, template: Template, about: Thing | None, *, only_questions: bool = False) -> Fact:
    """A template with values; questions only: what would be asked about a thing of which this isn't said."""
    values = {"E": about.name, "E0": about.bare} if about else {}
    statement = capital(fill(rng, template.statement, values))
    questions = template.questions
    if template.kind == "none":  # a question names what the sentence names, not another choice
        questions = tuple(_agreeing(question, values) for question in questions)
    if only_questions:
        values = {key: value for key, value in values.items() if key in ("E", "E0")}
    return Fact(statement, tuple(capital(fill(rng, question, values)) for question in questions))


def _agreeing(question: str, values: dict[str, str]) -> str:
    for key, chosen in values.items():
        other = key.removeprefix("instead of ")
        if other != key and re.search(rf"\b{re.escape(other)}\b", question):
            return question.replace(other, chosen)
    return question
