"""Words: how text becomes terms, and BM25 over them.

SQLite's full-text table is the lexical index. It ranks as well as bm25s (SciFact nDCG@10 0.688 against 0.689, docs/log.md), and
it changes in the same transaction as the passages, so an edit rebuilds nothing and nothing can get out of step.
"""

import re
import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Any

APOSTROPHE = re.compile("['’]")
IDENTIFIER = re.compile("[a-z][A-Z]|_")  # searched in a word without apostrophe: linear on any input
CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
IDEOGRAPHS = re.compile(r"[぀-ヿ㐀-䶿一-鿿]")  # no blanks between words: each sign is a term

LEXICAL = 1
"""Version of ``words``: where it changes, the full-text tables are written again."""

STOP_WORDS = frozenset(
    "a an and are as at be been but by can did do does for from had has have how i if in into is it its me my no not of on or"
    " our she he such that the their them then there these they this to was we were what when where which who whom whose"
    " why will with would you your".split()
)
BM25_K1, BM25_B = 1.2, 0.75
"""What SQLite's ``bm25()`` uses (Robertson and Zaragoza 2009, eq. 3.15); it can't be changed there."""


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


def words(text: str) -> list[str]:
    """Text → stems, in order, without stop words; an identifier gives its parts and itself."""
    terms = [word for word in _raw_words(text) if word not in STOP_WORDS]
    return list(_stemmer().stemWords(terms))


def stem(word: str) -> str:
    """The stem of one lower-case word."""
    return str(_stemmer().stemWord(word))


def _raw_words(text: str) -> list[str]:
    found: list[str] = []
    for match in re.finditer(r"\w+(?:['’]\w+)*", text):
        word = match[0]
        if IDENTIFIER.search(word) and not APOSTROPHE.search(word):
            found += [part.lower() for part in CAMEL.findall(word)]
            found.append(word.lower())
        elif IDEOGRAPHS.search(word):
            found += IDEOGRAPHS.findall(word)
        else:
            found.append(word.lower().replace("’", "'").removesuffix("'s"))
    return found


def search(db: sqlite3.Connection, query: str, limit: int) -> list[tuple[int, float]]:
    """The passages that share words with a query, best first: row and BM25 score (higher is better).

    Rows of dead passages are among them; the caller leaves them out.
    """
    terms = list(dict.fromkeys(words(query)))[:200]  # beyond that a query is a document; its first words stand for it
    if not terms:
        return []
    match = " OR ".join(f'"{term}"' for term in terms)
    rows = db.execute("SELECT rowid, -bm25(terms) FROM terms WHERE terms MATCH ? ORDER BY bm25(terms) LIMIT ?", (match, limit))
    return [(int(row), float(score)) for row, score in rows]


def frequencies(db: sqlite3.Connection, stems: Sequence[str]) -> dict[str, int]:
    """In how many passages each stem stands (dead ones that aren't purged yet included)."""
    found = {}
    for term in stems:
        row = db.execute("SELECT doc FROM term_counts WHERE term = ?", (term,)).fetchone()
        found[term] = int(row[0]) if row else 0
    return found
