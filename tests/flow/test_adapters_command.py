"""`assistant adapters` as a person uses it: the real command line, in this process, with adapters that were really trained."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tiny_models
from safetensors.torch import load_file, save_file
from trained_adapters import change, train_adapter

from assistant.adapters.manifest import FILE, WEIGHTS, weights_hash
from assistant.cli import run
from assistant.commands.completion import adapter_names


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        assert self.out.count("\n") == 1
        document = json.loads(self.out)
        assert document["schema"] == 1
        return document


Cli = Callable[..., Done]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def go(*arguments: object) -> Done:
        capsys.readouterr()
        code = run(["adapters", *map(str, arguments)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        if code:
            assert [line.partition(":")[0] for line in said.err.splitlines()[-2:]] == ["error", "hint"]
        return Done(code, said.out, said.err)

    return go


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base and an adapter of it."""
    folder = tmp_path_factory.mktemp("made")
    train_adapter(folder / "concise", tiny_models.tiny_llama3(folder / "base"))
    train_adapter(folder / "scorer", folder / "base", "reward")
    tiny_models.tiny_gemma2(folder / "gemma")
    return folder


@pytest.fixture
def concise(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "concise", tmp_path / "concise"))


def test_from_nothing_to_an_adapter_and_back(cli: Cli, concise: Path, home: Path) -> None:
    assert cli() == (0, "", "There are no adapters yet. Add one with: assistant adapters add FOLDER (finetune makes them)\n")
    assert cli("--json").document == {"schema": 1, "adapters": []}
    assert cli("add", concise) == (0, "concise: sft, ungated; use it with: --adapter concise\n", "")
    assert cli("list").out.startswith("concise  sft  ungated ")
    assert (adapter_names(), adapter_names("con"), adapter_names("x")) == (["concise"], ["concise"], [])
    assert "already there, with the same weights" in cli("add", concise).err
    assert cli("remove", "concise").err.endswith("hint: add --yes\n")
    assert cli("remove", "concise", "--yes") == (0, "deleted the adapter concise\n", "")
    assert cli("remove", "concise", "--yes").code == 5


def test_the_json_of_the_contract(cli: Cli, concise: Path, home: Path) -> None:
    added = cli("add", concise, "--name", "short", "--json").document
    manifest = json.loads((concise / FILE).read_text())
    (listed,) = cli("list", "--json").document["adapters"]
    assert list(listed)[:7] == ["name", "method", "base", "path", "fingerprint", "gate", "created"]
    assert listed == {
        "name": "short", "method": "sft", "base": manifest["base"]["id"], "path": str(home / "adapters" / "short"),
        "fingerprint": weights_hash(concise), "gate": "ungated", "created": manifest["created"],
        "role": "answer", "trusted": False, "linked": False, "problem": None,
    }  # fmt: skip
    shown = cli("show", "short", "--json").document
    assert shown == added
    assert shown["manifest"]["canary"] == manifest["canary"]
    assert cli("remove", "short", "--yes", "--json").document == {"schema": 1, "removed": "short"}


def test_show_says_in_words_what_the_manifest_says(cli: Cli, made: Path, concise: Path) -> None:
    (concise / "gate.json").write_text(
        json.dumps({"schema": 1, "verdict": "passed", "weights_hash": weights_hash(concise),
                    "metrics": {"answer_f1": {"value": 0.031, "low": 0.01, "high": 0.052}}})
    )  # fmt: skip
    change(concise / FILE, parents=["ab" * 32])
    cli("add", concise)
    lines = dict(line.split(maxsplit=1) for line in cli("show", "concise").out.splitlines() if not line.startswith(" "))
    assert lines["method"].startswith("sft, on ")
    assert lines["base"] == f"{made / 'base'} (LlamaForCausalLM, 2 layers of 64)"
    assert lines["trained"] == "in full precision (fp32, cpu), seed 0"
    assert (lines["gate"], lines["swaps"], lines["parents"]) == ("passed", "in milliseconds", "abababababab…")
    assert " → " in lines["measured"]
    assert "answer_f1 +0.031 (+0.010 … +0.052)" in cli("show", "concise").out


def test_a_plain_folder_a_failed_gate_and_a_link(cli: Cli, concise: Path) -> None:
    (concise / "gate.json").write_text(json.dumps({"schema": 1, "verdict": "failed", "weights_hash": weights_hash(concise)}))
    assert "the gate refused the adapter 'concise'" in cli("add", concise).err
    assert cli("add", concise, "--force", "--link").out == "concise: sft, linked, forced; use it with: --adapter concise\n"
    (concise / FILE).unlink()
    assert (cli("list").code, "nothing says which base it belongs to" in cli("list").out) == (0, True)
    refused = cli("add", concise, "--name", "plain")
    assert (refused.code, refused.err.endswith("--trust-base\n")) == (5, True)
    assert "plain: lora, trusted base, forced" in cli("add", concise, "--name", "plain", "--trust-base", "--force").out
    assert "taken on trust" in cli("show", "plain").out


def test_a_reward_adapter_is_listed_as_what_scores(cli: Cli, made: Path, concise: Path) -> None:
    assert cli("add", made / "scorer").out == "scorer: reward; it scores answers, for /best in the chat\n"
    cli("add", concise, "--link")
    first, second = cli("list").out.splitlines()
    assert first.split() == ["concise", "sft", "linked,", "ungated", str(made / "base")]
    assert (second.split(), second.index(str(made))) == (["scorer", "reward", str(made / "base")], first.index(str(made)))
    assert "gate" not in cli("show", "scorer").out
    assert "canary: not computed: it is of a reward adapter" in cli("check", "scorer").out


def test_check_computes_the_canary_with_the_base_it_was_trained_on(cli: Cli, made: Path, concise: Path) -> None:
    cli("add", concise)
    sound = cli("check", "concise")
    assert sound.out == (
        f"concise: sound with {made / 'base'} (ungated)\n  canary: it computes what it computed when it was trained\n"
    )
    document = cli("check", concise, "--model", made / "base", "--json").document
    assert (document["sound"], document["problem"], document["labels"]) == (True, None, ["ungated"])
    assert document["canary"] == "it computes what it computed when it was trained"


def test_check_refuses_a_wrong_base_and_weights_that_compute_something_else(cli: Cli, made: Path, concise: Path) -> None:
    wrong = cli("check", concise, "--model", made / "gemma", "--json")
    assert (wrong.code, wrong.document["sound"]) == (5, False)
    assert "this is a Gemma 2 (2 layers of 64)" in wrong.document["problem"]
    save_file({name: 2 * tensor for name, tensor in load_file(concise / WEIGHTS).items()}, concise / WEIGHTS)
    assert "the weights of the adapter" in cli("check", concise).err
    change(concise / FILE, weights_hash=weights_hash(concise))
    computed = cli("check", concise)
    assert (computed.code, "computes logits that are off by" in computed.err) == (5, True)


def test_check_refuses_a_canary_that_the_base_can_not_read(cli: Cli, concise: Path) -> None:
    canary = json.loads((concise / FILE).read_text())["canary"]
    change(concise / FILE, canary=canary | {"ids": [5] * 4096})
    assert "the canary of the adapter" in (refused := cli("check", concise)).err, refused


def test_check_without_its_base_says_what_it_could_not_do(cli: Cli, concise: Path) -> None:
    base = json.loads((concise / FILE).read_text())["base"] | {"id": "nobody/nothing"}
    change(concise / FILE, base=base)
    assert "canary: not computed: its base isn't on this machine; name it with --model" in cli("check", concise).out
    assert cli("check", "nothing").code == 5


def test_add_checks_the_base_where_it_is_on_this_machine(cli: Cli, made: Path, concise: Path, home: Path) -> None:
    base = json.loads((concise / FILE).read_text())["base"]
    change(concise / FILE, base=base | {"id": str(made / "gemma")})
    wrong = cli("add", concise)
    assert (wrong.code, "this is a Gemma 2 (2 layers of 64)" in wrong.err, cli("list").out) == (5, True, "")
    for named in ("nobody/nothing", "no..body", "nobody.", ""):
        change(concise / FILE, base=base | {"id": named})
        added = cli("add", concise, "--force")
        assert (added.code, added.err) == (0, f"its base {named!r} could not be checked: it isn't on this machine\n")
    (damaged := home.parent / "damaged").mkdir()
    change(concise / FILE, base=base | {"id": str(damaged)})
    (note,) = cli("add", concise, "--name", "other", "--json").document["notes"]
    assert note.startswith(f"its base {str(damaged)!r} could not be checked: ")


def test_show_tells_what_is_known_of_a_broken_one_and_fails(cli: Cli, concise: Path, home: Path) -> None:
    cli("add", concise)
    manifest = home / "adapters" / "concise" / FILE
    manifest.write_text(manifest.read_text().replace('"seed": 0', '"seed": Infinity'))
    shown = cli("show", "concise")
    assert (shown.code, shown.out.splitlines()[0].split()) == (5, ["name", "concise"])
    said = f"{str(manifest)!r} is damaged: Infinity is no number"
    assert (said in shown.out, shown.err.splitlines()[0]) == (True, f"error: {said}")
    document = cli("show", "concise", "--json")
    assert (document.code, document.document["problem"], document.document["manifest"]) == (5, said, None)
    assert (cli("list").code, said in cli("list").out) == (0, True)
    nowhere = cli("show", "./nope")
    assert (nowhere.code, nowhere.out, nowhere.err.splitlines()[0]) == (5, "", "error: ./nope: there is no such folder")


def test_settings_turned_up_beside_the_same_weights_are_not_served(cli: Cli, concise: Path, home: Path) -> None:
    gate = {"schema": 1, "verdict": "passed", "weights_hash": weights_hash(concise)}
    (concise / "gate.json").write_text(json.dumps(gate))
    cli("add", concise)
    change(home / "adapters" / "concise" / "adapter_config.json", lora_alpha=320)
    for command in ("show", "check"):
        refused = cli(command, "concise")
        assert (refused.code, "were changed (lora_alpha 320, r 4 …)" in refused.err) == (5, True)


def test_an_unknown_folder_and_a_bad_name_are_two_lines(cli: Cli, concise: Path, tmp_path: Path) -> None:
    assert cli("add", tmp_path / "nothing").code == 5
    assert cli("add", concise, "--name", "none").code == 2
    assert cli("show", "none-such").code == 5


def test_looking_after_adapters_loads_no_torch(made: Path, home: Path) -> None:
    program = (
        "import sys\nfrom assistant.cli import run\n"
        "for line in (['list'], ['add', sys.argv[1]], ['list', '--json'], ['show', 'concise'], ['remove', 'concise', '--yes']):\n"
        "    assert run(['adapters', *line]) == 0\n"
        "print(sorted({'torch', 'transformers', 'peft', 'numpy', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(made / "concise")], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
