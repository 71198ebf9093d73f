"""Adapters on a server that lists them or loads them from folders, as vLLM does: every request is compared as a whole."""

import gc
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from loopback_server import CHAT, PROMPT, LoopbackServer, Opened, raw, refuses
from lora_server import LOAD, NO_ROUTE, UNLOAD, LoraServer, error
from random_adapters import random_adapter

from assistant.adapters.registry import add
from assistant.adapters.selection import Chosen
from assistant.errors import ModelError
from assistant.models import Decoding
from assistant.models.loading import Request
from assistant.models.local import LocalModel, open_local
from assistant.models.server import ServerModel
from assistant.models.server_address import Address, read_address
from assistant.settings import load_settings
from assistant.wiring import use_adapters

SHORT = Decoding(max_tokens=12)
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many sleep there?"}]
Made = Callable[[str], Chosen]


@pytest.fixture(scope="module")
def folders(tiny: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Chosen]:
    folder = tmp_path_factory.mktemp("adapters")
    names = ("concise", "formal", "anew")
    return {name: random_adapter(tiny["llama3"], folder / name, seed=at) for at, name in enumerate(names)}


@pytest.fixture
def concise(folders: dict[str, Chosen], tmp_path: Path) -> Chosen:
    """A copy that may be changed."""
    return replace(folders["concise"], folder=Path(shutil.copytree(folders["concise"].folder, tmp_path / "concise")))


@pytest.fixture(scope="module")
def writer(tiny: dict[str, Path]) -> Iterator[LocalModel]:
    model = open_local(str(tiny["llama3"]), Request(device="cpu"), decoding=SHORT)
    yield model
    model.close()


@pytest.fixture
def vllm(server: LoopbackServer, tiny: dict[str, Path]) -> LoraServer:
    """One that says which adapter answers."""
    return LoraServer(server, root=str(tiny["llama3"])).start()


def use(model: ServerModel, *chosen: Chosen) -> list[str]:
    told: list[str] = []
    model.use_adapters({"answer": chosen}, told.append)
    return told


def answer(model: ServerModel) -> str:
    return "".join(model.stream(PROMPT))


def asked(name: str) -> tuple[str, dict[str, Any]]:
    return CHAT, {"model": name, "messages": MESSAGES, "max_tokens": 400, "temperature": 0.0, "stream": True}


def loading(name: str, chosen: Chosen) -> tuple[str, dict[str, str]]:
    return LOAD, {"lora_name": name, "lora_path": str(chosen.folder)}


def unloading(name: str) -> tuple[str, dict[str, str]]:
    return UNLOAD, {"lora_name": name}


def refused(model: ServerModel, *chosen: Chosen) -> ModelError:
    with pytest.raises(ModelError) as caught:
        use(model, *chosen)
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


# ---- with a model that really answers


def test_each_adapter_answers_as_it_does_in_this_process(
    server: LoopbackServer, open_model: Opened, folders: dict[str, Chosen], writer: LocalModel
) -> None:
    """Whatever answered before, the next answer is the chosen adapter's."""
    cold = {}
    for name in (None, "concise", "formal"):
        writer.use_adapters({"answer": (folders[name],) if name else ()})
        cold[name] = "".join(writer.stream(PROMPT))
    assert len(set(cold.values())) == 3
    LoraServer(server, writer).start()
    model = open_model(decoding=SHORT)
    for name in ("concise", None, "formal", "concise", None):
        use(model, *[folders[name]] if name else [])
        assert (answer(model), model.adapter) == (cold[name], name)


def test_new_weights_under_an_old_name_are_not_answered_from_what_was_computed_with_the_old(
    server: LoopbackServer, open_model: Opened, folders: dict[str, Chosen], concise: Chosen, writer: LocalModel
) -> None:
    vllm = LoraServer(server, writer).start()
    model = open_model(decoding=SHORT)
    use(model, concise)
    old, before = answer(model), model.identity
    shutil.copytree(folders["anew"].folder, concise.folder, dirs_exist_ok=True)
    use(model, replace(concise, fingerprint=folders["anew"].fingerprint))
    writer.use_adapters({"answer": (folders["anew"],)})
    assert answer(model) == "".join(writer.stream(PROMPT)) != old
    assert len(vllm.blocks) == 2
    assert json.dumps(dict(before)) != json.dumps(dict(model.identity))
    assert model.adapter == "concise"


# ---- what is sent


def test_a_switch_loads_the_new_one_and_unloads_the_old(vllm: LoraServer, open_model: Opened, folders: dict[str, Chosen]) -> None:
    model = open_model()
    concise, formal = folders["concise"], folders["formal"]
    assert use(model, concise) == []
    first = answer(model)
    use(model, formal)
    second = answer(model)
    use(model)
    assert answer(model) == "tiny"
    assert vllm.sent == [
        loading(first, concise),
        asked(first),
        loading(second, formal),
        unloading(first),
        asked(second),
        unloading(second),
        asked("tiny"),
    ]
    assert first.startswith("concise-")
    assert second.startswith("formal-")
    assert len(first) == len("concise-") + 8


def test_what_the_server_lists_is_neither_loaded_nor_unloaded(
    vllm: LoraServer, open_model: Opened, folders: dict[str, Chosen]
) -> None:
    vllm.adapters["concise"] = "/srv/concise"
    model = open_model()
    use(model, Chosen("concise", Path(), ""))
    assert answer(model) == "concise"
    assert model.identity["adapter"] == {"answer": ["concise", ""]}
    [notice] = use(model, folders["concise"])
    assert "lists its own 'concise'" in notice
    assert model.identity["adapter"] == {"answer": ["concise", folders["concise"].fingerprint]}
    model.close()
    assert vllm.sent == [asked("concise")]


def test_what_another_client_had_loaded_stays(vllm: LoraServer, open_model: Opened, folders: dict[str, Chosen]) -> None:
    theirs, ours = open_model(), open_model()
    use(theirs, folders["concise"])
    use(ours, folders["concise"])
    name = answer(ours)
    ours.close()
    assert answer(theirs) == name
    assert vllm.sent == [loading(name, folders["concise"]), asked(name), asked(name)]


def test_another_client_that_is_faster(vllm: LoraServer, open_model: Opened, folders: dict[str, Chosen]) -> None:
    loads = vllm.server.replies[LOAD][0]

    def twice(exchange: Any) -> None:
        vllm.adapters[exchange.body["lora_name"]] = exchange.body["lora_path"]
        loads(exchange)

    vllm.server.on(LOAD, twice)
    model = open_model()
    use(model, folders["concise"])
    assert answer(model) in vllm.adapters
    model.close()
    assert vllm.adapters


def test_closing_unloads_and_never_fails(vllm: LoraServer, open_model: Opened, folders: dict[str, Chosen]) -> None:
    model = open_model()
    use(model, folders["concise"])
    vllm.server.on(UNLOAD, refuses(500, "no"))
    model.close()
    model.close()
    [load, unload] = vllm.sent
    assert unload == unloading(load[1]["lora_name"])


def test_a_model_that_nobody_closes_unloads_too(
    vllm: LoraServer, home: Path, folders: dict[str, Chosen], server: LoopbackServer
) -> None:
    settings = load_settings({"server": server.url})
    add(home, folders["concise"].folder, trust_base=True)
    from assistant.wiring import open_model

    model = open_model(replace(settings, adapter="concise"))
    assert vllm.adapters
    del model
    gc.collect()
    assert vllm.adapters == {}


def test_a_server_that_was_started_anew_loads_it_again(vllm: LoraServer, open_model: Opened, concise: Chosen) -> None:
    model = open_model()
    use(model, concise)
    name = answer(model)
    vllm.forget()
    assert answer(model) == name
    assert vllm.sent == [loading(name, concise), asked(name), asked(name), loading(name, concise), asked(name)]
    vllm.forget()
    (concise.folder / "adapter_model.safetensors").write_bytes(b"others")
    with pytest.raises(ModelError, match="weights of the adapter 'concise' have changed"):
        answer(model)


def test_a_name_that_stays_unknown_is_asked_for_twice(vllm: LoraServer, open_model: Opened, concise: Chosen) -> None:
    model = open_model()
    use(model, concise)
    vllm.server.on(CHAT, error(404, "NotFoundError", "The model does not exist."))
    with pytest.raises(ModelError, match="doesn't have what was asked for"):
        answer(model)
    assert len(vllm.server.sent_to(CHAT)) == 2


def test_each_step_has_its_own(vllm: LoraServer, open_model: Opened, folders: dict[str, Chosen]) -> None:
    model = open_model()
    model.use_adapters({"answer": (folders["concise"],), "rewrite": (folders["formal"],)})
    steps = ("answer", "rewrite", "judge")
    assert ["".join(model.stream(replace(PROMPT, step=step)))[:6] for step in steps] == ["concis", "formal", "tiny"]


def test_the_tokens_are_counted_with_the_base_s_name(vllm: LoraServer, open_model: Opened, folders: dict[str, Chosen]) -> None:
    model = open_model()
    use(model, folders["concise"])
    assert model.budget.tokens == 2048 - 400
    assert [exchange.body["model"] for exchange in vllm.server.sent_to("/tokenize")] == ["tiny"]


def test_installed_adapters_are_found_by_name(
    vllm: LoraServer, open_model: Opened, home: Path, folders: dict[str, Chosen], server: LoopbackServer
) -> None:
    installed = add(home, folders["concise"].folder, trust_base=True)
    settings, model, told = load_settings({"server": server.url}), open_model(), list[str]()
    use_adapters(model, "concise", settings, announce=told.append)
    assert [path for path, _ in vllm.sent] == [LOAD]
    assert vllm.sent[0][1]["lora_path"] == str(installed.folder)
    assert told == ["the adapter 'concise': trusted base", "the adapter 'concise': ungated"]
    assert installed.fingerprint in json.dumps(dict(model.identity))
    use_adapters(model, "none", settings)
    assert (model.adapter, model.identity["adapter"], vllm.adapters) == (None, None, {})
    with pytest.raises(ModelError, match="has no adapter 'verbose'"):
        use_adapters(model, "verbose", settings)


# ---- what is refused


@pytest.mark.parametrize(
    ("reply", "message", "hint"),
    [
        (NO_ROUTE, r"'concise' and loads none while it runs \(404: Not Found\)", "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"),
        (raw("", status=405), r"loads none while it runs \(405\)", "--enable-lora"),
        (refuses(501, "unsupported"), r"loads none while it runs \(501: unsupported\)", "--lora-modules concise-"),
        (error(500, "InternalServerError", "LoRA is not enabled."), "loads none while it runs", "--enable-lora"),
        (error(500, "ServerError", "LoRA rank 64 is greater than max_lora_rank 16."), "a higher rank", "--max-lora-rank 64"),
        (error(400, "BadRequest", "odd weights"), r"can't load the adapter 'concise' \(400: odd weights\)", "leave --server out"),
        (refuses(401, "no"), "wants an API key", "ASSISTANT_API_KEY"),
        (raw("Success", kind="text/plain"), "took the adapter 'concise', but doesn't list it", "vllm serve"),
    ],
)  # fmt: skip
def test_a_server_that_does_not_load_it(
    vllm: LoraServer, open_model: Opened, folders: dict[str, Chosen], reply: Any, message: str, hint: str
) -> None:
    model = open_model()
    use(model, folders["formal"])
    name = answer(model)
    vllm.server.on(LOAD, reply)
    said = refused(model, folders["concise"])
    assert re.search(message, said.message)
    assert hint in said.hint
    assert len(vllm.server.sent_to(LOAD)) == 2
    assert (answer(model), model.adapter) == (name, "formal")
    assert name in vllm.adapters


def test_a_folder_that_the_server_cannot_see(vllm: LoraServer, open_model: Opened, concise: Chosen) -> None:
    def elsewhere(exchange: Any) -> None:
        words = f"Loading lora {exchange.body['lora_name']} failed: No adapter found for {exchange.body['lora_path']}"
        error(404, "NotFoundError", words)(exchange)

    vllm.server.on(LOAD, elsewhere)
    said = refused(open_model(), concise)
    assert f"can't see the folder '{concise.folder}'" in said.message
    assert "on the machine where the server runs" in said.hint


def test_a_stranger_learns_no_path_of_this_machine(
    vllm: LoraServer, open_model: Opened, concise: Chosen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Address, "near", False)
    assert "has no adapter 'concise'" in refused(open_model(), concise).message
    assert LOAD not in [path for path, _ in vllm.server.requests]


@pytest.mark.parametrize(
    ("url", "near"),
    [
        *((f"http://{host}:8000", True) for host in ("127.0.0.1", "192.168.1.7", "gpu", "gpu.local")),
        *((f"https://{host}", False) for host in ("api.example.com", "8.8.8.8")),
    ],
)
def test_what_is_near(url: str, near: bool) -> None:
    assert read_address(url).near is near


def test_scales_and_sums_are_refused_without_asking(vllm: LoraServer, open_model: Opened, folders: dict[str, Chosen]) -> None:
    model = open_model()
    half = refused(model, folders["concise"].at(0.5))
    both = refused(model, folders["concise"], folders["formal"])
    assert "'concise*0.5' can't be had" in half.message
    assert "'concise+formal' can't be had" in both.message
    assert "one adapter to a request, in full" in both.message
    assert vllm.server.requests == []


@pytest.mark.parametrize(("setting", "words"), [("alpha_pattern", "its alpha_pattern"), ("use_dora", "DoRA")])
def test_what_vllm_would_compute_wrongly(vllm: LoraServer, open_model: Opened, concise: Chosen, setting: str, words: str) -> None:
    file = concise.folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {setting: {"q_proj": 3}}))
    assert words in refused(open_model(), concise).message
    assert vllm.sent == []


def test_one_that_can_t_be_used_takes_the_other_step_s_back(
    vllm: LoraServer, open_model: Opened, folders: dict[str, Chosen]
) -> None:
    model = open_model()
    with pytest.raises(ModelError, match="has no adapter 'missing'"):
        model.use_adapters({"answer": (folders["concise"],), "rewrite": (Chosen("missing", Path(), ""),)})
    assert (vllm.adapters, model.adapter) == ({}, None)


def test_an_adapter_of_another_model_of_the_server(server: LoopbackServer, open_model: Opened) -> None:
    server.lists({"id": "a", "root": "x"}, {"id": "alias", "root": "x"}, {"id": "b", "root": "y"}, {"id": "mine", "parent": "a"})
    mine = Chosen("mine", Path(), "")
    said = refused(open_model(model="b"), mine)
    assert "belongs to 'a' on the server, not to 'b'" in said.message
    assert "--model a" in said.hint
    assert use(open_model(model="alias"), mine) == []
    free = open_model()
    use(free, mine)
    assert free.name == "a"
    listed = server.replies["/v1/models"]
    server.lists({"id": "b", "root": "y"})
    met = open_model()
    list(met.stream(PROMPT))
    server.replies["/v1/models"] = listed
    refused(met, mine)


def test_what_could_not_be_checked_is_said_once(vllm: LoraServer, open_model: Opened, folders: dict[str, Chosen]) -> None:
    vllm.root = "org/other"
    model = open_model()
    [notice] = use(model, folders["concise"])
    assert "is not checked against the server's base: it was trained for" in notice
    assert "calls its model 'tiny'" in notice
    use(model)
    assert use(model, folders["concise"]) == []


def test_nothing_can_be_checked_against_a_server(open_model: Opened) -> None:
    with pytest.raises(ModelError, match=r"the files of the model on .* aren't here"):
        open_model().base()
