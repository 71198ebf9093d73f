"""The questions that the caches are asked: Quora pairs as a warm cache, CheckList's pairs as traps. Pure, but for reading files.

Quora's labels are sparse and some are wrong: two questions without a label may well be duplicates. Duplicates are closed over:
whatever is linked by labelled duplicate pairs is one cluster. A fifth of the clusters is for choosing thresholds, the other four
fifths are only measured.
"""

import gzip
import hashlib
import json
import random
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Fold = Literal["calibration", "test"]
PER_TEST = 500
"""Most pairs that are taken of one CheckList test, so that none outweighs the others."""


@dataclass(frozen=True, slots=True)
class Quora:
    """Questions with their duplicate clusters; a cluster is named by its smallest text.

    Attributes:
        cluster_of: question → its cluster.
        members: cluster → its questions, sorted.
        strangers: pairs labelled *not* duplicates, sorted, without the few that the closure contradicts.
    """

    cluster_of: Mapping[str, str]
    members: Mapping[str, tuple[str, ...]]
    strangers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A question for a warm cache.

    Attributes:
        kind: duplicate (should hit), hard (labelled no duplicate of a cached question) or other (nothing of it is cached).
    """

    question: str
    cluster: str
    kind: Literal["duplicate", "hard", "other"]


@dataclass(frozen=True, slots=True)
class Task:
    """What is put into the cache, and what it is asked then, both in this order."""

    cached: tuple[str, ...]
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Trap:
    """Two questions that differ in what a test is about: the first is cached, the second asked.

    Attributes:
        test: CheckList's name of the test.
        capability: the group of tests that it belongs to.
        duplicate: whether the first one's answer answers the second.
    """

    test: str
    capability: str
    cached: str
    asked: str
    duplicate: bool


def load_quora(data: Path) -> Quora:
    """Read GPTCache's own labelled pairs out of the data sets' folder."""
    # named .json.gz, but it is a gzipped tar file with one member
    with tarfile.open(data / "cache" / "gptcache" / "similiar_qqp_full.json.gz") as archive:
        member = next(member for member in archive if member.isfile())
        stream = archive.extractfile(member)
        rows: list[dict[str, Any]] = json.load(stream) if stream else []
    return gather((row["text_a"], row["text_b"], row["label"] == 1) for row in rows)


def gather(pairs: Iterable[tuple[str, str, bool]]) -> Quora:
    """Close labelled pairs over their duplicates; texts that differ in case and space only are one question."""
    rows = list(pairs)
    spelling: dict[str, str] = {}
    for text in sorted({text for row in rows for text in row[:2]}):
        spelling.setdefault(_folded(text), " ".join(text.split()))
    labelled = [(spelling[_folded(a)], spelling[_folded(b)], duplicate) for a, b, duplicate in rows]
    cluster_of = clusters(labelled)
    members: dict[str, list[str]] = defaultdict(list)
    for question in sorted(cluster_of):
        members[cluster_of[question]].append(question)
    strangers = {(a, b) for a, b, duplicate in labelled if not duplicate and cluster_of[a] != cluster_of[b]}
    return Quora(cluster_of, {name: tuple(group) for name, group in members.items()}, tuple(sorted(strangers)))


def clusters(pairs: Iterable[tuple[str, str, bool]]) -> dict[str, str]:
    """Question → smallest question that a chain of duplicate pairs links it to (union-find with path halving)."""
    parent: dict[str, str] = {}

    def root(question: str) -> str:
        parent.setdefault(question, question)
        while parent[question] != question:
            parent[question] = parent[parent[question]]
            question = parent[question]
        return question

    for a, b, duplicate in pairs:
        low, high = sorted((root(a), root(b)))
        if duplicate:
            parent[high] = low
    return {question: root(question) for question in parent}


def fold_of(cluster: str) -> Fold:
    """A fifth of the clusters for choosing thresholds, by the hash of their smallest text."""
    return "calibration" if _first_byte(cluster) % 5 == 0 else "test"


def warm_cache(quora: Quora, fold: Fold, *, seed: int, size: int | None = None) -> Task:
    """A cache of ``size`` questions whose duplicates are asked, and as many questions that it can't answer.

    Each of ``size`` clusters of two or more gives one cached question and one that should hit (``None``: all of them). Half of
    those that should miss are labelled no duplicate of a cached question; few such pairs touch the clusters drawn, so further
    questions are cached for the sake of the rest. The other half comes from clusters of which nothing is cached.
    """
    rng = random.Random(seed)
    names = sorted(name for name in quora.members if fold_of(name) == fold)
    drawn = rng.sample(pool := [name for name in names if len(quora.members[name]) > 1], min(size or len(pool), len(pool)))
    cached: dict[str, str] = {}  # cluster → the question of it that is cached
    requests: list[Request] = []
    for name in drawn:
        cached[name], asked = rng.sample(quora.members[name], 2)
        requests.append(Request(asked, name, "duplicate"))
    hard = _hard(quora, fold, cached, rng, count=len(drawn) // 2)
    taken = {request.cluster for request in hard} | set(cached)
    others = rng.sample(rest := [name for name in names if name not in taken], min(len(drawn) - len(hard), len(rest)))
    requests += hard
    requests += [Request(rng.choice(quora.members[name]), name, "other") for name in others]
    rng.shuffle(requests)
    entries = list(cached.values())
    rng.shuffle(entries)
    return Task(tuple(entries), tuple(requests))


def load_traps(data: Path, *, per_test: int = PER_TEST, development: bool = False, seed: int = 0) -> list[Trap]:
    """Read a sample of CheckList's question pairs: at most ``per_test`` of each test, sorted by test.

    A fifth of them, by the hash of the first question, is for development and is never measured. Labels are taken as the file
    has them: its ``label_corrected`` rows already carry the corrected one.
    """
    with gzip.open(data / "cache" / "checklist_qqp" / "checklist_qqp_pairs.jsonl.gz", "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    by_test: dict[str, set[Trap]] = defaultdict(set)
    for row in rows:
        if (_first_byte(row["q1"]) % 5 == 0) == development:
            by_test[row["test"]].add(Trap(row["test"], row["capability"], row["q1"], row["q2"], row["label"] == 1))
    rng = random.Random(seed)
    traps = []
    for name in sorted(by_test):
        ordered = sorted(by_test[name], key=lambda trap: (trap.cached, trap.asked))
        traps += rng.sample(ordered, min(per_test, len(ordered)))
    return traps


def _hard(quora: Quora, fold: Fold, cached: dict[str, str], rng: random.Random, *, count: int) -> list[Request]:
    """Questions labelled no duplicate of a cached one; ``cached`` grows by the partners that weren't cached yet."""
    found: dict[str, Request] = {}
    for pair in rng.sample(quora.strangers, len(quora.strangers)):
        if len(found) >= count:
            break
        kept, asked = pair if rng.random() < 0.5 else pair[::-1]
        home, away = quora.cluster_of[kept], quora.cluster_of[asked]
        if {fold_of(home), fold_of(away)} != {fold} or away in cached or away in found or home in found:
            continue
        if cached.setdefault(home, kept) == kept:
            found[away] = Request(asked, away, "hard")
    return list(found.values())


def texts(task: Task) -> Sequence[str]:
    """All questions of a task, for embedding them at once."""
    return [*task.cached, *(request.question for request in task.requests)]


def _folded(text: str) -> str:
    return " ".join(text.lower().split())


def _first_byte(text: str) -> int:
    return hashlib.sha256(text.encode()).digest()[0]
