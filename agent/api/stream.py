"""What serves a stream, whoever asks: the server through the tunnel, or this machine's own command
line through the local socket (``local.py``). A handler knows neither.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from edgek.api.errors import ApiError


class Socket(Protocol):
    """A stream's connection, agent's side. ``accept`` comes first; raise an ApiError before it to
    refuse."""

    accepted: bool

    async def accept(self) -> None: ...

    async def refuse(self, error: ApiError) -> None: ...

    async def receive(self) -> bytes | None:
        """None once the other side has closed."""

    async def send(self, data: bytes) -> None:
        """Waits while the reader is slow, but not for ever. Raises OSError once it is gone."""


Handler = Callable[[Mapping[str, Any], Socket], Awaitable[None]]


def answers(read: Callable[[], Awaitable[object]]) -> Handler:
    """A handler whose stream is one JSON value."""

    async def handle(params: Mapping[str, Any], socket: Socket) -> None:
        value = await read()
        await socket.accept()
        await socket.send(json.dumps(value).encode())

    return handle
