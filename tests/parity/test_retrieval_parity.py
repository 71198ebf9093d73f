"""What we compute equals what others compute: FAISS and brute force, SQLite's BM25 and bm25s' and a hand-worked table."""

import math
import sqlite3
from pathlib import Path

import bm25s
import numpy as np
import pytest
from fakes import CountingEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes import lexical
from indexes.build import RootRequest, build_index
from indexes.dense import DenseIndex, segments
from indexes.evaluation import bootstrap, ndcg_at, recall_at, reciprocal_rank
from indexes.store import Store

CORPUS = [
    "a cat is a feline and likes to purr",
    "a dog is the human's best friend and loves to play",
    "a bird is a beautiful animal that can fly",
    "a fish is a creature that lives in water and swims",
    "the dog and the cat play with the dog next door",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("parity")
    (folder / "docs").mkdir()
    rng = np.random.default_rng(7)
    for n in range(300):
        text = " ".join(f"word{w}" for w in rng.integers(0, 60, 12))
        (folder / "docs" / f"{n:03}.txt").write_text(text)
    build_index(folder / "index", [RootRequest(folder / "docs")], open_embedder=lambda _: CountingEmbedder())
    return Store(folder / "index")


@settings(deadline=None)
@given(seed=st.integers(0, 1000), k=st.integers(1, 40))
def test_faiss_equals_brute_force(store: Store, seed: int, k: int) -> None:
    query = CountingEmbedder().embed([f"word{seed % 60} word{seed % 7}"])[0]
    rows, vectors = store.vectors_between(0, store.last_row(), 64)
    cosines = vectors @ query
    expected = sorted(zip(rows, cosines.tolist(), strict=True), key=lambda pair: -pair[1])[:k]
    found = DenseIndex(store, store.generation, 64).search(query, k)
    assert [c for _, c in found] == pytest.approx([c for _, c in expected], abs=1e-5)
    assert all(cosines[rows.index(row)] == pytest.approx(cosine, abs=1e-5) for row, cosine in found)


def test_deltas_and_dead_rows_equal_brute_force(tmp_path: Path) -> None:
    docs, index = tmp_path / "docs", tmp_path / "index"
    docs.mkdir()
    for n in range(40):
        (docs / f"{n}.txt").write_text(f"word{n} common")
    build_index(index, [RootRequest(docs)], open_embedder=lambda _: CountingEmbedder())
    for n in range(5):
        (docs / f"{n}.txt").unlink()
    (docs / "new.txt").write_text("word1 common again")
    build_index(index, open_embedder=lambda _: CountingEmbedder())
    store = Store(index)
    assert len(segments(Store(index))) == 2
    living = [row for row in range(1, store.last_row() + 1) if row not in store.dead_rows(store.generation)]
    found = DenseIndex(store, store.generation, 64).search(CountingEmbedder().embed(["common"])[0], 100)
    assert sorted(row for row, _ in found) == living


def fts(corpus: list[str]) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.execute("""CREATE VIRTUAL TABLE terms USING fts5 (body, content='', tokenize="unicode61 remove_diacritics 0")""")
    db.executemany(
        "INSERT INTO terms (rowid, body) VALUES (?, ?)", [(n, " ".join(lexical.words(t))) for n, t in enumerate(corpus)]
    )
    return db


def test_bm25_equals_a_hand_worked_score() -> None:
    db = fts(["cat dog", "cat cat bird", "fish"])  # lengths 2, 3, 1; mean 2
    idf = math.log((3 - 2 + 0.5) / (2 + 0.5))  # cat stands in 2 of 3: below 0, so SQLite takes 1e-6
    assert idf < 0
    idf_bird = math.log((3 - 1 + 0.5) / (1 + 0.5))
    norm = lexical.BM25_K1 * (1 - lexical.BM25_B + lexical.BM25_B * 3 / 2)
    assert lexical.search(db, "bird", 10) == [(1, pytest.approx(idf_bird * (lexical.BM25_K1 + 1) / (1 + norm), rel=1e-6))]


def test_bm25_ranks_as_bm25s_does() -> None:
    corpus = CORPUS * 4 + [f"filler text number {n}" for n in range(40)]  # so that no word stands in half of the passages
    index = bm25s.BM25(k1=1.2, b=0.75, method="robertson")
    index.index([lexical.words(text) for text in corpus], show_progress=False)
    db = fts(corpus)
    for query in ("does the cat purr", "dogs play", "animals that fly over water"):
        theirs = dict(enumerate(index.get_scores(lexical.words(query)).tolist()))
        for row, score in lexical.search(db, query, 50):
            # bm25s leaves out the factor k1 + 1, which is the same for all
            assert score == pytest.approx(theirs[row] * (lexical.BM25_K1 + 1), rel=1e-4)


def test_word_frequencies_count_passages() -> None:
    db = fts(CORPUS)
    db.execute("CREATE VIRTUAL TABLE term_counts USING fts5vocab ('terms', 'row')")
    assert lexical.frequencies(db, ["dog", "cat", "unicorn"]) == {"dog": 2, "cat": 2, "unicorn": 0}


def test_metrics_equal_hand_worked_values() -> None:
    ranked, relevant = ["x", "a", "b", "y"], {"a", "b", "z"}
    assert recall_at(ranked, relevant, 2) == pytest.approx(1 / 3)
    assert reciprocal_rank(ranked, relevant) == 0.5
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert ndcg_at(ranked, relevant, 10) == pytest.approx((1 / math.log2(3) + 1 / 2) / ideal)
    assert reciprocal_rank(["x"], relevant) == 0.0


def test_bootstrap_covers_the_mean_and_is_repeatable() -> None:
    values = [0.0, 1.0] * 50
    interval = bootstrap(values)
    assert (interval.value, bootstrap(values)) == (0.5, interval)
    assert 0.38 < interval.low < 0.42 < 0.58 < interval.high < 0.62
