"""Settings: which value wins, where it came from, and what is said about a wrong one."""

from pathlib import Path

import pytest

from assistant.errors import UsageError
from assistant.settings import find_home, load_settings, setting_names


def write_config(home: Path, text: str) -> None:
    (home / "config.toml").write_text(text, encoding="utf-8")


def test_defaults_hold_when_nothing_is_said(home: Path) -> None:
    settings = load_settings()
    assert (settings.home, settings.model, settings.top_k, settings.index) == (home, "extractive", 10, ())
    assert {name: settings.origin(name) for name in setting_names()} == {
        name: "ASSISTANT_HOME" if name == "home" else "default" for name in setting_names()
    }


def test_flag_wins_over_environment_over_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(home, "# mine\ntop_k = 3\nwidth = 60\nlinks = 'never'\n")
    monkeypatch.setenv("ASSISTANT_TOP_K", "4")
    monkeypatch.setenv("ASSISTANT_WIDTH", "70")
    settings = load_settings({"top_k": 5, "model": None, "index": []})
    assert (settings.top_k, settings.width, settings.links) == (5, 70, "never")
    assert [settings.origin(name) for name in ("top_k", "width", "links", "model", "index")] == [
        "--top-k",
        "ASSISTANT_WIDTH",
        f"{home}/config.toml:4",
        "default",
        "default",
    ]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ('index = "handbook"', ("handbook",)),
        ('index = ["a", "b"]', ("a", "b")),
    ],
)
def test_index_is_a_name_or_several(home: Path, config: str, expected: tuple[str, ...]) -> None:
    write_config(home, config)
    assert load_settings().index == expected


def test_environment_lists_are_divided_by_commas_and_flags_are_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_INDEX", "a, b")
    monkeypatch.setenv("ASSISTANT_HISTORY", "off")
    settings = load_settings()
    assert (settings.index, settings.history) == (("a", "b"), False)


def test_all_faults_are_reported_together_with_their_lines(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(home, 'modle = "x"\n\ntop_k = 500\nzzzz = 1\nhome = "/x"\n')
    monkeypatch.setenv("ASSISTANT_COLOR", "blue")
    with pytest.raises(UsageError) as caught:
        load_settings()
    message = caught.value.message
    assert f"{home}/config.toml:1: there is no setting 'modle' (did you mean 'model'?)" in message
    assert f"{home}/config.toml:3: top_k is 500; it must be a whole number from 1 to 100" in message
    assert f"{home}/config.toml:4: there is no setting 'zzzz';" in message
    assert f"{home}/config.toml:5: home can't be set in the file" in message
    assert "ASSISTANT_COLOR: color is 'blue'; it must be 'auto', 'always' or 'never'" in message


def test_an_unknown_table_is_a_fault_with_its_line(home: Path) -> None:
    write_config(home, 'model = "extractive"\n[serch]\ntop_k = 3\n')
    with pytest.raises(UsageError, match=r"config.toml:2: there is no setting 'serch'"):
        load_settings()


def test_a_mistyped_variable_is_a_fault_and_another_programs_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_API_KEY", "secret of another program")
    assert load_settings().model == "extractive"
    monkeypatch.setenv("ASSISTANT_TOPK", "5")
    with pytest.raises(UsageError, match=r"ASSISTANT_TOPK: there is no such setting \(did you mean ASSISTANT_TOP_K\?\)"):
        load_settings()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"model = \nwidth = 40", "at line 1"), (b"\xff\xfe", "utf-8"), (b"a = 1\nmodel == 2", "at line 2")],
)
def test_a_file_that_is_not_toml_is_named_with_the_line(home: Path, content: bytes, said: str) -> None:
    (home / "config.toml").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert str(home / "config.toml") in caught.value.message
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("model = ''", "not empty"),
        ("model = 3", "must be a text"),
        ("top_k = true", "whole number"),
        ("top_k = 2.5", "whole number"),
        ("width = 5", "from 20 to 400, or 0"),
        ("history = 'perhaps'", "true or false"),
        ("index = 7", "a name or a list of names"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(home: Path, line: str, said: str) -> None:
    write_config(home, line)
    with pytest.raises(UsageError, match=said):
        load_settings()


def test_home_is_the_platforms_folder_when_nothing_is_set() -> None:
    folder, origin = find_home({})
    assert folder.name == "assistant"
    assert folder.is_absolute()
    assert origin == "default"


def test_home_may_begin_with_a_tilde() -> None:
    assert find_home({"ASSISTANT_HOME": "~/x"})[0] == Path.home() / "x"


def test_a_config_that_is_a_folder_is_an_error_and_no_traceback(home: Path) -> None:
    (home / "config.toml").mkdir()
    with pytest.raises(UsageError, match="can't read"):
        load_settings()
