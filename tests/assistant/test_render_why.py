"""/why, conversations and their Markdown: what is shown, and that nothing in a document is obeyed."""

import re
from dataclasses import replace

import pytest
from fakes import a_citation, a_hit, an_abstention, an_answer
from rich.text import Text
from test_conversation import a_traced_answer

from assistant.chat.conversation import Session, StoredTurn
from assistant.feedback import FeedbackLog, judge_answer
from assistant.records import Answer, Evidence, Grounding, Sentence, Timings, Trace
from assistant.rendering.feedback import feedback_list_document, render_feedback
from assistant.rendering.sessions import copied, render_session, render_sessions, session_document, transcript
from assistant.rendering.terminal import Terminal
from assistant.rendering.why import render_prompt, render_why

PLAIN = Terminal(interactive=False, width=80, colour=False, links=False, unicode=True)
EVIL = "a\x1b[2J\x1b]52;c;eA==\x07\u202eb\x9b31m\rc"
SESSION = Session("k7m2", 1.7e9, 1.7e9, "How many?", ("default",), "extractive", None, 3)


def lines(texts: object) -> str:
    return "\n".join(text.plain for text in texts)  # type: ignore[attr-defined]


def why(answer: Answer, terminal: Terminal = PLAIN) -> str:
    return lines(render_why(answer, terminal))


def traced(**changes: object) -> Answer:
    answer = a_traced_answer()
    assert answer.trace
    return replace(answer, trace=replace(answer.trace, **changes))  # type: ignore[arg-type]


def test_why_tells_the_whole_way() -> None:
    answer = replace(a_traced_answer(rewritten="How many people sleep at Mirrin?"), timings=Timings(1, 0, 120.4, 850.0, 2100.0))
    assert why(answer) == (
        "searched    How many people sleep at Mirrin?\n"
        "            rewritten from: How many people sleep there?\n"
        "            in default\n"
        "judged      the passages hold the answer (probability 0.90)\n"
        "            the best sentence is fairly near to the question (cosine 0.50)\n"
        "            70% – It is warm. (passage 2)\n"
        "            20% – The hut sleeps 24. (passage 1)\n"
        "passages    2 passages found, 1 dropped: no room in the prompt\n"
        "   # score  meaning  words\n"
        "   1  0.90     0.50    3.0  guide/setup.md:12-14  cited as [1]\n"
        "   2  0.90     0.50    3.0  b.md:12-14  dropped\n"
        "prompt      wording passages-1, 2 messages (/why prompt shows it)\n"
        "            90 tokens read, 30 of them known from the turn before\n"
        "            12 tokens written, 10.0 a second\n"
        "            4 guessed from the passages, 2 of them right\n"
        "checked     1 sentence supported\n"
        "time        search 120 ms · first words after 850 ms · total 2.1 s\n"
        "written by  extractive"
    )


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ({"missing": 0.25}, "it lacks 25% of the question's words"),
        ({"missing": 0.0}, "it has all of its words"),
        ({"missing_particular": 0.9}, "it lacks a name or number"),
        ({"absent_particular": 0.9}, "no passage has a name or number"),
        ({"kind_missing": 1.0}, "it doesn't look like the kind of answer"),
        ({"negation": 1.0}, "one of the two negates"),
        ({"antonym": 1.0}, "it says the opposite"),
        ({"cosine": 0.8}, "is near to the question (cosine 0.80)"),
        ({"cosine": 0.1}, "is far from the question (cosine 0.10)"),
    ],
)
def test_features_are_told_in_words(features: dict[str, float], said: str) -> None:
    assert said in why(traced(grounding=Grounding(True, 0.9, (), features)))
    quiet = {name: 0.0 for name in features if name not in ("missing", "cosine")} | {"of_tomorrow": 3.0}
    assert said not in why(traced(grounding=Grounding(True, 0.9, (), quiet)))


def test_an_abstention_says_what_stopped_it() -> None:
    gate = Grounding(False, 0.0, (), {"cosine": 0.7})
    shown = why(an_abstention(trace=Trace("q?", (a_hit(), a_hit(2)), 0, gate)))
    assert "the passages don't hold the answer (probability 0.00)\n            no sentence has the name, number" in shown
    assert "dropped" not in shown
    fabricated = why(replace(traced(written="They ski on Mars."), status="abstained", sentences=(), citations=()))
    assert "nothing of what was written is in the passages:\n            They ski on Mars." in fabricated


def test_sentences_that_are_not_supported_are_named() -> None:
    sentences = (Sentence("True.", "supported", (1,)), Sentence("It sleeps 99.", "not_found", ()))
    shown = why(replace(traced(), sentences=sentences))
    assert "1 sentence supported\n            1 sentence found in no passage\n            not found: It sleeps 99." in shown


def test_general_and_cut_short_answers_have_their_own_words() -> None:
    general = replace(traced(hits=(), grounding=None, prompt_format=None), general=True, citations=())
    assert why(general).startswith("searched    nothing: you asked for an answer without documents\nprompt      2 messages")
    assert why(an_answer()) == "This answer was cut short: nothing is known of how it came about."


def test_several_citations_of_a_passage_and_several_indexes_show() -> None:
    hits = (a_hit(index="a"), a_hit(2, index="b"))
    answer = replace(traced(hits=hits, kept=2), citations=(a_citation(1), replace(a_citation(2), passage_id="p1")))
    assert "guide/setup.md:12-14  in a  cited as [1][2]\n" in why(answer)


def test_a_narrow_terminal_keeps_the_labels_column_free() -> None:
    narrow = replace(PLAIN, interactive=True, width=40)
    shown = why(traced(query="How many people may sleep at Mirrin Hut in winter?"), narrow)
    assert shown.startswith("searched    How many people may sleep at\n            Mirrin Hut in winter?\n")


def test_the_prompt_is_shown_as_it_was() -> None:
    trace = a_traced_answer().trace
    assert trace
    assert lines(render_prompt(trace)) == "--- system\nBe brief.\n--- user\n<passage 1>"
    assert "no prompt" in lines(render_prompt(replace(trace, messages=())))


def evil_answer() -> Answer:
    hit = a_hit(source=EVIL, text=EVIL, index=EVIL)
    trace = a_traced_answer().trace
    assert trace
    messages = tuple(replace(message, content=EVIL) for message in trace.messages)
    grounding = Grounding(True, 0.5, (Evidence(hit, 0, 1, EVIL, 0.5),), {})
    trace = Trace(EVIL, (hit, replace(hit, index="b")), 1, grounding, messages, EVIL, "passages-1", trace.generation)
    citation = a_citation(source=EVIL, quote=EVIL, lines=None, heading=(EVIL,))
    return an_answer(
        EVIL, question=EVIL, rewritten=EVIL, index=(EVIL,), model=EVIL, adapter=EVIL, citations=(citation,),
        sentences=(Sentence(EVIL, "not_found", ()),), trace=trace,
    )  # fmt: skip


def test_no_escape_sequence_reaches_the_terminal() -> None:
    answer = evil_answer()
    session = Session("k7m2", 1.7e9, 1.7e9, EVIL, (EVIL,), EVIL, EVIL, 3)
    judged = replace(judge_answer("compare", answer, text=EVIL, other=an_answer(EVIL)), time=EVIL)
    assert answer.trace
    turns = [StoredTurn(1, 0.0, EVIL, answer), StoredTurn(2, 0.0, EVIL, None)]
    shown: list[Text] = [
        *render_why(answer, PLAIN), *render_why(replace(answer, status="abstained"), PLAIN), *render_prompt(answer.trace),
        *render_sessions([session]), *render_session(session, turns, PLAIN), *render_feedback(FeedbackLog((judged,), 0)),
        Text(transcript([answer])), Text(copied(answer)),
    ]  # fmt: skip
    assert len(shown) > 30
    for text in shown:
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text.plain), text.plain


@pytest.mark.parametrize(
    "attack",
    [
        "![x](http://evil/p.png)",
        "[1](http://evil)",
        "[1]: http://evil",
        "[x](http://evil)",
        "<img src=x>",
        "a\n---",
        "# Title",
        "`",
        "~~~",
        "[1][1]",
    ],
)
def test_a_transcript_makes_nothing_of_what_a_document_says(attack: str) -> None:
    text = transcript([an_answer(attack, question=attack, citations=(a_citation(quote=attack),))])
    outside = "\n".join(line for line in text.splitlines() if not line.startswith("      "))
    assert not re.search(r"(?<!\\)(!?\[[^\]\d]|\[\d+\][(:\[]|<|`|~)|^---|^# ", outside, re.MULTILINE), outside


def test_a_transcript_says_what_each_answer_is() -> None:
    answers = [an_answer(status="interrupted", rewritten="In full?"), an_abstention(), an_answer(general=True, citations=())]
    text = transcript(answers)
    for said in ("*(interrupted)*", "Searched for: In full?", "Nearest passages:\n\n- [1] guide", "*(not from your documents)*"):
        assert text.count(said) == 1


def test_a_turn_that_cannot_be_read_is_shown_as_such() -> None:
    turns = [StoredTurn(1, 1.7e9, "How many?", None), StoredTurn(2, 1.7e9, "And now?", an_answer())]
    assert "> How many?\n(this version can't read the answer)\n\n> And now?\n" in lines(render_session(SESSION, turns, PLAIN))
    first, second = session_document(SESSION, turns)["turns"]  # type: ignore[misc]
    assert (first["readable"], second["readable"], second["status"]) == (False, True, "answered")
    assert "schema" not in second


def test_feedback_shows_what_was_preferred_to_what() -> None:
    row = judge_answer("compare", an_answer(), other=an_answer("Ten.", adapter="mine"))
    shown = lines(render_feedback(FeedbackLog((row,), 2)))
    assert "compare  extractive\n  > How many people sleep there?\n  The hut sleeps 24. [1]\n  rather than: Ten." in shown
    assert feedback_list_document(FeedbackLog((row,), 2))["skipped"] == 2
