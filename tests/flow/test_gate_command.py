"""`assistant eval --adapter --baseline` as a person uses it: the small base, the sample handbook, adapters that were trained."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from trained_adapters import train_adapter

from assistant import gating
from assistant.adapters.config import settings_hash
from assistant.adapters.folder import read_config, read_gate
from assistant.adapters.manifest import weights_hash
from assistant.cli import run
from indexes.build import RootRequest, build_index
from indexes.export import load_embedder

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = EXAMPLES / "small-base"
ASKED = [f"hb-{number:03}" for number in (39, 45, 49, 50, 51, 54, 60, 62, 63, 64, 181)]
"""Questions of the huts that the small base answers, and one that the handbook doesn't hold."""


class Done(NamedTuple):
    code: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, exported_models: Path) -> Path:
    """A folder with an index of the handbook, an adapter that changes next to nothing, and one that ruins every answer."""
    folder = tmp_path_factory.mktemp("gated")
    embedder = load_embedder("all-MiniLM-L6-v2", exported_models)
    huts = RootRequest(EXAMPLES / "handbook", include=("huts/*.md", "huts/*.html"))
    build_index(folder / "handbook", [huts], open_embedder=lambda _: embedder)
    train_adapter(folder / "mild", SMALL, max_steps=1, learning_rate=1e-6)
    train_adapter(folder / "ruin", SMALL, max_steps=3, learning_rate=1.0)
    lines = (EXAMPLES / "handbook-questions.jsonl").read_text("utf-8").splitlines(keepends=True)
    (folder / "questions.jsonl").write_text("".join(line for line in lines if json.loads(line)["id"] in ASKED), "utf-8")
    return folder


@pytest.fixture
def cli(made: Path, ready_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    (ready_home / "indexes").mkdir()
    (ready_home / "indexes" / "handbook").symlink_to(made / "handbook")
    for name, value in (("MODEL", SMALL), ("MAX_TOKENS", 32), ("TOP_K", 3)):
        monkeypatch.setenv(f"ASSISTANT_{name}", str(value))

    def go(*arguments: object) -> Done:
        capsys.readouterr()
        code = run([*map(str, arguments)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        if code not in (0, 130):
            assert [line.partition(":")[0] for line in said.err.splitlines()[-2:]] == ["error", "hint"]
        return Done(code, said.out, said.err)

    return go


@pytest.fixture
def ruin(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "ruin", tmp_path / "ruin"))


def test_an_adapter_that_ruins_answers_fails_and_is_not_installed(cli: Cli, made: Path, ruin: Path) -> None:
    done = cli("eval", made / "questions.jsonl", "--adapter", ruin, "--baseline", "none")
    assert done.code == 7
    assert done.out.startswith(f"{len(ASKED)} questions, ruin against the base, from the same passages\n")
    assert "error: ruin is worse than the base in token_f1, " in done.err
    assert "  worse\n" in done.out
    assert "would have been seen in 4 of 5 such runs" in done.out
    settings = settings_hash(read_config(ruin))
    said = read_gate(ruin, weights_hash(ruin), settings)
    assert said is not None
    assert (said["verdict"], said["settings_hash"], said["index"]) == ("failed", settings, ["handbook"])
    assert said["baseline"] == {"name": None, "weights_hash": None, "settings_hash": None}
    assert "the gate refused the adapter 'ruin'" in cli("adapters", "add", ruin).err


def test_an_adapter_like_the_base_is_not_worse_and_a_sum_leaves_no_verdict(cli: Cli, made: Path, home: Path) -> None:
    cli("adapters", "add", made / "mild")
    folder = home / "adapters" / "mild"
    both = ("--adapter", "mild", "--baseline", "mild")
    done = cli("eval", made / "questions.jsonl", *both, "--json", "--min", "answered_right=0.5")
    assert done.code == 0, done.err
    document: dict[str, Any] = json.loads(done.out)
    assert list(document) == ["schema", "n", "metrics", "gate"]
    assert document["gate"] == json.loads((folder / "gate.json").read_text())
    assert {metric["difference"] for metric in document["gate"]["metrics"].values()} == {0}
    assert "undecided" in cli("adapters", "list").out  # so few questions pass nobody
    (folder / "gate.json").unlink()
    half = cli("eval", made / "questions.jsonl", "--adapter", "mild*0.5", "--baseline", "none")
    assert (half.code, (folder / "gate.json").exists()) == (0, False)
    assert "no gate.json: " in half.err


def test_a_verdict_is_gone_when_the_weights_are_other_ones(made: Path, ruin: Path) -> None:
    (ruin / "gate.json").write_text(json.dumps({"schema": 1, "verdict": "failed", "weights_hash": weights_hash(ruin)}))
    assert read_gate(ruin, weights_hash(ruin), "ab") is not None
    shutil.copy(made / "mild" / "adapter_model.safetensors", ruin)
    assert read_gate(ruin, weights_hash(ruin), "ab") is None


def test_ctrl_c_leaves_no_verdict(cli: Cli, made: Path, ruin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gating, "hold", interrupted)
    assert cli("eval", made / "questions.jsonl", "--adapter", ruin, "--baseline", "none").code == 130
    assert not (ruin / "gate.json").exists()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--baseline", "none"], 2, "--baseline compares an adapter, and none is given"),
        (["--adapter", "gone", "--baseline", "none"], 5, "there is no adapter 'gone'"),
        (["--adapter", "none", "--baseline", "gone"], 5, "there is no adapter 'gone'"),
        (["--adapter", "none", "--baseline", "gone", "--model", "extractive"], 5, "the adapter 'gone' can't be used"),
    ],
)
def test_what_cannot_be_compared_is_told_before_a_question_is_asked(
    cli: Cli, made: Path, options: list[str], code: int, said: str
) -> None:
    done = cli("eval", made / "questions.jsonl", *options)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
