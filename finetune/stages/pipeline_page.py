"""What came of a pipeline: the table in the terminal, and a page with links to the pages of its stages (pure but for writing).

It knows ``pipeline.json`` alone, so that the page can be made again at any time.
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from finetune.run_folder.files import write_file
from finetune.run_folder.page import Html, page, paragraph, preformatted, table, text
from finetune.run_folder.records import SHOWN
from finetune.run_folder.report import REPORT
from finetune.run_folder.summary import Figure, number, with_interval

PIPELINE = "pipeline.json"
MAIN = ("reward", "accuracy", "order_accuracy", "auc", "bits_per_character", "nll")
"""The metric that says most of a stage: the first of these that it has."""
HEAD = ("stage", "method", "steps", "seconds", "metric", "before → after", "adapter")


def rows_of(out: Path, document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row for each stage, under ``HEAD``; ``out`` as it is to be shown."""
    rows: list[tuple[str, ...]] = []
    for stage in document["stages"]:
        name, done = stage["name"], stage["state"] == "done"
        metric, change = main_metric(stage)
        steps, seconds = (str(stage["steps"]), number(round(stage["seconds"]))) if done else ("–", stage["state"])
        rows.append((name, stage["method"], steps, seconds, metric, change, str(out / name)))
    return rows


def main_metric(stage: Mapping[str, Any]) -> tuple[str, str]:
    """Name and change of the metric that says most; dashes where nothing was measured."""
    before, after = stage.get("before", {}), stage.get("after", {})
    name = next((name for name in (*MAIN, *after) if name in after), None)
    if name is None:
        return "–", "–"
    was = f"{number(before[name]['value'])} → " if name in before else ""
    return name.replace("_", " "), was + with_interval(Figure(*(after[name].get(key) for key in ("value", "low", "high"))))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of a table for a terminal."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def next_steps(out: Path, document: Mapping[str, Any]) -> list[str]:
    """Commands for what came out: the gate of the last stage that writes, against what it began with."""
    writers = [stage for stage in document["stages"] if stage["state"] == "done" and stage["role"] != "reward"]
    if not writers:
        return []
    last = writers[-1]
    begun = {stage["weights_hash"]: stage["name"] for stage in writers}
    parent = next((begun[each] for each in last["begun_with"] if each in begun), None)
    against = str(out / parent) if parent else "none"
    adapter = str(out / last["name"])
    gate = ["assistant", "eval", "QUESTIONS.jsonl", "--model", last["base"], "--adapter", adapter, "--baseline", against]
    return [shlex.join(gate), shlex.join(["assistant", "adapters", "add", adapter])]


def lineage(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Which weights each stage is, and of which it was made."""
    return [
        (
            stage["name"],
            str(stage.get("weights_hash", "–"))[:SHOWN],
            ", ".join(f"{name} {value[:SHOWN]}" for name, value in stage["parents"].items()) or "the base alone",
            ", ".join(f"{name} {value[:SHOWN]}" for name, value in stage["inputs"].items()),
        )
        for stage in document["stages"]
    ]


def write_page(out: Path, document: Mapping[str, Any], *, go_on: str) -> Path:
    """Write ``report.html`` into the folder of all stages; returns its path.

    Raises:
        TrainingError: it can't be written.
    """
    begun = [stage["name"] for stage in document["stages"] if stage["state"] != "done"]
    unfinished = paragraph(f"Not done yet: {', '.join(begun)}. Go on with:") + preformatted(go_on) if begun else ""
    steps = next_steps(out, document)
    sections = (
        ("", paragraph(f"Trained as {document['recipe']} says, one stage after the other.") + unfinished),
        ("Stages", table(rows_of(Path(), document), head=HEAD) + _links(document)),
        ("What is made of what", table(lineage(document), head=("stage", "weights", "made of", "data, base and graders"))),
        ("What to do next", preformatted("\n".join(steps)) if steps else ""),
        ("How to have it again", preformatted(go_on)),
    )
    file = out / REPORT
    write_file(file, page("Pipeline: " + " → ".join(stage["name"] for stage in document["stages"]), sections))
    return file


def _links(document: Mapping[str, Any]) -> Html:
    """Links to the stages' own pages, which lie beside this one."""
    items = "".join(
        f'<li><a href="{quote(stage["name"])}/run/{REPORT}">{text(stage["name"])}: curves, answers and settings</a></li>'
        for stage in document["stages"]
        if stage["state"] == "done"
    )
    return f"<ul>{items}</ul>" if items else ""
