"""What happens between two trainings, with the model of a round in memory: it is measured, it writes candidates, they are judged.

All that is written down lies in ``OUT/written/N``: what is there is not done again.

    held_out.jsonl, candidates.jsonl    answers
    *_scores.jsonl                      what a model's judgement said of them
    brakes.json                         what the judge and the round are worth, and what speaks against them
    pairs.jsonl, pairs.json             what the next round learns from, and what is known of it
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assistant.adapters.manifest import FILE, read_manifest
from assistant.adapters.selection import NONE
from finetune.data.rows import Prompted
from finetune.graders.opening import Context, open_graders
from finetune.run_folder.documents import plain
from finetune.run_folder.files import make_folder, read_file, write_file
from finetune.self_rewarding.brakes import judge_figures, judge_stops, pair_figures, pair_stops, round_stops
from finetune.self_rewarding.candidates import Answer, told_of, write_all
from finetune.self_rewarding.judge import GradedJudge, Judge, RubricJudge
from finetune.self_rewarding.material import Material
from finetune.self_rewarding.pairing import make_pairs
from finetune.self_rewarding.policy import Policy, open_policy
from finetune.self_rewarding.settings import Settings
from finetune.side_by_side.judges import Pair
from finetune.side_by_side.side_by_side import summarise
from finetune.statistics import as_document, mean_interval

WRITTEN, ROUNDS = "written", "rounds"
BRAKES, PAIRS, MADE = "brakes.json", "pairs.jsonl", "pairs.json"
OWN_JUDGE = "the model itself, by a rubric"
SHOWN = 12
"""Pairs that the report shows."""
Document = dict[str, Any]
Announce = Callable[[str], None]


class Session:
    """What one round's model does before the next is trained.

    Args:
        settings: of all rounds.
        material: rows of all rounds.
        number: of the rounds that made this model; 0: the first one.
        announce: told what goes on.
    """

    def __init__(self, settings: Settings, material: Material, number: int, announce: Announce) -> None:
        self._settings, self._material, self._number, self._announce = settings, material, number, announce
        self._own = settings.rounds
        self._folder = Path(self._own.out) / WRITTEN / str(number)

    @property
    def pairs_file(self) -> Path:
        """What the next round learns from."""
        return self._folder / PAIRS

    def run(self, *, last: bool) -> tuple[Document, Document | None]:
        """Measure the model, and have it write pairs unless it is the last one, or something speaks against it.

        Returns:
            What speaks against the judge and the round, and what is known of the pairs.

        Raises:
            UserError: the model, an adapter or a judge can't be used.
        """
        brakes, made = self._read(BRAKES), self._read(MADE)
        if brakes and (made or last or brakes["stops"]):
            return brakes, made
        with open_policy(self._settings.training, self._announce) as policy, self._judges(policy) as judge:
            if brakes is None:
                brakes = self._measure(policy, judge)
                self._write(BRAKES, brakes)
            if not brakes["stops"] and not last:
                made = self._make(policy, judge, brakes)
        return brakes, made

    def _adapter(self, number: int) -> Path | None:
        return adapter_of(self._settings, number)

    @contextmanager
    def _judges(self, policy: Policy) -> Iterator[Callable[[int], Judge]]:
        """The judge of each round, by its number: with a judge of its own always the same."""
        spec = self._own.judge
        if spec and not is_judging_adapter(spec):
            with open_graders(
                [spec], Context(policy.base, timeout_s=self._own.grader_timeout, announce=self._announce)
            ) as grader:
                yield lambda _: GradedJudge(grader)
        elif spec:
            yield lambda _: RubricJudge(spec, policy.wearing, None if spec == NONE else Path(spec), self._own)
        else:
            yield lambda number: RubricJudge(OWN_JUDGE, policy.wearing, self._adapter(number), self._own)

    def _measure(self, policy: Policy, judge: Callable[[int], Judge]) -> Document:
        figures, stops = self._judge_figures(judge)
        document: Document = {"round": self._number, "judge": figures, "answers": None, "score": None, "win": None}
        if not stops or self._number:
            compared, against = self._compared(policy, judge)
            document |= compared
            stops += against
        return document | {"stops": stops}

    def _judge_figures(self, judge: Callable[[int], Judge]) -> tuple[Document, list[str]]:
        """What the judge is worth on the people's pairs; one that stays is measured once."""
        first = self._read(BRAKES, 0)
        if self._number and self._own.judge and first:
            return {**first["judge"], "measured": 0}, []
        pairs, own = self._material.pairs, judge(self._number)
        self._announce(f"{own.name} judges {len(pairs)} held-out pairs")
        judged, scores = own.judge(pairs, self._folder / "held_out_scores.jsonl", what=("held-out pairs", self._number))
        figures = judge_figures(judged, self._material.lengths, scores, alone=own.alone, seed=self._own.seed)
        named = {"name": own.name, "alone": own.alone, "measured": self._number}
        return figures.document() | named, [*judge_stops(figures, self._own), *own.chance(pairs)]

    def _held_out(self, policy: Policy, number: int) -> list[Answer]:
        """Answers of a round's model to the held-out prompts; those of the round before are there already."""
        prompts, file = self._material.held_out, self._folder.parent / str(number) / "held_out.jsonl"
        if number == self._number:
            self._announce(f"{len(prompts.rows)} held-out prompts are answered")
        with policy.wearing(self._adapter(number)) as base:
            found = write_all(base, prompts, self._own, file, each=1, what=("held-out prompts",))
        return [own[0] for own in found]

    def _compared(self, policy: Policy, judge: Callable[[int], Judge]) -> tuple[Document, list[str]]:
        """The model against the one before, by the judge that taught it; of the first one what its answers are worth."""
        number, seed, file = self._number, self._own.seed, self._folder / "compared_scores.jsonl"
        answers = self._held_out(policy, number)
        told = told_of(answers)
        if not number:
            found = judge(0).score([one.sample for one in answers], file, what=("answers", 0)).each
            return {"answers": told, "score": _mean(found, seed)}, []
        before = self._held_out(policy, number - 1)
        pairs = [Pair(at, new.sample, old.sample) for at, (new, old) in enumerate(zip(answers, before, strict=True))]
        judged, _ = judge(number - 1).judge(pairs, file, what=("rounds", number))
        win = summarise(judged, seed=seed)
        first: Document = self._read(BRAKES, 0) or {}
        document = {"answers": told, "win": win.document(), "score": _mean([each.a for each in judged], seed)}
        return document, list(round_stops(win, told, first["answers"], self._own))

    def _make(self, policy: Policy, judge: Callable[[int], Judge], brakes: Mapping[str, Any]) -> Document:
        """Candidates, their scores, and pairs."""
        prompts, own, number = self._material.prompts, self._own, self._number
        self._announce(f"{len(prompts.rows)} prompts are answered {own.candidates} times each")
        with policy.wearing(self._adapter(number)) as base:
            answers = write_all(
                base, prompts, own, self._folder / "candidates.jsonl", each=own.candidates, what=("candidates", number)
            )
        samples = [one.sample for each in answers for one in each]
        self._announce(f"{judge(number).name} judges {len(samples)} answers")
        scores = judge(number).score(samples, self._folder / "candidates_scores.jsonl", what=("judging", number))
        by_prompt = [scores.each[start : start + own.candidates] for start in range(0, len(samples), own.candidates)]
        made = make_pairs(answers, by_prompt, margin=own.margin, cut_may_win=own.cut_may_win)
        figures = pair_figures(made, [[one.sample.completion for one in each] for each in answers], scores, seed=own.seed)
        rows = [pair.row(_documents(prompts.rows[pair.better.prompt])) for pair in made.pairs]
        write_file(self.pairs_file, b"".join(json.dumps(row).encode() + b"\n" for row in rows))
        document = figures.document() | {
            "stops": list(pair_stops(figures, brakes["judge"]["longer_for_people"], own)),
            "answers": told_of([one for each in answers for one in each]),
            "shown": [{"prompt": pair.better.sample.asked, "better": pair.better.sample.completion,
                       "worse": pair.worse.sample.completion, "scores": pair.scores} for pair in made.pairs[:SHOWN]],
        }  # fmt: skip
        self._write(MADE, document)
        return document

    def _read(self, name: str, number: int | None = None) -> Document | None:
        content = read_file((self._folder if number is None else self._folder.parent / str(number)) / name)
        return None if content is None else dict(json.loads(content))

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        make_folder(self._folder)
        write_file(self._folder / name, json.dumps(plain(document), indent=1, allow_nan=False).encode() + b"\n")


def adapter_of(settings: Settings, number: int) -> Path | None:
    """The adapter that so many rounds have made; None: the base alone."""
    if number:
        return Path(settings.rounds.out) / ROUNDS / str(number)
    return Path(settings.rounds.init_adapter) if settings.rounds.init_adapter else None


def is_judging_adapter(spec: str) -> bool:
    """Whether a judge is an adapter that writes, or the base alone: it judges by the rubric."""
    return spec == NONE or ((Path(spec) / FILE).is_file() and read_manifest(Path(spec)).role != "reward")


def _mean(scores: Sequence[float | None], seed: int) -> Document | None:
    known = [score for score in scores if score is not None]
    return as_document(mean_interval(known, seed=seed)) if known else None


def _documents(row: Any) -> tuple[str, ...]:
    return row.documents if isinstance(row, Prompted) else ()
