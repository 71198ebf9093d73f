import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.lexical import words
from indexes.records import Hit, Passage
from indexes.search import CROWDING, fuse, spread


def hit(document: str, score: float) -> Hit:
    passage = Passage(f"{document}{score}", document, 0, "text", (), "", "text", 0, 4, None, None)
    return Hit(passage, f"{document}.md", f"/{document}.md", "index", 0, score, 0.0, 0.0)


def test_fusion_is_the_weighted_sum_of_normalised_scores() -> None:
    # dense: min 0.2, max 0.6; words: from 0 to 8
    assert fuse([0.2, 0.6, 0.4], [8.0, 0.0, 2.0], 0.5) == pytest.approx([0.5, 0.5, 0.375])
    assert fuse([0.2, 0.6, 0.4], [8.0, 0.0, 2.0], 1.0) == pytest.approx([0.0, 1.0, 0.5])


def test_fusion_of_nothing_and_of_equal_scores() -> None:
    assert fuse([], [], 0.5) == []
    assert fuse([0.3, 0.3], [0.0, 0.0], 0.5) == [0.0, 0.0]


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 50)), min_size=1, max_size=20), st.floats(0, 1))
def test_fused_scores_lie_between_0_and_1_and_follow_dominance(pairs: list[tuple[float, float]], weight: float) -> None:
    fused = fuse([d for d, _ in pairs], [w for _, w in pairs], weight)
    assert all(-1e-9 <= score <= 1 + 1e-9 for score in fused)
    best = max(range(len(pairs)), key=lambda i: fused[i])
    assert not any(d > pairs[best][0] and w > pairs[best][1] for d, w in pairs) or weight in (0, 1)


def test_one_file_does_not_crowd_out_the_others() -> None:
    hits = [hit("long", 1.0 - n / 100) for n in range(8)] + [hit("short", 0.8)]
    order = [h.source for h in spread(hits)]
    assert order.index("short.md") == 3  # after two free ones and one at 0.98 × 0.85
    assert 0.97 * CROWDING**2 < 0.8


def test_a_file_that_is_alone_keeps_its_order_and_scores() -> None:
    hits = [hit("only", score) for score in (0.9, 0.8, 0.7, 0.6)]
    assert spread(hits) == hits


def test_the_same_file_in_two_indexes_is_two_files() -> None:
    hits = [hit("a", 1.0), hit("a", 0.9), replace(hit("a", 0.8), index="other")]
    assert spread(hits) == hits


def test_words_are_stemmed_and_stop_words_left_out() -> None:
    assert words("The running dogs' owners are in Warsaw") == ["run", "dog", "owner", "warsaw"]


def test_identifiers_give_their_parts_and_themselves() -> None:
    assert words("getUserName max_retries PDFs") == [
        "get", "user", "name", "getusernam", "max", "retri", "max_retri", "pdfs",
    ]  # fmt: skip


@pytest.mark.parametrize("word", ["aB" * 30_000 + "'x", "a_" * 30_000 + "’x"])
def test_an_odd_word_takes_no_quadratic_time(word: str) -> None:
    begin = time.process_time()
    assert len(words(word)) == 1
    assert time.process_time() - begin < 1  # was many seconds


def test_ideographs_are_terms_of_their_own() -> None:
    assert words("東京都 12") == ["東", "京", "都", "12"]
