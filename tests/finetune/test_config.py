"""Settings: where they come from, which of them win, and that all that is wrong with them is said at once."""

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.config import CHOICES, LISTS, METHODS, NAMES, RATES, Method, TrainingConfig, read_config
from finetune.reinforcement.rl_settings import METHODS_WITH_ROLLOUTS
from indexes.errors import UsageError

LEAST: dict[str, Any] = {"base": "m", "data": ["d.jsonl"], "out": "o"}


def faults_of(method: Method = "sft", /, **flags: Any) -> str:
    with pytest.raises(UsageError) as caught:
        read_config(method, None, LEAST | flags)
    assert caught.value.hint == f"finetune {method} --help"
    return caught.value.message.removeprefix("the settings of this training are wrong: ")


def write(folder: Path, text: str) -> Path:
    (folder / "run.toml").write_text(text, encoding="utf-8")
    return folder / "run.toml"


def test_a_flag_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    file = write(
        tmp_path, 'method = "orpo"\nbase = "m"\ndata = "d.jsonl"\nrank = 4\nalpha = 12\nbeta = 1\ntargets = ["q_proj"]\n'
    )
    config = read_config("orpo", file, {"out": "o", "rank": 8, "alpha": None, "packing": None, "data": None})
    assert (config.rank, config.alpha, config.beta, config.batch) == (8, 12, 1, 8)
    assert (config.data, config.targets, config.method) == (("d.jsonl",), ("q_proj",), "orpo")
    assert config == TrainingConfig("orpo", "m", ("d.jsonl",), "o", rank=8, alpha=12, beta=1, targets=("q_proj",))
    assert not read_config("orpo", write(tmp_path, "packing = true\n"), LEAST | {"packing": False}).packing


def test_a_flag_of_several_values_replaces_those_of_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'base = "m"\nout = "o"\ndata = ["a", "b"]\n')
    assert read_config("sft", file, {}).data == ("a", "b")
    assert read_config("sft", file, {"data": ["c"]}).data == ("c",)


@pytest.mark.parametrize("method", METHODS)
def test_the_rate_is_the_methods_unless_one_is_given(method: Method) -> None:
    least = LEAST | ({"grader": ["length:2-4"]} if method in METHODS_WITH_ROLLOUTS else {})
    assert read_config(method, None, least).rate == RATES[method]
    given = read_config(method, None, least | {"learning_rate": 3e-3})
    assert given.rate == given.records["learning_rate"] == 3e-3
    assert read_config(method, None, least).records["learning_rate"] == RATES[method]


def test_what_is_recorded_is_every_setting_as_json() -> None:
    config = read_config("kto", None, LEAST)
    assert set(config.records) == NAMES
    assert json.loads(json.dumps(config.records))["data"] == ["d.jsonl"]


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    file = write(tmp_path, 'method = "dpo"\nlerning_rate = 1e-3\nzzz = 1\nrank = 2.5\npacking = "yes"\nbatch = true\n')
    with pytest.raises(UsageError) as caught:
        read_config("sft", file, {"data": ["d"], "targets": [1]})
    said = caught.value.message
    for fault in (
        "there is no setting 'lerning_rate' (did you mean 'learning_rate'?)",
        "there is no setting 'zzz';",
        "base is missing",
        "out is missing",
        f"{str(file)!r} is for 'dpo', and this is 'sft'",
        "rank is 2.5: it must be a whole number",
        "packing is 'yes': it must be true or false",
        "batch is True: it must be a whole number",
        "targets is [1]: it must be a text, or a list of them",
    ):
        assert fault in said
    assert "data is missing" not in said


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"rank": 0, "clip": -1.0, "beta": 0.0}, "rank is 0: it must be above 0; beta is 0.0: it must be above 0; clip is -1.0:"),
        ({"learning_rate": -1e-4}, "learning_rate is -0.0001: it must be above 0"),
        ({"warmup": -0.1, "seed": -1}, "warmup is -0.1: it can't be negative; seed is -1: it can't be negative"),
        ({"dropout": 1.0, "eval_share": 1, "warmup": 1.5}, "dropout is 1.0: it is a share, below 1; eval_share is 1: it is"),
        ({"epochs": 0, "max_steps": 0}, "epochs and max_steps are both 0"),
        ({"dora": True, "quantization": "int8"}, "dora doesn't work on an int8 base: use quantization none or nf4"),
        ({"add_tokens": ["<|user|>"]}, "add_tokens is for reward, not for sft"),
        ({"base": 7}, "base is 7: it must be a text"),
        ({"epochs": "two"}, "epochs is 'two': it must be a number"),
    ],
)  # fmt: skip
def test_a_value_that_can_not_be_is_refused_with_what_can(setting: dict[str, Any], said: str) -> None:
    assert said in faults_of(**setting)


def test_what_a_method_can_not_do_is_refused() -> None:
    assert "packing is for sft, not for dpo" in faults_of("dpo", packing=True)
    assert "batch is 1: KTO compares the rows of a batch" in faults_of("kto", batch=1)
    assert read_config("sft", None, LEAST | {"packing": True, "batch": 1}).packing
    assert read_config("reward", None, LEAST | {"add_tokens": ["<|user|>"]}).add_tokens == ("<|user|>",)


@pytest.mark.parametrize("name", sorted(set(CHOICES) - {"method", "track"}))
def test_a_choice_is_refused_with_all_that_there_are_and_taken_otherwise(name: str) -> None:
    assert f"{name} is 'fast': it must be one of {', '.join(CHOICES[name])}" in faults_of(**{name: "fast"})
    assert [getattr(read_config("sft", None, LEAST | {name: one}), name) for one in CHOICES[name]] == list(CHOICES[name])


def test_a_tracker_that_is_not_installed_is_refused_with_what_installs_it() -> None:
    for name in set(CHOICES["track"]) - {"none"}:
        said = faults_of(track=name) if importlib.util.find_spec(name) is None else f"pip install {name}"
        assert f"pip install {name}" in said


def test_whole_numbers_are_numbers_and_a_share_may_be_0() -> None:
    config = read_config("sft", None, LEAST | {"epochs": 2, "rank": 8.0, "warmup": 0, "eval_share": 0, "max_steps": 0})
    assert (config.epochs, config.rank, config.warmup) == (2, 8, 0)


def test_a_whole_number_is_kept_as_one() -> None:
    assert type(read_config("sft", None, LEAST | {"rank": 8.0}).rank) is int


@pytest.mark.parametrize(("name", "value"), [
    ("dropout", -0.5), ("eval_share", -0.1), ("epochs", math.inf), ("epochs", math.nan), ("learning_rate", math.inf),
    ("beta", math.inf), ("eval_share", math.nan), ("data", []), ("max_steps", 10**400),
])  # fmt: skip
def test_a_number_out_of_all_bounds_is_refused(name: str, value: Any) -> None:
    assert name in faults_of(**{name: value})


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no '.*missing\.toml'"):
        read_config("sft", tmp_path / "missing.toml", LEAST)
    with pytest.raises(UsageError, match=r"can't read '.*run\.toml': .*line 2") as caught:
        read_config("sft", write(tmp_path, "rank = 1\nalpha 2\n"), LEAST)
    assert "TOML" in caught.value.hint
    (tmp_path / "run.toml").write_bytes(b'base = "\xff"')
    with pytest.raises(UsageError, match="can't read"):
        read_config("sft", tmp_path / "run.toml", LEAST)
    with pytest.raises(UsageError, match="can't read"):
        read_config("sft", tmp_path, LEAST)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=2)


@given(st.sampled_from(METHODS), st.dictionaries(st.sampled_from(sorted(NAMES)) | st.text(max_size=8), VALUES, max_size=6))
def test_whatever_is_given_is_taken_or_refused_in_words(method: Method, flags: dict[str, Any]) -> None:
    try:
        config = read_config(method, None, LEAST | flags)
    except UsageError:
        return
    assert config.faults() == []
    assert all(isinstance(getattr(config, name), tuple) for name in LISTS)
    for name, value in flags.items():
        if value is not None and name != "method":
            several = (value,) if isinstance(value, str) else tuple(value) if name in LISTS else ()
            assert getattr(config, name) == (several if name in LISTS else value)
