"""`assistant eval`: the whole path over a file of questions, in numbers with 95 % intervals.

Retrieval is measured where sources are given, answers where answers are, abstention where some questions are unanswerable.
Each metric is a mean over its questions, so that it has a bootstrap interval and two runs can be compared pairwise.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from assistant.answering import Assistant, readable_question
from assistant.records import Answer
from indexes.evaluation import Interval, bootstrap, contains, ndcg_at, normalised, recall_at, reciprocal_rank
from indexes.questions_file import LabelledQuestion

RETRIEVED = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question's answer and its scores, by metric."""

    question: LabelledQuestion
    answer: Answer
    scores: dict[str, float]


@dataclass(frozen=True, slots=True)
class EvalReport:
    """What an evaluation found.

    Attributes:
        n: questions asked.
        metrics: by name, in a fixed order.
        outcomes: question by question.
    """

    n: int
    metrics: dict[str, Interval]
    outcomes: tuple[Outcome, ...]


def evaluate(
    assistant: Assistant, questions: Sequence[LabelledQuestion], *, on_progress: Callable[[int, int], None] = lambda _a, _b: None
) -> EvalReport:
    """Ask every question and score the answers.

    Raises:
        KeyboardInterrupt: Ctrl-C while an answer was written.
    """
    outcomes = []
    for number, question in enumerate(questions, 1):
        answer = assistant.ask(question.question)
        outcomes.append(judge_answer(question, answer, retrieval_scores(assistant, question)))
        on_progress(number, len(questions))
    return summarise(outcomes)


def summarise(outcomes: Sequence[Outcome]) -> EvalReport:
    """Make means with intervals of all questions' scores."""
    values: defaultdict[str, list[float]] = defaultdict(list)
    for outcome in outcomes:
        for name, value in outcome.scores.items():
            values[name].append(value)
    metrics = {name: bootstrap(scores) for name, scores in values.items()}
    latencies = [outcome.answer.timings.total for outcome in outcomes]
    median = statistics.median(latencies)
    metrics["latency_ms_median"] = Interval(median, min(latencies), max(latencies))
    return EvalReport(len(outcomes), metrics, tuple(outcomes))


def retrieval_scores(assistant: Assistant, question: LabelledQuestion) -> dict[str, float]:
    """How well the right sources are found; empty where none is given."""
    if not question.sources:
        return {}
    hits = assistant.searcher.search(readable_question(question.question), k=RETRIEVED)
    ranked = list(dict.fromkeys(hit.source for hit in hits))
    relevant = set(question.sources)
    return {
        "recall_at_10": recall_at(ranked, relevant, RETRIEVED),
        "ndcg_at_10": ndcg_at(ranked, relevant, RETRIEVED),
        "mrr": reciprocal_rank(ranked, relevant),
    }


def judge_answer(question: LabelledQuestion, answer: Answer, retrieved: Mapping[str, float]) -> Outcome:
    """Score an answer, beside what its retrieval scored.

    Raises:
        KeyboardInterrupt: the answer was interrupted: a half one can't be scored.
    """
    if answer.status == "interrupted":
        raise KeyboardInterrupt
    scores = {} if question.unanswerable else _answer_scores(question, answer)
    return Outcome(question, answer, {**retrieved, **scores, **_abstention_scores(question, answer)})


def _answer_scores(question: LabelledQuestion, answer: Answer) -> dict[str, float]:
    scores: dict[str, float] = {}
    if question.answers:
        contained = any(contains(answer.text, gold) for gold in question.answers) and answer.status == "answered"
        scores["answer_contained"] = float(contained)
        scores["token_f1"] = max(token_f1(answer.text, gold) for gold in question.answers) if contained else 0.0
    if question.sources:
        cited = {citation.source for citation in answer.citations}
        scores["right_source"] = float(bool(cited & set(question.sources)))
        if question.answers:
            scores["answered_right"] = scores["answer_contained"] * scores["right_source"]
    return scores


def _abstention_scores(question: LabelledQuestion, answer: Answer) -> dict[str, float]:
    """Precision is over the questions refused, recall over those that are unanswerable."""
    scores: dict[str, float] = {}
    refused = answer.status == "abstained"
    if refused:
        scores["abstention_precision"] = float(question.unanswerable)
    if question.unanswerable:
        scores["abstention_recall"] = float(refused)
    else:
        scores["needless_refusals"] = float(refused)
    return scores


def token_f1(text: str, gold: str) -> float:
    """Harmonic mean of precision and recall over shared words (SQuAD's F1)."""
    words, wanted = Counter(normalised(text)), Counter(normalised(gold))
    shared = sum((words & wanted).values())
    return 2 * shared / (words.total() + wanted.total()) if shared else 0.0
