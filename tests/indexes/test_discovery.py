"""Which files of a folder are found, and why the others are not."""

import json
import os
import random
import socket
import subprocess
from pathlib import Path

import pytest

from indexes.discovery import Discovery, discover
from indexes.errors import DocumentError, UsageError


def write(root: Path, *names: str, text: str = "some text\n") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def find(root: Path, *, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> Discovery:
    return discover(root, include=include, exclude=exclude)


def sources(found: Discovery) -> list[str]:
    return [file.source for file in found.files]


def test_files_are_found_sorted_and_described(tmp_path: Path) -> None:
    write(tmp_path, "b.md", "a/z.txt", "B.txt")
    found = find(tmp_path)
    assert sources(found) == ["B.txt", "a/z.txt", "b.md"]
    status = (tmp_path / "a/z.txt").stat()
    assert (found.files[1].size, found.files[1].mtime_ns, found.files[1].ctime_ns) == (10, status.st_mtime_ns, status.st_ctime_ns)
    assert found.files[1].path.read_text() == "some text\n"


def test_what_is_not_worth_reading_is_counted(tmp_path: Path) -> None:
    write(
        tmp_path, "a.md", ".hidden/x.md", ".x.md", "node_modules/m/readme.md", "env/pyvenv.cfg", "env/lib/x.py", "x.png", "y.doc"
    )
    write(tmp_path, "empty.md", text="")
    (tmp_path / "blob.unheard").write_bytes(b"\0\x01\x02\x03" * 99)
    found = find(tmp_path)
    assert sources(found) == ["a.md"]
    counts = {"hidden": 2, "installed packages or caches": 1, "virtual environment": 1}
    assert found.skipped == counts | {"binary": 2, "unknown format": 1, "empty": 1}


def test_an_unknown_suffix_with_text_is_found(tmp_path: Path) -> None:
    write(tmp_path, "notes.unheard", "no_suffix")
    assert sources(find(tmp_path)) == ["no_suffix", "notes.unheard"]


@pytest.mark.parametrize(
    "name",
    (
        ".env .env.local prod.env server.PEM my.key id_rsa id_ed25519.pub a.p12 a.PFX credentials.json Credentials .netrc "
        "passwords.kdbx secrets.yaml .npmrc"
    ).split(),
)
def test_secrets_are_never_found(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    (tmp_path / "innocent.txt").symlink_to(tmp_path / name)
    assert find(tmp_path, include=("*",)).files == ()
    assert find(tmp_path).skipped == {"secret": 2}
    assert find(tmp_path / name).files == ()


def test_include_and_exclude_narrow(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "docs/b.md", "docs/c.txt", "docs/old/d.md", ".e.md", "f.key")
    assert sources(find(tmp_path, include=("*.md",))) == ["a.md", "docs/b.md", "docs/old/d.md"]
    assert sources(find(tmp_path, include=("docs/*.md", "*.txt"))) == ["docs/b.md", "docs/c.txt"]
    found = find(tmp_path, exclude=("old/", "c.*"))
    assert sources(found) == ["a.md", "docs/b.md"]
    assert found.skipped == {"excluded": 2, "hidden": 1, "secret": 1}
    assert find(tmp_path, include=("*.md",)).skipped["not included"] == 1


def test_a_glob_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'!'"):
        find(tmp_path, include=("!",))


def test_nested_gitignore_files_overrule_those_above(tmp_path: Path) -> None:
    write(tmp_path, "a.log", "sub/b.log", "sub/deep/c.log", "build/x.md", "sub/build/y.md", "sub/keep.md")
    (tmp_path / ".gitignore").write_text("*.log\n/build/\n")
    (tmp_path / "sub/.gitignore").write_text("!b.log\n")
    assert sources(find(tmp_path)) == ["sub/b.log", "sub/build/y.md", "sub/keep.md"]


def test_the_repository_above_is_asked(tmp_path: Path) -> None:
    write(tmp_path, ".git/info/exclude", text="/docs/private.md\n")
    write(tmp_path, ".gitignore", text="*.tmp.md\n/out/\n")
    write(tmp_path, "docs/a.md", "docs/private.md", "docs/b.tmp.md", "out/report.md")
    assert sources(find(tmp_path / "docs")) == ["a.md"]
    assert sources(find(tmp_path / "out")) == ["report.md"], "an ignored folder that was asked for is read"


def test_a_gitignore_that_git_could_not_read_either_does_no_harm(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "b.md", "sub/c.md")
    (tmp_path / ".gitignore").write_bytes(b"\xef\xbb\xbfb.md\r\n!\n\xff\xfe[\n")
    (tmp_path / "sub/.gitignore").mkdir()
    assert sources(find(tmp_path)) == ["a.md", "sub/c.md"]


PATTERNS = [
    *("*.md", "!a.md", "/a.md", "b/", "!b/", "/c/*", "!/c/b/", "**/d.md", "c/**/a.md", "a*", "!*.txt", "[ab].txt", "b/c", "!b/c"),
    *("\\!x.md", "# note", "d.md ", "?", "*", "!*/", "*/c", "/*/b/*", "c/**", "!c/**", "**/", "a/**/x", "!/*/", "**/b"),
]


@pytest.mark.parametrize("seed", range(12))
def test_git_agrees_on_what_is_ignored(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    folders = ["", *(f"{x}/" for x in "abc"), *(f"{x}/{y}/" for x in "abc" for y in "abc")]
    names = [folder + name for folder in folders for name in ("a.md", "d.md", "b.txt", "x")]
    write(tmp_path, *names)
    for folder in ["", *dice.sample(folders, 3)]:
        (tmp_path / folder / ".gitignore").write_text("\n".join(dice.sample(PATTERNS, 4)) + "\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    command = ["git", "-C", str(tmp_path), "ls-files", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    assert sources(find(tmp_path)) == sorted(name for name in listed if name and not name.endswith(".gitignore"))


def test_linked_folders_are_read_once_and_loops_end(tmp_path: Path) -> None:
    write(tmp_path, "outside/o.md", "root/real/a.md")
    root = tmp_path / "root"
    for link, target in {
        "a-link": "real",
        "loop": ".",
        "up": "..",
        "real/self": "../real",
        "out": "../outside",
        "gone": "nowhere",
    }.items():
        (root / link).symlink_to(target)
    found = find(root)
    assert sources(found) == ["out/o.md", "real/a.md"]
    assert found.skipped == {"link to a folder seen already": 4, "broken link": 1}


def test_a_linked_file_is_read(tmp_path: Path) -> None:
    write(tmp_path, "outside.md", "root/a.md")
    (tmp_path / "root/b.md").symlink_to("../outside.md")
    assert sources(find(tmp_path / "root")) == ["a.md", "b.md"]


def test_pipes_and_sockets_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    os.mkfifo("pipe.md")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.md")
        assert find(tmp_path).skipped == {"not a regular file": 2}


def test_odd_names_stay_apart_and_can_be_written(tmp_path: Path) -> None:
    for name in (b"new\nline.md", b"esc\x1b[31m.md", b"caf\xe9.md", "emoji 👩‍🚀.md".encode(), b"caf\\xe9.md"):
        (tmp_path / os.fsdecode(name)).write_text("text")
    found = find(tmp_path)
    assert sources(found) == ["caf\\xe9.md", "caf\\xe9.md (2)", "emoji 👩‍🚀.md", "esc\\x1b[31m.md", "new\\nline.md"]
    assert all(file.path.read_text() == "text" for file in found.files)
    json.dumps(sources(found), ensure_ascii=False).encode()


def test_a_folder_that_can_not_be_entered_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.md", "closed/b.md")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may enter any folder, so that a mode says nothing
    found = find(tmp_path)
    assert (sources(found), found.errors) == (["a.md"], (("closed", "no permission to read it"),))


def test_a_single_file_is_its_own_root(tmp_path: Path) -> None:
    write(tmp_path, "a.unheard")
    assert sources(find(tmp_path / "a.unheard")) == ["a.unheard"]


def test_a_missing_root_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="nowhere") as caught:
        find(tmp_path / "nowhere")
    assert caught.value.hint


def test_a_root_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DocumentError, match="neither a folder nor a regular file"):
        find(tmp_path / "pipe")


def test_a_root_named_through_a_link_is_read(tmp_path: Path) -> None:
    write(tmp_path, "real/a.md")
    (tmp_path / "link").symlink_to("real")
    assert sources(find(tmp_path / "link")) == ["a.md"]
