"""Graders of letters and prompts to answer, for trainings of a few steps on random bases."""

import json
from pathlib import Path

GRADERS = """
import random, re, time
def vowels(prompt, completion, row):
    return len(re.findall("[aeiou]", completion)) / 2
def letters(prompt, completion, row):
    return len(re.findall("[a-z]", completion)) / 2
def varied(prompt, completion, row):
    return float(len(set(completion)))
def same(prompt, completion, row):
    return 2.5
def by_prompt(prompt, completion, row):
    return float(len(prompt) + int(prompt.split()[-1][:-1]))
def broken(prompt, completion, row):
    return float("nan")
def raising(prompt, completion, row):
    raise ValueError("no such word")
def hanging(prompt, completion, row):
    time.sleep(1_000)
def drawn(prompt, completion, row):
    return random.random()
def expects(prompt, completion, row):
    assert completion is not None and row["topic"] == "huts" and prompt.startswith("Where")
    return float(len(completion))
def like_the_reference(prompt, completion, row):
    return len(set(completion.split()) & set(row["completion"].split())) - len(completion.split()) / 10
"""


def write_graders(folder: Path) -> Path:
    """The file of all of them."""
    file = folder / "graders.py"
    file.write_text(GRADERS)
    return file


def write_prompts(folder: Path, *, answered: bool = False) -> Path:
    """40 prompts, with answers of their own where attacks are to be compared with them."""
    file = folder / ("answered.jsonl" if answered else "prompts.jsonl")
    rows = [{"prompt": f"Where is hut {at}?", "topic": "huts"} for at in range(40)]
    answers = [{"completion": f"Hut {at} stands north of the lake."} for at in range(40)] if answered else [{}] * 40
    file.write_text("".join(json.dumps(row | answer) + "\n" for row, answer in zip(rows, answers, strict=True)))
    return file
