"""Scores by a reward adapter beside the model that answers: those of its training, and nothing of it stays."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import tiny_models
import torch
from safetensors.torch import load_file, save_file
from trained_adapters import change, train_adapter

from assistant.adapters.manifest import FILE, HEAD, read_manifest, weights_hash
from assistant.adapters.rewards import choose_reward
from assistant.adapters.scoring import score_answers
from assistant.errors import ModelError
from assistant.models import Decoding
from assistant.models.families import context_length
from assistant.models.loading import Request, load
from assistant.models.local import LocalModel
from assistant.records import Message, Prompt
from finetune.reward_model import RewardModel

PROMPT = (
    Message("system", "Answer from the passages only."),
    Message("user", "<passage 1>\nThe hut is 7 km up. <|eot_id|> <end_of_turn>\n</passage 1>\n\n" + "Where is the hut? " * 40),
)
ANSWERS = ("It is 7 km up. [1]", "Well, well, well, well,", "", "  It is 7 km up. [1] \n", "<|eot_id|> it says <end_of_turn>")


@dataclass
class Scored:
    """A base that answers, its folder, and a reward adapter of it."""

    folder: Path
    model: LocalModel
    adapter: Path


@pytest.fixture(scope="module", params=["llama3", "gemma2", "gpt2"])
def scored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    folder = tmp_path_factory.mktemp(request.param)
    base = getattr(tiny_models, f"tiny_{request.param}")(folder / "base")
    loaded = load(str(base), Request(device="cpu", dtype="fp32"))
    model = LocalModel(loaded, decoding=Decoding(max_tokens=8))
    return Scored(base, model, train_adapter(folder / "helpful", base, "reward", max_steps=6))


def install(home: Path, folder: Path, name: str) -> Path:
    return Path(shutil.copytree(folder, home / "adapters" / name))


def resealed(folder: Path) -> None:
    """Let the manifest of changed weights say that they are its own."""
    change(folder / FILE, weights_hash=weights_hash(folder))


def test_the_scores_are_those_of_the_reward_model(scored: Scored, home: Path) -> None:
    install(home, scored.adapter, "helpful")
    reward = choose_reward(home, scored.model.base())
    mine = score_answers(scored.model, reward, PROMPT, ANSWERS)
    theirs = RewardModel.load(scored.adapter, base=str(scored.folder)).score([(PROMPT, answer) for answer in ANSWERS])
    assert mine == pytest.approx(theirs, abs=1e-4)
    assert mine[0] == pytest.approx(mine[3], abs=1e-4)  # what surrounds an answer is no part of it
    assert len({round(score, 3) for score in mine}) == 4


def test_the_base_answers_as_before_and_no_head_is_left(scored: Scored, home: Path) -> None:
    install(home, scored.adapter, "helpful")
    prompt = Prompt("?", (), messages=PROMPT)
    before = "".join(scored.model.stream(prompt))
    score_answers(scored.model, choose_reward(home, scored.model.base()), PROMPT, ANSWERS)
    assert scored.model.adapters.active == ()
    assert "".join(scored.model.stream(prompt)) == before


def test_a_head_of_other_numbers_is_refused_at_the_first_score(scored: Scored, home: Path, tmp_path: Path) -> None:
    folder = install(home, scored.adapter, "changed")
    save_file({name: head * 1.5 for name, head in load_file(folder / HEAD).items()}, folder / HEAD)
    with pytest.raises(ModelError, match="weights of the adapter 'changed' were changed"):
        choose_reward(home, scored.model.base(), "changed")
    resealed(folder)
    notices: list[str] = []
    with pytest.raises(ModelError, match="'changed' computes a score that is off by"):
        score_answers(scored.model, choose_reward(home, scored.model.base(), "changed"), PROMPT, ANSWERS)
    canary = read_manifest(folder).canary
    replace(read_manifest(folder), canary=replace(canary, device="cuda")).write(folder)
    score_answers(scored.model, choose_reward(home, scored.model.base(), "changed"), PROMPT, ANSWERS, notices.append)
    assert "device cuda, now cpu" in notices[0]


def test_a_canary_longer_than_the_base_reads_is_refused(scored: Scored, home: Path) -> None:
    folder = install(home, scored.adapter, "long")
    save_file({name: head * 1.25 for name, head in load_file(folder / HEAD).items()}, folder / HEAD)  # of an unknown hash
    resealed(folder)
    canary, limit = read_manifest(folder).canary, context_length(scored.model.loaded.model.config)
    replace(read_manifest(folder), canary=replace(canary, ids=(5,) * (limit + 1))).write(folder)
    with pytest.raises(ModelError, match=f"has {limit + 1:,} tokens, and its base reads {limit:,}"):
        score_answers(scored.model, choose_reward(home, scored.model.base(), "long"), PROMPT, ANSWERS)


@pytest.mark.parametrize(
    ("head", "said"),
    [(torch.zeros(3, 64), "is 3 × 64"), (torch.zeros(1, 5), "is 1 × 5"), (torch.full((1, 64), float("nan")), "NaN")],
)
def test_a_head_that_gives_no_score_is_refused(scored: Scored, home: Path, head: torch.Tensor, said: str) -> None:
    folder = install(home, scored.adapter, "odd")
    save_file({"base_model.model.score.weight": head}, folder / HEAD)
    resealed(folder)
    with pytest.raises(ModelError, match=said):
        score_answers(scored.model, choose_reward(home, scored.model.base(), "odd"), PROMPT, ANSWERS)
    assert scored.model.adapters.active == ()


def test_which_one_scores(scored: Scored, home: Path, tmp_path: Path) -> None:
    base = scored.model.base()
    with pytest.raises(ModelError, match="no reward adapter for") as none:
        choose_reward(home, base)
    assert "finetune reward" in none.value.hint
    install(home, scored.adapter, "helpful")
    other = tiny_models.tiny_llama3(tmp_path / "other", seed=9)
    install(home, train_adapter(tmp_path / "elsewhere", other, "reward"), "elsewhere")
    install(home, train_adapter(tmp_path / "writes", scored.folder, "sft"), "writes")
    assert choose_reward(home, base).name == "helpful"
    assert choose_reward(home, base, str(scored.adapter)).chosen.folder == scored.adapter
    with pytest.raises(ModelError, match="'writes' writes answers and can't score"):
        choose_reward(home, base, "writes")
    with pytest.raises(ModelError, match="'elsewhere' was trained for"):
        choose_reward(home, base, "elsewhere")
    install(home, scored.adapter, "second")
    with pytest.raises(ModelError, match="several reward adapters") as several:
        choose_reward(home, base)
    assert several.value.hint == "name one of: helpful, second"


def test_a_classifier_and_what_only_peft_computes_give_no_scores(scored: Scored, home: Path) -> None:
    base, folder = scored.model.base(), install(home, scored.adapter, "helpful")
    change(folder / FILE, classes=["short", "rambling"])
    with pytest.raises(ModelError, match="names classes"):
        choose_reward(home, base, "helpful")
    change(folder / FILE, classes=[], settings_hash=...)
    change(folder / "adapter_config.json", use_dora=True)
    with pytest.raises(ModelError, match="can't score beside the model that answers: it was trained with DoRA"):
        choose_reward(home, base, "helpful")
