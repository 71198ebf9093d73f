"""Cosine search over a generation's vectors, through FAISS.

Vectors lie in the database; here they are copied into segments that FAISS maps into memory: a base and, after later commits,
deltas. A segment holds the passages of rows ``(first, last]`` and never changes. Segments are derived: where one is absent or
damaged, its rows are read from the database instead, and the next build writes it again.
"""

import json
import shutil
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.embedding import Matrix
from indexes.store import Store

CHECK_LIMIT = 256 << 20
"""Bytes up to which a segment's checksum is verified whenever it is opened (about 1 GB/s); larger ones by ``indexes check``."""
MOST_SEGMENTS = 8
"""More deltas than this, or deltas that add up to a quarter of the base, are merged into a new base."""

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Segment:
    """What a segment's ``.json`` says.

    Attributes:
        owner: the database's ``segments`` id when it was written; under another one its rows mean nothing.
        first, last: it holds the passages of rows in ``(first, last]``.
        count: how many.
        checksum: crc32 over its two files.
    """

    owner: str
    first: int
    last: int
    count: int
    checksum: int

    @property
    def name(self) -> str:
        """The name that its files share."""
        return f"dense-{self.first}-{self.last}"


class DenseIndex:
    """A generation's vectors, ready to be searched.

    Args:
        store: the index.
        generation: rows that died before it or were born after it are left out.
        dimension: length of a vector.
    """

    def __init__(self, store: Store, generation: int, dimension: int) -> None:
        self._parts: list[tuple[Rows, Any]] = []
        last = 0
        with store.snapshot():
            for segment in segments(store):
                if segment.first == last and segment.last <= store.last_row() and (part := _load(store.folder, segment)):
                    self._parts.append(part)
                    last = segment.last
            rows, vectors = store.vectors_between(last, store.last_row(), dimension)
            if rows:
                self._parts.append((np.asarray(rows, dtype=np.int64), _flat(vectors, dimension)))
            self.excluded = np.asarray(store.dead_rows(generation), dtype=np.int64)
        self._living = [np.packbits(~np.isin(rows, self.excluded), bitorder="little") for rows, _ in self._parts]

    def search(self, vector: Matrix, k: int) -> list[tuple[int, float]]:
        """The ``k`` nearest passages to a unit vector ``(d,)``, best first: row and cosine."""
        faiss = _faiss()

        found: list[tuple[float, int]] = []
        for (rows, index), living in zip(self._parts, self._living, strict=True):
            only = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(living)) if len(self.excluded) else None
            cosines, places = index.search(vector.reshape(1, -1), k, params=only)
            found += [(float(c), int(rows[p])) for c, p in zip(cosines[0], places[0], strict=True) if p >= 0]
        found.sort(key=lambda pair: (-pair[0], pair[1]))
        return [(row, cosine) for cosine, row in found[:k]]


def _faiss() -> Any:
    """FAISS, imported when first needed. Its type stubs don't know what its Python layer adds to the C++ one."""
    import faiss

    return faiss


def _flat(vectors: Matrix, dimension: int) -> Any:
    faiss = _faiss()

    index = faiss.IndexFlatIP(dimension)
    index.add(np.ascontiguousarray(vectors))
    return index


def segments(store: Store) -> list[Segment]:
    """The segments of an index that follow on from each other, the base first."""
    known = []
    for file in store.folder.glob("dense-*.json"):
        try:
            known.append(Segment(**json.loads(file.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError):  # half written or damaged: as if it weren't there
            continue
    chain: list[Segment] = []
    last, owner = 0, store.meta("segments")
    while following := [segment for segment in known if segment.first == last and segment.owner == owner]:
        chain.append(max(following, key=lambda segment: segment.last))
        last = chain[-1].last
    return chain


def _load(folder: Path, segment: Segment) -> tuple[Rows, Any] | None:
    """Map a segment into memory, or None when it is damaged."""
    faiss = _faiss()

    vectors, ids = folder / f"{segment.name}.faiss", folder / f"{segment.name}.npy"
    try:
        if vectors.stat().st_size <= CHECK_LIMIT and _checksum((vectors, ids)) != segment.checksum:
            return None
        rows = np.load(ids, allow_pickle=False)
        index = faiss.read_index(str(vectors), faiss.IO_FLAG_MMAP_IFC)
    except (OSError, RuntimeError, ValueError):
        return None
    return (rows, index) if index.ntotal == len(rows) == segment.count else None


def write_segments(store: Store, dimension: int) -> None:
    """Bring the segments up to date: add a delta for new rows, or merge all into a new base when that is due."""
    chain = segments(store)
    last, newest = (chain[-1].last if chain else 0), store.last_row()
    if newest == last and all(_load(store.folder, segment) for segment in chain):
        return
    sound = [segment for segment in chain if _load(store.folder, segment)]
    deltas = sum(segment.count for segment in sound[1:]) + (newest - last)
    if len(sound) < len(chain) or len(sound) >= MOST_SEGMENTS or not sound or deltas * 4 > sound[0].count:
        _write(store, 0, newest, dimension)
    else:
        _write(store, last, newest, dimension)
    _tidy(store)


def _write(store: Store, first: int, last: int, dimension: int) -> None:
    faiss = _faiss()

    rows, vectors = store.vectors_between(first, last, dimension)
    if not rows:
        return
    folder = store.folder
    with tempfile.TemporaryDirectory(dir=folder, prefix="new-") as draft:
        drafts = Path(draft) / "vectors", Path(draft) / "ids.npy"
        try:
            faiss.write_index(_flat(vectors, dimension), str(drafts[0]))
        except RuntimeError as error:  # FAISS's way to say that the disk is full
            raise OSError(str(error)) from error
        np.save(drafts[1], np.asarray(rows, dtype=np.int64), allow_pickle=False)
        segment = Segment(store.meta("segments"), first, last, len(rows), _checksum(drafts))
        for draft_file in drafts:
            draft_file.chmod(0o600)
        drafts[0].replace(folder / f"{segment.name}.faiss")
        drafts[1].replace(folder / f"{segment.name}.npy")
        facts = Path(draft) / "facts"
        facts.write_text(json.dumps(asdict(segment)), encoding="utf-8")
        facts.replace(folder / f"{segment.name}.json")  # last: where it lies, the other two are whole


def _tidy(store: Store) -> None:
    """Delete segments that a merged one has replaced, and what killed runs left. Who has them mapped keeps them."""
    current = {segment.name for segment in segments(store)}
    for file in store.folder.glob("dense-*"):
        if file.stem not in current:
            file.unlink(missing_ok=True)
    for draft in store.folder.glob("new-*"):
        shutil.rmtree(draft, ignore_errors=True)


def damaged_segments(store: Store) -> list[str]:
    """Names of the segments whose checksum is wrong, whatever their size."""
    folder = store.folder
    return [
        segment.name
        for segment in segments(store)
        if not all((folder / f"{segment.name}{suffix}").is_file() for suffix in (".faiss", ".npy"))
        or _checksum((folder / f"{segment.name}.faiss", folder / f"{segment.name}.npy")) != segment.checksum
    ]


def _checksum(files: Sequence[Path]) -> int:
    value = 0
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                value = zlib.crc32(block, value)
    return value
