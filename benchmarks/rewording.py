"""Rules that make true sentences in other words out of SQuAD: questions with their answers, and sentences turned round.

Pure: a sentence and a random generator in, a sentence out. The lists here are the benchmark's own.
"""

import random
import re
from collections.abc import Callable, Sequence

from assistant.language.facts import MONTHS, NUMBER_VALUES, ORDINALS

LONGEST_ANSWER = 7
"""Words of an answer that is made part of a statement."""

PAST = dict(
    pair.split()
    for pair in """become became|
    begin began|break broke|bring brought|build built|buy bought|come came|draw drew|fall fell|fight fought|
    find found|get got|give gave|go went|grow grew|have had|hold held|keep kept|know knew|lead led|leave left|lose lost|
    make made|mean meant|meet met|pay paid|run ran|say said|see saw|sell sold|send sent|speak spoke|spend spent|
    stand stood|take took|teach taught|tell told|think thought|win won|write wrote|wear wore|choose chose|rise rose|
    feel felt|begin began|do did|put put|cut cut|set set|let let|cost cost|sing sang|flee fled|seek sought""".replace(
        "\n    ", ""
    ).split("|")
)
SYNONYMS = dict(
    pair.split("=")
    for pair in """began=started|
    started=began|large=big|big=large|important=significant|many=numerous|numerous=many|built=constructed|
    constructed=built|called=known as|located=situated|several=a number of|often=frequently|usually=generally|
    generally=usually|eventually=in the end|however=though|because=since|although=though|approximately=about|
    about=roughly|around=about|obtained=got|received=got|used=employed|helped=assisted|allowed=permitted|
    showed=demonstrated|primarily=mainly|mainly=chiefly|mostly=for the most part|also=in addition|created=made|
    established=set up|founded=set up|attempted=tried|ended=finished|purchased=bought|required=needed|requires=needs|
    contains=includes|includes=contains|among=amongst|prior to=before|additional=further|various=different|entire=whole|
    main=principal|significant=important|beginning=start|destroyed=wrecked|killed=slain|rapidly=quickly|quickly=rapidly|
    initially=at first|subsequently=later|occurred=took place|led to=resulted in|due to=because of|such as=like|
    in order to=to|majority=greater part|currently=at present|known as=called|typically=normally|wanted=wished|
    gave=granted|said=stated|stated=said|moved=relocated|became=turned into""".replace("\n    ", "").split("|")
)
_SYNONYM = re.compile(rf"\b({'|'.join(sorted(map(re.escape, SYNONYMS), key=len, reverse=True))})\b")
_ODD = re.compile(r"\b(?:besides|other than|in addition to|along with|aside from)\b|\b(\w+) \1\b", re.IGNORECASE)
"""Questions whose answer made a statement would say something else than the passage, or that are miswritten."""
_TORN = re.compile(r"\b(?:\d+(?:st|nd|rd|th)|first|late|early)$")
"""Answers that were cut out of "the 19th century"."""


# A question and its answer as one statement.

_BE = r"(?P<be>was|were|is|are)"
_PARTICIPLE = r"(?P<v>\w+ed|built|held|found|born|made|given|written)"
_HANGING = r"(?!.*\b(?:called|named|known|used|made|considered|in|on|of|to|for|with|as|by|at|from|about|like)$)"
"""Not a question that ends with what its answer belongs behind."""
_TIME = r"(?:year|date|century|country|city|place|month)"
_AUXILIARY = r"(?:is|are|was|were|did|do|does|has|had|would|could|can)"
_COUNTED = r"(?:were|was|are|is|have|had|has|can|live|make|made|died|fought|came|took|served|attended)"
_ACTED = r"(?:was|were|is|are|has|had|have|led|caused|won|ruled|became|helped|made|gave|took|includes?|provides?|contains?)"
_PREPOSITIONS = ("in", "on", "at", "by", "from", "during", "after", "before", "until", "between", "near")


def declare(question: str, answer: str, verbs: set[str]) -> str | None:
    """Make one statement of a question and its answer, for the patterns that need no parser; else None.

    The verb of "did X … verb" is found by ``verbs``, base forms of verbs.
    """
    q = " ".join(question.strip().rstrip("?").split())
    answer = answer.strip().rstrip(".")
    if not q or not answer or len(answer.split()) > LONGEST_ANSWER or _ODD.search(q) or _TORN.search(answer):
        return None
    for pattern, make in _PATTERNS:
        if match := re.fullmatch(pattern, q):
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


def _placed(answer: str) -> str:
    """An answer to "when" or "where", with a preposition."""
    if answer.split()[0].lower() in _PREPOSITIONS:
        return answer
    is_day = re.match(r"\d{1,2} [A-Z]|[A-Z][a-z]+ \d{1,2}\b", answer)
    return f"{'on' if is_day else 'in'} {answer}"


def _when_did(match: re.Match[str], answer: str, verbs: set[str]) -> str | None:
    said = _did(match["rest"], verbs)
    return f"{said} {_placed(answer)}" if said else None


def _what_did(match: re.Match[str], answer: str, verbs: set[str]) -> str | None:
    said = _did(match["rest"], verbs) if match["rest"].split()[-1] in verbs else None
    return f"{said} {answer}" if said else None


def _how_many(match: re.Match[str], answer: str, _verbs: set[str]) -> str:
    is_counted = match["n"].split()[-1].lower() in answer.lower()
    return f"{answer} {match['rest']}" if is_counted else f"{answer} {match['n']} {match['rest']}"


def _which(match: re.Match[str], answer: str, _verbs: set[str]) -> str | None:
    is_turned = re.match(r"(?:was|were|is|are) (?:the |[A-Z])", match["rest"])
    return None if is_turned else f"{answer} {match['rest']}"


_PATTERNS: list[tuple[str, Callable[[re.Match[str], str, set[str]], str | None]]] = [
    (rf"(?:When|Where|In (?:what|which) {_TIME}) did (?P<rest>.+)", _when_did),
    (
        rf"(?:When|Where|(?:In|On|At) (?:what|which) {_TIME}) {_BE} (?P<np>(?:the |[A-Z]).+) {_PARTICIPLE}",
        lambda m, a, _: f"{m['np']} {m['be']} {m['v']} {_placed(a)}",
    ),
    (
        rf"(?:What|Who) {_BE} (?P<np>(?:the|a|an) {_HANGING}(?!.*\b(?:called|known|filled) ).+)",
        lambda m, a, _: f"{m['np']} {m['be']} {a}",
    ),
    (rf"(?:What|Who) {_BE} (?P<np>.+) (?P<v>called|named|known as)", lambda m, a, _: f"{m['np']} {m['be']} {m['v']} {a}"),
    (rf"Who (?P<rest>(?!{_AUXILIARY}\b)\w+(?:ed|s|t|e|w|n|d|k)? .+)", lambda m, a, _: f"{a} {m['rest']}"),
    (r"What did (?P<rest>.+)", _what_did),
    (rf"How (?:many|much) (?P<n>\w+(?: \w+)?) (?P<rest>{_COUNTED}\b (?!the |[A-Z]).+)", _how_many),
    (rf"(?:What|Which) (?P<n>\w+(?: \w+)?) (?P<rest>{_ACTED}\b {_HANGING}.+)", _which),
]


def base_verbs(texts: Sequence[str]) -> set[str]:
    """Base forms of verbs: words of which the past tense occurs too."""
    words = {word for text in texts for word in re.findall(r"[a-z]+", text)}
    return {word for word in words if len(word) > 2 and past(word) in words and word not in ("the", "need", "found")} | set(PAST)


# A sentence turned round.

_ADVERBIAL = (
    r"(?:In|On|At|After|Before|During|Following|By|Since|Until|From|Under|Despite|With|As|When|While|Because) [^,;:]{4,60}"
)
_ADVERB = (
    r"\b(?:eventually|generally|typically|usually|also|however|largely|widely|originally|officially|particularly|highly|very|"
    r"especially|relatively|significantly),? "
)
_UNIT_NAMES = {"km": "kilometres", "kg": "kilograms", "ha": "hectares", "mi": "miles", "ft": "feet"}


def reword(sentence: str, rng: random.Random) -> str | None:
    """Change a sentence by at least two of the rules below, or by one that moves a clause or turns it round."""
    rules = [reorder, turn_active, drop_modifiers, rewrite_numbers, use_synonyms]
    rng.shuffle(rules)
    text, done = sentence, 0
    for rule in rules:
        changed = rule(text, rng)
        if changed and changed != text:
            text, done = changed, done + (2 if rule in (reorder, turn_active) else 1)
    return text if done >= 2 else None


def reorder(sentence: str, _rng: random.Random) -> str | None:
    """Move a leading adverbial behind the main clause: "In 1066, X did Y." → "X did Y in 1066."."""
    match = re.fullmatch(rf"({_ADVERBIAL}), ([^;:]+)\.", sentence)
    if not match or match[2].count(",") > 1 or re.match(r"(?:and|or|but|[A-Z]?\d+|which|who)\b", match[2]):
        return None
    return f"{match[2][0].upper()}{match[2][1:]} {match[1][0].lower()}{match[1][1:]}."


def turn_active(sentence: str, _rng: random.Random) -> str | None:
    """Make a passive active: "X was built by Y." → "Y built X."."""
    match = re.fullmatch(r"((?:The|A|An|[A-Z])[^,;:]{2,60}?) (?:was|were) (\w+ed) by ((?:the |a |an )?[^,;:]{3,60})\.", sentence)
    if not match:
        return None
    is_common = match[1].split()[0] in ("The", "A", "An", "This", "These", "It")
    subject = match[1][0].lower() + match[1][1:] if is_common else match[1]
    return f"{match[3][0].upper()}{match[3][1:]} {match[2]} {subject}."


def drop_modifiers(sentence: str, _rng: random.Random) -> str | None:
    """Leave out what stands in brackets, and adverbs."""
    text = re.sub(_ADVERB, "", re.sub(r" ?\([^()]*\)| ?\[[^\]]*\]", "", sentence))
    return text if text != sentence and len(text) > 30 else None


def rewrite_numbers(sentence: str, _rng: random.Random) -> str | None:
    """Write numbers another way: 30,000 = 30000, 7 = seven, 10th = tenth, % = percent, km = kilometres."""
    words = {str(value): word for word, value in NUMBER_VALUES.items() if value > 1}
    nth = {value: word for word, value in ORDINALS.items()}
    spelled = "|".join(word for word in NUMBER_VALUES if word not in ("one", "zero"))
    text = re.sub(r"(?<=\d)\s?%", " percent", sentence)
    text = re.sub(r"(?<![\d,])(\d{1,3}),(\d{3})(?![\d,])", r"\1\2", text)
    text = re.sub(r"(?<![\w.,–-])(\d{1,2})(?:th|st|nd|rd) (?=centur)", lambda m: f"{nth.get(int(m[1]), m[1] + 'th')} ", text)
    text = re.sub(r"(?<=\d )(km|kg|ha|mi|ft)\b", lambda m: _UNIT_NAMES[m[1]], text)
    text = re.sub(rf"(?<= )({spelled})(?= [a-z])", lambda m: str(NUMBER_VALUES[m[1]]), text)
    if text == sentence:
        text = re.sub(rf"(?<= )(\d{{1,2}})(?= (?!(?:{'|'.join(MONTHS)})\b)[a-z]{{3,}})", lambda m: words.get(m[1], m[1]), text)
    return text


def use_synonyms(sentence: str, rng: random.Random) -> str | None:
    """Exchange up to three words for others."""
    found = [match for match in _SYNONYM.finditer(sentence) if match.start()]
    for match in sorted(rng.sample(found, min(3, len(found))), key=lambda match: -match.start()):
        sentence = sentence[: match.start()] + SYNONYMS[match[1]] + sentence[match.end() :]
    return sentence if found else None
