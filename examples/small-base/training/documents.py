"""Generated documents: passages as the index would hold them, with questions and the unit that answers each.

Prose with and without line breaks, lists, glossaries and settings; tables are in tables.py. The units come from the assistant's
own ``split_units``, so that an answer is exactly what its citation check looks for.
"""

import random
import textwrap
from dataclasses import dataclass, field

from facts import Fact, Template, Thing, capital, code, fact, name, number, phone, small, templates, thing
from questions import auto_question, content_of
from words import DEVICES, PLACES, STUFF, TOPICS, listed, noun

from assistant.language.sentences import plain_text, split_units
from assistant.prompt import passage_text
from indexes.records import Hit, Passage

SECTIONS = listed("""Getting there|Opening hours|Prices|Contact|Safety|Equipment|The building|Water|Power and heat|Kitchen|Rules
History|Who does what|In an emergency|Booking|Cleaning|Supplies|Backups|Money|Dates|Good to know
Before you start|When something goes wrong|People|Notes|Overview|Maintenance|Access|Members|Training|Storage
Lending|Reports""")
FILLERS = listed("""This has been so for many years.|Please be quiet after the evening meal.|Nobody knows why.
The details are decided every spring.|We are glad about every hand that helps.|More is said in the next section.
If in doubt, ask.|It was not always like this.|Most people like it.|The rule is not popular, but it works.
After that everything went faster.|Ask first, then act.|There is no other way.|Old habits die slowly.
Of course this takes time.|The rest is left to those who are there.|It has worked well so far.
Do not rely on it in bad weather.|Nothing else needs to be done.|Exceptions are rare and must be written down.
Children find it funny.|It is louder than it looks.""")
FOLDERS = "docs notes rules about office it team info house guide archive service help club".split()
SETTINGS = """port host interval_minutes timeout log_level user folder max_size retries language address colour phone
version""".split()
OPENERS = ["In general, ", "At the moment ", "As a rule ", "Since last year ", "For safety, ", "Please note: "]
TAILS = [
    ", as agreed",
    ", rain or shine",
    ", and that is enough",
    " according to the plan",
    ", whatever the weather",
    " without exception",
]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the unit that answers it, as it reads in an answer."""

    question: str
    answer: str


@dataclass(slots=True)
class Page:
    """A passage with what can be asked of it.

    Attributes:
        hit: the passage.
        asked: questions that it answers.
        missing: questions that look as if it did.
    """

    hit: Hit
    asked: list[Asked] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def rendered(self, number: int) -> str:
        return passage_text(self.hit, number)


def make_hit(source: str, heading: tuple[str, ...], text: str, header: str = "", kind: str = "text") -> Hit:
    passage = Passage(source, source, 0, text, heading, header, kind, 0, len(text), None, None)  # type: ignore[arg-type]
    return Hit(passage, source, "/" + source, "generated", 1, 1.0, 1.0, 1.0)


def source_name(rng: random.Random, title: str) -> str:
    stem = "-".join(title.lower().replace("the ", "").split()[:3]) if rng.random() < 0.6 else noun(rng, TOPICS)
    folder = rng.choice(FOLDERS) + "/" if rng.random() < 0.7 else ""
    return f"{folder}{stem}.{rng.choice(('md', 'md', 'txt', 'html', 'pdf', 'docx', 'rst'))}"


def answer_in(hit: Hit, statement: str) -> str:
    """The unit that holds a statement, or nothing."""
    wanted = plain_text(statement).rstrip(".")
    return next((unit.text for unit in split_units(hit.passage) if wanted in unit.text), "")


def pick_facts(rng: random.Random, about: Thing | None, kind: str, most: int) -> tuple[list[Fact], list[str]]:
    """Facts of a thing, and questions on it that nothing said of it answers."""
    pool = list(templates()[kind])
    rng.shuffle(pool)
    chosen = [fact(rng, template, about) for template in pool[:most]]
    missing = [question for template in pool[most : most + 3] for question in near_miss(rng, template, about, pool[:most])]
    return chosen, missing


def near_miss(rng: random.Random, template: Template, about: Thing | None, said: list[Template]) -> list[str]:
    """A question of a pattern that shares no word with the patterns that were used."""
    used = {word for other in said for text in (other.statement, *other.questions) for word in content_of(text)}
    questions = fact(rng, template, about, only_questions=True).questions if about else ()
    own = set(content_of(about.name)) if about else set()
    free = [question for question in questions if (words := set(content_of(question)) - own) and not words & used]
    return free[:1]


def prose_page(rng: random.Random, most: int) -> Page:
    """A section of running text on one or two things, or on this and that."""
    if rng.random() < 0.45:
        return rules_page(rng, most)
    kind = rng.choice(("place", "place", "device", "device", "event", "service", "role"))
    about = thing(rng, kind)
    facts, missing = pick_facts(rng, about, kind, rng.randint(1, max(1, most - 1)))
    if rng.random() < 0.4:  # another thing of the same kind: what is told apart is the name
        facts += pick_facts(rng, thing(rng, kind), kind, rng.randint(1, 2))[0]
    if most > 2 and rng.random() < 0.6:
        facts += pick_facts(rng, None, "none", rng.randint(1, 3))[0]
    title = capital(about.name.removeprefix("the "))
    is_titled = rng.random() < 0.6
    others = [fact for fact in facts if rng.random() < 0.9][: most + 2] or facts[:1]
    rng.shuffle(others)
    stated = [Fact(shape(rng, each.statement, about.name if is_titled else ""), each.questions) for each in others]
    sentences = [each.statement for each in stated]
    if rng.random() < 0.35:
        sentences.insert(rng.randint(0, len(sentences)), rng.choice(FILLERS))
    heading = (title, rng.choice(SECTIONS)) if rng.random() < 0.6 else (title,)
    heading = heading if is_titled else (f"{rng.choice(SECTIONS)}",)
    hit = make_hit(source_name(rng, title), heading, laid_out(rng, sentences))
    is_named = is_titled or about.name in " ".join(sentences)
    return finished(rng, hit, stated, missing if is_named else [], title if is_titled else "")


def rules_page(rng: random.Random, most: int) -> Page:
    """A section of sentences that are on no thing in particular."""
    facts, missing = pick_facts(rng, None, "none", rng.randint(2, most + 1))
    stated = [Fact(shape(rng, each.statement, ""), each.questions) for each in facts]
    sentences = [each.statement for each in stated]
    if rng.random() < 0.25:
        sentences.insert(rng.randint(0, len(sentences)), rng.choice(FILLERS))
    heading = (rng.choice(SECTIONS),) if rng.random() < 0.5 else (capital(rng.choice(TOPICS)), rng.choice(SECTIONS))
    return finished(rng, make_hit(source_name(rng, heading[0]), heading, laid_out(rng, sentences)), stated, missing, "")


def shape(rng: random.Random, statement: str, about: str) -> str:
    """A statement as it may stand in a text: with "it" for what the title names, an opener, a tail, markup."""
    if about and rng.random() < 0.35 and statement.lower().startswith(about.lower() + " "):
        statement = rng.choice(("It", "It", capital(f"the {about.split()[-1].lower()}"))) + statement[len(about) :]
    roll = rng.random()
    if roll < 0.08:
        if statement.startswith(("The ", "It ", "A ", "On ", "For ", "In ", "If ")):
            statement = rng.choice(OPENERS) + statement[0].lower() + statement[1:]
    elif roll < 0.18:
        statement = statement.rstrip(".") + rng.choice(TAILS) + "."
    elif roll < 0.24:
        words = statement.split()
        i = rng.randrange(len(words))
        if words[i].isalnum():
            words[i] = rng.choice(("**{}**", "`{}`", "*{}*")).format(words[i])
        statement = " ".join(words)
    elif roll < 0.36:
        extra = fact(rng, rng.choice(templates()["none"]), None).statement
        statement = f"{statement.rstrip('.')}{rng.choice((', and ', '; ', ', but ', '; '))}{extra[0].lower() + extra[1:]}"
    return statement


def laid_out(rng: random.Random, sentences: list[str]) -> str:
    """Sentences as a text: one paragraph or several, wrapped or not, or as a list."""
    roll = rng.random()
    if roll < 0.15 and len(sentences) > 1:
        marks = rng.choice((["-"] * 20, ["*"] * 20, [f"{i}." for i in range(1, 21)]))
        lead = rng.choice(("", "", "Please note:\n\n", "What to know:\n\n", "Step by step:\n\n"))
        return lead + "\n".join(f"{mark} {sentence}" for mark, sentence in zip(marks, sentences, strict=False))
    cut = rng.randint(1, len(sentences) - 1) if len(sentences) > 3 and rng.random() < 0.5 else len(sentences)
    paragraphs = [" ".join(part) for part in (sentences[:cut], sentences[cut:]) if part]
    if rng.random() < 0.55:
        width = rng.choice((70, 80, 90, 100, 120))
        paragraphs = [
            "\n".join(textwrap.wrap(part, width, break_on_hyphens=False, break_long_words=False)) for part in paragraphs
        ]
    return "\n\n".join(paragraphs)


def finished(rng: random.Random, hit: Hit, facts: list[Fact], missing: list[str], place: str) -> Page:
    """A page with the questions of its facts, and some made by rule."""
    page = Page(hit, missing=missing)
    for each in facts:
        answer = answer_in(hit, each.statement)
        if answer:
            page.asked += [Asked(question, answer) for question in rng.sample(each.questions, min(4, len(each.questions)))]
            if rng.random() < 0.5:
                page.asked.append(Asked(auto_question(rng, plain_text(each.statement), place), answer))
    return page


def glossary_page(rng: random.Random) -> Page:
    """Terms with what they mean, indented under them."""
    asked, blocks = [], []
    for _ in range(rng.randint(2, 4)):
        term = rng.choice((name(rng), f"{capital(rng.choice(TOPICS))} {noun(rng, PLACES)}", capital(noun(rng, DEVICES))))
        meaning = fact(rng, rng.choice(templates()["none"]), None).statement if rng.random() < 0.4 else described(rng)
        blocks.append(term + "\n" + textwrap.indent("\n".join(textwrap.wrap(meaning, 70)), "    "))
        ask = rng.choice(("What is {}?", "What does {} mean?", "What is meant by {}?", "{}", "Explain {}.", "What is a {}?"))
        asked.append((meaning, (ask.format(term), auto_question(rng, meaning, term))))
    hit = make_hit(source_name(rng, "glossary"), ("Glossary",) if rng.random() < 0.5 else (), "\n\n".join(blocks))
    page = Page(hit, missing=[f"What is {name(rng)}?", f"What does {name(rng)} mean?"])
    for meaning, questions in asked:
        if answer := answer_in(hit, meaning):
            page.asked += [Asked(question, answer) for question in questions]
    return page


def described(rng: random.Random) -> str:
    what = noun(rng, [*DEVICES, *PLACES])
    return rng.choice(
        (
            f"The {what} {rng.choice(('behind', 'above', 'near'))} {name(rng)}, built in {rng.randint(1900, 2024)}.",
            f"A {what} which {rng.choice(('holds', 'costs', 'weighs'))} {number(rng)} {rng.choice(('litres', 'euros'))}.",
            f"The name of the {what} in {name(rng)}; it is checked every {small(rng)} days.",
            f"Slang for the {what} that {name(rng)} left us.",
        )
    )


def recall_page(rng: random.Random, most: int) -> Page:
    """Lines of random words: nothing but copying answers here, so that copying is learned soon."""
    makers = (name, name, code, number, lambda r: noun(r, TOPICS), lambda r: r.choice(STUFF), lambda r: noun(r, DEVICES))
    lines = [[rng.choice(makers)(rng) for _ in range(rng.randint(3, 8))] for _ in range(rng.randint(2, most))]
    said = [capital(" ".join(line)) + "." for line in lines]
    hit = make_hit(source_name(rng, "list"), (name(rng),), rng.choice((" ", "\n")).join(said))
    page = Page(hit, missing=[f"What about {name(rng)}?"])
    for line, text in zip(lines, said, strict=True):
        if answer := answer_in(hit, text):
            at = rng.randrange(len(line))
            for part in (line[:2], line[at : at + 2]):
                ask = rng.choice(("What about {}?", "{}", "{}?", "Where is {}?"))
                page.asked.append(Asked(ask.format(" ".join(part)), answer))
    return page


def settings_page(rng: random.Random) -> Page:
    """A section of a settings file."""
    keys = rng.sample(SETTINGS, rng.randint(2, 5))
    values = {"port": str(rng.randint(80, 9999)), "host": f"{name(rng).lower()}.example", "phone": phone(rng)}
    section = name(rng).lower()
    sign = rng.choice((" = ", "=", ": "))
    lines = [f"{key}{sign}{values.get(key, rng.choice((code(rng), small(rng))))}" for key in keys]
    hit = make_hit(f"{rng.choice(FOLDERS)}/{section}.ini", (), f"[{section}]\n" + "\n".join(lines), kind="code")
    page = Page(hit, missing=[f"What is the {key} of {section}?" for key in ("price", "colour", "owner") if key not in keys])
    units = [unit.text for unit in split_units(hit.passage)]
    for key, line in zip(keys, lines, strict=True):
        if line in units:
            said = key.replace("_", " ")
            ask = rng.choice(("What is the {} of {}?", "Which {} does {} use?", "{} {}", "What {} is set in {}?"))
            page.asked.append(Asked(ask.format(said, section), line))
    return page


def text_page(rng: random.Random, hit: Hit, most: int) -> Page:
    """A page of a text that was written by people, with questions made by rule."""
    units = [unit for unit in split_units(hit.passage) if unit.kind != "heading" and len(unit.text.split()) > 2]
    place = hit.passage.heading[0] if hit.passage.heading and len(hit.passage.heading[0].split()) < 4 else ""
    chosen = rng.sample(units, min(most, len(units)))
    told = [unit.text if rng.random() < 0.9 else f"{unit.lead} {unit.text}" for unit in chosen]
    asked = [Asked(auto_question(rng, text, place), unit.text) for text, unit in zip(told, chosen, strict=True) for _ in range(3)]
    return Page(hit, [each for each in asked if len(each.answer.split()) <= 60])
