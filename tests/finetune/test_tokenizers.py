"""What a tokenizer costs: counted by hand on vocabularies of a few tokens, and by published ids."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from assistant.errors import ModelError
from finetune.commands.tokenizer import embedder_spans, read_context, report
from finetune.english import ENGLISH
from finetune.errors import DataFault
from finetune.languages import recognise
from finetune.tokenizers import (
    DEAR,
    LEAST_BYTES,
    Cost,
    Sample,
    first_difference,
    judge,
    lost_characters,
    measure,
    read_sample,
    reference,
    relative_cost,
    sample,
)
from finetune.vocabulary import FastVocabulary, byte_letters, open_tokenizer, ranked_tokenizer
from indexes.errors import UsageError
from indexes.splitting import SplitSettings

TAMIL = "அகர முதல எழுத்தெல்லாம் ஆதி\nபகவன் முதற்றே உலகு.\n"
FRENCH = "Le chat dort sur le toit de la maison pendant que les enfants jouent dans le jardin.\n"


def words(text: str) -> list[tuple[int, int]]:
    """Spans of an embedder that takes every fourth character for a token's end."""
    return [(at, min(at + 4, len(text))) for at in range(0, len(text), 4)]


def of(text: str, name: str = "text") -> Sample:
    return sample(name, text, words)


def byte_vocabulary(merges: Sequence[bytes] = ()) -> FastVocabulary:
    ranks = {bytes([byte]): byte for byte in range(256)}
    return FastVocabulary(ranked_tokenizer(ranks | {merge: 256 + at for at, merge in enumerate(merges)}))


def write_byte_level(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    tokenizer = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(byte_letters().values())}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|eot_id|>"])
    tokenizer.enable_truncation(16)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_ranks(folder: Path, text: str = "") -> Path:
    lines = [f"{base64.b64encode(bytes([byte])).decode()} {byte}" for byte in range(256)]
    (folder / "tokenizer.model").write_text(text or "\n".join([*lines, f"{base64.b64encode(b'th').decode()} 256", ""]))
    return folder


def test_bytes_of_characters_are_counted_apart_from_whole_ones() -> None:
    found = measure(byte_vocabulary([b"th"]), of("the é\n"))
    assert (found.tokens, found.characters, found.size, found.words) == (6, 6, 7, 2)  # th e ␣ Ã © ␊
    assert (found.partial, found.unknown, found.difference) == (2, 0, None)
    assert (found.tokens_per_word, found.tokens_per_character, found.bytes_per_token) == (3.0, 1.0, 7 / 6)


def test_an_encoder_loses_what_it_has_no_token_for() -> None:
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "cat": 2, "##s": 3}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    found = measure(FastVocabulary(tokenizer), of("a cat\nA cats பகவன்\n"))
    assert (found.tokens, found.unknown, found.partial, found.lost) == (6, 1, 0, 5)
    assert found.difference is not None
    assert found.difference.line == 1  # the line end is lost
    verdict = judge(of("a cat"), found, Cost(1.0, ""))
    assert (verdict.extend, verdict.reason[:5]) == (True, "26.3%")


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ("The ﬁrst\nＡ", "the first a", 0),
        ("été", "ete", 2),
        ("அகர முதல எழுத்தெல்லாம்", "அகர மதல எழததலலம", 7),  # what an accent-stripping encoder leaves: no vowel signs
        ("abc", "", 3),
        ("a", "[UNK] a", 0),
    ],
)
def test_lost_characters(before: str, after: str, lost: int) -> None:
    assert lost_characters(before, after) == lost


@pytest.mark.parametrize(("text", "unknown", "lost"), [("Un été à la forêt, près de la mer.", 0, 5), (TAMIL, 5, 31)])
def test_the_installed_encoder_loses_accents_silently_and_tamil_loudly(text: str, unknown: int, lost: int) -> None:
    from indexes.embedding import INSTALLED, model_folder

    vocabulary, _ = open_tokenizer(str(model_folder(INSTALLED)))
    given = of(text)
    found = measure(vocabulary, given)
    assert (found.unknown, found.lost) == (unknown, lost)
    assert "of the characters are lost" in judge(given, found, Cost(2.0, "")).reason


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: bool(text.strip())))
def test_every_text_comes_back_from_bytes(text: str) -> None:
    vocabulary = byte_vocabulary([b"th", b"the", b" the", " த".encode()])
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert b"".join(vocabulary.piece(token) or b"" for token in vocabulary.encode(text)) == text.encode()


@given(st.text("ab\n", min_size=1), st.text("ab\n", min_size=1))
def test_the_first_difference_is_where_the_lines_differ(before: str, after: str) -> None:
    found = first_difference(before, after)
    assert (found is None) == (before == after)
    if found:
        ours, theirs = before.split("\n"), after.split("\n")
        assert ours[: found.line - 1] == theirs[: found.line - 1]
        assert found.before == ours[found.line - 1]


def test_ranks_are_joined_the_lowest_first() -> None:
    vocabulary = byte_vocabulary([b"bc", b"ab", b"abc", b"xyz"])
    assert vocabulary.encode("abc") == [258]
    assert vocabulary.encode("abcd") == [258, ord("d")]  # a + bc: rank 256 goes before ab's 257
    assert vocabulary.encode("xyz") == [259]  # a word that is a token needs no merges
    assert vocabulary.encode("xyzb") == [*b"xyzb"]  # and in a longer one none leads to it


def test_text_that_looks_like_a_special_token_is_text(tmp_path: Path) -> None:
    vocabulary, _ = open_tokenizer(str(write_byte_level(tmp_path)))
    assert len(vocabulary.encode("<|eot_id|>" * 3)) == 30  # and the limit of 16 that it was saved with is gone


def test_metas_list_of_ranks_is_read(tmp_path: Path) -> None:
    vocabulary, _ = open_tokenizer(str(write_ranks(tmp_path)))
    assert (vocabulary.size, vocabulary.encode("the")) == (257, [256, ord("e")])


def test_sentencepiece_is_read(tmp_path: Path) -> None:
    import sentencepiece

    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(ENGLISH.splitlines()), model_prefix=str(tmp_path / "tokenizer"), vocab_size=330,
        model_type="bpe", byte_fallback=True, character_coverage=1.0, normalization_rule_name="identity",
        remove_extra_whitespaces=False, minloglevel=2,
    )  # fmt: skip
    found = measure(open_tokenizer(str(tmp_path))[0], of("the people\nத\n"))
    assert found.difference is None
    assert (found.partial, found.unknown) == (3, 0)  # the bytes of த; those of the line ends are whole characters


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", "{}", "the tokenizer of .* can't be read: tokenizer.json"),
        ("tokenizer.model", "YQ== 0\nbroken\n", "line 2 is no token with its rank: b'broken'"),
        ("tokenizer.model", "YQ== 0\nYg== 1\n", "ranks are missing: the file is cut off"),
        ("tokenizer.model", "\n\x00 no model", "the tokenizer of .* can't be read: tokenizer.model"),
        ("config.json", "{}", "has no tokenizer"),
    ],
)
def test_a_base_without_a_good_tokenizer_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ModelError, match=message) as caught:
        open_tokenizer(str(tmp_path))
    assert "tokenizer" in caught.value.hint


@pytest.mark.parametrize(
    ("base", "message"),
    [("no/such/folder", "there is no folder"), ("org/name", "can't be had from the Hugging Face Hub now"), ("", "no folder ''")],
)
def test_a_base_that_is_not_here(base: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        open_tokenizer(base)


def test_a_base_that_is_a_file(tmp_path: Path) -> None:
    file = write_byte_level(tmp_path) / "tokenizer.json"
    with pytest.raises(ModelError, match="is a file") as caught:
        open_tokenizer(str(file))
    assert str(tmp_path) in caught.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "'text.txt' is empty"),
        (b" \n\t\n", "'text.txt' is empty"),
        (b"PK\x03\x04\x00\x00", "holds a NUL byte"),
        ("où ça".encode("latin1"), r"isn't in UTF-8: byte 1 is 0xf9"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(DataFault, match=message) as caught:
        read_sample(tmp_path / "text.txt", words)
    assert caught.value.hint


def test_all_faulty_texts_are_named_together(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    base = str(write_byte_level(tmp_path / "base"))
    with pytest.raises(DataFault, match=r"'a' is empty; can't read .*b': No such file"):
        report([tmp_path / "a", tmp_path / "b"], [base], out=None, context=None, as_json=False)


@pytest.mark.parametrize(
    ("text", "code", "name", "script"),
    [
        (TAMIL, "ta", "Tamil", "TAMIL"),
        (FRENCH, "fr", "French", "LATIN"),
        (ENGLISH, "en", "English", "LATIN"),
        ("ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", None, "Cherokee script", "CHEROKEE"),
        ("12 + 34 = 46", None, "no letters", ""),
    ],
)
def test_languages_are_named(text: str, code: str | None, name: str, script: str) -> None:
    found = recognise(text)
    assert (found.code, found.name, found.script) == (code, name, script)


def test_words_are_counted_only_where_spaces_part_them() -> None:
    assert of(TAMIL).words == 7
    assert of("吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。").words is None


def test_translations_are_compared_whole_and_other_texts_by_the_character() -> None:
    vocabulary, shipped = byte_vocabulary(), of(ENGLISH, "shipped")
    lines = ENGLISH.split()[:200]
    english, tamil = of("\n".join(lines)), of("\n".join(["எழுத்து"] * len(lines)))
    assert reference(tamil, [english, tamil], shipped) is english
    cost = relative_cost(tamil, measure(vocabulary, tamil), english, measure(vocabulary, english))
    assert cost.ratio == pytest.approx(len(tamil.text.encode()) / len(english.text))
    assert "its translation (200 lines each)" in cost.basis
    alone = relative_cost(tamil, measure(vocabulary, tamil), shipped, measure(vocabulary, shipped))
    assert reference(tamil, [tamil], shipped) is shipped
    assert alone.ratio == pytest.approx((7 * 3 + 1) / 8, rel=0.01)  # seven signs of three bytes and a line end
    assert "by the character, against shipped" in alone.basis
    assert reference(english, [tamil, english], shipped) is english


def test_of_several_translations_the_neighbour_is_taken() -> None:
    one, other = (of("\n".join(ENGLISH.split()[at : at + 50]), str(at)) for at in (0, 50))
    tamil, third = (of("\n".join([word] * 50)) for word in ("எழுத்து", "முதல"))
    samples = [tamil, one, third, other]
    assert [reference(given, samples, one).name for given in samples] == ["0", "0", "50", "50"]


@pytest.mark.parametrize(
    ("ratio", "size", "extend", "why"),
    [
        (1.5, LEAST_BYTES, False, "costs 1.5 × English, less than 3 ×"),
        (DEAR, LEAST_BYTES - 1, False, "new tokens want at least 10 MB of text, and this is 10 MB"),
        (DEAR, 2 * LEAST_BYTES, True, "this is 20 MB"),
    ],
)
def test_new_tokens_need_a_reason_and_text(ratio: float, size: int, extend: bool, why: str) -> None:
    given = sample("t", TAMIL, words, size=size)
    verdict = judge(given, measure(byte_vocabulary(), given), Cost(ratio, ""))
    assert verdict.extend is extend
    assert why in verdict.reason


def test_passages_are_those_that_the_index_cuts() -> None:
    spans = embedder_spans()
    given = sample("english", ENGLISH * 4, spans)
    assert len(given.passages) > 5
    assert all(len(spans(passage)) <= SplitSettings().target_tokens for passage in given.passages)
    assert max(map(len, given.passages)) > 700  # 200 tokens of English, without what was left over
    found = measure(byte_vocabulary(), given)
    assert found.passage_tokens == pytest.approx(sum(map(len, given.passages)) / len(given.passages))
    assert found.passages_in(8192) == int(8192 / found.passage_tokens)


@pytest.mark.parametrize(
    ("files", "context"),
    [
        ({"config.json": {"model_type": "llama", "max_position_embeddings": 4096}}, 4096),
        ({"config.json": {"model_type": "gpt2", "n_positions": 1024}}, 1024),
        ({"config.json": {"model_type": "gemma2", "max_position_embeddings": 8192, "sliding_window": 4096}}, 8192),
        ({"tokenizer_config.json": {"model_max_length": 512}}, 512),
        ({"tokenizer_config.json": {"model_max_length": 10**30}}, 8192),
        ({}, 8192),
    ],
)
def test_the_context_is_the_configs(tmp_path: Path, files: dict[str, dict[str, object]], context: int) -> None:
    write_byte_level(tmp_path)
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    _, checkpoint = open_tokenizer(str(tmp_path))
    assert read_context(checkpoint) == context


def test_a_report_says_it_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = write_byte_level(tmp_path / "bytes")
    texts = [tmp_path / "ta.txt", tmp_path / "fr.txt"]
    for path, text in zip(texts, (TAMIL * 9, FRENCH * 9), strict=True):
        path.write_text(text, encoding="utf-8")
    assert report(texts, [str(base)], out=tmp_path / "plots", context=2048, as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    tamil, french = found["reports"]
    assert (found["schema"], tamil["language"], french["language"]) == (1, "Tamil", "French")
    assert tamil["tokens"] == tamil["bytes"] == len(TAMIL.encode()) * 9
    assert tamil["round_trip"]["exact"]
    assert tamil["cost"]["relative_to_english"] == pytest.approx(tamil["tokens"] / tamil["characters"])
    assert tamil["verdict"] == french["verdict"] == "train on the existing tokenizer"
    assert (tmp_path / "plots" / "tokenizers.png").read_bytes().startswith(b"\x89PNG")
    assert report(texts, [str(base)], out=None, context=None, as_json=False) == 0
    text = capsys.readouterr().out
    assert "ta.txt: Tamil" in text
    assert "bytes: train on the existing tokenizer: nothing is lost" in text


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    base = str(write_byte_level(tmp_path / "bytes"))
    (tmp_path / "t.txt").write_text(ENGLISH)
    with pytest.raises(UsageError, match="can't write"):
        report([tmp_path / "t.txt"], [base], out=tmp_path / "t.txt" / "plots", context=None, as_json=False)
