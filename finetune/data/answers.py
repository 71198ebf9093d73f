"""Several answers to a prompt, ranked or rated → pairs with margins, or rows with a score (pure)."""

from collections.abc import Sequence
from itertools import combinations

from finetune.data.fields import Fields
from finetune.data.rows import Preference, Rated, Row
from finetune.data.turns import read_prompt


def ranked_rows(fields: Fields) -> list[Row]:
    """Pairs of responses; ``ranking`` holds the rank of each, 1 for the best, and equal ranks make no pair."""
    return _pairs(fields, [-rank for rank in _numbers(fields, "ranking")], "ranking")


def scored_rows(fields: Fields, *, as_rated: bool) -> list[Row]:
    """Pairs of responses with the difference of their scores as margin; or each response with its score."""
    key = "scores" if fields.get("scores") is not None else "ratings"
    scores = _numbers(fields, key)
    if not as_rated:
        return _pairs(fields, scores, key)
    prompt, responses = read_prompt(fields), _responses(fields, scores, key)
    return [Rated(prompt, text, score, fields.place) for text, score in zip(responses, scores, strict=False)]


def _pairs(fields: Fields, scores: Sequence[float], key: str) -> list[Row]:
    prompt, responses = read_prompt(fields), _responses(fields, scores, key)
    if fields.failed:
        return []
    rows: list[Row] = []
    for first, second in combinations(range(len(scores)), 2):
        if scores[first] == scores[second]:
            continue
        better, worse = sorted((first, second), key=lambda at: -scores[at])
        if responses[better].strip() == responses[worse].strip():
            what = f"'responses'[{first}] and [{second}] are the same, and their {key} are not"
            fields.wrong(what, "take one of the two out, with its place in the list")
        margin = scores[better] - scores[worse]
        rows.append(Preference(prompt, responses[better], responses[worse], fields.place, margin, fields.texts("documents")))
    if not rows:
        what = f"'{key}' holds no two different values, so that no answer is better than another: no pair comes of it"
        fields.wrong(what, "delete the row", is_error=False)
    return rows


def _responses(fields: Fields, scores: Sequence[float], key: str) -> list[str]:
    items = fields.items("responses")
    contents = [item["content"] if isinstance(item, dict) and "content" in item else item for item in items]
    texts = [fields.sound(f"'responses'[{at}]", content) for at, content in enumerate(contents)]
    if scores and texts and len(scores) != len(texts):
        fields.wrong(f"'{key}' has {len(scores)} values for {len(texts)} responses", "give one value for each response")
    return texts


def _numbers(fields: Fields, key: str) -> list[float]:
    return [fields.number(f"'{key}'[{at}]", value) for at, value in enumerate(fields.items(key))]
