"""A check's report → terminal text, at 80 columns and more. Text from data is shown, never obeyed."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from finetune.commands.check import Report
from finetune.data.faults import Fault, counted, methods_for
from finetune.data.lengths import Lengths, Piece
from finetune.data.rows import Place

PLACES = 3
"""Places named of a fault that is there many times."""
LONGEST = 700
"""Characters of an example's piece; of a longer one the middle is left out."""
BAR = 40
"""Columns of the longest bar."""
WIDEST = 100
JOINERS = "\u200c\u200d"
"""Not printable by Unicode's categories, but Indic scripts and emoji need them, and no terminal acts on them."""


def show(report: Report, console: Console | None = None) -> None:
    """Print a report."""
    console = console or Console(highlight=False, markup=False, emoji=False)
    console.width = min(console.width, WIDEST)
    for text in _summary(report):
        console.print(text)
    for title, is_error, style in (("errors", True, "bold red"), ("warnings", False, "bold yellow")):
        faults = [fault for fault in report.faults if fault.is_error is is_error]
        if faults:
            console.print(Text(f"\n{counted(len(faults), title[:-1])}", style=style))
        for group in _grouped(faults):
            _show_group(group, console)
    if report.lengths:
        for text in _histogram(report.lengths, console):
            console.print(text)
    if report.example:
        _show_example(report, console)


def _summary(report: Report) -> Iterator[Text]:
    data = report.data
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in data.kinds.most_common())
    yield Text(f"{counted(len(data.rows), 'row')} in {counted(len(data.files), 'file')}{f': {kinds}' if kinds else ''}")
    for layout, number in data.layouts.most_common():
        yield Text(f"  layout: {layout} ({counted(number, 'record')})")
    methods = methods_for(data.kinds)
    if methods:
        yield Text(f"  fit for: {', '.join(methods)}")
    elif data.rows:
        yield Text("  fit for no method as they are: keep rows of one kind in a file")
    if report.evaluation:
        yield Text(f"  evaluated on: {counted(len(report.evaluation.rows), 'row')}")
    if not report.errors:
        yield Text("  no errors", style="green")


def _grouped(faults: Sequence[Fault]) -> list[list[Fault]]:
    """Faults that differ in no more than the values and places they name, the most frequent first."""
    groups: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        kind = re.sub(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|\S*:\d+|\d[\d,.]*|\b\w{4}…", "…", fault.what)
        groups.setdefault((kind, re.sub(r"\d+|'[^']*'", "…", fault.hint)), []).append(fault)
    return sorted(groups.values(), key=len, reverse=True)


def _show_group(group: Sequence[Fault], console: Console) -> None:
    first, number = group[0], len(group)
    times = f"  ({number:,} ×)" if len({fault.what for fault in group}) == 1 else f"  (and {number - 1:,} like it)"
    _print(Text(plain(first.what) + (times if number > 1 else ""), style="bold"), console, indent=2)
    places = list(dict.fromkeys(fault.place for fault in group if fault.place))
    more = f" and {len(places) - PLACES:,} more" if len(places) > PLACES else ""
    if places:
        _print(Text(plain(_listed(places[:PLACES])) + more), console, indent=4)
    _print(Text(f"mend: {plain(first.hint)}", style="dim"), console, indent=4)


def _listed(places: Sequence[Place]) -> str:
    """E.g. ``a.jsonl:3, 17; b.jsonl:4``."""
    by_file = groupby(places, key=lambda place: place.file)
    return "; ".join(f"{file}:{', '.join(str(place.line) for place in group)}" for file, group in by_file)


def _print(text: Text, console: Console, *, indent: int) -> None:
    """Print a text wrapped and indented, without blanks at the ends of lines."""
    for line in text.wrap(console, console.width - indent):
        line.rstrip()
        console.print(Text(" " * indent if line else "") + line)


def _histogram(lengths: Lengths, console: Console) -> Iterator[Text]:
    yield Text(f"\nlengths in tokens of {plain(lengths.base)} ({counted(lengths.measured, 'row')} measured)", style="bold")
    block = "█" if (console.encoding or "").lower().startswith("utf") else "#"
    widest = max(len(f"{bound:,}") for bound, _ in lengths.bins)
    most = max(number for _, number in lengths.bins)
    for bound, number in lengths.bins:
        yield Text(f"  to {bound:>{widest},}  {block * -(-BAR * number // most)} {number:,}")
    yield Text(f"  median {lengths.median:,}, 95 % have at most {lengths.high:,}, the longest has {lengths.longest:,}")
    yield Text(f"  left out, being longer than {lengths.max_length:,}: {lengths.over:.1%}")
    yield Text(f"  without a stop token in the loss: {lengths.without_stop:.1%}")


def _show_example(report: Report, console: Console) -> None:
    told = "as the model will see it; it learns what stands in ⟦ ⟧" if report.lengths else "what stands in ⟦ ⟧ is learned"
    console.print(Text(f"\nthe first row, {told}", style="bold"))
    for name, pieces in report.example.items():
        if name:
            console.print(Text(f"  {name}:", style="dim"))
        _print(Text().join(map(_piece, pieces)), console, indent=2)


def _piece(piece: Piece) -> Text:
    text = plain(piece.text)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} […] {text[-LONGEST // 2 :]}"
    return Text(f"⟦{text}⟧", style="green") if piece.learned else Text(text)


def plain(text: str) -> str:
    """A text without the characters that a terminal would obey."""
    return "".join(each if each.isprintable() or each in "\n\t" or each in JOINERS else "·" for each in text)
