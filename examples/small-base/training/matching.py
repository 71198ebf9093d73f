"""Pages of sentences that mean nothing: what answers is the sentence with most of the question's words.

No pattern can be learned by heart here, so that a network learns to compare words, in whatever order and form they come.
"""

import random
import re
from functools import cache

from documents import Asked, Page, answer_in, make_hit, source_name
from facts import capital, code, number, templates
from handbook import handbook
from prose import words
from questions import STOP, paraphrase
from words import listed, name

LINKS = "the the the a of in for with and to by is are must be at on from not every".split()
ASKS = listed("""What about {}?|{}|{}?|Where is {}?|When {}?|How much {}?|Who {}?|What is {}?|How {}?|Why {}?|Which {}?
May I {}?|Is {}?""")


@cache
def lexicon() -> tuple[str, ...]:
    """Words of the patterns, of the handbook and of the borrowed prose."""
    own = {
        word
        for lines in templates().values()
        for template in lines
        for text in (template.statement, *template.questions)
        for word in re.findall(r"\b[a-z]{4,}\b", text)
    }
    told = {word for hit in handbook() for word in re.findall(r"\b[a-z]{4,}\b", hit.passage.text)}
    return (*sorted((own | told) - STOP), *words())


def matching_page(rng: random.Random, level: float) -> Page:
    """A page of sentences of random words, with questions that take some of one sentence's, in another order."""
    shared = rng.sample(lexicon(), 3)
    contents = [_contents(rng, shared, level) for _ in range(rng.randint(2, 3 + round(6 * level)))]
    said = [capital(" ".join(_linked(rng, content))) + "." for content in contents]
    text = (rng.choice(("\n- ", " ", " ", "\n\n")).join(said)).strip()
    page = Page(make_hit(source_name(rng, rng.choice(lexicon())), (capital(shared[0]),), text))
    for content, sentence in zip(contents, said, strict=True):
        if answer := answer_in(page.hit, sentence):
            page.asked += [Asked(_question(rng, content, shared), answer) for _ in range(2)]
    page.missing = [_question(rng, _contents(rng, shared, level), shared)]
    return page


def _contents(rng: random.Random, shared: list[str], level: float) -> list[str]:
    content = rng.sample(lexicon(), rng.randint(2, 5 + round(4 * level)))
    content += [maker(rng) for maker in (name, code, number) if rng.random() < 0.3]
    content += [word for word in shared if rng.random() < 0.35]
    rng.shuffle(content)
    return content


def _linked(rng: random.Random, content: list[str]) -> list[str]:
    """Words with little ones between them, so that it looks like a sentence."""
    return [part for word in content for part in ((rng.choice(LINKS), word) if rng.random() < 0.5 else (word,))]


def _question(rng: random.Random, content: list[str], shared: list[str]) -> str:
    own = [word for word in content if word not in shared]
    asked = rng.sample(own, min(len(own), rng.randint(1, 4)))
    asked += [word for word in shared if word in content and rng.random() < 0.3]
    if rng.random() < 0.3:
        asked.append(rng.choice(lexicon()))
    rng.shuffle(asked)
    return capital(paraphrase(rng, rng.choice(ASKS).format(" ".join(_linked(rng, asked)))))
