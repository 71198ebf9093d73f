"""Adapters come into a home and leave it: whole or not at all, by two processes at once, on a full disk, killed in the middle."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from limits import file_size_limit, powerless
from random_adapters import random_adapter
from trained_adapters import change

from assistant.adapters.folder import GATE
from assistant.adapters.identity import BaseIdentity
from assistant.adapters.installing import DRAFT, GONE, OLD, RECORD, changing, names
from assistant.adapters.manifest import CONFIG, FILE, WEIGHTS, weights_hash
from assistant.adapters.registry import Resolved, add, check_name, find, installed, remove, resolve
from assistant.adapters.selection import Wanted, parse_wanted
from assistant.errors import ModelError, StorageFull, UsageError

Identify = Callable[..., BaseIdentity]


def gate(folder: Path, verdict: str, **more: Any) -> None:
    said = {"schema": 1, "verdict": verdict, "weights_hash": weights_hash(folder), **more}
    (folder / GATE).write_text(json.dumps(said))


def everything(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "adapters").iterdir() if path.name != ".lock")


def resolved(home: Path, spec: str, base: BaseIdentity) -> Resolved:
    return resolve(parse_wanted(spec), home, base, models=home / "models")


def test_an_added_adapter_is_a_private_copy_of_what_belongs_to_it(home: Path, concise: Path) -> None:
    (concise / "tokenizer.json").write_text("{}")
    (concise / "notes.txt").write_text("mine")
    (concise / WEIGHTS).chmod(0o644)
    added = add(home, concise)
    assert sorted(path.name for path in added.folder.iterdir()) == sorted([CONFIG, WEIGHTS, FILE, RECORD, "tokenizer.json"])
    assert {path.stat().st_mode & 0o777 for path in added.folder.iterdir()} == {0o600}
    assert (added.folder.stat().st_mode & 0o777, added.folder) == (0o700, home / "adapters" / "concise")
    assert (added.name, added.method, added.role, added.gate, added.trusted, added.linked, added.problem) == (
        "concise", "sft", "answer", "ungated", False, False, "",
    )  # fmt: skip
    assert added.facts is not None
    assert added.facts.manifest is not None
    assert (added.base, added.created) == (added.facts.manifest.base.id, added.facts.manifest.created)
    assert added.fingerprint == weights_hash(concise)
    assert (added.folder / WEIGHTS).stat().st_ino != (concise / WEIGHTS).stat().st_ino
    assert installed(home) == (find(home, "concise"),)
    shutil.rmtree(concise)
    assert find(home, "concise").problem == ""


def test_names(home: Path, concise: Path) -> None:
    add(home, concise, name="short")
    assert names(home) == ["short"]
    for name in ("none", "base", "Base"):
        with pytest.raises(UsageError, match="means the base without an adapter"):
            check_name(name)
    for name in ("a b", "../x", ".hidden", "-x", "", "a/b", "x" * 65):
        with pytest.raises(UsageError, match="can't be the name of an adapter"):
            add(home, concise, name=name) if name else check_name(name)


def test_what_the_preflight_refuses_is_not_added(home: Path, concise: Path, identify: Identify) -> None:
    with pytest.raises(ModelError, match="not for 'other'"):
        add(home, concise, base=identify("other"))
    (concise / FILE).unlink()
    with pytest.raises(ModelError, match="nothing says which base it belongs to"):
        add(home, concise)
    assert installed(home) == ()
    added = add(home, concise, trust_base=True)
    assert (added.trusted, added.method, added.gate) == (True, "lora", "ungated")
    assert added.created.endswith("+00:00")
    assert find(home, "concise").problem == ""


def test_a_failed_gate_is_refused_unless_forced_and_that_is_recorded(home: Path, concise: Path) -> None:
    gate(concise, "failed", reason="answer F1 fell by 7 points")
    with pytest.raises(ModelError, match="the gate refused the adapter 'concise': answer F1 fell by 7 points") as caught:
        add(home, concise)
    assert (caught.value.exit_code, "--force" in caught.value.hint) == (5, True)
    assert add(home, concise, force=True).gate == "forced"
    assert find(home, "concise").gate == "forced"


def test_a_passed_gate_is_read_and_one_of_other_weights_is_none(home: Path, concise: Path, trained: dict[str, Path]) -> None:
    gate(concise, "passed")
    assert add(home, concise).gate == "passed"
    shutil.copy(concise / GATE, other := shutil.copytree(trained["formal"], concise.parent / "formal"))
    assert add(home, other).gate == "ungated"


def test_the_same_weights_again_are_said_to_be_there_and_brought_up_to_date(home: Path, concise: Path) -> None:
    first = add(home, concise)
    stamp = first.folder.stat().st_ino
    again = add(home, concise)
    assert (again.notes, again.folder.stat().st_ino) == (
        ("the adapter 'concise' is already there, with the same weights",),
        stamp,
    )
    gate(concise, "passed")
    assert (add(home, concise).gate, everything(home)) == ("passed", ["concise"])
    assert add(home, concise, link=True).linked


def test_other_weights_of_that_name_need_a_name_or_force(home: Path, concise: Path, trained: dict[str, Path]) -> None:
    before = add(home, concise)
    with pytest.raises(ModelError, match="there is another adapter 'concise', with other weights") as caught:
        add(home, trained["formal"], name="concise")
    assert "assistant adapters remove concise" in caught.value.hint
    assert find(home, "concise") == before
    replaced = add(home, trained["formal"], name="concise", force=True)
    assert (replaced.fingerprint, everything(home)) == (weights_hash(trained["formal"]), ["concise"])


def test_a_linked_one_follows_its_folder(home: Path, concise: Path, trained: dict[str, Path]) -> None:
    added = add(home, concise, link=True)
    assert (added.linked, added.folder, everything(home)) == (True, concise, ["concise"])
    assert [path.name for path in (home / "adapters" / "concise").iterdir()] == [RECORD]
    shutil.rmtree(concise)
    shutil.copytree(trained["formal"], concise)
    assert find(home, "concise").fingerprint == weights_hash(trained["formal"])
    shutil.rmtree(concise)
    assert "there is no folder" in find(home, "concise").problem
    remove(home, "concise")
    assert installed(home) == ()


def test_removing_a_link_leaves_what_it_leads_to(home: Path, concise: Path) -> None:
    add(home, concise, link=True)
    remove(home, "concise")
    assert (names(home), (concise / WEIGHTS).exists()) == ([], True)


def test_broken_ones_are_listed_with_what_is_wrong(home: Path, concise: Path) -> None:
    for name in ("a", "b", "c", "d"):
        add(home, concise, name=name)
    adapters = home / "adapters"
    (adapters / "a" / WEIGHTS).unlink()
    (adapters / "b" / FILE).write_text("{")
    (adapters / "c" / RECORD).write_text("{")  # is nothing but how it was added
    (adapters / "d" / WEIGHTS).write_bytes(b"x" * 99)
    (adapters / "empty").mkdir()
    problems = {one.name: one.problem for one in installed(home)}
    assert [name for name, problem in problems.items() if problem] == ["a", "b", "d", "empty"]
    assert "holds no adapter_model.safetensors" in problems["a"]
    for name in problems:
        remove(home, name)
    assert everything(home) == []


def test_an_unknown_name_is_answered_with_the_nearest(home: Path, concise: Path) -> None:
    with pytest.raises(ModelError, match="there is no adapter 'concise'") as caught:
        find(home, "concise")
    assert "assistant adapters add PATH" in caught.value.hint
    add(home, concise)
    for ask in (find, remove):
        with pytest.raises(ModelError, match="there is no adapter 'concies'") as caught:
            ask(home, "concies")
        assert "did you mean 'concise'?" in caught.value.hint
    with pytest.raises(ModelError) as caught:
        find(home, "quite-else")
    assert caught.value.hint == "there are: concise"
    with pytest.raises(ModelError, match=r"there is no adapter '\.\./adapters'"):
        remove(home, "../adapters")


def test_a_path_is_found_too_and_a_name_comes_first(
    home: Path, concise: Path, trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find(home, str(concise)).fingerprint == weights_hash(concise)
    monkeypatch.chdir(concise.parent)
    assert find(home, "concise").folder == concise
    add(home, trained["formal"], name="concise")
    assert find(home, "concise").folder == home / "adapters" / "concise"
    assert find(home, "./concise").folder == concise


@pytest.mark.parametrize("name", ["./nope", "no/pe", "/nope", "nope/", "~nobody-of-that-name/x", "x" * 300 + "/y"])
def test_a_path_to_nothing_is_said_to_be_one(home: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as caught:
        find(home, name)
    assert caught.value.message == f"{name}: there is no such folder"
    with pytest.raises(ModelError):
        add(home, name, name="it")


def test_a_broken_one_keeps_the_hint_and_a_file_is_no_folder(home: Path, concise: Path) -> None:
    assert "that is a file" in find(home, str(concise / FILE)).problem
    (concise / WEIGHTS).unlink()
    assert find(home, str(concise)).hint == "take a whole copy of the folder"
    with pytest.raises(ModelError, match="there is no adapter 'xxx"):
        find(home, "x" * 300)


def test_what_is_added_is_checked_with_its_base_where_that_is_found(home: Path, concise: Path, identify: Identify) -> None:
    asked: list[str] = []
    base = json.loads((concise / FILE).read_text("utf-8"))["base"]["id"]
    assert add(home, concise, find_base=lambda named: asked.append(named) or identify()).notes == ()
    assert asked == [base]
    assert add(home, concise, name="nf4", find_base=lambda _: identify(quantization="nf4")).notes == (
        "trained on full precision, served in nf4: run the gate again",
    )
    with pytest.raises(ModelError, match="not for 'other'"):
        add(home, concise, name="wrong", find_base=lambda _: identify("other"))
    noted = add(home, concise, name="alone", find_base=lambda _: None)
    assert noted.notes == (f"its base {base!r} could not be checked: it isn't on this machine",)
    assert names(home) == ["alone", "concise", "nf4"]
    (concise / FILE).unlink()
    assert add(home, concise, name="plain", trust_base=True, find_base=lambda _: pytest.fail("nothing says which")).notes == ()


def test_each_adapter_goes_to_the_step_of_its_role(
    home: Path, concise: Path, trained: dict[str, Path], identify: Identify
) -> None:
    rewriter = Path(shutil.copytree(trained["formal"], concise.parent / "rewriter"))
    change(rewriter / FILE, role="rewrite")
    gate(concise, "passed")
    for folder in (concise, rewriter):
        add(home, folder)
    found = resolved(home, "concise*0.5+rewriter", identify())
    assert set(found.selections) == {"answer", "rewrite"}
    ((one,), (other,)) = found.selections["answer"], found.selections["rewrite"]
    assert (one.name, one.scale, one.slow, one.folder) == ("concise", 0.5, False, home / "adapters" / "concise")
    assert one.fingerprint.startswith(weights_hash(concise))
    assert (other.name, other.scale) == ("rewriter", 1)
    assert found.notices == ()


def test_a_sum_keeps_its_order(home: Path, trained: dict[str, Path], identify: Identify) -> None:
    spec = f"{trained['formal']}*0.3+{trained['concise']}"
    assert [one.scale for one in resolved(home, spec, identify()).selections["answer"]] == [0.3, 1]
    assert resolve((), home, identify(), models=None).selections == {}


def test_a_wrong_base_and_a_reward_adapter_are_refused(home: Path, trained: dict[str, Path], identify: Identify) -> None:
    add(home, trained["concise"])
    with pytest.raises(ModelError, match="was trained for"):
        resolved(home, "concise", identify("gemma"))
    add(home, trained["rewarder"])
    with pytest.raises(ModelError, match="'rewarder' is a reward adapter: it scores answers") as caught:
        resolved(home, "rewarder", identify())
    assert "/best 4" in caught.value.hint


def test_slow_ones_are_neither_scaled_nor_summed(
    home: Path, bases: dict[str, Path], trained: dict[str, Path], identify: Identify, tmp_path: Path
) -> None:
    random_adapter(bases["llama"], tmp_path / "dora", seed=1, use_dora=True)
    add(home, tmp_path / "dora", trust_base=True)
    add(home, trained["concise"])
    (one,) = resolved(home, "dora", identify()).selections["answer"]
    assert one.slow
    assert "it was trained with DoRA" in resolved(home, "dora", identify()).notices[1]
    with pytest.raises(ModelError, match="'dora' can't be scaled: it was trained with DoRA"):
        resolved(home, "dora*0.5", identify())
    with pytest.raises(ModelError, match="'dora' can't be added to 'concise'"):
        resolved(home, "concise+dora", identify())


def test_a_plain_one_is_trusted_where_it_was_added_so_and_not_by_its_path(home: Path, concise: Path, identify: Identify) -> None:
    (concise / FILE).unlink()
    add(home, concise, trust_base=True)
    assert (
        resolved(home, "concise", identify()).notices[0]
        == "the adapter 'concise': it has no manifest, so its base is taken on trust"
    )
    with pytest.raises(ModelError, match="nothing says which base it belongs to"):
        resolve((Wanted(str(concise)),), home, identify(), models=None)


def test_new_weights_under_an_old_name_are_another_adapter(
    home: Path, concise: Path, trained: dict[str, Path], identify: Identify
) -> None:
    add(home, concise)
    before = resolved(home, "concise", identify()).selections
    add(home, trained["formal"], name="concise", force=True)
    assert resolved(home, "concise", identify()).selections != before


def test_a_full_disk_leaves_nothing_behind(home: Path, concise: Path, trained: dict[str, Path]) -> None:
    with file_size_limit(5_000), pytest.raises(StorageFull, match=r"can't write into .*adapters'") as caught:
        add(home, concise)
    assert "free some space" in caught.value.hint
    assert everything(home) == []
    before = add(home, concise)
    with file_size_limit(5_000), pytest.raises(StorageFull):
        add(home, trained["formal"], name="concise", force=True)
    assert (everything(home), find(home, "concise")) == (["concise"], before)


def test_a_home_that_may_not_be_written_to(home: Path, concise: Path) -> None:
    home.chmod(0o555)
    concise.parent.chmod(0o755)
    try:
        with powerless(), pytest.raises((StorageFull, ModelError)):
            add(home, concise)
    finally:
        home.chmod(0o700)
    assert names(home) == []


def test_a_folder_that_is_trained_into_meanwhile_is_not_taken(
    home: Path, concise: Path, trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import assistant.adapters.registry as registry

    copy = registry.write_draft

    def late(*arguments: Any) -> Path:
        shutil.copy(trained["formal"] / WEIGHTS, concise / WEIGHTS)
        return copy(*arguments)

    monkeypatch.setattr(registry, "write_draft", late)
    with pytest.raises(ModelError, match="changed while they were copied"):
        add(home, concise)
    assert everything(home) == []


ADD = """
import sys
from pathlib import Path
import assistant.adapters.installing as installing
{before}
from assistant.adapters.registry import add, remove, installed
home, one, other = map(Path, sys.argv[1:])
{body}
"""


def start(home: Path, one: Path, other: Path, body: str, before: str = "") -> "subprocess.Popen[str]":
    program = [sys.executable, "-c", ADD.format(body=body, before=before), str(home), str(one), str(other)]
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def killed_at(function: str, home: Path, one: Path, other: Path) -> None:
    """Kill an `add` of other weights at its n-th rename or in the middle of its copying."""
    before = f"import os, signal\nkill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n{function}"
    with start(home, one, other, "add(home, other, name='a', force=True)", before) as process:
        assert process.wait(60) == -signal.SIGKILL, process.stderr.read()  # type: ignore[union-attr]


AT_COPY = "installing._write = kill"
AT_RENAME = "installing.Path.rename = kill"
BETWEEN = """
rename = installing.Path.rename
installing.Path.rename = lambda self, to: kill() if self.name.startswith(installing.DRAFT) else rename(self, to)
"""


@pytest.mark.parametrize("function", [AT_COPY, AT_RENAME], ids=["copying", "renaming"])
def test_a_kill_in_the_middle_of_an_add_leaves_nothing_visible(home: Path, trained: dict[str, Path], function: str) -> None:
    killed_at(function, home, trained["concise"], trained["formal"])
    assert (installed(home), [name[:5] for name in everything(home)]) == ((), [DRAFT])
    add(home, trained["formal"], name="b")
    assert everything(home) == ["b"]


def test_a_kill_between_old_and_new_brings_the_old_one_back(home: Path, trained: dict[str, Path]) -> None:
    before = add(home, trained["concise"], name="a")
    killed_at(BETWEEN, home, trained["concise"], trained["formal"])
    assert [name[:5] for name in everything(home)] == [DRAFT, OLD]
    assert find(home, "a") == before
    assert everything(home) == ["a"]


def test_a_kill_in_the_middle_of_a_removal_has_removed_it(home: Path, trained: dict[str, Path]) -> None:
    add(home, trained["concise"], name="a")
    kill = "import os, signal\ninstalling.shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)"
    with start(home, home, home, "remove(home, 'a')", kill) as process:
        process.wait(60)
    assert (names(home), [name[:6] for name in everything(home)]) == ([], [GONE])
    with changing(home):
        assert everything(home) == []


def test_two_processes_at_once_never_show_half_an_adapter(home: Path, trained: dict[str, Path]) -> None:
    body = """
from assistant.errors import ModelError
for at in range(25):
    add(home, (one, other)[at % 2], name='shared', force=True)
    add(home, one, name=f'own-{sys.argv[2][-5:]}', force=True)
    try: remove(home, 'shared')
    except ModelError as error: assert 'there is no adapter' in error.message, error
"""
    fits = {weights_hash(trained[name]) for name in ("concise", "formal")}
    seen = 0
    first = start(home, trained["concise"], trained["formal"], body)
    second = start(home, trained["formal"], trained["concise"], body)
    while first.poll() is None or second.poll() is None:
        for one in installed(home):
            assert one.fingerprint in fits, one
            seen += 1
        time.sleep(0.002)
    for process in (first, second):
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    assert seen > 0
    assert [one.problem for one in installed(home)] == [""] * len(installed(home))
    assert {name for name in everything(home) if name != "shared"} == {"own-ncise", "own-ormal"}
