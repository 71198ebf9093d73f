"""`finetune tokenizer`: what each base's tokenizer costs for each text, as text, JSON and a picture."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from assistant.models.checkpoint import CONFIG, Checkpoint
from assistant.models.families import UNLIMITED, context_length
from finetune.english import ENGLISH
from finetune.errors import DataFault
from finetune.tokenizers import (
    DEFAULT_CONTEXT,
    Cost,
    Measurement,
    Sample,
    Verdict,
    judge,
    measure,
    read_sample,
    reference,
    relative_cost,
    sample,
)
from finetune.vocabulary import open_tokenizer
from indexes.errors import UsageError

PICTURE = "tokenizers.png"
SHOWN = 60
"""Characters of a line that are shown."""
SLIDING = ("mistral",)
"""Models whose every layer has the window that their config names."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one tokenizer costs for one text."""

    base: str
    vocabulary: int
    context: int
    sample: Sample
    measured: Measurement
    cost: Cost
    verdict: Verdict


def report(texts: Sequence[Path], bases: Sequence[str], *, out: Path | None, context: int | None, as_json: bool) -> int:
    """Measure every tokenizer on every text and print what was found.

    Args:
        texts: files of plain text, one a language.
        bases: folders or Hugging Face ids; they may lack weights.
        out: where to draw a picture: a file that ends in ``.png``, or a folder; None: nowhere.
        context: tokens that a model reads; None: what its config says, else `DEFAULT_CONTEXT`.
        as_json: print one JSON document instead of tables.

    Raises:
        DataFault: a text can't be measured.
        ModelError: a base has no tokenizer that can be read.
    """
    spans = embedder_spans()
    samples = _samples(texts, spans)
    shipped = sample("the English text that comes with finetune", ENGLISH, spans)
    found = [one for base in bases for one in _reports(base, samples, shipped, context)]
    picture = draw(found, out) if out else None
    if as_json:
        sys.stdout.write(json.dumps(document(found, picture), ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(render(found, picture)) + "\n")
    return 0


def embedder_spans() -> Any:
    """The tokenizer by which the index cuts passages."""
    from tokenizers import Tokenizer

    from indexes.embedding import INSTALLED, model_folder

    tokenizer = Tokenizer.from_file(f"{model_folder(INSTALLED)}/tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).offsets)


def read_context(checkpoint: Checkpoint) -> int:
    """Tokens that a base reads, by its config or its tokenizer's."""
    config = checkpoint.config if (checkpoint.folder / CONFIG).is_file() else {}
    told = {"max_position_embeddings": config.get("n_positions"), **config}
    if config.get("model_type") not in SLIDING:
        told.pop("sliding_window", None)  # Gemma 2 has it on every other layer, Qwen 2 names one that is off
    if told["max_position_embeddings"]:
        return context_length(SimpleNamespace(**told))
    settings = checkpoint.folder / "tokenizer_config.json"
    limit = json.loads(settings.read_text(encoding="utf-8")).get("model_max_length") if settings.is_file() else None
    return int(limit) if limit and limit < UNLIMITED else DEFAULT_CONTEXT


def _samples(texts: Sequence[Path], spans: Any) -> list[Sample]:
    """Every text; what is wrong with any of them is said at once."""
    samples: list[Sample] = []
    faults: list[DataFault] = []
    for path in texts:
        try:
            samples.append(read_sample(path, spans))
        except DataFault as fault:
            faults.append(fault)
    if faults:
        raise DataFault("; ".join(fault.message for fault in faults), hint=faults[0].hint)
    return samples


def _reports(base: str, samples: Sequence[Sample], shipped: Sample, context: int | None) -> Iterator[Report]:
    vocabulary, checkpoint = open_tokenizer(base)
    reads = context or read_context(checkpoint)
    measured = {id(one): measure(vocabulary, one) for one in (*samples, shipped)}
    for one in samples:
        english = reference(one, samples, shipped)
        cost = relative_cost(one, measured[id(one)], english, measured[id(english)])
        verdict = judge(one, measured[id(one)], cost)
        yield Report(base, vocabulary.size, reads, one, measured[id(one)], cost, verdict)


def document(reports: Sequence[Report], picture: Path | None) -> dict[str, Any]:
    """What was found, as JSON."""
    return {"schema": 1, "reports": [_entry(one) for one in reports], "picture": str(picture) if picture else None}


def _entry(one: Report) -> dict[str, Any]:
    measured, language, difference = one.measured, one.sample.language, one.measured.difference
    return {
        "base": one.base,
        "text": one.sample.name,
        "language": language.name,
        "code": language.code,
        "script": language.script,
        "vocabulary": one.vocabulary,
        "file_bytes": one.sample.size,
        "tokens": measured.tokens,
        "words": measured.words,
        "characters": measured.characters,
        "bytes": measured.size,
        "tokens_per_word": measured.tokens_per_word,
        "tokens_per_character": measured.tokens_per_character,
        "bytes_per_token": measured.bytes_per_token,
        "partial_share": measured.partial_share,
        "unknown_share": measured.unknown_share,
        "lost_share": measured.lost_share,
        "round_trip": {
            "exact": difference is None,
            "line": difference.line if difference else None,
            "before": difference.before if difference else None,
            "after": difference.after if difference else None,
        },
        "context": one.context,
        "passage_tokens": measured.passage_tokens,
        "passages_in_context": measured.passages_in(one.context),
        "cost": {"relative_to_english": one.cost.ratio, "basis": one.cost.basis},
        "verdict": one.verdict.text,
        "reason": one.verdict.reason,
    }


HEAD = ("base", "tokens/word", "tokens/char", "bytes/token", "split", "lost", "comes back", "passages", "× English")


def render(reports: Sequence[Report], picture: Path | None) -> Iterator[str]:
    """What was found, text by text."""
    label = _labels([report.base for report in reports])
    for one in dict.fromkeys(id(report.sample) for report in reports):
        mine = [report for report in reports if id(report.sample) == one]
        given = mine[0].sample
        measured = mine[0].measured
        yield f"{_plain(given.name)}: {given.language.name}, {measured.characters:,} characters, cost {mine[0].cost.basis}"
        yield from _table([HEAD, *(_row(label[report.base], report) for report in mine)])
        for report in mine:
            yield f"  {label[report.base]}: {report.verdict.text}: {report.verdict.reason}"
            if report.measured.difference:
                at = report.measured.difference
                yield f"    line {at.line} comes back as {at.after[:SHOWN]!r}, and was {at.before[:SHOWN]!r}"
        yield ""
    yield "split: tokens that hold a part of a character only; lost: characters that don't come back;"
    yield "passages: how many of the size that `assistant index` cuts fit the model's context"
    if picture:
        yield f"picture: {_plain(str(picture))}"


def _labels(bases: Sequence[str]) -> dict[str, str]:
    """Base → what it is called in a table: the folder's name, where no other has the same."""
    names = {base: Path(base).name or base for base in bases}
    return {base: _plain(name if list(names.values()).count(name) == 1 else base) for base, name in names.items()}


def _row(label: str, one: Report) -> tuple[str, ...]:
    measured = one.measured
    per_word = measured.tokens_per_word
    return (
        label,
        "-" if per_word is None else f"{per_word:.2f}",
        f"{measured.tokens_per_character:.2f}",
        f"{measured.bytes_per_token:.2f}",
        f"{measured.partial_share:.1%}",
        f"{measured.lost_share:.1%}",
        "no" if measured.difference else "exactly",
        f"{measured.passages_in(one.context):,} in {one.context:,}",
        f"{one.cost.ratio:.2f}",
    )


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first, *others = (
            cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  " + "  ".join((first, *others))


def _plain(name: str) -> str:
    """A name without characters that a terminal would obey."""
    return repr(name)[1:-1]


def draw(reports: Sequence[Report], out: Path) -> Path:
    """Draw the cost and the passages per text and base.

    Raises:
        UsageError: the picture can't be written there.
    """
    import warnings

    from matplotlib.figure import Figure

    target = out if out.suffix.lower() == ".png" else out / PICTURE
    names = list(dict.fromkeys(f"{one.sample.language.name} ({one.sample.name})" for one in reports))
    bases = list(dict.fromkeys(one.base for one in reports))
    figure = Figure(figsize=(10, 1.5 + 0.35 * len(reports)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    height = 0.8 / len(bases)
    label = _labels(bases)
    for at, base in enumerate(bases):
        mine = [one for one in reports if one.base == base]
        places = [row + at * height for row in range(len(mine))]
        panels[0].barh(places, [one.cost.ratio for one in mine], height, label=label[base])
        panels[1].barh(places, [one.measured.passages_in(one.context) for one in mine], height, label=label[base])
    panels[0].set_yticks([row + 0.4 - height / 2 for row in range(len(names))], names)
    panels[0].invert_yaxis()
    panels[0].set_xlabel("tokens for the same content, English = 1")
    panels[1].set_xlabel("passages that fit the context")
    panels[1].legend()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a file name may hold letters that the font lacks
            figure.savefig(target, dpi=150)
    except OSError as error:
        raise UsageError(f"can't write {str(target)!r}: {error.strerror}", hint="name another place with --out") from error
    return target
