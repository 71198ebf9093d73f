"""The parts of a report that only trainings with a grader have: scores, answers over time, attacks on the grader (pure).

Answers are what a model wrote: they reach the page as text alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from finetune.run_folder.page import Html, paragraph, preformatted, table
from finetune.run_folder.records import ANSWERS
from finetune.run_folder.summary import Figure, number, with_interval

SHOWN_PROMPTS = 10
HEAD = ("step", "score", "answer")
ONE_GRADER = (
    "Only the grader that was learned from has scored these answers: whether they are better or only please it, another "
    "one would show (--eval-grader)."
)
TWO_GRADERS = (
    "Where the first rises and the second doesn't, the policy has learned to please its grader rather than to answer better."
)
NO_ANSWERS = "The data had no answers of its own that attacks could be compared with: the grader was taken on trust."


def course_of(answers: Sequence[Mapping[str, Any]]) -> Html:
    """A table for each prompt: what was answered at which step, and its score."""
    by_prompt: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    seen: dict[tuple[str, Any], int] = {}
    for each in answers:
        again = seen[each["prompt"], each["step"]] = seen.get((each["prompt"], each["step"]), 0) + 1
        by_prompt.setdefault((each["prompt"], again), []).append(each)  # a prompt may be there twice: its answers are told apart
    shown = [
        preformatted(prompt) + table([(one["step"], number(float(one["reward"])), one["answer"]) for one in told], head=HEAD)
        for (prompt, _), told in list(by_prompt.items())[:SHOWN_PROMPTS]
    ]
    left = len(by_prompt) - SHOWN_PROMPTS
    return "".join(shown) + (paragraph(f"The answers to {left} more prompts are in {ANSWERS}.") if left > 0 else "")


def graders_of(result: Mapping[str, Any] | None) -> Html:
    """Scores before and after by what was learned from and by what was held out, a line each."""
    rows = [
        (f"{one['name']} ({one['role']})", one["n"], *(cell for middle in ("mean", "median") for cell in _moved(one, middle)))
        for one in (result or {}).get("graders", ())
    ]
    if not rows:
        return ""
    told = paragraph(ONE_GRADER) if len(rows) == 1 else paragraph(TWO_GRADERS)
    head = ("grader", "prompts", "mean before", "after", "change (95 %)", "median before", "after", "change (95 %)")
    return table(rows, head=head) + told


def _moved(one: Mapping[str, Any], middle: str) -> tuple[str, str, str]:
    change = one["change"][middle]
    moved = with_interval(Figure(change["value"], change["low"], change["high"]))
    return number(one["before"][middle]), number(one["after"][middle]), moved


def attacks_on(found: Mapping[str, Any]) -> Html:
    """What each attack scored beside the reference answers."""
    if not found["rows"]:
        return paragraph(NO_ANSWERS)
    rows = [("reference answers", f"{number(found['median'])} (median)", found["rows"], "", "")]
    for one in found["findings"]:
        verdict = "reaches the references" if one["reached"] else ""
        rows.append((one["name"], number(one["mean"]), one["rows"], verdict, one["example"]))
    told = f"Worthless answers, scored by {found['grader']} before the training: where one scores as the data's own answers do, "
    return paragraph(f"{told}a policy learns to write it.") + table(rows, head=("attack", "mean score", "rows", "", "example"))
