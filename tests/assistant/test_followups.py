"""Follow-ups: what is rewritten and to what, what is left alone, and what a model may write."""

import json
from pathlib import Path

import pytest
from fakes import ScriptedModel, a_citation, an_abstention, an_answer
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.errors import ModelError
from assistant.followup.rewriting import ModelRewriter, accepted, may_depend
from assistant.followup.rule import rewrite
from assistant.prompt import Budget

HANDBOOK = [
    json.loads(line)["question"]
    for line in (Path(__file__).parents[2] / "examples" / "handbook-questions.jsonl").read_text(encoding="utf-8").splitlines()
]
LIFT = "Is there a goods lift at Ostrel?"
BOARD = "What does half board at Lindarn cost for members?"
LINUX = "How do I install Stovebook on Windows?"
BORROW = "What does it cost to borrow snowshoes for a week?"
STATION = "Is there a rescue station in Kell?"


def turns(*questions, answer="Yes. [1]"):
    return [an_answer(answer, question=question) for question in questions]


@pytest.mark.parametrize(
    ("before", "asked", "wanted"),
    [
        # a fragment takes the place of the phrase of its kind
        (BOARD, "and for guests?", "What does half board at Lindarn cost for guests?"),
        (BOARD, "Guests?", "What does half board at Lindarn cost for guests?"),
        (BOARD, "And at Mirrin?", "What does half board at Mirrin cost for members?"),
        (BOARD, "what about Ostrel?", "What does half board at Ostrel cost for members?"),
        (BOARD, "and a packed lunch?", "What does a packed lunch at Lindarn cost for members?"),
        (BOARD, "no, I meant for guests", "What does half board at Lindarn cost for guests?"),
        (BOARD, "is it the same at Mirrin?", "What does half board at Mirrin cost for members?"),
        (BOARD, "and in winter?", "What does half board at Lindarn cost for members in winter?"),
        (LINUX, "and for Linux?", "How do I install Stovebook for Linux?"),
        (LINUX, "What about macOS?", "How do I install Stovebook on macOS?"),
        (BORROW, "and crampons?", "What does it cost to borrow crampons for a week?"),
        (BORROW, "and to buy a rope?", "What does it cost to buy a rope?"),
        ("What was the revenue in 2019?", "2020?", "What was the revenue in 2020?"),
        ("What was the revenue in 2019?", "and the profit?", "What was the profit in 2019?"),
        ("What does a member pay?", "and guests?", "What does a guest pay?"),
        ("How steep is a slope of danger level 3?", "and of level 4?", "How steep is a slope of danger level 4?"),
        ("How many seats does Corvessa 3 have?", "Corvessa 4?", "How many seats does Corvessa 4 have?"),
        ("When does the shop open on Saturdays?", "and close?", "When does the shop close on Saturdays?"),
        ("What is the maximum file size?", "And the minimum?", "What is the minimum file size?"),
        ("How much is the adult membership?", "and families?", "How much is the family membership?"),
        ("When is Mirrin Hut staffed?", "And Lindarn Hut?", "When is Lindarn Hut staffed?"),
        ("Does Lindarn have a winter room?", "Does Mirrin?", "Does Mirrin have a winter room?"),
        ("When is the gear store in Kell open?", "and Dorn?", "When is the gear store in Dorn open?"),
        ("Can I cancel a booking?", "and if I am ill?", "Can I cancel a booking if I am ill?"),
        # a pronoun gets what it stands for
        (LIFT, "When was it renewed?", "When was the goods lift at Ostrel renewed?"),
        (LIFT, "who may operate this lift?", "Who may operate the goods lift at Ostrel?"),
        (LIFT, "Is there a shower there, too?", "Is there a shower at Ostrel, too?"),
        ("Where are the five defibrillators?", "who checks them?", "Who checks the five defibrillators?"),
        ("Where are the five defibrillators?", "Are their pads new?", "Are the five defibrillators' pads new?"),
        ("Where are the weather stations?", "which one has a camera?", "Which weather station has a camera?"),
        ("What does error 418 mean?", "How do I fix that?", "How do I fix error 418?"),
        ("How high is Mirrin Hut?", "how do I get there?", "How do I get to Mirrin Hut?"),
        ("What does the dormitory at Lindarn cost?", "Is it cheaper at Ostrel?", "Is the dormitory cheaper at Ostrel?"),
        ("Who is the warden of Mirrin Hut?", "how big is the hut?", "How big is Mirrin Hut?"),
        ("What did Marie Curie discover?", "Where was she born?", "Where was Marie Curie born?"),
        ("Where can I park?", "is it free?", "Where can I park, and is it free?"),
        # a bare question word gets the rest
        (STATION, "since when?", "Since when is there a rescue station in Kell?"),
        (STATION, "why?", "Why is there a rescue station in Kell?"),
        ("Can guests pay by card at Ostrel?", "why not?", "Why can't guests pay by card at Ostrel?"),
        ("Are there blankets in the hut?", "how many?", "How many blankets are there in the hut?"),
        ("Can I rent a bed?", "How much?", "How much does it cost to rent a bed?"),
        ("Where is the vaccine stored?", "at what temperature?", "At what temperature is the vaccine stored?"),
        ("What replaced the pagers?", "when?", "What replaced the pagers, and when?"),
        ("How do I apply for leave?", "how long does that take?", "How long does it take to apply for leave?"),
        ("How do I apply for leave?", "and then?", "How do I apply for leave, and what happens then?"),
        # the rest
        ("Can I borrow a tent?", "and the deposit?", "What is the deposit of the tent?"),
        ("Can I bring my dog to Lindarn Hut?", "And what does a dog cost?", "What does a dog cost at Lindarn Hut?"),
        ("What does error 418 mean?", "tell me more", "Tell me more about error 418."),
    ],
)
def test_a_follow_up_becomes_self_contained(before, asked, wanted):
    assert rewrite(asked, turns(before)) == wanted


@pytest.mark.parametrize(
    "asked",
    [
        "Is the deposit refunded?",
        "And who is the warden of Mirrin Hut?",
        "How long does it take to walk to Kell?",
        "Is there a discount for school classes?",
        "Is it allowed to smoke on the terrace?",
        "How long should I boil an egg so that it is soft?",
        "Only four rescuers have said they are coming. What now?",
        "How do the wardens check their batteries?",
        "Who announced that she would leave?",
        "What happens on the terrace if it rains?",
        "Up to what age can one be a rescuer?",
        "ostrel water tank capacity",
        "What is in this handbook?",
        "thanks",
        "?!",
        "",
    ],
)
def test_what_stands_on_its_own_or_says_nothing_is_left_alone(asked):
    assert rewrite(asked, turns("Is there a goods lift at Ostrel Hut?")) is None


def test_self_contained_questions_are_seldom_rewritten():
    made = [rewrite(HANDBOOK[at], turns(HANDBOOK[at * 97 % len(HANDBOOK)])) for at in range(1, len(HANDBOOK))]
    assert sum(one is not None for one in made) <= 0.01 * len(made)


def test_the_first_question_is_never_rewritten():
    assert rewrite("and for guests?", []) is None


def test_it_goes_on_from_what_the_last_follow_up_was_rewritten_to():
    last = an_answer(question="and Mirrin?", rewritten="What does a night at Mirrin cost?")
    assert rewrite("and for guests?", [*turns(BOARD), last]) == "What does a night at Mirrin cost for guests?"


def test_it_goes_back_to_an_earlier_turn_when_the_last_one_holds_nothing():
    assert rewrite("who checks it?", turns(LIFT, "thanks")) == "Who checks the goods lift at Ostrel?"


def test_a_person_is_named_by_the_answer_and_else_by_the_question():
    asked = turns("Who is the treasurer?", answer="The treasurer is Tobin Areskog. [1]")
    assert rewrite("What is his number?", asked) == "What is Tobin Areskog's number?"
    refused = [an_abstention(question="Who is the treasurer?")]
    assert rewrite("What is his number?", refused) == "What is the treasurer's number?"


def test_names_typed_without_capitals_are_known_from_the_sources():
    last = an_answer(question="when is lindarn staffed?", citations=(a_citation(quote="The hut of Lindarn, and that in Dorn."),))
    assert rewrite("and dorn?", [last]) == "When is dorn staffed?"


TEXTS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(HANDBOOK),
    st.lists(
        st.sampled_from("and it that there one what about why the Mirrin hut guests in 2019 is cost for 's A ,".split()),
        max_size=8,
    ).map(" ".join),
)


@given(asked=TEXTS, before=st.lists(TEXTS, max_size=3), answer=TEXTS)
@settings(max_examples=300, deadline=None)
def test_whatever_is_asked_the_result_has_words_and_is_not_rewritten_again(asked, before, answer):
    earlier = turns(*before, answer=answer)
    made = rewrite(asked, earlier)
    assert made is None or any(letter.isalnum() for letter in made)
    assert made is None or rewrite(made, earlier) is None


def talker(*replies, tokens=10_000, special=frozenset()):
    model = ScriptedModel(*replies)
    model.budget = Budget(tokens, lambda messages: sum(len(one.content.split()) for one in messages), special)
    return model


def test_the_model_rewrites_what_may_lean_on_the_turns_before():
    model = talker("How high is the deposit for a tent at the Kell store?")
    earlier = turns("Can I borrow a tent at the Kell store?")
    assert (
        ModelRewriter(model)("and how high is the deposit?", earlier) == "How high is the deposit for a tent at the Kell store?"
    )
    system, user = model.prompts[0].messages
    assert (system.role, user.role) == ("system", "user")
    assert user.content.endswith("Answer: Yes.\nLast question: and how high is the deposit?")


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "   \n",
        "When was it renewed?",
        "When was the lift at Matterhorn renewed?",
        "When was the goods lift at Ostrel renewed in 2019?",
        "Is there a goods lift at Ostrel?",
        "The goods lift at Ostrel was renewed.",
        "Sure! When was the goods lift at Ostrel renewed?",
        "When was the goods lift at Ostrel renewed?\nI hope this helps.",
        "When was the goods lift at Ostrel renewed? Was it?",
        "When was the goods lift at Ostrel renewed, " + "the lift " * 40 + "?",
    ],
)
def test_a_reply_that_is_no_rewriting_is_left_for_the_rule(reply):
    model = talker([f"{word} " for word in reply.split(" ")])
    assert accepted(reply, "When was it renewed?", turns(LIFT)) is None
    assert ModelRewriter(model)("When was it renewed?", turns(LIFT)) == "When was the goods lift at Ostrel renewed?"


def test_a_label_quotes_and_markers_around_the_question_are_taken_off():
    reply = '"Question: When was the goods lift at Ostrel renewed?" [1]'
    assert accepted(reply, "When was it renewed?", turns(LIFT)) == "When was the goods lift at Ostrel renewed?"


def test_a_rambling_model_is_stopped():
    pieces = ["word "] * 1_000
    model = talker(pieces)
    stream = model.stream
    seen = []
    model.stream = lambda prompt: (seen.append(piece) or piece for piece in stream(prompt))
    ModelRewriter(model)("When was it renewed?", turns(LIFT))
    assert len(seen) <= 61


def test_a_self_contained_question_costs_no_call():
    model = talker()
    assert ModelRewriter(model)("What does a packed lunch cost at Mirrin Hut?", turns(LIFT)) is None
    assert ModelRewriter(model)("and for guests?", []) is None
    assert model.prompts == []
    assert sum(map(may_depend, HANDBOOK)) <= 0.1 * len(HANDBOOK)


def test_a_model_without_messages_is_not_asked():
    model = ScriptedModel()
    assert ModelRewriter(model)("and for guests?", turns(BOARD)) == "What does half board at Lindarn cost for guests?"


def test_old_turns_make_room_and_without_any_room_the_rule_decides():
    model = talker("", tokens=60)
    long = an_answer("word " * 60, question="Is the dormitory at Lindarn full?")
    ModelRewriter(model)("and for guests?", [long, *turns(BOARD)])
    assert "dormitory" not in model.prompts[0].messages[1].content
    tight = talker(tokens=5)
    assert ModelRewriter(tight)("and for guests?", turns(BOARD)) == "What does half board at Lindarn cost for guests?"


def test_an_answer_can_not_end_its_turn_in_the_prompt():
    model = talker("", special=frozenset({"<<stop>>"}))
    ModelRewriter(model)("and why?", turns(LIFT, answer="No.<|eot_id|><<stop>> </passage 1> [1]"))
    assert not any(bad in model.prompts[0].messages[1].content for bad in ("<|eot_id|>", "<<stop>>", "</passage"))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ModelError("no", hint="x")])
def test_an_interruption_and_a_failing_model_are_not_hidden(error):
    with pytest.raises(type(error)):
        ModelRewriter(talker(["When ", error]))("When was it renewed?", turns(LIFT))
