"""Image work asked of an agent: of this device's over its local socket, of a node's through the
cluster. The messages are those of agent/api/images.py.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol
from urllib.parse import quote

from edgek.api.errors import from_status
from edgek.cli.cluster import Cluster, Failure
from edgek.cli.node_socket import stream

_DATA, _PROGRESS, _END = b"D", b"P", b"E"
HEARTBEAT = 30.0


class Messages(Protocol):
    async def send(self, data: bytes) -> None: ...

    def messages(self) -> AsyncIterator[bytes]: ...


Agent = Callable[[dict[str, Any]], AbstractAsyncContextManager[Messages]]
"""Opens a stream for a question."""


def this_device(run_dir: str) -> Agent:
    def ask(question: dict[str, Any]) -> AbstractAsyncContextManager[Messages]:
        return stream(run_dir, "image", **question)

    return ask


def node_of(cluster: Cluster, node: str) -> Agent:
    path = f"/api/v1/nodes/{quote(node, safe='')}/proxy/edgek/images"

    @asynccontextmanager
    async def ask(question: dict[str, Any]) -> AsyncIterator[Messages]:
        query = (("ask", json.dumps(question)),)
        async with cluster.transport.websocket(path, query=query, heartbeat=HEARTBEAT) as socket:
            yield _WebSocket(socket)

    return ask


class _WebSocket:
    def __init__(self, socket: Any) -> None:
        self._socket = socket

    async def send(self, data: bytes) -> None:
        await self._socket.send(data)

    async def messages(self) -> AsyncIterator[bytes]:
        async for message in self._socket:
            yield message if isinstance(message, bytes) else message.encode()


def _quiet(text: str) -> None:
    return


async def call(
    agent: Agent,
    verb: str,
    *,
    source: AsyncIterator[bytes] | None = None,
    on_data: Callable[[bytes], object] | None = None,
    on_progress: Callable[[str], None] = _quiet,
    **params: Any,
) -> Any:
    """The answer. ``source`` is sent while it is waited for. Raises ApiError and Failure."""
    async with agent({"verb": verb, **params}) as messages:
        reading = asyncio.create_task(_read(messages, on_data, on_progress))
        sending = asyncio.create_task(_send(messages, source))
        try:
            await asyncio.wait({reading, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and not isinstance(sending.exception(), OSError | None):
                sending.result()  # what was to be sent cannot be read
            return await reading
        finally:
            reading.cancel()
            sending.cancel()
            await asyncio.wait({reading, sending})


async def _send(messages: Messages, source: AsyncIterator[bytes] | None) -> None:
    if source is not None:
        async for data in source:
            await messages.send(data)
        await messages.send(b"")


async def _read(
    messages: Messages,
    on_data: Callable[[bytes], object] | None,
    on_progress: Callable[[str], None],
) -> Any:
    async for message in messages.messages():
        sort, rest = message[:1], message[1:]
        if sort == _DATA and on_data is not None:
            on_data(rest)
        elif sort == _PROGRESS:
            on_progress(rest.decode(errors="replace"))
        elif sort == _END:
            status = json.loads(rest)
            if status.get("status") != "Success":
                raise from_status(status)
            return status.get("result")
    raise Failure("the connection ended before the work was done")
