"""Which folders and files an index remembers, and which part of them a run looks at.

A file belongs to the innermost root that holds it, so that no file is indexed twice and no root touches another's documents.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from indexes.discovery import globs, printable
from indexes.errors import DocumentError
from indexes.store import Root, Store


@dataclass(frozen=True, slots=True)
class RootRequest:
    """A folder or file to index.

    Attributes:
        path: where it is.
        include, exclude: glob patterns that narrow what is read; both empty: those remembered from before, if any.
    """

    path: Path
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise DocumentError where the path doesn't exist or can't be looked at, UsageError where a pattern is no glob."""
        globs(self.include)
        globs(self.exclude)
        try:
            self.path.expanduser().stat()
        except FileNotFoundError as error:
            raise DocumentError(f"no such folder or file: {str(self.path)!r}", hint="check the path, e.g. with: ls") from error
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise DocumentError(f"can't look at {str(self.path)!r}: {why}", hint="check the path and its rights") from error

    @property
    def place(self) -> str:
        """The absolute path, links resolved."""
        return os.fspath(self.path.expanduser().resolve())


@dataclass(frozen=True, slots=True)
class Scope:
    """A root, or a part of it, that is to be brought up to date.

    Attributes:
        root: the root.
        below: only sources that are this path or lie below it; ``""`` for all.
        inner: sources of the roots inside this one, whose files are theirs.
    """

    root: Root
    below: str = ""
    inner: tuple[str, ...] = ()

    def holds(self, source: str) -> bool:
        """Whether a source lies in this scope, its inner roots included."""
        return not self.below or within(source, self.below)

    def owns(self, source: str) -> bool:
        """Whether a source lies in this scope and in no inner root."""
        return self.holds(source) and not any(within(source, place) for place in self.inner)


def within(source: str, place: str) -> bool:
    """Whether a source is a place or lies below it."""
    return source == place or source.startswith(place + "/")


def remember_roots(store: Store, requests: Sequence[RootRequest]) -> list[Scope]:
    """Add the requested roots to the index, or their new patterns, and return what is to be looked at.

    Without requests that is every root. A new root inside another takes over its part of it, so that part is looked at too.
    """
    known = {root.path: root for root in store.roots()}
    requests = list({request.place: request for request in requests}.values())
    new = [r for r in requests if r.place not in known]
    changed = [r for r in requests if r.place in known and _narrowed(r, known[r.place])]
    if new or changed:
        with store.commit() as commit:
            for request in new + changed:
                commit.add_root(request.place, _root_name(request.place, known), request.include, request.exclude)
                known = {root.path: root for root in store.roots()}
    if not requests:
        return [Scope(root, inner=_inner(root, known)) for root in known.values()]
    scopes = [Scope(known[r.place], inner=_inner(known[r.place], known)) for r in requests]
    added = {request.place for request in new}
    asked = {scope.root.id for scope in scopes}
    outer = [(root, below) for place in added for root, below in _around(place, known) if root.id not in asked]
    return scopes + [Scope(root, below, _inner(root, known)) for root, below in outer]


def _narrowed(request: RootRequest, root: Root) -> bool:
    return bool(request.include or request.exclude) and (request.include, request.exclude) != (root.include, root.exclude)


def _inner(root: Root, known: dict[str, Root]) -> tuple[str, ...]:
    outer = PurePath(root.path)
    inside = [PurePath(place) for place in known if place != root.path and PurePath(place).is_relative_to(outer)]
    return tuple(printable(path.relative_to(outer).as_posix()) for path in inside)


def _around(place: str, known: dict[str, Root]) -> list[tuple[Root, str]]:
    inner = PurePath(place)
    outer = [root for path, root in known.items() if path != place and inner.is_relative_to(path)]
    return [(root, printable(inner.relative_to(root.path).as_posix())) for root in outer]


def _root_name(place: str, known: dict[str, Root]) -> str:
    """The shortest end of a root's path that no other root's name equals."""
    parts = PurePath(place).parts
    taken = {root.name for path, root in known.items() if path != place}
    names = [printable("/".join(parts[-length:])) for length in range(1, len(parts) + 1)]
    return next((name for name in names if name not in taken), place).strip("/") or "/"
