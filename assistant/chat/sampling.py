"""The chat's command that lets a reward adapter choose among sampled answers: /best.

Source: best-of-N as in Stiennon et al. 2020, arXiv 2009.01325. One base in memory writes and scores. What is chosen is checked
like any other answer, and it never goes into the cache.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.errors import ModelError, UsageError
from assistant.feedback import as_prompted
from assistant.records import Answer, Retrieved
from assistant.rendering.comparing import scores_line

if TYPE_CHECKING:
    from assistant.adapters.rewards import Reward
    from assistant.chat.repl import Chat
    from assistant.models import LanguageModel
    from assistant.models.local import LocalModel

TEMPERATURE = 0.7
USUAL, FEWEST, MOST = 4, 2, 16
HOW = "/best [N] [REWARD] [QUESTION]; without a question: the last one"


@dataclass(frozen=True, slots=True)
class BestOf:
    """What is to be sampled.

    Attributes:
        count: answers.
        reward: the adapter that scores; None: the only one there is.
        question: a new one; empty: the last one.
    """

    count: int = USUAL
    reward: str | None = None
    question: str = ""


def parse_best(rest: str, is_adapter: Callable[[str], bool]) -> BestOf:
    """Read ``[N] [REWARD] [QUESTION]``: a first word that is a number is N, the next one a reward if an adapter is called so.

    Raises:
        UsageError: N is out of bounds, or a single word is neither a question nor an adapter.
    """
    count, words = USUAL, rest.split()
    if words and words[0].lstrip("-").isdecimal():
        count = int(words.pop(0))
        if not FEWEST <= count <= MOST:
            raise UsageError(f"/best takes {FEWEST} to {MOST} answers, not {count}", hint=HOW)
    reward = words.pop(0) if words and is_adapter(words[0]) else None
    if reward is None and len(words) == 1:
        raise UsageError(f"there is no adapter {words[0]!r}", hint=HOW)
    return BestOf(count, reward, " ".join(words))


def best(chat: "Chat", rest: str) -> None:
    """Sample answers to a question, and keep the one that a reward adapter scores highest."""
    from assistant.adapters.installing import names
    from assistant.adapters.rewards import choose_reward

    there = names(chat.settings.home)
    wanted = parse_best(rest, lambda word: word in there or (len(Path(word).parts) > 1 and Path(word).expanduser().is_dir()))
    _check_in_process(chat.assistant.model)
    reward = choose_reward(chat.settings.home, chat.assistant.model.base(), wanted.reward, models=chat.settings.models)
    for warning in reward.warnings:
        chat.screen.note(f"the adapter {reward.name!r}: {warning}")
    chat.keep(_best(chat, chat.retrieved(wanted.question), reward, wanted.count), instead=not wanted.question)


def _best(chat: "Chat", retrieved: Retrieved, reward: "Reward", count: int) -> Answer:
    from assistant.adapters.scoring import score_answers

    started, model = time.monotonic(), _opened(chat.assistant.model)
    answers = [_sampled(chat, retrieved, model, seed) for seed in range(count)]
    prompt = answers[0].trace.messages if answers[0].trace else ()
    texts = list(dict.fromkeys(as_prompted(answer) for answer in answers))
    scored = dict(zip(texts, score_answers(model, reward, prompt, texts, chat.screen.note), strict=True))
    scores = [scored[as_prompted(answer)] for answer in answers]
    line = scores_line(reward.name, scores, texts=len(texts), seconds=time.monotonic() - started)
    chosen = answers[scores.index(max(scores))]
    return replace(chosen, notices=(*chosen.notices, line))


def _sampled(chat: "Chat", retrieved: Retrieved, model: "LocalModel", seed: int) -> Answer:
    with model.choosing(replace(model.decoding, temperature=TEMPERATURE, seed=seed)):
        return chat.write(retrieved)


def _check_in_process(model: "LanguageModel") -> None:
    if model.identity["kind"] != "local":
        raise ModelError(
            f"the model {model.name!r} doesn't run in this process: a reward adapter scores with the weights of its base",
            hint="let a model in this process answer: /model FOLDER, without --server",
        )


def _opened(model: "LanguageModel") -> "LocalModel":
    """The model with its weights, loaded now if they weren't."""
    from assistant.models.lazy import LazyModel
    from assistant.models.local import LocalModel

    opened = model.opened() if isinstance(model, LazyModel) else model
    if not isinstance(opened, LocalModel):
        raise TypeError(type(opened).__name__)
    return opened
