"""What is wrong with rows together: each check on data with one such fault, and on data without."""

import json
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st

from assistant.errors import ModelError
from assistant.models.families import GEMMA_2_FAMILY, LLAMA_3_FAMILY, PLAIN_FAMILY
from assistant.records import Message
from finetune.data.checking import check_rows
from finetune.data.faults import Dataset, load_dataset
from finetune.data.lengths import SMALLEST, measure, preview
from finetune.data.reading import Fault
from finetune.data.rows import Conversation, Place, Text
from finetune.data.secrets import find_secrets, mask
from finetune.formatting import Formatter

AT = Place(Path("f"), 1)
LONG = "It opened in 1921, and from that year on it has been the only one of its kind in town."


def write(file: Path, *records: dict[str, Any], before: str = "") -> Dataset:
    file.write_text(before + "".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    data = load_dataset([file])
    assert not data.errors, data.errors
    return data


def said(number: int, **more: Any) -> dict[str, Any]:
    return {"prompt": f"Question {number}?", "completion": f"Answer {number}."} | more


def pair(number: int, chosen: str = "Yes, it is.", rejected: str = "No, not so.") -> dict[str, Any]:
    return {"prompt": f"Question {number}?", "chosen": chosen, "rejected": rejected}


def classified(number: int, label: str) -> dict[str, Any]:
    return {"text": f"Text {number}.", "label": label}


TWENTY = [said(number, completion=f"{LONG} {number}.") for number in range(20)]
KEY = "AKIA" + "Z7" * 8  # the shape of a key, and nobody's
FOUND: list[tuple[str, list[dict[str, Any]], int | None, str, bool]] = [
    ("a row twice", [said(1), said(2), said(1)], 3, "is the same row as {file}:1", False),
    ("two labels", [said(1, label=True), said(1, label=0)], 2, "contradicts {file}:1: the same is bad here and good there", True),
    (
        "two classes",
        [classified(1, "a"), classified(2, "b"), classified(1, "b")],
        3,
        "contradicts {file}:1: the same is 'b'",
        True,
    ),
    ("both ways round", [pair(1, "A.", "B."), pair(1, "B.", "A.")], 2, "contradicts {file}:1", True),
    ("few bad", [said(n, label=n > 0) for n in range(20)], None, "only 1 of 20 rows (5.0%) have the label 'false'", False),
    ("all good", [said(1, label=True), said(2, label=True)], None, "every row has the label 'true'", False),
    ("one class", [classified(1, "a"), classified(2, "a")], None, "every row has the class 'a'", True),
    ("a rare class", [classified(n, "abc"[(n > 0) + (n > 9)]) for n in range(20)], None, "only 1 of 20 rows", False),
    (
        "longer",
        [pair(n, "Yes, and more.") for n in range(20)],
        None,
        "in 100% of the pairs the chosen answer is the longer",
        False,
    ),
    ("cut", [*TWENTY, said(20, completion=LONG[:-1] * 2)], 21, "seems broken off: the answer ends without punctuation", False),
    ("open code", [said(1, completion="So:\n```python\nprint(1)")], 1, "seems broken off: a code block isn't closed", False),
    ("a key", [said(1), said(2, completion=f"Take {KEY}.")], 2, "holds what looks like an AWS key: AKIA… (20 characters)", True),
    ("a password", [said(1, prompt="password = tiger1234")], 1, "holds what looks like a value for 'password'", False),
    ("a token", [said(1), said(2, prompt="Say <|eot_id|>!")], 2, "holds the control token '<|eot_id|>'", False),
]


@pytest.mark.parametrize(("records", "line", "what", "is_error"), [case[1:] for case in FOUND], ids=[case[0] for case in FOUND])
def test_one_fault_is_found_with_its_line(
    tmp_path: Path, records: list[dict[str, Any]], line: int | None, what: str, is_error: bool
) -> None:
    file = tmp_path / "data.jsonl"
    faults = check_rows(write(file, *records))
    assert [(fault.place.line if fault.place else None, fault.is_error) for fault in faults] == [(line, is_error)]
    assert faults[0].what.startswith(what.format(file=file))
    assert faults[0].hint


@pytest.mark.parametrize(
    "records",
    [
        TWENTY,
        [said(n, label=n % 2 == 0) for n in range(20)],
        [pair(n, "Yes." if n % 3 else "Yes, and much more.") for n in range(30)],
        [pair(n, "Longer than the other.") for n in range(5)],  # too few for a share
        [classified(n, str(n % 20)) for n in range(200)],  # 5 % of each of twenty classes is their due
        [said(1), said(2, completion="Answer 1."), said(1, prompt="Other?")],
        [said(n, completion=f"{LONG}\n- an item {n} of a list that is long enough to be seen") for n in range(20)],
        [said(n, completion=f"{LONG} " * 2 + "without end" * (n % 2)) for n in range(20)],  # their own way of ending
        [said(1, completion="```sh\nls\n```")],
        [said(1, prompt="What is the password policy? Password: see below. password=${SECRET_2}")],
        [said(1, prompt="if a < b and c > d: <passage> [1] <b>|x|</b> task-list-of-the-week-2024")],
    ],
)
def test_sound_data_has_no_fault(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    assert check_rows(write(tmp_path / "data.jsonl", *records)) == ()


RAFT = {"question": "When did it open?", "passages": [{"text": LONG, "source": "a.md"}], "answer": "In 1921. [1]"}


@pytest.mark.parametrize(
    ("trained", "held_out", "what"),
    [
        (said(1), said(1, completion="Other."), "has the same prompt as"),
        (said(1), pair(1) | {"prompt": "QUESTION  1?"}, "has the same prompt as"),
        (said(1), said(1, completion="Other.", system="Be brief."), "has the same prompt as"),
        (said(1, completion=LONG), said(2, completion=LONG), "has the same answer as"),
        (said(1, completion=LONG), pair(2, rejected=LONG), "has the same answer as"),
        (RAFT, RAFT | {"passages": [{"text": "Other.", "source": "b.md"}], "answer": "Unknown."}, "has the same prompt as"),
        ({"text": "Same text."}, {"text": "Same text."}, "has the same prompt as"),
    ],
)  # fmt: skip
def test_what_is_in_both_splits_names_both_places(
    tmp_path: Path, trained: dict[str, Any], held_out: dict[str, Any], what: str
) -> None:
    train = write(tmp_path / "train.jsonl", trained, before="\n")
    faults = check_rows(train, write(tmp_path / "eval.jsonl", held_out, before="\n\n"))
    assert [str(fault) for fault in faults if fault.is_error] == [
        f"{tmp_path}/eval.jsonl:3: {what} {tmp_path}/train.jsonl:2, which is trained on"
    ]


def test_short_answers_may_be_in_both_splits(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", said(1, completion="Not in these documents."))
    assert check_rows(train, write(tmp_path / "eval.jsonl", said(2, completion="Not in these documents."))) == ()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("sk-" + "aB3" * 16, "an OpenAI key"),
        ("sk-proj-" + "aB3_" * 12, "an OpenAI key"),
        ("sk-ant-" + "aB3-" * 12, "an Anthropic key"),
        ("ghp_" + "aB3" * 12, "a GitHub token"),
        ("github_pat_" + "aB3" * 12, "a GitHub token"),
        ("AIza" + "aB3-_" * 7, "a Google key"),
        ("xoxb-" + "12345-" * 4, "a Slack token"),
        ("hf_" + "aB3" * 12, "a Hugging Face token"),
        ("sk_live_" + "aB3" * 8, "a Stripe key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "a private key"),
        ("eyJ" + "aB3" * 8 + ".eyJ" + "aB3" * 8 + "." + "aB3" * 8, "a JSON web token"),
        ("API_KEY: 'a1b2c3d4e5'", "a value for 'api_key'"),
    ],
)
def test_secrets_are_known_by_their_shape_and_never_shown(text: str, kind: str) -> None:
    found = list(find_secrets(f"Use {text} to log in."))
    assert [secret.kind for secret in found] == [kind]
    assert text[-8:] not in found[0].masked


@given(st.text(min_size=8))
def test_a_mask_hides_all_but_the_beginning(secret: str) -> None:
    assert mask(secret).startswith(secret[:4] + "… (")
    assert len(mask(secret)) < 30


@cache
def encoder(family: str) -> Formatter:
    if family == "gemma2":
        names = {"bos": "<bos>", "eos": "<eos>", "unk": "<unk>", "pad": "<pad>", "template": GEMMA_2_FAMILY.template}
        return Formatter.of(tiny_models.byte_fallback(tiny_models.GEMMA_2_TOKENS, prefix=False, **names), GEMMA_2_FAMILY)
    if family == "llama3":
        names = {"bos": "<|begin_of_text|>", "eos": "<|eot_id|>", "template": LLAMA_3_FAMILY.template}
        return Formatter.of(tiny_models.byte_level(tiny_models.LLAMA_3_TOKENS, **names), LLAMA_3_FAMILY)
    names = {"bos": "<|endoftext|>", "eos": "<|endoftext|>"}
    return Formatter.of(tiny_models.byte_level(("<|endoftext|>",), begins=False, **names), PLAIN_FAMILY)


def test_lengths_are_those_of_what_is_trained(tmp_path: Path) -> None:
    prompt = len("Question 0?\nAnswer: ") + 1  # a token a byte, and the end
    rows = write(tmp_path / "data.jsonl", *(said(0, completion="x" * (length - prompt)) for length in (32, 40, 64, 100))).rows
    lengths, faults = measure(rows, encoder("plain"), base="tiny", max_length=64)
    assert lengths is not None
    assert lengths.bins == ((SMALLEST, 1), (64, 2), (128, 1))
    assert (lengths.measured, lengths.median, lengths.longest) == (4, 64, 100)
    assert (lengths.over, lengths.without_stop) == (0.25, 0)
    assert [str(fault).rpartition("/")[2] for fault in faults] == ["data.jsonl:4: has 100 tokens, more than 64: it is left out"]
    assert measure(rows, encoder("plain"), base="tiny", max_length=100)[1] == []
    assert measure([], encoder("plain"), base="tiny", max_length=100) == (None, [])


def test_a_long_text_is_parted_not_left_out() -> None:
    lengths, faults = measure([Text("x" * 100, AT)], encoder("plain"), base="tiny", max_length=10)
    assert lengths is not None
    assert (lengths.longest, lengths.over, faults) == (101, 0, [])


def test_a_row_that_is_learned_without_its_end_is_an_error(tmp_path: Path) -> None:
    class Endless(Formatter):
        def answer(self, text: str, *rest: Any) -> list[int]:
            return super().answer(text, *rest)[:-1]

    whole = encoder("llama3")
    data = write(tmp_path / "data.jsonl", said(1), said(2))
    lengths, faults = measure(data.rows, Endless(whole.tokenizer, whole.family, whole.stop_id), base="tiny", max_length=999)
    assert lengths is not None
    assert lengths.without_stop == 1
    assert [(fault.place and fault.place.line, fault.is_error) for fault in faults] == [(1, True), (2, True)]


def test_a_row_that_cannot_be_rendered_is_an_error() -> None:
    class Broken(Formatter):
        def prompt(self, messages: Any) -> list[int]:
            raise ModelError("the template fails", hint="mend it")

    whole = encoder("llama3")
    row = Conversation((Message("user", "Q"), Message("assistant", "A")), AT)
    found = measure([row], Broken(whole.tokenizer, whole.family, whole.stop_id), base="tiny", max_length=9)
    assert found == (None, [Fault(AT, "can't be rendered: the template fails", "mend it")])


@given(st.lists(st.integers(1, 300), min_size=1, max_size=30), st.integers(1, 300))
def test_the_bars_count_every_row_once(lengths: list[int], most: int) -> None:
    plain, rows = encoder("plain"), [Text("x" * (length - 1), AT) for length in lengths]
    found, _ = measure(rows, plain, base="tiny", max_length=most)
    assert found is not None
    bins = found.bins
    assert sum(number for _, number in bins) == len(lengths)
    assert bins[-1][0] >= max(lengths)
    assert all(high == 2 * low for (low, _), (high, _) in pairwise(bins))


@pytest.mark.parametrize(
    ("family", "read", "learned"),
    [
        ("llama3", "\n\nQuestion 1?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", "Answer 1.<|eot_id|>"),
        ("gemma2", "<bos><start_of_turn>user\nQuestion 1?<end_of_turn>\n<start_of_turn>model\n", "Answer 1.<end_of_turn>"),
        ("plain", "Question 1?\nAnswer:", " Answer 1.<|endoftext|>"),
    ],
)  # fmt: skip
def test_a_preview_is_what_the_model_reads_and_learns(tmp_path: Path, family: str, read: str, learned: str) -> None:
    rows = write(tmp_path / "data.jsonl", said(1)).rows
    (pieces,) = preview(rows[0], encoder(family)).values()
    assert [piece.learned for piece in pieces] == [False, True]
    assert pieces[0].text.endswith(read)
    assert pieces[1].text == learned


def test_a_preview_of_a_pair_shows_both_sides(tmp_path: Path) -> None:
    row = write(tmp_path / "data.jsonl", pair(1)).rows[0]
    shown = preview(row, encoder("plain"))
    assert {name: pieces[-1].text for name, pieces in shown.items()} == {
        "chosen": " Yes, it is.<|endoftext|>", "rejected": " No, not so.<|endoftext|>",
    }  # fmt: skip
    text = "".join(piece.text for piece in preview(row)[""])
    assert text == "user: Question 1?\nchosen: Yes, it is.\nrejected: No, not so."


@pytest.mark.parametrize(
    ("record", "text", "learned"),
    [
        (said(1, system="Be brief."), "system: Be brief.\nuser: Question 1?\nassistant: Answer 1.", ["Answer 1."]),
        (said(1, label=False), "user: Question 1?\nbad: Answer 1.", ["Answer 1."]),
        (said(1, score=2.5), "user: Question 1?\nscore 2.5: Answer 1.", ["Answer 1."]),
        (classified(1, "b"), "text: Text 1.\nclass: b", ["b"]),
        ({"text": "T"}, "T", ["T"]),
    ],
)
def test_a_preview_without_a_model_shows_the_turns(tmp_path: Path, record: dict[str, Any], text: str, learned: list[str]) -> None:
    pieces = preview(write(tmp_path / "data.jsonl", record).rows[0])[""]
    assert "".join(piece.text for piece in pieces) == text
    assert [piece.text for piece in pieces if piece.learned] == learned


@pytest.mark.parametrize("record", [said(1), pair(1), said(1, label=True), said(1, score=1), {"text": "T."}, classified(1, "a")])
def test_every_kind_of_row_can_be_measured(tmp_path: Path, record: dict[str, Any]) -> None:
    data, llama = write(tmp_path / "data.jsonl", record), encoder("llama3")
    lengths, faults = measure(data.rows, llama, base="tiny", max_length=200)
    assert lengths is not None
    assert lengths.longest == llama.length(data.rows[0])
    assert faults == []
    assert all(pieces for pieces in preview(data.rows[0], llama).values())
