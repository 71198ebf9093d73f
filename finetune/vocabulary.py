"""A base's tokenizer, opened without its weights and without torch, as what measuring needs: ids, text, and a token's bytes.

Three kinds of files are read directly: ``tokenizer.json`` (tokenizers), SentencePiece's ``tokenizer.model``, and the
``tokenizer.model`` of Meta's Llama 3, which is a list of ranks as tiktoken reads it. Anything else goes through transformers.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from assistant.errors import ModelError
from assistant.models.checkpoint import Checkpoint
from assistant.models.hub import first_line
from finetune.model_files import TOKENIZER_FILES, find_files

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LLAMA_3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How a text is cut before its bytes are joined. Source: the Llama 3 tokenizer that Meta published with the ranks."""
RANK = re.compile(rb"[A-Za-z0-9+/]+={0,2} \d+\r?\n?")
BYTE = re.compile(r"<0x([0-9A-F]{2})>")
SPACE = "▁"
"""What SentencePiece writes for a space."""


class Vocabulary(Protocol):
    """A tokenizer without special tokens: the text it is given is data, whatever it looks like."""

    @property
    def size(self) -> int:
        """How many tokens there are."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""

    def piece(self, token: int) -> bytes | None:
        """The bytes of the text that a token stands for; None: it stands for text that is lost."""


def open_tokenizer(base: str) -> tuple[Vocabulary, Checkpoint]:
    """Open a base's tokenizer. The base may lack everything else.

    Raises:
        ModelError: there is no such base, or no tokenizer in it that can be read.
    """
    checkpoint = find_files(base, TOKENIZER_FILES)
    for name, read in (("tokenizer.json", _tokenizers), ("tokenizer.model", _tokenizer_model)):
        file = checkpoint.folder / name
        if file.is_file():
            try:
                return read(file), checkpoint
            except Exception as error:
                raise ModelError(
                    f"the tokenizer of {base!r} can't be read: {name}: {first_line(error)}", hint=checkpoint.mend(name)
                ) from error
    return _through_transformers(checkpoint), checkpoint


class FastVocabulary:
    """A tokenizer of the library ``tokenizers``."""

    def __init__(self, tokenizer: "Tokenizer") -> None:
        tokenizer.no_truncation()  # encoders come with a limit, and would measure a text's beginning
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # "<|eot_id|>" in a text is text
        self._tokenizer = tokenizer
        self._unknown = unknown_token(tokenizer)
        decoder: Any = tokenizer.decoder
        self._by_byte = decoder is not None and b'"ByteLevel"' in decoder.__getstate__()
        self._added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
        self._bytes = {letter: byte for byte, letter in byte_letters().items()}

    @property
    def size(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def piece(self, token: int) -> bytes | None:
        text = self._tokenizer.id_to_token(token)
        if text is None or text == self._unknown:
            return None
        if self._by_byte and text not in self._added and all(letter in self._bytes for letter in text):
            return bytes(self._bytes[letter] for letter in text)
        found = BYTE.fullmatch(text)
        return bytes([int(found[1], 16)]) if found else text.replace(SPACE, " ").encode()


class SentencePieceVocabulary:
    """A tokenizer of SentencePiece."""

    def __init__(self, file: Path) -> None:
        from sentencepiece import SentencePieceProcessor

        self._processor = SentencePieceProcessor(model_file=str(file))

    @property
    def size(self) -> int:
        return int(self._processor.GetPieceSize())

    def encode(self, text: str) -> list[int]:
        return list(self._processor.EncodeAsIds(text))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._processor.DecodeIds(list(ids)))

    def piece(self, token: int) -> bytes | None:
        if self._processor.IsUnknown(token):
            return None
        text = str(self._processor.IdToPiece(token))
        found = BYTE.fullmatch(text) if self._processor.IsByte(token) else None
        return bytes([int(found[1], 16)]) if found else text.replace(SPACE, " ").encode()


def byte_letters() -> dict[int, str]:
    """Byte → the letter that byte-level vocabularies write for it. Source: GPT-2's ``bytes_to_unicode``."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + at) for at, byte in enumerate(others)}


def unknown_token(tokenizer: "Tokenizer") -> str | None:
    """The token of what the vocabulary has no token for, if there is such a token."""
    model: Any = tokenizer.model
    named = getattr(model, "unk_token", None)
    if named is None and type(model).__name__ == "Unigram":
        at = json.loads(model.__getstate__()).get("unk_id")
        named = None if at is None else tokenizer.id_to_token(at)
    return named


def ranked_tokenizer(ranks: Mapping[bytes, int]) -> "Tokenizer":
    """The tokenizer of tiktoken's ranks: bytes are joined in the order of the rank of what they make.

    Every way to put a token together of two others is a merge, the ways of the lower ranks first, as tiktoken would take them.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    letters = byte_letters()
    names = {token: "".join(letters[byte] for byte in token) for token in ranks}
    merges: list[tuple[str, str]] = []
    for token in sorted(ranks, key=lambda token: ranks[token]):
        halves = ((token[:at], token[at:]) for at in range(1, len(token)))
        known = [(left, right) for left, right in halves if left in ranks and right in ranks]
        merges += [
            (names[left], names[right]) for left, right in sorted(known, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
        ]
    vocabulary = {names[token]: rank for token, rank in ranks.items()}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=True))
    words = pre_tokenizers.Split(Regex(LLAMA_3_WORDS), behavior="isolated")
    bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, bytewise])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _tokenizers(file: Path) -> Vocabulary:
    from tokenizers import Tokenizer

    return FastVocabulary(Tokenizer.from_file(str(file)))


def _tokenizer_model(file: Path) -> Vocabulary:
    with file.open("rb") as stream:
        first = stream.readline(200)
    return FastVocabulary(ranked_tokenizer(_ranks(file))) if RANK.fullmatch(first) else SentencePieceVocabulary(file)


def _ranks(file: Path) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise ValueError(f"line {number} is no token with its rank: {line[:40]!r}") from error
    gaps = [at for at, (one, other) in enumerate(pairwise(sorted(ranks.values())), 1) if other != one + 1]
    if gaps or any(bytes([byte]) not in ranks for byte in range(256)):
        raise ValueError("ranks are missing: the file is cut off, or not a byte-level vocabulary")
    return ranks


def _through_transformers(checkpoint: Checkpoint) -> Vocabulary:
    from assistant.models.pretrained import read_tokenizer

    backend = getattr(read_tokenizer(checkpoint), "backend_tokenizer", None)
    if backend is None:
        raise ModelError(
            f"the tokenizer of {checkpoint.name!r} has no tokenizer.json and is of a kind that can't be measured without it",
            hint="save it once with transformers' save_pretrained, and give that folder",
        )
    return FastVocabulary(backend)
