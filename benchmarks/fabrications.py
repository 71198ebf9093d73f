"""How many planted fabrications the check of citations catches, and how many true sentences in other words it flags.

    python benchmarks/fabrications.py --data ../shared/data --cache /tmp/bench [--split report|tune] [--show CLASS]

Each sentence is an answer that cites one of ten passages, found by the product's own search. False: a sentence of SQuAD 2.0, as
it stands or reworded, with one planted fault (planting.py). True: questions with their answers made statements, sentences
reworded by rule, and rewordings written by hand (rewordings.json). Reported are the four articles of which nothing was fitted
or tuned (assistant/checking/verdicts.json comes from the other twelve). A sentence is caught when its verdict isn't "supported".
"""

import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import planting
import rewording
from machine import describe
from qa_data import HITS, REPORTED, Bench, arguments

from assistant.checking.claims import read_claim
from assistant.citations import verify
from assistant.language.sentences import sentence_spans
from indexes.embedding import Matrix
from indexes.records import Hit
from indexes.search import Searcher

REWORDINGS = Path(__file__).with_name("rewordings.json")
WORDS = (8, 45)
"""Length of the sentences that are used."""
SPEED_ANSWERS = 100
PLANTED, TRUE = 60, 150
"""Sentences of each class on the reported articles; of the others twice as many."""
BAR = ("wrong number", "wrong unit", "wrong name", "invented quote", "swapped source")
"""The classes of which 95 % must be caught."""
EXTRA = "plausible wrong answer"
"""Reported beside the others and not counted among them: what is wrong with these isn't one planted fact."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A true statement, and where it comes from.

    Attributes:
        text: as it stands in the source, or reworded.
        source: the sentence (or paragraph) that it comes from.
        query: what the passages are searched with.
        paragraph: the text of the paragraph it comes from.
        origin: copy, question, rule or hand.
    """

    text: str
    source: str
    query: str
    paragraph: str
    article: str
    origin: str


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence to be judged.

    Attributes:
        group: its class.
        true: whether it should be supported.
        cited: place in ``hits`` of the passage that it cites.
    """

    group: str
    true: bool
    fact: Fact
    text: str
    hits: tuple[Hit, ...]
    cited: int


def clean_sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph that can be used as they are."""
    said = [" ".join(paragraph[a:b].split()) for a, b in sentence_spans(paragraph)]
    return [
        text
        for text in said
        if WORDS[0] <= len(text.split()) <= WORDS[1] and text.endswith(".") and text.count('"') == 0 and "[" not in text
    ]


def facts(bench: Bench, titles: Sequence[str], split: str) -> dict[str, list[Fact]]:
    """All true statements of some articles, by origin."""
    articles = bench.articles()
    verbs = rewording.base_verbs([p["context"] for ps in articles.values() for p in ps])
    found: dict[str, list[Fact]] = {"copy": [], "question": [], "rule": [], "hand": []}
    rng = random.Random(split)
    for title in titles:
        for paragraph in articles[title]:
            text = " ".join(paragraph["context"].split())
            for sentence in clean_sentences(text):
                found["copy"].append(Fact(sentence, sentence, sentence, text, title, "copy"))
                if reworded := rewording.reword(sentence, rng):
                    found["rule"].append(Fact(reworded, sentence, sentence, text, title, "rule"))
            for row in paragraph["qas"]:
                if not row["is_impossible"] and (said := rewording.declare(row["question"], row["answers"][0]["text"], verbs)):
                    source = _sentence_at(paragraph["context"], row["answers"][0]["answer_start"])
                    found["question"].append(Fact(said, source, row["question"], text, title, "question"))
    for row in json.loads(REWORDINGS.read_text(encoding="utf-8"))["sentences"]:
        if row["split"] == split:
            text = " ".join(articles[row["article"]][row["paragraph"]]["context"].split())
            found["hand"].append(Fact(row["text"], text, row["text"], text, row["article"], "hand"))
    return found


def _sentence_at(text: str, place: int) -> str:
    return next((" ".join(text[a:b].split()) for a, b in sentence_spans(text) if a <= place < b), text)


def cases(bench: Bench, titles: Sequence[str], split: str) -> list[Case]:
    """All cases of some articles, true ones and fabrications."""
    known = facts(bench, titles, split)
    rng = random.Random(f"cases {split}")
    times = 1 if split == "report" else 2
    groups = [titles] if split == "report" else [titles[n::3] for n in range(3)]
    made: list[Case] = []
    for group in groups:
        share = {origin: [fact for fact in rows if fact.article in group] for origin, rows in known.items()}
        with bench.open(bench.index_articles(group)) as searcher:
            finder = Finder(bench, searcher)
            made += _true_cases(finder, share, rng, TRUE * times // len(groups))
            made += _planted_cases(finder, share, rng, PLANTED * times // len(groups))
            made += _plausible(finder, group, rng, TRUE * times // len(groups))
        bench.embedder.save()
    return made


@dataclass(slots=True)
class Finder:
    """Finds the passages for a statement by the product's own search."""

    bench: Bench
    searcher: Searcher

    def __call__(self, fact: Fact) -> tuple[tuple[Hit, ...], int] | None:
        """The passages, and the place of the one that the statement comes from; None where that isn't among them."""
        hits = tuple(self.searcher.search(fact.query, k=HITS, vector=self.bench.embedder.embed([fact.query])[0]))
        for place, hit in enumerate(hits):
            text = " ".join(hit.passage.text.split())
            if fact.source in text or (fact.origin == "hand" and text in fact.source):
                return hits, place
        return None


def _true_cases(find: Finder, share: dict[str, list[Fact]], rng: random.Random, most: int) -> Iterator[Case]:
    for origin in ("question", "rule", "hand"):
        rows = share[origin]
        for fact in rows if origin == "hand" else rng.sample(rows, min(most, len(rows))):
            if found := find(fact):
                yield Case(f"true: {_ORIGINS[origin]}", True, fact, fact.text, *found)
    for fact in rng.sample(share["copy"], min(most // 4, len(share["copy"]))):
        words = fact.text.rstrip(".").split()
        quote = " ".join(words[1 : 1 + rng.randint(6, 10)]).strip(",;:")
        if found := find(fact):
            yield Case("true: genuine quote", True, fact, planting.quoting(fact.text, quote, rng), *found)


_ORIGINS = {"copy": "as it stands", "question": "question and answer", "rule": "reworded by rule", "hand": "reworded by hand"}


def _planted_cases(find: Finder, share: dict[str, list[Fact]], rng: random.Random, most: int) -> Iterator[Case]:
    """Fabrications: half of each class made of sentences as they stand, half of rewordings."""
    copies, reworded = share["copy"], [*share["question"], *share["rule"], *3 * share["hand"]]
    by_article: dict[str, list[str]] = {}
    for fact in copies:
        by_article.setdefault(fact.article, []).append(fact.paragraph)
    for group, plant in planting.PLANTERS.items():
        for rows in (copies, reworded):
            made, seen = 0, set[str]()
            for fact in rng.sample(rows, len(rows)):
                others = [fact.paragraph] if rng.random() < 0.5 else by_article[fact.article]
                text = plant(fact.text, others, rng)
                if text and text not in seen and not _stands(text, fact) and (found := find(fact)):
                    seen.add(text)
                    yield Case(group, False, fact, text, *found)
                    made += 1
                if made == most // 2:
                    break
    yield from _swapped_sources(find, [copies, reworded], rng, most // 2)
    yield from _fused(find, copies, rng, most)


def _stands(text: str, fact: Fact) -> bool:
    return text.rstrip(".").lower() in f"{fact.paragraph} {fact.text}".lower()


def _swapped_sources(find: Finder, kinds: Sequence[Sequence[Fact]], rng: random.Random, most: int) -> Iterator[Case]:
    for rows in kinds:
        for fact in rng.sample(sorted(set(rows), key=rows.index), most):
            if found := find(fact):
                hits, place = found
                # a neighbour in the text may overlap: the sentence must not stand there too
                wrong = [
                    at for at, hit in enumerate(hits) if at != place and fact.source not in " ".join(hit.passage.text.split())
                ]
                yield Case("swapped source", False, fact, fact.text, hits, rng.choice(wrong))


def _fused(find: Finder, copies: Sequence[Fact], rng: random.Random, most: int) -> Iterator[Case]:
    """Sentences made of two, that cite the one's passage or the other's by turns."""
    made = 0
    for fact in rng.sample(copies, len(copies)):
        found = find(fact)
        if not found or made == most:
            continue
        hits, place = found
        passages = {at: " ".join(hit.passage.text.split()) for at, hit in enumerate(hits) if at != place}
        others = [other for other in copies if other.article == fact.article and other.paragraph != fact.paragraph]
        make = planting.fused if made % 3 else planting.fused_clauses
        for other in rng.sample(others, len(others)):
            there = next((at for at, text in passages.items() if other.text in text), None)
            if there is not None and (text := make(fact.text, other.text)):
                yield Case("fused", False, fact, text, hits, (place, there)[made % 2])
                made += 1
                break


def _plausible(find: Finder, titles: Sequence[str], rng: random.Random, most: int) -> Iterator[Case]:
    """SQuAD's impossible questions with the answer that people wrongly thought of: false by design, and hard."""
    articles = find.bench.articles()
    verbs = rewording.base_verbs([p["context"] for ps in articles.values() for p in ps])
    rows = []
    for title in titles:
        for paragraph in articles[title]:
            text = " ".join(paragraph["context"].split())
            for row in paragraph["qas"]:
                if row["is_impossible"] and row.get("plausible_answers"):
                    answer = row["plausible_answers"][0]
                    if said := rewording.declare(row["question"], answer["text"], verbs):
                        source = _sentence_at(paragraph["context"], answer["answer_start"])
                        rows.append(Fact(said, source, row["question"], text, title, "question"))
    for fact in rng.sample(rows, min(most, len(rows))):
        if found := find(fact):
            yield Case(EXTRA, False, fact, fact.text, *found)


def wilson(right: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if not n:
        return 0.0, 1.0
    z, p = 1.96, right / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--split", choices=["report", "tune"], default="report", help="the four reported articles, or the others")
    parser.add_argument("--show", help="print the sentences of this class that were judged wrongly (only of the tuned articles)")
    options = parser.parse_args()
    print(describe("onnxruntime", "numpy"))
    bench = Bench(options.data, options.cache)
    titles = list(REPORTED) if options.split == "report" else [title for title in bench.articles() if title not in REPORTED]
    rows = cases(bench, titles, options.split)
    caught: dict[str, list[bool]] = {}
    verdicts: dict[str, dict[str, int]] = {}
    for case in rows:
        verified = verify(f"{case.text} [{case.cited + 1}]", case.hits, embed=bench.embedder.embed)
        flagged = any(sentence.verdict != "supported" for sentence in verified.sentences)
        caught.setdefault(case.group, []).append(flagged)
        counts = verdicts.setdefault(case.group, {})
        for sentence in verified.sentences:
            counts[sentence.verdict] = counts.get(sentence.verdict, 0) + 1
        if options.show and options.show in case.group and flagged == case.true and options.split == "tune":
            print(f"  {case.group} [{case.fact.origin}] {case.text}\n      < {case.fact.source}\n      {verified.faults}")
    bench.embedder.save()
    report(caught, verdicts)
    print(speed(bench, rows))
    return 0


def speed(bench: Bench, rows: Sequence[Case]) -> str:
    """What the check itself costs an answer of three sentences over ten passages, and what it embeds."""
    rng, own, texts, tokens = random.Random(0), [], [], []
    for _ in range(SPEED_ANSWERS):
        case = rng.choice(rows)
        others = rng.sample([row for row in rows if row.fact.article == case.fact.article], 3)
        embedded: list[str] = []
        vectors = {}

        def embed(new: Sequence[str], embedded: list[str] = embedded, vectors: dict = vectors) -> Matrix:
            embedded += [text for text in new if text not in vectors]
            return np.stack([vectors.get(text, np.zeros(bench.embedder.dimension, dtype=np.float32)) for text in new])

        answer = " ".join(f"{other.text} [{case.cited + 1}]" for other in others)
        read_claim.cache_clear()
        started = time.thread_time()
        verify(answer, case.hits, embed=embed)
        own.append((time.thread_time() - started) * 1e3)
        texts.append(len(embedded))
        tokens.append(sum(len(bench.embedder.token_spans(text)) + 2 for text in embedded))
    half, most = np.quantile(own, [0.5, 0.95])
    return (
        f"  three sentences over {HITS} passages: {half:.0f} ms of one processor (95 %: {most:.0f} ms) beside embedding; "
        f"embeds {np.mean(texts):.0f} texts, {np.mean(tokens):.0f} tokens on average (median {np.median(tokens):.0f})"
    )


def report(caught: dict[str, list[bool]], verdicts: dict[str, dict[str, int]]) -> None:
    """Print the table."""
    table = dict(caught)
    table["numbers, units, names, quotes, sources"] = [value for group in BAR for value in caught.get(group, [])]
    false = {group: values for group, values in caught.items() if not group.startswith("true") and group != EXTRA}
    table["all fabrications"] = [value for values in false.values() for value in values]
    table["true: all"] = [value for group, values in caught.items() if group.startswith("true") for value in values]
    for group, values in table.items():
        low, high = wilson(sum(values), len(values))
        said = "flagged" if group.startswith("true") else "caught"
        kinds = ", ".join(f"{verdict} {count}" for verdict, count in sorted(verdicts.get(group, {}).items()))
        share = sum(values) / max(1, len(values))
        print(f"  {group:38s} n={len(values):4d}  {said:7s} {share:.3f} [{low:.3f}, {high:.3f}]  {kinds}")


if __name__ == "__main__":
    sys.exit(main())
