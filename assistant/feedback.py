"""What people say of answers: one append-only file, ``$ASSISTANT_HOME/feedback.jsonl``, one object a line (DESIGN §4).

`assistant` writes it, `finetune data from-feedback` reads it. ``[n]`` in ``answer`` and ``text`` means ``passages[n - 1]``, which
is how the prompt in ``messages`` numbers them; on the screen the numbers were those of the citations.

A line is written whole and synced under a lock. One that was torn by a kill or a full disk spoils no other: the next one begins
on a line of its own, and reading skips and counts what is no feedback.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from filelock import FileLock, Timeout

from assistant.errors import StorageFull
from assistant.records import Answer, Message
from assistant.rendering.documents import dump
from indexes.private import private_folder
from indexes.records import Hit

FILE = "feedback.jsonl"
SCHEMA = 1
WAIT_S = 10.0
"""How long another writer is waited for."""

Kind = Literal["good", "bad", "better", "compare", "wrong_cache"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_MARKER = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class JudgedPassage:
    """A passage that stood behind an answer.

    Attributes:
        passage_id: as in the index.
        hash: sha256 of its text, hexadecimal.
        source: its file.
        score: fused score in [0, 1].
    """

    passage_id: str
    hash: str
    source: str
    score: float


@dataclass(frozen=True, slots=True)
class OtherAnswer:
    """The answer that one was compared with."""

    answer: str
    adapter: str | None


@dataclass(frozen=True, slots=True)
class Feedback:
    """One judgement of one answer.

    Attributes:
        feedback_id: of this judgement.
        time: ISO-8601, UTC.
        kind: good or bad; better: ``text`` is how it should read; compare: ``answer`` was preferred to ``other``; wrong_cache:
            a cached answer that belongs to another question.
        question: as it was asked.
        rewritten: the self-contained question that was searched for instead.
        prompt_format: name of the prompt's wording; None without messages.
        messages: what the model was given; empty for the extractive one.
        passages: those in the prompt, in its order.
        answer: what was judged.
        model, adapter: who wrote it.
        other: what it was compared with.
        text: the user's words.
        status: of the answer; an interrupted one breaks off.
    """

    feedback_id: str
    time: str
    kind: Kind
    question: str
    rewritten: str | None
    prompt_format: str | None
    messages: tuple[Message, ...]
    passages: tuple[JudgedPassage, ...]
    answer: str
    model: str
    adapter: str | None
    other: OtherAnswer | None = None
    text: str | None = None
    status: str = "answered"


@dataclass(frozen=True, slots=True)
class FeedbackLog:
    """What the file holds, oldest first, and how many of its lines are no feedback."""

    rows: tuple[Feedback, ...]
    skipped: int


def judge_answer(kind: Kind, answer: Answer, *, text: str | None = None, other: Answer | None = None) -> Feedback:
    """Make a judgement of an answer, with all that is needed to learn from it.

    Args:
        kind: of judgement.
        answer: what is judged; of a comparison the better one.
        text: the user's words.
        other: of a comparison the worse one, written from the same prompt.
    """
    trace, hits = answer.trace, _prompted(answer)
    return Feedback(
        feedback_id=secrets.token_hex(8),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        kind=kind,
        question=answer.question,
        rewritten=answer.rewritten,
        prompt_format=trace.prompt_format if trace else None,
        messages=trace.messages if trace else (),
        passages=tuple(_judged(hit) for hit in hits),
        answer=_in_the_prompts_numbers(answer.text, answer, hits),
        model=answer.model,
        adapter=answer.adapter,
        other=OtherAnswer(_in_the_prompts_numbers(other.text, other, hits), other.adapter) if other else None,
        text=None if text is None else _in_the_prompts_numbers(text, answer, hits),
        status=answer.status,
    )


def as_prompted(answer: Answer) -> str:
    """An answer's text with the numbers that its prompt gave the passages: what a model is trained to write."""
    return _in_the_prompts_numbers(answer.text, answer, _prompted(answer))


def append_feedback(home: Path, feedback: Feedback) -> None:
    """Write a judgement at the end of the file, synced.

    Raises:
        StorageFull: it can't be written; the file is as before.
    """
    line = dump(feedback_document(feedback)).encode() + b"\n"
    file = home / FILE
    with _locked(file):
        known = file.exists()
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as stream:
            with contextlib.suppress(OSError):  # not ours: it can be written all the same
                file.chmod(0o600)
            _append(stream.fileno(), line)
        if not known:
            _sync_folder(home)


def read_feedback(home: Path) -> FeedbackLog:
    """Read all judgements; lines that are none are counted."""
    rows, skipped = [], 0
    for line in _lines(home / FILE):
        try:
            rows.append(_feedback(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError):
            skipped += 1
    return FeedbackLog(tuple(rows), skipped)


def export_feedback(home: Path, target: Path) -> FeedbackLog:
    """Write every judgement into a file of its own, whole or not at all; a file that is there is overwritten.

    Raises:
        StorageFull: it can't be written.
    """
    log = read_feedback(home)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            for row in log.rows:
                stream.write(dump(feedback_document(row)).encode() + b"\n")
        draft.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StorageFull(
            f"can't write {str(target)!r}: {error.strerror or error}", hint="name a file in a folder that you may write to"
        ) from error
    return log


def purge_feedback(home: Path) -> None:
    """Delete the file."""
    file = home / FILE
    if file.exists():
        with _locked(file):
            file.unlink(missing_ok=True)


def feedback_document(feedback: Feedback) -> Mapping[str, object]:
    """One line of the file (DESIGN §4)."""
    other = feedback.other
    return {
        "schema": SCHEMA,
        "id": feedback.feedback_id,
        "time": feedback.time,
        "kind": feedback.kind,
        "question": feedback.question,
        "rewritten": feedback.rewritten,
        "prompt_format": feedback.prompt_format,
        "messages": [{"role": message.role, "content": message.content} for message in feedback.messages],
        "passages": [
            {"id": one.passage_id, "hash": one.hash, "source": one.source, "score": round(one.score, 6)}
            for one in feedback.passages
        ],
        "answer": feedback.answer,
        "model": feedback.model,
        "adapter": feedback.adapter,
        "other": {"answer": other.answer, "adapter": other.adapter} if other else None,
        "text": feedback.text,
        "status": feedback.status,
    }


def _feedback(document: Mapping[str, Any]) -> Feedback:
    """A line of the file; anything else raises ValueError, KeyError, TypeError or AttributeError."""
    if document["kind"] not in KINDS or document["schema"] != SCHEMA or not isinstance(document["question"], str):
        raise ValueError(f"no feedback: {document['kind']!r}")
    other = document["other"]
    return Feedback(
        feedback_id=str(document["id"]),
        time=str(document["time"]),
        kind=document["kind"],
        question=document["question"],
        rewritten=document["rewritten"],
        prompt_format=document["prompt_format"],
        messages=tuple(Message(message["role"], message["content"]) for message in document["messages"]),
        passages=tuple(JudgedPassage(one["id"], one["hash"], one["source"], float(one["score"])) for one in document["passages"]),
        answer=str(document["answer"]),
        model=str(document["model"]),
        adapter=document["adapter"],
        other=OtherAnswer(str(other["answer"]), other["adapter"]) if other else None,
        text=document["text"],
        status=str(document.get("status", "answered")),
    )


def _judged(hit: Hit) -> JudgedPassage:
    passage = hit.passage
    digest = hashlib.sha256(passage.text.encode("utf-8", "surrogatepass")).hexdigest()
    return JudgedPassage(passage.passage_id, digest, hit.source, float(hit.score))


def _prompted(answer: Answer) -> tuple[Hit, ...]:
    """The passages in an answer's prompt, in its order; of one that was never prompted for, what was found."""
    trace = answer.trace
    return (trace.hits[: trace.kept] or trace.hits) if trace else ()


def _in_the_prompts_numbers(text: str, answer: Answer, hits: tuple[Hit, ...]) -> str:
    """A text with the citations' numbers → the same with those of the prompt's passages."""
    place = {hit.passage.passage_id: number for number, hit in enumerate(hits, 1)}
    numbers = {str(one.marker): place[one.passage_id] for one in answer.citations if one.passage_id in place}
    return _MARKER.sub(lambda match: f"[{numbers.get(match[1], match[1])}]", text)


def _append(descriptor: int, line: bytes) -> None:
    """Write a line at the end; where that fails the file is cut back to what it was."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    if end:
        os.lseek(descriptor, -1, os.SEEK_END)
        if os.read(descriptor, 1) != b"\n":
            line = b"\n" + line  # the last writer was killed within its line
    try:
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, end)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a new file's name last."""
    with contextlib.suppress(OSError):  # not every system lets one
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as stream:
            yield from (line for line in stream if line.strip())
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(file, error.strerror or str(error)) from error


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    private_folder(file.parent)
    try:
        with FileLock(file.with_suffix(".lock"), timeout=WAIT_S):
            yield
    except Timeout as error:
        raise _unusable(file, "another program is writing to it") from error
    except OSError as error:
        raise _unusable(file, error.strerror or str(error)) from error


def _unusable(file: Path, why: str) -> StorageFull:
    return StorageFull(
        f"can't use the feedback in {str(file)!r}: {why}", hint="free some space, or mend the rights of that file and its folder"
    )
