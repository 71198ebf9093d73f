"""Rules that make sentences out of SQuAD: true ones in other words, and false ones, each with one planted fault.

Pure: a sentence (or a question with its answer) and a random generator in, sentences out. The lists here are the benchmark's own.
"""

import random
import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from assistant.english import STOPWORDS
from assistant.english_facts import MONTHS, NUMBER_VALUES, ORDINALS
from assistant.sentences import sentence_spans

NAME = re.compile(r"(?<![\w-])[A-ZÀ-Þ][\w'’-]*[a-zà-ž](?:(?: (?:of|the|de|d'|von|van|al))*[ -][A-ZÀ-Þ][\w'’-]*)*")
NUMBER = re.compile(r"(?<![\w.,–-])\d[\d,]*(?:\.\d+)?(?![\w–]|[.,]\d|-\d)")
AUX = r"(?:was|were|is|are|had|has|have|can|could|would|will|may|might|must|should)"
UNIT_SWAPS = {
    "km": "miles", "kilometres": "miles", "miles": "kilometres", "m": "km", "metres": "kilometres", "ft": "metres", "feet": "metres",
    "ha": "acres", "hectares": "acres", "kg": "tonnes", "lb": "kg", "pounds": "kilograms", "percent": "million", "%": " million",
    "years": "months", "year": "month", "months": "weeks", "days": "weeks", "day": "week", "weeks": "days", "hours": "days",
    "hour": "minute", "minutes": "hours", "seconds": "minutes", "century": "decade", "centuries": "decades", "decades": "centuries",
    "million": "billion", "billion": "million", "thousand": "million", "dollars": "euros", "euros": "dollars", "°C": "°F",
    "barrels": "litres", "acres": "hectares", "tons": "kilograms", "horsepower": "kilowatts", "bar": "pascals", "MPa": "kPa",
}  # fmt: skip
_UNIT = re.compile(
    rf"((?:\d|\b(?:{'|'.join(NUMBER_VALUES)}|hundred|th|st|nd|rd))[\d.,]*[ -]?)({'|'.join(map(re.escape, UNIT_SWAPS))})(?!\w)"
)

SYNONYMS = {
    "began": "started", "started": "began", "large": "big", "big": "large", "important": "significant", "many": "numerous",
    "numerous": "many", "built": "constructed", "constructed": "built", "called": "known as", "located": "situated",
    "several": "a number of", "often": "frequently", "usually": "generally", "generally": "usually", "eventually": "in the end",
    "however": "though", "because": "since", "although": "though", "approximately": "about", "about": "roughly", "around": "about",
    "obtained": "got", "received": "got", "used": "employed", "helped": "assisted", "allowed": "permitted", "showed": "demonstrated",
    "primarily": "mainly", "mainly": "chiefly", "mostly": "for the most part", "also": "in addition", "created": "made",
    "established": "set up", "founded": "set up", "attempted": "tried", "ended": "finished", "purchased": "bought",
    "required": "needed", "requires": "needs", "contains": "includes", "includes": "contains", "among": "amongst", "prior to": "before",
    "additional": "further", "various": "different", "entire": "whole", "main": "principal", "significant": "important",
    "beginning": "start", "destroyed": "wrecked", "killed": "slain", "rapidly": "quickly", "quickly": "rapidly", "initially": "at first",
    "subsequently": "later", "occurred": "took place", "led to": "resulted in", "due to": "because of", "such as": "like",
    "in order to": "to", "majority": "greater part", "currently": "at present", "known as": "called", "typically": "normally",
    "wanted": "wished", "gave": "granted", "said": "stated", "stated": "said", "moved": "relocated", "became": "turned into",
}  # fmt: skip
_SYNONYM = re.compile(rf"\b({'|'.join(sorted(map(re.escape, SYNONYMS), key=len, reverse=True))})\b")
PAST = {
    line[0]: line[1]
    for line in (
        text.split()[:2]
        for text in """become became|begin began|break broke|bring brought|build built|
    buy bought|come came|draw drew|fall fell|fight fought|find found|get got|give gave|go went|grow grew|have had|hold held|keep kept|
    know knew|lead led|leave left|lose lost|make made|mean meant|meet met|pay paid|run ran|say said|see saw|sell sold|send sent|
    speak spoke|spend spent|stand stood|take took|teach taught|tell told|think thought|win won|write wrote|wear wore|choose chose|
    rise rose|feel felt|begin began|do did|put put|cut cut|set set|let let|cost cost|sing sang|flee fled|seek sought""".replace(
            "\n", " "
        ).split("|")
    )
}


# True sentences in other words.


def declare(question: str, answer: str, verbs: set[str]) -> str | None:
    """A question and its answer as one statement, for the patterns that need no parser; else None.

    Args:
        verbs: base forms of verbs, by which the verb of "did X … verb" is found.
    """
    q = " ".join(question.strip().rstrip("?").split())
    answer = answer.strip().rstrip(".")
    if not q or not answer or len(answer.split()) > 7:
        return None
    for pattern, make in _PATTERNS:
        if match := pattern.fullmatch(q):
            said = make(match, answer, verbs)
            return said[0].upper() + said[1:] + "." if said else None
    return None


def _did(rest: str, verbs: set[str]) -> str | None:
    """``the Normans first gain X`` → ``the Normans first gained X``."""
    words = rest.split()
    for at in range(1, len(words)):
        if words[at].lower() in verbs and words[at - 1].lower() not in ("the", "a", "an", "of", "to", "and"):
            return " ".join([*words[:at], past(words[at]), *words[at + 1 :]])
    return None


def past(verb: str) -> str:
    """The past tense of a verb."""
    if verb in PAST:
        return PAST[verb]
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ied"
    return verb + "ed"


def _when(match: re.Match[str], answer: str, verbs: set[str]) -> str | None:
    said = _did(match["rest"], verbs)
    if not said:
        return None
    has_preposition = answer.split()[0].lower() in (
        "in",
        "on",
        "at",
        "by",
        "from",
        "during",
        "after",
        "before",
        "until",
        "between",
    )
    lead = "" if has_preposition else "on " if re.match(r"\d{1,2} [A-Z]|[A-Z][a-z]+ \d{1,2}\b", answer) else "in "
    return f"{said} {lead}{answer}"


_PATTERNS: list[tuple[re.Pattern[str], Callable[[re.Match[str], str, set[str]], str | None]]] = [
    (re.compile(r"(?:When|Where|In (?:what|which) (?:year|century|country|city|place|month)) did (?P<rest>.+)"), _when),
    (
        re.compile(r"(?:In|On|At) (?:what|which) (?:year|date|century|city|country) (?P<be>was|were|is|are) (?P<np>(?:the |[A-Z]).+) (?P<v>\w+ed|built|held|found|born|made|given|written)"),
        lambda m, a, v: f"{m['np']} {m['be']} {m['v']} {'' if a.split()[0].lower() in ('in', 'on', 'at') else 'in '}{a}",
    ),
    (
        re.compile(r"(?:When|Where) (?P<be>was|were|is|are) (?P<np>(?:the |[A-Z]).+) (?P<v>\w+ed|built|held|found|born|made|given|written)"),
        lambda m, a, v: f"{m['np']} {m['be']} {m['v']} {'' if a.split()[0].lower() in ('in', 'on', 'at', 'by', 'near') else 'in '}{a}",
    ),
    (
        re.compile(r"(?:What|Who) (?P<be>was|were|is|are) (?P<np>(?:the|a|an) (?!.*\b(?:called|named|known|used|made|considered)$).+)"),
        lambda m, a, v: f"{m['np']} {m['be']} {a}",
    ),
    (re.compile(r"(?:What|Who) (?:is|was|are|were) (?P<np>.+) (?P<v>called|named|known as)"), lambda m, a, v: f"{m['np']} is {m['v']} {a}"),
    (
        re.compile(r"Who (?P<rest>(?!(?:is|are|was|were|did|do|does|has|had|would|could|can)\b)\w+(?:ed|s|t|e|w|n|d|k)? .+)"),
        lambda m, a, v: f"{a} {m['rest']}",
    ),
    (re.compile(r"What did (?P<rest>.+)"), lambda m, a, v: f"{said} {a}" if (said := _did(m["rest"], v)) and not re.search(r"\b(?:in|of|to|for|with|as|on|about|from|by)$", m["rest"]) else None),
    (
        re.compile(r"How (?:many|much) (?P<n>\w+(?: \w+)?) (?P<rest>(?:were|was|are|is|have|had|has|can|live|make|made|died|fought|came|took|served|attended)\b.+)"),
        lambda m, a, v: f"{a} {m['rest']}" if m["n"].split()[-1] in a else f"{a} {m['n']} {m['rest']}",
    ),
    (re.compile(r"(?:What|Which) (?P<n>\w+(?: \w+)?) (?P<rest>(?:was|were|is|are|has|had|have|led|caused|won|ruled|became|helped|made|gave|took|includes?|provides?|contains?)\b.+)"), lambda m, a, v: f"{a} {m['rest']}" if not re.match(r"(?:was|were|is|are) (?:the |[A-Z])", m["rest"]) else None),
]  # fmt: skip


def reword(sentence: str, rng: random.Random) -> str | None:
    """A sentence changed by at least two of the rules below, or by one that moves a clause or turns it round."""
    rules = [reorder, turn_passive, drop_modifiers, rewrite_numbers, use_synonyms]
    rng.shuffle(rules)
    text, done = sentence, 0
    for rule in rules:
        changed = rule(text, rng)
        if changed and changed != text:
            text, done = changed, done + (2 if rule in (reorder, turn_passive) else 1)
    return text if done >= 2 else None


def reorder(sentence: str, rng: random.Random) -> str | None:
    """Move a leading adverbial behind the main clause: "In 1066, X did Y." → "X did Y in 1066."."""
    match = re.fullmatch(
        r"((?:In|On|At|After|Before|During|Following|By|Since|Until|From|Under|Despite|With|As|When|While|Because) [^,;:]{4,60}), ([^;:]+)\.",
        sentence,
    )
    if not match or match[2].count(",") > 1 or re.match(r"(?:and|or|but|[A-Z]?\d+|which|who)\b", match[2]):
        return None
    return f"{match[2][0].upper()}{match[2][1:]} {match[1][0].lower()}{match[1][1:]}."


def turn_passive(sentence: str, rng: random.Random) -> str | None:
    """ "X was (verb)ed by Y." → "Y (verb)ed X."."""
    match = re.fullmatch(r"((?:The|A|An|[A-Z])[^,;:]{2,60}?) (?:was|were) (\w+ed) by ((?:the |a |an )?[^,;:]{3,60})\.", sentence)
    if not match:
        return None
    subject = (
        match[1] if match[1].split()[0] not in ("The", "A", "An", "This", "These", "It") else match[1][0].lower() + match[1][1:]
    )
    return f"{match[3][0].upper()}{match[3][1:]} {match[2]} {subject}."


def drop_modifiers(sentence: str, rng: random.Random) -> str | None:
    """Leave out what stands in brackets, and adverbs."""
    text = re.sub(r" ?\([^()]*\)| ?\[[^\]]*\]", "", sentence)
    text = re.sub(
        r"\b(?:eventually|generally|typically|usually|also|however|largely|widely|originally|officially|particularly|highly|very|especially|relatively|significantly),? ",
        "",
        text,
    )
    return text if text != sentence and len(text) > 30 else None


def rewrite_numbers(sentence: str, rng: random.Random) -> str | None:
    """Write numbers another way: 30,000 = 30000, 7 = seven, 10th = tenth, % = percent, km = kilometres."""
    words = {str(value): word for word, value in NUMBER_VALUES.items() if value > 1}
    nth = {value: word for word, value in ORDINALS.items()}
    units = {"km": "kilometres", "kg": "kilograms", "ha": "hectares", "mi": "miles", "ft": "feet"}
    text = re.sub(r"(?<=\d)\s?%", " percent", sentence)
    text = re.sub(r"(?<![\d,])(\d{1,3}),(\d{3})(?![\d,])", r"\1\2", text)
    text = re.sub(r"(?<![\w.,–-])(\d{1,2})(?:th|st|nd|rd) (?=centur)", lambda m: f"{nth.get(int(m[1]), m[1] + 'th')} ", text)
    text = re.sub(r"(?<=\d )(km|kg|ha|mi|ft)\b", lambda m: units[m[1]], text)
    text = re.sub(
        rf"(?<= )({'|'.join(w for w in NUMBER_VALUES if w not in ('one', 'zero'))})(?= [a-z])",
        lambda m: str(NUMBER_VALUES[m[1]]),
        text,
    )
    if text == sentence:
        text = re.sub(rf"(?<= )(\d{{1,2}})(?= (?!(?:{'|'.join(MONTHS)})\b)[a-z]{{3,}})", lambda m: words.get(m[1], m[1]), text)
    return text


def use_synonyms(sentence: str, rng: random.Random) -> str | None:
    """Exchange up to three words for others."""
    found = [match for match in _SYNONYM.finditer(sentence) if match.start()]
    for match in sorted(rng.sample(found, min(3, len(found))), key=lambda match: -match.start()):
        sentence = sentence[: match.start()] + SYNONYMS[match[1]] + sentence[match.end() :]
    return sentence if found else None


# False sentences: each takes a true one and gives it back with one fault, or None where it can't.


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


def wrong_unit(sentence: str, others: Sequence[str], rng: random.Random) -> str | None:
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


_OPENERS = set(
    "The A An In On At After Before During By From This These Those His Her Its Their It He She They As When While Many Some Most All Both Other Another Since For With Under Although However".split()
)


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


def negation(sentence: str, others: Sequence[str], rng: random.Random) -> str | None:
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


def swapped_roles(sentence: str, others: Sequence[str], rng: random.Random) -> str | None:
    """Exchange two names that stand on two sides of a verb."""
    found = names_in(sentence) or []
    first = re.match(rf"(?:The )?({NAME.pattern})", sentence)
    spans = [(match.start(), match.end()) for match in found]
    if first and first[1].split()[0] not in _OPENERS and first.span(1) not in spans:
        spans = [first.span(1), *spans]
    for (a, b), (c, d) in pairwise(sorted(spans)):
        between = sentence[b:c]
        verb = re.search(
            r"\b\w{3,}ed\b|\b(?:led|gave|took|won|made|sent|lost|saw|held|met|told|sold|brought|taught|beat|fought|wrote|built|began|became)\b",
            between,
        )
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


def base_verbs(texts: Sequence[str]) -> set[str]:
    """Base forms of verbs: words of which the past tense occurs too."""
    words = {word for text in texts for word in re.findall(r"[a-z]+", text)}
    return {word for word in words if len(word) > 2 and past(word) in words and word not in ("the", "need", "found")} | set(PAST)
