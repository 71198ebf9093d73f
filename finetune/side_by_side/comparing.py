"""Two adapters of one base on the same prompts: each answers, judges say which answer is better.

The base is loaded once; adapters are switched as the assistant switches them, after the same checks. A judge that is a reward
adapter of this base, or the base itself, needs no second copy of it.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from assistant.adapters.admitting import admit
from assistant.adapters.identity import identify_base
from assistant.adapters.manifest import FILE, read_manifest
from assistant.adapters.preflight import Preflight, check_adapter
from assistant.adapters.selection import NONE, Chosen, Selection
from assistant.adapters.swapping import Adapters
from assistant.errors import ModelError
from assistant.models.loading import Request, load
from assistant.models.memory import QUANTIZATIONS, Quantization
from assistant.models.quiet import quiet
from finetune.base_model import Base, keep_unpacked
from finetune.data.faults import data_hash, load_dataset, rows_for
from finetune.encoding import Encoding, require_rows
from finetune.formatting import Formatter
from finetune.graders.function import TIMEOUT_S
from finetune.graders.grader import Sample
from finetune.graders.opening import Context, open_graders
from finetune.reinforcement.rollouts import Sampling, distinct_2, encode_prompts, write_answers
from finetune.reinforcement.scored import sample_of
from finetune.side_by_side.judges import Announce, ChatJudge, GraderJudge, HumanJudge, Judge, Pair, stops_of
from finetune.side_by_side.overlap import overlap
from finetune.side_by_side.side_by_side import Judged, Result, summarise
from indexes.errors import UsageError

LLM, HUMAN = "llm:", "human"
VERDICTS = "human.jsonl"
POSITIVE = ("samples", "answer_tokens", "batch", "temperature", "grader_timeout")
NOT_NEGATIVE = ("most", "margin")
DEVICES = ("auto", "cpu", "cuda", "mps")
PROMPTS_OF = "ppo"
"""A method that learns from prompts: rows are read as it reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing:
    """What is to be compared, and how.

    Attributes:
        a, b: adapters' folders, or ``none`` for the base.
        prompts: files of rows; of each its prompt counts.
        judges: each a grader, ``llm:MODEL`` or ``human``.
        base: the model; empty: that of the adapters.
        samples: answers to each prompt; 1 is written greedily, more are drawn.
        most: prompts that are used; 0: all.
        answer_tokens: of an answer, at most.
        prompt_tokens: of a plain text, the first tokens that are the prompt: the fewest and the most.
        temperature: of drawing.
        margin: scores that differ by no more are a tie.
        seed: of what is drawn, and of the bootstrap.
        quantization: the form that the base is kept in.
        device: ``auto`` takes the fastest.
        batch: answers written at once.
        grader_timeout: seconds that a function of the user's may take for a batch.
        trust_base: take adapters without a manifest.
        out: where records go; None: nowhere.
    """

    a: str
    b: str
    prompts: tuple[Path, ...]
    judges: tuple[str, ...]
    base: str = ""
    samples: int = 1
    most: int = 0
    answer_tokens: int = 160
    prompt_tokens: tuple[int, int] = (2, 8)
    temperature: float = 1.0
    margin: float = 0.0
    seed: int = 0
    quantization: Quantization = "none"
    device: str = "auto"
    batch: int = 16
    grader_timeout: float = TIMEOUT_S
    trust_base: bool = False
    out: Path | None = None

    def check(self) -> None:
        """See that it can be done, before anything is loaded.

        Raises:
            UsageError: with all faults.
        """
        faults = [] if self.judges else ["no judge is given"]
        faults += [self._wrong(name, "must be above 0") for name in POSITIVE if not getattr(self, name) > 0]
        faults += [self._wrong(name, "can't be negative") for name in NOT_NEGATIVE if not getattr(self, name) >= 0]
        if HUMAN in self.judges and self.out is None:
            faults.append("a person's verdicts are kept, and there is no folder for them (--out)")
        if len(set(self.judges)) < len(self.judges):
            faults.append("a judge is named twice")
        if self.a == self.b == NONE and not self.base:
            faults.append("both sides are the base, and no base is named (--base)")
        faults += [
            self._wrong(name, f"must be one of {', '.join(values)}")
            for name, values in (("quantization", QUANTIZATIONS), ("device", DEVICES))
            if getattr(self, name) not in values
        ]
        if faults:
            raise UsageError("; ".join(faults), hint=f"--judge takes a grader as in --grader, {LLM}MODEL, or {HUMAN}")

    def _wrong(self, name: str, what: str) -> str:
        return f"{name} is {getattr(self, name)!r}: it {what}"


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        name: as it is shown.
        preflight: what is known of the adapter; None: the base alone.
    """

    name: str
    preflight: Preflight | None

    @property
    def selection(self) -> Selection:
        """What shapes its answers."""
        one = self.preflight
        return (Chosen(one.name, one.folder, one.fingerprint, slow=one.slow),) if one else ()

    def document(self) -> dict[str, Any]:
        """As JSON."""
        one = self.preflight
        if one is None:
            return {"name": self.name, "path": None, "fingerprint": None, "method": None}
        return {"name": self.name, "path": str(one.folder), "fingerprint": one.fingerprint,
                "method": one.manifest.method if one.manifest else None}  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """What came of it.

    Attributes:
        comparing: what was asked for.
        base: the model's name.
        a, b: the sides.
        pairs: their answers.
        judged: verdicts on them, by judge; fewer than pairs where somebody stopped.
        warnings: what to know before trusting it.
        figures: of each side's answers, by what is told.
        data: hash and number of the prompts, and how many were too long.
    """

    comparing: Comparing
    base: str
    a: Side
    b: Side
    pairs: Sequence[Pair]
    judged: dict[str, list[Judged]]
    warnings: tuple[str, ...]
    figures: dict[str, tuple[float, float]]
    data: dict[str, Any] = field(default_factory=dict)

    def results(self) -> dict[str, Result]:
        """Verdicts put together, by judge; without those of whom there are none."""
        return {name: summarise(judged, seed=self.comparing.seed) for name, judged in self.judged.items() if judged}


def compare(comparing: Comparing, *, read: Callable[[], str], write: Callable[[str], Any], announce: Announce) -> Compared:
    """Let both sides answer, and judges say who is better.

    Args:
        comparing: what is compared.
        read: a person's next key.
        write: shows a person something.
        announce: told what goes on.

    Raises:
        UsageError, DataFault, ModelError, TrainingError: the cheapest first.
    """
    comparing.check()
    rows = rows_for(load_dataset(comparing.prompts, as_prompts=True), PROMPTS_OF)
    rows = rows[: comparing.most] if comparing.most else rows
    base = _load_base(comparing, announce)
    a, b = (_side(each, base, comparing, announce) for each in (comparing.a, comparing.b))
    if a.name == b.name and a.preflight and b.preflight:
        a, b = (Side(str(each.preflight.folder), each.preflight) for each in (a, b) if each.preflight)
    encoding = encode_prompts(
        base.formatter, rows, base.loaded.context - comparing.answer_tokens, tokens=comparing.prompt_tokens, seed=comparing.seed
    )
    require_rows(encoding, least=1, max_length=base.loaded.context - comparing.answer_tokens)
    known = [each.preflight for each in (a, b) if each.preflight]
    told = [overlap(one.name, one.folder, one.manifest, encoding.rows, comparing.prompts) for one in known if one.manifest]
    warnings = [*dict.fromkeys(line for each in told for line in each), *_same_weights(a, b)]
    for line in warnings:
        announce(f"warning: {line}")
    pairs, figures = _answers(comparing, base, (a, b), encoding, announce)
    judged = {}
    for spec in comparing.judges:
        announce(f"{spec} judges {len(pairs)} pairs")
        judged[spec] = _judge(spec, comparing, base, pairs, read=read, write=write, announce=announce)
    data = {"files": [str(each) for each in comparing.prompts], "hash": data_hash(encoding.rows), "prompts": len(encoding.rows),
            "too_long": len(encoding.too_long)}  # fmt: skip
    return Compared(comparing, base.loaded.name, a, b, pairs, judged, tuple(warnings), figures, data)


def _load_base(comparing: Comparing, announce: Announce) -> Base:
    named = comparing.base or next(_base_of(Path(each), comparing) for each in (comparing.a, comparing.b) if each != NONE)
    return load_writer(named, comparing, announce)


def load_writer(name: str, comparing: Comparing, announce: Announce) -> Base:
    """Load a model that writes, as it is served, but in full precision where it computes on a CPU."""
    cpu = comparing.device == "cpu" or (comparing.device == "auto" and not torch.cuda.is_available())
    request = Request(comparing.quantization, comparing.device, "fp32" if cpu else "auto")  # type: ignore[arg-type]
    loaded = load(name, request, announce=announce)
    keep_unpacked(loaded.model)
    return Base(loaded, Formatter.of(loaded.tokenizer, loaded.family, loaded.model.generation_config), ())


def _base_of(folder: Path, comparing: Comparing) -> str:
    if comparing.trust_base and folder.is_dir() and not (folder / FILE).is_file():
        raise UsageError(f"nothing says which base {str(folder)!r} belongs to", hint="name it with --base")
    return read_manifest(folder).base.id


def _side(spec: str, base: Base, comparing: Comparing, announce: Announce) -> Side:
    """Check an adapter against the base, by its files."""
    if spec == NONE:
        return Side(NONE, None)
    found = check_adapter(Path(spec), identify_base(base.loaded, None), models=None, trust_base=comparing.trust_base)
    if found.role == "reward":
        raise ModelError(f"{spec!r} scores answers and writes none", hint=f"give it as a judge: --judge {spec}")
    for warning in found.warnings:
        announce(f"the adapter {found.name}: {warning}")
    return Side(found.name, found)


def _answers(
    comparing: Comparing, base: Base, sides: tuple[Side, Side], encoding: Encoding, announce: Announce
) -> tuple[list[Pair], dict[str, tuple[float, float]]]:
    """Both sides' answers in pairs, prompt by prompt, and what is to be told of them: the base is left without adapters."""
    greedy = comparing.samples == 1
    sampling = Sampling(
        1.0 if greedy else comparing.temperature, int(greedy), 1.0, stops_of(base), base.formatter.pad_id(), comparing.batch
    )
    places = [at for at in range(len(encoding.rows)) for _ in range(comparing.samples)]
    prompts = [encoding.features[at]["prompt_ids"] for at in places]
    answers: list[list[Sample]] = []
    told: list[dict[str, float]] = []
    with closing(Adapters(base.loaded.model)) as adapters, quiet():
        for side in sides:
            announce(
                f"{side.name} answers {len(encoding.rows)} prompts" + ("" if greedy else f", {comparing.samples} times each")
            )
            admit(adapters, side.selection, base.loaded, announce)
            with adapters.using(side.selection):
                written = write_answers(
                    base.loaded.model, prompts, [comparing.answer_tokens] * len(prompts), sampling, seed=comparing.seed, at=places
                )
            answers.append([sample_of(each, encoding.rows[each.at], base.formatter) for each in written])
            told.append({
                "tokens": sum(len(each.answer) for each in written) / len(written),
                "ended": sum(each.ended for each in written) / len(written),
                "distinct_2": distinct_2([each.answer for each in written]),
            })  # fmt: skip
    pairs = [Pair(at, one, other) for at, one, other in zip(places, *answers, strict=True)]
    return pairs, {name: (told[0][name], told[1][name]) for name in told[0]}


def _judge(
    spec: str, comparing: Comparing, base: Base, pairs: Sequence[Pair], *, read: Callable[[], str], write: Callable[[str], Any],
    announce: Announce,
) -> list[Judged]:  # fmt: skip
    with quiet():
        judge, close = _open_judge(spec, comparing, base, read=read, write=write, announce=announce)
    try:
        return judge.judge(pairs)
    finally:
        close()


def _open_judge(
    spec: str, comparing: Comparing, base: Base, *, read: Callable[[], str], write: Callable[[str], Any], announce: Announce
) -> tuple[Judge, Callable[[], None]]:
    if spec == HUMAN:
        return HumanJudge((comparing.out or Path()) / VERDICTS, read=read, write=write), lambda: None
    if spec.startswith(LLM):
        name = spec.removeprefix(LLM)
        if not name:
            raise UsageError(f"{spec!r} names no model", hint=f"--judge {LLM}MODEL")
        own = name in (base.loaded.name, str(base.loaded.checkpoint.folder))
        return ChatJudge(spec, base if own else load_writer(name, comparing, announce), announce), lambda: None
    grader = open_graders([spec], Context(base=base, timeout_s=comparing.grader_timeout, announce=announce))
    return GraderJudge(spec, grader, comparing.margin), grader.close


def _same_weights(a: Side, b: Side) -> list[str]:
    same = [each.fingerprint for each in a.selection] == [each.fingerprint for each in b.selection]
    return ["both sides have the same weights: what differs is chance"] if same else []
