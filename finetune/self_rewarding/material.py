"""What self-rewarding works on: prompts to answer, and pairs that people judged, which no round learns from.

A prompt that stands in both is left to the pairs: a judge, or a round, would be measured on what it has learned.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assistant.adapters.manifest import read_manifest
from finetune.config import TrainingConfig
from finetune.data.faults import counted, data_hash, load_dataset, rows_for
from finetune.data.rows import Preference, Prompted, Row
from finetune.encoding import Encoding, require_rows
from finetune.errors import DataFault, TrainingError
from finetune.formatting import Formatter
from finetune.graders.grader import Sample
from finetune.held_out import without_prompts_of
from finetune.reinforcement.rollouts import encode_prompts
from finetune.resuming import other_hashes
from finetune.self_rewarding.settings import Settings
from finetune.side_by_side.judges import Pair
from finetune.side_by_side.overlap import overlap

PROMPTS_OF, PAIRS_OF = "ppo", "dpo"
"""Methods that learn from such rows: they are read as those read them."""
Announce = Callable[[str], None]


@dataclass(frozen=True)
class Material:
    """Rows of all rounds.

    Attributes:
        prompts: to be answered and learned from.
        held_out: prompts of the people's pairs, each once, to compare rounds on.
        pairs: what people judged; the better answer is A.
        facts: for the records.
        inputs: hashes of the first adapter and of the judge.
        warnings: what to know before trusting what comes of it.
    """

    prompts: Encoding
    held_out: Encoding
    pairs: tuple[Pair, ...]
    facts: dict[str, Any]
    inputs: dict[str, str]
    warnings: tuple[str, ...]

    @property
    def lengths(self) -> list[tuple[int, int]]:
        """Characters of the better and of the worse answer of each pair."""
        return [(len(pair.a.completion), len(pair.b.completion)) for pair in self.pairs]


def read_material(settings: Settings, announce: Announce) -> Material:
    """Read all rows and encode the prompts; of the base only its tokenizer is read.

    Raises:
        DataFault: rows can't be read, or nothing is left of them.
        ModelError: the base can't be found, or an adapter is damaged.
    """
    own = settings.rounds
    prompts = _conversations(own.data)
    pairs = _judged(own.pairs)
    kept = without_prompts_of(prompts, pairs)
    if len(kept) < len(prompts):
        announce(f"{len(prompts) - len(kept)} prompts are among the held-out pairs, and are not learned from")
    if not kept:
        raise DataFault(
            f"all {len(prompts)} prompts are among the held-out pairs: nothing is left to learn from",
            hint="give other prompts with --data, or other pairs with --pairs",
        )
    asked = {row.prompt: row for row in _conversations(own.pairs)}
    room = settings.training.max_length - own.answer_tokens
    formatter = Formatter.open(own.base)
    learned = _encoded(formatter, kept, room, announce)
    held_out = _encoded(formatter, list(asked.values())[: own.measured], room, announce)
    judged = tuple(_pair(at, row, asked) for at, row in enumerate(pairs) if isinstance(row, Preference))
    facts = {
        "hash": data_hash([*learned.rows, *pairs]), "rows": len(learned.rows), "files": list(own.data), "pairs": len(judged),
        "held_out": len(held_out.rows), "too_long": len(learned.too_long) + len(held_out.too_long),
    }  # fmt: skip
    return Material(
        learned, held_out, judged, facts, _inputs(settings), tuple(_known(own.init_adapter, held_out.rows, own.pairs))
    )


def _judged(files: Sequence[str]) -> Sequence[Row]:
    """Pairs of files.

    Raises:
        DataFault: they can't be read, or hold something else.
    """
    found = load_dataset([Path(each) for each in files])
    if other := [row for row in found.rows if not isinstance(row, Preference)]:
        raise DataFault(
            f"--pairs holds {counted(len(other), 'row')} without a better and a worse answer, the first at {other[0].place}",
            hint="give rows with prompt, chosen and rejected",
        )
    return rows_for(found, PAIRS_OF)


def _conversations(files: Sequence[str]) -> list[Prompted]:
    """Prompts of files.

    Raises:
        DataFault: they can't be read, or are beginnings of texts, which pairs can't hold.
    """
    rows = rows_for(load_dataset([Path(each) for each in files], as_prompts=True), PROMPTS_OF)
    found = [row for row in rows if isinstance(row, Prompted)]
    if text := next((row for row in found if row.text), None):
        raise DataFault(f"{text.place} holds a plain text, and self-reward answers prompts", hint="give rows with a 'prompt'")
    return found


def _encoded(formatter: Formatter, rows: Sequence[Row], room: int, announce: Announce) -> Encoding:
    encoding = encode_prompts(formatter, rows, room)
    require_rows(encoding, least=1, max_length=room)
    if encoding.too_long:
        announce(f"{len(encoding.too_long)} prompts are longer than {room} tokens and left out, e.g. {encoding.too_long[0]}")
    return encoding


def _pair(at: int, row: Preference, asked: dict[Any, Prompted]) -> Pair:
    fields = asked[row.prompt].fields if row.prompt in asked else {}
    return Pair(at, Sample(row.prompt, row.chosen, fields), Sample(row.prompt, row.rejected, fields))


def _inputs(settings: Settings) -> dict[str, str]:
    """Hashes of what a run was made of: gone on with, it must be the same.

    Raises:
        TrainingError: one can't be read.
    """
    own, faults = settings.rounds, list[str]()
    made_of: TrainingConfig = replace(
        settings.training, init_adapter=own.init_adapter, grader=(own.judge,) if own.judge else (), eval_grader=()
    )
    found = other_hashes(made_of, (), faults)
    if faults:
        raise TrainingError(
            "; ".join(faults), hint="name an adapter's folder with --init-adapter, a grader or an adapter with --judge"
        )
    return found


def _known(adapter: str, rows: Sequence[Row], files: Sequence[str]) -> list[str]:
    """What to know of held-out prompts that the first adapter may have been trained on."""
    if not adapter:
        return []
    manifest = read_manifest(Path(adapter))
    return overlap(manifest.name, Path(adapter), manifest, rows, [Path(each) for each in files])
