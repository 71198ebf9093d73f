"""What the shell and the chat offer to complete: names of indexes and adapters, read from the folders alone.

So Tab answers at once.
"""

from pathlib import Path

from assistant.settings import find_home


def index_names(incomplete: str = "") -> list[str]:
    """Names of indexes that begin with what was typed; for the shell."""
    return names_in(find_home()[0], incomplete)


def names_in(home: Path, beginning: str = "") -> list[str]:
    """Names of the indexes in a home that begin so."""
    from indexes.schema import DATABASE

    return sorted(path.parent.name for path in (home / "indexes").glob(f"*/{DATABASE}") if path.parent.name.startswith(beginning))


def adapter_names(incomplete: str = "") -> list[str]:
    """Names of adapters that begin with what was typed; for the shell."""
    from assistant.adapters.installing import names

    return [name for name in names(find_home()[0]) if name.startswith(incomplete)]
