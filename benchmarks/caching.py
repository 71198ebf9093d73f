"""Semantic caches side by side: GPTCache with our embedder, its decision rule alone, and ours, on the same requests.

    python -m pip install --constraint constraints.txt gptcache==0.1.44 sqlalchemy
    python benchmarks/caching.py --data ../shared/data --work /tmp/caching --tune [--part quora|traps|latency|all]

quora: a warm cache, asked duplicates of what it holds and as many questions that it must miss, half of them labelled no
duplicates of a cached question; thresholds come from another fifth of the clusters. These pairs have no documents, so no
evidence is looked at. traps: CheckList's pairs, each in a cache of its own. latency: put, hit and miss, embedding included.
Every system is filled and asked in the same order, once at threshold 0; what it does at another one is read off the scores, and
checked by asking again.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from cache_data import PER_TEST, Fold, Quora, Task, Trap, load_quora, load_traps, texts, warm_cache
from cache_figures import RATES, Outcomes, at_precision, best_f1, compare, macro, rates
from cache_pairs import OurPairs, Score, fit
from cache_systems import DEFAULT_THRESHOLD, GptCacheSystem, StaticCosine, System, Vector, require_gptcache
from machine import describe
from numpy.typing import NDArray
from qa_data import KeptEmbedder

from indexes.embedding import Embedder, Matrix
from indexes.evaluation import Interval
from indexes.export import load_embedder

MODEL = "all-MiniLM-L6-v2"
CURVE_POINTS = 20
CHECKED = 200
"""Requests that are asked again at every reported threshold."""
READ_BY_EYE = 200
SAME = 1e-9
"""A difference of two curves that is rounding alone."""
TIMED = 200
"""Questions of each kind whose times are taken."""

T = TypeVar("T")
Flags = NDArray[np.bool_]
Points = Mapping[str, Mapping[str, float]]
"""System → label of an operating point → its threshold."""


def systems(embedder: Embedder, folder: Path, score: Score) -> list[System]:
    """Every cache at the threshold that it ships with: the rival first, then its decision rule alone, then ours.

    Called anew for each size at which times are taken; ``folder`` is the caches' own and may hold an earlier run's files.
    """

    def embed(text: str) -> Vector:
        vector: Vector = embedder.embed([text])[0]
        return vector

    found: list[System] = [GptCacheSystem(embed, DEFAULT_THRESHOLD, folder / "gptcache"), StaticCosine(embed)]
    return [*found, OurPairs(embed, score)]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a system served for each request of a task at threshold 0: the place in ``task.cached``, or None."""

    served: tuple[int | None, ...]
    scores: tuple[float, ...]


class LiveEmbedder(KeptEmbedder):
    """Vectors kept between runs; while ``live`` every text is really embedded, for taking times."""

    live = False

    def embed(self, texts: Sequence[str]) -> Matrix:
        return self._real.embed(texts) if self.live else super().embed(texts)


def ask(system: System, task: Task) -> Answered:
    """Fill a system and ask it everything, at threshold 0."""
    started = time.monotonic()
    system.clear()
    system.fill([(question, str(place)) for place, question in enumerate(task.cached)])
    filled = time.monotonic()
    answers = at_threshold(system, 0.0, [request.question for request in task.requests])
    print(f"  {system.name}: filled in {filled - started:.0f} s, asked in {time.monotonic() - filled:.0f} s", flush=True)
    return Answered(tuple(None if key is None else int(key) for key, _ in answers), tuple(score for _, score in answers))


def at_threshold(system: System, threshold: float, questions: Sequence[str]) -> list[tuple[str | None, float]]:
    shipped, system.threshold = system.threshold, threshold
    answers = [system.get(question) for question in questions]
    system.threshold = shipped
    return answers


def judge(task: Task, answered: Answered, quora: Quora, strangers: frozenset[tuple[str, str]]) -> Outcomes:
    """Compare what was served with the labels."""
    cached = [None if place is None else task.cached[place] for place in answered.served]
    pairs = list(zip(task.requests, cached, strict=True))
    return Outcomes(
        score=np.array(answered.scores),
        served=np.array([question is not None for question in cached]),
        right=np.array([question is not None and quora.cluster_of[question] == asked.cluster for asked, question in pairs]),
        labelled=np.array([question is not None and (asked.question, question) in strangers for asked, question in pairs]),
        should_hit=np.array([request.kind == "duplicate" for request in task.requests]),
        hard=np.array([request.kind == "hard" for request in task.requests]),
        cluster=np.array([request.cluster for request in task.requests]),
    )


@dataclass(slots=True)
class QuoraBench:
    """The warm caches over Quora's questions, for any list of systems."""

    quora: Quora
    embedder: KeptEmbedder
    size: int | None

    def task(self, fold: Fold, seed: int) -> Task:
        task = warm_cache(self.quora, fold, seed=seed, size=self.size)
        self.embedder.embed(texts(task))
        self.embedder.save()
        kinds = Counter(request.kind for request in task.requests)
        print(f"{fold}, seed {seed}: {len(task.cached)} cached, asked {dict(sorted(kinds.items()))}", flush=True)
        return task

    def strangers(self) -> frozenset[tuple[str, str]]:
        return frozenset(self.quora.strangers) | frozenset((b, a) for a, b in self.quora.strangers)

    def tune(self, found: Sequence[System], wanted: float) -> Points:
        """Thresholds for each system on the calibration fifth: best F1, and the wanted precision where it can be had."""
        task, strangers, points = self.task("calibration", 0), self.strangers(), {}
        for system in found:
            outcomes = judge(task, ask(system, task), self.quora, strangers)
            precise = at_precision(outcomes, wanted)
            points[system.name] = {"best F1": best_f1(outcomes)} | ({} if precise is None else {f"precision {wanted}": precise})
            print(f"  {system.name}: {points[system.name]}")
        return points

    def run(self, found: Sequence[System], points: Points, seeds: int, work: Path) -> None:
        """Measure on the other four fifths, print, and leave wrong hits for reading."""
        strangers = self.strangers()
        parts: dict[str, list[Outcomes]] = defaultdict(list)
        wrong: list[WrongHit] = []
        for seed in range(seeds):
            task = self.task("test", seed)
            answered = {system.name: ask(system, task) for system in found}
            for system in found:
                parts[system.name].append(outcomes := judge(task, answered[system.name], self.quora, strangers))
                wrong += wrong_hits(system, task, answered[system.name], outcomes)
                if seed == 0:
                    check_points(system, task, answered[system.name], points[system.name])
            check_rule(answered[found[0].name], answered[found[1].name])
        pooled = {name: Outcomes.pool(runs) for name, runs in parts.items()}
        print_rates(pooled, parts, points)
        print_curves(pooled)
        leave_wrong_hits(wrong, work)


def check_points(system: System, task: Task, answered: Answered, points: Mapping[str, float]) -> None:
    """Ask a sample again at each threshold: what is served must be what the scores say."""
    sample = random.Random(0).sample(range(len(task.requests)), min(CHECKED, len(task.requests)))
    for label, threshold in points.items():
        again = at_threshold(system, threshold, [task.requests[place].question for place in sample])
        told = [answered.served[place] if answered.scores[place] >= threshold else None for place in sample]
        same = sum(key == (None if place is None else str(place)) for (key, _), place in zip(again, told, strict=True))
        print(f"  {system.name} asked again at {label} ({threshold:.4f}): {same} of {len(sample)} as its scores say")


def check_rule(rival: Answered, rule: Answered) -> None:
    """GPTCache's decisions beside those of the bare cosine: they must be the same, but for ties."""
    same = sum(a == b for a, b in zip(rival.served, rule.served, strict=True))
    apart = max(abs(a - b) for a, b in zip(rival.scores, rule.scores, strict=True))
    print(f"  GPTCache and the bare cosine: same candidate for {same} of {len(rule.served)}, scores at most {apart:.1e} apart")


def print_rates(pooled: Mapping[str, Outcomes], parts: Mapping[str, Sequence[Outcomes]], points: Points) -> None:
    for name, outcomes in pooled.items():
        for label, threshold in points[name].items():
            print(f"\n{name}, {label} (threshold {threshold:.4f}), n = {len(outcomes.score)}")
            each = [part.counts(threshold) for part in parts[name]]
            for figure, value in rates(outcomes, threshold).items():
                over, under = RATES[figure]
                seeds = ", ".join(f"{one[over].sum() / max(one[under].sum(), 1):.4f}" for one in each)
                print(f"  {figure:18s} {show(value)}  (seeds {seeds})", flush=True)


def print_curves(pooled: Mapping[str, Outcomes]) -> None:
    """Wrong answers per request of every system beside the rival's, at the same hit rates."""
    rival, *others = pooled
    top = float(pooled[rival].should_hit.mean())
    hit_rates = np.linspace(top / CURVE_POINTS, top, CURVE_POINTS)
    for name in others:
        print(f"\nwrong per request at equal hit rate: {name}, {rival}, difference")
        points = compare(pooled[name], pooled[rival], hit_rates)
        if all(point.difference.low == point.difference.high == 0 for point in points):
            print("  the same curve")
            continue
        for point in points:
            print(f"  {point.hit_rate:.3f}  {point.ours:.4f}  {point.theirs:.4f}  {show(point.difference, '+')}", flush=True)
        difference = {point.hit_rate: point.difference for point in points}
        fewer, more = ([rate for rate, d in difference.items() if sign * d.value < -SAME] for sign in (1, -1))
        print(
            f"  {name} has fewer at {len(fewer)} of {CURVE_POINTS} ({sum(d.high < 0 for d in difference.values())} beyond doubt)"
        )
        print(f"  {name} has MORE at: {', '.join(f'{rate:.3f}' for rate in more) or 'none'}")
        print(f"  not reached by {name}: {', '.join(f'{p.hit_rate:.3f}' for p in points if np.isnan(p.ours)) or 'none'}")


@dataclass(frozen=True, slots=True)
class WrongHit:
    """A hit at the shipped threshold that the labels call wrong, or don't know."""

    system: str
    asked: str
    cached: str
    score: float
    labelled: bool


def wrong_hits(system: System, task: Task, answered: Answered, outcomes: Outcomes) -> list[WrongHit]:
    places = np.flatnonzero(outcomes.counts(system.threshold)["wrong"])
    return [
        WrongHit(
            system.name,
            task.requests[place].question,
            task.cached[answered.served[place] or 0],
            answered.scores[place],
            bool(outcomes.labelled[place]),
        )
        for place in places
    ]


def leave_wrong_hits(wrong: Sequence[WrongHit], work: Path) -> None:
    """Write a sample of each system's wrong hits, mixed and without the system's name, and the key to it."""
    rng = random.Random(0)
    by_system: dict[str, list[WrongHit]] = defaultdict(list)
    for hit in wrong:
        by_system[hit.system].append(hit)
    sample = [hit for hits in by_system.values() for hit in rng.sample(hits, min(READ_BY_EYE, len(hits)))]
    pairs: dict[tuple[str, str], list[WrongHit]] = defaultdict(list)
    for hit in sample:
        pairs[hit.asked, hit.cached].append(hit)
    order = rng.sample(sorted(pairs), len(pairs))
    blind = [json.dumps({"id": n, "asked": asked, "cached": cached}) for n, (asked, cached) in enumerate(order)]
    key = {
        n: [{"system": hit.system, "score": hit.score, "labelled": hit.labelled} for hit in pairs[pair]]
        for n, pair in enumerate(order)
    }
    (work / "wrong-hits.jsonl").write_text("".join(line + "\n" for line in blind), encoding="utf-8")
    (work / "wrong-hits-key.json").write_text(json.dumps(key, indent=1), encoding="utf-8")
    print(f"\n{len(blind)} pairs to read by eye: {work / 'wrong-hits.jsonl'} (whose they are: wrong-hits-key.json)")


def traps(found: Sequence[System], pairs: Sequence[Trap], points: Points) -> None:
    """Each pair alone: the first question is cached, the second asked."""
    print(f"\ntraps: {len(pairs)} pairs of {len({trap.test for trap in pairs})} tests")
    columns: dict[str, Flags] = {}
    for system in found:
        answers, started = [], time.monotonic()
        for trap in pairs:
            system.clear()
            system.put(trap.cached, "first")
            answers += at_threshold(system, 0.0, [trap.asked])
        print(f"  {system.name}: {time.monotonic() - started:.0f} s", flush=True)
        for label, threshold in points[system.name].items():
            flags = [key is not None and score >= threshold for key, score in answers]
            columns[f"{system.name}, {label}"] = np.array(flags)
    print_traps(pairs, columns)


def print_traps(pairs: Sequence[Trap], columns: Mapping[str, Flags]) -> None:
    names = list(columns)
    print("served, columns: " + "; ".join(f"{n} {name}" for n, name in enumerate(names, 1)))
    for duplicate, title in ((False, "wrongly served"), (True, "rightly served")):
        rows: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))  # capability → test → places
        for place, trap in enumerate(pairs):
            if trap.duplicate == duplicate:
                rows[trap.capability][trap.test].append(place)
        for capability, tests in sorted(rows.items()):
            print(f"{title}, {capability}")
            for test, places in tests.items():
                shares = "  ".join(f"{columns[name][places].mean():.3f}" for name in names)
                print(f"  {test[:72]:72s} n={len(places):4d}  {shares}")
        groups = {"all tests": {test: places for tests in rows.values() for test, places in tests.items()}} | rows
        for name in names:
            print(f"{title}, macro average: {name}")
            for group, tests in groups.items():
                value = macro({test: columns[name][places] for test, places in tests.items()})
                print(f"  {group:14s} ({len(tests):2d} tests) {show(value)}", flush=True)


def latency(quora: Quora, embedder: LiveEmbedder, folder: Path, entries: int, score: Score) -> None:
    """Times of put, hit and miss with the system nearly full, the systems taking turns question by question."""
    rng = random.Random(0)
    several = rng.sample(sorted(name for name, group in quora.members.items() if len(group) > 1), min(TIMED, entries))
    rest = rng.sample(sorted(set(quora.members) - set(several)), entries - len(several) + TIMED)
    cached = [quora.members[cluster][0] for cluster in [*rest[TIMED:], *several]]
    siblings, others = (
        [quora.members[cluster][place] for cluster in group] for place, group in ((1, several), (0, rest[:TIMED]))
    )
    embedder.embed([*cached, *siblings, *others])
    embedder.save()
    found = systems(embedder, folder, score)
    early, late = cached[: -len(several)], cached[-len(several) :]
    for system in found if early else []:
        system.fill([(question, question) for question in early])
    embedder.live = True
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for question in late:
        for system in found:
            times[system.name, "put"].append(timed(system.put, question, question)[0])
    asked = [(question, "same words") for question in rng.sample(cached, min(TIMED, len(cached)))]
    asked += [(question, "") for question in [*siblings, *others]]
    for question, kind in rng.sample(asked, len(asked)):
        times["embedding alone", ""].append(timed(embedder.embed, [question])[0])
        for system in found:
            taken, (key, _) = timed(system.get, question)
            times[system.name, "miss" if key is None else f"hit {kind or 'other words'}"].append(taken)
    embedder.live = False
    print(f"\nlatency with {entries} entries, at the shipped threshold, embedding included")
    for (name, what), values in sorted(times.items()):
        p50, p95 = np.percentile(values, [50, 95])
        print(f"  {name:16s} {what:16s} n={len(values):4d}  p50 {p50:7.2f} ms  p95 {p95:7.2f} ms", flush=True)


def timed(work: Callable[..., T], *arguments: object) -> tuple[float, T]:
    """Milliseconds, and what came back."""
    started = time.perf_counter()
    back = work(*arguments)
    return 1000 * (time.perf_counter() - started), back


def show(value: Interval, sign: str = "") -> str:
    return " [".join(format(one, f"{sign}.4f") for one in (value.value, value.low)) + f", {value.high:{sign}.4f}]"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data sets' folder")
    parser.add_argument("--work", type=Path, required=True, help="vectors, the caches' files and wrong hits; kept for next time")
    parser.add_argument("--part", choices=["quora", "traps", "latency", "all"], default="all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, help="clusters in a warm cache, and most pairs of a trap (all; 500)")
    parser.add_argument("--entries", type=int, nargs="+", default=[1000], help="sizes at which times are taken")
    parser.add_argument("--tune", action="store_true", help="also at thresholds chosen on the calibration fifth")
    parser.add_argument("--precision", type=float, default=0.99, help="the precision wanted there")
    options = parser.parse_args()
    require_gptcache()
    print(describe("gptcache", "faiss-cpu", "onnxruntime"))
    options.work.mkdir(parents=True, exist_ok=True)
    real = load_embedder(MODEL, options.work / "models")
    embedder = LiveEmbedder(real, options.work / f"vectors-{real.weights_hash[:12]}.npz")
    bench = QuoraBench(load_quora(options.data), embedder, options.size)
    score = fit(bench.quora, embedder.embed)
    found = systems(embedder, options.work / "systems", score)
    points: Points = {system.name: {"as shipped": system.threshold} for system in found}
    if options.tune:
        tuned = bench.tune(found, options.precision)
        points = {name: {**at, **tuned[name]} for name, at in points.items()}
    if options.part in ("quora", "all"):
        bench.run(found, points, options.seeds, options.work)
    if options.part in ("traps", "all"):
        pairs = load_traps(options.data, per_test=min(options.size or PER_TEST, PER_TEST))
        embedder.embed([text for trap in pairs for text in (trap.cached, trap.asked)])
        embedder.save()
        traps(found, pairs, points)
    if options.part in ("latency", "all"):
        for entries in options.entries:
            latency(bench.quora, embedder, options.work / f"latency-{entries}", entries, score)
    return 0


if __name__ == "__main__":
    sys.exit(main())
