"""A comparison → ``comparison.json`` and ``report.html``: who won by whom, what to know before trusting it, and the pairs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune.run_folder.documents import plain
from finetune.run_folder.files import make_folder, write_file
from finetune.run_folder.page import Html, bullets, page, paragraph, side_by_side, table
from finetune.run_folder.records import RUN
from finetune.run_folder.summary import number
from finetune.side_by_side.comparing import Compared
from finetune.side_by_side.judges import Pair
from finetune.side_by_side.side_by_side import TIE, A, Judged, Result
from indexes.errors import UsageError
from indexes.evaluation import Interval

SCHEMA = 1
DOCUMENT, REPORT = "comparison.json", "report.html"
SHOWN_PAIRS = 100
HEAD = ("judge", "A wins", "ties", "B wins", "win rate of A (95 % interval)", "sign test", "scores, A less B")
WORDS = {
    "tokens": "tokens of an answer",
    "ended": "answers that ended by themselves",
    "distinct_2": "distinct pairs of tokens (distinct-2)",
}


def document(compared: Compared, *, pairs: bool = True) -> dict[str, Any]:
    """All of it as JSON; without the pairs what ``--json`` prints."""
    said: dict[str, Any] = {
        "schema": SCHEMA, "a": compared.a.document(), "b": compared.b.document(), "base": compared.base,
        "settings": plain({name: getattr(compared.comparing, name) for name in compared.comparing.__slots__}),
        "data": compared.data, "warnings": list(compared.warnings),
        "answers": {name: {"a": a, "b": b} for name, (a, b) in compared.figures.items()},
        "judges": {name: result.document() for name, result in compared.results().items()},
    }  # fmt: skip
    if pairs:
        said["pairs"] = [_pair(at, pair, compared.judged) for at, pair in enumerate(compared.pairs)]
    return said


def _pair(at: int, pair: Pair, judged: Mapping[str, Sequence[Judged]]) -> dict[str, Any]:
    told = {
        name: {"verdict": _letter(each[at].verdict), "a_first": _letter(each[at].forward), "b_first": _letter(each[at].backward),
               "a": each[at].a, "b": each[at].b, "unread": each[at].unread}
        for name, each in judged.items() if at < len(each)
    }  # fmt: skip
    return {"prompt": pair.prompt, "asked": pair.a.asked, "a": pair.a.completion, "b": pair.b.completion, "judges": told}


def _letter(verdict: int | None) -> str | None:
    return None if verdict is None else "tie" if verdict == TIE else "a" if verdict == A else "b"


def sentences(compared: Compared) -> Iterator[str]:
    """What came of it, a line or two a judge."""
    a, b = compared.a.name, compared.b.name
    for judge, result in compared.results().items():
        yield f"{judge}: {_who(result, a, b)}"
        yield from (f"  {line}" for line in remarks(result, len(compared.pairs)))


def _who(result: Result, a: str, b: str) -> str:
    counts = f"{a} wins {result.wins}, ties {result.ties}, loses {result.losses}"
    rate = f"{counts}; win rate {_percent(result.win_rate)}, p = {result.sign_p:.2g}"
    if result.better == TIE:
        return f"{a} and {b} can't be told apart by {result.prompts} prompts ({rate})"
    better, other = (a, b) if result.better == A else (b, a)
    return f"{better} is better than {other} by more than chance ({rate})"


def remarks(result: Result, pairs: int) -> Iterator[str]:
    """What to know of a judge before trusting it."""
    place = result.place
    if result.pairs < pairs:
        yield f"only {result.pairs} of {pairs} pairs were judged"
    if place.leans:
        which = "first" if place.first > place.second else "second"
        yield (
            f"this judge leans to the answer that stands {which}: {place.first} verdicts for the first place, "
            f"{place.second} for the second (p = {place.p:.2g})"
        )
    if place.changed:
        yield f"{place.changed} of {place.both} verdicts change with the order of the answers, and count as ties"
    if result.unread > result.pairs - result.same:  # each pair is judged twice
        yield "this judge mostly doesn't answer as it is asked: what it says of the two means nothing"
    if result.unread:
        yield f"{result.unread} of {2 * (result.pairs - result.same)} verdicts couldn't be understood, and count as ties"
    if result.same:
        yield f"{result.same} pairs are one text twice: ties that nobody was asked about"


def refuse_other_folder(out: Path) -> None:
    """See that a comparison's records would take the place of none but an earlier comparison's.

    Raises:
        UsageError: they would.
    """
    taken = [RUN] if (out / RUN).exists() else [REPORT] if (out / REPORT).exists() and not (out / DOCUMENT).exists() else []
    if taken:
        raise UsageError(f"{str(out)!r} holds the {taken[0]} of something else", hint="name another folder with --out")


def write_records(compared: Compared, out: Path) -> Path:
    """Write both files into a folder; returns the report's path.

    Raises:
        UsageError: the folder holds another report.
        TrainingError: they can't be written.
    """
    refuse_other_folder(out)
    make_folder(out)
    write_file(out / DOCUMENT, json.dumps(document(compared), indent=1, allow_nan=False).encode() + b"\n")
    write_file(out / REPORT, report(compared))
    return out / REPORT


def report(compared: Compared) -> bytes:
    """The page."""
    results = compared.results()
    a, b = compared.a.name, compared.b.name
    faults = [
        *compared.warnings,
        *(f"{name}: {line}" for name, each in results.items() for line in remarks(each, len(compared.pairs))),
    ]
    sections = (
        ("", paragraph(f"A is {a}, B is {b}; both answer {compared.data['prompts']} prompts with {compared.base}.")),
        (
            "Who is better",
            bullets(f"{name}: {_who(each, a, b)}." for name, each in results.items()) + _table(results) if results else "",
        ),
        (
            "What to know before trusting it",
            bullets(faults, style="faults") if faults else paragraph("Nothing was found to hold against it."),
        ),
        (
            "The answers",
            table(
                [(WORDS[name], number(one), number(other)) for name, (one, other) in compared.figures.items()],
                head=("", "A", "B"),
            ),
        ),
        ("How the judges lean", _places(results)),
        ("Pairs", _pairs(compared)),
        ("How it was done", table([(name, _said(value)) for name, value in document(compared, pairs=False)["settings"].items()])),
    )
    return page(f"{a} against {b}", sections)


def _table(results: Mapping[str, Result]) -> Html:
    rows = [
        (name, each.wins, each.ties, each.losses, _percent(each.win_rate), f"p = {each.sign_p:.2g}", _difference(each))
        for name, each in results.items()
    ]
    return table(rows, head=HEAD) + paragraph("A tie is half a win. Intervals and the test go by prompts, not by single answers.")


def _places(results: Mapping[str, Result]) -> Html:
    rows = [
        (name, each.place.first, each.place.second, f"{each.place.changed} of {each.place.both}", f"p = {each.place.p:.2g}")
        for name, each in results.items()
    ]
    return table(rows, head=("judge", "for the first", "for the second", "changed with the order", "leaning")) if rows else ""


def _pairs(compared: Compared) -> Html:
    shown = []
    for at, pair in enumerate(compared.pairs[:SHOWN_PAIRS]):
        told = [f"{name}: {_verdict(each[at])}" for name, each in compared.judged.items() if at < len(each)]
        answers = [("A", pair.a.completion), ("B", pair.b.completion)]
        shown.append(side_by_side([(f"prompt {pair.prompt + 1}", pair.a.asked)]) + side_by_side(answers) + bullets(told))
    left = len(compared.pairs) - SHOWN_PAIRS
    return "".join(shown) + (paragraph(f"{left} more are in {DOCUMENT}.") if left > 0 else "")


def _verdict(judged: Judged) -> str:
    said = {"a": "A", "b": "B", "tie": "a tie"}[_letter(judged.verdict) or "tie"]
    if judged.a is not None and judged.b is not None:
        said += f" ({number(judged.a)} against {number(judged.b)})"
    if judged.forward is not None and judged.backward is not None and judged.forward != judged.backward:
        said += ", and another verdict in the other order"
    return said + (", not understood" if judged.unread else "")


def _difference(result: Result) -> str:
    if result.mean_difference is None or result.median_difference is None:
        return "–"
    return f"mean {_plain(result.mean_difference)}, median {_plain(result.median_difference)}"


def _plain(interval: Interval) -> str:
    return f"{number(interval.value)} ({number(interval.low)} to {number(interval.high)})"


def _percent(interval: Interval) -> str:
    return f"{100 * interval.value:.1f} % ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "not set" if value in (None, "") else str(value)
