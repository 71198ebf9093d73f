"""An answer's text → its sentences, each with its markers and the layout before it (pure).

Chat models put markers before or after the full stop, in the middle of a sentence, after several sentences, at the end of a list
item; they write lists, headings, tables and code. Knows nothing of passages.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from assistant.checking.claims import read_claim
from assistant.language.sentences import sentence_spans

MARKER = re.compile(r"\s*\[(\d{1,3})\]")
_SEVERAL = re.compile(r"\[(\d{1,3}(?:\s*[,;]\s*\[?\d{1,3}\]?)+)\]")
_MARKED = re.compile(r"(?P<text>.*?)(?P<markers>(?:\s*\[\d{1,3}\])+)(?P<end>[.!?…]+(?=\s|$))?|(?P<rest>.+)$", re.DOTALL)
_LAYOUT = re.compile(r"\s*(?:(?:[-*+•]|\(?\d{1,3}[.)]|\(?[a-z]\)|#{1,6}|>)\s+)*")
_UNSAID = re.compile(r"[\s|:=_*~`.-]*$")
_FENCE = re.compile(r"\s*(?:```|~~~)")
_LEAD = re.compile(r"^\s*#|:[\s*_]*$")


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence of an answer.

    Attributes:
        before: white space, list marks and lines without words that stand before it.
        text: its words, without markers.
        cited: the numbers of its own markers.
        inherited: those of the next marked sentence in its paragraph or list item, when it has none.
        is_lead: it only leads in to what follows: a heading, or a line that ends with a colon.
    """

    before: str
    text: str
    cited: tuple[int, ...] = ()
    inherited: tuple[int, ...] = ()
    is_lead: bool = False


def marked_sentences(text: str) -> list[tuple[str, list[int]]]:
    """The parts of an answer that end with markers, with those; a last part may have none."""
    found = []
    for match in _MARKED.finditer(text):
        body = ((match["text"] or match["rest"] or "").rstrip() + (match["end"] or "")).strip()
        if body:
            found.append((body, [int(number) for number in MARKER.findall(match["markers"] or "")]))
    return found


def one_by_one(text: str) -> str:
    """Write ``[1, 2]`` as ``[1][2]``."""
    return _SEVERAL.sub(lambda match: "".join(f"[{number}]" for number in re.findall(r"\d+", match[1])), text)


def split_answer(text: str) -> list[Said]:
    """Take an answer apart into its sentences."""
    found: list[Said] = []
    before, in_code = "", False
    for number, line in enumerate(one_by_one(text).split("\n")):
        before += "\n" if number else ""
        fence = bool(_FENCE.match(line))
        in_code = in_code != fence
        if fence or _UNSAID.match(MARKER.sub("", line)):
            before += MARKER.sub("", line)
            found = _with_late_markers(found, line)
            continue
        said = [_said(line, 0, len(line))] if in_code else list(_sentences(line))
        said[0] = replace(said[0], before=before + said[0].before)
        found += said
        before = ""
    return found


def _sentences(line: str) -> Iterator[Said]:
    """The sentences of one line; those before a marked one inherit its markers."""
    layout = _LAYOUT.match(line)
    start = layout.end() if layout else 0
    bare, places = _without_markers(line[start:])
    spans = _joined(bare, sentence_spans(bare))
    said, last = [], 0
    for at, (first, end) in enumerate(spans):
        # A marker right after a sentence's end is that sentence's.
        until = spans[at + 1][0] if at + 1 < len(spans) else len(bare) + 1
        cited = [
            number
            for place, number in places
            if (first < place < until or (place == until and bare[until - 1 : until].isspace()))
        ]
        said.append(Said(bare[last:first], bare[first:end], tuple(dict.fromkeys(cited))))
        last = end
    inherited: tuple[int, ...] = ()
    for at in range(len(said) - 1, -1, -1):
        inherited = said[at].cited or inherited
        said[at] = replace(said[at], inherited=inherited if not said[at].cited else ())
    said[0] = replace(said[0], before=line[:start] + said[0].before)
    said[-1] = replace(said[-1], is_lead=not said[-1].cited and bool(_LEAD.search(line)))
    yield from said


def _without_markers(line: str) -> tuple[str, list[tuple[int, int]]]:
    """A line without its markers, and where each stood in what is left."""
    bare, places, last = "", [], 0
    for match in MARKER.finditer(line):
        bare += line[last : match.start()]
        places.append((len(bare), int(match[1])))
        last = match.end()
    return bare + line[last:], places


def _joined(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join sentences that say nothing by themselves ("Yes.") to the next one, or to the one before."""
    joined: list[tuple[int, int]] = []
    for first, end in spans:
        if joined and not (read_claim(text[slice(*joined[-1])]).content and read_claim(text[first:end]).content):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((first, end))
    return joined or [(0, len(text))]


def _said(line: str, start: int, end: int) -> Said:
    bare, places = _without_markers(line[start:end])
    stripped = bare.lstrip()
    return Said(bare[: len(bare) - len(stripped)], stripped.rstrip(), tuple(dict.fromkeys(number for _, number in places)))


def _with_late_markers(found: list[Said], line: str) -> list[Said]:
    """Markers on a line of their own belong to the sentence before them."""
    late = tuple(int(number) for number in MARKER.findall(line))
    if not late or not found:
        return found
    return [*found[:-1], replace(found[-1], cited=tuple(dict.fromkeys([*found[-1].cited, *late])), inherited=())]
