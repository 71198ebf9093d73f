"""Building an index from the terminal, for `assistant index` and for the chat's `/index`: which one, with a progress bar.

The building itself is `indexes.build`'s; this module knows only names, the bar and the exported embedder's place.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from assistant.rendering.screen import Screen
from assistant.rendering.terminal import note, sanitize
from assistant.settings import Settings
from indexes.build import BuildReport, build_index
from indexes.catalog import default_index, index_folder, index_names, list_indexes
from indexes.export import load_embedder
from indexes.progress import Progress as BuildProgress
from indexes.roots import RootRequest

FIRST_NAME = "default"
"""The index that folders go into when no name is given."""
WATCH_SECONDS = 2.0
ROOMY = 70
"""Columns from which there is room for the name of the file that is read."""


def name_to_build(settings: Settings, paths: Sequence[Path], name: str | None) -> str:
    """Which index to write: the one named, set or already holding these folders, else the default.

    Raises:
        IndexNotFound: nothing was named and there is no index to refresh.
    """
    if name or len(settings.index) == 1:
        return name or settings.index[0]
    if not paths:
        return default_index(settings.home)
    wanted = {path.expanduser().resolve() for path in paths}
    holding = [info.name for info in list_indexes(settings.home) if wanted <= {Path(root.path) for root in info.roots}]
    return holding[0] if holding else FIRST_NAME


def build(settings: Settings, screen: Screen, name: str, requests: Sequence[RootRequest]) -> BuildReport:
    """Build or refresh an index, with a progress bar where a person looks at it."""
    with progress_bar(screen) as on_progress:
        return build_index(
            index_folder(settings.home, name),
            requests,
            open_embedder=lambda model_id: load_embedder(model_id, settings.models, announce=note),
            embedder=embedder_to_build(settings, name),
            on_progress=on_progress,
        )


def watch(
    refresh: Callable[[], BuildReport], show: Callable[[BuildReport], None], *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Refresh every two seconds, until Ctrl-C, and show what changed. A look costs one `stat` a file."""
    while True:
        sleep(WATCH_SECONDS)
        report = refresh()
        if report.interrupted:
            raise KeyboardInterrupt
        if report.added or report.changed or report.removed or report.renamed:
            show(report)


def embedder_to_build(settings: Settings, name: str) -> str:
    """The settings' model for a new index; an index that exists keeps its own, unless ``--embedder`` insists on another."""
    exists = name in index_names(settings.home)
    return "" if exists and settings.origin("embedder") != "--embedder" else settings.embedder


@contextmanager
def progress_bar(screen: Screen) -> Iterator[Callable[[BuildProgress], None]]:
    """A bar with files, passages a second and the time left, on a terminal only."""
    if not screen.err_terminal.interactive:
        yield lambda _: None
        return
    roomy = screen.err_terminal.width >= ROOMY
    spinner = SpinnerColumn("dots" if screen.err_terminal.unicode else "line")  # a large file takes a while: it isn't stuck
    columns: list[ProgressColumn] = [
        spinner,
        BarColumn(bar_width=24 if roomy else 10),
        TextColumn("{task.fields[facts]}", markup=False),
    ]
    if roomy:
        columns.append(_FileColumn())
    with Progress(*columns, console=screen.err, transient=True) as bar:
        task = bar.add_task("", total=None, facts="looking for files", source="")

        def update(progress: BuildProgress) -> None:
            bar.update(
                task,
                total=progress.files_total or None,
                completed=progress.files_done,
                facts=_facts(progress),
                source=progress.source,
            )

        yield update


def _facts(progress: BuildProgress) -> str:
    facts = f"{progress.files_done:,}/{progress.files_total:,} files"
    if progress.passages_per_s:
        facts += f", {progress.passages_per_s:,.0f} passages/s"
    if progress.files_done == progress.files_total:
        facts += ", embedding"  # files are read far faster than their passages are embedded
    elif progress.seconds_left is not None:
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        facts += f", {minutes}:{seconds:02d} left"
    return facts


class _FileColumn(ProgressColumn):
    """The file that is read, without anything that the terminal or rich would obey."""

    def render(self, task: Task) -> Text:
        return Text(sanitize(str(task.fields["source"]), one_line=True), style="dim", no_wrap=True, overflow="ellipsis")
