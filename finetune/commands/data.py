"""The verbs that make training data: `data from-feedback` and `data raft`."""

import contextlib
import json
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.errors import StorageFull, UsageError
from finetune.errors import DataFault

if TYPE_CHECKING:
    from assistant.feedback import FeedbackLog
    from finetune.data.stored import StoredDocuments

SCHEMA = 1
MOST_DISTRACTORS = 40
"""The search looks for so many and the golden one."""

# What some readers of lines take for an end of line, and lone surrogates, which UTF-8 can't hold.
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def from_feedback(
    *,
    home: Path,
    kind: str,
    out: Path,
    feedback: Path | None = None,
    index: Sequence[str] = (),
    force: bool = False,
    as_json: bool = False,
    write: Callable[[str], object] = sys.stdout.write,
) -> int:
    """Turn judgements of answers into a file of rows, and say what was left out.

    Args:
        home: the assistant's folder.
        kind: of rows: ``kto``, ``preference`` or ``sft``.
        out: the file to write.
        feedback: a file of feedback; None: the one in ``home``.
        index: names of the indexes that answers were written from.
        force: overwrite ``out``.
        as_json: report as one JSON document.
        write: takes the report.

    Raises:
        UsageError: there is no such kind or file, or ``out`` is there already.
        DataFault: no row could be made.
        IndexFault: an index can't be opened.
    """
    from assistant.feedback import FILE
    from finetune.data.from_feedback import KINDS
    from finetune.data.from_feedback import from_feedback as make

    chosen = next((known for known in KINDS if known == kind), None)
    if chosen is None:
        raise UsageError(f"there is no kind of rows {kind!r}", hint=f"choose one: {', '.join(KINDS)}")
    _check_out(out, force=force)
    file = feedback or home / FILE
    log = _read_log(file)
    stored = _stored(home, index) if index else None
    made = make(log, chosen, stored=stored)
    if not made.rows:
        raise DataFault(
            f"no {kind} row can be made of {str(file)!r}: {_told(made.skipped) or 'it is empty'}", hint=_hint(made.skipped)
        )
    write_rows(made.rows, out)
    report = {"rows": len(made.rows), "used": made.used, "skipped": made.skipped, "uncited": made.uncited, "out": str(out)}
    write(_json(report) if as_json else _text(report, "judgement"))
    return 0


def raft(
    *,
    home: Path,
    questions: Path,
    out: Path,
    index: Sequence[str] = (),
    only: Sequence[str] = (),
    distractors: int = 4,
    without_golden: float = 0.2,
    seed: int = 0,
    force: bool = False,
    as_json: bool = False,
    write: Callable[[str], object] = sys.stdout.write,
    announce: Callable[[str], None] = lambda _: None,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> int:
    """Make rows of questions and live indexes, and say what was left out.

    Args:
        home: the assistant's folder.
        questions: a file as `assistant eval` reads it.
        out: the file to write.
        index: names of indexes; none: the only one there is, else the one last built.
        only: ``KEY=VALUE``: take the questions with these values alone.
        distractors: passages beside the golden one, 0 to 40.
        without_golden: share of the answerable questions whose golden passage is left out, 0 to 1.
        seed: of that choice and of the passages' order.
        force: overwrite ``out``.
        as_json: report as one JSON document.
        write: takes the report.
        announce: told when something takes long.
        on_progress: told how many of how many questions are done.

    Raises:
        UsageError: an argument is wrong, the file of questions is faulty, or ``out`` is there already.
        DataFault: no row could be made.
        IndexFault: an index can't be opened.
    """
    from finetune.data.raft import Mixture, mine
    from indexes.catalog import default_index
    from indexes.export import load_embedder
    from indexes.questions_file import read_questions
    from indexes.search import Searcher

    _check_mixture(distractors, without_golden)
    _check_out(out, force=force)
    asked = read_questions(questions, only=_pairs(only))
    names = list(dict.fromkeys(index)) or [default_index(home)]
    stored = _stored(home, names)
    with Searcher(
        _folders(home, names), open_embedder=lambda model: load_embedder(model, home / "models", announce=announce)
    ) as searcher:
        mined = mine(asked, searcher, stored, Mixture(distractors, without_golden, seed), on_progress=on_progress)
    if not mined.rows:
        raise DataFault(
            f"no row can be made of {str(questions)!r}: {_told(mined.skipped)}", hint="name the --index that holds the sources"
        )
    write_rows(mined.rows, out)
    kinds = {"golden": mined.golden, "without_golden": mined.without_golden, "unanswerable": mined.unanswerable}
    report = {
        "rows": len(mined.rows),
        "used": len(mined.rows),
        "skipped": mined.skipped,
        **kinds,
        "index": names,
        "out": str(out),
    }
    write(_json(report) if as_json else _text(report, "question"))
    return 0


def write_rows(rows: Iterable[Mapping[str, Any]], out: Path) -> None:
    """Write rows, one JSON object a line: the whole file or nothing, for its owner alone.

    Raises:
        StorageFull: it can't be written; what was there before stays.
    """
    draft = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            for row in rows:
                stream.write(_line(row).encode())
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(out)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        why = error.strerror or str(error)
        raise StorageFull(f"can't write {str(out)!r}: {why}", hint="name a file in a folder that you may write to") from error


def _line(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n"


def _check_out(out: Path, *, force: bool) -> None:
    if out.is_dir():
        raise UsageError(f"{str(out)!r} is a folder", hint="name a file: --out rows.jsonl")
    if out.exists() and not force:
        raise UsageError(f"{str(out)!r} is there already", hint="name another file with --out, or add --force to overwrite it")


def _check_mixture(distractors: int, without_golden: float) -> None:
    faults = []
    if not 0 <= distractors <= MOST_DISTRACTORS:
        faults.append(f"--distractors is {distractors!r}; it must be a whole number from 0 to {MOST_DISTRACTORS}")
    if not 0 <= without_golden <= 1:
        faults.append(f"--without-golden is {without_golden!r}; it must be a share from 0 to 1")
    if faults:
        raise UsageError(
            "; ".join(faults), hint="leave them out for what the method's authors used: 4 distractors, a share of 0.2"
        )


def _read_log(file: Path) -> "FeedbackLog":
    """The judgements in a file, whatever its name."""
    from assistant.feedback import FILE, read_feedback

    if not file.is_file():
        raise UsageError(
            f"there is no feedback in {str(file)!r}", hint="judge answers in `assistant chat`: /good, /bad WHY, /better TEXT"
        )
    if file.name == FILE:
        return read_feedback(file.parent)
    with tempfile.TemporaryDirectory() as folder:  # the reader knows one name only
        shutil.copyfile(file, Path(folder) / FILE)
        return read_feedback(Path(folder))


def _folders(home: Path, names: Sequence[str]) -> list[Path]:
    from indexes.catalog import existing_index

    return [existing_index(home, name) for name in names]


def _stored(home: Path, names: Sequence[str]) -> "StoredDocuments":
    from finetune.data.stored import StoredDocuments

    return StoredDocuments(_folders(home, names))


def _pairs(items: Sequence[str]) -> dict[str, str]:
    pairs = dict(item.partition("=")[::2] for item in items)
    for name, value in pairs.items():
        if not name or not value:
            raise UsageError(f"--only {name!r} is not of the form KEY=VALUE", hint="e.g. --only split=calibration")
    return pairs


def _json(report: Mapping[str, Any]) -> str:
    return _line({"schema": SCHEMA, **report})


def _text(report: Mapping[str, Any], what: str) -> str:
    """The report in plain words."""
    skipped = dict(report["skipped"])
    lines = [f"wrote {_counted(report['rows'], 'row')} into {report['out']}, from {_counted(report['used'], what)}"]
    if "golden" in report:
        kinds = (report["golden"], report["without_golden"], report["unanswerable"])
        lines.append("  {} with the golden passage, {} without it, {} of unanswerable questions".format(*kinds))
    if report.get("uncited"):
        lines.append(f"  {_counted(report['uncited'], 'good answer')} cite nothing, although passages were there to cite")
    if skipped:
        lines.append(f"left out {_counted(sum(skipped.values()), what)}:")
        lines += [f"  {count:>5}  {reason}" for reason, count in skipped.items()]
    return "\n".join(lines) + "\n"


def _told(skipped: Mapping[str, int]) -> str:
    return "; ".join(f"{count} × {reason}" for reason, count in skipped.items())


def _hint(skipped: Mapping[str, int]) -> str:
    from finetune.data.from_feedback import NO_INDEX

    if skipped.get(NO_INDEX):
        return "name the index that the answers were written from with --index"
    return "judge answers in `assistant chat`: /good, /bad WHY, /better TEXT"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
