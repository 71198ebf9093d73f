"""Records → rows: every layout that is understood, and every way to get one wrong, with its line and its mend."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.prompt import Budget, build_messages
from assistant.records import Message
from finetune.data.faults import Dataset, data_hash, load_dataset, methods_for, rows_for
from finetune.data.layouts import BAD, GOOD, LAYOUTS
from finetune.data.rows import FOR_METHOD, Classified, Conversation, Labelled, Place, Preference, Rated, Row, Text
from finetune.errors import DataFault
from indexes.records import Hit, Passage

AT = Place(Path("f"), 1)
USER, ANSWER = Message("user", "Q"), Message("assistant", "A")
SYSTEM = Message("system", "S")
ASKED = (USER,)
TURNS = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
SHARED = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]
LONG = [*TURNS, {"role": "user", "content": "R"}, {"role": "assistant", "content": "B"}]
PASSAGES = [
    {"text": "It opened in 1921.", "source": "club.md", "title": "Club", "heading": ["History"]},
    {"text": "| 1 | 2 |", "source": "t.csv", "header": "| a | b |"},
]
HITS = [
    Hit(
        Passage("1", "", 0, "It opened in 1921.", ("Club", "History"), "", "text", 0, 18, None, None),
        "club.md",
        "",
        "",
        1,
        1,
        1,
        1,
    ),
    Hit(Passage("2", "", 1, "| 1 | 2 |", (), "| a | b |", "table", 0, 9, None, None), "t.csv", "", "", 2, 1, 1, 1),
]
RENDERED = build_messages("Q", HITS, Budget(10**9, lambda _: 1)).messages
HH = "\n\nHuman: Q\n\nAssistant: A\n\nHuman: R\n\nAssistant:"


def load(folder: Path, *records: object, as_rated: bool = False) -> Dataset:
    file = folder / "data.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return load_dataset([file], as_rated=as_rated)


def contents(rows: tuple[Row, ...]) -> list[str]:
    return [data_hash([row]) for row in rows]


def pair(chosen: str = "A", rejected: str = "B", **more: Any) -> Preference:
    return Preference(**{"prompt": ASKED, "chosen": chosen, "rejected": rejected, "place": AT} | more)


UNDERSTOOD: list[tuple[dict[str, Any], Row]] = [
    ({"messages": TURNS}, Conversation((USER, ANSWER), AT)),
    ({"messages": TURNS, "system": "S", "documents": ["d1", "d2"]}, Conversation((SYSTEM, USER, ANSWER), AT, ("d1", "d2"))),
    ({"messages": [{"role": "system", "content": ""}, *TURNS]}, Conversation((USER, ANSWER), AT)),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Q"}]}, TURNS[1]]}, Conversation((USER, ANSWER), AT)),
    ({"messages": json.dumps(TURNS)}, Conversation((USER, ANSWER), AT)),  # a cell of a CSV file
    ({"messages": TURNS, "text": None, "label": None}, Conversation((USER, ANSWER), AT)),  # columns that are empty in Parquet
    ({"messages": TURNS, "label": False}, Labelled(ASKED, "A", False, AT)),
    ({"prompt": "Q", "completion": "A"}, Conversation((USER, ANSWER), AT)),
    ({"prompt": "Q", "completion": "A", "system": "S"}, Conversation((SYSTEM, USER, ANSWER), AT)),
    ({"prompt": TURNS[:1], "completion": TURNS[1:]}, Conversation((USER, ANSWER), AT)),
    ({"prompt": "Q", "completion": "A", "label": "Desirable"}, Labelled(ASKED, "A", True, AT)),
    ({"prompt": "Q", "completion": "A", "label": 0.0}, Labelled(ASKED, "A", False, AT)),
    ({"prompt": "Q", "completion": "A", "score": "2.5"}, Rated(ASKED, "A", 2.5, AT)),
    ({"prompt": "Q", "completion": "A", "rating": 3}, Rated(ASKED, "A", 3.0, AT)),
    ({"prompt": "Q", "chosen": "A", "rejected": "B"}, pair()),
    ({"prompt": "Q", "chosen": "A", "rejected": "B", "margin": 0.5}, pair(margin=0.5)),
    ({"prompt": TURNS[:1], "chosen": TURNS[1:], "rejected": [{"role": "assistant", "content": "B"}]}, pair()),
    (  # UltraFeedback: the answers repeat the prompt
        {"prompt": "Q", "chosen": TURNS, "rejected": [TURNS[0], {"role": "assistant", "content": "B"}], "messages": TURNS,
         "score_chosen": 8.0, "score_rejected": 6.5},
        pair(margin=1.5),
    ),
    ({"chosen": TURNS, "rejected": [TURNS[0], {"role": "assistant", "content": "B"}]}, pair()),
    ({"chosen_messages": TURNS, "rejected_messages": [TURNS[0], {"role": "assistant", "content": "B"}]}, pair()),
    ({"chosen": f"{HH} good", "rejected": f"{HH} bad"}, pair("good", "bad", prompt=(USER, ANSWER, Message("user", "R")))),
    ({"prompt": HH, "chosen": " good", "rejected": "bad"}, pair(" good", "bad", prompt=(USER, ANSWER, Message("user", "R")))),
    ({"conversations": SHARED}, Conversation((USER, ANSWER), AT)),
    ({"conversations": SHARED, "system": "S"}, Conversation((SYSTEM, USER, ANSWER), AT)),
    ({"conversations": SHARED, "kto_tag": True}, Labelled(ASKED, "A", True, AT)),
    ({"conversations": SHARED[:1], "chosen": SHARED[1], "rejected": {"from": "gpt", "value": "B"}}, pair()),
    ({"instruction": "Q", "input": "", "output": "A"}, Conversation((USER, ANSWER), AT)),
    ({"instruction": "Q", "input": "R", "output": "A"}, Conversation((Message("user", "Q\nR"), ANSWER), AT)),
    ({"instruction": "R", "output": "B", "history": [["Q", "A"]], "system": "S"},
     Conversation((SYSTEM, USER, ANSWER, Message("user", "R"), Message("assistant", "B")), AT)),
    ({"instruction": "Q", "output": "A", "kto_tag": "bad"}, Labelled(ASKED, "A", False, AT)),
    ({"instruction": "Q", "chosen": "A", "rejected": "B"}, pair()),
    ({"text": "T"}, Text("T", AT)),
    ({"text": "T", "label": "spam"}, Classified("T", "spam", AT)),
    ({"text": "T", "label": 1.0}, Classified("T", "1", AT)),
    ({"question": "Q", "passages": PASSAGES, "answer": "A [1]", "documents": "d"},
     Conversation((*RENDERED, Message("assistant", "A [1]")), AT, ("d",))),
    ({"question": "Q", "passages": PASSAGES, "chosen": "A", "rejected": "B"}, pair(prompt=RENDERED)),
    ({"question": "Q", "passages": PASSAGES, "answer": "A", "label": True}, Labelled(RENDERED, "A", True, AT)),
]  # fmt: skip


@pytest.mark.parametrize(("record", "row"), UNDERSTOOD, ids=lambda value: "-".join(value) if isinstance(value, dict) else None)
def test_layouts(tmp_path: Path, record: dict[str, Any], row: Row) -> None:
    data = load(tmp_path, record)
    assert data.faults == ()
    assert contents(data.rows) == contents((row,))
    assert data.rows[0].place == Place(tmp_path / "data.jsonl", 1)
    assert methods_for(data.kinds)


def test_every_layout_is_tried_here() -> None:
    tried = {frozenset(record) for record, _ in UNDERSTOOD} | {frozenset({"prompt", "responses", key}) for key in
                                                              ("ranking", "scores", "ratings")}  # fmt: skip
    assert [layout.name for layout in LAYOUTS if not any(keys.issuperset(layout.needs) for keys in tried)] == []


def test_a_prompt_with_passages_is_the_one_that_is_served(tmp_path: Path) -> None:
    row = load(tmp_path, {"question": "Q", "passages": PASSAGES, "answer": "A"}).rows[0]
    assert isinstance(row, Conversation)
    assert row.messages[:-1] == RENDERED
    assert "<passage 1>\nclub.md > Club > History\nIt opened in 1921.\n</passage 1>" in row.messages[1].content
    assert "t.csv\n| a | b |\n| 1 | 2 |" in row.messages[1].content


def test_a_ranking_gives_all_pairs_with_the_distance_of_the_ranks(tmp_path: Path) -> None:
    data = load(tmp_path, {"prompt": "Q", "responses": ["x", "y", "z", "w"], "ranking": [2, 1, 3, 3]})
    found = [(row.chosen, row.rejected, row.margin) for row in data.rows if isinstance(row, Preference)]
    assert found == [("y", "x", 1), ("x", "z", 1), ("x", "w", 1), ("y", "z", 2), ("y", "w", 2)]


@pytest.mark.parametrize("key", ["scores", "ratings"])
def test_scores_give_pairs_or_rated_rows(tmp_path: Path, key: str) -> None:
    record = {"prompt": "Q", "responses": ["x", {"role": "assistant", "content": "y"}, "z"], key: [1, 4.5, 1]}
    assert contents(load(tmp_path, record).rows) == contents((pair("y", "x", margin=3.5), pair("y", "z", margin=3.5)))
    rated = load(tmp_path, record, as_rated=True).rows
    assert contents(rated) == contents(
        tuple(Rated(ASKED, text, score, AT) for text, score in zip("xyz", (1.0, 4.5, 1.0), strict=True))
    )


@pytest.mark.parametrize(("label", "good"), [*((word, True) for word in GOOD), *((word.upper(), False) for word in BAD)])
def test_labels(tmp_path: Path, label: str, good: bool) -> None:
    row = load(tmp_path, {"prompt": "Q", "completion": "A", "label": label}).rows[0]
    assert isinstance(row, Labelled)
    assert row.label is good


PAIR = {"prompt": "Q", "chosen": "A", "rejected": "B"}
RANKED = {"prompt": "Q", "responses": ["x", "y"]}
RAFT = {"question": "Q", "answer": "A"}


def turns(*roles: str) -> list[dict[str, str]]:
    return [{"role": role, "content": str(number)} for number, role in enumerate(roles)]


@pytest.mark.parametrize(
    ("record", "what", "hint"),
    [
        # keys
        ({"prompt": "Q", "completon": "A"}, "has no 'completion'", "rename 'completon' to 'completion'"),
        ({"question": "Q", "answer": "A"}, "has no 'prompt' and no 'completion'", "rename 'question' to 'prompt', "),
        ({"prompt": "Q", "response": "A"}, "has no 'completion'", "rename 'response' to 'completion'"),
        ({"Prompt": "Q", "chosen": "A", "rejected": "B"}, "has no 'prompt'", "rename 'Prompt' to 'prompt'"),
        ({"chosen": HH, "rejected": "B"}, "has no 'prompt'", "add 'prompt'"),
        ({"prompt": "Q", "chosen": "A"}, "has no 'rejected'", "add 'rejected'"),
        ({"dialogue": TURNS}, "has no 'messages'", "rename 'dialogue' to 'messages'"),
        ({"foo": 1, "bar": 2}, "has 'bar', 'foo', which is no layout", "give one of: "),
        ({}, "has no keys, which is no layout", "give one of: "),
        # types and emptiness
        ({"prompt": 7, "completion": "A"}, "'prompt' is 7, not a text", "make 'prompt' a text"),
        ({"prompt": "Q", "completion": " \n"}, "'completion' is empty", "delete the row"),
        ({"prompt": "", "completion": "A"}, "'prompt' is empty", "delete the row"),
        ({"prompt": "Q", "completion": "A\ud83d"}, "'completion' holds half a character, \\ud83d", "json.dumps"),
        ({"text": "T", "label": ["a"]}, "'label' is ['a'], not a class", "name or the number"),
        ({"text": "", "label": "a"}, "'text' is empty", "fill it"),
        ({"prompt": "Q", "completion": "A", "documents": [1]}, "'documents'[0] is 1, not a text", "text"),
        ({"messages": "Q"}, "'messages' is 'Q', not a list", "make 'messages' a list"),
        ({"messages": []}, "'messages' is empty", "delete the row"),
        # turns
        ({"messages": ["Q"]}, "turn 1 of 'messages' is 'Q'", 'a turn is {"role"'),
        ({"messages": [*TURNS, {"role": "tool", "content": "x"}]}, "turn 3 of 'messages' has the role 'tool'", "roles are"),
        ({"messages": [TURNS[0], {"role": "assistant", "content": ""}]}, "turn 2 of 'messages' (assistant) is empty", "fill it"),
        ({"messages": [TURNS[0], {"role": "assistant"}]}, "turn 2 of 'messages' (assistant) is missing, not a text", "make"),
        ({"messages": turns("assistant", "user", "assistant")}, "the first turn of 'messages' is the assistant's", "begin with"),
        ({"messages": turns("user", "user", "assistant")}, "turns 1 and 2 of 'messages' are both the user's", "join the two"),
        ({"messages": turns("user", "system", "assistant")}, "turn 2 of 'messages' is a system message", "first turn"),
        ({"messages": turns("user", "assistant", "user")}, "the last turn of 'messages' is the user's, not", "add the"),
        ({"messages": turns("system")}, "the first turn of 'messages' is the system's only", "begin with"),
        ({"messages": [{"role": "system", "content": "x"}, *TURNS], "system": "S"}, "'system' says another thing", "keep one"),
        ({"conversations": SHARED[1:]}, "the first turn of 'conversations' is the assistant's", "begin with"),
        ({"prompt": TURNS, "completion": "A"}, "the last turn of 'prompt' is the assistant's, not the user's", "take the last"),
        ({"instruction": "Q", "output": "A", "history": [["a"]]}, "'history'[0] is ['a']", "an exchange is"),
        # pairs
        (PAIR | {"rejected": " A"}, "the chosen and the rejected answer are the same", "delete the row"),
        (PAIR | {"chosen": ""}, "'chosen' is empty", "fill it"),
        (PAIR | {"chosen": LONG}, "'chosen' is not one message of the assistant", "give the answer alone"),
        (PAIR | {"chosen": TURNS[:1]}, "'chosen' is empty", "fill it"),
        (PAIR | {"margin": -1}, "has the margin -1: the rejected answer is rated higher", "swap the two"),
        (PAIR | {"margin": float("nan")}, "'margin' is nan, not a finite number", "give a number"),
        ({"chosen": LONG, "rejected": [TURNS[0], *turns("assistant", "user", "assistant")]},
         "'chosen' and 'rejected' part at turn 2, before the last one", "end both with"),
        ({"chosen": TURNS, "rejected": TURNS}, "the chosen and the rejected answer are the same", "delete the row"),
        ({"chosen": HH, "rejected": f"{HH} x"}, "turn 4 of 'chosen' (assistant) is empty", "fill it"),
        # labels, rankings, scores
        ({"prompt": "Q", "completion": "A", "label": "maybe"}, "'label' is 'maybe', neither good nor bad", "give true or false"),
        ({"prompt": "Q", "completion": "A", "label": 2}, "'label' is 2, neither good nor bad", "give true or false"),
        ({"prompt": "Q", "completion": "A", "score": "x"}, "'score' is 'x', not a finite number", "give a number"),
        (RANKED | {"ranking": [1]}, "'ranking' has 1 values for 2 responses", "one value for each"),
        (RANKED | {"scores": [1, 2, 3]}, "'scores' has 3 values for 2 responses", "one value for each"),
        (RANKED | {"scores": [1, float("nan")]}, "'scores'[1] is nan, not a finite number", "give a number"),
        (RANKED | {"scores": [1, True]}, "'scores'[1] is True, not a finite number", "give a number"),
        (RANKED | {"scores": [10**400, 1]}, "'scores'[0] is 1000", "give a number"),
        (RANKED | {"responses": ["x", "x"], "ranking": [1, 2]}, "'responses'[0] and [1] are the same, and", "take one"),
        (RANKED | {"responses": ["x", ""], "ranking": [1, 2]}, "'responses'[1] is empty", "fill it"),
        # passages
        (RAFT | {"passages": []}, "'passages' is empty", "fill it"),
        (RAFT | {"passages": ["x"]}, "'passages'[0] is 'x'", "a passage is"),
        (RAFT | {"passages": [{"text": "x"}]}, "'source' of 'passages'[0] is missing, not a text", "make"),
        (RAFT | {"passages": [{"text": "x", "source": "s", "heading": [1]}]}, "'passages'[0] has 1 where a title", "give texts"),
    ],
)  # fmt: skip
def test_a_faulty_row_is_named_with_its_line_and_its_mend(tmp_path: Path, record: dict[str, Any], what: str, hint: str) -> None:
    data = load(tmp_path, record, record)
    assert [fault.place for fault in data.errors] == [Place(tmp_path / "data.jsonl", line) for line in (1, 2)]
    assert data.errors[1].what.startswith(what)
    assert hint in data.errors[1].hint
    assert data.rows == ()


def test_all_faults_of_a_row_are_found(tmp_path: Path) -> None:
    data = load(tmp_path, PAIR, {"prompt": "", "chosen": 3, "rejected": " "})
    assert [str(fault).rpartition("/")[2] for fault in data.faults] == [
        "data.jsonl:2: 'prompt' is empty", "data.jsonl:2: 'chosen' is 3, not a text", "data.jsonl:2: 'rejected' is empty",
    ]  # fmt: skip
    assert len(data.rows) == 1


def test_a_row_without_its_label_is_not_taken_for_another_layout(tmp_path: Path) -> None:
    whole = {"prompt": "Q", "completion": "A", "label": True}
    data = load(tmp_path, whole, whole, {"prompt": "Q", "completion": "A"}, whole)
    assert [(fault.place.line, fault.hint) for fault in data.errors if fault.place] == [(3, "add 'label'")]
    assert "most rows of the file are of 'prompt, completion, label'" in data.errors[0].what
    mixed = load(tmp_path, whole, whole, PAIR | {"chosen": 1}, {"text": "T"})
    assert mixed.errors[-1].hint == "put rows of one kind into a file"
    assert load(tmp_path, {"text": "T"}, {"messages": TURNS}).errors == ()


def test_the_hash_is_of_the_rows_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = load(tmp_path, {"prompt": "Q", "completion": "A"}, {"text": "T"})
    again = load(tmp_path / "other", {"messages": TURNS}, {"text": "T", "id": 7})
    assert first.hash == again.hash
    assert first.hash != load(tmp_path, {"text": "T"}, {"prompt": "Q", "completion": "A"}).hash


@given(st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip))
def test_the_hash_tells_any_two_texts_apart(first: str, second: str) -> None:
    hashes = data_hash([Text(first, AT), Text(second, AT)]), data_hash([Text(second, AT), Text(first, AT)])
    assert (hashes[0] == hashes[1]) is (first == second)


def test_the_rows_for_a_method(tmp_path: Path) -> None:
    pairs = load(tmp_path, PAIR)
    for method in ("orpo", "dpo", "reward"):
        assert rows_for(pairs, method) == pairs.rows
    split = rows_for(pairs, "kto")
    assert contents(split) == contents((Labelled(ASKED, "A", True, AT), Labelled(ASKED, "B", False, AT)))


@pytest.mark.parametrize(
    ("records", "method", "message", "hint"),
    [
        (
            [PAIR],
            "sft",
            "sft can't learn from 1 row of the kind preference (the first at",
            "these rows are for: orpo, dpo, kto, reward",
        ),
        ([{"text": "T"}], "dpo", "dpo can't learn from 1 row of the kind text", "finetune sft is for these rows"),
        ([{"text": "T", "label": 1}] * 2, "kto", "kto can't learn from 2 rows of the kind classified", "finetune reward is for"),
        ([{}] * 7, "sft", "7 faults in the data: ", "finetune check "),
        ([], "sft", "1 fault in the data: ", "finetune check "),
    ],
)
def test_rows_that_a_method_cannot_learn_from(
    tmp_path: Path, records: list[dict[str, Any]], method: str, message: str, hint: str
) -> None:
    with pytest.raises(DataFault) as caught:
        rows_for(load(tmp_path, *records), method)
    assert caught.value.message.startswith(message)
    assert hint in caught.value.hint
    assert caught.value.exit_code == 6


def test_an_error_names_the_first_faults_and_counts_the_others(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="and 2 more") as caught:
        rows_for(load(tmp_path, *[{}] * 7), "sft")
    assert "data.jsonl:5: has no keys" in caught.value.message
    assert "data.jsonl:6" not in caught.value.message


def test_a_reward_model_learns_from_one_kind_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "rated.jsonl").write_text('{"prompt": "Q", "completion": "A", "score": 1}\n', encoding="utf-8")
    load(tmp_path, PAIR)
    with pytest.raises(DataFault, match="reward can't learn from 1 row of the kind preference, 1 row of the kind rated"):
        rows_for(load_dataset([tmp_path]), "reward")
    assert set(FOR_METHOD) >= set(methods_for(["preference"])) == {"orpo", "dpo", "kto", "reward"}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "from", "value"]), inner),
    max_leaves=6,
)
KEYS = st.sampled_from(sorted({key for layout in LAYOUTS for key in layout.needs} | {"system", "input", "history", "margin"}))


@given(record=st.dictionaries(KEYS, JSON, min_size=1, max_size=6))
def test_nothing_in_a_record_brings_it_down(tmp_path_factory: pytest.TempPathFactory, record: dict[str, Any]) -> None:
    data = load(tmp_path_factory.mktemp("any"), record)
    assert data.errors or data.rows
    assert all(fault.what and fault.hint for fault in data.faults)
