"""Generated tables, as Markdown or delimited rows; a row is answered as the assistant tells it, with its column names."""

import random
from collections.abc import Callable

from documents import SECTIONS, Asked, Page, make_hit
from facts import address, capital, clock, code, date, money, number, phone, small
from questions import paraphrase
from words import DAYS, DEVICES, EVENTS, FIRST, PLACES, ROLES, SERVICES, TOPICS, listed, name, noun, person

from assistant.sentences import split_units

Value = Callable[[random.Random], str]
ROWS: dict[str, Value] = {
    "Name": name, "Item": lambda r: capital(noun(r, [*SERVICES, *DEVICES])), "Course": lambda r: capital(noun(r, EVENTS)),
    "Role": lambda r: capital(noun(r, ROLES)), "Room": lambda r: capital(noun(r, PLACES)), "Hut": name, "Station": name,
    "Day": lambda r: r.choice(DAYS), "Person": person, "Service": lambda r: capital(noun(r, SERVICES)), "Device": lambda r: capital(noun(r, DEVICES)),
    "Event": lambda r: capital(noun(r, EVENTS)), "Article": lambda r: capital(noun(r, [*SERVICES, *TOPICS])), "Channel": lambda r: f"Channel {r.randint(1, 20)}",
    "Year": lambda r: str(r.randint(1900, 2026)), "Level": lambda r: str(r.randint(1, 9)), "Setting": lambda r: f"{noun(r, DEVICES).replace(' ', '_')}_{r.choice(('size', 'time', 'mode'))}",
}  # fmt: skip
COLUMNS: dict[str, tuple[Value, tuple[str, ...]]] = {
    "Price": (money, ("How much is {}?", "What does {} cost?", "price {}", "What is the price of {}?", "What do I pay for {}?")),
    "Member": (lambda r: f"{r.randint(2, 60)}.00", ("How much does a member pay for {}?", "What does {} cost for members?", "member price {}")),
    "Guest": (lambda r: f"{r.randint(2, 60)}.50", ("What do guests pay for {}?", "How much is {} for someone who is not a member?", "guest price {}")),
    "Phone": (phone, ("What is the phone number of {}?", "How do I call {}?", "telephone {}", "Which number do I ring for {}?")),
    "Email": (address, ("What is the email address of {}?", "How do I write to {}?", "email {}")),
    "Date": (date, ("When is {}?", "On which date is {}?", "date of {}", "When does {} take place?")),
    "Leader": (person, ("Who leads {}?", "Who is the leader of {}?", "leader {}", "Who is in charge of {}?")),
    "Holder": (person, ("Who is {}?", "Who holds {}?", "name of {}")),
    "Kept by": (person, ("Who keeps {}?", "Who looks after {}?", "Who is responsible for {}?")),
    "Beds": (lambda r: str(r.randint(2, 90)), ("How many beds does {} have?", "How many people can sleep in {}?", "beds {}")),
    "Places": (lambda r: str(r.randint(2, 90)), ("How many places are there in {}?", "How many people can take part in {}?", "How many fit into {}?")),
    "Height": (lambda r: f"{number(r)} m", ("How high is {}?", "What is the height of {}?", "At what altitude is {}?")),
    "Weight": (lambda r: f"{r.randint(1, 90)} kg", ("How heavy is {}?", "What does {} weigh?", "weight of {}")),
    "Open": (lambda r: f"{clock(r)}–{clock(r)}", ("When is {} open?", "What are the opening hours of {}?", "When does {} close?")),
    "Place": (lambda r: name(r), ("Where is {}?", "Where does {} take place?", "place of {}")),
    "Shelf": (lambda r: code(r), ("On which shelf is {}?", "Where do I find {}?", "shelf {}")),
    "Duration": (lambda r: f"{small(r)} {r.choice(('days', 'hours', 'weeks'))}", ("How long does {} take?", "How long is {}?", "duration {}")),
    "Valid for": (lambda r: f"{r.randint(1, 9)} years", ("How long is {} valid?", "When does {} expire?", "For how many years does {} count?")),
    "Checked": (lambda r: f"every {small(r)} {r.choice(('months', 'weeks'))}", ("How often is {} checked?", "When must {} be checked?")),
    "Number": (code, ("What is the number of {}?", "Which number does {} have?", "number {}")),
    "Deposit": (money, ("How much is the deposit for {}?", "What deposit is due for {}?", "deposit {}")),
    "Unit": (lambda r: r.choice(("person and night", "piece", "litre", "day", "hour", "kilogram")), ("What is the unit of {}?",)),
    "Use": (lambda r: f"{r.choice(TOPICS)} and {r.choice(TOPICS)}", ("What is {} used for?", "What is {} for?", "use of {}")),
    "Dogs": (lambda r: str(r.randint(0, 9)), ("How many dogs are there at {}?", "dogs {}")),
    "Term ends": (date, ("When does the term of {} end?", "Until when is {} in office?")),
    "Remark": (lambda r: r.choice(("cash only", "ask first", "new", "only in summer", f"from {r.choice(DAYS)}", f"see {r.choice(FIRST)}")), ("What must I know about {}?", "remark on {}")),
    "Default": (small, ("What is the default of {}?", "default value {}")),
    "Maximum": (small, ("What is the maximum of {}?", "How many {} at most?")),
}  # fmt: skip
GENERAL = listed("""What is the {column} of {row}?|{row} {column}|What {column} does {row} have?|What is the {column} for {row}?
Which {column} belongs to {row}?""")
INVERSE = listed(
    "Which {first} has {column} {value}?|What is {value}?|{value}|Which {first} goes with {value}?|Where does {value} stand?"
)


def table_page(rng: random.Random, most_columns: int, most_rows: int) -> Page:
    """A table with questions on its cells, and questions on rows and columns that it doesn't have."""
    first = rng.choice(list(ROWS))
    columns = rng.sample(list(COLUMNS), rng.randint(1, most_columns))
    missing_column = rng.choice([column for column in COLUMNS if column not in columns])
    keys = list(dict.fromkeys(ROWS[first](rng) for _ in range(rng.randint(2, most_rows + 1))))
    outsider = keys.pop() if len(keys) > 1 else "Nobody"
    cells = {key: ["" if rng.random() < 0.04 else COLUMNS[column][0](rng) for column in columns] for key in keys}
    page = _laid_out(rng, [_case(rng, first), *(_case(rng, column) for column in columns)], cells)
    answers = {key: unit.text for key, unit in zip(keys, split_units(page.hit.passage), strict=True)}
    for key in rng.sample(keys, min(5, len(keys))):
        j = rng.randrange(len(columns))
        if cells[key][j]:
            page.asked.append(Asked(_question(rng, first, key, columns[j], cells[key][j]), answers[key]))
    said = {column.lower() for column in columns}
    if not said & {"price", "member", "guest", "deposit"} or missing_column not in ("Price", "Member", "Guest", "Deposit"):
        page.missing.append(_about(rng, rng.choice(COLUMNS[missing_column][1]), first, rng.choice(keys)))
    page.missing.append(_about(rng, rng.choice(COLUMNS[columns[0]][1]), first, outsider))
    return page


NAMES = ("Name", "Person", "Hut", "Station", "Year", "Channel", "Setting")


def _case(rng: random.Random, text: str) -> str:
    return text if rng.random() < 0.7 else text.lower()


def _laid_out(rng: random.Random, names: list[str], cells: dict[str, list[str]]) -> Page:
    title = capital(f"{noun(rng, [*TOPICS, *PLACES, *EVENTS])}s") if rng.random() < 0.7 else name(rng)
    heading = (title, rng.choice(SECTIONS)) if rng.random() < 0.6 else (title,)
    rows = [[key, *values] for key, values in cells.items()]
    if rng.random() < 0.7:
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        header = "| " + " | ".join(names) + " |\n" + ("|---" * len(names)) + "|"
        if rng.random() < 0.3:
            header = header.replace("|---", "| --- ").replace("--- |\n", "---|\n")
        return Page(make_hit(f"{title.lower().replace(' ', '-')}.md", heading, "\n".join(lines), header, "table"))
    mark = rng.choice((",", ",", ",", ";", "\t"))
    rows = [[f'"{cell}"' if mark in cell else cell for cell in row] for row in rows]
    lines = [mark.join(row) for row in rows]
    return Page(make_hit(f"{title.lower().replace(' ', '-')}.csv", (), "\n".join(lines), mark.join(names), "table"))


def _about(rng: random.Random, question: str, first: str, key: str) -> str:
    row = key if first in NAMES else rng.choice((f"the {key.lower()}", key.lower()))
    if rng.random() < 0.2:
        row = f"{first.lower()} {key}"
    return capital(question.format(row))


def _question(rng: random.Random, first: str, key: str, column: str, value: str) -> str:
    roll = rng.random()
    if roll < 0.55:
        return _about(rng, rng.choice(COLUMNS[column][1]), first, key)
    if roll < 0.85:
        return paraphrase(rng, rng.choice(GENERAL).format(column=column.lower(), row=key))
    return paraphrase(rng, rng.choice(INVERSE).format(first=first.lower(), column=column.lower(), value=value))
