"""Self-rewarding, what needs no model: scores that are read, pairs that are made, brakes that hold and don't."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from assistant.records import Message
from finetune.graders.grader import Sample
from finetune.self_rewarding.brakes import judge_figures, judge_stops, pair_figures, pair_stops, round_stops, spearman
from finetune.self_rewarding.candidates import Answer
from finetune.self_rewarding.chunks import PART, in_parts, seed_for
from finetune.self_rewarding.judge import Scores, read_score, rubric
from finetune.self_rewarding.pairing import Chosen, Made, make_pairs
from finetune.self_rewarding.settings import SelfRewarding, read_rounds
from finetune.side_by_side.side_by_side import TIE, A, B, Judged, summarise
from indexes.errors import UsageError

GIVEN = SelfRewarding(base="b", data=("d",), pairs=("p",), out="o")
FLAGS: dict[str, Any] = {"base": "b", "data": ["d"], "pairs": ["p"], "out": "o"}
TOLD = {"answers": 100.0, "tokens": 20.0, "ended": 0.9, "empty": 0.0, "distinct_2": 0.8}


def answer(text: str, *, ended: bool = True) -> Answer:
    return Answer(0, Sample((Message("user", "?"),), text, {}), tuple(map(ord, text)), ended)


# scores


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ("It is right.\nScore: 4", 4),
        ("**Score:** 3/5", 3),
        ("score = 2.5 out of 5.", 2.5),
        ("Points: 1", 1),
        ("Score: 1\nOn second thought:\nScore: 2", 2),
        ("4", 4),
        (" **5** points.", 5),
        ("Score: 0", 0),
        ("Score: 7", None),
        ("Score: 35", None),
        ("Score: 3/10", None),
        ("a score from 0 to 5: Score: 0 to 5", None),
        ("Score: -1", None),
        ("It has 4 sides.", None),
        ("Score: four", None),
        ("", None),
    ],
)
def test_a_score_is_read_or_nothing_is(said: str, score: float | None) -> None:
    assert read_score(said) == score


@given(st.text(), st.text())
def test_texts_stay_what_they_are_in_the_rubric(task: str, said: str) -> None:
    asked = rubric(task, said)
    assert f"=== Task ===\n{task.strip()}\n" in asked
    assert f"=== Answer ===\n{said.strip()}\n" in asked
    assert read_score(asked.rpartition("\n")[2]) == 3  # the form that is asked for is one that is read


# pairs


@given(st.lists(st.tuples(st.sampled_from(["", " ", "a", "b", "cc"]), st.none() | st.integers(0, 3), st.booleans()), max_size=6))
def test_a_pair_is_two_texts_apart_the_better_one_whole(told: list[tuple[str, int | None, bool]]) -> None:
    answers = [answer(text, ended=ended) for text, _, ended in told]
    made = make_pairs([answers], [[score for _, score, _ in told]], margin=1, cut_may_win=False)
    assert len(made.pairs) + made.left.total() == 1
    for pair in made.pairs:
        known = [score for text, score, _ in told if score is not None and text.strip()]
        assert pair.scores[1] == min(known)
        assert pair.scores[0] > pair.scores[1] + 1
        assert pair.better.ended
        assert pair.better.sample.completion.strip() != pair.worse.sample.completion.strip() != ""


@pytest.mark.parametrize(
    ("texts", "scores", "why"),
    [
        (["", " ", "a"], [0, 0, 1], "empty"),
        (["a", "b"], [None, 1], "unread"),
        (["a", "b"], [2, 2], "tie"),
        (["a", "b"], [2, 2.4], "close"),
        (["a ", "a"], [1, 4], "close"),
    ],
)
def test_why_a_prompt_has_no_pair(texts: list[str], scores: list[float | None], why: str) -> None:
    made = make_pairs([[answer(text) for text in texts]], [scores], margin=0.5, cut_may_win=False)
    assert (made.pairs, dict(made.left)) == ((), {why: 1})


def test_an_answer_that_was_cut_off_is_never_the_better_one() -> None:
    answers = [answer("cut", ended=False), answer("whole"), answer("worse")]
    made = make_pairs([answers], [[3, 2, 1]], margin=0, cut_may_win=False)
    assert made.pairs == (Chosen(answers[1], answers[2], (2, 1)),)
    assert make_pairs([answers], [[3, 2, 1]], margin=0, cut_may_win=True).pairs[0].better == answers[0]
    assert make_pairs([answers[::2]], [[3, 1]], margin=0, cut_may_win=False).left == {"cut": 1}


# the judge against people


def stops_of(
    verdicts: list[int], lengths: list[tuple[int, int]], *, unread: int = 0, alone: bool = True, **settings: Any
) -> list[str]:
    judged = [Judged(at, each, each) for at, each in enumerate(verdicts)]
    figures = judge_figures(judged, lengths, Scores([], 2 * len(judged), unread), alone=alone, seed=0)
    changed = SelfRewarding(base="b", data=("d",), pairs=("p",), out="o", **settings)
    return [line.partition(":")[0] for line in judge_stops(figures, changed)]


LONGER, SHORTER = (20, 10), (10, 20)
DISAGREE, LENGTH = "people disagree with the judge", "the judge pays for length"


@pytest.mark.parametrize(
    ("verdicts", "lengths", "said"),
    [
        ([A] * 70 + [B] * 30, [LONGER, SHORTER] * 50, []),
        ([A] * 54 + [B] * 46, [LONGER, SHORTER] * 50, [DISAGREE]),  # below the minimum
        ([A] * 7 + [B] * 3, [LONGER, SHORTER] * 5, [DISAGREE]),  # too few to be sure
        ([TIE] * 100, [LONGER, SHORTER] * 50, [DISAGREE]),
        ([B] * 100, [LONGER, SHORTER] * 50, [DISAGREE]),
        ([A] * 70 + [B] * 30, [LONGER] * 70 + [SHORTER] * 30, [LENGTH]),
        ([B] * 30 + [A] * 70, [LONGER] * 30 + [SHORTER] * 70, []),  # prefers the shorter one: that doesn't run away
        ([A] * 100, [LONGER] * 100, []),  # people too
    ],
)
def test_a_judge_is_held_against_people(verdicts: list[int], lengths: list[tuple[int, int]], said: list[str]) -> None:
    assert stops_of(verdicts, lengths) == said


def test_judgements_without_a_score_stop_it() -> None:
    assert stops_of([A] * 100, [LONGER, SHORTER] * 50, unread=101) == ["the judge doesn't answer as it is asked"]
    assert stops_of([A] * 100, [LONGER, SHORTER] * 50, unread=101, min_read=0.2) == []


def test_a_judge_that_pays_for_the_place_is_stopped_where_it_sees_one() -> None:
    judged = [Judged(at, A, B if at % 4 == 0 else A) for at in range(100)]
    figures = [judge_figures(judged, [LONGER, SHORTER] * 50, Scores([], 200, 0), alone=alone, seed=0) for alone in (False, True)]
    (said,) = judge_stops(figures[0], GIVEN)
    assert said.startswith("the judge pays for the place: the answer that stands first wins 125 verdicts, the other 75")
    assert list(judge_stops(figures[1], GIVEN)) == []
    assert figures[1].document()["place"] is None


# the pairs, and the round


def pairs_of(lengths: list[tuple[int, int]]) -> Made:
    rows = [[answer("b" * better), answer("w" * worse)] for better, worse in lengths]
    return make_pairs(rows, [[1, 0]] * len(rows), margin=0, cut_may_win=False)


@pytest.mark.parametrize(("longer", "people", "stopped"), [(30, 0.5, True), (18, 0.5, False), (30, 0.9, False)])
def test_pairs_that_the_longer_answer_wins_are_not_learned_from(longer: int, people: float, stopped: bool) -> None:
    made = pairs_of([(9, 4)] * longer + [(4, 9)] * (30 - longer))
    texts = [[pair.better.sample.completion, pair.worse.sample.completion] for pair in made.pairs]
    figures = pair_figures(made, texts, Scores([1.0, 0.0] * 30, 60, 0), seed=0)
    said = list(pair_stops(figures, {"value": people}, GIVEN))
    assert [line.partition(":")[0] for line in said] == [LENGTH] * stopped
    assert figures.correlation is not None
    assert figures.correlation.value == pytest.approx((2 * longer - 30) / 30)


def test_no_pairs_are_told_with_their_reasons() -> None:
    made = make_pairs([[answer("a"), answer("b")]] * 3 + [[answer(""), answer("")]], [[1, 1]] * 4, margin=0, cut_may_win=False)
    figures = pair_figures(made, [["a", "b"]] * 3 + [["", ""]], Scores([1.0] * 8, 8, 0), seed=0)
    (said,) = pair_stops(figures, None, GIVEN)
    assert "0 pairs were made" in said
    assert "of 3 prompts all answers score alike; of 1 prompts fewer than two answers say anything" in said


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12))
def test_the_correlation_is_spearmans(pairs: list[tuple[int, int]]) -> None:
    one, other = ([float(each) for each in side] for side in zip(*pairs, strict=True))
    if len(set(one)) > 1 and len(set(other)) > 1:
        assert spearman(one, other) == pytest.approx(spearmanr(one, other).statistic)


@pytest.mark.parametrize(
    ("wins", "now", "said"),
    [
        (60, {}, ""),
        (50, {}, ""),
        (30, {}, "the round lost against the one before: it wins 30.0 %"),
        (60, {"distinct_2": 0.63}, "its answers become one: distinct-2 fell from 0.800 before the first round to 0.630"),
        (60, {"empty": 0.2}, "its answers say nothing: 20.0 %"),
        (60, {"empty": 0.09}, ""),
        (60, {"ended": 0.4}, "its answers don't end: 40.0 %"),
        (60, {"ended": 0.5}, ""),
    ],
)
def test_a_round_is_held_against_the_one_before(wins: int, now: dict[str, float], said: str) -> None:
    win = summarise([Judged(at, A if at < wins else B, A if at < wins else B) for at in range(100)])
    found = list(round_stops(win, TOLD | now, TOLD, GIVEN))
    assert len(found) == bool(said)
    assert all(line.startswith(said) for line in found)


def test_few_answers_that_dont_end_may_be_chance() -> None:
    win = summarise([Judged(at, A, A) for at in range(8)])
    assert not list(round_stops(win, TOLD | {"answers": 8.0, "ended": 0.125}, TOLD | {"ended": 0.3}, GIVEN))


# work in parts, and settings


def test_work_is_gone_on_with_where_a_kill_left_it(tmp_path: Path) -> None:
    file, asked = tmp_path / "deep" / "lines.jsonl", list[range]()

    def work(part: range) -> list[dict[str, Any]]:
        asked.append(part)
        return [{"at": at, "seed": seed_for(3, "x", part.start)} for at in part]

    whole = in_parts(file, PART + 5, work)
    content = file.read_bytes()
    for left in (0, 3, PART, PART + 2):
        file.write_bytes(b"".join(content.splitlines(keepends=True)[:left]) + b'{"at": 1')
        asked.clear()
        assert in_parts(file, PART + 5, work) == whole
        assert file.read_bytes() == content
        assert asked == [range(PART), range(PART, PART + 5)][left >= PART :]
    asked.clear()
    assert in_parts(file, PART + 5, work) == whole
    assert asked == []


def test_seeds_differ_by_what_they_are_for() -> None:
    assert len({seed_for(seed, what, at) for seed in (0, 1) for what in ("a", "b") for at in (1, 11)}) == 8


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"candidates": 1}, "candidates is 1: it takes 2 answers or more to make a pair"),
        ({"pairs": None}, "pairs is missing"),
        ({"method": "ppo"}, "method is 'ppo': it must be one of dpo, orpo"),
        ({"rounds": 0, "learning_rate": -1.0}, "rounds is 0: it must be above 0; learning_rate is -1.0: it must be above 0"),
        ({"judgements": 1.5}, "judgements is 1.5: it must be a whole number"),
        ({"min_agreement": 1.2}, "min_agreement is 1.2: it is a share, from 0 to 1"),
        ({"answer_tokens": 1024}, "answer_tokens is 1024 and max_length 1024: no prompt would fit in"),
        ({"cut_may_win": 1}, "cut_may_win is 1: it must be true or false"),
        ({"judgments": 2}, "there is no setting 'judgments' (did you mean 'judgements'?)"),
    ],
)
def test_all_faults_of_the_settings_are_told(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match="the settings of this training are wrong") as caught:
        read_rounds(None, FLAGS | changes)
    assert said in caught.value.message


def test_a_file_holds_settings_of_rounds_and_of_their_trainings(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("candidates = 6\nrank = 4\nmargin = 1\nlearning_rate = 1e-3\n")
    found = read_rounds(file, FLAGS | {"candidates": 3, "method": "orpo"})
    assert (found.rounds.candidates, found.rounds.margin, found.training.rank, found.training.rate) == (3, 1, 4, 1e-3)
    assert found.training.method == "orpo"
    json.dumps(found.records)
