"""How an answer came about → terminal text (pure).

What was searched for, judged, found, left out of the prompt, read, written and checked, and how long it took.
"""

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator

from rich.text import Text

from assistant.records import Answer, Citation, Generation, Grounding, Trace, Verdict
from assistant.rendering.answers import MARKER, QUIET, location, snippet
from assistant.rendering.indexes import counted
from assistant.rendering.terminal import Terminal, sanitize
from indexes.records import Hit

LABEL = 10
"""Width of the labels at the left."""
SHOWN_SENTENCES = 3
NEAR, FAIRLY_NEAR = 0.6, 0.4
"""Cosines from which on a sentence is called near to the question (all-MiniLM-L6-v2; docs/log.md)."""
MISSING = 0.3
"""A name or number counts as missing when more than this of it is unsupported, as in `support`."""
VERDICTS: dict[Verdict, str] = {
    "supported": "supported",
    "misattributed": "supported by another passage than the one it cites",
    "stitched": "put together from several places",
    "not_found": "found in no passage",
}

_FINDINGS: dict[str, Callable[[float], str | None]] = {
    "cosine": lambda value: f"the best sentence is {_nearness(value)} the question (cosine {value:.2f})",
    "missing": lambda value: f"it lacks {value:.0%} of the question's words" if value > 0.01 else "it has all of its words",
    "missing_particular": lambda value: "it lacks a name or number of the question" if value > MISSING else None,
    "absent_particular": lambda value: "no passage has a name or number of the question" if value > MISSING else None,
    "kind_missing": lambda value: "it doesn't look like the kind of answer that is asked for" if value > 0 else None,
    "negation": lambda value: "one of the two negates and the other doesn't" if value > 0 else None,
    "antonym": lambda value: "it says the opposite of a word of the question" if value > 0 else None,
}
"""What the features mean, in words; those that say nothing to a reader are left out."""


def render_why(answer: Answer, terminal: Terminal) -> Iterator[Text]:
    """Everything that led to an answer, one subject a block."""
    for line in _blocks(answer, terminal):
        yield from _hanging(line, terminal.width) if terminal.interactive else [line]


def _blocks(answer: Answer, terminal: Terminal) -> Iterator[Text]:
    trace = answer.trace
    if trace is None and answer.cached:
        asked = sanitize(answer.cached_question or "", one_line=True)
        yield _line("cached", f"an earlier answer to: {asked}")
        yield _line("", "no document has changed since then, so nothing was searched; /fresh asks again", quiet=True)
        return
    if trace is None:
        yield Text("This answer was cut short: nothing is known of how it came about.")
        return
    yield from _searched(answer, trace)
    if answer.cached:
        alike = f" ({answer.similarity:.2f} alike)" if answer.similarity is not None else ""
        yield _line("cached", f"an earlier answer to: {sanitize(answer.cached_question or '', one_line=True)}{alike}")
        yield _line("", "the passages that it cites are as they were, and were found again; /fresh asks again", quiet=True)
    if trace.grounding:
        yield from _judged(trace.grounding, trace, terminal)
    if trace.hits:
        yield from _passages(answer, trace)
    yield from _prompt(trace)
    yield from _checked(answer, trace)
    yield from _time(answer, trace, terminal)


def render_prompt(trace: Trace) -> Iterator[Text]:
    """The messages exactly as the model was given them."""
    for message in trace.messages:
        yield Text(f"--- {message.role}", style=QUIET)
        yield Text(sanitize(message.content))
    if not trace.messages:
        yield Text("There is no prompt: the answer was chosen from the sentences of the passages.")


def _searched(answer: Answer, trace: Trace) -> Iterator[Text]:
    if answer.general:
        yield _line("searched", "nothing: you asked for an answer without documents")
        return
    yield _line("searched", f"{sanitize(trace.query, one_line=True)}")
    if answer.rewritten:
        yield _line("", f"rewritten from: {sanitize(answer.question, one_line=True)}", quiet=True)
    yield _line("", f"in {', '.join(sanitize(name, one_line=True) for name in answer.index)}", quiet=True)


def _judged(grounding: Grounding, trace: Trace, terminal: Terminal) -> Iterator[Text]:
    holds = "hold" if grounding.answerable else "don't hold"
    yield _line("judged", f"the passages {holds} the answer (probability {grounding.probability:.2f})")
    if not grounding.answerable and grounding.features and not grounding.probability:
        yield _line("", "no sentence has the name, number, year or kind of answer that is asked for", quiet=True)
    for finding in _findings(grounding):
        yield _line("", finding, quiet=True)
    ranks = {hit.passage.passage_id: hit.rank for hit in trace.hits}
    for evidence in grounding.evidence[:SHOWN_SENTENCES]:
        dash = "–" if terminal.unicode else "-"
        at = ranks.get(evidence.hit.passage.passage_id, evidence.hit.rank)
        yield _line("", f"{evidence.score:.0%} {dash} {snippet(evidence.text, 100)} (passage {at})", quiet=True)


def _findings(grounding: Grounding) -> list[str]:
    found = [say(grounding.features[name]) for name, say in _FINDINGS.items() if name in grounding.features]
    return [finding for finding in found if finding]


def _passages(answer: Answer, trace: Trace) -> Iterator[Text]:
    dropped = len(trace.hits) - trace.kept if trace.kept else 0
    total = f"{counted(len(trace.hits), 'passage')} found"
    yield _line("passages", f"{total}, {dropped} dropped: no room in the prompt" if dropped else total)
    yield Text("   # score  meaning  words", style=QUIET)
    several = len({hit.index for hit in trace.hits}) > 1
    cited: dict[str, str] = {}
    for citation in answer.citations:
        cited[citation.passage_id] = f"{cited.get(citation.passage_id, '')}[{citation.marker}]"
    for number, hit in enumerate(trace.hits, 1):
        line = Text(f"  {number:>2} ", style=MARKER)
        line.append(f"{hit.score:5.2f}  {hit.dense:7.2f}  {hit.lexical:5.1f}  ", style=QUIET)
        line.append(_place(hit))
        line.append(_fate(hit, number, trace, cited, several), style=QUIET)
        yield line


def _place(hit: Hit) -> str:
    passage = hit.passage
    return location(
        Citation(0, hit.source, hit.path, passage.page, passage.lines, "", passage.passage_id, False, passage.heading)
    )


def _fate(hit: Hit, number: int, trace: Trace, cited: dict[str, str], several: bool) -> str:
    """What became of a passage."""
    where = f"  in {sanitize(hit.index, one_line=True)}" if several else ""
    if hit.passage.passage_id in cited:
        return f"{where}  cited as {cited[hit.passage.passage_id]}"
    return f"{where}  dropped" if trace.kept and number > trace.kept else where


def _prompt(trace: Trace) -> Iterator[Text]:
    if trace.messages:
        wording = f"wording {trace.prompt_format}, " if trace.prompt_format else ""
        turns = (len(trace.messages) - 2) // 2
        earlier = f" with {counted(turns, 'earlier turn')}" if turns else ""
        yield _line("prompt", f"{wording}{counted(len(trace.messages), 'message')}{earlier} (/why prompt shows it)")
        yield from _tokens(trace.generation)


def _tokens(generation: Generation | None) -> Iterator[Text]:
    if generation is None:
        return
    reused = f", {generation.reused_tokens:,} of them known from the turn before" if generation.reused_tokens else ""
    yield _line("", f"{counted(generation.prompt_tokens, 'token')} read{reused}", quiet=True)
    rate = f", {generation.tokens_per_s:.1f} a second" if generation.tokens_per_s else ""
    yield _line("", f"{counted(generation.tokens, 'token')} written{rate}", quiet=True)
    if generation.drafted:
        yield _line("", f"{generation.drafted:,} guessed from the passages, {generation.accepted:,} of them right", quiet=True)


def _checked(answer: Answer, trace: Trace) -> Iterator[Text]:
    counts = Counter(sentence.verdict for sentence in answer.sentences)
    for number, (verdict, count) in enumerate(counts.items()):
        yield _line("checked" if number == 0 else "", f"{counted(count, 'sentence')} {VERDICTS[verdict]}")
    for sentence in answer.sentences:
        if sentence.verdict != "supported":
            yield _line("", f"{sentence.verdict.replace('_', ' ')}: {snippet(sentence.text, 160)}", quiet=True)
    if answer.status == "abstained" and trace.written.strip():
        yield _line("checked", "nothing of what was written is in the passages:")
        yield _line("", snippet(trace.written), quiet=True)


def _time(answer: Answer, trace: Trace, terminal: Terminal) -> Iterator[Text]:
    timings = answer.timings
    first = f"first words after {_ms(timings.first_token)}" if timings.first_token is not None else ""
    searched = "" if answer.general else f"search {_ms(timings.search)}"
    parts = [part for part in (searched, first, f"total {_ms(timings.total)}") if part]
    ended = f", {trace.generation.ended}" if trace.generation and trace.generation.ended != "stop" else ""
    by = ", ".join(sanitize(name, one_line=True) for name in (answer.model, answer.adapter) if name)
    yield _line("time", (" · " if terminal.unicode else ", ").join(parts))
    yield _line("written by", f"{by}{ended}")


def _nearness(cosine: float) -> str:
    return "near to" if cosine >= NEAR else "fairly near to" if cosine >= FAIRLY_NEAR else "far from"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def _line(label: str, text: str, *, quiet: bool = False) -> Text:
    return Text(f"{label:<{LABEL}}  ", style=QUIET) + Text(text, style=QUIET if quiet else "")


def _hanging(line: Text, width: int) -> Iterator[Text]:
    """A line with a label that is too long → several, the later ones under its text; `screen` does it for those without."""
    room = width - LABEL - 2
    if line.plain.startswith(" ") or line.cell_len <= width or room < LABEL:
        yield line
        return
    first, *rest = textwrap.wrap(line.plain[LABEL + 2 :], room)
    yield _line(line.plain[:LABEL], first)
    for part in rest:
        yield _line("", part)
