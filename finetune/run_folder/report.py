"""``report.html``: what a run did, what came of it and how to have it again, on one page that can be mailed or printed.

It reads the run folder alone, so that it can be made again at any time, also of a run that was interrupted.
"""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune.run_folder.curves import CHARTS, write_curves
from finetune.run_folder.documents import flatten
from finetune.run_folder.files import write_file
from finetune.run_folder.page import Html, bullets, page, paragraph, picture, preformatted, side_by_side, table
from finetune.run_folder.records import SAMPLES, RunFolder
from finetune.run_folder.scored_answers import attacks_on, course_of, graders_of
from finetune.run_folder.summary import compare, find_faults, number, with_interval

REPORT = "report.html"
SHOWN_SAMPLES = 50
GIB = 2**30
INTERVALS = "An interval holds what other rows of the same kind would likely give. It says nothing of rows of another kind."


def write_report(run: RunFolder, *, usage: Sequence[str] = ()) -> Path:
    """Draw the curves and write the page into the run folder; returns its path.

    Args:
        run: the run, ended or not.
        usage: commands that use what was trained, one a line.

    Raises:
        TrainingError: it can't be written.
    """
    result, metrics, attacks = run.result(), run.metrics(), run.grader()
    sections = (
        ("", paragraph(_what(run.record))),
        ("What came of it", _outcome(result)),
        ("Scores by what it learned from, and by what it didn't", graders_of(result)),
        ("What to know before trusting it", _bulleted([*find_faults(metrics, result, run.record), *_grader_faults(attacks)])),
        ("How it went", _curves(write_curves(run))),
        ("Answers in the course of training", course_of(run.answers())),
        ("Answers before and after", _samples(run)),
        ("Attacks on the grader", attacks_on(attacks) if attacks else ""),
        ("How to use it", preformatted("\n".join(usage)) if usage else ""),
        ("How to have it again", _reproduction(run.record)),
        ("Data", _facts(run.record["data"])),
        ("Settings", _facts({"seed": run.record["seed"], **run.record["config"]})),
        ("Versions and machine", _surroundings(run.record)),
    )
    file = run.folder / REPORT
    write_file(file, page(_title(run.record["config"]), sections))
    return file


def _title(config: Mapping[str, Any]) -> str:
    return f"{str(config.get('method', 'training')).upper()} on {config.get('base', 'a model')}"


def _what(record: Mapping[str, Any]) -> str:
    data, config = record["data"], record["config"]
    rows = f"{number(data['rows'])} rows" if isinstance(data.get("rows"), int) else "data"
    files = ", ".join(str(file) for file in data.get("files", ())) or "no file that was named"
    return (
        f"{config.get('base', 'A model')} was trained by {config.get('method', 'an unnamed method')} on {rows} "
        f"from {files}, with seed {record['seed']}, from {record['started']} on."
    )


def _outcome(result: Mapping[str, Any] | None) -> Html:
    if result is None:
        return ""
    comparisons = compare(result)
    rows = [
        (one.name, with_interval(one.before), with_interval(one.after), with_interval(one.change), one.verdict or "–")
        for one in comparisons
    ]
    head = ("metric", "before (95 % interval)", "after", "change", "verdict")
    said = bullets(one.sentence for one in comparisons) + table(rows, head=head) + paragraph(INTERVALS) if rows else ""
    return said + _facts(_costs(result))


def _costs(result: Mapping[str, Any]) -> dict[str, str]:
    """What a run took, for people; what wasn't measured is left out."""
    shown: dict[str, Callable[[Any], str]] = {
        "stopped because": str,
        "seconds": lambda value: f"{number(round(float(value)))} ({float(value) / 60:.1f} minutes)",
        "tokens per s": lambda value: number(round(float(value))),
        "peak memory": lambda value: f"{float(value) / GIB:.2f} GiB",
    }
    values = {name: result.get(name.replace(" ", "_")) for name in shown}
    return {name: shown[name](value) for name, value in values.items() if value is not None}


def _curves(files: Iterable[Path]) -> Html:
    titles = {f"{chart.name}.png": chart.title for chart in CHARTS}
    return "".join(picture(file.read_bytes(), said=f"{titles[file.name]} by step") for file in files)


def _samples(run: RunFolder) -> Html:
    samples = run.samples()
    shown = []
    for sample in samples[:SHOWN_SAMPLES]:
        reference = [] if sample.reference is None else [("reference", sample.reference)]
        answers = [("before", sample.before), ("after", sample.after), *reference]
        shown.append(side_by_side([("prompt", sample.prompt)]) + side_by_side(answers))
    left = len(samples) - SHOWN_SAMPLES
    return "".join(shown) + (paragraph(f"{left} more are in {SAMPLES}.") if left > 0 else "")


def _grader_faults(attacks: Mapping[str, Any] | None) -> list[str]:
    if not attacks or not attacks["faults"]:
        return []
    return [f"It learned from a grader that can't be trusted, because it was told to (--force): {'; '.join(attacks['faults'])}."]


def _reproduction(record: Mapping[str, Any]) -> Html:
    """The command, word by word as it was given."""
    if not record["command"]:
        return paragraph("This run was begun from Python, with the settings and the data below.")
    commit = f" at commit {record['commit']}" if record["commit"] else ""
    where = paragraph(f"In {record['directory']}{commit}, with the versions below and the same data:")
    return where + preformatted(shlex.join(record["command"]))


def _surroundings(record: Mapping[str, Any]) -> Html:
    machine = record["machine"]
    memory = machine["memory_bytes"]
    facts = {
        "processor": f"{machine['processor']}, {machine['cores']} cores",
        "memory": f"{memory / GIB:.1f} GiB" if memory else "unknown",
        "GPU": "; ".join(machine["gpus"]) or "none",
        "system": machine["system"],
    }
    return _facts({**facts, **record["versions"]})


def _facts(document: Mapping[str, Any]) -> Html:
    """Names and values; a list on lines of its own would be too long for a settings table, so it is joined."""
    rows = [(name, _value(value)) for name, value in flatten(document).items() if name != "warnings"]
    return table(rows) if rows else ""


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not set" if value is None else str(value)


def _bulleted(faults: Sequence[str]) -> Html:
    return bullets(faults, style="faults") if faults else paragraph("Nothing was found to hold against it.")
