"""Exact freshness: only what changed is read, split and embedded, and nothing else is touched."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import CountingEmbedder

from indexes.build import BuildReport, RootRequest, build_index
from indexes.catalog import check_index
from indexes.dense import segments
from indexes.errors import DocumentError, EmbedderMismatch, IndexNotFound, UsageError
from indexes.search import Searcher
from indexes.store import Store

Build = Callable[..., BuildReport]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    write(folder / "a.md", "# Apples\n\nApples are red.\n")
    write(folder / "b.txt", "Bananas are yellow.")
    write(folder / "sub" / "c.md", "# Cherries\n\nCherries are small.\n")
    return folder


@pytest.fixture
def embedder() -> CountingEmbedder:
    return CountingEmbedder()


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "indexes" / "fruit"


@pytest.fixture
def build(index: Path, embedder: CountingEmbedder) -> Build:
    def run(*paths: Path, **patterns: tuple[str, ...]) -> BuildReport:
        embedder.texts.clear()
        return build_index(index, [RootRequest(path, **patterns) for path in paths], open_embedder=lambda _: embedder)

    return run


def write(file: Path, text: str) -> None:
    """Write a file whose time is long past, so that it counts as settled."""
    file.parent.mkdir(parents=True, exist_ok=True)
    changed = file.exists()
    file.write_text(text, encoding="utf-8")
    stamp = 1_600_000_000 + (int(file.stat().st_size) if changed else 0)
    os.utime(file, (stamp, stamp))


def sources(index: Path) -> list[str]:
    store = Store(index)
    found = [document.source for document in store.documents()]
    store.close()
    return found


def found(index: Path, embedder: CountingEmbedder, query: str) -> list[str]:
    with Searcher([index], open_embedder=lambda _: embedder) as searcher:
        return [hit.passage.text for hit in searcher.search(query)]


def counts(report: BuildReport) -> tuple[int, int, int, int, int]:
    return report.added, report.changed, report.removed, report.renamed, report.unchanged


def test_a_second_run_embeds_and_reads_nothing(build: Build, docs: Path, embedder: CountingEmbedder) -> None:
    assert counts(build(docs)) == (3, 0, 0, 0, 0)
    assert counts(build(docs)) == (0, 0, 0, 0, 3)
    assert embedder.texts == []


def test_an_edit_embeds_only_the_passage_that_changed(build: Build, docs: Path, index: Path, embedder: CountingEmbedder) -> None:
    build(docs)
    write(docs / "a.md", "# Apples\n\nApples are green.\n\n## Old\n\nApples are red.\n")
    assert counts(build(docs)) == (0, 1, 0, 0, 2)
    assert embedder.texts == ["Apples\nApples are green.", "Apples > Old\nApples are red."]
    assert "Apples are green." in found(index, embedder, "apples green")


def test_a_deleted_file_stops_answering(build: Build, docs: Path, index: Path, embedder: CountingEmbedder) -> None:
    build(docs)
    (docs / "b.txt").unlink()
    assert counts(build()) == (0, 0, 1, 0, 2)
    assert "Bananas are yellow." not in found(index, embedder, "bananas yellow")


def test_a_renamed_file_embeds_nothing(build: Build, docs: Path, index: Path, embedder: CountingEmbedder) -> None:
    build(docs)
    (docs / "a.md").rename(docs / "sub" / "renamed.md")
    assert counts(build()) == (0, 0, 0, 1, 2)
    assert embedder.texts == []
    assert sources(index) == ["b.txt", "sub/c.md", "sub/renamed.md"]
    assert "Apples are red." in found(index, embedder, "red apples")


def test_a_renamed_folder_embeds_nothing(build: Build, docs: Path, embedder: CountingEmbedder) -> None:
    build(docs)
    (docs / "sub").rename(docs / "moved")
    assert build().renamed == 1
    assert embedder.texts == []


def test_a_touched_file_is_not_a_changed_one(build: Build, docs: Path, embedder: CountingEmbedder) -> None:
    build(docs)
    os.utime(docs / "a.md")
    assert counts(build()) == (0, 0, 0, 0, 3)
    assert embedder.texts == []


def test_an_edit_that_keeps_size_and_time_is_seen_when_it_followed_the_build_at_once(build: Build, docs: Path) -> None:
    (docs / "a.md").write_text("# Apples\n\nApples are blue.\n", encoding="utf-8")
    build(docs)
    stamp = (docs / "a.md").stat().st_mtime_ns
    (docs / "a.md").write_text("# Apples\n\nApples are grey.\n", encoding="utf-8")
    os.utime(docs / "a.md", ns=(stamp, stamp))
    assert build().changed == 1


def test_a_second_root_touches_nothing_of_the_first(build: Build, docs: Path, tmp_path: Path, index: Path) -> None:
    build(docs)
    write(tmp_path / "other" / "a.md", "# Apples\n\nOther apples.\n")
    (docs / "b.txt").unlink()
    assert counts(build(tmp_path / "other")) == (1, 0, 0, 0, 0)
    assert sources(index).count("a.md") == 2
    assert "b.txt" in sources(index)  # not looked at in this run


def test_equal_paths_of_two_roots_are_told_apart(
    build: Build, docs: Path, tmp_path: Path, index: Path, embedder: CountingEmbedder
) -> None:
    write(tmp_path / "x" / "docs" / "a.md", "# Apples\n\nMore apples.\n")
    build(docs, tmp_path / "x" / "docs")
    with Searcher([index], open_embedder=lambda _: embedder) as searcher:
        shown = {hit.source for hit in searcher.search("apples")}
    assert {"docs/a.md", "x/docs/a.md", "b.txt"} <= shown


def test_a_root_inside_another_takes_its_files_over_without_embedding(
    build: Build, docs: Path, index: Path, embedder: CountingEmbedder
) -> None:
    build(docs)
    report = build(docs / "sub")
    assert (report.renamed, embedder.texts) == (1, [])
    assert sources(index) == ["a.md", "b.txt", "c.md"]
    assert counts(build()) == (0, 0, 0, 0, 3)


def test_patterns_are_remembered_and_can_be_changed(build: Build, docs: Path, index: Path) -> None:
    build(docs, include=("*.md",))
    assert build().unchanged == 2
    assert build(docs, exclude=("sub",)).removed == 1
    assert sources(index) == ["a.md", "b.txt"]


def test_equal_texts_share_one_vector(build: Build, docs: Path, embedder: CountingEmbedder) -> None:
    shutil.copy(docs / "b.txt", docs / "copy.txt")
    build(docs)
    assert embedder.texts.count("Bananas are yellow.") == 1


def test_an_unreadable_file_is_named_until_it_changes(build: Build, docs: Path) -> None:
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 nothing else")
    first, second = build(docs), build()
    assert [source for source, _ in first.failed] == ["broken.pdf"]
    assert first.failed == second.failed
    (docs / "broken.pdf").unlink()
    assert build().failed == ()


def test_a_missing_root_keeps_its_documents_and_is_named(build: Build, docs: Path, index: Path, tmp_path: Path) -> None:
    build(docs)
    docs.rename(tmp_path / "elsewhere")
    report = build()
    assert report.failed == ((str(docs), "not there; its 3 documents are kept"),)
    assert len(sources(index)) == 3


@pytest.mark.parametrize("make", ["missing", "empty"])
def test_nothing_to_read_is_an_error_and_leaves_no_index(make: str, build: Build, tmp_path: Path, index: Path) -> None:
    folder = tmp_path / make
    if make == "empty":
        folder.mkdir()
    with pytest.raises(DocumentError, match=make):
        build(folder)
    with pytest.raises(IndexNotFound):
        Store(index)


def test_an_empty_folder_is_an_error_beside_a_full_one_too(build: Build, docs: Path, tmp_path: Path, index: Path) -> None:
    build(docs)
    (tmp_path / "hollow").mkdir()
    with pytest.raises(DocumentError, match=r"nothing to read in .*hollow"):
        build(tmp_path / "hollow")
    assert len(sources(index)) == 3


def test_another_embedder_is_refused_and_the_index_keeps_answering(
    build: Build, docs: Path, index: Path, embedder: CountingEmbedder
) -> None:
    build(docs)
    other = CountingEmbedder()
    other.weights_hash = "d1" * 32
    write(docs / "new.md", "new text")
    with pytest.raises(EmbedderMismatch, match="counting"):
        build_index(index, open_embedder=lambda _: other)
    assert "Apples are red." in found(index, embedder, "apples")


def test_a_reader_keeps_its_generation_until_its_next_query(
    build: Build, docs: Path, index: Path, embedder: CountingEmbedder
) -> None:
    build(docs)
    with Searcher([index], open_embedder=lambda _: embedder) as searcher:
        before = searcher.search("bananas")
        (docs / "b.txt").unlink()
        build()
        assert before[0].passage.text == "Bananas are yellow."
        assert all(hit.source != "b.txt" for hit in searcher.search("bananas"))


def test_ctrl_c_keeps_what_was_committed(
    index: Path, docs: Path, embedder: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexes.build.GROUP_PASSAGES", 1)

    def stop_before_the_third_commit(_: object) -> None:
        if len(embedder.texts) == 3:
            raise KeyboardInterrupt

    report = build_index(index, [RootRequest(docs)], open_embedder=lambda _: embedder, on_progress=stop_before_the_third_commit)
    assert (report.interrupted, report.documents) == (True, 2)
    rest = build_index(index, open_embedder=lambda _: embedder)
    assert (rest.added, rest.unchanged, len(embedder.texts)) == (1, 2, 3)


def test_a_run_stopped_inside_a_long_file_has_not_embedded_in_vain(
    index: Path, docs: Path, embedder: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexes.build.SLICE_PASSAGES", 4)
    write(docs / "long.md", "\n\n".join(f"# Part {n}\n\nThis is number {n}." for n in range(20)))

    def stop(_: object) -> None:
        if len(embedder.texts) >= 12:
            raise KeyboardInterrupt

    assert build_index(index, [RootRequest(docs)], open_embedder=lambda _: embedder, on_progress=stop).interrupted
    first = len(embedder.texts)
    assert build_index(index, open_embedder=lambda _: embedder).documents == 4
    assert 12 <= first < len(embedder.texts) == len(set(embedder.texts)) == 23


def test_dense_segments_are_a_base_and_deltas(build: Build, docs: Path, index: Path) -> None:
    for n in range(8):
        write(docs / f"many{n}.txt", f"number {n}")
    build(docs)
    write(docs / "late.md", "a late one")
    build()
    assert [(s.first, s.last) for s in segments(Store(index))] == [(0, 11), (11, 12)]


def test_is_stale_and_changed_files(build: Build, docs: Path, index: Path, embedder: CountingEmbedder) -> None:
    build(docs)
    with Searcher([index], open_embedder=lambda _: embedder) as searcher:
        hit = searcher.search("apples")[0]
        assert (searcher.is_stale(hit), searcher.changed_files()) == (False, 0)
        write(docs / "a.md", "# Apples\n\nApples are gone by now.\n")
        write(docs / "new.txt", "new")
        assert (searcher.is_stale(hit), searcher.changed_files()) == (True, 2)
        (docs / "a.md").unlink()
        assert searcher.is_stale(hit)


def test_the_same_root_given_twice_is_indexed_once(build: Build, docs: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(docs)
    assert build(docs, docs, tmp_path / "link").documents == 3
    assert build(docs, docs / "sub").documents == 3


def test_two_files_of_equal_size_and_time_that_are_swapped_are_seen(build: Build, docs: Path, index: Path) -> None:
    write(docs / "x.txt", "first one")
    write(docs / "y.txt", "other one")
    build(docs)
    (docs / "x.txt").rename(docs / "z")
    (docs / "y.txt").rename(docs / "x.txt")
    (docs / "z").rename(docs / "y.txt")
    assert build().changed == 2


def test_a_nested_root_that_is_gone_goes_and_one_that_moved_is_found_in_the_outer(build: Build, docs: Path, index: Path) -> None:
    build(docs)
    build(docs / "sub")
    (docs / "sub").rename(docs / "sub2")
    assert build().renamed == 1
    assert sources(index) == ["a.md", "b.txt", "sub2/c.md"]
    store = Store(index)
    assert [root.path for root in store.roots()] == [str(docs)]
    store.close()


def test_documents_in_a_folder_that_cannot_be_entered_stay(
    build: Build, docs: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(docs)
    scandir = os.scandir

    def refuse(path: object) -> object:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refuse)
    report = build()
    assert (report.removed, report.unchanged) == (0, 3)
    assert "sub/c.md" in sources(index)


def test_purged_rows_leave_nothing_behind(
    build: Build, docs: Path, index: Path, embedder: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexes.build.KEEP_DEAD_S", 0.0)
    build(docs)
    for n in range(6):
        write(docs / "a.md", "# Apples\n\n" + "Apples are fine. " * (n + 1))
        build()
    (docs / "b.txt").unlink()
    build()
    build()
    store = Store(index)
    assert store.passage_rows() <= 4
    assert store.db.execute("SELECT count(*) FROM vectors").fetchone()[0] == store.passage_rows()
    store.close()
    assert check_index(index) == []
    assert "Bananas are yellow." not in found(index, embedder, "bananas yellow")


def test_segments_of_another_database_are_not_trusted(build: Build, docs: Path, index: Path, embedder: CountingEmbedder) -> None:
    build(docs)
    kept = {file.name: file.read_bytes() for file in index.glob("dense-*")}
    (index / "index.sqlite").unlink()
    shutil.rmtree(docs)
    for n in range(3):
        write(docs / f"{n}.txt", f"entirely different number{n}")
    build(docs)
    for name, data in kept.items():
        (index / name).write_bytes(data)
    with Searcher([index], open_embedder=lambda _: embedder) as searcher:
        best = searcher.search("number2", dense_weight=1.0)[0]
    assert (best.passage.text, best.dense > 0.4) == ("entirely different number2", True)


def test_a_bad_pattern_is_refused_before_anything_is_remembered(build: Build, docs: Path, index: Path) -> None:
    with pytest.raises(UsageError, match="glob"):
        build(docs, include=("!",))
    assert build(docs).documents == 3


def test_names_that_are_no_utf8_and_names_with_newlines(
    build: Build, docs: Path, index: Path, embedder: CountingEmbedder
) -> None:
    Path(os.fsdecode(os.fsencode(docs) + b"/caf\xe9.txt")).write_text("the coffee house")
    (docs / "two\nlines").mkdir()
    (docs / "two\nlines" / "in.txt").write_text("inside the odd folder")
    build(docs)
    assert build(docs / "two\nlines").documents == 5
    with Searcher([index], open_embedder=lambda _: embedder) as searcher:
        hit = searcher.search("coffee house")[0]
        assert not searcher.is_stale(hit)
        assert Path(hit.path).read_text() == "the coffee house"
    assert all(source.isprintable() for source in sources(index))


def test_a_failed_first_build_leaves_no_index(index: Path, docs: Path) -> None:
    class Broken(CountingEmbedder):
        def embed(self, texts: object) -> object:  # type: ignore[override]
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        build_index(index, [RootRequest(docs)], open_embedder=lambda _: Broken())
    with pytest.raises(IndexNotFound):
        Store(index)


def test_more_passages_than_candidates_can_be_asked_for(
    build: Build, docs: Path, index: Path, embedder: CountingEmbedder
) -> None:
    for n in range(150):
        write(docs / f"n{n}.txt", f"number {n}")
    build(docs)
    with Searcher([index, index], open_embedder=lambda _: embedder) as searcher:
        assert searcher.documents == 153
        assert len(searcher.search("number", k=140)) == 140
        assert searcher.search("\ud800 number", k=1)
