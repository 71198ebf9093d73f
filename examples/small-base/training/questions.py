"""Questions made from any sentence, by rule: turned round, with a part asked for, in other words, or as key words."""

import random
import re

from facts import capital
from words import DAYS, MONTHS, PAST, PRESENT, SYNONYMS, UNITS

AUXILIARIES = {"is", "are", "was", "were", "can", "may", "must", "has", "have", "had", "will", "should", "could", "cannot"}
STOP = set(
    """a an the of to in on at by for from with and or but if it its is are was were be been that this these those as than then
    there their they he she his her we us our you your i not no any all only also so do does did has have had can may must will
    which who whom whose what when where why how into over under up down out off about before after between each every""".split()
)
PLACE_WORDS = "in at on under behind near beside above below next opposite between along to from".split()
TIME = re.compile(
    r"\b(?:(?:at|from|until|by|before|after|on|since|in|between|every) )?"
    rf"(?:\d{{1,2}}[:.]\d\d|(?:{'|'.join(DAYS)})s?\b|\d{{1,2}} (?:{'|'.join(MONTHS)})"
    rf"|(?:{'|'.join(MONTHS)})\b|(?:19|20)\d\d\b|noon|midnight)"
)
SPAN = re.compile(
    r"\b(?:within|for|after|every|at least|at most|about|last|lasts|takes)? ?"
    r"(\w+(?:[.,]\d+)?) (minutes?|hours?|days?|weeks?|months?|years?|seconds?)\b"
)
MONEY = re.compile(r"\b[\d.,]+ (?:euros?|EUR|francs|crowns|cents)\b|€[\d.,]+")
COUNT = re.compile(
    r"\b((?:at (?:least|most) |about )?[\d.,]*\d|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty) ([a-z]{3,})"
)
NAME = re.compile(r"\b[A-Z][a-z]+(?: [A-Z][a-z]+)+\b")
REASON = re.compile(r"[,;]? ?\b(?:because|so that|since|as soon as|unless) .*$")
CONDITION = re.compile(r"^(If|When|After|Before|Whoever) ([^,;]+), (.+)$")
VAGUE = "What about {}?|What is {}?|Where is {}?|When {}?|How much {}?|What is said about {}?|Which {}?|How {}?".split("|")
WORD = re.compile(r"[\w’'-]+(?:[.,:]\d+)*|[^\w\s]")


def words_of(text: str) -> list[str]:
    return [word.lower() for word in re.findall(r"\w+", text)]


def content_of(text: str) -> list[str]:
    return [word for word in words_of(text) if word not in STOP]


def auto_question(rng: random.Random, sentence: str, place: str = "") -> str:
    """A question to a sentence; ``place`` is what the document or section is about."""
    if rng.random() < 0.2:
        return key_words(rng, sentence, place)
    text = sentence.strip().rstrip(".!;:")
    if (match := CONDITION.match(text)) and rng.random() < 0.6:
        ending = rng.choice(("what do I do?", "what happens?", "what now?", "what must be done?"))
        text = f"{rng.choice(('What happens', 'What do I do', 'What has to be done'))} {match[1].lower()} {match[2]}?"
        text = text if rng.random() < 0.6 else f"{match[1]} {match[2]}, {ending}"
        return paraphrase(rng, text)
    clauses = re.split(r"(?:; |, (?:and|but|so|which) |: )", text)
    long = [clause for clause in clauses if len(clause.split()) >= 4]
    asked = ask(rng, rng.choice(long or [text])) or about(rng, text)
    if place and rng.random() < 0.35 and not set(content_of(place)) & set(content_of(asked)):
        asked = f"{asked[:-1]} {rng.choice(('at', 'in', 'for'))} {place}?"
    return paraphrase(rng, asked)


def ask(rng: random.Random, clause: str) -> str:
    """Turn a clause round and ask for one of its parts; empty where it has no verb that is known."""
    words = clause.split()
    at = next((i for i, word in enumerate(words) if i and (word in AUXILIARIES or word in PRESENT or word in PAST)), 0)
    if not at or at > 9:
        return ""
    subject, verb, rest = " ".join(words[:at]), words[at], " ".join(words[at + 1 :])
    if subject.split()[0] not in ("I",) and not NAME.match(subject):
        subject = subject[:1].lower() + subject[1:]
    options = list(parts(rng, rest))
    if rng.random() < 0.2 or (not options and rng.random() < 0.4):
        who = "Who" if NAME.fullmatch(capital(subject)) else rng.choice(("What", "Who", "Which"))
        return f"{who} {verb} {shorter(rng, rest)}?"
    wh, left = rng.choice(options) if options else ("What", "")
    if not options and rng.random() < 0.4:
        wh, left = "", rest
    return f"{capital(f'{wh} {turned(subject, verb)}'.strip())} {shorter(rng, left)}".strip().rstrip(",;") + "?"


def turned(subject: str, verb: str) -> str:
    """Verb and subject in the order of a question."""
    if verb in AUXILIARIES:
        return f"{verb} {subject}" if verb != "cannot" else f"can {subject}"
    if verb in PRESENT:
        return f"does {subject} {PRESENT[verb]}"
    return f"did {subject} {PAST[verb]}"


def parts(rng: random.Random, rest: str) -> list[tuple[str, str]]:
    """What can be asked for in the part after the verb: question word, and what is left."""
    found = []

    def without(match: re.Match[str]) -> str:
        return " ".join((rest[: match.start()] + " " + rest[match.end() :]).split())

    if match := REASON.search(rest):
        found += [("why", without(match))] * 2
    if match := MONEY.search(rest):
        found += [(rng.choice(("how much", "what", "how much money")), without(match))] * 2
    if match := SPAN.search(rest):
        unit = match[2] if match[2].endswith("s") else match[2] + "s"
        found += [(rng.choice(("how long", "how soon", f"how many {unit}", "when", "how often")), without(match))] * 2
    elif match := COUNT.search(rest):
        unit = match[2]
        found += [(UNITS.get(unit, f"how many {unit}").lower(), without(match))] * 2
    if match := TIME.search(rest):
        found += [(rng.choice(("when", "when", "at what time", "on which day", "from when")), without(match))] * 2
    if match := NAME.search(rest):
        found.append((rng.choice(("who", "what", "where")), without(match)))
    if match := re.search(rf"\b(?:{'|'.join(PLACE_WORDS)}) (?:the|a|an|[A-Z]\w+) ?(?:[\w-]+)?", rest):
        found.append((rng.choice(("where", "where", "what", "in which place")), without(match)))
    return found


def shorter(rng: random.Random, text: str) -> str:
    """Leave out some of the end of a text, at a word that opens a phrase."""
    words = text.split()
    cuts = [i for i, word in enumerate(words) if i > 1 and (word in PLACE_WORDS or word in ("with", "for", "by", "and", "that"))]
    if cuts and rng.random() < 0.6:
        words = words[: rng.choice(cuts)]
    return " ".join(words[: rng.randint(5, 12)])


def about(rng: random.Random, text: str) -> str:
    """A question round some words that stand together."""
    words = re.findall(r"[\w'-]+", text)
    size = min(len(words), rng.randint(2, 5))
    start = rng.randint(0, len(words) - size) if len(words) > size else 0
    some = " ".join(words[start : start + size])
    return rng.choice(VAGUE).format(some)


def key_words(rng: random.Random, sentence: str, place: str = "") -> str:
    """What somebody types who is in a hurry: a few content words."""
    words = content_of(sentence)
    if not words:
        return about(rng, sentence)
    kept = sorted(rng.sample(range(len(words)), min(len(words), rng.randint(2, 4))))
    chosen = [words[i] for i in kept]
    if place and rng.random() < 0.4:
        chosen.insert(rng.choice((0, len(chosen))), place.lower())
    return paraphrase(rng, " ".join(chosen))


def paraphrase(rng: random.Random, question: str) -> str:
    """Other words here and there, a changed ending, a lost article, another person."""
    found = WORD.findall(question)
    out: list[str] = []
    for word in found:
        lower, roll = word.lower(), rng.random()
        base = PRESENT.get(lower) or PAST.get(lower) or (lower[:-1] if lower.endswith("s") and lower[:-1] in SYNONYMS else lower)
        if base in SYNONYMS and roll < 0.22:
            word = rng.choice(SYNONYMS[base])
        elif lower in ("the", "a", "an") and roll < 0.08:
            continue
        elif len(lower) > 4 and roll < 0.08 and lower not in STOP and lower.isalpha():
            word = word[:-1] if lower.endswith("s") else word + "s"
        elif lower not in STOP and roll > 0.96 and len(found) > 6 and word.isalpha() and out:
            continue
        out.append(word)
    text = re.sub(r" ([?,.;:!)’'])", r"\1", " ".join(out)).replace("( ", "(")
    if rng.random() < 0.5:
        text = re.sub(r"\b(must|can|may|should) (people|you|one|guests|members|visitors|they)\b", r"\1 I", text)
    return text
