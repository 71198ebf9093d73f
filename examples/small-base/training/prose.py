"""Running text of other hands that may be given on: the language reference that comes with every Python (PSF licence).

It is there for its words and its sentences' shapes; questions on it are made by rule.
"""

import random
import re
from functools import cache
from pydoc_data.topics import topics

from documents import make_hit

from indexes.records import Hit

PASSAGE_WORDS = (40, 140)


@cache
def _paragraphs() -> tuple[tuple[str, ...], ...]:
    """Every topic's paragraphs of prose, without code and grammar."""
    found = []
    for text in topics.values():
        parts = [part for part in text.split("\n\n") if re.match(r"[A-Z*]", part) and "::=" not in part and "***" not in part]
        parts = [part for part in parts if len(part.split()) > 8 and not re.search(r"^[-=~*]{3,}|>>>", part, re.MULTILINE)]
        if len(parts) > 1:
            found.append(tuple(parts))
    return tuple(found)


def borrowed(rng: random.Random) -> Hit:
    """Some paragraphs that follow one another."""
    parts = rng.choice(_paragraphs())
    first = rng.randrange(len(parts))
    most, chosen = rng.randint(*PASSAGE_WORDS), [parts[first]]
    for part in parts[first + 1 :]:
        if sum(len(each.split()) for each in (*chosen, part)) > most:
            break
        chosen.append(part)
    heading = " ".join(re.findall(r"[a-z]{4,}", parts[0].lower())[:2]).capitalize()
    return make_hit(f"reference/{heading.lower().replace(' ', '-')}.txt", (heading,), "\n\n".join(chosen))


@cache
def words() -> tuple[str, ...]:
    """Words of the reference, each once."""
    return tuple(sorted({word for parts in _paragraphs() for part in parts for word in re.findall(r"\b[a-z]{4,12}\b", part)}))
