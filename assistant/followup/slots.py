"""A fragment ("and for guests?", "since when?") → the last turn's question with the fragment in its place (pure)."""

import re

from assistant.followup import grammar as grammar
from assistant.followup.nouns import Noun, Reading, read_nouns
from assistant.followup.references import describe, topic
from assistant.language import english

MOST_WORDS = 4
"""Of a question without a verb ("at what temperature")."""
_UNNAMED = (english.STOPWORDS | english.COMMON | grammar.AUDIENCES | grammar.ATTRIBUTES | grammar.TIMES) - {
    word for name in english.CALENDAR for word in (name, f"{name}s")
}
"""Words whose capital is only that of the question they begin."""
_FREE = frozenset("year time audience number ordinal name".split())


def bare_question(text: str) -> tuple[str, str] | None:
    """A question word alone, or with one more fragment ("how much for guests") → the two parts; None for anything else."""
    if grammar.QUESTION_WORD_ALONE.match(text):
        return text, ""
    for at in range(len(words := text.split()) - 1, 0, -1):
        head, rest = " ".join(words[:at]), " ".join(words[at:])
        if (
            grammar.QUESTION_WORD_ALONE.match(head)
            and len(words) - at <= MOST_WORDS
            and words[at].lower() in grammar.PREPOSITIONS
            and not read_nouns(rest).is_clause
        ):
            return head, rest
    short = grammar.ASKED_NOUN.match(text) and len(words) <= MOST_WORDS
    if short and not any(token.tag in ("be", "do", "have", "verb", "pron", "conj") for token in read_nouns(text).tokens):
        return text, ""
    return None


def ask_again(wanted: str, previous: Reading) -> str | None:
    """The last question with another question word: "since when" → "since when is there a station in Kell"."""
    negated = wanted.lower() == "why not"
    wanted = re.sub(r"\bwhy\b.*|how come", "why", wanted.lower())
    first = previous.tokens[0] if previous.tokens else None
    if first is None:
        return None
    if negated and first.lower in grammar.NEGATED:
        return f"why {grammar.NEGATED[first.lower]}{previous.text[first.end :]}"
    about = topic(previous, plural=True if wanted in ("how many", "which ones") else None)
    if wanted in ("how much", "how many", "which", "which one", "which ones") and first.tag != "wh" and about:
        return _quantity(wanted, previous, about)
    if first.tag in ("be", "do", "have"):
        return f"{wanted} {_lowered(previous.text)}"
    auxiliary = next((token for token in previous.tokens if token.tag in ("be", "do", "have")), None)
    verb = next((token for token in previous.tokens if token.tag == "verb"), None)
    if auxiliary is None or (verb is not None and verb.start < auxiliary.start):
        return combine(previous, wanted)
    return f"{wanted} {previous.text[auxiliary.start :]}"


def combine(previous: Reading, question: str) -> str:
    """Both questions in one, where the second can't be asked without the first."""
    return f"{previous.text}, and {_lowered(question)}"


def fill(fragment: str, previous: Reading, names: frozenset[str], *, sure: bool) -> str | None:
    """The last question with a fragment in the place of the phrase of its kind.

    Args:
        fragment: "for guests", "crampons", "in 2019".
        previous: the last question.
        names: words known to be names.
        sure: it was said to be a follow-up ("and …", "what about …"), so that a place is found for it whatever it is.
    """
    first = fragment.split()[0]
    if first.lower() in _UNNAMED:
        fragment = first.lower() + fragment[len(first) :]
    infinitive = re.match(r"to (\w+)\b", fragment)
    if infinitive and infinitive[1].lower() in grammar.VERBS:
        return _replace_infinitive(fragment, previous)
    read = read_nouns(fragment, names)
    if swapped := _swapped(read, previous):
        return swapped
    if not read.nouns:
        return None
    wanted = read.nouns[0]
    if not sure and not wanted.prep and not _speaks_for_itself(wanted, previous):
        return None
    if wanted.prep:
        return _fill_preposition(fragment, wanted, previous)
    return _fill_noun(fragment, wanted, previous)


def _speaks_for_itself(wanted: Noun, previous: Reading) -> bool:
    """Whether a bare phrase can only be a follow-up: keywords to search for are typed without a verb, too."""
    if wanted.kind == "attribute":
        return all(token.lower in grammar.ATTRIBUTES for token in wanted.tokens)
    if wanted.kind in ("thing", "number"):
        return bool(_like(wanted, previous) or _numbered(wanted, previous))
    return wanted.kind == "name" or len(wanted.tokens) == 1


def _fill_preposition(fragment: str, wanted: Noun, previous: Reading) -> str | None:
    after = fragment.split(maxsplit=1)[1]
    if numbered := _numbered(wanted, previous):
        return _put(previous, *numbered, after)
    alike = _like(wanted, previous)
    if alike and alike.prep == wanted.prep:
        return _put(previous, alike.prep_start, alike.end, fragment)
    for noun in previous.nouns:
        if noun.prep == wanted.prep and (noun.kind == wanted.kind or {noun.kind, wanted.kind} <= {"name", "thing"}):
            return _put(previous, noun.prep_start, _range_end(noun, previous), fragment)
    placed = [noun for noun in previous.nouns if noun.prep in grammar.PLACES and noun.kind in ("name", "thing")]
    if wanted.prep in grammar.PLACES and wanted.kind in ("name", "thing") and placed:
        return _put(previous, placed[-1].prep_start, placed[-1].end, fragment)
    same = [noun for noun in previous.nouns if noun.kind == wanted.kind and noun.kind in _FREE]
    if same and same[-1].kind == "name" and same[-1].prep:
        return _put(previous, same[-1].prep_start, same[-1].end, fragment)
    if same and same[-1].kind == "audience":
        return _put(previous, same[-1].start, same[-1].end, _agreeing(after, same[-1]))
    inner = _inner_name(wanted, previous) if wanted.name else None
    if inner:
        return _put(previous, *inner, after)
    return f"{previous.text} {fragment}"


def _fill_noun(fragment: str, wanted: Noun, previous: Reading) -> str | None:
    if numbered := _numbered(wanted, previous):
        return _put(previous, *numbered, fragment)
    alike = _like(wanted, previous)
    if alike and alike.kind != "attribute":
        other = wanted.determiner and fragment.split()[1:2] == ["other"]
        return _put(previous, alike.start, alike.whole if other else alike.end, _agreeing(fragment, alike))
    if same := _same_kind(wanted, previous):
        return _put(previous, same.start, same.end, _agreeing(fragment, same))
    if inner := _inner_name(wanted, previous):
        return _put(previous, *inner, _without_determiner(fragment))
    if inner := _inner_audience(wanted, previous):
        words = _without_determiner(fragment)
        return _put(previous, *inner, words if previous.text[inner[1] - 1] == "s" else _singular(words))
    if wanted.kind == "attribute":
        return _attribute(fragment, wanted, previous)
    if wanted.kind in ("thing", "name", "audience") and (noun := _thing(wanted, previous)):
        return _put(previous, noun.start, noun.end, fragment)
    prep = {"year": "in", "time": "in", "audience": "for"}.get(wanted.kind, "for")
    return f"{previous.text} {prep} {fragment}"


def _like(wanted: Noun, previous: Reading) -> Noun | None:
    """The phrase with the same last word: "and the avalanche course?"."""
    return next((noun for noun in previous.nouns if noun.head == wanted.head and noun.kind == wanted.kind), None)


def _numbered(wanted: Noun, previous: Reading) -> tuple[int, int] | None:
    """Where "level 4" stands for "level 3", "Corvessa 4" for "Corvessa 3", and "4" for either."""
    *words, number = (token.lower for token in wanted.tokens)
    if not _numbers(number) or wanted.kind == "year":
        return None
    for noun in previous.nouns:
        tokens = noun.tokens[-len(wanted.tokens) :]
        if _numbers(tokens[-1].lower) and noun.kind != "year" and [token.lower for token in tokens[:-1]] == words:
            return tokens[0].start, tokens[-1].end
    return None


def _numbers(word: str) -> bool:
    return word.isdigit() or len(word) == 1


def _same_kind(wanted: Noun, previous: Reading) -> Noun | None:
    """A year for a year, a season for a season, guests for members."""
    if wanted.kind in ("thing", "attribute", "name"):
        return None
    return next((noun for noun in reversed(previous.nouns) if noun.kind == wanted.kind and noun.role != "asked"), None)


def _inner_name(wanted: Noun, previous: Reading) -> tuple[int, int] | None:
    """The name inside a phrase: "the gear store in *Kell*", "the *Dorn* station"."""
    if wanted.kind != "name":
        return None
    named = [noun for noun in previous.nouns if noun.name]
    return named[-1].name if named else None


def _inner_audience(wanted: Noun, previous: Reading) -> tuple[int, int] | None:
    """The people inside a phrase: "the *adult* membership"."""
    if wanted.kind != "audience":
        return None
    words = [token for noun in previous.nouns for token in noun.tokens if token.lower in grammar.AUDIENCES]
    return (words[-1].start, words[-1].end) if words else None


def _thing(wanted: Noun, previous: Reading) -> Noun | None:
    """The phrase that a common noun replaces: of its number and determiner if there is one, what the question is about if not."""

    def score(noun: Noun) -> float:
        points = {"subject": 1.0, "object": 1.0, "after": 0.5, "asked": 0.0}[noun.role]
        points += (noun.plural == wanted.plural) + 0.5 * (bool(noun.determiner) == bool(wanted.determiner))
        points += 1.5 * (noun.kind == "audience") * (grammar.PEOPLE.search(wanted.tokens[-1].lower) is not None)
        return points - 1.5 * (noun.kind in ("attribute", "audience")) - 1.0 * (noun.kind == "name")

    candidates = [noun for noun in previous.nouns if noun.kind not in ("year", "time", "number", "ordinal")]
    return max(candidates, key=score, default=None)


def _attribute(fragment: str, wanted: Noun, previous: Reading) -> str | None:
    """Ask for "the price" of what was spoken of, or instead of another attribute."""
    other = next((noun for noun in previous.nouns if noun.kind == "attribute" and noun.role != "asked"), None)
    if other:
        return _put(previous, other.start, other.end, fragment)
    about = topic(previous)
    if about is None:
        return None
    article = "" if wanted.determiner else "the "
    return f"what {'are' if wanted.plural else 'is'} {article}{fragment} of {describe(previous, about)}"


def _quantity(wanted: str, previous: Reading, about: Noun) -> str:
    """Ask how much or how many of what a yes-or-no question spoke of: "how many blankets are there in the hut"."""
    if wanted != "how much":
        wanted = wanted.removesuffix(" ones").removesuffix(" one")
        bare = previous.text[about.tokens[0].start : about.end]
        rest = f"{previous.text[: about.start].strip()} {previous.text[about.end :].strip()}".strip()
        return f"{wanted} {bare} {_lowered(rest)}"
    verb = next((token for token in previous.tokens if token.tag == "verb" and token.start < about.start), None)
    if verb and about.role == "object":
        return f"how much does it cost to {previous.text[verb.start :]}"
    return f"how much is {describe(previous, about)}"


def _swapped(read: Reading, previous: Reading) -> str | None:
    """One word for its opposite ("and the minimum?"), one verb for another ("and close?")."""
    words = [token for token in read.tokens if token.tag != "det"]
    if len(words) != 1:
        return None
    word = words[0].lower
    for token in previous.tokens:
        opposite = any({word, token.lower} == {*pair[:2]} for pair in english.ANTONYMS)
        if opposite or (token.tag == "verb" and word in grammar.VERBS and word not in grammar.ATTRIBUTES):
            return _put(previous, token.start, token.end, word)
    return None


def _replace_infinitive(fragment: str, previous: Reading) -> str | None:
    at = next((token.start for token in previous.tokens if token.tag == "to"), None)
    return None if at is None else f"{previous.text[:at]}{fragment}"


def _range_end(noun: Noun, previous: Reading) -> int:
    """Where a phrase of time ends: "from 2022 to 2025" is one."""
    rest = [
        other for other in previous.nouns if other.kind == noun.kind and other.prep in ("to", "until") and other.start > noun.end
    ]
    near = (
        rest
        and noun.prep == "from"
        and noun.kind in ("year", "time")
        and not previous.text[noun.end : rest[0].prep_start].strip()
    )
    return rest[0].end if near else noun.end


def _agreeing(words: str, place: Noun) -> str:
    """Make words fit the place: "guests" in that of "a member" are "a guest"."""
    if place.determiner not in ("a", "an") or words.split()[0].lower() in grammar.DETERMINERS or len(words.split()) > 1:
        return words
    if place.kind != "audience":
        return words
    one = _singular(words)
    return f"{'an' if one[0].lower() in 'aeiou' else 'a'} {one}"


def _singular(words: str) -> str:
    """Make one of many people: "guests" → "guest", "families" → "family"."""
    if words.lower().endswith("children"):
        return words[:-3]
    return re.sub(r"(?<!s)s$", "", re.sub(r"ies$", "y", words))


def _without_determiner(words: str) -> str:
    first, _, rest = words.partition(" ")
    return rest if first.lower() in grammar.DETERMINERS and rest else words


def _put(previous: Reading, start: int, end: int, words: str) -> str:
    return f"{previous.text[:start]}{words}{previous.text[end:]}"


def _lowered(text: str) -> str:
    """A sentence's beginning in the middle of another."""
    first = text.split()[0] if text.split() else ""
    return text[:1].lower() + text[1:] if first.lower() in english.STOPWORDS else text
