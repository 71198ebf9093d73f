from pathlib import Path

import pytest
from fakes import CountingEmbedder

from indexes.build import RootRequest, build_index
from indexes.catalog import check_index, default_index, delete_index, describe_index, existing_index, index_folder, list_indexes
from indexes.errors import EmbedderMismatch, IndexNotFound, UsageError
from indexes.schema import DATABASE
from indexes.search import Searcher


@pytest.fixture
def home_with_two(tmp_path: Path) -> Path:
    for name in ("first", "second"):
        docs = tmp_path / f"docs-{name}"
        docs.mkdir()
        (docs / "a.txt").write_text(f"the {name} text")
        build_index(tmp_path / "indexes" / name, [RootRequest(docs)], open_embedder=lambda _: CountingEmbedder())
    return tmp_path


def test_an_index_describes_itself(home_with_two: Path) -> None:
    info = describe_index(home_with_two / "indexes" / "first")
    assert (info.name, info.documents, info.passages, info.embedder, info.dimension) == ("first", 1, 1, "counting", 64)
    assert [root.path for root in info.roots] == [str(home_with_two / "docs-first")]
    assert info.bytes > 10_000


def test_the_default_is_the_one_last_built(home_with_two: Path) -> None:
    assert [info.name for info in list_indexes(home_with_two)] == ["first", "second"]
    assert default_index(home_with_two) == "second"
    build_index(home_with_two / "indexes" / "first", open_embedder=lambda _: CountingEmbedder())
    assert default_index(home_with_two) == "first"


def test_a_damaged_index_is_listed_with_its_problem_and_is_no_default(home_with_two: Path) -> None:
    (home_with_two / "indexes" / "second" / DATABASE).write_bytes(b"rubbish" * 1000)
    problems = {info.name: bool(info.problem) for info in list_indexes(home_with_two)}
    assert problems == {"first": False, "second": True}
    assert default_index(home_with_two) == "first"


def test_deleting_takes_the_index_and_leaves_the_documents(home_with_two: Path) -> None:
    delete_index(home_with_two, "first")
    assert not (home_with_two / "indexes" / "first").exists()
    assert (home_with_two / "docs-first" / "a.txt").exists()
    with pytest.raises(IndexNotFound, match="'first'") as caught:
        existing_index(home_with_two, "first")
    assert caught.value.hint == "there are: second"


def test_no_index_at_all_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFound) as caught:
        default_index(tmp_path)
    assert caught.value.hint == "assistant index PATH"


@pytest.mark.parametrize("name", ["../escape", "", "a/b", ".hidden", "x" * 65, "new\nline", "ü"])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        index_folder(tmp_path, name)


def test_a_sound_index_has_no_problems_and_a_missing_vector_is_found(home_with_two: Path) -> None:
    import sqlite3

    folder = home_with_two / "indexes" / "first"
    assert check_index(folder) == []
    db = sqlite3.connect(folder / DATABASE)
    db.execute("DELETE FROM vectors")
    db.commit()
    db.close()
    assert "1 passages have no vector" in check_index(folder)


def test_everything_in_an_index_is_its_owners_alone(home_with_two: Path) -> None:
    folder = home_with_two / "indexes" / "first"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / DATABASE).stat().st_mode & 0o777 == 0o600


def test_two_indexes_are_searched_together(home_with_two: Path) -> None:
    folders = [home_with_two / "indexes" / name for name in ("first", "second")]
    with Searcher(folders, open_embedder=lambda _: CountingEmbedder()) as searcher:
        hits = searcher.search("text")
        assert {(hit.index, hit.passage.text) for hit in hits} == {("first", "the first text"), ("second", "the second text")}
        assert (searcher.documents, searcher.passages) == (2, 2)
        assert searcher.word_frequency(["Texts", "first"]) == {"Texts": 2, "first": 1}


def test_indexes_of_different_embedders_are_not_mixed(home_with_two: Path, tmp_path: Path) -> None:
    class Other(CountingEmbedder):
        model_id, weights_hash = "other", "ff" * 32

    build_index(home_with_two / "indexes" / "third", [RootRequest(home_with_two / "docs-first")], open_embedder=lambda _: Other())
    with pytest.raises(EmbedderMismatch, match="'counting', 'other'"):
        Searcher([home_with_two / "indexes" / name for name in ("first", "third")], open_embedder=lambda _: CountingEmbedder())
