"""Rules that plant one fault in a true sentence: a wrong number, unit or name, a denial, swapped roles, an invented quote.

Pure: a true sentence, texts to take other names and numbers from, and a random generator in; a false sentence out, or None where
the rule can't.
"""

import random
import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from rewording import PAST

from assistant.language.english import STOPWORDS
from assistant.language.facts import MONTHS, NUMBER_VALUES
from assistant.language.sentences import sentence_spans

NAME = re.compile(r"(?<![\w-])[A-ZÀ-Þ][\w'’-]*[a-zà-ž](?:(?: (?:of|the|de|d'|von|van|al))*[ -][A-ZÀ-Þ][\w'’-]*)*")
NUMBER = re.compile(r"(?<![\w.,–-])\d[\d,]*(?:\.\d+)?(?![\w–]|[.,]\d|-\d)")
AUX = r"(?:was|were|is|are|had|has|have|can|could|would|will|may|might|must|should)"
UNIT_SWAPS = dict(
    pair.split("=")
    for pair in """km=miles|
    kilometres=miles|miles=kilometres|m=km|metres=kilometres|ft=metres|feet=metres|ha=acres|hectares=acres|
    kg=tonnes|lb=kg|pounds=kilograms|percent=million|%= million|years=months|year=month|months=weeks|days=weeks|day=week|
    weeks=days|hours=days|hour=minute|minutes=hours|seconds=minutes|century=decade|centuries=decades|decades=centuries|
    million=billion|billion=million|thousand=million|dollars=euros|euros=dollars|°C=°F|barrels=litres|acres=hectares|
    tons=kilograms|horsepower=kilowatts|bar=pascals|MPa=kPa""".replace("\n    ", "").split("|")
)
_COUNT = rf"(?:\d|\b(?:{'|'.join(NUMBER_VALUES)}|hundred|th|st|nd|rd))[\d.,]*[ -]?"
_UNIT = re.compile(rf"({_COUNT})({'|'.join(map(re.escape, UNIT_SWAPS))})(?!\w)")
_OPENERS = frozenset(
    """The A An In On At After Before During
    By From This These Those His Her Its Their It He She They As When While Many Some Most All
    Both Other Another Since For With Under Although However""".split()
)
_PAST_VERB = re.compile(
    r"\b\w{3,}ed\b|\b(?:led|gave|took|won|made|sent|lost|saw|held|met|told|sold|brought|taught|beat|fought|wrote|built|began|became)\b"
)


def wrong_number(sentence: str, others: Sequence[str], rng: random.Random) -> str | None:
    """Another number: one of like size from ``others``, or one near it."""
    found = list(NUMBER.finditer(sentence))
    if not found:
        words = [match for match in re.finditer(rf"\b({'|'.join(NUMBER_VALUES)})\b", sentence) if match[1] not in ("one", "zero")]
        if not words:
            return None
        match = rng.choice(words)
        new = rng.choice([word for word in NUMBER_VALUES if word not in sentence and word not in ("zero", "one")])
        return sentence[: match.start()] + new + sentence[match.end() :]
    match = rng.choice(found)
    old = match.group().replace(",", "")
    known = {number.group().replace(",", "") for number in found}
    rivals = [
        number.group()
        for text in others
        for number in NUMBER.finditer(text)
        if len(number.group()) == len(match.group()) and number.group().replace(",", "") not in known
    ]
    if rivals and rng.random() < 0.6:
        new = rng.choice(rivals)
    else:
        value = float(old)
        step = rng.choice([1, 2, 3, 5, 10, 20]) if value > 40 else rng.choice([1, 2, 3])
        changed = value + step * (1 if value <= step or rng.random() < 0.5 else -1)
        new = (
            f"{changed:,.0f}"
            if "," in match.group()
            else f"{changed:.{len(old.split('.')[1])}f}"
            if "." in old
            else f"{changed:.0f}"
        )
        if new.replace(",", "") in known:
            return None
    return sentence[: match.start()] + new + sentence[match.end() :]


def wrong_unit(sentence: str, _others: Sequence[str], rng: random.Random) -> str | None:
    """Another unit after a number, or another power of ten."""
    found = list(_UNIT.finditer(sentence))
    if not found:
        return None
    match = rng.choice(found)
    return sentence[: match.start(2)] + UNIT_SWAPS[match[2]] + sentence[match.end() :]


def names_in(text: str) -> list[re.Match[str]]:
    """Names: runs of capitalised words, not the first word of a sentence unless another one follows."""
    starts = {start for start, _ in sentence_spans(text)}
    return [
        match
        for match in NAME.finditer(text)
        if (match.start() not in starts or (" " in match.group() and match.group().split()[0] not in _OPENERS))
        and match.group().lower() not in {*MONTHS, *STOPWORDS}
    ]


def wrong_name(sentence: str, others: Sequence[str], rng: random.Random) -> str | None:
    """Another name of ``others`` with as many words, which shares no beginning with a name of the sentence."""
    found = names_in(sentence)
    if not found:
        return None
    match = rng.choice(found)
    own = {word[:4].lower() for name in NAME.finditer(sentence) for word in name.group().split()}
    rivals = sorted(
        {
            name.group()
            for text in others
            for name in names_in(text)
            if not {word[:4].lower() for word in name.group().split()} & own
            and abs(len(name.group().split()) - len(match.group().split())) <= 1
        }
    )
    if not rivals:
        return None
    return sentence[: match.start()] + rng.choice(rivals) + sentence[match.end() :]


def negation(sentence: str, _others: Sequence[str], _rng: random.Random) -> str | None:
    """Put a "not" in, or take one out."""
    if match := re.search(rf"\b({AUX}|did|do|does) not ", sentence):
        return sentence[: match.end(1)] + sentence[match.end() - 1 :]
    if re.search(r"\b(?:not|never|no|n't|without|nor)\b", sentence):
        return None
    if match := re.search(rf"\b{AUX}\b", sentence):
        return f"{sentence[: match.end()]} not{sentence[match.end() :]}"
    back = {form: base for base, form in PAST.items()}
    if match := re.search(rf"(?<=[a-z] )({'|'.join(back)})(?= )", sentence):
        return f"{sentence[: match.start()]}did not {back[match[1]]}{sentence[match.end() :]}"
    return None


def swapped_roles(sentence: str, _others: Sequence[str], _rng: random.Random) -> str | None:
    """Exchange two names that stand on two sides of a verb."""
    found = names_in(sentence) or []
    first = re.match(rf"(?:The )?({NAME.pattern})", sentence)
    spans = [(match.start(), match.end()) for match in found]
    if first and first[1].split()[0] not in _OPENERS and first.span(1) not in spans:
        spans = [first.span(1), *spans]
    for (a, b), (c, d) in pairwise(sorted(spans)):
        between = sentence[b:c]
        verb = _PAST_VERB.search(between)
        if (
            verb
            and "," not in between
            and not re.search(r"\b(?:and|or|between|with)\s*$", between)
            and sentence[a:b][:4] != sentence[c:d][:4]
        ):
            return sentence[:a] + sentence[c:d] + between + sentence[a:b] + sentence[d:]
    return None


def invented_quote(sentence: str, others: Sequence[str], rng: random.Random) -> str | None:
    """A quotation that nobody wrote: a run of the sentence's words with one or two of them changed."""
    words = sentence.rstrip(".").split()
    if len(words) < 9 or '"' in sentence:
        return None
    size = rng.randint(6, 10)
    start = rng.randrange(0, max(1, len(words) - size))
    run = words[start : start + size]
    pool = sorted(
        {word.strip(",.;:()") for text in others for word in text.split() if word.isalpha() and len(word) > 4 and word.islower()}
    )
    places = [at for at, word in enumerate(run) if len(word) > 3 and word.isalpha()]
    if not places or not pool:
        return None
    for at in rng.sample(places, min(len(places), rng.choice([1, 2]))):
        run[at] = rng.choice([word for word in pool if word not in run])
    return quoting(sentence, " ".join(run).strip(",;:"), rng)


def quoting(sentence: str, quote: str, rng: random.Random) -> str:
    """A sentence with a quotation: what a model writes to look exact."""
    lead = rng.choice(
        ['The passage says: "{}".', 'It is put like this: "{}".', 'The text speaks of "{}".', 'In its own words: "{}".']
    )
    return f'{sentence.rstrip(".")} ("{quote}").' if rng.random() < 0.4 else lead.format(quote)


def fused(sentence: str, other: str) -> str | None:
    """The subject of one sentence with what another says of something else."""
    first, second = _halves(sentence), _halves(other)
    if not first or not second or first[0].split()[-1] == second[0].split()[-1]:
        return None
    return f"{first[0]} {second[1]}"


def fused_clauses(sentence: str, other: str) -> str | None:
    """Two statements of different places made one: "X did A and so B"."""
    if len(sentence.split()) > 25 or len(other.split()) > 25:
        return None
    link = other if NAME.match(other) and other.split()[0] not in _OPENERS else other[0].lower() + other[1:]
    return f"{sentence.rstrip('.')}, and because of that {link}"


def _halves(sentence: str) -> tuple[str, str] | None:
    match = re.match(
        rf"((?:The |[A-Z])[^,;:()]{{3,50}}?) ((?:{AUX}|\w{{3,}}ed|became|began|led|gave|took|won|made|wrote) .{{20,}})", sentence
    )
    if not match or match[1].split()[0] in ("It", "They", "He", "She", "This", "These", "There", "In", "On", "At"):
        return None
    return match[1], match[2]


PLANTERS: dict[str, Callable[[str, Sequence[str], random.Random], str | None]] = {
    "wrong number": wrong_number,
    "wrong unit": wrong_unit,
    "wrong name": wrong_name,
    "negation": negation,
    "swapped roles": swapped_roles,
    "invented quote": invented_quote,
}
"""Those that need one sentence; swapped sources and fused sentences need two."""
