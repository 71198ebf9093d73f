"""The loop closed, for real: a person talks to the chat and judges it; what she said becomes an adapter; the adapter goes back.

    python examples/loop/demo.py [--out build/loop] [--questions N] [--held-out N] [--max-steps N]

Every figure that is printed is measured in this run. The person is ``person.py`` and her file ``person.jsonl``.
"""

import argparse
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import outcome
from person import Question, held_out, read_questions, spread
from steps import ADAPTER, CHAT, GATE_FAILED, OTHER, QUESTIONS, ROOT, Commands, Steps, surround
from talking import Talk, ask, give_feedback

from finetune.run_folder.records import RunFolder

HERE = Path(__file__).resolve().parent
RECORD, PAGE, TRANSCRIPT = "loop.json", "report.html", "screen.txt"
IN_FULL = 12
EACH = 4
"""Of so many good answers one is compared with another adapter's."""


class Shown:
    """What goes to the terminal, and into the transcript."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.loud = True

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if self.loud:
            print(line, flush=True)

    def briefly(self, line: str) -> None:
        """A line for who doesn't see the screen itself."""
        if not self.loud:
            print(f"  {line}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the loop; 0: it came to its end, whatever the gate said."""
    options = _options(arguments)
    out = (ROOT / options.out).resolve()
    _make_room(out)
    surround((options.home or out / "home").resolve())
    shown = Shown()
    steps = Steps(shown)
    commands = Commands(options.out, f" --max-steps {options.max_steps}" if options.max_steps else "", options.only)
    started = time.monotonic()
    for command in commands.before:
        steps.run(command, step="index")
    said = _chat(steps, shown, "chat and feedback", lambda talk: _feedback(talk, options.questions, shown))
    for step, command in zip(("rows", "check", "training"), commands.learning, strict=True):
        steps.run(command, step=step)
    refused = steps.run(commands.gate, step="gate", may_fail=True)
    if refused not in (0, GATE_FAILED):
        raise SystemExit(f"{commands.gate}\nended with {refused}")
    gate = json.loads((out / ADAPTER / "gate.json").read_text(encoding="utf-8"))
    rows = outcome.of_gate(gate)
    if refused:
        shown("The gate refuses the adapter: nothing is installed, and the base goes on answering.")
    else:
        steps.run(commands.install, step="install")
        asked = spread(held_out(ROOT / QUESTIONS), options.held_out)
        rows += _chat(steps, shown, "chat, before and after", lambda talk: _again(talk, asked, shown))
    steps.took("all", time.monotonic() - started)
    record = {
        "schema": 1, "gate": {name: gate[name] for name in ("verdict", "reason", "power")}, "said": dict(said),
        "table": outcome.documents(rows), "seconds": steps.seconds, "commands": steps.commands,
    }  # fmt: skip
    _tell(record, rows, RunFolder.open(out / ADAPTER / "run"), shown)
    _write(out, record, rows, shown.lines)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", default="build/loop", help="folder of everything that is made; what an earlier run left is deleted"
    )
    parser.add_argument("--home", type=Path, help="the assistant's folder [OUT/home]")
    parser.add_argument("--questions", type=int, default=90, help="of the person's file, how many she asks")
    parser.add_argument("--held-out", type=int, default=30, help="questions asked with the base and with the adapter at the end")
    parser.add_argument("--max-steps", type=int, default=0, help="end the training after so many")
    parser.add_argument("--only", default="split=test", help="which questions the gate asks")
    return parser.parse_args(arguments)


def _make_room(out: Path) -> None:
    """Delete what an earlier run left; anything else is left alone."""
    if out.exists() and any(out.iterdir()) and not (out / RECORD).exists():
        raise SystemExit(f"{str(out)!r} holds something else than an earlier run: name another folder with --out")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / RECORD).write_text("{}\n", encoding="utf-8")  # from here on it is ours


def _chat(steps: Steps, shown: Shown, step: str, what: Callable[[Talk], Any]) -> Any:
    """Open the chat, do something there, leave it."""
    steps.commands.append(CHAT)
    shown(f"$ {CHAT}")
    started = time.monotonic()
    talk = Talk(CHAT.split()[1:], ROOT, shown)
    try:
        result = what(talk)
        talk.leave()
    finally:
        talk.end()
        shown.loud = True
    steps.took(step, time.monotonic() - started)
    shown("")
    return result


def _feedback(talk: Talk, count: int, shown: Shown) -> Counter[str]:
    """The first questions in full, of the others a line each; all of them are in the transcript."""
    questions = read_questions(HERE / "person.jsonl")[:count]
    said = give_feedback(talk, questions[:IN_FULL], OTHER, EACH, shown.briefly)
    if len(questions) > IN_FULL:
        print(f"… and so on with {len(questions) - IN_FULL} more (all of it: {TRANSCRIPT}):", flush=True)
        shown.loud = False
        said += give_feedback(talk, questions[IN_FULL:], OTHER, EACH, shown.briefly)
    return said


def _again(talk: Talk, questions: Sequence[Question], shown: Shown) -> list[outcome.Row]:
    """The same questions to the base and to the adapter, judged by the same eyes."""
    before = [ask(talk, each) for each in questions[:1]]
    shown.loud = False
    before += [ask(talk, each) for each in questions[1:]]
    shown.loud = True
    talk.say(f"/adapter {ADAPTER}")
    after = [ask(talk, each) for each in questions[:1]]
    shown.loud = False
    after += [ask(talk, each) for each in questions[1:]]
    for question, (was, old), (now, new) in zip(questions, before, after, strict=True):
        if old.text != new.text:
            shown.briefly(f"{question.text}\n    {was:<8}{old.text}\n    {now:<8}{new.text}")
    return [
        outcome.of_chat(f"in the chat: {what}", [verdict in ok for verdict, _ in before], [verdict in ok for verdict, _ in after])
        for what, ok in (("she says /good", ("good",)), ("didn't miss what its passage holds", ("good", "bad", "nothing")))
    ]


def _tell(record: dict[str, Any], rows: Sequence[outcome.Row], run: RunFolder, shown: Shown) -> None:
    shown("What she said: " + ", ".join(f"{name} {count}" for name, count in record["said"].items()))
    for name, points in run.metrics().items():
        if name == "loss":
            shown(outcome.curve("loss of the training", points))
    shown("")
    for line in outcome.in_columns([row.cells for row in rows], outcome.HEAD):
        shown(line)
    shown("")
    for line in outcome.bars(rows):
        shown(line)
    shown("")
    shown(f"the gate: {record['gate']['verdict']}: {record['gate']['reason']}; {record['gate']['power']}")
    shown("seconds: " + ", ".join(f"{name} {seconds:.0f}" for name, seconds in record["seconds"].items()))


def _write(out: Path, record: dict[str, Any], rows: Sequence[outcome.Row], lines: Sequence[str]) -> None:
    (out / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / TRANSCRIPT).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (out / PAGE).write_bytes(outcome.page_of(record, rows, out / ADAPTER / "run", lines))
    places = {"report": out / PAGE, "the training's own": out / ADAPTER / "run" / "report.html", "the screen": out / TRANSCRIPT}
    print("\n" + "\n".join(f"{name}: {place}" for name, place in places.items()))


if __name__ == "__main__":
    sys.exit(main())
