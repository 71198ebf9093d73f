"""Real faults of the cache: killed writers, many processes, damaged and newer files. What was kept stays."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from limits import file_size_limit, powerless

from assistant.cache.store import CacheStore
from assistant.cache.tables import FILE, Bound, Draft
from assistant.errors import StorageFull
from indexes.private import private_folder

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from assistant.cache.nearest import Nearest
from assistant.cache.store import CacheStore
from assistant.cache.tables import Bound, Draft
home, name, most = Path({home!r}), {name!r}, {most}
store, rng = CacheStore(home, most_entries=100_000), np.random.default_rng(0)
for number in range(most):
    vector = rng.normal(size=384).astype(np.float32)
    bound = (Bound("cited", "i", "d", "p", "h", "s"),)
    row = store.insert("scope", "label", Draft(f"{{name}} {{number}}", vector, "answered", "x" * 5_000, {{}}, bound, 1.0, 1e6))
    assert store.entry(row) is not None
    if number % 10 == 0:
        assert row in [one.entry_id for one in Nearest(store, "scope", 384).search(vector / np.linalg.norm(vector))]
    print(number, flush=True)
"""


def start(home: Path, name: str = "w", most: int = 100_000) -> "subprocess.Popen[str]":
    script = SCRIPT.format(home=str(home), name=name, most=most)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("lines", [1, 8, 30])
def test_a_killed_writer_loses_nothing_that_it_had_reported(home: Path, lines: int) -> None:
    with start(home) as process:
        assert process.stdout
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        reported = lines + len(process.stdout.read().split())
    store = CacheStore(home)
    kept = [entry for _, entry in store.entries()]
    assert reported <= len(kept) <= reported + 1
    assert all(len(entry.answer) == 5_000 and entry.cited for entry in kept)
    with store.database.reading() as db:
        assert db is not None
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_several_processes_write_and_read_at_once(home: Path) -> None:
    writers = [start(home, name, 25) for name in "abcd"]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, "")
    assert CacheStore(home).size()[0] == 100


DRAFT = Draft("a question", None, "answered", "an answer", {}, (Bound("cited", "i", "d", "p", "h", "s"),), 1.0, 1e6)


def damage(file: Path) -> None:
    file.write_bytes(b"SQLite format 3\0" + os.urandom(4096))


def renew(file: Path) -> None:
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(("spoil", "said"), [(damage, "damaged"), (renew, "newer version")])
def test_a_file_that_cannot_be_used_is_said_and_left_as_it_is(home: Path, spoil: object, said: str) -> None:
    store = CacheStore(home)
    store.missed("test")
    store.close()
    spoil(home / FILE)  # type: ignore[operator]
    before = (home / FILE).read_bytes()
    with pytest.raises(StorageFull, match=said):
        CacheStore(home).missed("test")
    assert (home / FILE).read_bytes() == before


def test_a_file_that_may_only_be_read_is_said_and_left_as_it_is() -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        CacheStore(home).insert("scope", "label", DRAFT)
        before = (home / FILE).read_bytes()
        for path in home.iterdir():
            path.chmod(0o444)
        home.chmod(0o555)
        with powerless(), pytest.raises(StorageFull, match="cached answers"):
            CacheStore(home).insert("scope", "label", replace(DRAFT, question="another"))
        home.chmod(0o755)
        assert (home / FILE).read_bytes() == before


def test_a_full_disk_loses_no_answer_that_was_kept(home: Path) -> None:
    store = CacheStore(home)
    kept = store.insert("scope", "label", DRAFT)
    size = max(path.stat().st_size for path in home.iterdir() if path.is_file())
    with file_size_limit(size + 20_000), pytest.raises(StorageFull):
        store.insert("scope", "label", replace(DRAFT, question="another", answer="x" * 500_000))
    again = CacheStore(home).entry(kept)
    assert again is not None
    assert again.answer == DRAFT.answer


def test_the_file_is_its_owners_alone(home: Path) -> None:
    private_folder(home)
    CacheStore(home).missed("test")
    assert (home / FILE).stat().st_mode & 0o777 == 0o600
