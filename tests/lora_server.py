"""vLLM's routes for adapters on the loopback server, with a tiny model that answers behind them.

Its words and statuses are those of vLLM's source (entrypoints/openai/models/serving.py, entrypoints/serve/lora/api_router.py).
Like vLLM in issue 42125 it goes on answering by what it computed under an adapter's *name*, even when that came back anew.
"""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loopback_server import CHAT, Exchange, LoopbackServer, Reply, as_json, raw, says

from assistant.adapters.manifest import weights_hash
from assistant.adapters.selection import Chosen
from assistant.models.local import LocalModel
from assistant.records import Message, Prompt

LOAD, UNLOAD, LIST = "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/v1/models"
NO_ROUTE = as_json({"detail": "Not Found"}, status=404)


@dataclass
class LoraServer:
    """Adapters that a server has by name, and what it answers with them. Without a model it says their names."""

    server: LoopbackServer
    model: LocalModel | None = None
    root: str = "org/tiny"
    adapters: dict[str, str] = field(default_factory=dict)
    blocks: dict[tuple[str, str], str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, *, loads: bool = True) -> "LoraServer":
        self.server.on(LIST, self._list)
        self.server.on(CHAT, self._answer)
        self.server.on(LOAD, self._load if loads else NO_ROUTE)
        self.server.on(UNLOAD, self._unload if loads else NO_ROUTE)
        return self

    def forget(self) -> None:
        """As a server does that is started anew."""
        self.adapters.clear()
        self.blocks.clear()

    @property
    def sent(self) -> list[tuple[str, Any]]:
        """What it was asked to do, lists and counts left out."""
        return [(path, exchange.body) for path, exchange in self.server.requests if path in (LOAD, UNLOAD, CHAT)]

    def _list(self, exchange: Exchange) -> None:
        base = {"id": "tiny", "object": "model", "root": self.root, "parent": None, "max_model_len": 2048}
        loras = [{"id": name, "object": "model", "root": path, "parent": "tiny"} for name, path in self.adapters.items()]
        as_json({"object": "list", "data": [base, *loras]})(exchange)

    def _load(self, exchange: Exchange) -> None:
        name, path = exchange.body["lora_name"], exchange.body["lora_path"]
        if name in self.adapters:
            error(400, "InvalidUserInput", f"The lora adapter '{name}' has already been loaded.")(exchange)
        elif not Path(path).is_dir():
            error(404, "NotFoundError", f"Loading lora {name} failed: No adapter found for {path}")(exchange)
        else:
            self.adapters[name] = path
            raw(f"Success: LoRA adapter '{name}' added successfully.", kind="text/plain")(exchange)

    def _unload(self, exchange: Exchange) -> None:
        name = exchange.body["lora_name"]
        if self.adapters.pop(name, None) is None:
            error(404, "NotFoundError", f"The lora adapter '{name}' cannot be found.")(exchange)
        else:
            raw(f"Success: LoRA adapter '{name}' removed successfully.", kind="text/plain")(exchange)

    def _answer(self, exchange: Exchange) -> None:
        name = exchange.body["model"]
        if name != "tiny" and name not in self.adapters:
            error(404, "NotFoundError", f"The model `{name}` does not exist.")(exchange)
            return
        with self.lock:
            known = (name, repr(exchange.body["messages"]))
            self.blocks.setdefault(known, self._written(name, exchange.body["messages"]))
        says(self.blocks[known])(exchange)

    def _written(self, name: str, messages: list[dict[str, Any]]) -> str:
        if self.model is None:
            return name
        folder = self.adapters.get(name)
        chosen = (Chosen(name, Path(folder), weights_hash(Path(folder))),) if folder else ()
        self.model.use_adapters({"answer": chosen})
        return "".join(self.model.stream(Prompt("", (), messages=tuple(Message(**each) for each in messages))))


def error(status: int, kind: str, message: str) -> Reply:
    return as_json({"error": {"message": message, "type": kind, "param": None, "code": status}}, status=status)
