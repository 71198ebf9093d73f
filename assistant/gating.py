"""The gate: two adapters answer the same questions from the same passages, and every metric is compared (DESIGN §4).

Each question is searched and judged once; whether it is refused before the model runs is the same for both. Then one side answers
all questions, then the other: two swaps in all, and the base stays loaded.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from assistant.adapters.gate import Gate, Latency, decide, power, side
from assistant.adapters.selection import Selection
from assistant.answering import Assistant
from assistant.checking.answer_text import split_answer
from assistant.evaluation import EvalReport, Outcome, judge_answer, retrieval_scores, summarise
from assistant.paired import Difference, Tally, difference, median_ratio
from assistant.records import Answer, Retrieved, Step
from indexes.questions_file import LabelledQuestion

METRICS = (
    "token_f1",
    "answer_contained",
    "right_source",
    "citation_precision",
    "abstention_precision",
    "abstention_recall",
    "answered",
)
"""What is compared, higher is better in each. ``answered`` is the share of answerable questions that weren't refused: what
``needless_refusals`` counts, the other way around. The others are those of `evaluation`, and `citations_of`'s."""

Selections = Mapping[Step, Selection]
Progress = Callable[[int, int], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Frozen:
    """A question with what was found for it."""

    question: LabelledQuestion
    found: Retrieved
    retrieved: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Contest:
    """What two sides did on the same questions."""

    ours: EvalReport
    theirs: EvalReport


def hold(
    assistant: Assistant,
    questions: Sequence[LabelledQuestion],
    *,
    ours: Selections,
    theirs: Selections,
    on_progress: Progress = lambda _done, _of: None,
    announce: Callable[[str], None] = lambda _: None,
) -> Contest:
    """Let both sides answer; the baseline's adapters stay at the end.

    Args:
        assistant: its model takes adapters.
        questions: what is asked.
        ours: the adapters on trial.
        theirs: the baseline's; none: the base.
        on_progress: told steps done, and of how many.
        announce: told what the user should know of an adapter.

    Raises:
        ModelError: an adapter can't be used, or the model can't answer.
        KeyboardInterrupt: Ctrl-C.
    """
    step = _counting(3 * len(questions), on_progress)
    frozen = [step(Frozen(each, assistant.retrieve(each.question), retrieval_scores(assistant, each))) for each in questions]
    reports = []
    for selections in (ours, theirs):
        assistant.model.use_adapters(selections, announce)
        reports.append(summarise([step(_answered(assistant, each)) for each in frozen]))
    return Contest(*reports)


def judge(assistant: Assistant, contest: Contest, *, ours: Selections, theirs: Selections, file: Mapping[str, object]) -> Gate:
    """Compare what the two sides did.

    Args:
        assistant: who answered.
        contest: what both did.
        ours: the adapters on trial.
        theirs: the baseline's.
        file: what is known of the questions: hash and name of their file.
    """
    n, metrics = contest.ours.n, compare(contest)
    verdict, reason = decide(metrics, n)
    known = assistant.model.identity
    return Gate(
        verdict=verdict,
        reason=reason,
        power=power(metrics),
        adapter=side(ours.get("answer", ())),
        baseline=side(theirs.get("answer", ())),
        questions={**file, "n": n},
        setting={
            "index": list(assistant.index_names),
            "model": assistant.model_name,
            "base": known.get("weights"),
            "quantization": known.get("quantization"),
            "dtype": str(known["dtype"]).removeprefix("torch.") if "dtype" in known else None,
        },
        metrics=metrics,
        latency=_latency(contest),
    )


def compare(contest: Contest) -> dict[str, Difference]:
    """Every metric that both sides have, by name."""
    ours, theirs = ([_tallies(outcome) for outcome in report.outcomes] for report in (contest.ours, contest.theirs))
    found = {}
    for name in METRICS:
        pair = [[tallies.get(name, Tally()) for tallies in one] for one in (ours, theirs)]
        if (compared := difference(*pair)) is not None:
            found[name] = compared
    return found


def citations_of(answer: Answer) -> Tally:
    """How many of the sentences that the model gave markers to are supported by what they cite.

    Its own markers count, as it wrote them: the check takes wrong ones off and adds those that are missing. Of an answer that
    became an abstention, because nothing of it was supported, every sentence with a marker counts as wrong.
    """
    said = split_answer(answer.trace.written) if answer.trace and answer.trace.written.strip() else []
    cites = [bool(one.cited) for one in said]
    if answer.status == "abstained":
        return Tally(0, sum(cites))
    supported = [sentence.verdict == "supported" for sentence in answer.sentences]
    if all(supported):  # word for word: such an answer is taken apart in a simpler way
        return Tally(sum(cites), sum(cites))
    return Tally(sum(right for right, cited in zip(supported, cites, strict=True) if cited), sum(cites))


def _tallies(outcome: Outcome) -> dict[str, Tally]:
    scores = outcome.scores
    found = {name: Tally(scores[name], 1) for name in METRICS if name in scores}
    if "needless_refusals" in scores:
        found["answered"] = Tally(1 - scores["needless_refusals"], 1)
    return found | {"citation_precision": citations_of(outcome.answer)}


def _answered(assistant: Assistant, frozen: Frozen) -> Outcome:
    return judge_answer(frozen.question, assistant.answer_from(frozen.found), frozen.retrieved)


def _latency(contest: Contest) -> Latency | None:
    sides = [list(_written_ms(report)) for report in (contest.ours, contest.theirs)]
    if not sides[0]:
        return None
    ours, theirs = sides
    return Latency(statistics.median(ours), statistics.median(theirs), median_ratio(ours, theirs))


def _written_ms(report: EvalReport) -> Iterator[float]:
    """Of the questions that reached the model: the same ones on both sides."""
    for outcome in report.outcomes:
        trace = outcome.answer.trace
        if trace and trace.grounding and trace.grounding.answerable:
            yield max(outcome.answer.timings.total, 0.1)


def _counting(of: int, on_progress: Progress) -> Callable[[T], T]:
    """What it is given goes through, and is counted."""
    done = 0

    def step(value: T) -> T:
        nonlocal done
        done += 1
        on_progress(done, of)
        return value

    return step
