"""What people said of answers → terminal text and JSON (pure)."""

from collections.abc import Iterator, Mapping

from rich.style import Style
from rich.text import Text

from assistant.feedback import FeedbackLog, Kind, feedback_document
from assistant.rendering.answers import QUIET, snippet
from assistant.rendering.documents import SCHEMA
from assistant.rendering.terminal import sanitize

COLOURS: dict[Kind, str] = {"good": "green", "bad": "red", "wrong_cache": "red"}
SHOWN = 200
"""Characters of an answer or a remark in the list."""


def render_feedback(log: FeedbackLog) -> Iterator[Text]:
    """One judgement a block: when, what, by whom; the question; the answer; what was said."""
    for row in log.rows:
        line = Text(f"{sanitize(row.time, one_line=True)[:16].replace('T', ' ')}  ", style=QUIET)
        line.append(row.kind.replace("_", " "), style=Style(color=COLOURS.get(row.kind)))
        by = ", ".join(sanitize(name, one_line=True) for name in (row.model, row.adapter) if name)
        yield line.append(f"  {by}", style=QUIET)
        yield Text(f"  > {snippet(row.question, SHOWN)}")
        yield Text(f"  {snippet(row.answer, SHOWN)}", style=QUIET)
        if row.other:
            yield Text(f"  rather than: {snippet(row.other.answer, SHOWN)}", style=QUIET)
        if row.text:
            yield Text(f"  {'better' if row.kind == 'better' else 'why'}: {snippet(row.text, SHOWN)}")


def feedback_list_document(log: FeedbackLog) -> Mapping[str, object]:
    """`feedback list --json`."""
    return {"schema": SCHEMA, "feedback": [feedback_document(row) for row in log.rows], "skipped": log.skipped}
