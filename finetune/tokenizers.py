"""What a tokenizer costs per language, and whether it is to be extended for it (pure, but for reading the text).

Tokens are counted on the text as it stands. What "passages" are is what the index cuts: so that the figures say how much of a
collection a model can be shown.
"""

import codecs
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.errors import DataFault
from finetune.languages import Language, recognise
from finetune.vocabulary import Vocabulary
from indexes.records import Document
from indexes.splitting import SplitSettings, split

DEFAULT_CONTEXT = 8192
"""Tokens a model is taken to read where neither a config nor a flag says."""
MEASURED = 2_000_000
"""Characters of a text that are measured: a share doesn't change any more after so many."""
CUT = 200_000
"""Characters of a text that are cut into passages."""
TRANSLATION = 20
"""Two texts with the same number of lines are taken for translations of each other, from so many lines on."""

LOSS_ALLOWED = 0.001
"""Share of characters that may not come back."""
DEAR = 3.0
"""Times what English costs, from which on new tokens may be worth their price: the adapter then can't be swapped without
a reload any more, because embeddings belong to the base (our choice)."""
LEAST_BYTES = 10_000_000
"""The least text with which an extended vocabulary has held its own: 30,000 sentences, 0.01 GB. Source: Yamaguchi et al. 2024,
arXiv 2406.11477. Zhao et al. 2024, 2401.01055, found extended vocabularies worse though trained on far more text."""

TRAIN, EXTEND = "train on the existing tokenizer", "extend"


@dataclass(frozen=True, slots=True)
class Sample:
    """A text of one language, as far as it is measured.

    Attributes:
        name: of its file.
        size: bytes of the whole file.
        passages: the first of the passages that the index would cut from it.
    """

    name: str
    text: str
    size: int
    language: Language
    passages: tuple[str, ...]

    @property
    def words(self) -> int | None:
        """Words between spaces; None where the language doesn't write spaces between them."""
        return len(self.text.split()) if self.language.is_spaced else None

    @property
    def lines(self) -> int:
        """Lines that aren't blank."""
        return sum(bool(line.strip()) for line in self.text.splitlines())


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a text first comes back otherwise than it went in: the line's number, the line, and what became of it."""

    line: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a tokenizer makes of a text.

    Attributes:
        tokens, characters, size, words: how many; ``size`` in bytes of UTF-8, words None where they can't be counted.
        partial: tokens that hold a part of a character only (bytes, or several bytes that make no whole characters).
        unknown: tokens that stand for text without a token.
        lost: characters that don't come back; case, forms of the same character and spaces aside.
        difference: where the decoded text differs; None: it comes back exactly.
        passage_tokens: of a passage, on average.
    """

    tokens: int
    characters: int
    size: int
    words: int | None
    partial: int
    unknown: int
    lost: int
    difference: Difference | None
    passage_tokens: float

    @property
    def tokens_per_word(self) -> float | None:
        return self.tokens / self.words if self.words else None

    @property
    def tokens_per_character(self) -> float:
        return self.tokens / self.characters

    @property
    def bytes_per_token(self) -> float:
        return self.size / self.tokens

    @property
    def partial_share(self) -> float:
        return self.partial / self.tokens

    @property
    def unknown_share(self) -> float:
        return self.unknown / self.tokens

    @property
    def lost_share(self) -> float:
        return self.lost / self.characters

    def passages_in(self, context: int) -> int:
        """How many passages fit a context."""
        return int(context // self.passage_tokens)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a text costs relative to English: tokens for the same content, and how the content was matched."""

    ratio: float
    basis: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to extend a tokenizer for a language, and why."""

    extend: bool
    reason: str

    @property
    def text(self) -> str:
        """In words."""
        return EXTEND if self.extend else TRAIN


def read_sample(path: Path, token_spans: Callable[[str], list[tuple[int, int]]]) -> Sample:
    """Read a text, recognise its language and cut its passages.

    Args:
        path: a file in UTF-8.
        token_spans: the embedder's tokenizer, by which passages are cut.

    Raises:
        DataFault: it isn't there, is empty, or is no text in UTF-8.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            raw = stream.read(4 * MEASURED)
    except OSError as error:
        raise DataFault(f"can't read {str(path)!r}: {error.strerror}", hint="give files of plain text, one a language") from error
    if b"\0" in raw:
        raise DataFault(f"{str(path)!r} is no text: it holds a NUL byte", hint="give plain text in UTF-8, one file a language")
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(raw, final=len(raw) == size)[:MEASURED]
    except UnicodeDecodeError as error:
        byte = f"byte {error.start:,} is 0x{raw[error.start]:02x}"
        convert = f"iconv -f {_guessed(raw)} -t utf-8 '{path}' > '{path}.utf8'"
        raise DataFault(f"{str(path)!r} isn't in UTF-8: {byte}", hint=convert) from error
    return sample(path.name, text, token_spans, size=size)


def sample(name: str, text: str, token_spans: Callable[[str], list[tuple[int, int]]], *, size: int | None = None) -> Sample:
    """A text that is there already, as a sample.

    Raises:
        DataFault: it has nothing but white space.
    """
    if not text.strip():
        raise DataFault(f"{name!r} is empty", hint="give a file with some sentences; a thousand characters give a fair figure")
    document = Document(name, text[:CUT].replace("\r\n", "\n").replace("\r", "\n"), "plain")
    passages = tuple(passage.text for passage in split(document, name, token_spans, SplitSettings()))
    whole = passages[:-1] or passages or (text,)  # the last one is what was left over
    return Sample(name, text, len(text.encode()) if size is None else size, recognise(text), whole)


def measure(vocabulary: Vocabulary, given: Sample) -> Measurement:
    """Count what a tokenizer makes of a text, and see whether it comes back."""
    ids = vocabulary.encode(given.text)
    partial = unknown = 0
    for token, times in Counter(ids).items():
        piece = vocabulary.piece(token)
        if piece is None:
            unknown += times
        elif not _is_whole(piece):
            partial += times
    decoded = vocabulary.decode(ids)
    return Measurement(
        tokens=max(len(ids), 1),
        characters=len(given.text),
        size=len(given.text.encode()),
        words=given.words,
        partial=partial,
        unknown=unknown,
        lost=lost_characters(given.text, decoded),
        difference=first_difference(given.text, decoded),
        passage_tokens=max(sum(len(vocabulary.encode(text)) for text in given.passages) / len(given.passages), 1.0),
    )


def first_difference(before: str, after: str) -> Difference | None:
    """The first line in which two texts differ."""
    if before == after:
        return None
    at = next(
        (at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), min(len(before), len(after))
    )
    start = before.rfind("\n", 0, at) + 1
    return Difference(before.count("\n", 0, at) + 1, before[start:].partition("\n")[0], after[start:].partition("\n")[0])


def lost_characters(before: str, after: str) -> int:
    """Characters of a text that are missing in what came back, wherever they stood; case, forms and spaces aside.

    An encoder that strips accents has no unknown token to show for it.
    """
    if before == after:
        return 0
    had, has = (Counter("".join(unicodedata.normalize("NFKC", text).casefold().split())) for text in (before, after))
    return (had - has).total()


def reference(given: Sample, samples: Sequence[Sample], shipped: Sample) -> Sample:
    """The English that a text is compared with: a translation of it, else any that was given, else the one that is shipped.

    Of several translations the one that stands next to it in the list.
    """
    if given.language.is_english:
        return given
    english = [other for other in samples if other.language.is_english]
    parallel = [other for other in english if are_parallel(given, other)]
    if not parallel:
        return english[0] if english else shipped
    place = samples.index(given)
    return min(parallel, key=lambda other: (abs(samples.index(other) - place), samples.index(other) < place))


def are_parallel(one: Sample, other: Sample) -> bool:
    """Whether two texts are taken for translations of each other, line by line."""
    return one.lines == other.lines >= TRANSLATION


def relative_cost(given: Sample, measured: Measurement, english: Sample, measured_english: Measurement) -> Cost:
    """What a text costs relative to English: by translated lines where there are any, else by the character."""
    if given is english:
        return Cost(1.0, "is the English text")
    if are_parallel(given, english):
        ratio = measured.tokens / measured_english.tokens
        return Cost(ratio, f"against {english.name}, its translation ({given.lines:,} lines each)")
    return Cost(
        measured.tokens_per_character / measured_english.tokens_per_character, f"by the character, against {english.name}"
    )


def judge(given: Sample, measured: Measurement, cost: Cost) -> Verdict:
    """Whether to extend a tokenizer.

    The rule: extend where characters are lost, for what isn't seen can't be learned; or where the language costs `DEAR` times
    what English does and there is text enough to teach new tokens (`LEAST_BYTES`). Otherwise train on the tokenizer as it is:
    what the base knows of the language, it knows by these tokens.
    """
    if measured.lost_share > LOSS_ALLOWED:
        return Verdict(True, f"{measured.lost_share:.1%} of the characters are lost; or take a base with another tokenizer")
    kept = "nothing is lost" if measured.difference is None else "next to nothing is lost"
    held = f"{kept}, and it costs {cost.ratio:.1f} × English"
    if cost.ratio < DEAR:
        return Verdict(False, f"{held}, less than {DEAR:.0f} ×")
    wanted = f"new tokens want at least {LEAST_BYTES / 1e6:.0f} MB of text"
    if given.size < LEAST_BYTES:
        return Verdict(False, f"{held}, but {wanted}, and this is {given.size / 1e6:.2g} MB")
    return Verdict(True, f"{held}; {wanted}, and this is {given.size / 1e6:.0f} MB")


def _guessed(raw: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(raw[:CUT]).best()
    return best.encoding if best else "latin1"


def _is_whole(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True
