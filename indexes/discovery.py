"""A folder → the files in it that are worth reading, and how many were left out for which reason.

Looks at names and kinds, and at the content of a file only where its suffix says nothing. Follows git's rules of what to ignore,
and never finds secrets.
"""

import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from indexes.decoding import clean, is_text
from indexes.errors import DocumentError, UnreadableFile, UsageError
from indexes.reading import UNREAD, os_reason, read_head, reader_for

_SECRET = re.compile(
    r"\.env.*|.*\.env|\.netrc|_netrc|\.npmrc|\.pypirc|\.pgpass|\.htpasswd|\.git-credentials|id_(?:rsa|dsa|ecdsa|ed25519).*"
    r"|credentials.*|(?:client_secret|service[-_]account).*\.json|secrets?\.(?:ya?ml|json|toml|ini|txt)"
    r"|.*\.(?:pem|key|p12|pfx|p8|ppk|jks|keystore|kdbx?|gpg|pgp|tfstate|ovpn)",
    re.IGNORECASE,
)
_DEPENDENCIES = ("node_modules", "bower_components", "site-packages", "__pycache__", "__pypackages__")
_BINARY_SUFFIXES = (
    ".7z .a .aac .ai .aiff .apk .avi .avif .bin .blend .bmp .br .bz2 .cab .class .cur .dat .db .dbf .deb .dex .dll .dmg "
    ".dng .dwg .dylib .ear .elc .eot .eps .exe .faiss .feather .fla .flac .flv .gguf .gif .glb .gz .h5 .hdf5 .heic .icns "
    ".ico .iso .jar .jp2 .jpeg .jpg .jxl .ko .lib .lz4 .lzma .m4a .m4v .mat .mdb .mid .mkv .mo .mov .mp3 .mp4 .mpeg .mpg "
    ".msi .node .npy .npz .o .obj .ogg .ogv .onnx .opus .orc .otf .parquet .pb .pdb .pickle .pkl .png .psd .pt .pth .pyc "
    ".pyd .pyo .qcow2 .rar .raw .rdb .rlib .rpm .safetensors .so .sqlite .sqlite3 .stl .swf .tar .tflite .tgz .tif .tiff "
    ".ttc .ttf .vhdx .vmdk .war .wasm .wav .webm .webp .whl .wim .wma .wmv .woff .woff2 .xcf .xz .zip .zst"
)
_BINARY = frozenset(_BINARY_SUFFIXES.split())
_MAX_IGNORE_BYTES = 1024 * 1024  # a .gitignore is some lines; a larger one is something else

_Id = tuple[int, int]  # device and inode: the identity of a folder, whatever it is called


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file worth reading.

    Attributes:
        path: what to open.
        source: what to call it: relative to the root, with forward slashes, always printable and unique.
        size: in bytes.
        mtime_ns: when it was last changed.
        ctime_ns: when its content, its name or its rights were last changed; can't be set back.
    """

    path: Path
    source: str
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Discovery:
    """What is in a folder.

    Attributes:
        files: worth reading, sorted by source.
        skipped: how many files and folders were left out, by reason. A folder counts once, whatever is in it.
        errors: source and reason of what the system refused.
    """

    files: tuple[FoundFile, ...]
    skipped: dict[str, int]
    errors: tuple[tuple[str, str], ...]


def discover(root: Path, *, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Discovery:
    """Find the files to read in a folder.

    Args:
        root: a folder, or one file.
        include: globs as in a .gitignore file; if there are any, only files that match one are found.
        exclude: globs likewise; files and folders that match one are left out.

    Raises:
        DocumentError: there is no such folder or file.
        UsageError: a glob can't be understood.
    """
    try:
        status = root.stat()
    except (OSError, ValueError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else "no valid path"
        raise DocumentError(f"can't find {os.fspath(root)!r}: {reason}", hint="check the path that you gave") from error
    walk = _Walk(root, globs(include), globs(exclude))
    if stat.S_ISDIR(status.st_mode):
        walk.walk()
    elif stat.S_ISREG(status.st_mode):
        walk.add_root_file(status)
    else:
        raise DocumentError(f"{os.fspath(root)!r} is neither a folder nor a regular file", hint="give a folder or a file")
    return walk.result()


def globs(patterns: Iterable[str]) -> GitIgnoreSpec | None:
    """Patterns as one matcher, or None when there are none. Raises UsageError where one can't be understood."""
    patterns = list(patterns)
    try:
        return GitIgnoreSpec.from_lines(patterns) if patterns else None
    except ValueError as error:
        raise UsageError(f"can't understand a glob among {patterns!r}", hint="write globs like '*.md' or 'docs/**'") from error


@dataclass(frozen=True, slots=True)
class _Rules:
    """The .gitignore file of a folder, and the next ones above it."""

    folder: Path
    patterns: tuple[tuple[re.Pattern[str], bool], ...]  # and whether it ignores; the last line first
    above: "_Rules | None"


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path
    place: str  # relative to the root, with a slash at its end; "" for the root
    rules: _Rules | None


class _Walk:
    """One walk through a folder: what was found, and which folders were seen."""

    def __init__(self, root: Path, include: GitIgnoreSpec | None, exclude: GitIgnoreSpec | None) -> None:
        self._root = root
        self._include, self._exclude = include, exclude
        self._found: dict[str, FoundFile] = {}
        self._skipped: Counter[str] = Counter()
        self._errors: list[tuple[str, str]] = []
        self._seen: set[_Id] = set()
        self._folders: list[_Folder] = []
        self._linked: list[_Folder] = []  # walked last, so that a file is called by its real place where it has one

    def result(self) -> Discovery:
        files = tuple(self._found[source] for source in sorted(self._found))
        return Discovery(files, dict(self._skipped), tuple(sorted(self._errors)))

    def walk(self) -> None:
        # A link to a folder above the root would lead to everything beside it.
        root = self._root.resolve()
        self._seen = {_identity(folder) for folder in root.parents}
        self._folders = [_Folder(root, "", _rules_above(root))]
        while self._folders or self._linked:
            folder = (self._folders or self._linked).pop()
            try:
                identity = _identity(folder.path)
                if identity in self._seen:
                    self._skipped["link to a folder seen already"] += 1
                    continue
                self._seen.add(identity)
                with os.scandir(folder.path) as entries:
                    self._look_into(folder, sorted(entries, key=lambda entry: entry.name))
            except OSError as error:
                self._errors.append((printable(folder.place.rstrip("/") or "."), os_reason(error)))

    def add_root_file(self, status: os.stat_result) -> None:
        """A file that was named itself is read, whatever its suffix; unless it is a secret."""
        path = self._root.absolute()
        if _is_secret(path, is_link=path.is_symlink()):
            self._skipped["secret"] += 1
        else:
            self._add(path, path.name, status)

    def _look_into(self, folder: _Folder, entries: list[os.DirEntry[str]]) -> None:
        names = {entry.name for entry in entries}
        if folder.place and not names.isdisjoint(("pyvenv.cfg", "conda-meta")):
            self._skipped["virtual environment"] += 1
            return
        if ".gitignore" in names:
            folder = _Folder(folder.path, folder.place, _read_rules(folder.path, ".gitignore", folder.rules))
        for entry in entries:
            try:
                self._look_at(folder, entry)
            except UnreadableFile as error:
                self._errors.append((printable(folder.place + entry.name), error.message))
            except OSError as error:
                self._errors.append((printable(folder.place + entry.name), os_reason(error)))

    def _look_at(self, folder: _Folder, entry: os.DirEntry[str]) -> None:
        try:
            status = entry.stat()
        except FileNotFoundError:
            self._skipped["broken link" if entry.is_symlink() else "gone"] += 1
            return
        path, place = Path(entry.path), folder.place + entry.name
        if stat.S_ISDIR(status.st_mode):
            reason = self._reason_not_to_enter(folder, entry.name, place + "/")
            if not reason:
                waiting = self._linked if entry.is_symlink() else self._folders
                waiting.append(_Folder(path, place + "/", folder.rules))
        else:
            is_secret = _is_secret(path, is_link=entry.is_symlink())
            reason = "secret" if is_secret else self._reason_by_place(folder, entry.name, place)
            reason = reason or _reason_by_kind(path, status)
            if not reason:
                self._add(path, place, status)
        if reason:
            self._skipped[reason] += 1

    def _reason_not_to_enter(self, folder: _Folder, name: str, place: str) -> str:
        return "installed packages or caches" if name in _DEPENDENCIES else self._reason_by_place(folder, name, place)

    def _reason_by_place(self, folder: _Folder, name: str, place: str) -> str:
        """Why a file or folder is left out for where it is; ``place`` ends in a slash for a folder."""
        end = "/" if place.endswith("/") else ""
        if name.startswith("."):
            return "hidden"
        if _is_ignored(folder.path / name, end, folder.rules):
            return "ignored by .gitignore"
        if self._exclude and self._exclude.match_file(place):
            return "excluded"
        if self._include and not end and not self._include.match_file(place):
            return "not included"
        return ""

    def _add(self, path: Path, place: str, status: os.stat_result) -> None:
        source = shown = printable(place)
        count = 1
        while source in self._found:  # two names may differ in what can't be printed alone
            count += 1
            source = f"{shown} ({count})"
        self._found[source] = FoundFile(path, source, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _reason_by_kind(path: Path, status: os.stat_result) -> str:
    """Why a file is left out for its kind."""
    suffix = path.suffix.lower()
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if suffix in UNREAD:
        return "unknown format"
    if suffix in _BINARY:
        return "binary"
    if not status.st_size:
        return "empty"
    if reader_for(path) is not None:
        return ""
    return "" if is_text(read_head(path)) else "binary"


def _is_secret(path: Path, *, is_link: bool) -> bool:
    """Whether a file is named like a key or a password store, or is a link to one that is."""
    names = [path.name, path.resolve().name] if is_link else [path.name]
    return any(map(_SECRET.fullmatch, names))


def _is_ignored(path: Path, end: str, rules: _Rules | None) -> bool:
    """Whether git ignores a path (``end`` is a slash for a folder): the nearest .gitignore that says anything decides."""
    while rules is not None:
        place = path.relative_to(rules.folder).as_posix() + end
        for regex, ignores in rules.patterns:
            if _names(regex, place):
                return ignores
        rules = rules.above
    return False


def _names(regex: re.Pattern[str], place: str) -> bool:
    """Whether a pattern names this very file or folder.

    pathspec's patterns also match what lies beneath a folder they name, so that ``!docs/`` would bring back every file in docs.
    git asks at each step of the way instead, as the walk does.
    """
    if regex.groups:
        return any(match.end() == len(place) for match in regex.finditer(place))
    return regex.search(place.removesuffix("/")) is not None  # "*" and "docs/**", which isn't docs itself


def _rules_above(root: Path) -> _Rules | None:
    """What the repository around a folder ignores; nothing where it ignores the folder itself, since that was asked for."""
    repository = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)
    if repository is None:
        return None
    rules = _read_rules(repository, ".git/info/exclude", None)
    for folder in reversed(root.parents):  # from the top down to the folder above the root, whose own is read in the walk
        if folder.is_relative_to(repository):
            rules = _read_rules(folder, ".gitignore", rules)
            below = folder / root.relative_to(folder).parts[0]
            if _is_ignored(below, "/", rules):
                return None
    return rules


def _read_rules(folder: Path, name: str, above: _Rules | None) -> _Rules | None:
    """The rules of a file in front of those above it; a line that git wouldn't understand either is left out."""
    path = folder / name
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_IGNORE_BYTES:
            return above
        lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").split("\n")
    except OSError:
        return above
    patterns = [pattern for line in reversed(lines) for pattern in _compiled(line)]  # the last one that matches decides
    return _Rules(folder, tuple(patterns), above) if patterns else above


def _compiled(line: str) -> list[tuple[re.Pattern[str], bool]]:
    try:
        patterns = GitIgnoreSpec.from_lines([line]).patterns
    except ValueError:
        return []
    return [(pattern.regex, bool(pattern.include)) for pattern in patterns if pattern.regex is not None]


def _identity(folder: Path) -> _Id:
    status = folder.stat()
    return status.st_dev, status.st_ino


def printable(name: str) -> str:
    r"""A name that can be shown and written as UTF-8: line ends, escapes and foreign bytes become ``\x1b`` and the like."""
    if name.isprintable():
        return name
    whole = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(repr(c)[1:-1] if c in "\n\t\r" or clean(c) != c else c for c in whole)
