"""The cache in the life of its documents: times, drift, scopes, kills.

    python benchmarks/cache_life.py --home HOME --index default --work /tmp/cache-life [--part times|drift|scopes|kills|all]

times: exact hits, hits by meaning and misses with 50,000 entries kept, embedding and search included. drift: one file in ten of
the index's folder is edited (in place: give a copy), indexed again, and every kept answer asked for. scopes: answers kept under
one of two random scopes, looked for under the other. kills: writers killed at random, then eight processes at once.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe

from assistant.cache.key import Scope
from assistant.cache.serving import AnswerCache
from assistant.cache.store import CacheStore
from assistant.cache.tables import Bound, Draft
from assistant.cache.threshold import shipped
from assistant.citations import Quote, citation
from assistant.language.sentences import split_units
from assistant.records import Answer, Sentence, Timings
from indexes.build import build_index
from indexes.export import load_embedder
from indexes.records import Hit
from indexes.search import Searcher

ENTRIES = 50_000
ASKED = 1_000
TIMED = 300
KILLS = 100
WRITER = """
import sys
from pathlib import Path
import numpy as np
from assistant.cache.store import CacheStore
from assistant.cache.tables import Bound, Draft
store, rng = CacheStore(Path(sys.argv[1]), most_entries=10**6), np.random.default_rng()
for number in range(int(sys.argv[3])):
    bound = (Bound("cited", "i", "d", "p", "h", "s"),)
    vector = rng.normal(size=384).astype(np.float32)
    store.insert("scope", "label", Draft(f"{sys.argv[2]} {number}", vector, "answered", "x" * 3000, {}, bound, 1.0, 1e6))
    print(f"{sys.argv[2]} {number}", flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="an ASSISTANT_HOME with an index of many files")
    parser.add_argument("--index", default="default")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--part", choices=["times", "drift", "scopes", "kills", "all"], default="all")
    options = parser.parse_args()
    print(describe("faiss-cpu", "onnxruntime"))
    options.work.mkdir(parents=True, exist_ok=True)
    folder = options.home / "indexes" / options.index
    embedder = load_embedder("all-MiniLM-L6-v2", options.home / "models")
    parts: dict[str, Callable[[Path], None]] = {"scopes": scopes, "kills": kills}
    for name in ("times", "drift"):
        if options.part in (name, "all"):
            with (
                Searcher([folder], open_embedder=lambda _: embedder) as searcher,
                tempfile.TemporaryDirectory(dir=options.work) as home,
            ):
                run = {"times": times, "drift": drift}[name]
                run(searcher, Path(home), lambda: build_index(folder, [], open_embedder=lambda _: embedder))
    for name, part in parts.items():
        if options.part in (name, "all"):
            with tempfile.TemporaryDirectory(dir=options.work) as home:
                part(Path(home))


def open_cache(home: Path, searcher: Searcher) -> AnswerCache:
    """The product's cache with its preset, at a threshold that every candidate passes which the gates let pass."""
    preset = shipped(searcher.weights_hash)
    assert preset is not None

    def scope(strict: bool) -> Scope:
        return Scope({}, "", {}, searcher.weights_hash, searcher.names, strict)

    store = CacheStore(home, most_entries=10 * ENTRIES)
    return AnswerCache(store, searcher, scope, label="b", preset=replace(preset, threshold=0.0, floor=0.0), lives_s=1e7)


def keep_answers(searcher: Searcher, cache: AnswerCache, count: int, rng: random.Random) -> list[tuple[str, Hit]]:
    """Keep the first sentence of random passages as the answer to itself, asked as a question; each with the passage."""
    kept: list[tuple[str, Hit]] = []
    known = searcher.search("the rationale of this proposal", k=4000, vector=None)
    for hit in rng.sample(known, len(known)):
        units = [
            unit for unit in split_units(hit.passage) if unit.kind == "sentence" and 5 <= len(unit.text.split()) <= 9
        ]  # about as long as people ask
        if not units or len(kept) == count:
            continue
        question = f"What is said of {units[0].text.rstrip('.')}?"
        vector = searcher.embed(question)
        hits = searcher.search(question, k=10, vector=vector)
        found = next((one for one in hits if one.passage.passage_id == hit.passage.passage_id), None)
        if found and cache.keep(
            question, vector, hits, an_answer(question, found, units[0].start, units[0].end), strict=False, seconds=1
        ):
            kept.append((question, found))
    return kept


def an_answer(question: str, hit: Hit, start: int, end: int) -> Answer:
    cited = citation(Quote(hit, start, end), 1, stale=False)
    return Answer(
        question=question,
        rewritten=None,
        text=f"{cited.quote} [1]",
        status="answered",
        index=(hit.index,),
        model="b",
        adapter=None,
        citations=(cited,),
        nearest=(),
        sentences=(Sentence(cited.quote, "supported", (1,)),),
        cached=False,
        cached_question=None,
        similarity=None,
        timings=Timings(0, 0, 0, None, 0),
    )


def times(searcher: Searcher, home: Path, _: object) -> None:
    """Milliseconds at 50,000 entries."""
    rng, cache = random.Random(0), open_cache(home, searcher)
    kept = keep_answers(searcher, cache, TIMED, rng)
    fill(cache)
    print(f"times with {cache.store.size()[0]} entries, over {searcher.passages} passages:")
    taken: dict[str, list[float]] = {"exact hit": [], "hit by meaning, all": [], "search alone": [], "miss, extra": []}
    cache.verified("warm up?", (v := searcher.embed("warm up?")), searcher.search("warm up?", k=10, vector=v), strict=False)
    for question, _hit in kept:
        taken["exact hit"].append(clock(cache.exact, question, strict=False)[0])
        other = " ".join(question.split()[:3] + question.split()[4:])  # one word less
        started = time.perf_counter()
        assert cache.exact(other, strict=False) is None
        vector = searcher.embed(other)
        hits = searcher.search(other, k=10, vector=vector)
        if cache.verified(other, vector, hits, strict=False):
            taken["hit by meaning, all"].append(1000 * (time.perf_counter() - started))
        stranger = " ".join(rng.sample(question.split(), len(question.split()))[:5]) + " of last resort"
        vector = searcher.embed(stranger)
        spent, hits = clock(searcher.search, stranger, k=10, vector=vector)
        taken["search alone"].append(spent)
        before, _nothing = clock(cache.exact, stranger, strict=False)
        spent, served = clock(cache.verified, stranger, vector, hits, strict=False)
        if served is None:
            taken["miss, extra"].append(before + spent)
    for name, values in taken.items():
        p50, p95 = np.percentile(values, [50, 95])
        print(f"  {name:20s} n={len(values):4d}  p50 {p50:6.2f} ms  p95 {p95:6.2f} ms")
    cache.close()


def fill(cache: AnswerCache) -> None:
    """Fill up with entries that lie anywhere."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(ENTRIES, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scope, bound = cache.scope_key(strict=False), (Bound("cited", "i", "d", "p", "h", "s"),)
    for number, vector in enumerate(vectors):
        cache.store.insert(scope, "b", Draft(f"question {number}", vector, "answered", "x" * 300, {}, bound, 1.0, 1e7))


def clock(work: Callable[..., Any], *arguments: object, **options: object) -> tuple[float, Any]:
    started = time.perf_counter()
    back = work(*arguments, **options)
    return 1000 * (time.perf_counter() - started), back


def drift(searcher: Searcher, home: Path, refresh: Callable[[], object]) -> None:
    """Edit one file in ten, index, and ask for everything that is kept."""
    rng, cache = random.Random(1), open_cache(home, searcher)
    kept = keep_answers(searcher, cache, ASKED, rng)
    files = sorted({Path(hit.path) for _, hit in kept})
    edited = set(rng.sample(files, max(1, len(files) // 10)))
    edited |= set(rng.sample(sorted(files[0].parent.rglob("*.rst")), 60))
    for file in edited:
        edit(file, rng)
    refresh()
    outcome: Counter[str] = Counter()
    for question, hit in kept:
        file = Path(hit.path)
        holds = file.exists() and words(hit.passage.text) in words(file.read_text("utf-8", "replace"))
        vector = searcher.embed(question)
        served = cache.exact(question, strict=False) or cache.verified(
            question, vector, searcher.search(question, k=10, vector=vector), strict=False
        )
        gone = cache.store.find(cache.scope_key(strict=False), question) is None
        outcome[f"{'served' if served else 'dropped' if gone else 'missed'}, passage {'holds' if holds else 'changed'}"] += 1
    print(f"drift: {len(kept)} answers from {len(files)} files, {len(edited)} files edited: {dict(sorted(outcome.items()))}")
    print(f"  { ({name: count for name, (count, _) in cache.store.events().items()}) }")
    cache.close()


def words(text: str) -> str:
    return " ".join(text.split())


def edit(file: Path, rng: random.Random) -> None:
    """Change a paragraph, delete one, or put one in, as people do."""
    paragraphs = file.read_text("utf-8", "replace").split("\n\n")
    place = rng.randrange(len(paragraphs))
    kind = rng.choice(("change", "delete", "insert"))
    if kind == "change":
        paragraphs[place] = paragraphs[place].replace(" the ", " some ", 1) + " This was revised."
    elif kind == "delete":
        del paragraphs[place]
    else:
        paragraphs.insert(place, "A remark that somebody added later, on nothing in particular.")
    file.write_text("\n\n".join(paragraphs), "utf-8")


def scopes(home: Path) -> None:
    """Keep an answer under one scope, look for it under another."""
    rng, store, leaks = random.Random(2), CacheStore(home, most_entries=10**6), 0
    for number in range(1000):
        one = a_scope(rng)
        other = one
        while other == one:
            other = a_scope(rng)
        vector = np.eye(1, 8, dtype=np.float32)[0]
        store.insert(one.key, "b", Draft(f"{number}?", vector, "answered", "x", {}, (), 1.0, 1e7))
        leaks += store.find(other.key, f"{number}?") is not None
        assert store.find(one.key, f"{number}?") is not None
    print(f"scopes: {leaks} leaks over 1000 pairs")


def a_scope(rng: random.Random) -> Scope:
    def some() -> str:
        return rng.choice("ab")

    return Scope(
        {"weights": some(), "adapter": some()}, some(), {"top_k": rng.choice((5, 10))}, some(), (some(),), rng.random() < 0.5
    )


def kills(home: Path) -> None:
    """Kill writers at random moments; then let eight write at once. What was acknowledged must be there."""
    rng, lost, broken, told = random.Random(3), 0, 0, set[str]()
    for number in range(KILLS):
        writer = start(home, f"w{number}", 10**6)
        time.sleep(0.35 + rng.random() * 0.3)
        writer.send_signal(signal.SIGKILL)
        told |= set(writer.communicate()[0].splitlines())
    store = CacheStore(home, most_entries=10**6)
    there = questions(store)
    lost = len(told - there)
    writers = [start(home, f"p{number}", 200) for number in range(8)]
    together = {line for writer in writers for line in writer.communicate()[0].splitlines()}
    lost += len(together - questions(store))
    with store.database.reading() as db:
        assert db is not None
        broken = db.execute("PRAGMA integrity_check").fetchone() != ("ok",)
    print(f"kills: {KILLS} writers killed, {len(told)} answers acknowledged; 8 at once, {len(together)}; {lost} lost")
    print(f"  damaged: {broken}")


def start(home: Path, name: str, most: int) -> "subprocess.Popen[str]":
    command: Sequence[str] = (sys.executable, "-c", WRITER, str(home), name, str(most))
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def questions(store: CacheStore) -> set[str]:
    with store.database.reading() as db:
        return {row[0] for row in db.execute("SELECT question FROM entries")} if db else set()


if __name__ == "__main__":
    main()
