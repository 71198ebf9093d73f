"""Text as it comes: all of it, once, and never half a character."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from assistant.models.detokenizing import Detokenizer, Thoughts, until


def from_bytes(ids: Sequence[int]) -> str:
    return bytes(ids).decode("utf-8", errors="replace")


def from_words(ids: Sequence[int]) -> str:
    """As sentencepiece does it: a space before every word but the first of what is decoded."""
    return " ".join(f"w{i}" for i in ids)


def streamed(decode: object, ids: Sequence[int]) -> list[str]:
    text = Detokenizer(decode)  # type: ignore[arg-type]
    return [*(text.push(i) for i in ids), text.finish()]


def test_half_a_character_is_held_back() -> None:
    assert streamed(from_bytes, "aé€".encode()) == ["a", "", "é", "", "", "€", ""]


def test_a_character_that_never_ends_is_shown_at_the_end() -> None:
    assert "".join(streamed(from_bytes, b"ok" + b"\xe2\x82")) == "ok\ufffd"


def test_broken_bytes_do_not_hold_the_rest_back() -> None:
    pieces = streamed(from_bytes, b"\xff" * 20 + b"ok")
    assert "".join(pieces).endswith("ok")
    assert any(pieces[:10])


def test_the_space_before_a_word_is_not_lost() -> None:
    assert streamed(from_words, [1, 2, 3]) == ["w1", " w2", " w3", ""]


@given(st.text(max_size=60))
def test_the_pieces_make_the_text(text: str) -> None:
    assert "".join(streamed(from_bytes, text.encode())) == text


@given(st.lists(st.integers(0, 9), max_size=40))
def test_the_words_make_the_text(ids: list[int]) -> None:
    assert "".join(streamed(from_words, ids)) == from_words(ids)


def test_a_text_that_ends_an_answer_is_not_shown_nor_its_beginning() -> None:
    assert "".join(until(["It is 4", "0.\n", "\nQues", "tion: And?"], ("\n\nQuestion:",))) == "It is 40."


def test_what_only_began_like_an_end_is_shown() -> None:
    assert list(until(["a\n", "\nQ", "uiet"], ("\n\nQuestion:",))) == ["a", "\n\nQuiet"]
    assert list(until(["a", "\n\nQ"], ("\n\nQuestion:",))) == ["a", "\n\nQ"]


@given(st.text(alphabet="ab", max_size=30), st.lists(st.text(alphabet="ab", min_size=1, max_size=3), max_size=3))
def test_character_by_character_the_text_ends_where_the_first_whole_end_began(text: str, stops: list[str]) -> None:
    first = next((end for end in range(len(text) + 1) if any(text[:end].endswith(stop) for stop in stops)), None)
    wanted = len(text) if first is None else min(first - len(stop) for stop in stops if text[:first].endswith(stop))
    assert "".join(until(text, stops)) == text[:wanted]


@given(st.sampled_from(["<think>", "<thinking>"]), st.text(max_size=20), st.text(max_size=20), st.data())
def test_a_thought_comes_out_however_it_is_cut(tag: str, thought: str, answer: str, data: st.DataObject) -> None:
    end = tag.replace("<", "</")
    whole = f"\n{tag}{thought.replace('<', '')}{end}\n\n{answer}"
    assert "".join(pushed(whole, data)).lstrip() == answer.lstrip()


@given(st.text(max_size=30), st.data())
def test_an_answer_without_thoughts_passes_as_it_is(answer: str, data: st.DataObject) -> None:
    answer = f"It is {answer} <think>"
    assert "".join(pushed(answer, data)) == answer


def test_a_thought_that_never_ends_is_no_answer() -> None:
    assert list(pushed("<think>Well, the hut sleeps 24")) == []
    assert "".join(pushed(" <thin")) == " <thin"


def pushed(text: str, data: st.DataObject | None = None) -> Iterator[str]:
    """What comes out when a text is pushed in pieces."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4))) if data else []
    thoughts = Thoughts()
    parts = [text[a:b] for a, b in pairwise([0, *cuts, len(text)])]
    yield from (shown for part in parts if (shown := thoughts.push(part)))
    yield from (shown for shown in (thoughts.finish(),) if shown)
