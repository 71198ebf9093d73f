"""What came of self-rewarding: ``rounds.json``, lines for the terminal, and a page with a line a round (pure but for writing).

It knows the document alone, so that the page can be made again at any time.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finetune.run_folder.documents import flatten, plain
from finetune.run_folder.files import write_file
from finetune.run_folder.page import Html, bullets, page, paragraph, preformatted, side_by_side, table
from finetune.run_folder.records import SHOWN, RunFolder
from finetune.run_folder.report import REPORT
from finetune.run_folder.summary import Figure, number, with_interval

ROUNDS_FILE = "rounds.json"
HEAD = (
    *("round", "judge and people agree", "win rate against the one before", "score of its answers", "tokens", "ended"),
    *("distinct-2", "pairs it made", "of them the longer wins", "score and length"),
)
Document = Mapping[str, Any]


def outcome(document: Document) -> dict[str, Any]:
    """As ``result.json`` holds it."""
    first, last = document["rounds"][0], document["rounds"][document["kept"]]
    figures = {
        when: {name: value for name, value in (("score", line["score"]), ("agreement", line["judge"]["agreement"])) if value}
        for when, line in (("before", first), ("after", last))
    }
    return {**figures, "stopped_because": document["why"], "kept": document["kept"], "warnings": document["warnings"]}


def rows_of(document: Document) -> list[tuple[str, ...]]:
    """A row for each round, under ``HEAD``; round 0 is the model before the first one."""
    rows = list[tuple[str, ...]]()
    for line in document["rounds"]:
        judge, answers, made, win = line["judge"], line["answers"] or {}, line["made"] or {}, line["win"]
        name = str(line["round"]) + (" (kept)" if document["ended"] and line["round"] == document["kept"] > 0 else "")
        rows.append(
            (
                name,
                _share(judge["agreement"]) + ("" if judge["measured"] == line["round"] else " (as before)"),
                _share(win["win_rate"]) + f", p = {win['sign_p']:.2g}" if win else "–",
                _figure(line["score"]),
                _number(answers.get("tokens")),
                _number(answers.get("ended")),
                _number(answers.get("distinct_2")),
                str(made.get("pairs", "–")),
                _share(made.get("longer")),
                _figure(made.get("correlation")),
            )
        )
    return rows


def sentences(document: Document) -> Iterator[str]:
    """What came of it, for the terminal."""
    yield f"{said_of_end(document)}"
    for row in rows_of(document):
        told = ", ".join(f"{title} {cell}" for title, cell in zip(HEAD[1:], row[1:], strict=True) if cell != "–")
        yield f"  {'before' if row[0] == '0' else f'round {row[0]}'}: {told}"


def said_of_end(document: Document) -> str:
    """Why it ended, and what was kept."""
    kept, of = document["kept"], document["of"]
    what = f"round {kept} of {of} is kept" if kept else "no round is kept, and there is no adapter"
    if not document["ended"]:
        return f"not done yet: {document['why']}"
    return f"stopped: {document['why']}; {what}" if document["stopped"] else f"{document['why']}: {what}"


def judge_remarks(document: Document) -> Iterator[str]:
    """What is known of the judge, in sentences."""
    for line in document["rounds"]:
        judge = line["judge"]
        if judge["measured"] != line["round"]:
            continue
        when = f"after round {line['round']}" if line["round"] else "before the first round"
        yield (
            f"{when}: {judge['name']} agrees with {_share(judge['agreement'])} of {judge['pairs']} pairs that people judged, "
            f"{judge['ties']} of them ties to it; {judge['unread']:,} of {judge['asked']:,} judgements hold no score"
        )
        if judge["gap"]:
            yield f"{when}: it agrees by {_share(judge['gap'])} more where the better answer is the longer one"
        if judge["longer"]:
            yield (
                f"{when}: the longer answer wins {_share(judge['longer'])} of the pairs by the judge, "
                f"{_share(judge['longer_for_people'])} by people"
            )
        if judge["alone"]:
            yield f"{when}: it judges each answer alone, so that the order of two can't matter"
        else:
            place = judge["place"]
            yield f"{when}: {place['changed']} of {place['both']} verdicts change with the order in which answers are given to it"


def write_page(run: RunFolder, document: Document) -> Path:
    """Write both files into a run's folder; returns the page's path.

    Raises:
        TrainingError: they can't be written.
    """
    write_file(run.folder / ROUNDS_FILE, json.dumps(plain(document), indent=1, allow_nan=False).encode() + b"\n")
    command = " ".join(run.record["command"])
    sections = (
        (
            "",
            paragraph(_what(document)),
        ),
        ("How it ended", paragraph(f"{said_of_end(document)}.")),
        ("Rounds", table(rows_of(document), head=HEAD) + paragraph(MEANING) + _links(document)),
        ("What the judge is worth", bullets(judge_remarks(document))),
        ("What to know before trusting it", bullets(document["warnings"], style="faults") if document["warnings"] else ""),
        ("What is made of what", table(_lineage(document), head=("round", "weights", "made of"))),
        ("Pairs", _pairs(document)),
        ("How to have it again", preformatted(command) if command else ""),
        ("Settings", table([(name, _said(value)) for name, value in flatten(run.record["config"]).items()])),
    )
    file = run.folder / REPORT
    write_file(file, page(f"Self-rewarding on {document['base']}", sections))
    return file


def _what(document: Document) -> str:
    said = f"{document['base']} wrote answers, and {document['judge']} judged them; it learned by {document['optimised_by']}."
    return said[0].upper() + said[1:]


MEANING = (
    "Round 0 is the model before the first round. Agreement and win rates are shares with 95 % intervals, ties counting half; "
    "scores are the judge's, of answers to held-out prompts; score and length is their rank correlation among a prompt's answers."
)


def _lineage(document: Document) -> list[tuple[str, str, str]]:
    return [
        (
            str(line["round"]), (line["weights_hash"] or "the base alone")[:SHOWN],
            ", ".join(each[:SHOWN] for each in line["parents"]) or "the base alone",
        )
        for line in document["rounds"]
    ]  # fmt: skip


def _links(document: Document) -> Html:
    """Links to the rounds' own pages."""
    items = "".join(
        f'<li><a href="../rounds/{line["round"]}/run/{REPORT}">round {line["round"]}: curves and settings</a></li>'
        for line in document["rounds"]
        if line["round"]
    )
    return f"<ul>{items}</ul>" if items else ""


def _pairs(document: Document) -> Html:
    """Some of what each round was learned from: what no figure shows."""
    shown = []
    for line in document["rounds"]:
        for pair in (line["made"] or {}).get("shown", ()):
            better, worse = (number(score) for score in pair["scores"])
            sides = [(f"better ({better})", pair["better"]), (f"worse ({worse})", pair["worse"])]
            shown.append(side_by_side([(f"for round {line['round'] + 1}", pair["prompt"])]) + side_by_side(sides))
    return "".join(shown)


def _share(interval: Mapping[str, float] | None) -> str:
    if not interval:
        return "–"
    return f"{100 * interval['value']:.1f} % [{100 * interval['low']:.1f}, {100 * interval['high']:.1f}]"


def _figure(interval: Mapping[str, float] | None) -> str:
    return with_interval(Figure(**interval) if interval else None)


def _number(value: float | None) -> str:
    return "–" if value is None else number(value)


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "not set" if value in (None, "") else str(value)
