"""Answers of a round's model: several to each prompt to be judged, and one to each held-out prompt to be compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from finetune.base_model import Base
from finetune.data.rows import Prompted
from finetune.encoding import Encoding
from finetune.graders.grader import Sample
from finetune.reinforcement.rollouts import Sampling, distinct_2, write_answers
from finetune.reinforcement.scored import sample_of
from finetune.self_rewarding.chunks import Line, in_parts, seed_for
from finetune.self_rewarding.settings import SelfRewarding
from finetune.side_by_side.judges import stops_of


@dataclass(frozen=True, slots=True)
class Answer:
    """What was written to a prompt.

    Attributes:
        prompt: its number.
        sample: the answer with its prompt and its row.
        tokens: ids, with the one that ended it.
        ended: whether it ended by itself.
    """

    prompt: int
    sample: Sample
    tokens: tuple[int, ...]
    ended: bool

    @property
    def empty(self) -> bool:
        """Whether it says nothing."""
        return not self.sample.completion.strip()


def write_all(
    base: Base, prompts: Encoding, settings: SelfRewarding, file: Path, *, each: int, what: Sequence[object]
) -> list[list[Answer]]:
    """Answer all prompts, or read what was answered before.

    Args:
        base: what writes, with the adapter that it wears now.
        prompts: ids and rows.
        settings: how answers are drawn.
        file: where they are kept.
        each: answers to a prompt.
        what: they are for: their seed.

    Returns:
        The answers to each prompt.
    """
    sampling = Sampling(settings.temperature, 0, 1.0, stops_of(base), base.formatter.pad_id(), settings.write_batch)

    def write(part: range) -> list[Line]:
        places = [at for at in part for _ in range(each)]
        ids = [prompts.features[at]["prompt_ids"] for at in places]
        seed = seed_for(settings.seed, *what, part.start)
        written = write_answers(base.loaded.model, ids, [settings.answer_tokens] * len(ids), sampling, seed=seed, at=places)
        texts = [sample_of(one, prompts.rows[one.at], base.formatter).completion for one in written]
        by_prompt = [slice(start, start + each) for start in range(0, len(written), each)]
        return [
            {
                "answers": texts[own],
                "tokens": [one.answer for one in written[own]],
                "ended": [one.ended for one in written[own]],
            }
            for own in by_prompt
        ]

    lines = in_parts(file, len(prompts.rows), write)
    return [_answers(at, line, prompts) for at, line in enumerate(lines)]


def _answers(at: int, line: Line, prompts: Encoding) -> list[Answer]:
    row = prompts.rows[at]
    if not isinstance(row, Prompted):
        raise TypeError(type(row).__name__)
    found = zip(line["answers"], line["tokens"], line["ended"], strict=True)
    return [Answer(at, Sample(row.prompt, text, row.fields), tuple(tokens), ended) for text, tokens, ended in found]


def told_of(answers: Sequence[Answer]) -> dict[str, float]:
    """What degenerates first: mean tokens, the shares that ended and that are empty, distinct-2; and of how many answers."""
    return {
        "answers": len(answers),
        "tokens": fmean(len(one.tokens) for one in answers),
        "ended": fmean(one.ended for one in answers),
        "empty": fmean(one.empty for one in answers),
        "distinct_2": distinct_2([one.tokens for one in answers]),
    }
