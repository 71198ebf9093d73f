"""Real faults: killed writers, full disks, damaged files, missing rights, two writers. What was committed keeps answering."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import CountingEmbedder
from limits import powerless

from indexes.build import RootRequest, build_index
from indexes.catalog import check_index
from indexes.dense import segments
from indexes.errors import DocumentError, IndexDamaged, IndexLocked, IndexTooNew, StorageFull
from indexes.schema import DATABASE
from indexes.search import Searcher
from indexes.store import Store

TESTS = Path(__file__).parents[1]
BUILD = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
import indexes.build
from fakes import CountingEmbedder

class Slow(CountingEmbedder):
    def embed(self, texts):
        time.sleep({pause})
        return super().embed(texts)

indexes.build.GROUP_PASSAGES = 1
indexes.build.build_index(
    Path({index!r}), [indexes.build.RootRequest(Path({docs!r}))], open_embedder=lambda _: Slow(),
    on_progress=lambda p: print(p.files_done, flush=True),
)
"""


def start_build(index: Path, docs: Path, *, pause: float = 0.05, **options: object) -> "subprocess.Popen[str]":
    script = BUILD.format(tests=str(TESTS), index=str(index), docs=str(docs), pause=pause)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for n in range(30):
        (folder / f"{n:02}.txt").write_text(f"Document number {n} speaks of subject{n}.")
        os.utime(folder / f"{n:02}.txt", (1_600_000_000, 1_600_000_000))
    return folder


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "indexes" / "faulty"


@pytest.fixture
def built(index: Path, docs: Path) -> Path:
    build_index(index, [RootRequest(docs)], open_embedder=lambda _: CountingEmbedder())
    return index


def search(index: Path, query: str) -> list[str]:
    with Searcher([index], open_embedder=lambda _: CountingEmbedder()) as searcher:
        return [hit.source for hit in searcher.search(query)]


def test_kill_9_leaves_the_last_commit_and_the_next_run_goes_on(index: Path, docs: Path) -> None:
    with start_build(index, docs) as process:
        assert process.stdout
        for _ in range(8):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert check_index(index) == []
        assert search(index, "subject3")[0] == "03.txt"
        embedder = CountingEmbedder()
        report = build_index(index, open_embedder=lambda _: embedder)
        assert report.documents == 30
        assert 0 < report.unchanged == 30 - report.added
        assert len(embedder.texts) <= report.added  # a vector of the killed run may have been committed already


def test_a_reader_answers_while_a_writer_works(index: Path, docs: Path) -> None:
    with start_build(index, docs) as process:
        assert process.stdout
        for _ in range(5):
            process.stdout.readline()
        assert search(index, "subject1")[0] == "01.txt"
        process.wait()
        assert len(search(index, "document")) == 10


def test_a_second_writer_is_told_who_holds_the_lock(index: Path, docs: Path) -> None:
    with start_build(index, docs, pause=0.3) as process:
        assert process.stdout
        process.stdout.readline()
        with pytest.raises(IndexLocked, match=rf"'faulty' is being written by process {process.pid} since \d\d:"):
            build_index(index, open_embedder=lambda _: CountingEmbedder(), wait_s=0.1)
        process.kill()
        process.wait()


def test_a_second_writer_waits_for_a_short_first_one(built: Path, docs: Path) -> None:
    (docs / "new.txt").write_text("a new one")
    with start_build(built, docs, pause=0.5) as process:
        assert process.stdout
        report = build_index(built, open_embedder=lambda _: CountingEmbedder(), wait_s=30)
        process.wait()
        assert report.documents == 31


def test_a_full_disk_is_reported_and_loses_nothing(built: Path, docs: Path) -> None:
    for n in range(200):
        (docs / f"more{n}.txt").write_text(f"More of number {n}. " * 400)
    size = (built / DATABASE).stat().st_size

    def limit() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 65_536, size + 65_536))

    with start_build(built, docs, pause=0, preexec_fn=limit) as process:
        _, errors = process.communicate(timeout=120)
        assert process.returncode != 0
        assert "StorageFull" in errors
        assert check_index(built) == []
        assert search(built, "subject7")[0] == "07.txt"
        assert build_index(built, open_embedder=lambda _: CountingEmbedder()).documents == 230


@pytest.mark.parametrize("damage", ["header", "middle", "truncated", "other"])
def test_a_damaged_database_says_so(built: Path, damage: str) -> None:
    file = built / DATABASE
    data = bytearray(file.read_bytes())
    if damage == "header":
        data[:16] = b"not a database!!"
    elif damage == "middle":
        data[4096:] = os.urandom(len(data) - 4096)
    elif damage == "truncated":
        data = data[:5000]
    else:
        data = bytearray()
        file.unlink()
        sqlite3.connect(file).execute("CREATE TABLE other (x)").connection.close()
    if data:
        file.write_bytes(data)
    with pytest.raises(IndexDamaged, match=r"faulty|index\.sqlite") as caught:
        search(built, "subject1")
    assert "assistant indexes delete faulty" in caught.value.hint
    assert check_index(built) != []


def test_an_index_of_a_newer_format_is_refused(built: Path) -> None:
    db = sqlite3.connect(built / DATABASE)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(IndexTooNew, match="format 99"):
        search(built, "subject1")


def test_a_damaged_segment_is_read_around_and_mended(built: Path, docs: Path) -> None:
    vectors = next(built.glob("dense-*.faiss"))
    data = bytearray(vectors.read_bytes())
    data[200] ^= 0xFF
    vectors.write_bytes(data)
    assert check_index(built) == [f"the dense segment {vectors.stem} is damaged; the next build writes it again"]
    assert search(built, "subject9")[0] == "09.txt"
    build_index(built, open_embedder=lambda _: CountingEmbedder())
    assert check_index(built) == []


def test_a_missing_or_half_written_segment_is_read_around(built: Path) -> None:
    for file in built.glob("dense-*"):
        file.unlink()
    (built / "dense-0-30.json").write_text('{"first": 0, "la')
    assert segments(Store(built)) == []
    assert search(built, "subject5")[0] == "05.txt"


def test_a_file_that_vanishes_while_it_is_read_is_named(index: Path, docs: Path) -> None:
    (docs / "00.txt").write_text("first")

    def vanish(_: object) -> None:
        (docs / "29.txt").unlink(missing_ok=True)

    report = build_index(index, [RootRequest(docs)], open_embedder=lambda _: CountingEmbedder(), on_progress=vanish)
    assert report.documents == 29
    assert [source for source, _ in report.failed] == ["29.txt"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter (pytest's own may be entered by their owner only)."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
        for path in Path(name).rglob("*"):
            path.chmod(0o755)


def test_a_read_only_index_answers_and_refuses_to_be_written(open_folder: Path, docs: Path) -> None:
    index = open_folder / "readonly"
    build_index(index, [RootRequest(docs)], open_embedder=lambda _: CountingEmbedder())
    for path in index.iterdir():
        path.chmod(0o444)
    index.chmod(0o555)
    with powerless():
        assert search(index, "subject4")[0] == "04.txt"
        with pytest.raises(StorageFull, match="can't write into the index folder"):
            build_index(index, open_embedder=lambda _: CountingEmbedder())


def test_a_file_without_rights_is_named_and_read_once_it_has_them(open_folder: Path) -> None:
    docs, index = open_folder / "docs", open_folder / "index"
    docs.mkdir()
    (docs / "open.txt").write_text("everybody may read this")
    (docs / "locked.txt").write_text("nobody may read this")
    (docs / "locked.txt").chmod(0)
    open_folder.chmod(0o777)
    with powerless():
        first = build_index(index, [RootRequest(docs)], open_embedder=lambda _: CountingEmbedder())
        assert first.failed == (("locked.txt", "no permission to read it"),)
    (docs / "locked.txt").chmod(0o644)
    with powerless():
        assert build_index(index, open_embedder=lambda _: CountingEmbedder()).documents == 2


def test_a_root_that_may_not_be_entered_is_an_error(open_folder: Path) -> None:
    inner = open_folder / "shut" / "inner"
    inner.mkdir(parents=True)
    (open_folder / "shut").chmod(0)
    with powerless(), pytest.raises(DocumentError, match="can't look at"):
        build_index(open_folder / "index", [RootRequest(inner)], open_embedder=lambda _: CountingEmbedder())


def test_the_lock_of_a_dead_process_is_free(index: Path, docs: Path) -> None:
    with start_build(index, docs, pause=0.3) as process:
        assert process.stdout
        process.stdout.readline()
        process.kill()
        process.wait()
        assert json.loads((index / "writer.json").read_text())["pid"] == process.pid
        started = time.monotonic()
        build_index(index, [RootRequest(docs)], open_embedder=lambda _: CountingEmbedder(), wait_s=5)
        assert time.monotonic() - started < 5
