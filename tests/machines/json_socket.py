"""One JSON object a line over a Unix socket, as QEMU's monitor and guest agent speak."""

import json
import socket
from pathlib import Path
from typing import Any


class JsonSocket:
    def __init__(self, path: Path, *, timeout: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        self._rest = b""
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def send(self, message: dict[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, timeout: float | None = None) -> dict[str, Any]:
        """Raises OSError (TimeoutError too) and ValueError."""
        if timeout is not None:
            self._socket.settimeout(timeout)
        while b"\n" not in self._rest:
            data = self._socket.recv(1 << 20)
            if not data:
                raise ConnectionError("closed")
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line.lstrip(b"\xff"))
        return message

    def close(self) -> None:
        self._socket.close()
