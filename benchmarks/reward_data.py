"""The rows of rewards.py: film reviews of one length in pairs, pairs that people or models judged, labelled sentences.

A pair of reviews is one rated 7 or more and one rated 4 or less. Both are cut to their last whole sentences within 70 words:
rows longer than a model reads would be left out, and the verdict stands at the end. Their lengths differ by a tenth at most, in
words and in the tokens of every tokenizer that is measured, and the better one is the longer one as often as not; every review is
used once.
"""

import gzip
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.language.sentences import sentence_spans

Row = dict[str, Any]
Counter = Callable[[str], int]
"""A text → its length in one of the measures that pairs are matched by."""
ASKED = "What did you think of the film?"
WORDS = (20, 70)
"""Words of a review after cutting."""
APART = 0.1
GOOD, BAD = 7, 4
NAMES = {"0": "negative", "1": "positive"}
LICENCES = {
    "imdb": "IMDB reviews (Maas et al. 2011, research use)",
    "sst2": "SST-2 (Socher et al. 2013, research use)",
    "alpaca": "alpaca_eval, pairs judged by a model (Apache-2.0, tatsu-lab/alpaca_eval)",
    "hh": "HH-RLHF, harmless test split (MIT, anthropics/hh-rlhf)",
}


@dataclass(frozen=True, slots=True)
class Review:
    """A cut review with its lengths: words first, then tokens."""

    text: str
    is_good: bool
    lengths: tuple[int, ...]


def reviews(data: Path, split: str, counters: Sequence[Counter]) -> Iterator[Review]:
    """All reviews of a split with a clear rating, cut; the same text comes once."""
    seen: set[str] = set()
    with gzip.open(data / "sentiment_aclimdb" / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            text = last_sentences(row["text"])
            if text in seen or BAD < row["rating"] < GOOD or len(text.split()) < WORDS[0]:
                continue
            seen.add(text)
            yield Review(text, row["rating"] >= GOOD, (len(text.split()), *(count(text) for count in counters)))


def last_sentences(text: str) -> str:
    """As many whole sentences from the end as have ``WORDS[1]`` words at most; none where the last one has more."""
    plain = " ".join(text.replace("<br />", " ").split())
    kept: list[str] = []
    for start, end in reversed(sentence_spans(plain)):
        sentence = plain[start:end].strip()
        if sum(len(one.split()) for one in [sentence, *kept]) > WORDS[1]:
            break
        kept = [sentence, *kept]
    return " ".join(kept)


def film_pairs(data: Path, split: str, counters: Sequence[Counter], *, most: int) -> list[Row]:
    """Pairs of one length in a drawn order, the same ones each time."""
    rng = random.Random(f"pairs {split}")
    found = list(reviews(data, split, counters))
    rng.shuffle(found)
    good, bad = ([one for one in found if one.is_good is side] for side in (True, False))
    pairs = [{"prompt": ASKED, "chosen": a.text, "rejected": b.text} for a, b in balanced(list(matched(good, bad)))]
    if len(pairs) < most:
        raise SystemExit(f"{len(pairs)} pairs of one length in IMDB's {split} split, and {most} are needed")
    rng.shuffle(pairs)
    return pairs[:most]


def matched(good: Sequence[Review], bad: Sequence[Review]) -> Iterator[tuple[Review, Review]]:
    """Good reviews with unused bad ones that no measure finds further apart than ``APART``."""
    by_words: dict[int, list[Review]] = {}
    for one in bad:
        by_words.setdefault(one.lengths[0], []).append(one)
    for one in good:
        for words in sorted(by_words, key=lambda words: abs(words - one.lengths[0])):
            if not close(words, one.lengths[0]):
                break
            other = next((each for each in by_words[words] if all(map(close, each.lengths, one.lengths))), None)
            if other:
                by_words[words].remove(other)
                yield one, other
                break


def balanced(pairs: Sequence[tuple[Review, Review]]) -> Iterator[tuple[Review, Review]]:
    """As many pairs whose better side is the longer as pairs whose worse one is, by each measure."""
    groups: dict[tuple[int, ...], list[tuple[Review, Review]]] = {}
    for good, bad in pairs:
        signs = tuple((a > b) - (a < b) for a, b in zip(good.lengths, bad.lengths, strict=True))
        groups.setdefault(signs, []).append((good, bad))
    for signs, group in groups.items():
        mirrored = groups.get(tuple(-sign for sign in signs), [])
        yield from group[: len(mirrored)]


def close(first: int, second: int) -> bool:
    """Whether two lengths differ by a tenth of the longer at most."""
    return abs(first - second) <= APART * max(first, second)


def sentiment_rows(data: Path, split: str) -> list[Row]:
    """SST-2 in a drawn order; of the training split, mostly fragments of its own sentences, those of eight words or more."""
    rows = []
    with (data / "sentiment_sst2" / f"{split}.tsv").open(encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            label, text = line.rstrip("\n").split("\t", 1)
            if split != "train" or len(text.split()) >= 8:
                rows.append({"text": text.strip(), "label": NAMES[label]})
    random.Random(f"sst2 {split}").shuffle(rows)
    return rows


def judged_pairs(data: Path, name: str, fits: Callable[[Row], bool], *, seed: int) -> dict[str, list[Row]]:
    """Real preference pairs that fit, by prompt, prompts in a drawn order: so that no prompt is on both sides of a split."""
    file = {"alpaca": "alpaca_eval/pairs_12k.jsonl.gz", "hh": "hh_rlhf/harmless-base-test.jsonl.gz"}[name]
    keys = {"alpaca": ("prompt", "chosen", "rejected"), "hh": ("chosen", "rejected")}[name]
    by_prompt: dict[str, list[Row]] = {}
    seen: set[str] = set()
    with gzip.open(data / "preference" / file, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = {key: json.loads(line)[key] for key in keys}
            said = json.dumps(row)
            if said not in seen and is_pair(row) and fits(row):
                seen.add(said)
                by_prompt.setdefault(row.get("prompt") or first_turn(row["chosen"]), []).append(row)
    prompts = sorted(by_prompt)
    random.Random(f"{name} {seed}").shuffle(prompts)
    return {prompt: by_prompt[prompt] for prompt in prompts}


def first_turn(transcript: str) -> str:
    """What was asked first in one of HH's transcripts."""
    return transcript.split("\n\nAssistant:", 1)[0]


def is_pair(row: Mapping[str, str]) -> bool:
    """Whether two sides differ, and in a transcript nowhere but in the last turn, which is the assistant's."""
    chosen, rejected = row["chosen"], row["rejected"]
    if "prompt" in row:
        return bool(chosen.strip() and rejected.strip()) and chosen.strip() != rejected.strip()
    (before, _, said), (other_before, _, other) = (side.rpartition("\n\nAssistant:") for side in (chosen, rejected))
    both = said.strip() and other.strip() and "\n\nHuman:" not in said + other
    return bool(both) and before == other_before and said.strip() != other.strip()


def halves(by_prompt: Mapping[str, list[Row]], share: float) -> tuple[list[Row], list[Row]]:
    """Rows to learn from, and rows of other prompts to measure on."""
    prompts = list(by_prompt)
    border = round(len(prompts) * share)
    first, second = ([row for each in part for row in by_prompt[each]] for part in (prompts[:border], prompts[border:]))
    return first, second


def write(rows: Sequence[Row], file: Path) -> Path:
    """Write rows as JSON lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file
