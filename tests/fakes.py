"""Stand-ins with the interfaces of the real things: scripted, counting, and the same every time."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from assistant.records import Answer, Citation, Prompt, Timings
from indexes.records import Hit, Passage


class ScriptedModel:
    """A LanguageModel that says what it was told to. A reply may be a list of pieces, or an exception to raise.

    Args:
        replies: one for each question; asking for more is an error.
    """

    name = "scripted"
    adapter = None
    budget = None
    last = None
    identity: Mapping[str, object] = MappingProxyType({"kind": "scripted"})

    def __init__(self, *replies: str | Sequence[str | BaseException]) -> None:
        self.replies = list(replies)
        self.prompts: list[Prompt] = []
        self.closed = False

    def stream(self, prompt: Prompt) -> Iterator[str]:
        self.prompts.append(prompt)
        reply = self.replies.pop(0)
        for piece in [reply] if isinstance(reply, str) else reply:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def close(self) -> None:
        self.closed = True


class CountingEmbedder:
    """A bag of hashed words as a unit vector; remembers every text it was given."""

    model_id = "counting"
    weights_hash = hashlib.sha256(b"counting").hexdigest()
    dimension = 64
    max_tokens = 254

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += texts
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()) or [""]:
                vectors[row, int(hashlib.sha256(word.encode()).hexdigest(), 16) % self.dimension] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)  # (n, 64)

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


class FixedClock:
    """A clock that moves only when it is told to, or when someone sleeps on it."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def a_citation(marker: int = 1, source: str = "guide/setup.md", **changes: object) -> Citation:
    values: dict[str, object] = {
        "path": f"/docs/{source}",
        "page": None,
        "lines": (12, 14),
        "quote": "The hut sleeps 24.",
        "passage_id": f"p{marker}",
        "stale": False,
    }
    return Citation(marker=marker, source=source, **{**values, **changes})  # type: ignore[arg-type]


def an_answer(text: str = "The hut sleeps 24. [1]", **changes: object) -> Answer:
    values: dict[str, object] = {
        "question": "How many people sleep there?",
        "rewritten": None,
        "status": "answered",
        "index": ("default",),
        "model": "extractive",
        "adapter": None,
        "citations": (a_citation(),),
        "nearest": (),
        "sentences": (),
        "cached": False,
        "cached_question": None,
        "similarity": None,
        "timings": Timings(start=1.0, cache=0.0, search=2.0, first_token=None, total=3.0),
    }
    return Answer(text=text, **{**values, **changes})  # type: ignore[arg-type]


def an_abstention(**changes: object) -> Answer:
    values: dict[str, object] = {"status": "abstained", "citations": (), "nearest": (a_citation(),)}
    return an_answer("Not in these documents.", **{**values, **changes})


def a_hit(rank: int = 1, source: str = "guide/setup.md", text: str = "The hut sleeps 24.", **changes: object) -> Hit:
    passage = Passage(
        passage_id=f"p{rank}",
        document_id="d1",
        ordinal=0,
        text=text,
        heading=("Huts", "Mirrin"),
        header="",
        kind="text",
        start=0,
        end=len(text),
        page=None,
        lines=(12, 14),
    )
    values: dict[str, object] = {"path": f"/docs/{source}", "index": "default", "score": 0.9, "dense": 0.5, "lexical": 3.0}
    return Hit(passage=passage, source=source, rank=rank, **{**values, **changes})  # type: ignore[arg-type]
