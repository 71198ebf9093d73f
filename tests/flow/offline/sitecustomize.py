"""Put on PYTHONPATH of the programs that tests start: no socket leaves this machine."""

import os
import socket

_connect = socket.socket.connect


def _guarded(self: socket.socket, address: object) -> None:
    local = self.family == getattr(socket, "AF_UNIX", None) or str(address[0]) in {"127.0.0.1", "::1", "localhost"}  # type: ignore[index]
    if not local:
        os.write(2, f"BLOCKED: a connection to {address!r}\n".encode())
        raise PermissionError(f"tests don't use the network: {address!r}")
    _connect(self, address)


socket.socket.connect = _guarded  # type: ignore[method-assign]
