"""Generated tables, as Markdown or delimited rows; a row is answered as the assistant tells it, with its column names."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from documents import SECTIONS, Asked, Page, make_hit
from facts import address, capital, clock, code, date, money, number, phone, small
from questions import paraphrase
from words import DAYS, DEVICES, EVENTS, FIRST, PLACES, ROLES, SERVICES, TOPICS, listed, name, noun, person

from assistant.language.sentences import split_units

Value = Callable[[random.Random], str]
FILE = Path(__file__).with_name("columns.txt")
VALUES: dict[str, Value] = {
    "money": money,
    "rate": lambda r: f"{r.randint(2, 60)}.{r.choice(('00', '50'))}",
    "phone": phone,
    "address": address,
    "date": date,
    "person": person,
    "count": lambda r: str(r.randint(2, 90)),
    "digit": lambda r: str(r.randint(0, 9)),
    "height": lambda r: f"{number(r)} m",
    "weight": lambda r: f"{r.randint(1, 90)} kg",
    "hours": lambda r: f"{clock(r)}–{clock(r)}",
    "name": name,
    "code": code,
    "duration": lambda r: f"{small(r)} {r.choice(('days', 'hours', 'weeks'))}",
    "years": lambda r: f"{r.randint(1, 9)} years",
    "interval": lambda r: f"{r.choice(('every', 'after'))} {small(r)} {r.choice(('months', 'weeks', 'years'))}",
    "unit": lambda r: r.choice(("person and night", "piece", "litre", "day", "hour", "kilogram")),
    "use": lambda r: f"{r.choice(TOPICS)} and {r.choice(TOPICS)}",
    "role": lambda r: noun(r, ROLES),
    "remark": lambda r: r.choice(("cash only", "ask first", "new", "only in summer", f"see {r.choice(FIRST)}")),
    "small": small,
}
ROWS: dict[str, Value] = {
    "Name": name,
    "Item": lambda r: capital(noun(r, [*SERVICES, *DEVICES])),
    "Course": lambda r: capital(noun(r, EVENTS)),
    "Role": lambda r: capital(noun(r, ROLES)),
    "Room": lambda r: capital(noun(r, PLACES)),
    "Hut": name,
    "Station": name,
    "Day": lambda r: r.choice(DAYS),
    "Person": person,
    "Service": lambda r: capital(noun(r, SERVICES)),
    "Device": lambda r: capital(noun(r, DEVICES)),
    "Article": lambda r: capital(noun(r, [*SERVICES, *TOPICS])),
    "Channel": lambda r: f"Channel {r.randint(1, 20)}",
    "Year": lambda r: str(r.randint(1900, 2026)),
    "Level": lambda r: str(r.randint(1, 9)),
    "Setting": lambda r: f"{noun(r, DEVICES).replace(' ', '_')}_{r.choice(('size', 'time', 'mode'))}",
}
PROPER = ("Name", "Person", "Hut", "Station", "Year", "Channel", "Setting")
"""Row names that take no article."""
GROUPS = ("hut", "place", "station", "town", "house")
GENERAL = listed("""What is the {column} of {row}?|{row} {column}|What {column} does {row} have?|What is the {column} for {row}?
Which {column} belongs to {row}?""")
INVERSE = listed("""Which {first} has {column} {value}?|What is {value}?|{value}|Which {first} goes with {value}?
Where does {value} stand?""")


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name, how its cells are made, and what is asked of them."""

    name: str
    make: Value
    questions: tuple[str, ...]


@cache
def columns() -> tuple[Column, ...]:
    """The lines of columns.txt."""
    lines = [line.split(" | ") for line in FILE.read_text("utf-8").splitlines() if not line.startswith("#")]
    return tuple(Column(title, VALUES[kind], tuple(questions)) for title, kind, *questions in lines)


def table_page(rng: random.Random, most_columns: int, most_rows: int) -> Page:
    """A table with questions on its cells, and questions on rows and columns that it doesn't have."""
    first = rng.choice(list(ROWS))
    chosen = rng.sample(columns(), rng.randint(1, most_columns) + 1)
    absent = chosen.pop()
    keys = list(dict.fromkeys(ROWS[first](rng) for _ in range(rng.randint(2, most_rows + 1))))
    outsider = keys.pop() if len(keys) > 1 else "Nobody"
    groups = [name(rng) for _ in range(rng.randint(2, 3))] if rng.random() < 0.3 else [""]
    labels = [(key, group) for group in groups for key in rng.sample(keys, rng.randint(max(1, len(keys) - 1), len(keys)))]
    cells = [["" if rng.random() < 0.04 else column.make(rng) for column in chosen] for _ in labels]
    titles = [_case(rng, title) for title in (first, *(column.name for column in chosen))]
    rows = [[key, *([group] if group else []), *values] for (key, group), values in zip(labels, cells, strict=True)]
    page = _laid_out(rng, [*titles[:1], *([rng.choice(GROUPS)] if groups[0] else []), *titles[1:]], rows)
    answers = [unit.text for unit in split_units(page.hit.passage)]
    for i in rng.sample(range(len(rows)), min(6, len(rows))):
        j = rng.randrange(len(chosen))
        if cells[i][j]:
            said = _row(rng, first, *labels[i])
            page.asked.append(Asked(_question(rng, first, said, chosen[j], "" if groups[0] else cells[i][j]), answers[i]))
    key, group = rng.choice(labels)
    if absent.make not in [column.make for column in chosen]:
        page.missing.append(capital(rng.choice(absent.questions).format(_row(rng, first, key, group))))
    page.missing.append(capital(rng.choice(chosen[0].questions).format(_row(rng, first, outsider, group))))
    return page


def _case(rng: random.Random, text: str) -> str:
    return text if rng.random() < 0.7 else text.lower()


def _laid_out(rng: random.Random, names: list[str], rows: list[list[str]]) -> Page:
    title = capital(f"{noun(rng, [*TOPICS, *PLACES, *EVENTS])}s") if rng.random() < 0.7 else name(rng)
    heading = (title, rng.choice(SECTIONS)) if rng.random() < 0.6 else (title,)
    stem = title.lower().replace(" ", "-")
    if rng.random() < 0.65:
        header = "| " + " | ".join(names) + " |\n" + ("|---" * len(names)) + "|"
        if rng.random() < 0.3:
            header = header.replace("|---", "| --- ")
        return Page(make_hit(f"{stem}.md", heading, "\n".join(f"| {' | '.join(row)} |" for row in rows), header, "table"))
    mark = rng.choice((",", ",", ",", ";", "\t"))
    lines = [mark.join(f'"{cell}"' if mark in cell else cell for cell in row) for row in rows]
    return Page(make_hit(f"{stem}.csv", (), "\n".join(lines), mark.join(names), "table"))


def _row(rng: random.Random, first: str, key: str, group: str) -> str:
    """How a question names a row."""
    row = key if first in PROPER else rng.choice((f"the {key.lower()}", key.lower()))
    if rng.random() < 0.2:
        row = f"{first.lower()} {key}"
    return f"{row} {rng.choice(('in', 'at', 'of'))} {group}" if group else row


def _question(rng: random.Random, first: str, row: str, column: Column, value: str) -> str:
    roll = rng.random()
    if roll < 0.55:
        return capital(rng.choice(column.questions).format(row))
    if roll < 0.85 or not value:
        return paraphrase(rng, rng.choice(GENERAL).format(column=column.name.lower(), row=row))
    return paraphrase(rng, rng.choice(INVERSE).format(first=first.lower(), column=column.name.lower(), value=value))
